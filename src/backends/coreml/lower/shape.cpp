#include <algorithm>
#include <cmath>
#include <numeric>

#include <intaglio/error.h>

#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

using Ints = std::vector<int64_t>;

Literal bools(const std::vector<bool>& values) {
  Tensor tensor = Tensor::empty(DType::boolean, {std::ssize(values)});
  std::ranges::copy(values, tensor.mutable_data<bool>());
  return literal(std::move(tensor));
}

// Another shape of the same elements; at most one size is found at run time.
NamedType shaped(Lowering& l, const NamedType& x, const Sizes& dims) {
  if (x.type.dims == dims) return x;
  const ValueType type = {x.type.type, dims};
  if (dims.empty()) {
    Ints axes(x.type.dims.size());
    std::iota(axes.begin(), axes.end(), int64_t{0});
    return l.op("squeeze", {{"x", x}, {"axes", int32_literal(axes)}}, type);
  }
  return l.op("reshape", {{"x", x}, {"shape", int32_literal(dims)}}, type);
}

// `x` repeated along each dimension.
void tile(Lowering& l, const Node& node, const NamedType& x, const Ints& reps) {
  if (std::ranges::all_of(reps, [](int64_t n) { return n == 1; })) return l.set(node.output(), x);
  l.finish(node, "tile", {{"x", x}, {"reps", int32_literal(reps)}});
}

struct Slice {
  int64_t dim = 0, begin = 0, end = 0, step = 1;
  bool is_to_the_end = false, is_one = false;
};

void slice_by_index(Lowering& l, const Node& node, std::string_view mil, const Slice& slice) {
  const NamedType x = l.first_operand(node);
  const size_t rank = x.type.dims.size(), dim = static_cast<size_t>(slice.dim);
  Ints begin(rank, 0), end = x.type.dims, stride(rank, 1);
  for (int64_t& size : end)
    if (size == unknown_size) size = 0;  // masked
  std::vector<bool> end_mask(rank, true), squeeze_mask(rank, false);
  begin[dim] = slice.begin;
  end[dim] = slice.end;
  stride[dim] = slice.step;
  end_mask[dim] = slice.is_to_the_end;
  squeeze_mask[dim] = slice.is_one;
  Lowering::Parameters parameters = {{"x", x}, {"begin", int32_literal(begin)}, {"end", int32_literal(end)}, {"end_mask", bools(end_mask)}};
  if (slice.step != 1) parameters.emplace_back("stride", int32_literal(stride));
  if (slice.is_one) parameters.emplace_back("squeeze_mask", bools(squeeze_mask));
  l.finish(node, mil, std::move(parameters));
}

int64_t rank_of(const Node& node) { return node.inputs().front()->meta().rank(); }

}  // namespace

void same(Lowering& l, const Node& node, std::string_view) { l.set(node.output(), l.first_operand(node)); }

void reshape(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  const Sizes dims = dims_of(node.output());
  if (dims.empty()) return l.set(node.output(), shaped(l, x, dims));
  l.finish(node, mil, {{"x", x}, {"shape", int32_literal(dims)}});
}

void permute(Lowering& l, const Node& node, std::string_view mil) {
  Ints perm = node.is("aten.t_copy.default") ? Ints{1, 0} : node.integers("dims");
  for (int64_t& dim : perm)
    if (dim < 0) dim += std::ssize(perm);
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"perm", int32_literal(perm)}});
}

void swap(Lowering& l, const Node& node, std::string_view mil) {
  Ints perm(static_cast<size_t>(rank_of(node)));
  std::iota(perm.begin(), perm.end(), int64_t{0});
  std::swap(perm[static_cast<size_t>(dim_of(node, "dim0", rank_of(node)))], perm[static_cast<size_t>(dim_of(node, "dim1", rank_of(node)))]);
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"perm", int32_literal(perm)}});
}

void expand_dims(Lowering& l, const Node& node, std::string_view mil) {
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"axes", int32_literal({dim_of(node, "dim", rank_of(node) + 1)})}});
}

// Dimensions of another size than 1 stay.
void squeeze(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  Ints axes;
  for (int64_t dim : node.integers("dim")) {
    if (dim < 0) dim += rank_of(node);
    if (x.type.dims[static_cast<size_t>(dim)] == 1) axes.push_back(dim);
  }
  if (axes.empty()) return l.set(node.output(), x);
  l.finish(node, mil, {{"x", x}, {"axes", int32_literal(axes)}});
}

void expand(Lowering& l, const Node& node, std::string_view) {
  const Sizes dims = dims_of(node.output());
  const NamedType x = l.of_rank(l.first_operand(node), dims.size());
  Ints reps(dims.size(), 1);
  for (size_t i = 0; i < dims.size(); ++i)
    if (x.type.dims[i] == 1) reps[i] = dims[i];
  tile(l, node, x, reps);
}

void repeat(Lowering& l, const Node& node, std::string_view) {
  const Ints reps = node.integers("repeats");
  tile(l, node, l.of_rank(l.first_operand(node), reps.size()), reps);
}

