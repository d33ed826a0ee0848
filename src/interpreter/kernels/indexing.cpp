// Reading and writing at places that tensors of indices name. Every index is checked against its dimension.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "interpreter/elementwise.h"
#include "interpreter/kernel_table.h"
#include "interpreter/promotion.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

std::vector<int64_t> integers_of(Call& call, const Tensor& tensor) {
  if (!is_integral(tensor.dtype())) call.fail(fmt::format("indices of type {}", name(tensor.dtype())));
  const Tensor wide = converted(tensor, DType::int64).contiguous();
  return {wide.span<int64_t>().begin(), wide.span<int64_t>().end()};
}

int64_t checked(Call& call, int64_t index, int64_t extent) {
  if (index < -extent || index >= extent) call.fail(fmt::format("index {} of a dimension of size {}", index, extent));
  return index < 0 ? index + extent : index;
}

// ------------------------------------------------------------------------------------------------- advanced indexing

// Indices of one dimension, with their shape.
struct DimensionIndex {
  int64_t dim;
  Tensor index;  // int64
};

// Positions of true values, one vector of indices for each dimension of the mask.
std::vector<Tensor> places_of(const Tensor& mask) {
  const Tensor dense = converted(mask, DType::boolean).contiguous();
  const auto* flags = static_cast<const uint8_t*>(dense.raw());
  std::vector<std::vector<int64_t>> places(mask.sizes().size());
  const Sizes strides = contiguous_strides(mask.sizes());
  for (int64_t i = 0; i < dense.numel(); ++i) {
    if (flags[i] == 0) continue;
    for (size_t d = 0; d < places.size(); ++d) places[d].push_back(i / strides[d] % mask.sizes()[d]);
  }
  std::vector<Tensor> result;
  for (const auto& list : places) result.push_back(Tensor::of<int64_t>(list, {static_cast<int64_t>(list.size())}));
  return result;
}

std::vector<DimensionIndex> read_indices(Call& call, const Tensor& self) {
  std::vector<DimensionIndex> result;
  int64_t dim = 0;
  for (const Tensor* index : call.tensors("indices")) {
    if (index == nullptr) {
      ++dim;
    } else if (index->dtype() == DType::boolean || index->dtype() == DType::uint8) {
      for (int64_t d = 0; d < index->rank(); ++d)
        if (dim + d >= self.rank() || self.size(dim + d) != index->size(d))
          call.fail(fmt::format("a mask [{}] on a tensor [{}]", fmt::join(index->sizes(), ", "), fmt::join(self.sizes(), ", ")));
      call.require(index->rank() > 0, "a 0-d mask");
      for (Tensor& places : places_of(*index)) result.push_back({dim++, std::move(places)});
    } else {
      if (!is_integral(index->dtype())) call.fail(fmt::format("indices of type {}", name(index->dtype())));
      result.push_back({dim++, converted(*index, DType::int64)});
    }
  }
  call.require(dim <= self.rank(), "more indices than dimensions");
  return result;
}

// Where each combination of indices lies, and what is copied there.
struct Selection {
  Sizes index_shape;
  std::vector<int64_t> offsets;    // by position in index_shape, in elements of self
  Sizes rest_sizes, rest_strides;  // of the dimensions without index
  size_t index_position = 0;       // where index_shape stands among the rest in the result
};

