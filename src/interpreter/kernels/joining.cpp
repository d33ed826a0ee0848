// Several tensors into one: cat, stack, repetition, padding, shuffles.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "interpreter/kernel_table.h"
#include "interpreter/promotion.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

// The layout of the operands when all agree on channels-last, else row-major.
Sizes joined_strides(const Sizes& sizes, const std::vector<Tensor>& parts) {
  const bool all = sizes.size() >= 3 &&
                   std::all_of(parts.begin(), parts.end(), [](const Tensor& t) { return is_channels_last(t) && !t.is_contiguous(); });
  return all ? channels_last_strides(sizes) : contiguous_strides(sizes);
}

Tensor joined(Call& call, const std::vector<Tensor>& parts, int64_t dim, DType dtype) {
  Sizes sizes = parts.front().sizes();
  for (size_t i = 1; i < parts.size(); ++i) {
    Sizes other = parts[i].sizes();
    call.require(other.size() == sizes.size(), "the tensors differ in rank");
    if (__builtin_add_overflow(sizes[static_cast<size_t>(dim)], other[static_cast<size_t>(dim)], &sizes[static_cast<size_t>(dim)]))
      call.fail("the sizes overflow");
    other[static_cast<size_t>(dim)] = sizes[static_cast<size_t>(dim)];
    if (other != sizes)
      call.fail(
          fmt::format("a tensor [{}] does not fit beside [{}]", fmt::join(parts[i].sizes(), ", "), fmt::join(parts[0].sizes(), ", ")));
  }
  const Tensor out = call.empty(dtype, sizes, joined_strides(sizes, parts));
  int64_t start = 0;
  for (const Tensor& part : parts) {
    copy_into(out.narrowed(dim, start, part.size(dim)), part, call.threads());
    start += part.size(dim);
  }
  return out;
}

std::vector<Tensor> list_of(Call& call, DType& dtype) {
  std::vector<Tensor> parts;
  std::vector<Operand> operands;
  for (const Tensor* tensor : call.tensors("tensors")) {
    call.require(tensor != nullptr, "a tensor of the list is missing");
    operands.emplace_back(*tensor);
    parts.push_back(*tensor);
  }
  call.require(!parts.empty(), "the list of tensors is empty");
  dtype = result_type(operands);
  return parts;
}

void cat(Call& call) {
  DType dtype{};
  std::vector<Tensor> parts = list_of(call, dtype);
  // Old models concatenate with empty vectors; they count for nothing.
  std::erase_if(parts, [](const Tensor& t) { return t.rank() == 1 && t.numel() == 0; });
  if (parts.empty()) return call.set(call.empty(dtype, {0}));
  call.require(parts[0].rank() > 0, "cat of 0-d tensors");
  call.set(joined(call, parts, call.dimension("dim", parts[0].rank()), dtype));
}

void repeat(Call& call) {
  const Tensor& self = call.tensor("self");
  Sizes repeats = call.integers(call.has("dims") ? "dims" : "repeats");
  // tile() takes fewer entries than dimensions.
  if (call.has("dims"))
    while (static_cast<int64_t>(repeats.size()) < self.rank()) repeats.insert(repeats.begin(), 1);
  call.require(static_cast<int64_t>(repeats.size()) >= self.rank(), "repeats has fewer entries than the tensor has dimensions");
  const size_t skip = repeats.size() - self.sizes().size();
  // [r0, s0, r1, s1, ...]: each dimension repeated is a dimension in front of it with stride 0.
  Sizes pairs, strides, sizes;
  for (size_t i = 0; i < repeats.size(); ++i) {
    const int64_t size = i < skip ? 1 : self.sizes()[i - skip];
    int64_t total = 0;
    call.require(repeats[i] >= 0 && !__builtin_mul_overflow(size, repeats[i], &total), "a repetition is out of range");
    pairs.insert(pairs.end(), {repeats[i], size});
    strides.insert(strides.end(), {0, i < skip ? 0 : self.strides()[i - skip]});
    sizes.push_back(total);
  }
  const Tensor out = call.empty(self.dtype(), sizes);
  if (out.numel() > 0) copy_into(out.reshaped(pairs), self.view_as(pairs, strides, self.storage_offset()), call.threads());
  call.set(out);
}

