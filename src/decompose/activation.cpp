
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

Values relu6(GraphBuilder& b, const Node& n) { return {b("aten.hardtanh.default", self(n), 0.0, 6.0)}; }

Value* hard_gate(GraphBuilder& b, Value* x) { return b("aten.clamp.default", b("aten.add.Tensor", x, 3), 0, 6); }
Values hardswish(GraphBuilder& b, const Node& n) { return {b("aten.div.Tensor", b("aten.mul.Tensor", self(n), hard_gate(b, self(n))), 6)}; }
Values hardsigmoid(GraphBuilder& b, const Node& n) { return {b("aten.div.Tensor", hard_gate(b, self(n)), 6)}; }

Values silu(GraphBuilder& b, const Node& n) { return {b("aten.mul.Tensor", self(n), b("aten.sigmoid.default", self(n)))}; }

// log(1 + exp(beta x)) / beta, and x itself where exp would overflow.
Value* soft_plus(GraphBuilder& b, Value* x, double beta, double threshold) {
  Value* scaled = beta == 1 ? x : b("aten.mul.Tensor", x, beta);
  Value* soft = b("aten.log1p.default", b("aten.exp.default", scaled));
  if (beta != 1) soft = b("aten.div.Tensor", soft, beta);
  return b("aten.where.self", b("aten.gt.Scalar", scaled, threshold), x, soft);
}
Values softplus(GraphBuilder& b, const Node& n) { return {soft_plus(b, self(n), n.number("beta"), n.number("threshold"))}; }
Values mish(GraphBuilder& b, const Node& n) {
  return {b("aten.mul.Tensor", self(n), b("aten.tanh.default", soft_plus(b, self(n), 1, 20)))};
}

Values log_sigmoid(GraphBuilder& b, const Node& n) {
  Value* decay = b("aten.exp.default", b("aten.neg.default", b("aten.abs.default", self(n))));
  Value* below = b("aten.clamp.default", self(n), Argument(), 0.0);
  return {b("aten.sub.Tensor", below, b("aten.log1p.default", decay))};
}

Values prelu(GraphBuilder& b, const Node& n) {
  Value* weight = n.tensor("weight");
  SymSizes sizes(self(n)->sizes().size(), 1);
  if (sizes.size() > 1) sizes[1] = weight->meta().sizes.empty() ? SymInt(1) : weight->sizes()[0];
  else if (!sizes.empty() && !weight->sizes().empty()) sizes[0] = weight->sizes()[0];
  Value* negative = b("aten.mul.Tensor", b.view(weight, sizes), self(n));
  return {b("aten.where.self", b("aten.gt.Scalar", self(n), 0), self(n), negative)};
}

Values selu(GraphBuilder& b, const Node& n) {
  return {b("aten.elu.default", self(n), 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)};
}
Values celu(GraphBuilder& b, const Node& n) {
  const double alpha = n.number("alpha");
  return {b("aten.elu.default", self(n), alpha, 1.0, 1.0 / alpha)};
}

Values threshold(GraphBuilder& b, const Node& n) {
  Value* low = b.number(n.argument("value"), self(n)->dtype());
  return {b("aten.where.self", b("aten.le.Scalar", self(n), n.argument("threshold")), low, self(n))};
}
Values hardshrink(GraphBuilder& b, const Node& n) {
  Value* small = b("aten.le.Scalar", b("aten.abs.default", self(n)), n.argument("lambd"));
  return {b("aten.where.self", small, b.number(0, self(n)->dtype()), self(n))};
}
// x - clamp(x, -lambda, lambda)
Values softshrink(GraphBuilder& b, const Node& n) {
  const double lambda = n.number("lambd");
  return {b("aten.sub.Tensor", self(n), b("aten.clamp.default", self(n), -lambda, lambda))};
}

Values glu(GraphBuilder& b, const Node& n) {
  const int64_t dim = dim_of(n, "dim", self(n)->meta().rank());
  const SymInt& size = self(n)->sizes()[static_cast<size_t>(dim)];
  if (!size.is_static()) return {};
  const int64_t half = size.value() / 2;
  Value* passed = b.slice(self(n), dim, 0, half);
  return {b("aten.mul.Tensor", passed, b("aten.sigmoid.default", b.slice(self(n), dim, half, 2 * half)))};
}

Values softmax(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  // The kernel of the logarithm does not take float64.
  if (n.op().base() != "softmax" && x->dtype() == DType::float64)
    return {b("aten.sub.Tensor", x, b("aten.logsumexp.default", x, Ints{n.integer("dim")}, true))};
  return {b(n.op().base() == "softmax" ? "aten._softmax.default" : "aten._log_softmax.default", x, n.integer("dim"), false)};
}
Values half_softmax(GraphBuilder& b, const Node& n) {
  if (!n.boolean("half_to_float")) return {};
  return {b(n.op().name(), b.cast(self(n), DType::float32), n.integer("dim"), false)};
}

const DecompositionRow activation_rows[] = {
    {relu6, {"aten.relu6.default"}},
    {hardswish, {"aten.hardswish.default"}},
    {hardsigmoid, {"aten.hardsigmoid.default"}},
    {silu, {"aten.silu.default"}},
    {softplus, {"aten.softplus.default"}},
    {mish, {"aten.mish.default"}},
    {log_sigmoid, {"aten.log_sigmoid.default"}},
    {prelu, {"aten.prelu.default", "aten._prelu_kernel.default"}},
    {selu, {"aten.selu.default"}},
    {celu, {"aten.celu.default"}},
    {threshold, {"aten.threshold.default"}},
    {hardshrink, {"aten.hardshrink.default"}},
    {softshrink, {"aten.softshrink.default"}},
    {glu, {"aten.glu.default"}},
    {softmax, {"aten.softmax.int", "aten.log_softmax.int"}},
    {half_softmax, {"aten._softmax.default", "aten._log_softmax.default"}},
};

}  // namespace

std::span<const DecompositionRow> activation_decompositions() { return activation_rows; }

}  // namespace intaglio::decompose
