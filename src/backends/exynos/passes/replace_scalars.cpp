#include <algorithm>
#include <string_view>

#include "backends/exynos/passes/passes.h"
#include "decompose/builder.h"

namespace intaglio::exynos {
namespace {

struct ScalarOp {
  std::string_view op, of_tensors, number;
};
constexpr ScalarOp scalar_ops[] = {{"aten.add.Scalar", "aten.add.Tensor", "other"},
                                   {"aten.sub.Scalar", "aten.sub.Tensor", "other"},
                                   {"aten.mul.Scalar", "aten.mul.Tensor", "other"},
                                   {"aten.div.Scalar", "aten.div.Tensor", "other"},
                                   {"aten.pow.Tensor_Scalar", "aten.pow.Tensor_Tensor", "exponent"}};

}  // namespace

void replace_scalars(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    const auto row = std::ranges::find(scalar_ops, node->op().name(), &ScalarOp::op);
    if (row == std::end(scalar_ops)) continue;
    decompose::GraphBuilder b(program, *node);
    Value* number = b.number(node->argument(row->number), node->output()->dtype());
    const std::vector<NamedArgument> arguments = {{"self", node->tensor("self")}, {std::string(row->number), number}};
    program.graph().set_arguments(*node, {});
    program.graph().set_op(*node, Op::get(row->of_tensors));
    program.graph().set_arguments(*node, arguments);
  }
}

}  // namespace intaglio::exynos
