// Views: other sizes and strides on the same memory. The `_copy` forms of functional graphs are views too, as long as
// no op of the graph writes in place.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/complex_view.h"
#include "decompose/split.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

constexpr int copy_variant = 0x100;  // in the variant: a `_copy` op

void give(Call& call, Tensor view, size_t index = 0) {
  const bool copy = (call.variant() & copy_variant) != 0 && call.context().has_in_place;
  call.set(copy ? own_copy(call, view) : std::move(view), index);
}

void give_all(Call& call, const std::vector<Tensor>& views) {
  if (views.size() != call.result_count())
    call.fail(fmt::format("gives {} tensors, but the graph expects {}", views.size(), call.result_count()));
  for (size_t i = 0; i < views.size(); ++i) give(call, views[i], i);
}

// Strides with which the memory of (sizes, strides) reads as `target`; nullopt when only a copy can.
std::optional<Sizes> view_strides(const Sizes& sizes, const Sizes& strides, const Sizes& target) {
  Sizes result(target.size());
  size_t next = target.size();
  int64_t chunk = 1;  // elements of the current run of dimensions that lie evenly in memory
  int64_t step = 1;
  bool open = false;
  const auto fill = [&] {  // gives target dimensions to the finished chunk
    int64_t covered = 1;
    while (next > 0 && (covered < chunk || target[next - 1] == 1)) {
      --next;
      result[next] = step * covered;
      covered *= target[next];
    }
    return covered == chunk;
  };
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (open && strides[i] == step * chunk) {
      chunk *= sizes[i];
      continue;
    }
    if (open && !fill()) return std::nullopt;
    open = true;
    step = strides[i];
    chunk = sizes[i];
  }
  if (!fill()) return std::nullopt;
  while (next > 0) {
    --next;
    if (target[next] != 1) return std::nullopt;
    result[next] = 1;
  }
  return result;
}

Tensor viewed(Call& call, const Tensor& self, Sizes target) {
  int64_t known = 1, unknown = -1;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == -1 && unknown < 0) unknown = static_cast<int64_t>(i);
    else if (target[i] < 0 || __builtin_mul_overflow(known, target[i], &known))
      call.fail(fmt::format("a view of sizes [{}]", fmt::join(target, ", ")));
  }
  if (unknown >= 0) {
    if (known == 0 || self.numel() % known != 0)
      call.fail(fmt::format("[{}] cannot be viewed as [{}]", fmt::join(self.sizes(), ", "), fmt::join(target, ", ")));
    target[static_cast<size_t>(unknown)] = self.numel() / known;
    known *= target[static_cast<size_t>(unknown)];
  }
  if (known != self.numel())
    call.fail(fmt::format("[{}] cannot be viewed as [{}]", fmt::join(self.sizes(), ", "), fmt::join(target, ", ")));
  if (self.numel() == 0) {
    Sizes strides = contiguous_strides(target);
    return self.view_as(std::move(target), std::move(strides), self.storage_offset());
  }
  if (auto strides = view_strides(self.sizes(), self.strides(), target))
    return self.view_as(std::move(target), std::move(*strides), self.storage_offset());
  return own_copy(call, self).reshaped(std::move(target));
}

const Tensor& self_of(Call& call) { return call.tensor("self"); }

void view(Call& call) { give(call, viewed(call, self_of(call), call.integers(call.has("size") ? "size" : "shape"))); }
void view_like(Call& call) { give(call, viewed(call, self_of(call), call.tensor("other").sizes())); }

void flatten(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t start = call.dimension("start_dim", self.rank()), end = call.dimension("end_dim", self.rank());
  call.require(start <= end, "start_dim comes after end_dim");
  Sizes target;
  int64_t merged = 1;
  for (int64_t i = 0; i < self.rank(); ++i) {
    if (i >= start && i <= end) merged *= self.size(i);
    else target.push_back(self.size(i));
    if (i == end) target.push_back(merged);
  }
  if (self.rank() == 0) target = {1};
  give(call, viewed(call, self, target));
}
void ravel(Call& call) { give(call, viewed(call, self_of(call), {self_of(call).numel()})); }

