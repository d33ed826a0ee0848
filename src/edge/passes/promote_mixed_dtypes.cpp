#include "edge/passes/passes.h"

#include <algorithm>

#include "decompose/builder.h"
#include "ir/infer.h"

namespace intaglio::edge {
namespace {

constexpr std::string_view arithmetic[] = {"aten.add.Tensor",      "aten.sub.Tensor",      "aten.mul.Tensor",     "aten.div.Tensor",
                                           "aten.div.Tensor_mode", "aten.minimum.default", "aten.maximum.default"};

}  // namespace

void promote_mixed_dtypes(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (std::find(std::begin(arithmetic), std::end(arithmetic), node->op().name()) == std::end(arithmetic)) continue;
    std::vector<PromotionOperand> operands;
    for (const char* name : {"self", "other"})
      if (auto operand = promotion_operand(node->argument(name))) operands.push_back(*operand);
    DType promoted = result_type(operands);
    const bool divides = node->op().base() == "div" && (!node->find("rounding_mode") || node->find("rounding_mode")->is_none());
    if (divides && !is_floating(promoted) && !is_complex(promoted)) promoted = DType::float32;
    decompose::GraphBuilder build(program, *node);
    for (const char* name : {"self", "other"}) {
      Value* operand = node->tensor(name);
      if (operand->dtype() != promoted) graph.set_argument(*node, name, build.cast(operand, promoted));
    }
  }
}

}  // namespace intaglio::edge