Selection select(Call& call, const Tensor& self) {
  const std::vector<DimensionIndex> indices = read_indices(call, self);
  Selection selection;
  std::vector<const Sizes*> shapes;
  for (const DimensionIndex& index : indices) shapes.push_back(&index.index.sizes());
  const auto shape = broadcast_shape(shapes);
  call.require(shape.has_value(), "the indices do not broadcast");
  selection.index_shape = *shape;
  selection.offsets.assign(static_cast<size_t>(element_count(*shape)), 0);
  for (const DimensionIndex& index : indices) {
    const Tensor expanded = index.index.view_as(*shape, broadcast_strides(index.index, *shape), index.index.storage_offset()).contiguous();
    const int64_t* values = expanded.data<int64_t>();
    const int64_t extent = self.size(index.dim), stride = self.strides()[static_cast<size_t>(index.dim)];
    for (size_t i = 0; i < selection.offsets.size(); ++i) selection.offsets[i] += checked(call, values[i], extent) * stride;
  }
  const auto is_indexed = [&](int64_t d) {
    return std::any_of(indices.begin(), indices.end(), [&](const DimensionIndex& i) { return i.dim == d; });
  };
  for (int64_t d = 0; d < self.rank(); ++d) {
    if (is_indexed(d)) continue;
    selection.rest_sizes.push_back(self.size(d));
    selection.rest_strides.push_back(self.strides()[static_cast<size_t>(d)]);
  }
  // Neighbouring indices stay in place, separated ones go first.
  const bool together = !indices.empty() && indices.back().dim - indices.front().dim + 1 == static_cast<int64_t>(indices.size());
  if (together) selection.index_position = static_cast<size_t>(indices.front().dim);
  return selection;
}

// The result [rest before, index shape, rest after] as a view [index shape..., rest...] of `result`.
Tensor index_first(const Selection& selection, const Tensor& result) {
  Sizes order;
  const size_t count = selection.index_shape.size();
  for (size_t i = 0; i < count; ++i) order.push_back(static_cast<int64_t>(selection.index_position + i));
  for (size_t i = 0; i < result.sizes().size(); ++i)
    if (i < selection.index_position || i >= selection.index_position + count) order.push_back(static_cast<int64_t>(i));
  return result.permuted(order);
}

Sizes selected_sizes(const Selection& selection) {
  Sizes sizes = selection.rest_sizes;
  sizes.insert(sizes.begin() + static_cast<ptrdiff_t>(selection.index_position), selection.index_shape.begin(),
               selection.index_shape.end());
  return sizes;
}

// Offsets of every element of a shape with given strides, in row-major order.
std::vector<int64_t> all_offsets(const Sizes& sizes, const Sizes& strides) {
  std::vector<int64_t> result = {0};
  for (size_t d = 0; d < sizes.size(); ++d) {
    std::vector<int64_t> next;
    next.reserve(result.size() * static_cast<size_t>(sizes[d]));
    for (const int64_t base : result)
      for (int64_t i = 0; i < sizes[d]; ++i) next.push_back(base + i * strides[d]);
    result = std::move(next);
  }
  return result;
}

void index(Call& call) {
  const Tensor& self = call.tensor("self");
  const Selection selection = select(call, self);
  const Tensor out = call.empty(self.dtype(), selected_sizes(selection));
  if (out.numel() == 0) return call.set(out);
  const Tensor view = index_first(selection, out);
  const size_t count = selection.index_shape.size(), width = item_size(self.dtype());
  const std::vector<int64_t> targets =
      all_offsets(selection.index_shape, Sizes(view.strides().begin(), view.strides().begin() + static_cast<ptrdiff_t>(count)));
  const Sizes rest_strides(view.strides().begin() + static_cast<ptrdiff_t>(count), view.strides().end());
  const std::vector<int64_t> from = all_offsets(selection.rest_sizes, selection.rest_strides),
                             to = all_offsets(selection.rest_sizes, rest_strides);
  const auto* source = static_cast<const std::byte*>(self.raw());
  std::byte* target = writable_bytes(out);
  for (size_t i = 0; i < targets.size(); ++i)
    for (size_t r = 0; r < from.size(); ++r)
      std::memcpy(target + static_cast<size_t>(targets[i] + to[r]) * width,
                  source + static_cast<size_t>(selection.offsets[i] + from[r]) * width, width);
  call.set(out);
}

