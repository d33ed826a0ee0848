// Casts and copies. In a functional graph a copy is its operand, except where the program would return its own input.
#include "decompose/rewrite.h"
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

Values copy(GraphBuilder& b, const Node& n) {
  const bool returns_input = !self(n)->producer() && is_program_output(n.output());
  if (!returns_input) return {self(n)};
  if (n.is("aten.clone.default") && n.arguments().size() == 1) return {};
  return {b("aten.clone.default", self(n))};
}

Values cast(GraphBuilder& b, const Node& n) {
  const DType wanted = n.output()->dtype();
  if (wanted == self(n)->dtype()) return copy(b, n);
  if (n.is("aten._to_copy.default") && n.arguments().size() == 2 && n.find("dtype")) return {};
  return {b.cast(self(n), wanted)};
}

Values overwritten(GraphBuilder& b, const Node& n) { return {b.expand(b.cast(n.tensor("src"), self(n)->dtype()), self(n)->sizes())}; }

Values dropout(GraphBuilder&, const Node& n) {
  if (n.boolean("train") && n.number("p") != 0) refuse(n, "dropout in training mode; call eval() before the export");
  return {n.tensor("input")};
}

// Weights that the program computes are quantized when it runs, by a kernel with wide scales.
Values quantized_channels(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("input"), *scales = n.tensor("scales"), *zero_points = n.tensor("zero_points");
  if (!x->producer() || (scales->dtype() == DType::float64 && zero_points->dtype() == DType::int64)) return {};
  return {b.call(n.op().name(), {x, b.cast(scales, DType::float64), b.cast(zero_points, DType::int64), n.integer("axis"),
                                 n.integer("quant_min"), n.integer("quant_max"), n.argument("dtype")})};
}

const DecompositionRow copy_rows[] = {
    {quantized_channels, {"quantized_decomposed.quantize_per_channel.default"}},
    // resolve_conj: complex numbers have no lazy conjugates here, and real ones none at all
    {copy,
     {"aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default", "aten.lift_fresh_copy.default",
      "aten.lift_fresh.default", "aten.resolve_conj.default", "aten.resolve_neg.default"}},
    {cast, {"aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other", "aten.type_as.default", "aten._to_copy.default"}},
    {overwritten, {"aten.copy.default"}},
    {dropout, {"aten.dropout.default", "aten.feature_dropout.default", "aten.alpha_dropout.default", "aten.feature_alpha_dropout.default"}},
};

}  // namespace

std::span<const DecompositionRow> copy_decompositions() { return copy_rows; }

}  // namespace intaglio::decompose
