#include <algorithm>
#include <optional>

#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

using Ints = std::vector<int64_t>;

Ints spread(Ints list, size_t count) {
  if (list.size() == 1) list.resize(count, list[0]);
  return list;
}

// [before, after] of each dimension.
Ints both_sides(const Ints& before, const Ints& after) {
  Ints pads;
  for (size_t i = 0; i < before.size(); ++i) pads.insert(pads.end(), {before[i], after[i]});
  return pads;
}

void add_window(Lowering::Parameters& parameters, const Ints& strides, const Ints& pads) {
  const bool is_padded = std::ranges::any_of(pads, [](int64_t pad) { return pad != 0; });
  parameters.emplace_back("strides", int32_literal(strides));
  parameters.emplace_back("pad_type", text_literal(is_padded ? "custom" : "valid"));
  parameters.emplace_back("pad", int32_literal(pads));
}

// What the output padding adds is what cropping leaves.
void transposed_convolution(Lowering& l, const Node& node, Lowering::Parameters parameters) {
  const Ints out_pad = node.integers("output_padding"), pad = node.integers("padding");
  const size_t spatial = node.tensor("weight")->sizes().size() - 2;
  const Ints strides = spread(node.integers("stride"), spatial), before = spread(pad, spatial), extra = spread(out_pad, spatial);
  ValueType type = l.type_of(node.output());
  const bool is_cropped = std::ranges::any_of(extra, [](int64_t n) { return n != 0; });
  const Ints none(spatial, 0);
  add_window(parameters, strides, is_cropped ? both_sides(none, none) : both_sides(before, before));
  if (is_cropped)
    for (size_t i = 0; i < spatial; ++i)
      if (type.dims[i + 2] != unknown_size) type.dims[i + 2] += 2 * before[i] - extra[i];
  if (std::ranges::find(type.dims, unknown_size) == type.dims.end()) parameters.emplace_back("output_shape", int32_literal(type.dims));
  if (!is_cropped) return l.finish(node, "conv_transpose", std::move(parameters));
  const NamedType whole = l.op("conv_transpose", std::move(parameters), type);
  l.finish(node, "crop",
           {{"x", whole},
            {"crop_height", int32_literal({before[0], before[0] - extra[0]})},
            {"crop_width", int32_literal({before[1], before[1] - extra[1]})}});
}

// Two last dimensions swapped: the product reads them so.
const Node* swapped(const Value* value) {
  const Node* producer = value->producer();
  if (!producer || !producer->is("aten.permute_copy.default")) return nullptr;
  const Ints dims = producer->integers("dims");
  const auto rank = std::ssize(dims);
  for (int64_t i = 0; i < rank; ++i) {
    const int64_t dim = dims[static_cast<size_t>(i)] < 0 ? dims[static_cast<size_t>(i)] + rank : dims[static_cast<size_t>(i)];
    const int64_t wanted = i == rank - 1 ? rank - 2 : i == rank - 2 ? rank - 1 : i;
    if (rank < 2 || dim != wanted) return nullptr;
  }
  return producer;
}

Lowering::Parameters factors(Lowering& l, const Value* x, const Value* y) {
  const Node *turned_x = swapped(x), *turned_y = swapped(y);
  return {{"x", l.operand(turned_x ? turned_x->inputs().front() : x)},
          {"y", l.operand(turned_y ? turned_y->inputs().front() : y)},
          {"transpose_x", scalar_literal(turned_x != nullptr)},
          {"transpose_y", scalar_literal(turned_y != nullptr)}};
}

Lowering::Parameters window(Lowering& l, const Node& node) {
  Ints kernel = node.integers("kernel_size"), stride = node.integers("stride");
  if (stride.empty()) stride = kernel;
  const Ints pad = node.integers("padding");
  Lowering::Parameters parameters = {
      {"x", l.first_operand(node)}, {"kernel_sizes", int32_literal(kernel)}, {"ceil_mode", scalar_literal(node.boolean("ceil_mode"))}};
  add_window(parameters, stride, both_sides(pad, pad));
  return parameters;
}

}  // namespace

void convolution(Lowering& l, const Node& node, std::string_view mil) {
  const size_t spatial = node.tensor("weight")->sizes().size() - 2;
  Lowering::Parameters parameters = {{"x", l.operand(node, "input")},
                                     {"weight", l.operand(node, "weight")},
                                     {"dilations", int32_literal(spread(node.integers("dilation"), spatial))},
                                     {"groups", l.number(static_cast<double>(node.integer("groups")), DataType::int32)}};
  if (const Value* bias = node.optional_tensor("bias")) parameters.emplace_back("bias", l.operand(bias));
  if (node.boolean("transposed")) return transposed_convolution(l, node, std::move(parameters));
  const Ints pad = spread(node.integers("padding"), spatial);
  add_window(parameters, spread(node.integers("stride"), spatial), both_sides(pad, pad));
  l.finish(node, mil, std::move(parameters));
}

// Without a bias it has one of zeros.
void linear(Lowering& l, const Node& node, std::string_view mil) {
  const Value *weight = node.tensor("weight"), *bias = node.optional_tensor("bias");
  Lowering::Parameters parameters = {{"x", l.operand(node, "input")}, {"weight", l.operand(weight)}};
  if (bias) parameters.emplace_back("bias", l.operand(bias));
  else {
    const DType dtype = *row_of(l.type_of(node.output()).type).dtype;
    parameters.emplace_back("bias", literal(Tensor::zeros(dtype, {weight->sizes()[0].value()})));
  }
  l.finish(node, mil, std::move(parameters));
}

void product(Lowering& l, const Node& node, std::string_view mil) {
  l.finish(node, mil, factors(l, node.tensor("self"), node.tensor(node.is("aten.matmul.default") ? "other" : "mat2")));
}

void addmm(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType made = l.op(mil, factors(l, node.tensor("mat1"), node.tensor("mat2")), l.type_of(node.output()));
  l.finish(node, "add", {{"x", l.operand(node, "self")}, {"y", made}});
}

void max_pool(Lowering& l, const Node& node, std::string_view mil) { l.finish(node, mil, window(l, node)); }

void avg_pool(Lowering& l, const Node& node, std::string_view mil) {
  Lowering::Parameters parameters = window(l, node);
  parameters.emplace_back("exclude_padding_from_average", scalar_literal(!node.boolean("count_include_pad")));
  l.finish(node, mil, std::move(parameters));
}

}  // namespace intaglio::coreml::rows