// Adds or stores single elements, in the type's own arithmetic.
void put(const Tensor& target, int64_t offset, const std::byte* value, bool accumulate) {
  const size_t width = item_size(target.dtype());
  std::byte* place = writable_bytes(target) + static_cast<size_t>(offset) * width;
  if (!accumulate) {
    std::memcpy(place, value, width);
  } else if (is_floating(target.dtype())) {
    double a = 0, b = 0;
    load_block<double>(target.dtype(), place, 0, 1, 1, &a);
    load_block<double>(target.dtype(), value, 0, 1, 1, &b);
    a += b;
    store_block<double>(target.dtype(), place, 0, 1, 1, &a);
  } else {
    int64_t a = 0, b = 0;
    load_block<int64_t>(target.dtype(), place, 0, 1, 1, &a);
    load_block<int64_t>(target.dtype(), value, 0, 1, 1, &b);
    a = static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    store_block<int64_t>(target.dtype(), place, 0, 1, 1, &a);
  }
}

enum : int { functional_variant, in_place_variant };
void index_put(Call& call) {
  const Tensor self = call.variant() == in_place_variant ? call.tensor("self") : own_copy(call, call.tensor("self"));
  const Tensor& given = call.tensor("values");
  const bool accumulate = call.boolean("accumulate");
  const Selection selection = select(call, self);
  const Sizes sizes = selected_sizes(selection);
  const Tensor values = converted(given, self.dtype());
  const Tensor spread = values.view_as(sizes, broadcast_strides(values, sizes), values.storage_offset());
  call.set(self);
  if (spread.numel() == 0) return;
  const Tensor view = index_first(selection, spread);
  const std::vector<int64_t> from = all_offsets(view.sizes(), view.strides()),
                             rest = all_offsets(selection.rest_sizes, selection.rest_strides);
  const auto* source = static_cast<const std::byte*>(values.raw());
  for (size_t i = 0; i < selection.offsets.size(); ++i)
    for (size_t r = 0; r < rest.size(); ++r)
      put(self, selection.offsets[i] + rest[r], source + static_cast<size_t>(from[i * rest.size() + r]) * item_size(self.dtype()),
          accumulate);
}

// ---------------------------------------------------------------------------------------------------------- one dimension

void embedding(Call& call) {
  const Tensor weight = call.tensor("weight");
  const Tensor& indices = call.tensor("indices");
  call.require(weight.rank() == 2, "the weight must be a matrix");
  Sizes sizes = indices.sizes();
  sizes.push_back(weight.size(1));
  const Tensor out = call.empty(weight.dtype(), sizes);
  const std::vector<int64_t> rows = integers_of(call, indices);
  const size_t width = item_size(weight.dtype()), row_bytes = static_cast<size_t>(weight.size(1)) * width;
  const bool dense = weight.strides()[1] == 1 || weight.size(1) == 1;
  std::byte* to = writable_bytes(out);
  const Tensor lying = weight.as_it_lies();
  const auto* from = static_cast<const std::byte*>(lying.raw());
  for (size_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows[i] < 0 ? -1 : checked(call, rows[i], weight.size(0));
    if (row < 0) call.fail(fmt::format("index {} of an embedding of {} rows", rows[i], weight.size(0)));
    if (dense) std::memcpy(to + i * row_bytes, from + static_cast<size_t>(row * weight.strides()[0]) * width, row_bytes);
    else copy_into(out.view_as({1, weight.size(1)}, {0, 1}, static_cast<int64_t>(i) * weight.size(1)), weight.narrowed(0, row, 1));
  }
  call.set(out);
}

void index_select(Call& call) {
  const Tensor& self = call.tensor("self");
  const std::vector<int64_t> places = integers_of(call, call.tensor("index"));
  const int64_t dim = call.dimension("dim", self.rank());
  const Tensor source = self.rank() == 0 ? self.view_as({1}, {1}, self.storage_offset()) : self;
  Sizes sizes = source.sizes();
  sizes[static_cast<size_t>(dim)] = static_cast<int64_t>(places.size());
  const Tensor out = call.empty(self.dtype(), sizes);
  for (size_t i = 0; i < places.size(); ++i)
    copy_into(out.narrowed(dim, static_cast<int64_t>(i), 1), source.narrowed(dim, checked(call, places[i], source.size(dim)), 1));
  call.set(self.rank() == 0 ? out.reshaped({}) : out);
}

