#include <cmath>
#include <limits>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

// The dimensions a reduction runs over; empty means all.
Ints dims_of(const Node& n) {
  if (!n.op().schema()->find("dim")) return {};
  const Argument dim = n.argument("dim");
  if (dim.is_none()) return {};
  return dim.is<int64_t>() ? Ints{n.integer("dim")} : n.integers("dim");
}
bool keeps_dims(const Node& n) { return n.op().schema()->find("keepdim") && n.boolean("keepdim"); }

Value* sum_of(GraphBuilder& b, Value* x, const Ints& dims, bool keep) { return b("aten.sum.dim_IntList", x, dims, keep); }

// Sums of integers and bools are int64; the kernels take the result's type.
Values sum(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  if (n.is("aten.sum.dim_IntList") && x == self(n) && n.find("dtype") == nullptr) return {};
  return {sum_of(b, x, dims_of(n), keeps_dims(n))};
}
Values mean(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  if (n.find("dtype") == nullptr && x == self(n)) return {};
  if (n.is("aten.mean.default")) return {b("aten.mean.default", x)};
  return {b("aten.mean.dim", x, dims_of(n), keeps_dims(n))};
}

Value* variance(GraphBuilder& b, const Node& n) {
  const OpSchema& schema = *n.op().schema();
  Argument correction = 1;
  if (schema.find("unbiased")) correction = n.boolean("unbiased") ? 1 : 0;
  else if (!n.argument("correction").is_none()) correction = n.argument("correction");
  return b.call("aten.var.correction", {self(n), dims_of(n)}, {{"correction", correction}, {"keepdim", keeps_dims(n)}});
}
Values var(GraphBuilder& b, const Node& n) { return {variance(b, n)}; }
Values std_deviation(GraphBuilder& b, const Node& n) { return {b("aten.sqrt.default", variance(b, n))}; }

Values vector_norm(GraphBuilder& b, const Node& n) {
  const OpSchema& schema = *n.op().schema();
  const double order = schema.find("ord") ? n.number("ord") : n.optional_number("p").value_or(2);
  const Ints dims = dims_of(n);
  const bool keep = keeps_dims(n);
  Value* x = b.cast(self(n), n.output()->dtype());
  const double infinity = std::numeric_limits<double>::infinity();
  if (order == infinity) return {b("aten.amax.default", b("aten.abs.default", x), dims, keep)};
  if (order == -infinity) return {b("aten.amin.default", b("aten.abs.default", x), dims, keep)};
  if (order == 0) return {sum_of(b, b.cast(b("aten.ne.Scalar", x, 0), x->dtype()), dims, keep)};
  if (order == 1) return {sum_of(b, b("aten.abs.default", x), dims, keep)};
  if (order == 2) return {b("aten.sqrt.default", sum_of(b, b("aten.mul.Tensor", x, x), dims, keep))};
  Value* powers = b("aten.pow.Tensor_Scalar", b("aten.abs.default", x), order);
  return {b("aten.pow.Tensor_Scalar", sum_of(b, powers, dims, keep), 1 / order)};
}

// log(sum(exp(x - m))) + m with m the maximum, 0 where that is infinite.
Values logsumexp(GraphBuilder& b, const Node& n) {
  const Ints dims = dims_of(n);
  Value* x = b.cast(self(n), n.output()->dtype());
  Value* largest = b("aten.amax.default", x, dims, true);
  Value* infinite = b("aten.eq.Scalar", b("aten.abs.default", largest), std::numeric_limits<double>::infinity());
  Value* shift = b("aten.where.self", infinite, b.number(0, x->dtype()), largest);
  Value* sum = sum_of(b, b("aten.exp.default", b("aten.sub.Tensor", x, shift)), dims, keeps_dims(n));
  Value* logarithm = b("aten.log.default", sum);
  return {b("aten.add.Tensor", logarithm, b.view(shift, sum->sizes()))};
}

Values all(GraphBuilder& b, const Node& n) {
  Value* none = b("aten.logical_not.default", self(n));
  const ArgSchema* dim = n.op().schema()->find("dim");
  Value* any = dim == nullptr
                   ? b("aten.any.default", none)
                   : b(dim->type == ArgType::integer_list ? "aten.any.dims" : "aten.any.dim", none, n.argument("dim"), keeps_dims(n));
  return {b("aten.logical_not.default", any)};
}
Values count_nonzero(GraphBuilder& b, const Node& n) {
  return {sum_of(b, b.cast(b("aten.ne.Scalar", self(n), 0), DType::int64), dims_of(n), false)};
}

