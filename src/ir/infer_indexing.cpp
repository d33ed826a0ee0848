// Parts of a tensor: slices, splits, gathers, and writes into parts.
#include <algorithm>
#include <limits>
#include <utility>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

void keep_self(Inference& in) { in.result(in.operand("self").dtype, in.sizes("self")); }

// One end of a slice as an offset from the start of a dimension, clamped into it.
SymInt clamped(const SymInt& position, const SymInt& size) {
  if (position.is_static() && size.is_static()) {
    const int64_t from_start = position.value() < 0 ? position.value() + size.value() : position.value();
    return std::clamp<int64_t>(from_start, 0, size.value());
  }
  if (position.is_static()) {
    if (position.value() < 0) return size + position;  // the exporter has guarded that it lies inside
    const auto hint = size.hint();
    return position.value() == std::numeric_limits<int64_t>::max() || (hint && position.value() >= *hint) ? size : position;
  }
  const auto hint = position.hint();  // -s counts from the end; the exporter has guarded its sign
  return hint && *hint < 0 ? size + position : position;
}

void slice(Inference& in) {
  SymSizes sizes = in.sizes("self");
  in.require(!sizes.empty(), "a 0-d tensor has no parts");
  SymInt& size = sizes[in.dim(in.node.integer("dim"), sizes.size())];
  const auto start = in.has("start") ? in.symbol("start") : SymInt(0);
  const auto end = in.has("end") ? in.symbol("end") : SymInt(std::numeric_limits<int64_t>::max());
  const auto step = in.symbol("step");
  if (!start || !end || !step || !step->is_static()) return in.unknown();
  in.require(step->value() > 0, "the step is not positive");
  const SymInt first = clamped(*start, size), last = clamped(*end, size);
  if (first.is_static() && last.is_static()) {
    const int64_t length = std::max<int64_t>(0, last.value() - first.value());
    size = length / step->value() + (length % step->value() != 0);
  } else {
    SymInt length = first.is_static() && first.value() == 0 ? last : last - first;
    size = step->value() == 1 ? length : floor_div(length + SymInt(step->value() - 1), *step);
  }
  in.result(in.operand("self").dtype, std::move(sizes));
}

void narrow(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const auto length = in.symbol("length");
  if (!length) return in.unknown();
  in.require(!sizes.empty() && (!length->is_static() || length->value() >= 0), "the length is negative");
  sizes[in.dim(in.node.integer("dim"), sizes.size())] = *length;
  in.result(in.operand("self").dtype, std::move(sizes));
}

void select(Inference& in) {
  SymSizes sizes = in.sizes("self");
  in.require(!sizes.empty(), "a 0-d tensor has no parts");
  const size_t at = in.dim(in.node.integer("dim"), sizes.size());
  const auto index = in.symbol("index");
  if (index && index->is_static() && sizes[at].is_static())
    in.require(index->value() >= -sizes[at].value() && index->value() < sizes[at].value(), "the index is out of range");
  sizes.erase_at(at);
  in.result(in.operand("self").dtype, std::move(sizes));
}

void parts(Inference& in, size_t at, const SymSizes& lengths) {
  for (const SymInt& length : lengths) {
    SymSizes sizes = in.sizes("self");
    sizes[at] = length;
    in.result(in.operand("self").dtype, std::move(sizes));
  }
}

constexpr int64_t max_parts = int64_t{1} << 16;

void split_evenly(Inference& in, size_t at, int64_t length) {
  const SymInt& size = in.sizes("self")[at];
  if (!size.is_static()) return in.unknown();
  in.require(length > 0 || (length == 0 && size.value() == 0), "the length of a part is not positive");
  in.require(length == 0 || size.value() / length < max_parts, "too many parts");
  SymSizes lengths;
  int64_t rest = size.value();
  do {
    lengths.push_back(std::min(length, rest));
    rest -= length;
  } while (rest > 0);
  parts(in, at, lengths);
}

void split(Inference& in) {
  in.require(!in.sizes("self").empty(), "a 0-d tensor has no parts");
  const auto length = in.symbol("split_size");
  if (!length || !length->is_static()) return in.unknown();
  split_evenly(in, in.dim(in.node.integer("dim"), in.sizes("self").size()), length->value());
}

void chunk(Inference& in) {
  in.require(!in.sizes("self").empty(), "a 0-d tensor has no parts");
  const size_t at = in.dim(in.node.integer("dim"), in.sizes("self").size());
  const int64_t count = in.node.integer("chunks");
  in.require(count > 0, "the number of chunks is not positive");
  const SymInt& size = in.sizes("self")[at];
  if (!size.is_static()) return in.unknown();
  const int64_t length = size.value() / count + (size.value() % count != 0);
  if (length == 0) return in.unknown();
  split_evenly(in, at, length);
}

void split_with_sizes(Inference& in) {
  in.require(!in.sizes("self").empty(), "a 0-d tensor has no parts");
  const size_t at = in.dim(in.node.integer("dim"), in.sizes("self").size());
  const SymSizes lengths = in.symbols("split_sizes");
  if (!in.known) return;
  SymInt total = 0;
  for (const SymInt& length : lengths) total = total + length;
  in.require(!surely_differ(total, in.sizes("self")[at]), "the parts do not add up to the dimension");
  parts(in, at, lengths);
}