enum : int { kind_copy_rows, kind_add_rows, kind_fill_rows };
void index_write(Call& call) {
  const Tensor out = own_copy(call, call.tensor("self"));
  const std::vector<int64_t> places = integers_of(call, call.tensor("index"));
  const int64_t dim = call.dimension("dim", out.rank());
  call.require(out.rank() > 0, "a 0-d tensor");
  for (size_t i = 0; i < places.size(); ++i) {
    const Tensor row = out.narrowed(dim, checked(call, places[i], out.size(dim)), 1);
    if (call.variant() == kind_fill_rows) {
      copy_into(row, scalar_tensor(call.number("value"), out.dtype()));
      continue;
    }
    const Tensor& source = call.tensor("source");
    call.require(source.rank() == out.rank() && source.size(dim) == static_cast<int64_t>(places.size()),
                 "the source does not fit the indices");
    const Tensor piece = source.narrowed(dim, static_cast<int64_t>(i), 1);
    if (call.variant() == kind_copy_rows) {
      copy_into(row, piece);
      continue;
    }
    const Tensor* const operands[] = {&row, &piece};
    call.require(piece.sizes() == row.sizes(), "the source does not fit");
    run_elementwise(call, addition_functions(), out.dtype(), row, operands, {call.floating("alpha")});
  }
  call.set(out);
}

// Calls body(offset in the indexed tensor, position in the index) for each entry of `index` along `dim`.
template <typename Body>
void along_dimension(Call& call, const Tensor& target, int64_t dim, const Tensor& index, Body body) {
  call.require(index.rank() == target.rank(), "index and tensor differ in rank");
  for (int64_t d = 0; d < target.rank(); ++d)
    if (d != dim && index.size(d) > target.size(d))
      call.fail(fmt::format("index [{}] on a tensor [{}]", fmt::join(index.sizes(), ", "), fmt::join(target.sizes(), ", ")));
  const std::vector<int64_t> places = integers_of(call, index);
  Sizes strides = target.strides();
  const int64_t stride = target.rank() == 0 ? 0 : strides[static_cast<size_t>(dim)], extent = target.rank() == 0 ? 1 : target.size(dim);
  if (target.rank() > 0) strides[static_cast<size_t>(dim)] = 0;
  const std::vector<int64_t> bases = all_offsets(index.sizes(), strides);
  for (size_t i = 0; i < places.size(); ++i) body(bases[i] + checked(call, places[i], extent) * stride, i);
}

void gather(Call& call) {
  const Tensor& self = call.tensor("self");
  const Tensor& index = call.tensor("index");
  const Tensor out = call.empty(self.dtype(), index.sizes());
  const size_t width = item_size(self.dtype());
  const auto* from = static_cast<const std::byte*>(self.raw());
  std::byte* to = writable_bytes(out);
  along_dimension(call, self, call.dimension("dim", self.rank()), index,
                  [&](int64_t offset, size_t i) { std::memcpy(to + i * width, from + static_cast<size_t>(offset) * width, width); });
  call.set(out);
}

// gather() after broadcasting every other dimension; without `dim` both are read flat.
void take_along(Call& call) {
  Tensor self = call.tensor("self"), index = call.tensor("indices");
  if (!call.has("dim")) {
    self = self.contiguous().reshaped({self.numel()});
    index = index.contiguous().reshaped({index.numel()});
  }
  call.require(self.rank() == index.rank(), "index and tensor differ in rank");
  const int64_t dim = call.has("dim") ? call.dimension("dim", self.rank()) : 0;
  Sizes self_sizes = self.sizes(), index_sizes = index.sizes();
  for (size_t d = 0; d < self_sizes.size(); ++d)
    if (static_cast<int64_t>(d) != dim) self_sizes[d] = index_sizes[d] = self_sizes[d] == 1 ? index_sizes[d] : self_sizes[d];
  const Tensor source = self.view_as(self_sizes, broadcast_strides(self, self_sizes), self.storage_offset());
  const Tensor places = index.view_as(index_sizes, broadcast_strides(index, index_sizes), index.storage_offset());
  const Tensor out = call.empty(self.dtype(), index_sizes);
  const size_t width = item_size(self.dtype());
  const auto* from = static_cast<const std::byte*>(source.raw());
  std::byte* to = writable_bytes(out);
  along_dimension(call, source, dim, places,
                  [&](int64_t offset, size_t i) { std::memcpy(to + i * width, from + static_cast<size_t>(offset) * width, width); });
  call.set(out);
}

