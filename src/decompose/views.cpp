// Everything that only renames elements becomes view, permute or expand.
#include <algorithm>
#include <numeric>

#include "decompose/permutation.h"
#include "decompose/rewrite.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

bool would_return_input(const Node& n) { return !self(n)->producer() && is_program_output(n.output()); }

// A view whose sizes are all known from the operand; symbols that it cannot write keep the sizes as they were given.
Values view(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = n.output()->sizes();
  if (self(n)->sizes() == sizes && !would_return_input(n)) return {self(n)};
  const bool plain = n.is("aten.view.default");
  const auto symbolic = std::count_if(sizes.begin(), sizes.end(), [](const SymInt& size) { return !size.is_static(); });
  const auto* written = n.find("size") ? n.find("size") : n.find("shape");
  const bool already_plain = plain && n.argument("size").is<std::vector<int64_t>>();
  if (already_plain || (plain && symbolic > 1)) return {};
  if (symbolic > 1 && written) return {b("aten.view.default", self(n), *written)};
  if (self(n)->sizes() == sizes) return {b("aten.clone.default", self(n))};
  return {b.view(self(n), sizes)};
}

// A view of the chain's first operand: what lies between is skipped.
Values view_chain(GraphBuilder& b, const Node& n) {
  const Node* inner = self(n)->producer();
  const bool foldable = inner && inner->is("aten.view.default") && n.argument("size").is<std::vector<int64_t>>();
  const Values simpler = view(b, n);
  if (!simpler.empty() || !foldable) return simpler;
  Value* first = inner->tensor("self");
  if (first->sizes() == n.output()->sizes()) return would_return_input(*inner) || !first->producer() ? Values{} : Values{first};
  return {b.view(first, n.output()->sizes())};
}

Values permute(GraphBuilder& b, const Node& n) {
  if (!permutation_of(n)) refuse(n, "conjugation");
  const Ints order = *permutation_of(n);
  if (std::is_sorted(order.begin(), order.end())) return would_return_input(n) ? Values{b("aten.clone.default", self(n))} : Values{self(n)};
  const auto symbolic =
      std::count_if(n.output()->sizes().begin(), n.output()->sizes().end(), [](const SymInt& s) { return !s.is_static(); });
  if (symbolic <= 1 && keeps_element_order(self(n)->sizes(), order)) return {b.view(self(n), n.output()->sizes())};
  if (const Node* inner = self(n)->producer(); inner && inner->is("aten.permute.default")) {
    Ints both;
    const Ints before = *permutation_of(*inner);
    for (int64_t dim : order) both.push_back(before[static_cast<size_t>(dim)]);
    return {b.permute(inner->tensor("self"), both)};
  }
  if (n.is("aten.permute.default") && n.integers("dims") == order) return {};
  return {b.permute(self(n), order)};
}

Values expand(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = n.output()->sizes();
  if (self(n)->sizes() == sizes && !would_return_input(n)) return {self(n)};
  if (n.is("aten.expand.default")) return {};
  if (n.find("size")) return {b("aten.expand.default", self(n), n.argument("size"))};
  // expand_as: sizes of the other operand
  return {b("aten.expand.default", self(n), b.sizes(sizes, {self(n), n.tensor("other")}, false))};
}

// Repeating dimensions of size 1 only is an expansion.
Values repeat(GraphBuilder& b, const Node& n) {
  const auto repeats = symbolic_sizes(n.argument(n.op().base() == "tile" ? "dims" : "repeats"));
  if (!repeats) return {};
  const auto is_one = [](const SymInt& size) { return size.is_static() && size.value() == 1; };
  SymSizes counts = *repeats;
  while (counts.size() < self(n)->sizes().size()) counts.insert(counts.begin(), 1);
  const size_t added = counts.size() - self(n)->sizes().size();
  bool expands = true;
  for (size_t i = added; i < counts.size(); ++i) expands = expands && (is_one(counts[i]) || is_one(self(n)->sizes()[i - added]));
  const bool known = std::all_of(counts.begin(), counts.end(), [](const SymInt& size) { return size.is_static(); });
  if (expands && known) return {b.expand(self(n), n.output()->sizes())};
  if (n.op().base() == "repeat") return {};
  if (!known) refuse(n, "the number of repeats must be fixed");
  Ints numbers;
  for (const SymInt& count : counts) numbers.push_back(count.value());
  return {b("aten.repeat.default", self(n), numbers)};
}