void unflatten(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t dim = call.dimension("dim", self.rank());
  call.require(self.rank() > 0, "a 0-d tensor");
  Sizes target = self.sizes();
  Sizes parts = call.integers("sizes");
  int64_t known = 1;
  for (const int64_t part : parts)
    if (part > 0 && __builtin_mul_overflow(known, part, &known)) call.fail("the product of the sizes overflows");
  for (int64_t& part : parts)
    if (part == -1) part = self.size(dim) / known;
  target.erase(target.begin() + dim);
  target.insert(target.begin() + dim, parts.begin(), parts.end());
  give(call, viewed(call, self, target));
}

Tensor permuted(Call& call, const Tensor& self, const Sizes& dims) {
  call.require(static_cast<int64_t>(dims.size()) == self.rank(), "the permutation has the wrong rank");
  std::vector<bool> seen(dims.size());
  Sizes order;
  for (const int64_t dim : dims) {
    order.push_back(call.wrap_dimension(dim, self.rank()));
    call.require(!seen[static_cast<size_t>(order.back())], "a dimension occurs twice in the permutation");
    seen[static_cast<size_t>(order.back())] = true;
  }
  return self.permuted(order);
}
void permute(Call& call) { give(call, permuted(call, self_of(call), call.integers("dims"))); }

Tensor transposed(const Tensor& self, int64_t a, int64_t b) {
  if (self.rank() == 0) return self;
  Sizes sizes = self.sizes(), strides = self.strides();
  std::swap(sizes[static_cast<size_t>(a)], sizes[static_cast<size_t>(b)]);
  std::swap(strides[static_cast<size_t>(a)], strides[static_cast<size_t>(b)]);
  return self.view_as(std::move(sizes), std::move(strides), self.storage_offset());
}
void transpose(Call& call) {
  const Tensor& self = self_of(call);
  const bool axes = call.has("axis0");
  give(call, transposed(self, call.dimension(axes ? "axis0" : "dim0", self.rank()), call.dimension(axes ? "axis1" : "dim1", self.rank())));
}
enum : int { kind_t, kind_reversed, kind_last_two };
void transpose_all(Call& call) {
  const Tensor& self = self_of(call);
  const int kind = call.variant() & ~copy_variant;
  if (kind == kind_reversed) {
    Sizes order(static_cast<size_t>(self.rank()));
    for (size_t i = 0; i < order.size(); ++i) order[i] = self.rank() - 1 - static_cast<int64_t>(i);
    return give(call, self.permuted(order));
  }
  if (kind == kind_t) call.require(self.rank() <= 2, "t() of a tensor of more than two dimensions");
  if (kind == kind_last_two) call.require(self.rank() >= 2, "mT of a tensor of fewer than two dimensions");
  give(call, self.rank() < 2 ? self : transposed(self, self.rank() - 2, self.rank() - 1));
}

void move_dimension(Call& call) {
  const Tensor& self = self_of(call);
  const Sizes from = call.integers("source"), to = call.integers("destination");
  call.require(from.size() == to.size(), "source and destination differ in length");
  Sizes order(static_cast<size_t>(self.rank()), -1);
  std::vector<bool> moved(order.size());
  for (size_t i = 0; i < from.size(); ++i) {
    const int64_t source = call.wrap_dimension(from[i], self.rank()), target = call.wrap_dimension(to[i], self.rank());
    call.require(order[static_cast<size_t>(target)] < 0 && !moved[static_cast<size_t>(source)], "a dimension is moved twice");
    order[static_cast<size_t>(target)] = source;
    moved[static_cast<size_t>(source)] = true;
  }
  int64_t next = 0;
  for (int64_t& dim : order) {
    if (dim >= 0) continue;
    while (moved[static_cast<size_t>(next)]) ++next;
    dim = next++;
  }
  give(call, self.permuted(order));
}

void squeeze(Call& call) {
  const Tensor& self = self_of(call);
  std::vector<bool> drop(static_cast<size_t>(self.rank()), !call.has("dim"));
  if (call.has("dim"))
    for (const int64_t dim : call.integers("dim"))
      if (const int64_t wrapped = call.wrap_dimension(dim, self.rank()); self.rank() > 0) drop[static_cast<size_t>(wrapped)] = true;
  Sizes sizes, strides;
  for (size_t i = 0; i < drop.size(); ++i) {
    if (drop[i] && self.sizes()[i] == 1) continue;
    sizes.push_back(self.sizes()[i]);
    strides.push_back(self.strides()[i]);
  }
  give(call, self.view_as(std::move(sizes), std::move(strides), self.storage_offset()));
}