void slice(Lowering& l, const Node& node, std::string_view mil) {
  Slice slice{.dim = dim_of(node, "dim", rank_of(node)), .step = node.integer("step")};
  const int64_t size = dims_of(node.inputs().front())[static_cast<size_t>(slice.dim)];
  const auto counted = [&](int64_t place) {
    return size == unknown_size ? place : std::clamp<int64_t>(place < 0 ? place + size : place, 0, size);
  };
  slice.begin = counted(node.optional_integer("start").value_or(0));
  const int64_t end = node.optional_integer("end").value_or(INT64_MAX);
  slice.is_to_the_end = size == unknown_size ? end == INT64_MAX : end >= size;
  slice.end = slice.is_to_the_end ? std::max<int64_t>(size, 0) : counted(end);
  slice_by_index(l, node, mil, slice);
}

void select(Lowering& l, const Node& node, std::string_view mil) {
  const int64_t place = node.integer("index");
  slice_by_index(
      l, node, mil,
      {.dim = dim_of(node, "dim", rank_of(node)), .begin = place, .end = place + 1, .is_to_the_end = place == -1, .is_one = true});
}

void concat(Lowering& l, const Node& node, std::string_view mil) {
  const DataType type = l.type_of(node.output()).type;
  std::vector<NamedType> values;
  for (const Value* value : node.tensors("tensors")) values.push_back(l.cast(l.operand(value), type));
  if (values.size() == 1 && mil == "concat") return l.set(node.output(), values[0]);
  const int64_t axis = dim_of(node, "dim", node.output()->meta().rank());
  Lowering::Parameters parameters = {{"values", std::move(values)}, {"axis", scalar_literal(static_cast<int32_t>(axis))}};
  if (mil == "concat") parameters.emplace_back("interleave", scalar_literal(false));
  l.finish(node, mil, std::move(parameters));
}

void split(Lowering& l, const Node& node, std::string_view mil) {
  const int64_t axis = dim_of(node, "dim", rank_of(node));
  Ints sizes;
  std::vector<ValueType> types;
  for (const Value* output : node.outputs()) {
    types.push_back(l.type_of(output));
    sizes.push_back(types.back().dims[static_cast<size_t>(axis)]);
  }
  if (sizes.size() == 1) return l.set(node.output(), l.first_operand(node));
  const std::vector<NamedType> parts = l.builder().op(
      mil, node.name(),
      {{"x", l.first_operand(node)}, {"split_sizes", int32_literal(sizes)}, {"axis", scalar_literal(static_cast<int32_t>(axis))}},
      std::move(types));
  for (size_t i = 0; i < parts.size(); ++i) l.set(node.output(i), parts[i]);
}

// Parts of one, whose dimension goes.
void unbind(Lowering& l, const Node& node, std::string_view mil) {
  const int64_t axis = dim_of(node, "dim", rank_of(node));
  const NamedType x = l.first_operand(node);
  ValueType part = x.type;
  part.dims[static_cast<size_t>(axis)] = 1;
  std::vector<NamedType> parts = {x};
  if (node.outputs().size() > 1)
    parts = l.builder().op(
        mil, node.name() + "_parts",
        {{"x", x}, {"split_sizes", int32_literal(Ints(node.outputs().size(), 1))}, {"axis", scalar_literal(static_cast<int32_t>(axis))}},
        std::vector(node.outputs().size(), part));
  for (size_t i = 0; i < parts.size(); ++i) {
    const Value* output = node.output(i);
    l.set(output, l.builder().op("squeeze", output->name(), {{"x", parts[i]}, {"axes", int32_literal({axis})}}, l.type_of(output)));
  }
}

// The program counts pads from the last dimension on.
void pad(Lowering& l, const Node& node, std::string_view mode) {
  const Ints from_behind = node.integers(mode == "constant" ? "pad" : "padding");
  const NamedType x = l.first_operand(node);
  Ints pads(2 * x.type.dims.size(), 0);
  for (size_t i = 0; i < from_behind.size() / 2; ++i) {
    const size_t dim = x.type.dims.size() - 1 - i;
    pads[2 * dim] = from_behind[2 * i];
    pads[2 * dim + 1] = from_behind[2 * i + 1];
  }
  const double value = mode == "constant" ? node.number("value") : 0;
  l.finish(
      node, "pad",
      {{"x", x}, {"pad", int32_literal(pads)}, {"mode", text_literal(std::string(mode))}, {"constant_val", l.number(value, x.type.type)}});
}

void reverse(Lowering& l, const Node& node, std::string_view mil) {
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"axes", int32_literal(node.integers("dims"))}});
}

void shuffle(Lowering& l, const Node& node, std::string_view mil) {
  const bool is_up = mil == "pixel_shuffle";
  const int64_t factor = node.integer(is_up ? "upscale_factor" : "downscale_factor");
  l.finish(
      node, mil,
      {{"x", l.first_operand(node)},
       {is_up ? "upscale_factor" : "downscale_factor", l.number(static_cast<double>(factor), is_up ? DataType::int32 : DataType::uint32)}});
}

void resize(Lowering& l, const Node& node, std::string_view mil) {
  const Sizes from = dims_of(node.inputs().front()), to = dims_of(node.output());
  const auto factor = [&](size_t dim) { return scalar_literal(static_cast<float>(to[dim]) / static_cast<float>(from[dim])); };
  Lowering::Parameters parameters = {{"x", l.first_operand(node)}, {"scale_factor_height", factor(2)}, {"scale_factor_width", factor(3)}};
  if (mil == "upsample_bilinear") parameters.emplace_back("align_corners", scalar_literal(node.boolean("align_corners")));
  l.finish(node, mil, std::move(parameters));
}

}  // namespace intaglio::coreml::rows
