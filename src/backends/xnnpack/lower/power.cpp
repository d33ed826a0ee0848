// Powers with an exponent that a few nodes compute exactly as repeated products and roots would.
#include <map>

#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack::lower {
namespace {

void divide_one_by(Lowering& lowering, ValueId value) { lowering.emit(NodeKind::Div, {lowering.number(1, value), value}); }

}  // namespace

void power(Lowering& lowering, const Node& node, NodeKind) {
  static const std::map<double, NodeKind> single = {
      {2, NodeKind::Square}, {0.5, NodeKind::SquareRoot}, {-0.5, NodeKind::ReciprocalSquareRoot}};
  const ValueId x = lowering.operand("self");
  const double exponent = node.number("exponent");
  if (const auto kind = single.find(exponent); kind != single.end()) return lowering.emit(kind->second, {x});
  if (exponent == -1) return divide_one_by(lowering, x);
  const ValueId square = lowering.compute(NodeKind::Square, {x});
  if (exponent == -2) return divide_one_by(lowering, square);
  if (exponent == 3) lowering.emit(NodeKind::Multiply, {square, x});
  else lowering.emit(NodeKind::Square, {square});
}

void reciprocal(Lowering& lowering, const Node&, NodeKind) { divide_one_by(lowering, lowering.operand("self")); }

}  // namespace intaglio::xnnpack::lower