Values repeat_interleave(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  const Argument dim_argument = n.argument("dim");
  if (dim_argument.is_none()) x = b.view(x, {size_quotient(x->sizes(), {})});
  const int64_t rank = x->meta().rank();
  int64_t dim = dim_argument.is_none() ? 0 : dim_of(n, "dim", rank);
  SymSizes sizes = x->sizes();
  sizes.insert_at(static_cast<size_t>(dim) + 1, n.integer("repeats"));
  return {b.view(b.expand(b.unsqueeze(x, dim + 1), sizes), n.output()->sizes())};
}

// ---- joining
Values cat(GraphBuilder& b, const Node& n) {
  Values tensors = n.tensors("tensors");
  const size_t before = tensors.size();
  std::erase_if(tensors, [](const Value* tensor) {
    return std::any_of(tensor->sizes().begin(), tensor->sizes().end(),
                       [](const SymInt& size) { return size.is_static() && size.value() == 0; });
  });
  bool casts = false;
  for (Value*& tensor : tensors) {
    casts = casts || tensor->dtype() != n.output()->dtype();
    tensor = b.cast(tensor, n.output()->dtype());
  }
  if (tensors.empty()) return {b.full(n.output()->sizes(), 0, n.output()->dtype())};
  if (tensors.size() == 1 && !(is_program_output(n.output()) && !tensors[0]->producer())) return {tensors[0]};
  if (tensors.size() == before && !casts && n.is("aten.cat.default")) return {};
  return {b("aten.cat.default", tensors, dim_of(n, "dim", n.output()->meta().rank()))};
}

// Joining along a new dimension: along the old one at its place, then told apart by a view.
Values stack(GraphBuilder& b, const Node& n) {
  const Values tensors = n.tensors("tensors");
  const int64_t dim = dim_of(n, "dim", n.output()->meta().rank());
  if (dim < tensors[0]->meta().rank()) return {b.view(b("aten.cat.default", tensors, dim), n.output()->sizes())};
  Values columns;
  for (Value* tensor : tensors) columns.push_back(b.unsqueeze(tensor, dim));
  return {b("aten.cat.default", columns, dim)};
}

Values channel_shuffle(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = self(n)->sizes();
  const int64_t groups = n.integer("groups");
  SymSizes split = sizes;
  split[1] = groups;
  split.insert_at(2, size_quotient({sizes[1]}, {groups}));
  Ints order(split.size());
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[1], order[2]);
  return {b.view(b.permute(b.view(self(n), split), order), sizes)};
}

// [.., C*r*r, H, W] -> [.., C, r, r, H, W] -> [.., C, H, r, W, r] -> [.., C, H*r, W*r], and back.
Values pixel_shuffle(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = self(n)->sizes();
  const int64_t factor = n.integer("upscale_factor");
  const auto lead = static_cast<int64_t>(sizes.size()) - 3;
  SymSizes split = sizes.all_but_last(3);
  split.insert(split.end(),
               {size_quotient({sizes[sizes.size() - 3]}, {factor * factor}), factor, factor, sizes[sizes.size() - 2], sizes.back()});
  Ints order(static_cast<size_t>(lead));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t dim : {0, 3, 1, 4, 2}) order.push_back(lead + dim);
  return {b.view(b.permute(b.view(self(n), split), order), n.output()->sizes())};
}
Values pixel_unshuffle(GraphBuilder& b, const Node& n) {
  const SymSizes& sizes = self(n)->sizes();
  const int64_t factor = n.integer("downscale_factor");
  const auto lead = static_cast<int64_t>(sizes.size()) - 3;
  SymSizes split = sizes.all_but_last(2);
  split.insert(split.end(), {size_quotient({sizes[sizes.size() - 2]}, {factor}), factor, size_quotient({sizes.back()}, {factor}), factor});
  Ints order(static_cast<size_t>(lead));
  std::iota(order.begin(), order.end(), 0);
  for (int64_t dim : {0, 2, 4, 1, 3}) order.push_back(lead + dim);
  return {b.view(b.permute(b.view(self(n), split), order), n.output()->sizes())};
}

Values meshgrid(GraphBuilder& b, const Node& n) {
  const Values tensors = n.tensors("tensors");
  const bool swapped = n.op().schema()->find("indexing") && n.string("indexing") == "xy" && tensors.size() >= 2;
  Values grids;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const SymSizes& sizes = n.output(i)->sizes();
    SymSizes own(sizes.size(), 1);
    const size_t place = swapped && i < 2 ? 1 - i : i;
    own[place] = sizes[place];
    grids.push_back(b.expand(b.view(tensors[i], own), sizes));
  }
  return grids;
}