void unsqueeze(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t dim = call.dimension("dim", self.rank() + 1);
  Sizes sizes = self.sizes(), strides = self.strides();
  const int64_t stride = dim < self.rank() ? sizes[static_cast<size_t>(dim)] * strides[static_cast<size_t>(dim)] : 1;
  sizes.insert(sizes.begin() + dim, 1);
  strides.insert(strides.begin() + dim, stride);
  give(call, self.view_as(std::move(sizes), std::move(strides), self.storage_offset()));
}

Tensor expanded(Call& call, const Tensor& self, Sizes target) {
  const size_t rank = self.sizes().size();
  if (target.size() < rank)
    call.fail(fmt::format("[{}] cannot be expanded to [{}]", fmt::join(self.sizes(), ", "), fmt::join(target, ", ")));
  const size_t skip = target.size() - rank;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i] == -1 && i >= skip) target[i] = self.sizes()[i - skip];
    const bool fits = target[i] >= 0 && (i < skip || self.sizes()[i - skip] == target[i] || self.sizes()[i - skip] == 1);
    if (!fits) call.fail(fmt::format("[{}] cannot be expanded to [{}]", fmt::join(self.sizes(), ", "), fmt::join(target, ", ")));
  }
  element_count(target);
  Sizes strides = broadcast_strides(self, target);
  return self.view_as(std::move(target), std::move(strides), self.storage_offset());
}
void expand(Call& call) { give(call, expanded(call, self_of(call), call.integers("size"))); }
void expand_as(Call& call) { give(call, expanded(call, self_of(call), call.tensor("other").sizes())); }

void select(Call& call) {
  const Tensor& self = self_of(call);
  call.require(self.rank() > 0, "select from a 0-d tensor");
  const int64_t dim = call.dimension("dim", self.rank()), extent = self.size(dim);
  const int64_t index = call.integer("index");
  if (index < -extent || index >= extent) call.fail(fmt::format("index {} of a dimension of size {}", index, extent));
  give(call, selected(self, dim, index < 0 ? index + extent : index));
}

void slice(Call& call) { give(call, sliced(call, self_of(call))); }

void narrow(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t dim = call.dimension("dim", self.rank()), extent = self.rank() == 0 ? 0 : self.size(dim);
  int64_t start = call.integer("start");
  const int64_t length = call.integer("length");
  if (start < 0) start += extent;
  if (start < 0 || length < 0 || start > extent || length > extent - start)
    call.fail(fmt::format("{} elements from {} of a dimension of size {}", length, start, extent));
  give(call, self.narrowed(dim, start, length));
}

std::vector<Tensor> pieces(Call& call, const Tensor& self, int64_t dim, const Sizes& lengths) {
  std::vector<Tensor> result;
  int64_t start = 0;
  for (const int64_t length : lengths) {
    if (length < 0 || length > self.size(dim) - start)
      call.fail(fmt::format("pieces [{}] of a dimension of size {}", fmt::join(lengths, ", "), self.size(dim)));
    result.push_back(self.narrowed(dim, start, length));
    start += length;
  }
  if (start != self.size(dim)) call.fail(fmt::format("pieces [{}] of a dimension of size {}", fmt::join(lengths, ", "), self.size(dim)));
  return result;
}

void split_evenly(Call& call, int64_t size) {
  const Tensor& self = self_of(call);
  call.require(self.rank() > 0, "split of a 0-d tensor");
  const int64_t dim = call.dimension("dim", self.rank()), extent = self.size(dim);
  call.require(size > 0 || (size == 0 && extent == 0), "the size of a piece must be positive");
  Sizes lengths;
  for (int64_t start = 0; start < extent; start += size) lengths.push_back(std::min(size, extent - start));
  if (lengths.empty()) lengths.push_back(0);
  if (lengths.size() > call.result_count())
    call.fail(fmt::format("gives {} tensors, but the graph expects {}", lengths.size(), call.result_count()));
  give_all(call, pieces(call, self, dim, lengths));
}
void split(Call& call) { split_evenly(call, call.integer("split_size")); }
void chunk(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t chunks = call.integer("chunks"), dim = call.dimension("dim", self.rank());
  call.require(chunks > 0 && self.rank() > 0, "the number of chunks must be positive");
  split_evenly(call, std::max<int64_t>((self.size(dim) + chunks - 1) / chunks, self.size(dim) == 0 ? 0 : 1));
}
void split_with_sizes(Call& call) {
  const Tensor& self = self_of(call);
  call.require(self.rank() > 0, "split of a 0-d tensor");
  give_all(call,
           pieces(call, self, call.dimension("dim", self.rank()), call.integers(call.has("split_sizes") ? "split_sizes" : "split_size")));
}

