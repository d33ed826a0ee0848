#include "backends/common/program_facts.h"

#include <algorithm>

namespace intaglio::common {
namespace {

constexpr std::string_view constant_ops[] = {
    "aten.permute_copy.default", "aten.permute.default", "aten.t_copy.default",         "aten.t.default",
    "aten.view_copy.default",    "aten.view.default",    "aten.unsqueeze_copy.default", "aten.squeeze_copy.dims"};

std::function<bool(const Node&)> makes_constants(const ExportedProgram& program) {
  return [&program](const Node& node) {
    if (node.outputs().size() != 1 || !node.output()->is_tensor() || !node.output()->meta().is_static()) return false;
    if (qdq::is_tensor_or_channel_dequantize(node)) return qdq::params_of(program, node).has_value();
    if (qdq::grouped_rows_of(node)) return true;
    if (const qdq::OpRow* row = qdq::find(node); row && row->granularity == qdq::Granularity::code_book) return true;
    return std::ranges::find(constant_ops, node.op().name()) != std::end(constant_ops);
  };
}

}  // namespace

ProgramFacts::ProgramFacts(const ExportedProgram& program, LastingConstants::Inputs mutated)
    : program_(program), stored_(program, mutated), constants_(program, makes_constants(program), mutated) {}

std::optional<Tensor> ProgramFacts::constant_value(const Value* value) const {
  if (!is_constant(value)) return std::nullopt;
  ConstantValues values(program_, makes_constants(program_), stored_.mutated());
  const Tensor* tensor = values.find(value);
  return tensor ? std::optional(*tensor) : std::nullopt;
}

const QuantParams* ProgramFacts::params_of(const Node& node) const {
  const auto [found, is_new] = params_.try_emplace(&node);
  if (is_new) found->second = qdq::params_of(program_, node);
  return found->second ? &*found->second : nullptr;
}

std::optional<int64_t> upper_bound(const ExportedProgram& program, const SymInt& size) {
  if (size.is_static()) return size.value();
  return bounds(*size.expression(), program.range_constraints).max;
}

}  // namespace intaglio::common
