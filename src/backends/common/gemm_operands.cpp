#include "backends/common/gemm_operands.h"

#include <algorithm>

namespace intaglio::common {
namespace {

using Permutation = std::vector<int64_t>;

std::optional<Permutation> permutation_of(const Node& node) {
  if (node.is("aten.t_copy.default") || node.is("aten.t.default")) return Permutation{1, 0};
  if (!node.is("aten.permute_copy.default") && !node.is("aten.permute.default")) return std::nullopt;
  Permutation dims = node.integers("dims");
  for (int64_t& dim : dims)
    if (dim < 0) dim += static_cast<int64_t>(dims.size());
  return dims;
}

// What the permutations in front of the op start from.
std::optional<GemmWeight> stored_weight(const ProgramFacts& facts, const Value* value) {
  if (const Tensor* stored = facts.stored(value)) return GemmWeight{*stored, std::nullopt};
  if (const Node* dequantize = qdq::dequantize_of(value)) {
    const QuantParams* params = facts.params_of(*dequantize);
    const Tensor* data = params ? facts.program().constant(dequantize->tensor("input")) : nullptr;
    return data ? std::optional(GemmWeight{*data, *params}) : std::nullopt;
  }
  const Node* producer = value->producer();
  if (const auto rows = producer ? qdq::grouped_rows_of(*producer) : std::nullopt) {
    const Tensor* integers = facts.is_constant(value) ? facts.program().constant(rows->integers) : nullptr;
    return integers ? std::optional(GemmWeight{*integers, std::nullopt, true}) : std::nullopt;
  }
  const std::optional<Tensor> folded = facts.constant_value(value);
  return folded ? std::optional(GemmWeight{*folded, std::nullopt}) : std::nullopt;
}

}  // namespace

std::optional<GemmOperands> gemm_operands(const Node& node) {
  if (node.is("aten.convolution.default")) {
    const bool transposed = node.boolean("transposed");
    return GemmOperands{node.tensor("input"), node.tensor("weight"), node.optional_tensor("bias"), transposed ? 1 : 0,
                        transposed,           node.integer("groups")};
  }
  if (node.is("aten.linear.default")) return GemmOperands{node.tensor("input"), node.tensor("weight"), node.optional_tensor("bias")};
  if (node.is("aten.addmm.default")) return GemmOperands{node.tensor("mat1"), node.tensor("mat2"), node.tensor("self"), 1};
  if (node.is("aten.mm.default")) return GemmOperands{node.tensor("self"), node.tensor("mat2"), nullptr, 1};
  return std::nullopt;
}

std::optional<GemmWeight> gemm_weight(const ProgramFacts& facts, const Value* operand) {
  std::vector<Permutation> permutations;  // the one next to the op first
  const Value* value = operand;
  for (const Node* node = value->producer(); node != nullptr; node = value->producer()) {
    std::optional<Permutation> permutation = permutation_of(*node);
    if (!permutation) break;
    permutations.push_back(*std::move(permutation));
    value = node->inputs().front();
  }
  std::optional<GemmWeight> weight = stored_weight(facts, value);
  if (!weight) return std::nullopt;
  for (auto it = permutations.rbegin(); it != permutations.rend(); ++it) {
    const Permutation& permutation = *it;
    weight->data = weight->data.permuted(permutation);
    if (const auto axis = weight->params ? weight->params->axis() : std::nullopt)
      weight->params->block_size = channel_blocks(std::ranges::find(permutation, *axis) - permutation.begin());
  }
  return weight;
}

}  // namespace intaglio::common