void repeat_interleave(Call& call) {
  const Tensor& source = call.tensor("self");
  const int64_t repeats = call.integer("repeats");
  const Tensor self = call.has("dim") ? source : source.reshaped({source.numel()});
  const int64_t dim = call.has("dim") ? call.dimension("dim", self.rank()) : 0;
  int64_t total = 0;
  call.require(self.rank() > 0 && repeats >= 0 && !__builtin_mul_overflow(self.size(dim), repeats, &total),
               "the repetition is out of range");
  Sizes sizes = self.sizes(), split = self.sizes(), strides = self.strides();
  sizes[static_cast<size_t>(dim)] = total;
  split.insert(split.begin() + dim + 1, repeats);
  strides.insert(strides.begin() + dim + 1, 0);
  const Tensor out = call.empty(self.dtype(), sizes);
  if (out.numel() > 0) copy_into(out.reshaped(split), self.view_as(split, strides, self.storage_offset()), call.threads());
  call.set(out);
}

// ----------------------------------------------------------------------------------------------------------- padding

// Pairs (before, after) from the last dimension on, as PyTorch lists them, by dimension.
struct Pads {
  Sizes before, after, sizes;
};
Pads read_pads(Call& call, const Tensor& self, std::string_view argument) {
  const Sizes list = call.integers(argument);
  call.require(list.size() % 2 == 0 && static_cast<int64_t>(list.size()) <= 2 * self.rank(), "the padding does not fit the rank");
  Pads pads = {Sizes(self.sizes().size(), 0), Sizes(self.sizes().size(), 0), self.sizes()};
  for (size_t i = 0; i < list.size() / 2; ++i) {
    const size_t dim = self.sizes().size() - 1 - i;
    pads.before[dim] = list[2 * i];
    pads.after[dim] = list[2 * i + 1];
    if (__builtin_add_overflow(pads.sizes[dim], list[2 * i], &pads.sizes[dim]) ||
        __builtin_add_overflow(pads.sizes[dim], list[2 * i + 1], &pads.sizes[dim]) || pads.sizes[dim] < 0)
      call.fail(fmt::format("padding [{}] of [{}]", fmt::join(list, ", "), fmt::join(self.sizes(), ", ")));
  }
  return pads;
}

Sizes kept_layout(const Sizes& sizes, const Tensor& self) { return joined_strides(sizes, {self}); }

void pad_constant(Call& call, const Tensor& self, const Pads& pads, const Number& value) {
  const Tensor out = call.empty(self.dtype(), pads.sizes, kept_layout(pads.sizes, self));
  copy_into(out, scalar_tensor(value, self.dtype()), call.threads());
  Tensor target = out, source = self;
  for (int64_t d = 0; d < self.rank(); ++d) {
    const size_t i = static_cast<size_t>(d);
    // Negative padding cuts.
    const int64_t from = std::max<int64_t>(-pads.before[i], 0), to = std::max<int64_t>(pads.before[i], 0);
    const int64_t length = std::min(self.sizes()[i] - from, pads.sizes[i] - to);
    if (length <= 0) return call.set(out);
    source = source.narrowed(d, from, length);
    target = target.narrowed(d, to, length);
  }
  copy_into(target, source, call.threads());
  call.set(out);
}

