// Functions that PyTorch itself writes with simpler ones.
#include <algorithm>

#include "decompose/limits.h"
#include "decompose/permutation.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

Value* norm(GraphBuilder& b, Value* x, double order, Ints dims, bool keep) {
  return b("aten.linalg_vector_norm.default", x, order, std::move(dims), keep);
}

// v g / |v|, the norm taken over all dimensions but one.
Value* scaled_weight(GraphBuilder& b, const Node& n, Value*& length) {
  Value* v = n.tensor("v");
  const int64_t kept = n.integer("dim") == -1 ? -1 : dim_of(n, "dim", v->meta().rank());
  Ints dims;
  for (int64_t dim = 0; dim < v->meta().rank(); ++dim)
    if (dim != kept) dims.push_back(dim);
  length = norm(b, v, 2.0, dims, true);
  return b("aten.mul.Tensor", v, b("aten.div.Tensor", n.tensor("g"), length));
}
Values weight_norm(GraphBuilder& b, const Node& n) {
  Value* length = nullptr;
  return {scaled_weight(b, n, length)};
}
Values weight_norm_interface(GraphBuilder& b, const Node& n) {
  Value* length = nullptr;
  Value* weight = scaled_weight(b, n, length);
  return {weight, length};
}

// ---- distances
Values cosine_similarity(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("x1"), *y = n.tensor("x2");
  const Ints dims = {n.integer("dim")};
  const auto length = [&](Value* v) { return b("aten.clamp_min.default", norm(b, v, 2.0, dims, false), n.number("eps")); };
  Value* product = b("aten.sum.dim_IntList", b("aten.mul.Tensor", x, y), dims);
  Value* left = length(x);
  return {b("aten.div.Tensor", product, b("aten.mul.Tensor", left, length(y)))};
}
Values pairwise_distance(GraphBuilder& b, const Node& n) {
  Value* difference = b("aten.add.Tensor", b("aten.sub.Tensor", n.tensor("x1"), n.tensor("x2")), n.number("eps"));
  return {norm(b, difference, n.number("p"), {-1}, n.boolean("keepdim"))};
}
Values cdist(GraphBuilder& b, const Node& n) {
  Value* rows = b.unsqueeze(n.tensor("x1"), -2);
  return {norm(b, b("aten.sub.Tensor", rows, b.unsqueeze(n.tensor("x2"), -3)), n.number("p"), {-1}, false)};
}

// ---- products
// Contracted dimensions go last on the left and first on the right.
Values tensordot(GraphBuilder& b, const Node& n) {
  const auto matrix = [&](Value* x, std::string_view argument, bool contracted_last, SymSizes& free) {
    Ints contracted = n.integers(argument), order;
    SymSizes inner;
    for (int64_t& dim : contracted) dim = dim < 0 ? dim + x->meta().rank() : dim;
    for (int64_t dim : contracted) inner.push_back(x->sizes().at(static_cast<size_t>(dim)));
    for (int64_t dim = 0; dim < x->meta().rank(); ++dim)
      if (std::find(contracted.begin(), contracted.end(), dim) == contracted.end()) {
        order.push_back(dim);
        free.push_back(x->sizes()[static_cast<size_t>(dim)]);
      }
    order.insert(contracted_last ? order.end() : order.begin(), contracted.begin(), contracted.end());
    const SymInt outside = size_quotient(free, {}), inside = size_quotient(inner, {});
    Value* ordered = b.permute(x, order);
    return contracted_last ? b.view(ordered, {outside, inside}) : b.view(ordered, {inside, outside});
  };
  SymSizes rows, columns;
  Value* left = matrix(self(n), "dims_self", true, rows);
  Value* right = matrix(n.tensor("other"), "dims_other", false, columns);
  rows.insert(rows.end(), columns.begin(), columns.end());
  return {b.view(b("aten.mm.default", left, right), rows)};
}

