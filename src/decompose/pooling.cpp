#include "decompose/limits.h"
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

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

// What a pool gives; indices are those of a maximum pool.
struct Pooled {
  Value* values = nullptr;
  Value* indices = nullptr;
};
Pooled maximum_pool(GraphBuilder& b, Value* x, std::vector<Argument> window) {
  window.insert(window.begin(), Argument(x));
  Node& node = b.node("aten.max_pool2d_with_indices.default", std::move(window));
  return {node.output(0), node.output(1)};
}
Values max_pool2d(GraphBuilder& b, const Node& n) { return {maximum_pool(b, self(n), window_2d(n, true)).values}; }
bool wants_indices(const Node& n) { return n.outputs().size() > 1 && !n.output(1)->users().empty(); }

// One-dimensional windows run as two-dimensional ones over an image of height 1.
Ints flat_window(const Ints& list, int64_t across) { return {across, list[0]}; }
Values max_pool1d(GraphBuilder& b, const Node& n) {
  const Ints kernel = n.integers("kernel_size"), stride = n.integers("stride");
  const Pooled pooled =
      maximum_pool(b, b.unsqueeze(self(n), -2),
                   {flat_window(kernel, 1), flat_window(stride.empty() ? kernel : stride, 1), flat_window(n.integers("padding"), 0),
                    flat_window(n.integers("dilation"), 1), n.boolean("ceil_mode")});
  Values results = {b.squeeze(pooled.values, -2)};
  if (n.outputs().size() > 1) results.push_back(b.squeeze(pooled.indices, -2));
  return results;
}
Values avg_pool1d(GraphBuilder& b, const Node& n) {
  const Ints kernel = n.integers("kernel_size"), stride = n.integers("stride");
  Value* pooled =
      b("aten.avg_pool2d.default", b.unsqueeze(self(n), -2), flat_window(kernel, 1), flat_window(stride.empty() ? kernel : stride, 1),
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

Value* adaptive_average(GraphBuilder& b, Value* x, const Ints& wanted) {
  if (all_ones(wanted)) return b("aten.mean.dim", x, Ints{-1, -2}, true);
  const Ints kernel = even_window(x, wanted);
  if (kernel.empty()) return b("aten._adaptive_avg_pool2d.default", x, wanted);
  return all_ones(kernel) ? x : b("aten.avg_pool2d.default", x, kernel, kernel);
}
Values adaptive_avg_pool2d(GraphBuilder& b, const Node& n) {
  const Ints wanted = spread(n.integers("output_size"), 2);
  if (n.is("aten._adaptive_avg_pool2d.default") && even_window(self(n), wanted).empty()) return {};
  return {adaptive_average(b, self(n), wanted)};
}
Values adaptive_avg_pool1d(GraphBuilder& b, const Node& n) {
  const Ints wanted = {1, n.integers("output_size")[0]};
  if (wanted[1] == 1) return {b("aten.mean.dim", self(n), Ints{-1}, true)};
  return {b.squeeze(b("aten.adaptive_avg_pool2d.default", b.unsqueeze(self(n), -2), wanted), -2)};
}

// Windows of unequal length along one dimension, each stretched to the longest by repeating its last entry, which no
// maximum sees.
struct EvenWindows {
  int64_t length;
  Ints places;  // of the stretched dimension's entries in the original
};
EvenWindows even_out_windows(GraphBuilder& b, const Node& n, Value*& x, int64_t dim, int64_t wanted) {
  const int64_t size = x->sizes()[x->sizes().size() + dim].value();
  const auto begin = [&](int64_t i) { return i * size / wanted; };
  const auto end = [&](int64_t i) { return ((i + 1) * size + wanted - 1) / wanted; };
  EvenWindows even{0, {}};
  written_out(n, DType::int64, {wanted});
  for (int64_t i = 0; i < wanted; ++i) even.length = std::max(even.length, end(i) - begin(i));
  written_out(n, DType::int64, {wanted, even.length});
  for (int64_t i = 0; i < wanted; ++i)
    for (int64_t k = 0; k < even.length; ++k) even.places.push_back(std::min(begin(i) + k, end(i) - 1));
  if (size % wanted != 0)
    x = b("aten.index_select.default", x, dim, b.constant(Tensor::of<int64_t>(even.places, {std::ssize(even.places)})));
  return even;
}
// Flat places in a stretched image, as flat places in the original of `width` columns.
Value* original_places(GraphBuilder& b, const Node& n, Value* indices, const EvenWindows& rows, const EvenWindows& columns, int64_t width) {
  written_out(n, DType::int64, {std::ssize(rows.places), std::ssize(columns.places)});
  std::vector<int64_t> table;
  for (int64_t row : rows.places)
    for (int64_t column : columns.places) table.push_back(row * width + column);
  Value* flat = b("aten.view.default", indices, Ints{-1});
  Value* found = b("aten.index_select.default", b.constant(Tensor::of<int64_t>(table, {std::ssize(table)})), 0, flat);
  return b.view(found, indices->sizes());
}
Pooled adaptive_maximum(GraphBuilder& b, const Node& n, Value* x, const Ints& wanted) {
  if (all_ones(wanted) && !wants_indices(n)) return {b("aten.amax.default", x, Ints{-1, -2}, true)};
  for (size_t i = 0; i < 2; ++i)
    if (!x->sizes()[x->sizes().size() - 2 + i].is_static() || wanted[i] <= 0)
      refuse(n, "adaptive max pooling needs the sizes it pools over to be known, and a positive output size");
  Value* stretched = x;
  const EvenWindows rows = even_out_windows(b, n, stretched, -2, wanted[0]), columns = even_out_windows(b, n, stretched, -1, wanted[1]);
  const Ints kernel = {rows.length, columns.length};
  if (all_ones(kernel) && !wants_indices(n)) return {x};
  Pooled pooled = maximum_pool(b, stretched, {kernel, kernel});
  if (stretched != x && wants_indices(n)) pooled.indices = original_places(b, n, pooled.indices, rows, columns, x->sizes().back().value());
  return pooled;
}
Values adaptive_max_pool2d(GraphBuilder& b, const Node& n) {
  const Pooled pooled = adaptive_maximum(b, n, self(n), spread(n.integers("output_size"), 2));
  return {pooled.values, pooled.indices};
}
Values adaptive_max_pool1d(GraphBuilder& b, const Node& n) {
  const Pooled pooled = adaptive_maximum(b, n, b.unsqueeze(self(n), -2), {1, n.integers("output_size")[0]});
  return {b.squeeze(pooled.values, -2), wants_indices(n) ? b.squeeze(pooled.indices, -2) : nullptr};
}

// Pooling a volume is pooling each of its planes, then the planes: maxima of maxima are maxima, and the means' windows
// are boxes. `pool(x, first)` pools the last two dimensions: rows and columns at first, then depth and pixels, where
// pixels stay as they are.
template <typename Pool>
Values pool_volume(GraphBuilder& b, const Node& n, const Pool& pool) {
  Value* x = self(n);
  const SymSizes sizes = x->sizes();
  const size_t rank = sizes.size();
  if (rank != 4 && rank != 5) refuse(n, "three-dimensional pooling takes four or five dimensions");
  const SymInt &channels = sizes[rank - 4], &depth = sizes[rank - 3], &height = sizes[rank - 2], &width = sizes[rank - 1];
  const SymInt batch = rank == 5 ? sizes[0] : SymInt(1);
  const Pooled planes = pool(b.view(x, {batch, channels * depth, height, width}), true);
  const SymInt rows = planes.values->sizes()[2], columns = planes.values->sizes()[3], pixels = rows * columns;
  const Pooled pooled = pool(b.view(planes.values, {batch, channels, depth, pixels}), false);
  SymSizes result = {channels, pooled.values->sizes()[2], rows, columns};
  if (rank == 5) result.insert(result.begin(), batch);
  Values results = {b.view(pooled.values, result)};
  results.resize(n.outputs().size());
  if (!wants_indices(n)) return results;
  // The plane that won, and where in it.
  if (!height.is_static() || !width.is_static() || !pixels.is_static()) refuse(n, "places of maxima need known sizes");
  Value* winners = b.view(pooled.indices, {batch, channels, pooled.values->sizes()[2] * pixels});
  Value* places = b("aten.gather.default", b.view(planes.indices, {batch, channels, depth * pixels}), 2, winners);
  Value* plane = b.call("aten.div.Tensor_mode", {winners, b.number(pixels.value(), DType::int64)}, {{"rounding_mode", "floor"}});
  Value* before = b("aten.mul.Tensor", plane, b.number(height.value() * width.value(), DType::int64));
  results[1] = b.view(b("aten.add.Tensor", places, before), result);
  return results;
}
// The part of a three-entry list for planes, or for depth with `across` for pixels.
Ints volume_part(const Ints& list, bool first, int64_t across) { return first ? Ints{list[1], list[2]} : Ints{list[0], across}; }
struct VolumeWindow {
  Ints kernel, stride, padding;
  explicit VolumeWindow(const Node& n)
      : kernel(spread(n.integers("kernel_size"), 3)), stride(spread(n.integers("stride"), 3)), padding(spread(n.integers("padding"), 3)) {
    if (stride.empty()) stride = kernel;
  }
};

Values max_pool3d(GraphBuilder& b, const Node& n) {
  const VolumeWindow window(n);
  const Ints dilation = spread(n.integers("dilation"), 3);
  const auto pool = [&](Value* x, bool first) {
    return maximum_pool(b, x,
                        {volume_part(window.kernel, first, 1), volume_part(window.stride, first, 1), volume_part(window.padding, first, 0),
                         volume_part(dilation, first, 1), n.boolean("ceil_mode")});
  };
  return pool_volume(b, n, pool);
}
Values avg_pool3d(GraphBuilder& b, const Node& n) {
  const VolumeWindow window(n);
  const Argument& divisor = n.argument("divisor_override");
  const auto pool = [&](Value* x, bool first) {
    // A divisor of one's own divides once; the other pass adds up.
    const Argument divide = divisor.is_none() ? Argument() : first ? Argument(int64_t{1}) : divisor;
    return Pooled{b("aten.avg_pool2d.default", x, volume_part(window.kernel, first, 1), volume_part(window.stride, first, 1),
                    volume_part(window.padding, first, 0), n.boolean("ceil_mode"), n.boolean("count_include_pad"), divide)};
  };
  return pool_volume(b, n, pool);
}
Values adaptive_avg_pool3d(GraphBuilder& b, const Node& n) {
  const Ints wanted = spread(n.integers("output_size"), 3);
  if (all_ones(wanted)) return {b("aten.mean.dim", self(n), Ints{-1, -2, -3}, true)};
  return pool_volume(b, n, [&](Value* x, bool first) {
    return Pooled{adaptive_average(b, x, first ? Ints{wanted[1], wanted[2]} : Ints{wanted[0], x->sizes().back().value()})};
  });
}
Values adaptive_max_pool3d(GraphBuilder& b, const Node& n) {
  const Ints wanted = spread(n.integers("output_size"), 3);
  return pool_volume(b, n, [&](Value* x, bool first) {
    return adaptive_maximum(b, n, x, first ? Ints{wanted[1], wanted[2]} : Ints{wanted[0], x->sizes().back().value()});
  });
}

const DecompositionRow pooling_rows[] = {
    {max_pool2d, {"aten.max_pool2d.default"}},
    {max_pool1d, {"aten.max_pool1d.default", "aten.max_pool1d_with_indices.default"}},
    {max_pool3d, {"aten.max_pool3d.default", "aten.max_pool3d_with_indices.default"}},
    {avg_pool1d, {"aten.avg_pool1d.default"}},
    {avg_pool3d, {"aten.avg_pool3d.default"}},
    {adaptive_avg_pool1d, {"aten.adaptive_avg_pool1d.default"}},
    {adaptive_avg_pool2d, {"aten.adaptive_avg_pool2d.default", "aten._adaptive_avg_pool2d.default"}},
    {adaptive_avg_pool3d, {"aten.adaptive_avg_pool3d.default", "aten._adaptive_avg_pool3d.default"}},
    {adaptive_max_pool1d, {"aten.adaptive_max_pool1d.default"}},
    {adaptive_max_pool2d, {"aten.adaptive_max_pool2d.default"}},
    {adaptive_max_pool3d, {"aten.adaptive_max_pool3d.default"}},
};

}  // namespace

std::span<const DecompositionRow> pooling_decompositions() { return pooling_rows; }

}  // namespace intaglio::decompose
