// Losses, which a model may compute with its outputs.
#include <intaglio/error.h>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

enum Reduction : int64_t { none, mean, sum };

Values reduced(GraphBuilder& b, const Node& n, Value* losses) {
  switch (n.integer("reduction")) {
    case none: return {losses};
    case mean: return {b("aten.mean.default", losses)};
    default: return {b("aten.sum.default", losses)};
  }
}

Value* minus(GraphBuilder& b, Value* x) { return b("aten.neg.default", x); }
Value* one_minus(GraphBuilder& b, Value* x) { return b("aten.add.Tensor", minus(b, x), 1); }
Value* difference_of(GraphBuilder& b, const Node& n) { return b("aten.sub.Tensor", self(n), n.tensor("target")); }
Value* distance_of(GraphBuilder& b, const Node& n) { return b("aten.abs.default", difference_of(b, n)); }

Values squares(GraphBuilder& b, const Node& n) {
  Value* difference = difference_of(b, n);
  return reduced(b, n, b("aten.mul.Tensor", difference, difference));
}
Values distances(GraphBuilder& b, const Node& n) { return reduced(b, n, distance_of(b, n)); }

// d^2 / 2 up to the bound, then a line with the same slope: c (d - c / 2) with c = min(d, bound).
Value* square_then_line(GraphBuilder& b, const Node& n, double bound) {
  Value* distance = distance_of(b, n);
  Value* near = b("aten.clamp.default", distance, Argument(), bound);
  return b("aten.mul.Tensor", near, b("aten.sub.Tensor", distance, b("aten.mul.Tensor", near, 0.5)));
}
Values huber(GraphBuilder& b, const Node& n) { return reduced(b, n, square_then_line(b, n, n.number("delta"))); }
Values smooth_distances(GraphBuilder& b, const Node& n) {
  const double beta = n.number("beta");
  return beta == 0 ? distances(b, n) : reduced(b, n, b("aten.div.Tensor", square_then_line(b, n, beta), beta));
}

Values soft_margin(GraphBuilder& b, const Node& n) {
  Value* product = minus(b, b("aten.mul.Tensor", self(n), n.tensor("target")));
  return reduced(b, n, b("aten.log1p.default", b("aten.exp.default", product)));
}

Value* weighted(GraphBuilder& b, const Node& n, Value* losses) {
  Value* weight = n.optional_tensor("weight");
  return weight ? b("aten.mul.Tensor", losses, weight) : losses;
}
// -(t log x + (1 - t) log(1 - x)), logarithms at least -100
Values binary_cross_entropy(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *target = n.tensor("target");
  const auto bounded = [&](Value* logarithm) { return b("aten.clamp.default", logarithm, -100.0); };
  Value* hit = b("aten.mul.Tensor", target, bounded(b("aten.log.default", x)));
  Value* other = one_minus(b, target);
  Value* miss = b("aten.mul.Tensor", other, bounded(b("aten.log1p.default", minus(b, x))));
  return reduced(b, n, weighted(b, n, minus(b, b("aten.add.Tensor", hit, miss))));
}
// (1 - t) x - (1 + (p - 1) t) log sigmoid(x)
Values binary_cross_entropy_with_logits(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *target = n.tensor("target"), *positive = n.optional_tensor("pos_weight");
  Value* decay = b("aten.log_sigmoid.default", x);
  if (positive) {
    Value* more = b("aten.mul.Tensor", b("aten.sub.Tensor", positive, 1), target);
    decay = b("aten.mul.Tensor", b("aten.add.Tensor", more, 1), decay);
  }
  return reduced(b, n, weighted(b, n, b("aten.sub.Tensor", b("aten.mul.Tensor", one_minus(b, target), x), decay)));
}

Values divergence(GraphBuilder& b, const Node& n) {
  Value *x = self(n), *target = n.tensor("target");
  if (n.boolean("log_target")) {
    Value* probability = b("aten.exp.default", target);
    return reduced(b, n, b("aten.mul.Tensor", probability, b("aten.sub.Tensor", target, x)));
  }
  Value* own = x_log(b, "aten.log.default", target, target);
  return reduced(b, n, b("aten.sub.Tensor", own, b("aten.mul.Tensor", target, x)));
}

// Of logarithms of probabilities along the second dimension, or the only one, and the numbers of classes.
Values likelihood(GraphBuilder& b, const Node& n, Value* logarithms) {
  if (n.optional_tensor("weight")) refuse(n, "a loss with weights of classes; weigh the logits, or export the model without its loss");
  Value* target = n.tensor("target");
  const int64_t dim = logarithms->meta().rank() > 1 ? 1 : 0;
  Value* ignored = b("aten.eq.Scalar", target, n.integer("ignore_index"));
  Value* known = b("aten.where.self", ignored, b.number(0, target->dtype()), target);
  Value* picked = b.squeeze(b("aten.gather.default", logarithms, dim, b.unsqueeze(known, dim)), dim);
  Value* nothing = b.number(0, picked->dtype());
  Value* losses = b("aten.where.self", ignored, nothing, minus(b, picked));
  if (n.integer("reduction") != mean) return reduced(b, n, losses);
  Value* count = b("aten.sum.default", b.cast(b("aten.logical_not.default", ignored), losses->dtype()));
  return {b("aten.div.Tensor", b("aten.sum.default", losses), count)};
}
Values negative_likelihood(GraphBuilder& b, const Node& n) { return likelihood(b, n, self(n)); }

Values cross_entropy(GraphBuilder& b, const Node& n) {
  if (n.number("label_smoothing") != 0) refuse(n, "a loss with label smoothing, which is for training; export the model without its loss");
  const int64_t dim = self(n)->meta().rank() > 1 ? 1 : 0;
  Value *logarithms = b("aten.log_softmax.int", self(n), dim), *target = n.tensor("target");
  if (!is_floating(target->dtype())) return likelihood(b, n, logarithms);
  if (n.optional_tensor("weight")) refuse(n, "a loss with weights of classes; weigh the logits, or export the model without its loss");
  Value* losses = minus(b, b("aten.sum.dim_IntList", b("aten.mul.Tensor", logarithms, target), Ints{dim}));
  return reduced(b, n, losses);
}

const DecompositionRow loss_rows[] = {
    {squares, {"aten.mse_loss.default"}},
    {distances, {"aten.l1_loss.default"}},
    {huber, {"aten.huber_loss.default"}},
    {smooth_distances, {"aten.smooth_l1_loss.default"}},
    {soft_margin, {"aten.soft_margin_loss.default"}},
    {binary_cross_entropy, {"aten.binary_cross_entropy.default"}},
    {binary_cross_entropy_with_logits, {"aten.binary_cross_entropy_with_logits.default"}},
    {divergence, {"aten.kl_div.default"}},
    {negative_likelihood, {"aten.nll_loss.default", "aten.nll_loss_nd.default", "aten.nll_loss2d.default"}},
    {cross_entropy, {"aten.cross_entropy_loss.default"}},
};

}  // namespace

std::span<const DecompositionRow> loss_decompositions() { return loss_rows; }

}  // namespace intaglio::decompose