// So many pieces, the first ones longer by one where they are not even, or pieces between places.
void tensor_split(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t dim = decompose::split_dim(call.node(), self.rank());
  call.require(dim >= 0 && dim < self.rank(), "split of a dimension that is not there");
  const int64_t extent = self.size(dim);
  Sizes ends;
  if (call.has("sections")) {
    const int64_t sections = call.integer("sections");
    call.require(sections > 0 && sections <= static_cast<int64_t>(call.result_count()), "a wrong number of sections");
    for (int64_t i = 1; i < sections; ++i) ends.push_back(extent / sections * i + std::min(i, extent % sections));
  } else {
    for (const int64_t end : call.integers("indices")) ends.push_back(std::clamp<int64_t>(end < 0 ? end + extent : end, 0, extent));
  }
  ends.push_back(extent);
  std::vector<Tensor> views;
  int64_t start = 0;
  for (const int64_t end : ends) {
    views.push_back(self.narrowed(dim, start, std::max<int64_t>(end - start, 0)));
    start = end;
  }
  give_all(call, views);
}

void unbind(Call& call) {
  const Tensor& self = self_of(call);
  call.require(self.rank() > 0, "unbind of a 0-d tensor");
  const int64_t dim = call.dimension("dim", self.rank());
  if (self.size(dim) != static_cast<int64_t>(call.result_count()))
    call.fail(fmt::format("gives {} tensors, but the graph expects {}", self.size(dim), call.result_count()));
  std::vector<Tensor> views;
  for (int64_t i = 0; i < self.size(dim); ++i) views.push_back(selected(self, dim, i));
  give_all(call, views);
}

void diagonal(Call& call) {
  const Tensor& self = self_of(call);
  call.require(self.rank() >= 2, "the diagonal of a tensor of fewer than two dimensions");
  const int64_t a = call.dimension("dim1", self.rank()), b = call.dimension("dim2", self.rank()), offset = call.integer("offset");
  call.require(a != b, "the diagonal needs two different dimensions");
  Sizes sizes = self.sizes(), strides = self.strides();
  const int64_t rows = self.size(a), columns = self.size(b);
  call.require(offset > -(int64_t{1} << 40) && offset < (int64_t{1} << 40), "the offset is out of range");
  const int64_t length = std::max<int64_t>(0, offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns));
  const int64_t skip = length == 0 ? 0 : offset >= 0 ? offset * strides[static_cast<size_t>(b)] : -offset * strides[static_cast<size_t>(a)];
  const int64_t step = strides[static_cast<size_t>(a)] + strides[static_cast<size_t>(b)];
  for (const int64_t dim : {std::max(a, b), std::min(a, b)}) {
    sizes.erase(sizes.begin() + dim);
    strides.erase(strides.begin() + dim);
  }
  sizes.push_back(length);
  strides.push_back(step);
  give(call, self.view_as(std::move(sizes), std::move(strides), self.storage_offset() + skip));
}

void as_strided(Call& call) {
  // PyTorch's strides count its own memory, so the source must be laid out as there.
  const Tensor self = self_of(call).contiguous();
  const auto offset = call.optional_integer("storage_offset");
  give(call, self.view_as(call.integers("size"), call.integers("stride"), offset.value_or(self.storage_offset())));
}

// Windows of a dimension, as a new last dimension.
void unfold(Call& call) {
  const Tensor& self = self_of(call);
  const int64_t dim = call.dimension("dimension", self.rank()), size = call.integer("size"), step = call.integer("step");
  const int64_t extent = self.rank() == 0 ? 1 : self.size(dim);
  call.require(size >= 0 && size <= extent && step > 0, "size or step is out of range");
  Sizes sizes = self.sizes(), strides = self.strides();
  if (self.rank() == 0) return give(call, self.view_as({size}, {1}, self.storage_offset()));
  const int64_t stride = strides[static_cast<size_t>(dim)];
  sizes[static_cast<size_t>(dim)] = (extent - size) / step + 1;
  strides[static_cast<size_t>(dim)] = stride * step;
  sizes.push_back(size);
  strides.push_back(stride);
  give(call, self.view_as(std::move(sizes), std::move(strides), self.storage_offset()));
}