// x W_o y for each output o: first x with all of them, then with y.
Values bilinear(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("input1"), *y = n.tensor("input2"), *weight = n.tensor("weight"), *bias = n.optional_tensor("bias");
  const SymSizes& sizes = weight->sizes();  // [out, left, right]
  Value* all = b("aten.matmul.default", x, b.view(b.permute(weight, {1, 0, 2}), {sizes[1], size_quotient({sizes[0], sizes[2]}, {})}));
  SymSizes split = x->sizes().all_but_last(1);
  split.insert(split.end(), {sizes[0], sizes[2]});
  Value* rows = b.view(all, split);
  Value* result = b("aten.sum.dim_IntList", b("aten.mul.Tensor", rows, b.unsqueeze(y, -2)), Ints{-1});
  return {bias ? b("aten.add.Tensor", result, bias) : result};
}

// ---- joining
// At least `rank` dimensions: a vector becomes a row, a matrix an image of one channel.
Value* at_least(GraphBuilder& b, Value* x, int64_t rank) {
  while (x->meta().rank() < rank) x = b.unsqueeze(x, x->meta().rank() == 2 ? 2 : 0);
  return x;
}
Values joined(GraphBuilder& b, const Node& n, int64_t rank, int64_t dim) {
  Values parts;
  for (Value* tensor : n.tensors("tensors")) parts.push_back(at_least(b, tensor, rank));
  return {b("aten.cat.default", parts, parts[0]->meta().rank() == 1 ? 0 : dim)};
}
Values hstack(GraphBuilder& b, const Node& n) { return joined(b, n, 1, 1); }
Values vstack(GraphBuilder& b, const Node& n) { return joined(b, n, 2, 0); }
Values dstack(GraphBuilder& b, const Node& n) { return joined(b, n, 3, 2); }
Values broadcast_tensors(GraphBuilder& b, const Node& n) {
  Values results;
  const Values tensors = n.tensors("tensors");
  for (size_t i = 0; i < tensors.size(); ++i) results.push_back(b.expand(tensors[i], n.output(i)->sizes()));
  return results;
}

Values column_stack(GraphBuilder& b, const Node& n) {
  Values columns;
  for (Value* tensor : n.tensors("tensors")) {
    while (tensor->meta().rank() < 2) tensor = b.unsqueeze(tensor, -1);
    columns.push_back(tensor);
  }
  return {b("aten.cat.default", columns, 1)};
}
// Each matrix in columns of its own, zeros beside it.
Values block_diagonal(GraphBuilder& b, const Node& n) {
  const SymInt width = n.output()->sizes()[1];
  if (!width.is_static()) refuse(n, "the matrices must have fixed sizes");
  Values bands;
  int64_t before = 0;
  for (Value* tensor : n.tensors("tensors")) {
    tensor = b.cast(at_least(b, tensor, 2), n.output()->dtype());
    const int64_t columns = tensor->sizes()[1].value();
    bands.push_back(b("aten.constant_pad_nd.default", tensor, Ints{before, width.value() - before - columns}));
    before += columns;
  }
  return {b("aten.cat.default", bands, 0)};
}
Values cartesian_product(GraphBuilder& b, const Node& n) {
  const Values tensors = n.tensors("tensors");
  if (tensors.size() == 1) return {b.view(tensors[0], n.output()->sizes())};
  SymSizes sizes;
  for (const Value* tensor : tensors) sizes.push_back(tensor->sizes().at(0));
  Values columns;
  for (size_t i = 0; i < tensors.size(); ++i) {
    SymSizes own(tensors.size(), 1);
    own[i] = sizes[i];
    columns.push_back(b.view(b.expand(b.view(tensors[i], own), sizes), {n.output()->sizes()[0], 1}));
  }
  return {b("aten.cat.default", columns, 1)};
}

