#include <algorithm>

#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

// Operations that look up do not check places from iOS 17 on unless asked.
void add_unchecked(Lowering& l, Lowering::Parameters& parameters) {
  if (l.version() >= Version::ios17) parameters.emplace_back("validate_indices", scalar_literal(false));
}

Literal axis_literal(int64_t axis) { return scalar_literal(static_cast<int32_t>(axis)); }

void gather(Lowering& l, const Node& node, std::string_view mil, const NamedType& x, const NamedType& places, int64_t axis) {
  Lowering::Parameters parameters = {{"x", x}, {"indices", places}, {"axis", axis_literal(axis)}};
  if (l.version() >= Version::ios16) parameters.emplace_back("batch_dims", axis_literal(0));
  add_unchecked(l, parameters);
  l.finish(node, mil, std::move(parameters));
}

// The one tensor of places, and the dimension that it is for.
std::pair<const Value*, int64_t> one_index(const Node& node) {
  const std::vector<Value*> indices = node.tensors("indices");
  const auto found = std::ranges::find_if(indices, [](const Value* value) { return value != nullptr; });
  return {*found, found - indices.begin()};
}

// Places counted from the end are those from the front; known ones are looked at now.
NamedType from_the_front(Lowering& l, const Value* index, int64_t size) {
  const NamedType places = l.operand(index);
  if (const Tensor* known = l.facts().program().constant(index)) {
    const Tensor wide = converted(*known, DType::int64).contiguous();
    if (std::ranges::all_of(wide.span<int64_t>(), [](int64_t place) { return place >= 0; })) return places;
  }
  const Literal zero = l.number(0, DataType::int32), all = l.number(static_cast<double>(size), DataType::int32);
  const NamedType is_front = l.op("greater_equal", {{"x", places}, {"y", zero}}, {DataType::boolean, places.type.dims});
  const NamedType moved = l.op("add", {{"x", places}, {"y", all}}, places.type);
  return l.op("select", {{"cond", is_front}, {"a", places}, {"b", moved}}, places.type);
}

}  // namespace

void take_rows(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.operand(node, "self");
  gather(l, node, mil, x, l.operand(node, "index"), dim_of(node, "dim", std::ssize(x.type.dims)));
}

void embedding(Lowering& l, const Node& node, std::string_view mil) {
  gather(l, node, mil, l.operand(node, "weight"), l.operand(node, "indices"), 0);
}

void take_along(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.operand(node, "self");
  Lowering::Parameters parameters = {
      {"x", x}, {"indices", l.operand(node, "index")}, {"axis", axis_literal(dim_of(node, "dim", std::ssize(x.type.dims)))}};
  add_unchecked(l, parameters);
  l.finish(node, mil, std::move(parameters));
}

void index(Lowering& l, const Node& node, std::string_view mil) {
  const auto [places, axis] = one_index(node);
  const NamedType x = l.operand(node, "self");
  gather(l, node, mil, x, from_the_front(l, places, x.type.dims[static_cast<size_t>(axis)]), axis);
}

void put(Lowering& l, const Node& node, std::string_view mil) {
  const auto [places, axis] = one_index(node);
  const NamedType x = l.operand(node, "self");
  Lowering::Parameters parameters = {{"data", x},
                                     {"indices", from_the_front(l, places, x.type.dims[static_cast<size_t>(axis)])},
                                     {"updates", l.operand(node, "values")},
                                     {"axis", axis_literal(axis)},
                                     {"mode", text_literal(node.boolean("accumulate") ? "add" : "update")}};
  add_unchecked(l, parameters);
  l.finish(node, mil, std::move(parameters));
}

void write_slice(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.operand(node, "self");
  const size_t rank = x.type.dims.size(), dim = static_cast<size_t>(dim_of(node, "dim", static_cast<int64_t>(rank)));
  const int64_t size = x.type.dims[dim];
  const auto counted = [&](std::optional<int64_t> place, int64_t otherwise) {
    if (!place) return otherwise;
    return std::clamp<int64_t>(*place < 0 ? *place + size : *place, 0, size);
  };
  std::vector<int64_t> begin(rank, 0), end = x.type.dims, stride(rank, 1);
  begin[dim] = counted(node.optional_integer("start"), 0);
  end[dim] = counted(node.optional_integer("end"), size);
  stride[dim] = node.integer("step");
  l.finish(node, mil,
           {{"x", x},
            {"update", l.operand(node, "src")},
            {"begin", int32_literal(begin)},
            {"end", int32_literal(end)},
            {"stride", int32_literal(stride)}});
}

}  // namespace intaglio::coreml::rows