enum : int { kind_scatter, kind_scatter_add };
void scatter(Call& call) {
  const Tensor out = own_copy(call, call.tensor("self"));
  const Tensor& index = call.tensor("index");
  Tensor source;
  if (call.has("src")) {
    const Tensor& given = call.tensor("src");
    call.require(given.rank() == index.rank(), "src and index differ in rank");
    Tensor part = converted(given, out.dtype());
    for (int64_t d = 0; d < index.rank(); ++d) {
      call.require(index.size(d) <= part.size(d), "src is smaller than index");
      part = part.narrowed(d, 0, index.size(d));
    }
    source = part.contiguous();
  } else {
    const Tensor value = scalar_tensor(call.number("value"), out.dtype());
    source = value.view_as(index.sizes(), Sizes(index.sizes().size(), 0), 0).contiguous();
  }
  const auto* from = static_cast<const std::byte*>(source.raw());
  along_dimension(call, out, call.dimension("dim", out.rank()), index, [&](int64_t offset, size_t i) {
    put(out, offset, from + i * item_size(out.dtype()), call.variant() == kind_scatter_add);
  });
  call.set(out);
}

// ---------------------------------------------------------------------------------------------------- writing a part

void slice_scatter(Call& call) {
  const Tensor out = own_copy(call, call.tensor("self"));
  copy_into(sliced(call, out), call.tensor("src"), call.threads());
  call.set(out);
}
void select_scatter(Call& call) {
  const Tensor out = own_copy(call, call.tensor("self"));
  call.require(out.rank() > 0, "a 0-d tensor");
  const int64_t dim = call.dimension("dim", out.rank());
  copy_into(selected(out, dim, checked(call, call.integer("index"), out.size(dim))), call.tensor("src"), call.threads());
  call.set(out);
}

void masked_select(Call& call) {
  const Tensor &self = call.tensor("self"), &mask = call.tensor("mask");
  const Sizes* const shapes[] = {&self.sizes(), &mask.sizes()};
  const auto shape = broadcast_shape(shapes);
  call.require(shape.has_value(), "tensor and mask do not broadcast");
  const Tensor x = self.view_as(*shape, broadcast_strides(self, *shape), self.storage_offset()).contiguous();
  const Tensor m = converted(mask, DType::boolean).contiguous();
  const Tensor flags = m.view_as(*shape, broadcast_strides(m, *shape), 0).contiguous();
  const auto* keep = static_cast<const uint8_t*>(flags.raw());
  const size_t width = item_size(self.dtype());
  const Tensor out = call.empty(self.dtype(), {static_cast<int64_t>(flags.numel() - std::count(keep, keep + flags.numel(), uint8_t{0}))});
  std::byte* to = writable_bytes(out);
  for (int64_t i = 0; i < x.numel(); ++i) {
    if (keep[i] == 0) continue;
    std::memcpy(to, static_cast<const std::byte*>(x.raw()) + static_cast<size_t>(i) * width, width);
    to += width;
  }
  call.set(out);
}

void nonzero(Call& call) {
  const Tensor& self = call.tensor("self");
  const std::vector<Tensor> places = places_of(self);
  const int64_t count = places.empty() ? (self.item_as_double() != 0) : places[0].numel();
  const Tensor out = call.empty(DType::int64, {count, self.rank()});
  for (size_t d = 0; d < places.size(); ++d) copy_into(out.view_as({count}, {self.rank()}, static_cast<int64_t>(d)), places[d]);
  call.set(out);
}

