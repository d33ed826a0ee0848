// x Phi(x), or its approximation by tanh. The runtime's node is the former; ExecuTorch puts it in for both.
#include <cmath>
#include <numbers>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {

// x / 2 (1 + tanh(u)) = x sigmoid(2 u),  u = sqrt(2 / pi) (x + 0.044715 x^3)
void gelu(Lowering& lowering, const Node& node, NodeKind kind) {
  const ValueId x = lowering.operand("self");
  if (node.string("approximate") == "none") {
    if (lowering.value(x).type == DataType::fp16)  // no kernel: widened, as others compute it
      lowering.alias(lowering.cast(lowering.compute(kind, {lowering.cast(x, DataType::fp32)}), DataType::fp16));
    else lowering.emit(kind, {x});
    return;
  }
  const double linear = 2 * std::sqrt(2 / std::numbers::pi), cubic = 0.044715 * linear;
  const ValueId square = lowering.compute(NodeKind::Square, {x});
  const ValueId scaled = lowering.compute(NodeKind::Multiply, {square, lowering.number(static_cast<float>(cubic), x)});
  const ValueId factor = lowering.compute(NodeKind::Add, {scaled, lowering.number(static_cast<float>(linear), x)});
  const ValueId doubled = lowering.compute(NodeKind::Multiply, {factor, x});
  lowering.emit(NodeKind::Multiply, {lowering.compute(NodeKind::Sigmoid, {doubled}), x});
}

}  // namespace intaglio::xnnpack::lower
