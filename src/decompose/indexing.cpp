// Parts of tensors become slices, which kernels and delegates share.
#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/limits.h"
#include "decompose/rewrite.h"
#include "decompose/split.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

constexpr int64_t to_the_end = std::numeric_limits<int64_t>::max();

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
  SymSizes sizes = x->sizes();
  sizes.erase_at(static_cast<size_t>(dim));
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

// The parts lie one after the other.
Values split(GraphBuilder& b, const Node& n) {
  const int64_t dim = split_dim(n, self(n)->meta().rank());
  if (n.outputs().size() == 1) return {self(n)};
  Values parts;
  int64_t start = 0;
  for (Value* output : n.outputs()) {
    const SymInt& length = output->sizes()[static_cast<size_t>(dim)];
    if (!length.is_static()) refuse(n, "the parts must have fixed lengths");
    parts.push_back(output->users().empty() ? nullptr : b.slice(self(n), dim, start, start + length.value()));
    start += length.value();
  }
  const SymInt& extent = self(n)->sizes()[static_cast<size_t>(dim)];
  if (extent.is_static() && start != extent.value()) refuse(n, "the parts must lie one after the other");
  return parts;
}

// Elements that leave at one end come back at the other.
Values roll(GraphBuilder& b, const Node& n) {
  const Ints shifts = n.integers("shifts"), dims = n.integers("dims");
  if (shifts.size() != (dims.empty() ? 1 : dims.size()))
    throw_bad_input(fmt::format("{}: {} shifts of {} dimensions", describe(n), shifts.size(), dims.size()));
  Value* x = self(n);
  const SymSizes sizes = x->sizes();
  if (dims.empty()) x = b.view(x, {size_quotient(sizes, {})});
  for (size_t i = 0; i < shifts.size(); ++i) {
    const int64_t rank = x->meta().rank();
    const int64_t dim = dims.empty() ? 0 : (dims[i] < 0 ? dims[i] + rank : dims[i]);
    const SymInt& size = x->sizes()[static_cast<size_t>(dim)];
    int64_t shift = shifts[i];
    if (size.is_static()) shift = size.value() == 0 ? 0 : shift % size.value();
    else if (const int64_t least = bounds(*size.expression(), b.program().range_constraints).min.value_or(0); std::abs(shift) > least)
      refuse(n, fmt::format("a shift of {} along a dimension that may have {}; give it a `min` of the shift", shift, least));
    if (shift == 0) continue;
    const int64_t end = size.is_static() ? size.value() : INT64_MAX;
    const int64_t cut = size.is_static() && shift > 0 ? end - shift : -shift;
    x = b("aten.cat.default", Values{b.slice(x, dim, cut, end), b.slice(x, dim, 0, cut)}, dim);
  }
  return {b.view(x, sizes)};
}