// Without a tensor to repeat: the numbers of the elements.
void repeated_places(Call& call) {
  const Tensor& repeats = call.tensor("repeats");
  call.require(repeats.rank() == 1, "the counts are not a vector");
  const std::vector<int64_t> counts = integers_of(call, repeats);
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] < 0 || counts[i] > std::numeric_limits<int32_t>::max()) call.fail(fmt::format("a count of {}", counts[i]));
    numbers.insert(numbers.end(), static_cast<size_t>(counts[i]), static_cast<int64_t>(i));
  }
  call.set(converted(Tensor::of<int64_t>(numbers, {static_cast<int64_t>(numbers.size())}), repeats.dtype()));
}

void one_hot(Call& call) {
  const Tensor& self = call.tensor("self");
  const std::vector<int64_t> classes = integers_of(call, self);
  int64_t count = call.integer("num_classes");
  if (count < 0) count = classes.empty() ? 0 : *std::max_element(classes.begin(), classes.end()) + 1;
  Sizes sizes = self.sizes();
  sizes.push_back(count);
  const Tensor out = call.empty(DType::int64, sizes);
  int64_t* to = writable<int64_t>(out);
  std::fill_n(to, out.numel(), 0);
  for (size_t i = 0; i < classes.size(); ++i) {
    if (classes[i] < 0) call.fail(fmt::format("class {}", classes[i]));
    to[static_cast<int64_t>(i) * count + checked(call, classes[i], count)] = 1;
  }
  call.set(out);
}

// In place: every (columns + 1)th element, as far as the diagonal goes or, wrapping, to the end.
void fill_diagonal(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() >= 2, "the diagonal of a tensor of fewer than two dimensions");
  const bool wraps = self.rank() == 2 && call.boolean("wrap");
  if (wraps && !self.is_contiguous()) call.unsupported("a diagonal that wraps in a tensor that is not contiguous");
  const int64_t step = std::accumulate(self.strides().begin(), self.strides().end(), int64_t{0});
  int64_t count = *std::min_element(self.sizes().begin(), self.sizes().end());
  if (wraps && count > 0) count = (self.numel() - 1) / step + 1;
  const Tensor value = scalar_tensor(call.number("fill_value"), self.dtype());
  copy_into(self.view_as({count}, {step}, self.storage_offset()), value.view_as({count}, {0}, 0), call.threads());
  call.set(self);
}

}  // namespace

std::span<const Kernel> indexing_kernels() {
  static const Kernel table[] = {
      {"aten.index.Tensor", index},
      {"aten.index_put.default", index_put, functional_variant},
      {"aten._unsafe_index.Tensor", index},
      {"aten._unsafe_index_put.default", index_put, functional_variant},
      {"aten.index_put_.default", index_put, in_place_variant},
      {"aten.fill_diagonal_.default", fill_diagonal},
      {"aten.embedding.default", embedding},
      {"aten.index_select.default", index_select},
      {"aten.index_copy.default", index_write, kind_copy_rows},
      {"aten.index_add.default", index_write, kind_add_rows},
      {"aten.index_fill.int_Scalar", index_write, kind_fill_rows},
      {"aten.gather.default", gather},
      {"aten.take_along_dim.default", take_along},
      {"aten.scatter.src", scatter, kind_scatter},
      {"aten.scatter.value", scatter, kind_scatter},
      {"aten.scatter_add.default", scatter, kind_scatter_add},
      {"aten.slice_scatter.default", slice_scatter},
      {"aten.select_scatter.default", select_scatter},
      {"aten.masked_select.default", masked_select},
      {"aten.nonzero.default", nonzero},
      {"aten.one_hot.default", one_hot},
      {"aten.repeat_interleave.Tensor", repeated_places},
  };
  return table;
}

}  // namespace intaglio::interp
