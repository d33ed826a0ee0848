// Ops that rearrange: the same elements under other sizes. The `_copy` forms follow the same rules.
#include <algorithm>

#include <fmt/format.h>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

const SymSizes& self(const Inference& in) { return in.sizes("self"); }
void keep_type(Inference& in, SymSizes sizes) { in.result(in.operand("self").dtype, std::move(sizes)); }

bool is_unit(const SymInt& size) { return size.is_static() && size.value() == 1; }

// Sizes with one -1 filled in so that the elements fit.
void view_as_sizes(Inference& in, SymSizes wanted) {
  if (!in.known) return;
  const SymSizes& from = self(in);
  std::optional<size_t> open;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].is_static()) continue;
    in.require(wanted[i].value() >= -1, "a size is negative");
    if (wanted[i].value() != -1) continue;
    in.require(!open, "only one size may be -1");
    open = i;
  }
  if (open) {
    SymSizes others = wanted;
    others.erase_at(*open);
    wanted[*open] = size_quotient(from, others);
  }
  const SymInt before = size_product(from), after = size_product(wanted);
  if (before.hint() && after.hint() && *before.hint() != *after.hint())
    in.fail(fmt::format("{} elements do not fit the new sizes, which hold {}", *before.hint(), *after.hint()));
  keep_type(in, std::move(wanted));
}

void append(SymSizes& sizes, const SymSizes& more) { sizes.insert(sizes.end(), more.begin(), more.end()); }

void view(Inference& in) { view_as_sizes(in, in.symbols("size")); }
void reshape(Inference& in) { view_as_sizes(in, in.symbols("shape")); }
void view_as(Inference& in) { keep_type(in, in.sizes("other")); }

void flatten(Inference& in) {
  const SymSizes& from = self(in);
  if (from.empty()) return keep_type(in, {1});
  const size_t first = in.dim(in.node.integer("start_dim"), from.size()), last = in.dim(in.node.integer("end_dim"), from.size());
  in.require(first <= last, "start_dim comes after end_dim");
  SymSizes sizes = from.first(first);
  sizes.push_back(size_quotient(from.first(last + 1).all_but_first(first), {}));
  append(sizes, from.all_but_first(last + 1));
  keep_type(in, std::move(sizes));
}

// The two dimensions leave, and their diagonal comes last.
void diagonal(Inference& in) {
  SymSizes sizes = self(in);
  const size_t rows = in.dim(in.node.integer("dim1"), sizes.size()), columns = in.dim(in.node.integer("dim2"), sizes.size());
  in.require(rows != columns, "the two dimensions are the same");
  if (!sizes[rows].is_static() || !sizes[columns].is_static()) return in.unknown();
  const int64_t offset = in.node.integer("offset");
  const int64_t height = sizes[rows].value() + std::min<int64_t>(offset, 0), width = sizes[columns].value() - std::max<int64_t>(offset, 0);
  const int64_t length = std::max<int64_t>(std::min(height, width), 0);
  sizes.erase_at(std::max(rows, columns));
  sizes.erase_at(std::min(rows, columns));
  sizes.push_back(length);
  keep_type(in, std::move(sizes));
}

void unflatten(Inference& in) {
  const SymSizes& from = self(in);
  const size_t at = in.dim(in.node.integer("dim"), from.size());
  SymSizes wanted = from.first(at);
  const SymSizes parts = in.symbols("sizes");
  append(wanted, parts);
  append(wanted, from.all_but_first(at + 1));
  view_as_sizes(in, std::move(wanted));
}