// In place, the first elements of the memory under other sizes.
void resize(Call& call) {
  const Tensor& self = self_of(call);
  const Sizes sizes = call.has("size") ? call.integers("size") : call.tensor("the_template").sizes();
  int64_t count = 1;
  for (const int64_t size : sizes)
    if (size < 0 || __builtin_mul_overflow(count, size, &count)) call.fail(fmt::format("sizes [{}]", fmt::join(sizes, ", ")));
  if (count > self.numel()) call.unsupported("it grows in place, and what it grows by has no values");
  if (!self.is_contiguous()) call.unsupported("other sizes in place for a tensor that is not contiguous");
  call.set(self.view_as(sizes, contiguous_strides(sizes), self.storage_offset()));
}
void other_memory(Call& call) { call.set(call.tensor("source")); }

void identity(Call& call) { give(call, self_of(call)); }
void dropout(Call& call) {
  const bool functional = call.node().op().base() == "native_dropout";
  if (call.has("train") && call.boolean("train")) call.unsupported("dropout in training mode: export the model in evaluation mode");
  const Tensor& input = call.tensor(call.has("self") ? "self" : "input");  // the in-place forms call it self
  call.set(input, 0);
  if (functional) {
    const Tensor mask = call.empty(DType::boolean, input.sizes());
    std::fill_n(writable<uint8_t>(mask), mask.numel(), uint8_t{1});
    call.set(mask, 1);
  }
}

// A complex number is two real ones in a row.
void view_as_real(Call& call) {
  const Tensor& self = self_of(call);
  call.require(is_complex(self.dtype()), "the operand is not complex");
  give(call, as_pairs(self));
}

void view_as_complex(Call& call) {
  const Tensor given = self_of(call);
  call.require(given.rank() > 0 && given.sizes().back() == 2, "the last dimension is not two");
  call.require(complex_type_of(given.dtype()) != given.dtype(), "the operand's type");
  const auto is_even = [](int64_t stride) { return stride % 2 == 0; };
  const bool fits = given.strides().back() == 1 && is_even(given.storage_offset()) &&
                    std::all_of(given.strides().begin(), given.strides().end() - 1, is_even);
  const Tensor self = fits ? given : own_copy(call, given);
  Sizes sizes = self.sizes(), strides = self.strides();
  sizes.pop_back();
  strides.pop_back();
  for (int64_t& stride : strides) stride /= 2;
  give(call, Tensor(complex_type_of(self.dtype()), std::move(sizes), std::move(strides), self.storage_offset() / 2, self.storage()));
}

}  // namespace

Tensor own_copy(const Call& call, const Tensor& tensor, DType dtype) {
  const Tensor copy = call.empty(dtype, tensor.sizes());
  copy_into(copy, tensor, call.threads());
  return copy;
}

Tensor selected(const Tensor& self, int64_t dim, int64_t index) {
  Sizes sizes = self.sizes(), strides = self.strides();
  const int64_t offset = self.storage_offset() + index * strides[static_cast<size_t>(dim)];
  sizes.erase(sizes.begin() + dim);
  strides.erase(strides.begin() + dim);
  return self.view_as(std::move(sizes), std::move(strides), offset);
}

Tensor sliced(Call& call, const Tensor& self) {
  call.require(self.rank() > 0, "slice of a 0-d tensor");
  const int64_t dim = call.dimension("dim", self.rank()), extent = self.size(dim), step = call.integer("step");
  call.require(step > 0, "the step must be positive");
  const auto bounded = [&](std::optional<int64_t> index, int64_t otherwise) {
    int64_t value = index.value_or(otherwise);
    if (value < 0) value += extent;
    return std::clamp<int64_t>(value, 0, extent);
  };
  const int64_t start = bounded(call.optional_integer("start"), 0), end = bounded(call.optional_integer("end"), extent);
  return self.narrowed(dim, start, end > start ? (end - start - 1) / step + 1 : 0, step);
}