// ---- diagonals
// The order of dimensions that puts these two last.
Ints with_last(int64_t rank, int64_t first, int64_t second) {
  Ints order;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != first && dim != second) order.push_back(dim);
  order.insert(order.end(), {first, second});
  return order;
}
// A vector's elements on a diagonal, zeros elsewhere: the mask is constant.
Value* on_diagonal(GraphBuilder& b, const Node& n, Value* x, int64_t offset) {
  const int64_t shift = std::abs(offset);
  if (!x->sizes().back().is_static()) refuse(n, "the diagonal must have a fixed size");
  const int64_t size = x->sizes().back().value() + shift;
  Tensor mask = bounded_zeros(n, DType::boolean, {size, size});
  for (int64_t i = 0; i + shift < size; ++i)
    mask.mutable_data<bool>()[(offset < 0 ? i + shift : i) * size + (offset > 0 ? i + shift : i)] = true;
  if (shift) x = b("aten.constant_pad_nd.default", x, Ints{0, shift});
  Value *chosen = b.constant(std::move(mask)), *column = b.unsqueeze(x, offset < 0 ? -2 : -1);
  return b("aten.where.self", chosen, column, b.number(0, x->dtype()));
}
Values diagonal_matrix(GraphBuilder& b, const Node& n) {
  if (n.op().base() == "diag" && self(n)->meta().rank() == 2) return {b("aten.diagonal.default", self(n), n.integer("diagonal"))};
  if (n.op().base() == "diag") return {on_diagonal(b, n, self(n), n.integer("diagonal"))};
  const int64_t rank = n.output()->meta().rank();
  Value* matrices = on_diagonal(b, n, self(n), n.integer("offset"));
  return {b.permute(matrices, inverse_permutation(with_last(rank, dim_of(n, "dim1", rank), dim_of(n, "dim2", rank))))};
}
Values flat_on_diagonal(GraphBuilder& b, const Node& n) {
  return {on_diagonal(b, n, b.view(self(n), {size_quotient(self(n)->sizes(), {})}), n.integer("offset"))};
}
// Another diagonal in place of one of a matrix: the mask is constant.
Values diagonal_scatter(GraphBuilder& b, const Node& n) {
  const int64_t rank = self(n)->meta().rank(), offset = n.integer("offset");
  const Ints order = with_last(rank, dim_of(n, "dim1", rank), dim_of(n, "dim2", rank));
  Value *whole = b.permute(self(n), order), *column = n.tensor("src");
  const SymInt &rows = whole->sizes()[static_cast<size_t>(rank) - 2], &columns = whole->sizes().back(), &length = column->sizes().back();
  if (!rows.is_static() || !columns.is_static() || !length.is_static()) refuse(n, "the matrix must have a fixed size");
  Tensor mask = bounded_zeros(n, DType::boolean, {rows.value(), columns.value()});
  const int64_t first = std::max<int64_t>(0, -offset);
  for (int64_t row = first; row < rows.value() && row + offset < columns.value(); ++row)
    mask.mutable_data<bool>()[row * columns.value() + row + offset] = true;
  const Ints around = {first, rows.value() - length.value() - first};
  if (around[1] < 0) refuse(n, "the source is longer than the diagonal");
  if (around != Ints{0, 0}) column = b("aten.constant_pad_nd.default", column, around);
  Value* chosen = b.constant(std::move(mask));
  return {b.permute(b("aten.where.self", chosen, b.unsqueeze(column, -1), whole), inverse_permutation(order))};
}
Values trace(GraphBuilder& b, const Node& n) { return {b("aten.sum.default", b("aten.diagonal.default", self(n)))}; }

// ---- neighbours
Values difference(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  const int64_t dim = dim_of(n, "dim", x->meta().rank());
  constexpr int64_t highest = 64;
  if (n.integer("n") > highest) refuse(n, "differences of an order above 64");
  Values parts;
  for (Value* part : {n.optional_tensor("prepend"), x, n.optional_tensor("append")})
    if (part) parts.push_back(part);
  if (parts.size() > 1) x = b("aten.cat.default", parts, dim);
  for (int64_t i = 0; i < n.integer("n"); ++i) {
    const bool flags = x->dtype() == DType::boolean;
    Value* before = b.slice(x, dim, 0, -1);
    x = b(flags ? "aten.logical_xor.default" : "aten.sub.Tensor", b.slice(x, dim, 1, INT64_MAX), before);
  }
  return {x};
}
Values pairs_distance(GraphBuilder& b, const Node& n) {
  if (!self(n)->sizes()[0].is_static()) refuse(n, "the number of rows must be fixed");
  const int64_t count = self(n)->sizes()[0].value();
  written_out(n, DType::int64, {count, count});
  std::vector<int64_t> left, right;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = i + 1; j < count; ++j) left.push_back(i), right.push_back(j);
  const auto rows = [&](const std::vector<int64_t>& numbers) {
    return b("aten.index_select.default", self(n), 0, b.constant(Tensor::of<int64_t>(numbers, {static_cast<int64_t>(numbers.size())})));
  };
  Value* first = rows(left);
  return {norm(b, b("aten.sub.Tensor", first, rows(right)), n.number("p"), {-1}, false)};
}

