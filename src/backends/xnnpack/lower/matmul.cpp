// Products of two computed matrices.
#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {

void bmm(Lowering& lowering, const Node&, NodeKind kind) {
  const ValueId left = lowering.operand("self");
  const ValueId right = lowering.operand("mat2");
  lowering.emit(kind, {left, right});
}

}  // namespace intaglio::xnnpack::lower
