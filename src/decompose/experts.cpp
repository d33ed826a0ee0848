// Layers of experts (Mixtral and its like), as transformers exports them: tokens sorted by expert, counted by a histogram, and each
// expert's rows times its own matrix.
#include "decompose/limits.h"
#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

Value* counted(GraphBuilder& b, const Node& n, int64_t count, DType dtype) {
  return b.constant(converted(Tensor::of<int64_t>(counted_numbers(n, count), {count}), dtype));
}

// How many values each of the bins between two bounds holds; the last bin has its upper bound.
Values histogram(GraphBuilder& b, const Node& n) {
  const double low = n.number("min"), high = n.number("max");
  const int64_t bins = n.integer("bins");
  if (!(low < high)) refuse(n, "its bounds must be given: those of the data are known at run time only");
  Value* x = b.view(self(n), {size_quotient(self(n)->sizes(), {}), 1});
  Value* steps = b("aten.div.Tensor", b("aten.mul.Tensor", b("aten.sub.Tensor", x, low), bins), high - low);
  Value* bin = b("aten.clamp.default", b("aten.floor.default", steps), Argument(), bins - 1);
  Value* not_below = b("aten.ge.Scalar", x, low);
  Value* inside = b("aten.logical_and.default", not_below, b("aten.le.Scalar", x, high));
  Value* own = b("aten.logical_and.default", b("aten.eq.Tensor", bin, counted(b, n, bins, x->dtype())), inside);
  return {b("aten.sum.dim_IntList", b.cast(own, n.output()->dtype()), Ints{0})};
}

// Rows [offs[e-1], offs[e]) of x times matrix e of y. One product does it: x beside itself once for each expert, zero where the row is
// another's, times all matrices below each other. It is delegated as one layer, and what it computes in vain are zeros.
Values grouped_product(GraphBuilder& b, const Node& n) {
  const bool by_torch = n.is("aten._grouped_mm.default");
  Value *x = n.tensor(by_torch ? "self" : "input"), *y = n.tensor(by_torch ? "mat2" : "weight");
  Value* ends = by_torch ? n.optional_tensor("offs") : n.tensor("offs");
  if (ends == nullptr || x->meta().rank() != 2 || y->meta().rank() != 3 || (by_torch && n.optional_tensor("bias")))
    refuse(n,
           "rows of one matrix in groups are what has a form in the runtime's kernels; export with experts_implementation=\"batched_mm\"");
  const SymSizes sizes = y->sizes();
  if (!sizes[0].is_static() || !sizes[1].is_static()) refuse(n, "the number of experts and their inputs must have fixed sizes");
  const int64_t experts = sizes[0].value(), inner = sizes[1].value();
  Value* row = b.unsqueeze(b.call("aten.arange.default", {b.size(x, 0)}, {{"dtype", DType::int64}}), 1);
  Value* passed = b.cast(b("aten.ge.Tensor", row, b.cast(ends, DType::int64)), DType::int64);
  Value* expert = b("aten.sum.dim_IntList", passed, Ints{1}, true);
  Value* own = b.unsqueeze(b.cast(b("aten.eq.Tensor", expert, counted(b, n, experts, DType::int64)), x->dtype()), 2);
  Value* spread = b.view(b("aten.mul.Tensor", b.unsqueeze(x, 1), own), {x->sizes()[0], experts * inner});
  return {b.cast(b("aten.mm.default", spread, b.view(y, {experts * inner, sizes[2]})), n.output()->dtype())};
}

const DecompositionRow expert_rows[] = {
    {histogram, {"aten.histc.default"}},
    {grouped_product, {"aten._grouped_mm.default", "transformers.grouped_mm_fallback.default"}},
};

}  // namespace

std::span<const DecompositionRow> expert_decompositions() { return expert_rows; }

}  // namespace intaglio::decompose