void squeeze_dims(Inference& in, const List<size_t>& dims) {
  SymSizes sizes;
  for (size_t i = 0; i < self(in).size(); ++i)
    if (!is_unit(self(in)[i]) || std::find(dims.begin(), dims.end(), i) == dims.end()) sizes.push_back(self(in)[i]);
  keep_type(in, std::move(sizes));
}
void squeeze(Inference& in) {
  List<size_t> all(self(in).size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  squeeze_dims(in, all);
}
void squeeze_dim(Inference& in) { squeeze_dims(in, {in.dim(in.node.integer("dim"), self(in).size())}); }
void squeeze_list(Inference& in) { squeeze_dims(in, in.dims(in.node.integers("dim"), self(in).size())); }

void unsqueeze(Inference& in) {
  SymSizes sizes = self(in);
  const size_t at = in.dim(in.node.integer("dim"), sizes.size() + 1);
  sizes.insert_at(at, 1);
  keep_type(in, std::move(sizes));
}

void permute(Inference& in) {
  const SymSizes& from = self(in);
  const List<size_t> order = in.dims(in.node.integers("dims"), from.size());
  in.require(order.size() == from.size(), "the permutation does not name every dimension");
  SymSizes sizes;
  for (size_t dim : order) sizes.push_back(from[dim]);
  keep_type(in, std::move(sizes));
}
void transpose(Inference& in) {
  SymSizes sizes = self(in);
  const OpSchema& schema = *in.node.op().schema();
  const bool numbered = schema.find("dim0") != nullptr;
  const size_t a = in.dim(in.node.integer(numbered ? "dim0" : "axis0"), sizes.size());
  const size_t b = in.dim(in.node.integer(numbered ? "dim1" : "axis1"), sizes.size());
  if (!sizes.empty()) std::swap(sizes[a], sizes[b]);
  keep_type(in, std::move(sizes));
}
void transpose_2d(Inference& in) {
  in.require(self(in).size() <= 2, "more than two dimensions");
  keep_type(in, SymSizes(self(in).rbegin(), self(in).rend()));
}
void reverse_dims(Inference& in) { keep_type(in, SymSizes(self(in).rbegin(), self(in).rend())); }
void matrix_transpose(Inference& in) {
  SymSizes sizes = self(in);
  in.require(sizes.size() >= 2, "fewer than two dimensions");
  std::swap(sizes[sizes.size() - 1], sizes[sizes.size() - 2]);
  keep_type(in, std::move(sizes));
}
void movedim(Inference& in) {
  const SymSizes& from = self(in);
  if (from.empty()) return keep_type(in, {});
  const List<size_t> source = in.dims(in.node.integers("source"), from.size());
  const List<size_t> target = in.dims(in.node.integers("destination"), from.size());
  in.require(source.size() == target.size(), "source and destination differ in length");
  List<std::optional<size_t>> order(from.size());
  std::vector<bool> taken(from.size());
  for (size_t i = 0; i < source.size(); ++i) {
    order[target[i]] = source[i];
    taken[source[i]] = true;
  }
  size_t next = 0;
  SymSizes sizes;
  for (auto& dim : order) {
    if (!dim) {
      while (taken[next]) ++next;
      dim = next++;
    }
    sizes.push_back(from[*dim]);
  }
  keep_type(in, std::move(sizes));
}

void expand_to(Inference& in, const SymSizes& wanted) {
  if (!in.known) return;
  const SymSizes& from = self(in);
  in.require(wanted.size() >= from.size(), "fewer sizes than dimensions");
  const size_t added = wanted.size() - from.size();
  SymSizes sizes = wanted;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool keeps = wanted[i].is_static() && wanted[i].value() == -1;
    if (i < added) {
      in.require(!keeps, "-1 for a new dimension");
      continue;
    }
    const SymInt& size = from[i - added];
    if (keeps) sizes[i] = size;
    else in.require(is_unit(size) || !surely_differ(size, wanted[i]), "only dimensions of size 1 can be expanded");
  }
  keep_type(in, std::move(sizes));
}
void expand(Inference& in) { expand_to(in, in.symbols("size")); }
void expand_as(Inference& in) { expand_to(in, in.sizes("other")); }

void repeat(Inference& in) {
  SymSizes sizes = in.symbols("repeats");
  const SymSizes& from = self(in);
  if (!in.known) return;
  in.require(sizes.size() >= from.size(), "fewer repeats than dimensions");
  const size_t added = sizes.size() - from.size();
  for (size_t i = added; i < sizes.size(); ++i) sizes[i] = sizes[i] * from[i - added];
  keep_type(in, std::move(sizes));
}

void cat(Inference& in) {
  const List<Value*> tensors = in.node.tensors("tensors");
  in.require(!tensors.empty(), "no tensors");
  std::vector<PromotionOperand> types;
  std::optional<SymSizes> sizes;
  const auto is_legacy_empty = [](const SymSizes& s) { return s.size() == 1 && s[0].is_static() && s[0].value() == 0; };
  for (const Value* tensor : tensors) {
    types.push_back({tensor->dtype(), PromotionRank::tensor});
    if (is_legacy_empty(tensor->sizes())) continue;
    if (!sizes) {
      sizes = tensor->sizes();
      continue;
    }
    const size_t at = in.dim(in.node.integer("dim"), sizes->size());
    in.require(tensor->sizes().size() == sizes->size(), "the tensors differ in their number of dimensions");
    for (size_t i = 0; i < sizes->size(); ++i)
      if (i == at) (*sizes)[i] = (*sizes)[i] + tensor->sizes()[i];
      else in.require(!surely_differ((*sizes)[i], tensor->sizes()[i]), "the tensors differ in another dimension than the joined one");
  }
  if (sizes) in.dim(in.node.integer("dim"), sizes->size());
  in.result(result_type(types), sizes.value_or(SymSizes{0}));
}

void stack(Inference& in) {
  const List<Value*> tensors = in.node.tensors("tensors");
  in.require(!tensors.empty(), "no tensors");
  SymSizes sizes = tensors.front()->sizes();
  std::vector<PromotionOperand> types;
  for (const Value* tensor : tensors) {
    types.push_back({tensor->dtype(), PromotionRank::tensor});
    in.require(tensor->sizes().size() == sizes.size(), "the tensors differ in their number of dimensions");
    for (size_t i = 0; i < sizes.size(); ++i) in.require(!surely_differ(sizes[i], tensor->sizes()[i]), "the tensors differ in size");
  }
  const size_t at = in.dim(in.node.integer("dim"), sizes.size() + 1);
  sizes.insert_at(at, static_cast<int64_t>(tensors.size()));
  in.result(result_type(types), sizes);
}