// Quarter turns in the plane of two dimensions.
Values rotated(GraphBuilder& b, const Node& n) {
  const int64_t rank = self(n)->meta().rank(), turns = ((n.integer("k") % 4) + 4) % 4;
  Ints dims = n.integers("dims");
  for (int64_t& dim : dims) dim = dim < 0 ? dim + rank : dim;
  if (turns == 0) return {b("aten.clone.default", self(n))};
  if (turns == 2) return {b("aten.flip.default", self(n), dims)};
  Ints order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order.at(static_cast<size_t>(dims.at(0))), order.at(static_cast<size_t>(dims.at(1))));
  return {b.permute(b("aten.flip.default", self(n), Ints{turns == 1 ? dims[1] : dims[0]}), order)};
}
template <int64_t dim>
Values flipped(GraphBuilder& b, const Node& n) {
  return {b("aten.flip.default", self(n), Ints{dim})};
}

// No kernel makes complex numbers of pairs. Of a fixed size they are the same bytes; otherwise pairs are multiplied by (1, i),
// by the one kernel that multiplies complex numbers of different sizes.
Values as_complex(GraphBuilder& b, const Node& n) {
  Value* pairs = self(n);
  if (pairs->meta().is_static()) return {};
  const DType dtype = n.output()->dtype();
  const Tensor parts = converted(Tensor::of<float>({1, 0, 0, 1}, {4}), pairs->dtype());
  const Tensor unit(dtype, {1, 2, 1}, {2, 1, 1}, 0, parts.storage());
  Value* rows = b.cast(b.view(pairs, {1, size_quotient(pairs->sizes(), {2}), 2}), dtype);
  Value* numbers = b("aten.bmm.default", rows, b.constant(unit));
  Value* result = b.call("aten.view.default", {numbers, b.sizes(n.output()->sizes(), {pairs}, true)});
  result->meta() = TensorMeta::contiguous(dtype, n.output()->sizes());
  return {result};
}

Values views_of_all(GraphBuilder& b, const Node& n) {
  Values results = n.tensors("tensors");
  for (size_t i = 0; i < results.size(); ++i) results[i] = b.view(results[i], n.output(i)->sizes());
  return results;
}

const DecompositionRow view_rows[] = {
    {as_complex, {"aten.view_as_complex.default"}},
    {rotated, {"aten.rot90.default"}},
    {flipped<1>, {"aten.fliplr.default"}},
    {flipped<0>, {"aten.flipud.default"}},
    {view,
     {"aten.atleast_1d.default", "aten.atleast_2d.default", "aten.atleast_3d.default", "aten._unsafe_view.default", "aten.reshape.default",
      "aten.ravel.default", "aten.view_as.default", "aten.reshape_as.default", "aten.flatten.using_ints", "aten.unflatten.int",
      "aten.squeeze.default", "aten.squeeze_copy.default", "aten._reshape_alias.default", "aten.squeeze.dim", "aten.squeeze.dims",
      "aten.unsqueeze.default"}},
    {views_of_all, {"aten.atleast_1d.Sequence", "aten.atleast_2d.Sequence", "aten.atleast_3d.Sequence"}},
    {view_chain, {"aten.view.default"}},
    {permute,
     {"aten.permute.default", "aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default", "aten.t.default", "aten.mT.default",
      "aten.numpy_T.default", "aten.mH.default", "aten.matrix_H.default", "aten.adjoint.default", "aten.moveaxis.int",
      "aten.moveaxis.intlist", "aten.movedim.int", "aten.movedim.intlist"}},
    {expand, {"aten.expand.default", "aten.expand_as.default", "aten.broadcast_to.default"}},
    {repeat, {"aten.repeat.default", "aten.tile.default"}},
    {repeat_interleave, {"aten.repeat_interleave.self_int"}},
    {cat, {"aten.cat.default", "aten.concat.default", "aten.concatenate.default"}},
    {stack, {"aten.stack.default"}},
    {channel_shuffle, {"aten.channel_shuffle.default", "aten.native_channel_shuffle.default"}},
    {pixel_shuffle, {"aten.pixel_shuffle.default"}},
    {pixel_unshuffle, {"aten.pixel_unshuffle.default"}},
    {meshgrid, {"aten.meshgrid.indexing", "aten.meshgrid.default"}},
};

}  // namespace

std::span<const DecompositionRow> view_decompositions() { return view_rows; }

}  // namespace intaglio::decompose
