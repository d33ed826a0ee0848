// Parts of tensors become slices, which kernels and delegates share.
#include <algorithm>
#include <limits>

#include <intaglio/error.h>

#include "edge/decompose/tables.h"
#include "edge/rewrite.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

constexpr int64_t to_the_end = std::numeric_limits<int64_t>::max();

Value* self(const Node& n) { return n.tensor("self"); }

// A slice that takes everything is its operand.
Values slice(GraphBuilder& b, const Node& n) {
  if (self(n)->sizes() != n.output()->sizes()) return {};
  const Argument start = n.argument("start");
  const auto* first = start.get_if<int64_t>();
  const bool whole = (start.is_none() || (first && *first == 0) || self(n)->meta().is_static()) && n.integer("step") == 1;
  if (!whole) return {};
  if (!self(n)->producer() && is_program_output(n.output())) return {b("aten.clone.default", self(n))};
  return {self(n)};
}

Values narrow(GraphBuilder& b, const Node& n) {
  const Argument start = n.argument("start"), length = n.argument("length");
  const auto *first = start.get_if<int64_t>(), *count = length.get_if<int64_t>();
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  if (!first || !count) {
    // How many elements are taken is in the exporter's words; the difference of the ends need not show it.
    const TensorMeta meta = n.output()->meta();
    Value* part = b("aten.slice.Tensor", self(n), dim, start, b.sum(start, length));
    part->meta() = meta;
    return {part};
  }
  const int64_t from = *first < 0 ? *first + self(n)->meta().sizes[static_cast<size_t>(dim)].value() : *first;
  return {b.slice(self(n), dim, from, from + *count)};
}

// One index along a dimension; the dimension disappears.
Value* picked(GraphBuilder& b, Value* x, int64_t dim, int64_t index) {
  const int64_t end = index == -1 ? to_the_end : index + 1;
  std::vector<SymInt> sizes = x->sizes();
  sizes.erase(sizes.begin() + dim);
  return b.view(b.slice(x, dim, index, end), sizes);
}
bool fits_one_symbol(const Value* x) {
  return std::count_if(x->sizes().begin(), x->sizes().end(), [](const SymInt& size) { return !size.is_static(); }) <= 1;
}
Values select(GraphBuilder& b, const Node& n) {
  const Argument index = n.argument("index");
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  const auto* number = index.get_if<int64_t>();
  if (!number || !fits_one_symbol(n.output())) return {};
  const SymInt& size = self(n)->sizes()[static_cast<size_t>(dim)];
  const int64_t from = *number < 0 && size.is_static() ? *number + size.value() : *number;
  return {picked(b, self(n), dim, from)};
}
Values unbind(GraphBuilder& b, const Node& n) {
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  Values parts;
  for (size_t i = 0; i < n.outputs().size(); ++i)
    parts.push_back(n.output(i)->users().empty() ? nullptr : picked(b, self(n), dim, static_cast<int64_t>(i)));
  return parts;
}

// split, chunk, split_with_sizes: the parts lie one after the other.
Values split(GraphBuilder& b, const Node& n) {
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  if (n.outputs().size() == 1) return {self(n)};
  Values parts;
  int64_t start = 0;
  for (Value* output : n.outputs()) {
    const SymInt& length = output->sizes()[static_cast<size_t>(dim)];
    if (!length.is_static()) refuse(n, "the parts must have fixed lengths");
    parts.push_back(output->users().empty() ? nullptr : b.slice(self(n), dim, start, start + length.value()));
    start += length.value();
  }
  return parts;
}

