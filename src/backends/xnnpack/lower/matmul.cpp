// Products of two computed matrices.
#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

void multiply(Lowering& lowering, NodeKind kind, std::string_view second) {
  const ValueId left = lowering.operand("self");
  const ValueId right = lowering.operand(second);
  lowering.emit(kind, {left, right});
}

}  // namespace

void bmm(Lowering& lowering, const Node&, NodeKind kind) { multiply(lowering, kind, "mat2"); }
void matmul(Lowering& lowering, const Node&, NodeKind kind) { multiply(lowering, kind, "other"); }

}  // namespace intaglio::xnnpack::lower
