#include <cmath>
#include <limits>

#include "edge/decompose/tables.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

Value* self(const Node& n) { return n.tensor("self"); }

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
  return {b("aten.add.Tensor", b("aten.log.default", sum), b.view(shift, sum->sizes()))};
}

Values all(GraphBuilder& b, const Node& n) {
  Value* none = b("aten.logical_not.default", self(n));
  Value* any = n.op().schema()->find("dim") ? b("aten.any.dim", none, n.integer("dim"), keeps_dims(n)) : b("aten.any.default", none);
  return {b("aten.logical_not.default", any)};
}
Values count_nonzero(GraphBuilder& b, const Node& n) {
  return {sum_of(b, b.cast(b("aten.ne.Scalar", self(n), 0), DType::int64), dims_of(n), false)};
}

constexpr DecompositionRow rows[] = {
    {"aten.sum.default", sum},
    {"aten.sum.dim_IntList", sum},
    {"aten.mean.default", mean},
    {"aten.mean.dim", mean},
    {"aten.var.default", var},
    {"aten.var.dim", var},
    {"aten.std.default", std_deviation},
    {"aten.std.dim", std_deviation},
    {"aten.std.correction", std_deviation},
    {"aten.linalg_vector_norm.default", vector_norm},
    {"aten.norm.Scalar", vector_norm},
    {"aten.norm.ScalarOpt_dim", vector_norm},
    {"aten.logsumexp.default", logsumexp},
    {"aten.all.default", all},
    {"aten.all.dim", all},
    {"aten.count_nonzero.default", count_nonzero},
    {"aten.count_nonzero.dim_IntList", count_nonzero},
};

}  // namespace

std::span<const DecompositionRow> reduction_decompositions() { return rows; }

}  // namespace intaglio