void unbind(Inference& in) {
  SymSizes sizes = in.sizes("self");
  in.require(!sizes.empty(), "a 0-d tensor has no parts");
  const size_t at = in.dim(in.node.integer("dim"), sizes.size());
  if (!sizes[at].is_static()) return in.unknown();
  const int64_t count = sizes[at].value();
  in.require(count < max_parts, "too many parts");
  sizes.erase_at(at);
  for (int64_t i = 0; i < count; ++i) in.result(in.operand("self").dtype, sizes);
}

void index_select(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const SymSizes& index = in.sizes("index");
  in.require(index.size() <= 1, "the index has more than one dimension");
  if (!sizes.empty()) sizes[in.dim(in.node.integer("dim"), sizes.size())] = index.empty() ? SymInt(1) : index[0];
  in.result(in.operand("self").dtype, std::move(sizes));
}

void gather(Inference& in) { in.result(in.operand("self").dtype, in.sizes("index")); }

// Indices broadcast together; they stand where the first one is when they are neighbours, else in front.
void index(Inference& in) {
  const SymSizes& from = in.sizes("self");
  List<Value*> indices = in.node.tensors("indices");
  in.require(indices.size() <= from.size(), "more indices than dimensions");
  SymSizes shape, sizes;
  List<size_t> places;
  for (size_t i = 0; i < indices.size(); ++i) {
    if (!indices[i]) continue;
    if (indices[i]->dtype() == DType::boolean || indices[i]->dtype() == DType::uint8) return in.unknown();  // depends on data
    shape = in.broadcast(shape, indices[i]->sizes());
    places.push_back(i);
  }
  in.require(!places.empty(), "no index");
  const bool neighbours = places.back() - places.front() + 1 == places.size();
  if (!neighbours) sizes = shape;
  for (size_t i = 0; i < from.size(); ++i) {
    const bool indexed = i < indices.size() && indices[i];
    if (!indexed) sizes.push_back(from[i]);
    else if (neighbours && i == places.front()) sizes.insert(sizes.end(), shape.begin(), shape.end());
  }
  in.result(in.operand("self").dtype, std::move(sizes));
}

void embedding(Inference& in) {
  const SymSizes& weight = in.sizes("weight");
  in.require(weight.size() == 2, "the weight is not a matrix");
  SymSizes sizes = in.sizes("indices");
  sizes.push_back(weight[1]);
  in.result(in.operand("weight").dtype, std::move(sizes));
}

void unfold(Inference& in) {
  SymSizes sizes = in.sizes("self");
  in.require(!sizes.empty(), "a 0-d tensor has no windows");
  SymInt& size = sizes[in.dim(in.node.integer("dimension"), sizes.size())];
  const int64_t length = in.node.integer("size"), step = in.node.integer("step");
  in.require(step > 0 && length >= 0 && (!size.is_static() || length <= size.value()), "the window does not fit");
  size = floor_div(size - SymInt(length), step) + SymInt(1);
  sizes.push_back(length);
  in.result(in.operand("self").dtype, std::move(sizes));
}

// A mask stands for as many dimensions as it has.
void index_put(Inference& in) {
  size_t indexed = 0;
  for (const Value* index : in.node.tensors("indices")) {
    const bool is_mask = index && (index->dtype() == DType::boolean || index->dtype() == DType::uint8);
    indexed += is_mask ? index->sizes().size() : 1;
  }
  in.require(indexed <= in.sizes("self").size(), "more indices than dimensions");
  keep_self(in);
}

// What is written into a part is as large as the part.
template <void (*part)(Inference&)>
void write_into(Inference& in) {
  part(in);
  const bool is_known = std::exchange(in.known, true);
  const std::vector<TensorMeta> parts = std::exchange(in.outputs, {});
  if (is_known && !parts.empty())
    in.require(may_equal(parts.front().sizes, in.sizes("src")), "'src' and the part that it is written into differ in size");
  keep_self(in);
}

const Rule indexing_table[] = {
    {index_put, {"aten.index_put.default", "aten._unsafe_index_put.default"}},
    {write_into<slice>, {"aten.slice_scatter.default"}},
    {write_into<select>, {"aten.select_scatter.default"}},
    {slice, {"aten.slice.Tensor"}},
    {narrow, {"aten.narrow.default"}},
    {select, {"aten.select.int"}},
    {split, {"aten.split.Tensor"}},
    {chunk, {"aten.chunk.default"}},
    {split_with_sizes, {"aten.split_with_sizes.default"}},
    {unbind, {"aten.unbind.int"}},
    {index_select, {"aten.index_select.default"}},
    {gather, {"aten.gather.default"}},
    {index, {"aten.index.Tensor", "aten._unsafe_index.Tensor"}},
    {embedding, {"aten.embedding.default"}},
    {unfold, {"aten.unfold.default"}},
    {keep_self,
     {"aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default", "aten.index_add.default", "aten.index_copy.default",
      "aten.index_fill.int_Scalar", "aten.masked_scatter.default", "aten.diagonal_scatter.default", "aten.put.default",
      "aten.renorm.default"}},
};

}  // namespace

std::span<const Rule> indexing_rules() { return indexing_table; }

}  // namespace intaglio::infer