std::span<const Kernel> view_kernels() {
  static const std::vector<Kernel> table = [] {
    std::vector<Kernel> kernels = kernels_of({
        {view, {"aten.view.default", "aten._unsafe_view.default", "aten.reshape.default", "aten._reshape_alias.default"}},
        {view_like, {"aten.view_as.default", "aten.reshape_as.default"}},
        {flatten, {"aten.flatten.using_ints"}},
        {ravel, {"aten.ravel.default"}},
        {unflatten, {"aten.unflatten.int"}},
        {permute, {"aten.permute.default"}},
        {transpose, {"aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default"}},
        {transpose_all, {"aten.t.default"}, kind_t},
        {transpose_all, {"aten.numpy_T.default"}, kind_reversed},
        {transpose_all, {"aten.mT.default", "aten.mH.default", "aten.adjoint.default", "aten.matrix_H.default"}, kind_last_two},
        {move_dimension, {"aten.movedim.int", "aten.movedim.intlist", "aten.moveaxis.int", "aten.moveaxis.intlist"}},
        {squeeze, {"aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims"}},
        {unsqueeze, {"aten.unsqueeze.default"}},
        {expand, {"aten.expand.default", "aten.broadcast_to.default"}},
        {expand_as, {"aten.expand_as.default"}},
        {select, {"aten.select.int"}},
        {slice, {"aten.slice.Tensor"}},
        {narrow, {"aten.narrow.default"}},
        {split, {"aten.split.Tensor"}},
        {split_with_sizes, {"aten.split.sizes", "aten.split_with_sizes.default"}},
        {chunk, {"aten.chunk.default"}},
        {tensor_split,
         {"aten.tensor_split.sections", "aten.tensor_split.indices", "aten.hsplit.int", "aten.hsplit.array", "aten.vsplit.int",
          "aten.vsplit.array", "aten.dsplit.int", "aten.dsplit.array"}},
        {unbind, {"aten.unbind.int"}},
        {diagonal, {"aten.diagonal.default"}},
        {as_strided, {"aten.as_strided.default"}},
        {unfold, {"aten.unfold.default"}},
        {view_as_real, {"aten.view_as_real.default"}},
        {view_as_complex, {"aten.view_as_complex.default"}},
        {identity,
         {"aten.alias.default", "aten.detach.default", "aten.detach_.default", "aten.lift_fresh.default", "aten.resolve_conj.default",
          "aten.resolve_neg.default"}},
        {resize, {"aten.resize_.default", "aten.resize_as_.default"}},
        {other_memory, {"aten.set_.source_Tensor"}},
        {dropout, {"aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default", "aten.native_dropout.default"}},
        // Copies of what they show.
        {view, {"aten.view_copy.default"}, copy_variant},
        {permute, {"aten.permute_copy.default"}, copy_variant},
        {transpose, {"aten.transpose_copy.int"}, copy_variant},
        {transpose_all, {"aten.t_copy.default"}, kind_t | copy_variant},
        {squeeze, {"aten.squeeze_copy.default", "aten.squeeze_copy.dim", "aten.squeeze_copy.dims"}, copy_variant},
        {unsqueeze, {"aten.unsqueeze_copy.default"}, copy_variant},
        {expand, {"aten.expand_copy.default"}, copy_variant},
        {select, {"aten.select_copy.int"}, copy_variant},
        {slice, {"aten.slice_copy.Tensor"}, copy_variant},
        {narrow, {"aten.narrow_copy.default"}, copy_variant},
        {split, {"aten.split_copy.Tensor"}, copy_variant},
        {split_with_sizes, {"aten.split_with_sizes_copy.default"}, copy_variant},
        {unbind, {"aten.unbind_copy.int"}, copy_variant},
        {identity, {"aten.alias_copy.default", "aten.detach_copy.default"}, copy_variant},
        {diagonal, {"aten.diagonal_copy.default"}, copy_variant},
        {as_strided, {"aten.as_strided_copy.default"}, copy_variant},
        {unfold, {"aten.unfold_copy.default"}, copy_variant},
    });
    for (Kernel& kernel : kernels) kernel.aliases = (kernel.variant & copy_variant) == 0;
    return kernels;
  }();
  return table;
}

}  // namespace intaglio::interp
