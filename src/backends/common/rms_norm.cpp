#include "backends/common/rms_norm.h"

#include <optional>

#include "ir/match.h"
#include "ir/mutations.h"

namespace intaglio::common {
namespace {

// mean(x * x) over the last dimension, which stays.
bool is_mean_of_squares(const Value* value, const Value* x) {
  const Node* mean = made_by(value, "aten.mean.dim");
  if (!mean || !mean->boolean("keepdim")) return false;
  const std::vector<int64_t> dims = mean->integers("dim");
  if (dims.size() != 1 || (dims[0] != -1 && dims[0] != x->meta().rank() - 1)) return false;
  return square_root_of(mean->tensor("self")) == x;
}

std::optional<double> eps_beside_mean(const LastingConstants& constants, const Value* sum, const Value* x) {
  if (const Node* add = made_by(sum, "aten.add.Scalar"))
    return is_mean_of_squares(add->tensor("self"), x) && add->number("alpha") == 1 ? std::optional(add->number("other")) : std::nullopt;
  const Node* add = made_by(sum, "aten.add.Tensor");
  if (!add || add->number("alpha") != 1) return std::nullopt;
  for (const auto& [mean, eps] : both_ways(*add)) {
    const Tensor* number = constants.find(eps);
    if (number && number->numel() == 1 && is_mean_of_squares(mean, x)) return number->item_as_double();
  }
  return std::nullopt;
}

// Of the product with the weight, in the edge dialect.
std::optional<RmsNorm> match_rms_norm(const LastingConstants& constants, const Node& node) {
  if (!node.is("aten.mul.Tensor")) return std::nullopt;
  for (const auto& [normed, weight] : both_ways(node)) {
    const Node* scale = made_by(normed, "aten.mul.Tensor");
    if (!scale || !constants.find(weight) || weight->meta().rank() != 1 || weight->dtype() != normed->dtype()) continue;
    for (const auto& [x, root] : both_ways(*scale)) {
      const Node* rsqrt = made_by(root, "aten.rsqrt.default");
      if (!rsqrt || x->sizes() != node.output()->sizes() || !(weight->sizes()[0] == x->sizes().back())) continue;
      if (const auto eps = eps_beside_mean(constants, rsqrt->tensor("self"), x)) return RmsNorm{x, weight, *eps};
    }
  }
  return std::nullopt;
}

}  // namespace

void write_rms_norms(ExportedProgram& program, std::string_view op, std::vector<NamedArgument> (*arguments)(const RmsNorm&)) {
  Graph& graph = program.graph();
  const LastingConstants constants(program);
  for (Node* node : graph.node_list()) {
    const auto norm = match_rms_norm(constants, *node);
    if (!norm) continue;
    graph.set_arguments(*node, {});
    graph.set_op(*node, Op::get(op));
    graph.set_arguments(*node, arguments(*norm));
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::common
