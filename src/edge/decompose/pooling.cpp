#include "edge/decompose/tables.h"

namespace intaglio {
namespace {

Value* self(const Node& n) { return n.tensor("self"); }

std::vector<Argument> window_2d(const Node& n, bool with_dilation) {
  std::vector<Argument> arguments = {n.argument("stride"), n.argument("padding")};
  const Ints kernel = spread(n.integers("kernel_size"), 2), stride = n.integers("stride");
  arguments[0] = stride.empty() ? kernel : spread(stride, 2);
  arguments[1] = spread(n.integers("padding"), 2);
  if (with_dilation) arguments.push_back(spread(n.integers("dilation"), 2));
  arguments.push_back(n.boolean("ceil_mode"));
  arguments.insert(arguments.begin(), Argument(kernel));
  return arguments;
}

Value* maximum_pool(GraphBuilder& b, Value* x, std::vector<Argument> window) {
  window.insert(window.begin(), Argument(x));
  return b.call("aten.max_pool2d_with_indices.default", std::move(window));
}
Values max_pool2d(GraphBuilder& b, const Node& n) { return {maximum_pool(b, self(n), window_2d(n, true))}; }

// One-dimensional windows run as two-dimensional ones over an image of height 1.
Ints flat_window(const Ints& list, int64_t across) { return {across, list[0]}; }
Values max_pool1d(GraphBuilder& b, const Node& n) {
  const Ints kernel = n.integers("kernel_size"), stride = n.integers("stride");
  Value* pooled = maximum_pool(b, b.unsqueeze(self(n), -2),
                               {flat_window(kernel, 1), flat_window(stride.empty() ? kernel : stride, 1), flat_window(n.integers("padding"), 0),
                                flat_window(n.integers("dilation"), 1), n.boolean("ceil_mode")});
  return {b.squeeze(pooled, -2)};
}
Values avg_pool1d(GraphBuilder& b, const Node& n) {
  const Ints kernel = n.integers("kernel_size"), stride = n.integers("stride");
  Value* pooled = b("aten.avg_pool2d.default", b.unsqueeze(self(n), -2), flat_window(kernel, 1), flat_window(stride.empty() ? kernel : stride, 1),
                    flat_window(n.integers("padding"), 0), n.boolean("ceil_mode"), n.boolean("count_include_pad"));
  return {b.squeeze(pooled, -2)};
}

// The window of an adaptive pool whose output divides its input; empty when it does not.
Ints even_window(const Value* x, const Ints& wanted) {
  Ints kernel;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const SymInt& size = x->sizes()[x->sizes().size() - wanted.size() + i];
    if (!size.is_static() || wanted[i] <= 0 || size.value() % wanted[i] != 0) return {};
    kernel.push_back(size.value() / wanted[i]);
  }
  return kernel;
}
bool all_ones(const Ints& list) {
  for (int64_t entry : list)
    if (entry != 1) return false;
  return true;
}

Values adaptive_avg_pool2d(GraphBuilder& b, const Node& n) {
  const Ints wanted = spread(n.integers("output_size"), 2);
  if (all_ones(wanted)) return {b("aten.mean.dim", self(n), Ints{-1, -2}, true)};
  const Ints kernel = even_window(self(n), wanted);
  if (!kernel.empty() && all_ones(kernel)) return {self(n)};
  if (!kernel.empty()) return {b("aten.avg_pool2d.default", self(n), kernel, kernel)};
  if (n.is("aten._adaptive_avg_pool2d.default")) return {};
  return {b("aten._adaptive_avg_pool2d.default", self(n), wanted)};
}
Values adaptive_avg_pool1d(GraphBuilder& b, const Node& n) {
  const Ints wanted = {1, n.integers("output_size")[0]};
  if (wanted[1] == 1) return {b("aten.mean.dim", self(n), Ints{-1}, true)};
  return {b.squeeze(b("aten.adaptive_avg_pool2d.default", b.unsqueeze(self(n), -2), wanted), -2)};
}
Values adaptive_max_pool2d(GraphBuilder& b, const Node& n) {
  const Ints wanted = spread(n.integers("output_size"), 2);
  if (all_ones(wanted)) return {b("aten.amax.default", self(n), Ints{-1, -2}, true), nullptr};
  const Ints kernel = even_window(self(n), wanted);
  if (kernel.empty()) refuse(n, "there is no kernel for adaptive max pooling whose output does not divide its input");
  return {b("aten.max_pool2d_with_indices.default", self(n), kernel, kernel), nullptr};
}
Values adaptive_avg_pool3d(GraphBuilder& b, const Node& n) {
  if (!all_ones(n.integers("output_size"))) refuse(n, "there is no kernel for three-dimensional pooling other than to size 1");
  return {b("aten.mean.dim", self(n), Ints{-1, -2, -3}, true)};
}

constexpr DecompositionRow rows[] = {
    {"aten.max_pool2d.default", max_pool2d},
    {"aten.max_pool1d.default", max_pool1d},
    {"aten.avg_pool1d.default", avg_pool1d},
    {"aten.adaptive_avg_pool1d.default", adaptive_avg_pool1d},
    {"aten.adaptive_avg_pool2d.default", adaptive_avg_pool2d},
    {"aten._adaptive_avg_pool2d.default", adaptive_avg_pool2d},
    {"aten.adaptive_avg_pool3d.default", adaptive_avg_pool3d},
    {"aten.adaptive_max_pool2d.default", adaptive_max_pool2d},
};

}  // namespace

std::span<const DecompositionRow> pooling_decompositions() { return rows; }

}  // namespace intaglio