// Dimension by dimension: position i of the result reads position `index(i)` of the source.
enum class Border { reflect, replicate, circular };
Tensor pad_border(Call& call, Tensor self, const Pads& pads, Border border) {
  for (int64_t d = 0; d < self.rank(); ++d) {
    const size_t i = static_cast<size_t>(d);
    if (pads.before[i] == 0 && pads.after[i] == 0) continue;
    const int64_t size = self.sizes()[i];
    const int64_t limit = border == Border::reflect ? size - 1 : border == Border::circular ? size : INT64_MAX;
    if (pads.before[i] > limit || pads.after[i] > limit || size == 0) call.fail("the padding is larger than the input");
    Sizes sizes = self.sizes();
    sizes[i] = pads.sizes[i];
    const Tensor out = call.empty(self.dtype(), sizes, kept_layout(sizes, self));
    const int64_t inside_from = std::max<int64_t>(-pads.before[i], 0), inside_to = std::max<int64_t>(pads.before[i], 0);
    const int64_t length = std::max<int64_t>(0, std::min(size - inside_from, sizes[i] - inside_to));
    copy_into(out.narrowed(d, inside_to, length), self.narrowed(d, inside_from, length), call.threads());
    const auto copy_line = [&](int64_t to) {
      int64_t from = to - pads.before[i];
      if (border == Border::replicate) from = std::clamp<int64_t>(from, 0, size - 1);
      else if (border == Border::circular) from = (from % size + size) % size;
      else from = from < 0 ? -from : from >= size ? 2 * (size - 1) - from : from;
      copy_into(out.narrowed(d, to, 1), self.narrowed(d, std::clamp<int64_t>(from, 0, size - 1), 1));
    };
    for (int64_t p = 0; p < std::min(inside_to, sizes[i]); ++p) copy_line(p);
    for (int64_t p = inside_to + length; p < sizes[i]; ++p) copy_line(p);
    self = out;
  }
  return self;
}

void pad(Call& call) {
  const Tensor& self = call.tensor("self");
  const Pads pads = read_pads(call, self, "pad");
  const std::string mode = call.has("mode") ? call.string("mode") : "constant";
  if (mode == "constant") return pad_constant(call, self, pads, call.optional_number("value").value_or(Number(int64_t{0})));
  if (mode == "reflect") return call.set(pad_border(call, self, pads, Border::reflect));
  if (mode == "replicate") return call.set(pad_border(call, self, pads, Border::replicate));
  if (mode == "circular") return call.set(pad_border(call, self, pads, Border::circular));
  call.fail("padding mode '" + escaped(mode) + "'");
}
void border_pad(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(pad_border(call, self, read_pads(call, self, "padding"), static_cast<Border>(call.variant())));
}

// ---------------------------------------------------------------------------------------------------------- shuffles

Tensor flipped(const Call& call, Tensor self, int64_t dim) {
  const Tensor out = call.empty(self.dtype(), self.sizes());
  for (int64_t i = 0; i < self.size(dim); ++i) copy_into(out.narrowed(dim, i, 1), self.narrowed(dim, self.size(dim) - 1 - i, 1));
  return out;
}
void flip(Call& call) {
  Tensor result = call.tensor("self");
  for (const int64_t given : call.integers("dims"))
    if (const int64_t dim = call.wrap_dimension(given, result.rank()); result.rank() > 0) result = flipped(call, result, dim);
  call.set(result);
}

// A vector along the diagonal of two new dimensions.
void diagonal_embed(Call& call) {
  const Tensor& self = call.tensor("self");
  call.require(self.rank() >= 1, "a 0-d tensor");
  const int64_t rank = self.rank() + 1, a = call.wrap_dimension(call.integer("dim1"), rank),
                b = call.wrap_dimension(call.integer("dim2"), rank);
  const int64_t offset = call.integer("offset"), length = self.size(-1);
  call.require(a != b && offset > -(1 << 30) && offset < (1 << 30), "the diagonal needs two different dimensions and a small offset");
  const int64_t side = length + std::abs(offset);
  Sizes sizes(self.sizes().begin(), self.sizes().end() - 1);
  for (const int64_t dim : {std::min(a, b), std::max(a, b)}) sizes.insert(sizes.begin() + dim, side);
  const Tensor out = call.empty(self.dtype(), sizes);
  copy_into(out, scalar_tensor(Number(int64_t{0}), self.dtype()), call.threads());
  Sizes strides = out.strides();
  const int64_t step = strides[static_cast<size_t>(a)] + strides[static_cast<size_t>(b)];
  const int64_t skip = offset >= 0 ? offset * strides[static_cast<size_t>(b)] : -offset * strides[static_cast<size_t>(a)];
  for (const int64_t dim : {std::max(a, b), std::min(a, b)}) strides.erase(strides.begin() + dim);
  strides.push_back(step);
  if (self.numel() > 0) copy_into(out.view_as(self.sizes(), strides, skip), self, call.threads());
  call.set(out);
}