// Elements that leave at one end come back at the other.
Values roll(GraphBuilder& b, const Node& n) {
  const Ints shifts = n.integers("shifts"), dims = n.integers("dims");
  Value* x = self(n);
  const std::vector<SymInt> sizes = x->sizes();
  if (dims.empty()) x = b.view(x, {size_quotient(sizes, {})});
  for (size_t i = 0; i < shifts.size(); ++i) {
    const int64_t rank = x->meta().rank();
    const int64_t dim = dims.empty() ? 0 : (dims[i] < 0 ? dims[i] + rank : dims[i]);
    const SymInt& size = x->sizes()[static_cast<size_t>(dim)];
    if (!size.is_static()) refuse(n, "the rolled dimension must have a fixed size");
    if (size.value() == 0) continue;
    const int64_t shift = ((shifts[i] % size.value()) + size.value()) % size.value();
    if (shift == 0) continue;
    const int64_t cut = size.value() - shift;
    x = b("aten.cat.default", Values{b.slice(x, dim, cut, size.value()), b.slice(x, dim, 0, cut)}, dim);
  }
  return {b.view(x, sizes)};
}

// Writes along one dimension are writes at an index of all the others.
Value* put_along(GraphBuilder& b, const Node& n, Value* values, bool accumulate) {
  Values indices(static_cast<size_t>(dim_of(n, "dim", self(n)->meta().rank())), nullptr);
  Value* index = n.tensor("index");
  indices.push_back(index->meta().rank() == 0 ? b.unsqueeze(index, 0) : index);
  return b("aten.index_put.default", self(n), indices, values, accumulate);
}
Values index_copy(GraphBuilder& b, const Node& n) { return {put_along(b, n, n.tensor("source"), false)}; }
Values index_add(GraphBuilder& b, const Node& n) {
  Value* source = n.tensor("source");
  return {put_along(b, n, n.number("alpha") == 1 ? source : b("aten.mul.Tensor", source, n.argument("alpha")), true)};
}
Values index_fill(GraphBuilder& b, const Node& n) {
  const Argument value = n.argument("value");
  Value* const* tensor = value.get_if<Value*>();
  return {put_along(b, n, tensor ? *tensor : b.number(value, self(n)->dtype()), false)};
}

Values unsafe_index(GraphBuilder& b, const Node& n) { return {b("aten.index.Tensor", self(n), n.argument("indices"))}; }

// There is no sort kernel; topk of everything sorts.
Values sort(GraphBuilder& b, const Node& n) {
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  if (self(n)->sizes().empty() || (n.op().schema()->find("stable") && !n.argument("stable").is_none() && n.boolean("stable")))
    refuse(n, "there is no kernel for a stable sort");
  const SymInt& size = self(n)->sizes()[static_cast<size_t>(dim)];
  if (!size.is_static()) refuse(n, "the sorted dimension must have a fixed size");
  Node& sorted = b.node("aten.topk.default", {self(n), size.value(), dim, n.boolean("descending"), true});
  return sorted.outputs();
}
Values argsort(GraphBuilder& b, const Node& n) {
  Node& sorted = b.node("aten.sort.default", {self(n), n.integer("dim"), n.boolean("descending")});
  return {sorted.output(1)};
}

constexpr DecompositionRow rows[] = {
    {"aten.slice.Tensor", slice},
    {"aten.narrow.default", narrow},
    {"aten.select.int", select},
    {"aten.unbind.int", unbind},
    {"aten.split.Tensor", split},
    {"aten.split.sizes", split},
    {"aten.split_with_sizes.default", split},
    {"aten.chunk.default", split},
    {"aten.tensor_split.sections", split},
    {"aten.roll.default", roll},
    {"aten.index_copy.default", index_copy},
    {"aten.index_add.default", index_add},
    {"aten.index_fill.int_Scalar", index_fill},
    {"aten.index_fill.int_Tensor", index_fill},
    {"aten._unsafe_index.Tensor", unsafe_index},
    {"aten.sort.default", sort},
    {"aten.sort.stable", sort},
    {"aten.argsort.default", argsort},
};

}  // namespace

std::span<const DecompositionRow> indexing_decompositions() { return rows; }

}  // namespace intaglio