// A spectrum in the order of rising frequency, and back.
Values shifted(GraphBuilder& b, const Node& n) {
  const int64_t rank = self(n)->meta().rank();
  Ints dims, shifts;
  if (n.argument("dim").is_none())
    for (int64_t dim = 0; dim < rank; ++dim) dims.push_back(dim);
  else dims = n.integers("dim");
  for (const int64_t dim : dims) {
    const SymInt& size = self(n)->sizes().at(static_cast<size_t>(dim < 0 ? dim + rank : dim));
    if (!size.is_static()) refuse(n, "the shifted dimension must have a fixed size");
    shifts.push_back((size.value() + (n.op().base() == "fft_ifftshift" ? 1 : 0)) / 2);
  }
  return {b("aten.roll.default", self(n), shifts, dims)};
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
// By places in the order of memory.
Values put(GraphBuilder& b, const Node& n) {
  const auto flat = [&](Value* x) {
    if (!x->meta().is_static()) refuse(n, "the tensors must have fixed sizes");
    return b.view(x, {element_count(x->meta().static_sizes())});
  };
  const Values places = {flat(n.tensor("index"))};
  Value* source = flat(n.tensor("source"));
  Value* written = b("aten.index_put.default", flat(self(n)), places, source, n.boolean("accumulate"));
  return {b.view(written, self(n)->sizes())};
}

Values index_fill(GraphBuilder& b, const Node& n) {
  const Argument value = n.argument("value");
  Value* const* tensor = value.get_if<Value*>();
  return {put_along(b, n, tensor ? *tensor : b.number(value, self(n)->dtype()), false)};
}

// Each element's place is the number of those before it: smaller ones, and equal ones that stood in front.
Values stable_sort(GraphBuilder& b, const Node& n, int64_t dim, int64_t size) {
  constexpr int64_t most_elements = 1024;  // the comparisons are as many as its square
  if (size > most_elements) refuse(n, "there is no kernel for a stable sort of more than 1024 elements");
  const int64_t rank = self(n)->meta().rank();
  Ints order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(dim)], order.back());
  Value* x = b.permute(self(n), order);
  Value *own = b.unsqueeze(x, rank), *other = b.unsqueeze(x, rank - 1);
  Tensor in_front = Tensor::zeros(DType::boolean, {size, size});
  for (int64_t i = 0; i < size; ++i)
    for (int64_t j = 0; j < i; ++j) in_front.mutable_data<bool>()[i * size + j] = true;
  Value* before = b(n.boolean("descending") ? "aten.gt.Tensor" : "aten.lt.Tensor", other, own);
  Value* equal = b("aten.eq.Tensor", other, own);
  Value* tied = b("aten.logical_and.default", equal, b.constant(in_front));
  Value* place = b("aten.sum.dim_IntList", b.cast(b("aten.logical_or.default", before, tied), DType::int64), Ints{-1});
  Value* positions = b.expand(b.constant(Tensor::of<int64_t>(counted_numbers(n, size), {size})), x->sizes());
  Value* indices = b("aten.scatter.src", b.full(x->sizes(), 0, DType::int64, x), rank - 1, place, positions);
  Value* values = b("aten.gather.default", x, rank - 1, indices);
  return {b.permute(values, order), b.permute(indices, order)};
}

// There is no sort kernel; topk of everything sorts.
Values sort(GraphBuilder& b, const Node& n) {
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  if (self(n)->sizes().empty()) refuse(n, "there is no kernel to sort a single number");
  const OpSchema& schema = *n.op().schema();
  if (schema.find("stable") && !n.argument("stable").is_none() && n.boolean("stable")) {
    const SymInt& size = self(n)->sizes()[static_cast<size_t>(dim)];
    if (!size.is_static()) refuse(n, "the sorted dimension must have a fixed size for a stable order");
    return stable_sort(b, n, dim, size.value());
  }
  Node& sorted = b.node("aten.topk.default", {self(n), b.size(self(n), dim), dim, n.boolean("descending"), true});
  return sorted.outputs();
}
Values argsort(GraphBuilder& b, const Node& n) {
  const bool stable = n.op().schema()->find("stable") && n.boolean("stable");
  Node& sorted =
      stable ? b.node("aten.sort.stable", {self(n)}, {{"stable", true}, {"dim", n.integer("dim")}, {"descending", n.boolean("descending")}})
             : b.node("aten.sort.default", {self(n), n.integer("dim"), n.boolean("descending")});
  return {sorted.output(1)};
}