// ---- NaN counts as nothing
Value* without_nan(GraphBuilder& b, Value* x) {
  Value* nan = b("aten.ne.Tensor", x, x);
  return b("aten.where.self", nan, b.number(0, x->dtype()), x);
}
Values nan_sum(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  return {sum_of(b, is_floating(x->dtype()) ? without_nan(b, x) : x, dims_of(n), keeps_dims(n))};
}
Values nan_mean(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  Value* count = sum_of(b, b.cast(b("aten.eq.Tensor", x, x), x->dtype()), dims_of(n), keeps_dims(n));
  return {b("aten.div.Tensor", sum_of(b, without_nan(b, x), dims_of(n), keeps_dims(n)), count)};
}

Values smallest_and_largest(GraphBuilder& b, const Node& n) {
  Values results;
  for (const char* op : {"aten.amin.default", "aten.amax.default"})
    results.push_back(n.argument("dim").is_none() && !keeps_dims(n) ? b(op, self(n), Ints{}) : b(op, self(n), dims_of(n), keeps_dims(n)));
  return results;
}
Values distance(GraphBuilder& b, const Node& n) {
  return {b("aten.linalg_vector_norm.default", b("aten.sub.Tensor", self(n), n.tensor("other")), n.number("p"))};
}
// The Frobenius norm, or the largest (of minus a number the least) sum of a column or a row.
Values matrix_norm_over(GraphBuilder& b, const Node& n, const Ints& dims) {
  Value* x = b.cast(self(n), n.output()->dtype());
  const Argument order = n.argument("ord");
  const auto* text = order.get_if<std::string>();
  if (order.is_none() || (text && *text == "fro")) return {b("aten.linalg_vector_norm.default", x, 2.0, dims, keeps_dims(n))};
  const double number = text ? 0 : n.number("ord");
  if (dims.size() != 2 || (std::abs(number) != 1 && !std::isinf(number)))
    refuse(n, "there is no kernel for this matrix norm; 'fro', 1 and infinity have one");
  const int64_t rank = x->meta().rank();
  Ints ordered = dims;
  for (int64_t& dim : ordered) dim = dim < 0 ? dim + rank : dim;
  if (std::isinf(number)) std::swap(ordered[0], ordered[1]);
  Value* sums = sum_of(b, b("aten.abs.default", x), {ordered[0]}, true);
  Value* result = b(number > 0 ? "aten.amax.default" : "aten.amin.default", sums, Ints{ordered[1]}, true);
  return {b.view(result, n.output()->sizes())};
}
Values matrix_norm(GraphBuilder& b, const Node& n) { return matrix_norm_over(b, n, n.integers("dim")); }
// Of vectors or, where an order is given for two dimensions, of matrices.
Values any_norm(GraphBuilder& b, const Node& n) {
  const Argument order = n.argument("ord");
  Ints dims = dims_of(n);
  if (!order.is_none() && dims.empty() && self(n)->meta().rank() == 2) dims = {0, 1};
  if (order.is<std::string>() || (!order.is_none() && dims.size() == 2)) return matrix_norm_over(b, n, dims);
  const double number = order.is_none() ? 2.0 : n.number("ord");
  return {b("aten.linalg_vector_norm.default", b.cast(self(n), n.output()->dtype()), number, n.argument("dim"), keeps_dims(n))};
}
Values vector_dot(GraphBuilder& b, const Node& n) {
  return {sum_of(b, b("aten.mul.Tensor", n.tensor("x"), n.tensor("y")), {n.integer("dim")}, false)};
}