// Patches of an image as columns: [n, c, h, w] -> [n, c * kh * kw, positions].
void image_to_columns(Call& call) {
  const Tensor& given = call.tensor("self");
  const Sizes kernel = call.integers("kernel_size"), dilation = call.integers("dilation"), padding = call.integers("padding"),
              stride = call.integers("stride");
  call.require(given.rank() == 3 || given.rank() == 4, "needs an image or a batch of images");
  for (size_t i = 0; i < 2; ++i)
    call.require(kernel.size() == 2 && kernel[i] > 0 && dilation[i] > 0 && stride[i] > 0 && padding[i] >= 0 &&
                     std::max({kernel[i], dilation[i], stride[i], padding[i]}) < (1 << 20),
                 "kernel size, dilation, padding or stride is out of range");
  Sizes sizes = given.sizes(), strides = given.strides();
  if (given.rank() == 3) sizes.insert(sizes.begin(), 1), strides.insert(strides.begin(), 0);
  const Tensor self = given.view_as(sizes, strides, given.storage_offset());
  const int64_t n = sizes[0], c = sizes[1];
  const Tensor padded = call.empty(self.dtype(), {n, c, sizes[2] + 2 * padding[0], sizes[3] + 2 * padding[1]});
  copy_into(padded, scalar_tensor(Number(int64_t{0}), self.dtype()), call.threads());
  copy_into(padded.narrowed(2, padding[0], sizes[2]).narrowed(3, padding[1], sizes[3]), self, call.threads());
  Sizes positions;
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = padded.sizes()[i + 2] - dilation[i] * (kernel[i] - 1) - 1;
    call.require(room >= 0, "the image is smaller than the kernel");
    positions.push_back(room / stride[i] + 1);
  }
  const Sizes& s = padded.strides();
  const Tensor windows = padded.view_as({n, c, kernel[0], kernel[1], positions[0], positions[1]},
                                        {s[0], s[1], s[2] * dilation[0], s[3] * dilation[1], s[2] * stride[0], s[3] * stride[1]}, 0);
  const Tensor out = own_copy(call, windows);
  const Sizes result = {n, c * kernel[0] * kernel[1], positions[0] * positions[1]};
  call.set(out.reshaped(given.rank() == 4 ? result : Sizes(result.begin() + 1, result.end())));
}

void meshgrid(Call& call) {
  const std::vector<const Tensor*> tensors = call.tensors("tensors");
  const bool xy = call.has("indexing") && call.string("indexing") == "xy" && tensors.size() >= 2;
  Sizes sizes;
  for (const Tensor* tensor : tensors) {
    call.require(tensor != nullptr && tensor->rank() <= 1, "meshgrid takes vectors");
    sizes.push_back(tensor->numel());
  }
  if (xy) std::swap(sizes[0], sizes[1]);
  std::vector<Tensor> views;
  for (size_t i = 0; i < tensors.size(); ++i) {
    Sizes strides(sizes.size(), 0);
    strides[xy && i < 2 ? 1 - i : i] = tensors[i]->rank() == 0 ? 0 : tensors[i]->strides()[0];
    views.push_back(tensors[i]->view_as(sizes, strides, tensors[i]->storage_offset()));
  }
  call.set_all(std::move(views));
}

}  // namespace

std::span<const Kernel> joining_kernels() {
  static const std::vector<Kernel> table = kernels_of({
      {cat, {"aten.cat.default", "aten.concat.default", "aten.concatenate.default"}},
      {repeat, {"aten.repeat.default", "aten.tile.default"}},
      {repeat_interleave, {"aten.repeat_interleave.self_int"}},
      {pad, {"aten.pad.default", "aten.constant_pad_nd.default"}},
      {border_pad,
       {"aten.reflection_pad1d.default", "aten.reflection_pad2d.default", "aten.reflection_pad3d.default"},
       static_cast<int>(Border::reflect)},
      {border_pad,
       {"aten.replication_pad1d.default", "aten.replication_pad2d.default", "aten.replication_pad3d.default"},
       static_cast<int>(Border::replicate)},
      {flip, {"aten.flip.default"}},
      {diagonal_embed, {"aten.diag_embed.default"}},
      {image_to_columns, {"aten.im2col.default"}},
      {meshgrid, {"aten.meshgrid.default", "aten.meshgrid.indexing"}, 0, true},
  });
  return table;
}

}  // namespace intaglio::interp