// The k-th smallest is the last of the k smallest.
Values smallest(GraphBuilder& b, const Node& n, int64_t dim, int64_t k) {
  Node& sorted = b.node("aten.topk.default", {self(n), k, dim, false, true});
  Values results;
  for (Value* output : sorted.outputs()) {
    Value* last = b.slice(output, dim, k - 1, k);
    results.push_back(n.boolean("keepdim") ? last : b.squeeze(last, dim));
  }
  return results;
}
Values median_of_all(GraphBuilder& b, const Node& n) {
  const SymInt count = size_quotient(self(n)->sizes(), {});
  if (!count.is_static() || count.value() == 0) refuse(n, "the tensor must have a fixed size above 0");
  const int64_t k = (count.value() - 1) / 2 + 1;
  Value* sorted = b.node("aten.topk.default", {b.view(self(n), {count}), k, 0, false, true}).output(0);
  return {b.select(sorted, 0, k - 1)};
}
Values kth_value(GraphBuilder& b, const Node& n) { return smallest(b, n, dim_of(n, "dim", self(n)->meta().rank()), n.integer("k")); }
Values median(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  const int64_t dim = dim_of(n, "dim", x->meta().rank());
  if (x->sizes().empty() || !x->sizes()[static_cast<size_t>(dim)].is_static()) refuse(n, "the dimension must have a fixed size");
  Values results = smallest(b, n, dim, (x->sizes()[static_cast<size_t>(dim)].value() - 1) / 2 + 1);
  if (!is_floating(x->dtype())) return results;
  // NaN wins, and the place is the first one's.
  Value* lost = b("aten.ne.Tensor", x, x);
  Value* any = b("aten.any.dim", lost, dim, n.boolean("keepdim"));
  Value* first = b("aten.argmax.default", b.cast(lost, DType::uint8), dim, n.boolean("keepdim"));
  return {b("aten.where.self", any, b.number(std::numeric_limits<double>::quiet_NaN(), x->dtype()), results[0]),
          b("aten.where.self", any, first, results[1])};
}
Values sorted_rows(GraphBuilder& b, const Node& n) { return {b.node("aten.sort.default", {self(n), 0, false}).output(0)}; }

// Elements by their number in the whole tensor.
Values take(GraphBuilder& b, const Node& n) {
  Value* all = b.view(self(n), {size_quotient(self(n)->sizes(), {})});
  return {b("aten.index.Tensor", all, Values{n.tensor("index")})};
}

// ---- writes that add up or choose
Values scatter_reduce(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *index = n.tensor("index"), *source = n.tensor("src");
  const int64_t dim = n.integer("dim");
  const std::string reduce = n.string("reduce");
  if (reduce != "sum" && reduce != "mean") refuse(n, "there is no kernel to scatter other than by sum and mean");
  Value* start = n.boolean("include_self") ? x : b("aten.scatter.value", x, dim, index, 0);
  Value* sum = b("aten.scatter_add.default", start, dim, index, source);
  if (reduce == "sum") return {sum};
  if (!is_floating(x->dtype())) refuse(n, "there is no kernel to scatter the mean of integers");
  Value* ones = b.full(index->sizes(), 1, x->dtype(), index);
  Value* count = b.full(x->sizes(), n.boolean("include_self") ? 1 : 0, x->dtype(), x);
  count = b("aten.clamp.default", b("aten.scatter_add.default", count, dim, index, ones), 1);
  return {b("aten.div.Tensor", sum, count)};
}
// The older form of the same, which names sums and products only.
Values scatter_by(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *index = n.tensor("index");
  if (n.string("reduce") != "add") refuse(n, "there is no kernel to scatter other than by sum");
  Value* source = n.is("aten.scatter.reduce") ? n.tensor("src") : b.full(index->sizes(), n.argument("value"), x->dtype(), index);
  return {b("aten.scatter_add.default", x, n.integer("dim"), index, source)};
}
// The sizes of images as rows of pixels.
SymSizes planes(const SymSizes& sizes) { return {size_quotient(sizes.all_but_last(2), {}), size_quotient(sizes.last(2), {})}; }
Values max_unpool(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *indices = n.tensor("indices");
  Value* image = b.full(planes(n.output()->sizes()), 0, x->dtype(), x);
  Value *flat_indices = b.view(indices, planes(x->sizes())), *flat = b.view(x, planes(x->sizes()));
  return {b.view(b("aten.scatter.src", image, 1, flat_indices, flat), n.output()->sizes())};
}

// The gradient of each window goes to the place that was its largest. (The runtime's own kernel adds it to what its memory held.)
Values max_pool_backward(GraphBuilder& b, const Node& n) {
  Value *gradient = n.tensor("grad_output"), *indices = n.tensor("indices");
  Value* image = b.full(planes(n.output()->sizes()), 0, gradient->dtype(), gradient);
  Value *flat_indices = b.view(indices, planes(indices->sizes())), *flat = b.view(gradient, planes(gradient->sizes()));
  return {b.view(b("aten.scatter_add.default", image, 1, flat_indices, flat), n.output()->sizes())};
}