// ---- running results: each step takes in twice as many elements in front
using Combine = Value* (*)(GraphBuilder&, Value*, Value*);
Value* running(GraphBuilder& b, const Node& n, Value* x, double neutral, Combine combine) {
  const int64_t rank = x->meta().rank();
  if (rank == 0) return x;
  const int64_t dim = dim_of(n, "dim", rank);
  const SymInt size = x->sizes()[static_cast<size_t>(dim)];
  if (!size.is_static()) refuse(n, "the dimension must have a fixed size");
  Ints pads(static_cast<size_t>(2 * (rank - dim)));
  const bool whole = !is_floating(x->dtype());
  for (int64_t reach = 1; reach < size.value(); reach *= 2) {
    pads[pads.size() - 2] = reach;
    const Argument filling = whole ? Argument(static_cast<int64_t>(neutral)) : Argument(neutral);
    x = combine(b, x, b("aten.constant_pad_nd.default", b.slice(x, dim, 0, size.value() - reach), pads, filling));
  }
  return x;
}
Value* product(GraphBuilder& b, Value* x, Value* y) { return b("aten.mul.Tensor", x, y); }
Value* greater_of(GraphBuilder& b, Value* x, Value* y) { return b("aten.maximum.default", x, y); }
Value* lesser_of(GraphBuilder& b, Value* x, Value* y) { return b("aten.minimum.default", x, y); }
Value* log_add_exp(GraphBuilder& b, Value* x, Value* y) { return b("aten.logaddexp.default", x, y); }
Values running_product(GraphBuilder& b, const Node& n) { return {running(b, n, b.cast(self(n), n.output()->dtype()), 1, product)}; }
template <Combine combine, int sign>
Values running_extreme(GraphBuilder& b, const Node& n) {
  if (!is_floating(self(n)->dtype())) refuse(n, "there is no kernel for integers");
  return {running(b, n, self(n), sign * std::numeric_limits<double>::infinity(), combine), nullptr};
}
Values running_logsumexp(GraphBuilder& b, const Node& n) {
  if (!is_floating(self(n)->dtype())) refuse(n, "logcumsumexp takes floating types; cast before");
  return {running(b, n, self(n), -std::numeric_limits<double>::infinity(), log_add_exp)};
}

// Between the two elements beside its place in the sorted order.
Values quantile(GraphBuilder& b, const Node& n) {
  Value* x = self(n);
  const bool all = n.argument("dim").is_none();
  if (all) x = b.view(x, {size_quotient(x->sizes(), {})});
  const int64_t dim = all ? 0 : dim_of(n, "dim", x->meta().rank());
  const SymInt size = x->sizes()[static_cast<size_t>(dim)];
  const std::string mode = n.string("interpolation");
  if (!size.is_static()) refuse(n, "the dimension must have a fixed size");
  if (mode != "linear" && mode != "lower" && mode != "higher") refuse(n, "this interpolation is not supported");
  const double share = n.number("q");
  if (!(share >= 0 && share <= 1)) refuse(n, "a quantile is from 0 to 1");
  const double place = share * static_cast<double>(size.value() - 1);
  const auto below = static_cast<int64_t>(std::floor(place)), above = static_cast<int64_t>(std::ceil(place));
  Value* sorted = b.node("aten.topk.default", {x, size.value(), dim, false, true}).output(0);
  const auto at = [&](int64_t index) { return b.slice(sorted, dim, index, index + 1); };
  Value* result = mode == "higher" ? at(above) : at(below);
  if (mode == "linear" && above != below)
    result =
        b("aten.add.Tensor", result, b("aten.mul.Tensor", b("aten.sub.Tensor", at(above), result), place - static_cast<double>(below)));
  return {b.view(result, n.output()->sizes())};
}

const DecompositionRow reduction_rows[] = {
    {nan_sum, {"aten.nansum.default"}},
    {nan_mean, {"aten.nanmean.default"}},
    {smallest_and_largest, {"aten.aminmax.default"}},
    {distance, {"aten.dist.default"}},
    {matrix_norm, {"aten.linalg_matrix_norm.str_ord", "aten.linalg_matrix_norm.default"}},
    {any_norm, {"aten.linalg_norm.default", "aten.linalg_norm.ord_str"}},
    {vector_dot, {"aten.linalg_vecdot.default"}},
    {running_product, {"aten.cumprod.default"}},
    {running_extreme<greater_of, -1>, {"aten.cummax.default"}},
    {running_extreme<lesser_of, 1>, {"aten.cummin.default"}},
    {running_logsumexp, {"aten.logcumsumexp.default"}},
    {quantile, {"aten.quantile.scalar"}},
    {sum, {"aten.sum.default", "aten.sum.dim_IntList"}},
    {mean, {"aten.mean.default", "aten.mean.dim"}},
    {var, {"aten.var.default", "aten.var.dim"}},
    {std_deviation, {"aten.std.default", "aten.std.dim", "aten.std.correction"}},
    {vector_norm, {"aten.linalg_vector_norm.default", "aten.norm.Scalar", "aten.norm.ScalarOpt_dim"}},
    {logsumexp, {"aten.logsumexp.default"}},
    {all, {"aten.all.default", "aten.all.dim", "aten.all.dims"}},
    {count_nonzero, {"aten.count_nonzero.default", "aten.count_nonzero.dim_IntList"}},
};

}  // namespace

std::span<const DecompositionRow> reduction_decompositions() { return reduction_rows; }

}  // namespace intaglio::decompose
