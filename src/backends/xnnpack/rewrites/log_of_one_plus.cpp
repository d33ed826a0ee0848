#include "backends/xnnpack/limits.h"
#include "backends/xnnpack/rewrites/rewrites.h"
#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "ir/match.h"
#include "ir/mutations.h"

namespace intaglio::xnnpack {
namespace {

using decompose::GraphBuilder;

// x of log(1 + exp(x)), else null.
Value* exponent_of(const Value* value) {
  const Node* logarithm = made_by(value, "aten.log1p.default");
  const Node* power = logarithm ? made_by(logarithm->tensor("self"), "aten.exp.default") : nullptr;
  return power ? power->tensor("self") : nullptr;
}

bool is_decay(const Value* exponent) {
  const Node* negated = made_by(exponent, "aten.neg.default");
  return negated && made_by(negated->tensor("self"), "aten.abs.default");
}

// log(1 + x) of what lies between 0 and 1: what the sum is rounded by is put back.
Value* log_of_one_plus(GraphBuilder& b, Value* x) {
  Value* sum = b("aten.add.Tensor", x, b.number(1, x->dtype()));
  Value* rounding = b("aten.sub.Tensor", b("aten.sub.Tensor", sum, b.number(1, x->dtype())), x);
  Value* logarithm = b("aten.log.default", sum);
  return b("aten.sub.Tensor", logarithm, b("aten.div.Tensor", rounding, sum));
}

// where(x > threshold, ..., log(1 + exp(x)) / beta), where the choice makes no difference: from 20 on.
struct Softplus {
  Value* x = nullptr;
  const Node* division = nullptr;
};
Softplus softplus_of(const Node& choice) {
  const Node* above = made_by(choice.tensor("condition"), "aten.gt.Scalar");
  const Node* division = made_by(choice.tensor("other"), "aten.div.Tensor");
  Value* x = exponent_of(division ? division->tensor("self") : choice.tensor("other"));
  const bool matches = x && above && above->tensor("self") == x && above->number("other") >= 20;
  return matches ? Softplus{x, division} : Softplus{};
}

Value* replacement(GraphBuilder& b, const Node& node) {
  if (node.is("aten.log1p.default"))
    return exponent_of(node.output()) && is_decay(exponent_of(node.output())) ? log_of_one_plus(b, node.tensor("self")) : nullptr;
  if (!node.is("aten.where.self")) return nullptr;
  const auto [x, division] = softplus_of(node);
  if (x == nullptr) return nullptr;
  Value* decay = b("aten.exp.default", b("aten.neg.default", b("aten.abs.default", x)));
  Value* positive = b("aten.clamp.default", x, 0.0);
  Value* sum = b("aten.add.Tensor", positive, log_of_one_plus(b, decay));
  return division ? b("aten.div.Tensor", sum, division->tensor("other")) : sum;
}

}  // namespace

void compute_logs_of_one_plus(ExportedProgram& program) {
  bool changed = false;
  const LastingConstants constants(program);
  for (Node* node : program.graph().node_list()) {
    if (node->outputs().size() != 1 || !node->output()->is_tensor() || node->output()->dtype() != DType::float32) continue;
    if (first_broken_limit(program, *node, [&](const Value* value) { return constants.find(value) != nullptr; })) continue;
    GraphBuilder build(program, *node);
    Value* result = replacement(build, *node);
    if (result == nullptr) continue;
    decompose::replace_result(program.graph(), node->output(), result);
    changed = true;
  }
  if (changed) program.graph().eliminate_dead_code();
}

}  // namespace intaglio::xnnpack