// One row for each element that is not zero.
Value* found_places(GraphBuilder& b, const Node& n, Value* condition) {
  const TensorMeta meta = TensorMeta::contiguous(DType::int64, {n.output()->sizes().at(0), condition->meta().rank()});
  Node& found =
      b.graph().insert_before(const_cast<Node*>(&n), Op::get("aten.nonzero.default"), {{"self", condition, ArgKind::positional}}, {{meta}});
  found.metadata = inherited_metadata(n);
  return found.output();
}
Values places(GraphBuilder& b, const Node& n) { return {found_places(b, n, self(n))}; }
// where(condition): the columns of nonzero.
Values where_true(GraphBuilder& b, const Node& n) {
  Value* found = found_places(b, n, n.tensor("condition"));
  Values columns;
  for (size_t i = 0; i < n.outputs().size(); ++i)
    columns.push_back(n.output(i)->users().empty() ? nullptr : b.select(found, 1, static_cast<int64_t>(i)));
  return columns;
}

// gather, after the two are expanded to each other in the other dimensions.
Values take_along_dim(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *index = n.tensor("indices");
  if (n.argument("dim").is_none()) {
    Value* flat = b.view(x, {size_quotient(x->sizes(), {})});
    return {b("aten.gather.default", flat, 0, b.view(index, {size_quotient(index->sizes(), {})}))};
  }
  const int64_t dim = dim_of(n, "dim", x->meta().rank());
  const auto place = static_cast<size_t>(dim);
  SymSizes of_x = n.output()->sizes(), of_index = n.output()->sizes();
  of_x[place] = x->sizes()[place];
  Value* expanded = b.expand(x, of_x);
  return {b("aten.gather.default", expanded, dim, b.expand(index, of_index))};
}

// ---- each element as often as a tensor of counts says
// The numbers of the elements: 0 as often as the first count says, then 1. Empty when the counts are not known, or are too large to
// be written out.
std::optional<Tensor> repeated_numbers(const ExportedProgram& program, const Node& n, int64_t size) {
  constexpr size_t most_numbers = 1 << 22;
  const Value* repeats = n.tensor("repeats");
  if (!program.is_constant(repeats) || size > static_cast<int64_t>(most_numbers)) return std::nullopt;
  const Tensor counts = converted(*program.constant(repeats), DType::int64).contiguous();
  if (counts.numel() != 1 && counts.numel() != size) refuse(n, "there must be one count, or one for each element");
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t count = counts.span<int64_t>()[static_cast<size_t>(counts.numel() == 1 ? 0 : i)];
    if (count < 0) throw_bad_input(fmt::format("{}: a count of {}", describe(n), count));
    if (static_cast<size_t>(count) > most_numbers - numbers.size()) return std::nullopt;
    numbers.insert(numbers.end(), static_cast<size_t>(count), i);
  }
  return Tensor::of<int64_t>(numbers, {static_cast<int64_t>(numbers.size())});
}