void channel_shuffle(Inference& in) { keep_type(in, self(in)); }

void pixel_shuffle(Inference& in) {
  SymSizes sizes = self(in);
  const int64_t factor = in.node.integer("upscale_factor");
  in.require(sizes.size() >= 3 && factor > 0 && factor < (1 << 15), "needs three dimensions and a positive factor");
  SymInt& channels = sizes[sizes.size() - 3];
  in.require(!channels.is_static() || channels.value() % (factor * factor) == 0, "the channels do not divide by the factor's square");
  channels = size_quotient({channels}, {factor * factor});
  for (size_t i = sizes.size() - 2; i < sizes.size(); ++i) sizes[i] = sizes[i] * SymInt(factor);
  keep_type(in, std::move(sizes));
}
void pixel_unshuffle(Inference& in) {
  SymSizes sizes = self(in);
  const int64_t factor = in.node.integer("downscale_factor");
  in.require(sizes.size() >= 3 && factor > 0 && factor < (1 << 15), "needs three dimensions and a positive factor");
  sizes[sizes.size() - 3] = sizes[sizes.size() - 3] * SymInt(factor * factor);
  for (size_t i = sizes.size() - 2; i < sizes.size(); ++i) {
    in.require(!sizes[i].is_static() || sizes[i].value() % factor == 0, "the image does not divide by the factor");
    sizes[i] = size_quotient({sizes[i]}, {factor});
  }
  keep_type(in, std::move(sizes));
}

// Elements of the operand's memory under other sizes. How long that memory is, is known of contiguous operands.
void as_strided(Inference& in) {
  const TensorMeta& operand = in.operand("self");
  const SymSizes sizes = in.symbols("size"), strides = in.symbols("stride");
  if (!in.known) return;
  in.require(sizes.size() == strides.size(), "size and stride differ in length");
  const std::optional<SymInt> offset = in.has("storage_offset") ? in.symbol("storage_offset") : operand.storage_offset;
  bool is_static = offset && offset->is_static() && operand.is_static(), is_empty = false;
  for (size_t dim = 0; dim < sizes.size(); ++dim) {
    for (const SymInt* number : {&sizes[dim], &strides[dim]})
      in.require(!number->is_static() || number->value() >= 0, "a size or a stride is negative");
    is_static = is_static && sizes[dim].is_static() && strides[dim].is_static();
    is_empty = is_empty || (sizes[dim].is_static() && sizes[dim].value() == 0);
  }
  if (is_static && !is_empty && operand.strides == TensorMeta::contiguous(operand.dtype, operand.sizes).strides) {
    SymInt last = *offset;
    for (size_t dim = 0; dim < sizes.size(); ++dim) last = last + strides[dim] * (sizes[dim] - SymInt(1));
    in.require(offset->value() >= 0 && last.value() < size_product(operand.sizes).value(), "elements beyond the operand's are named");
  }
  keep_type(in, sizes);
}

const Rule view_table[] = {
    {as_strided, {"aten.as_strided.default"}},
    {view, {"aten.view.default", "aten._unsafe_view.default", "aten._reshape_copy.default"}},
    {reshape, {"aten.reshape.default"}},
    {view_as, {"aten.view_as.default", "aten.reshape_as.default"}},
    {flatten, {"aten.flatten.using_ints"}},
    {unflatten, {"aten.unflatten.int"}},
    {squeeze, {"aten.squeeze.default"}},
    {squeeze_dim, {"aten.squeeze.dim"}},
    {squeeze_list, {"aten.squeeze.dims"}},
    {unsqueeze, {"aten.unsqueeze.default"}},
    {permute, {"aten.permute.default"}},
    {transpose, {"aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default"}},
    {transpose_2d, {"aten.t.default"}},
    {reverse_dims, {"aten.numpy_T.default"}},
    {matrix_transpose, {"aten.mT.default"}},
    {movedim, {"aten.movedim.intlist", "aten.movedim.int"}},
    {diagonal, {"aten.diagonal.default"}},
    {expand, {"aten.expand.default", "aten.broadcast_to.default"}},
    {expand_as, {"aten.expand_as.default"}},
    {repeat, {"aten.repeat.default"}},
    {cat, {"aten.cat.default", "aten.concat.default", "aten.concatenate.default"}},
    {stack, {"aten.stack.default"}},
    {channel_shuffle, {"aten.channel_shuffle.default", "aten.native_channel_shuffle.default"}},
    {pixel_shuffle, {"aten.pixel_shuffle.default"}},
    {pixel_unshuffle, {"aten.pixel_unshuffle.default"}},
};

}  // namespace

std::span<const Rule> view_rules() { return view_table; }

}  // namespace intaglio::infer