// ---- statistics
Values with_mean(GraphBuilder& b, const Node& n, bool root) {
  const OpSchema& schema = *n.op().schema();
  const Argument dim = schema.find("dim") ? n.argument("dim") : Argument();
  const bool keep = schema.find("keepdim") && n.boolean("keepdim");
  Argument correction = schema.find("correction") ? n.argument("correction") : Argument(n.boolean("unbiased") ? 1 : 0);
  if (correction.is_none()) correction = 1;
  Value* variance = b.call("aten.var.correction", {self(n), dim}, {{"correction", correction}, {"keepdim", keep}});
  Value* mean = b("aten.mean.dim", self(n), dim, keep);
  return {root ? b("aten.sqrt.default", variance) : variance, mean};
}
Values var_mean(GraphBuilder& b, const Node& n) { return with_mean(b, n, false); }
Values std_mean(GraphBuilder& b, const Node& n) { return with_mean(b, n, true); }

// log(e^x + e^y) = max(x, y) + log(1 + e^-|x - y|)
Values logaddexp(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *y = n.tensor("other");
  Value* distance = b("aten.abs.default", b("aten.sub.Tensor", x, y));
  Value* rest = b("aten.log1p.default", b("aten.exp.default", b("aten.neg.default", distance)));
  return {b("aten.add.Tensor", b("aten.maximum.default", x, y), rest)};
}
Values hypot(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *y = n.tensor("other");
  Value* left = b("aten.mul.Tensor", x, x);
  return {b("aten.sqrt.default", b("aten.add.Tensor", left, b("aten.mul.Tensor", y, y)))};
}

// What lies along a dimension is shortened to a norm; PyTorch divides by a little more.
Values renorm(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  const int64_t rank = x->meta().rank(), kept = dim_of(n, "dim", rank);
  Ints reduced;
  for (int64_t dim = 0; dim < rank; ++dim)
    if (dim != kept) reduced.push_back(dim);
  Value* length = norm(b, x, n.number("p"), reduced, true);
  Value* factor = b("aten.mul.Tensor", b("aten.reciprocal.default", b("aten.add.Tensor", length, 1e-7)), n.argument("maxnorm"));
  Value* too_long = b("aten.gt.Scalar", length, n.argument("maxnorm"));
  Value* shortened = b("aten.where.self", too_long, factor, b.number(1, x->dtype()));
  return {b("aten.mul.Tensor", x, shortened)};
}

const DecompositionRow composite_rows[] = {
    {renorm, {"aten.renorm.default"}},
    {weight_norm, {"aten._weight_norm.default"}},
    {weight_norm_interface, {"aten._weight_norm_interface.default"}},
    {cosine_similarity, {"aten.cosine_similarity.default"}},
    {pairwise_distance, {"aten.pairwise_distance.default"}},
    {cdist, {"aten.cdist.default"}},
    {tensordot, {"aten.tensordot.default"}},
    {bilinear, {"aten.bilinear.default"}},
    {hstack, {"aten.hstack.default"}},
    {vstack, {"aten.vstack.default"}},
    {dstack, {"aten.dstack.default"}},
    {broadcast_tensors, {"aten.broadcast_tensors.default"}},
    {column_stack, {"aten.column_stack.default"}},
    {block_diagonal, {"aten.block_diag.default"}},
    {cartesian_product, {"aten.cartesian_prod.default"}},
    {diagonal_matrix, {"aten.diag.default", "aten.diag_embed.default"}},
    {flat_on_diagonal, {"aten.diagflat.default"}},
    {diagonal_scatter, {"aten.diagonal_scatter.default"}},
    {trace, {"aten.trace.default"}},
    {difference, {"aten.diff.default"}},
    {pairs_distance, {"aten.pdist.default"}},
    {var_mean, {"aten.var_mean.correction", "aten.var_mean.dim", "aten.var_mean.default"}},
    {std_mean, {"aten.std_mean.default", "aten.std_mean.correction", "aten.std_mean.dim"}},
    {logaddexp, {"aten.logaddexp.default"}},
    {hypot, {"aten.hypot.default"}},
};

}  // namespace

std::span<const DecompositionRow> composite_decompositions() { return composite_rows; }

}  // namespace intaglio::decompose