Values repeat_by_counts(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *repeats = n.tensor("repeats");
  if (n.argument("dim").is_none()) x = b.view(x, {size_quotient(x->sizes(), {})});
  const int64_t dim = n.argument("dim").is_none() ? 0 : dim_of(n, "dim", x->meta().rank());
  const SymInt &size = x->sizes()[static_cast<size_t>(dim)], &length = n.output()->sizes()[static_cast<size_t>(dim)];
  // No rule of inference says what the file may: that the other dimensions stay as they are.
  bool keeps_others = x->meta().rank() == n.output()->meta().rank();
  for (size_t i = 0; keeps_others && i < x->sizes().size(); ++i) {
    const SymInt &before = x->sizes()[i], &after = n.output()->sizes()[i];
    keeps_others = i == static_cast<size_t>(dim) || (before.is_static() == after.is_static() && (!before.is_static() || before == after));
  }
  if (!keeps_others) throw_bad_input(fmt::format("{}: its result differs from its operand in another dimension", describe(n)));
  Value* index = nullptr;
  if (auto known = size.is_static() ? repeated_numbers(b.program(), n, size.value()) : std::nullopt) {
    index = b.constant(*std::move(known));
    // How long the result is does not depend on data after all.
    const SymInt& count = index->sizes()[0];
    if (!length.is_static()) b.program().range_constraints[to_string(length)] = {count.value(), count.value()};
  } else {
    const TensorMeta meta = TensorMeta::contiguous(DType::int64, {length});
    std::vector<NamedArgument> arguments = {{"repeats", b.expand(b.cast(repeats, DType::int64), {size}), ArgKind::positional}};
    Node& numbers =
        b.graph().insert_before(const_cast<Node*>(&n), Op::get("aten.repeat_interleave.Tensor"), std::move(arguments), {{meta}});
    numbers.metadata = inherited_metadata(n);
    index = numbers.output();
  }
  Value* chosen = b("aten.index_select.default", x, dim, index);
  chosen->meta() = TensorMeta::contiguous(x->dtype(), n.output()->sizes());
  return {chosen};
}

// The kernel takes no dimension without elements; nothing can be chosen of one.
Values chosen_of_nothing(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = self(n)->sizes();
  if (sizes.empty() || sizes[static_cast<size_t>(dim_of(n, "dim", self(n)->meta().rank()))] != 0) return {};
  const SymInt count = size_product(n.tensor("index")->sizes());
  if (!count.is_static()) return {};
  if (count.value() != 0) refuse(n, "a dimension without elements has none to choose; take one that has");
  return {b.full(n.output()->sizes(), 0, n.output()->dtype())};
}

const DecompositionRow indexing_rows[] = {
    {slice, {"aten.slice.Tensor"}},
    {narrow, {"aten.narrow.default"}},
    {select, {"aten.select.int"}},
    {unbind, {"aten.unbind.int"}},
    {split,
     {"aten.split.Tensor", "aten.split.sizes", "aten.split_with_sizes.default", "aten.chunk.default", "aten.tensor_split.sections",
      "aten.tensor_split.indices", "aten.hsplit.int", "aten.hsplit.array", "aten.vsplit.int", "aten.vsplit.array", "aten.dsplit.int",
      "aten.dsplit.array"}},
    {roll, {"aten.roll.default"}},
    {shifted, {"aten.fft_fftshift.default", "aten.fft_ifftshift.default"}},
    {sorted_rows, {"aten.msort.default"}},
    {take, {"aten.take.default"}},
    {places, {"aten.argwhere.default"}},
    {scatter_reduce, {"aten.scatter_reduce.two"}},
    {scatter_by, {"aten.scatter.reduce", "aten.scatter.value_reduce"}},
    {max_unpool, {"aten.max_unpool2d.default"}},
    {max_pool_backward, {"aten.max_pool2d_with_indices_backward.default"}},
    {index_copy, {"aten.index_copy.default"}},
    {index_add, {"aten.index_add.default"}},
    {put, {"aten.put.default"}},
    {index_fill, {"aten.index_fill.int_Scalar", "aten.index_fill.int_Tensor"}},
    {sort, {"aten.sort.default", "aten.sort.stable"}},
    {argsort, {"aten.argsort.default", "aten.argsort.stable"}},
    {median, {"aten.median.dim"}},
    {median_of_all, {"aten.median.default"}},
    {kth_value, {"aten.kthvalue.default"}},
    {where_true, {"aten.where.default"}},
    {take_along_dim, {"aten.take_along_dim.default"}},
    {chosen_of_nothing, {"aten.index_select.default"}},
    {repeat_by_counts, {"aten.repeat_interleave.self_Tensor"}},
};

}  // namespace

int64_t split_dim(const Node& node, int64_t rank) {
  const std::string_view base = node.op().base();
  if (base == "hsplit") return rank == 1 ? 0 : 1;
  if (base == "vsplit") return 0;
  return base == "dsplit" ? 2 : dim_of(node, "dim", rank);
}

std::span<const DecompositionRow> indexing_decompositions() { return indexing_rows; }

}  // namespace intaglio::decompose
