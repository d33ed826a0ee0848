#include "edge/passes/passes.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "decompose/rewrite.h"
#include "ir/mutations.h"

namespace intaglio::edge {
namespace {

bool is_mergeable(const Node& node) {
  const std::string_view space = node.op().name_space();
  if ((space != "aten" && space != "dim_order_ops") || !node.op().schema() || node.op().schema()->is_inplace()) return false;
  if (node.op().base().starts_with("rand") || node.op().base() == "bernoulli") return false;
  return !node.outputs().empty() && std::none_of(node.outputs().begin(), node.outputs().end(), decompose::is_program_output);
}

std::string key_of(const Node& node) {
  std::string key(node.op().name());
  for (const NamedArgument& argument : node.arguments()) key += fmt::format("|{}={}", argument.name, to_string(argument.value));
  return key;
}

// Decompositions make a constant each time they need one, and what reads them differs in nothing else. Integers of quantized tensors
// are left out: whoever reads them says what they mean.
void merge_constants(ExportedProgram& program) {
  constexpr size_t largest = size_t{1} << 16;  // of weights there are none alike
  std::unordered_map<std::string, Value*> known;
  const std::unordered_set<const Value*> mutated = mutated_inputs(program);
  for (const InputSpec& spec : program.input_specs) {
    if (spec.kind != InputSpec::Kind::tensor_constant || spec.value->users().empty() || mutated.contains(spec.value)) continue;
    const Tensor* tensor = program.constant(spec.value);
    const bool is_plain = is_floating(tensor->dtype()) || tensor->dtype() == DType::boolean || tensor->dtype() == DType::int64;
    if (!is_plain || tensor->nbytes() > largest || !tensor->is_contiguous()) continue;
    std::string key = to_string(spec.value->meta()) + '|';
    key.append(static_cast<const char*>(tensor->raw()), tensor->nbytes());
    const auto [first, is_new] = known.emplace(std::move(key), spec.value);
    if (is_new || decompose::is_program_output(spec.value)) continue;
    program.graph().replace_all_uses(spec.value, first->second);
  }
}

}  // namespace

void merge_duplicates(ExportedProgram& program) {
  merge_constants(program);
  Graph& graph = program.graph();
  std::unordered_map<std::string, const Node*> known;
  for (Node* node : graph.node_list()) {
    if (!is_mergeable(*node)) continue;
    const auto [first, is_new] = known.emplace(key_of(*node), node);
    if (is_new || first->second->outputs().size() != node->outputs().size()) continue;
    for (size_t i = 0; i < node->outputs().size(); ++i) graph.replace_all_uses(node->output(i), first->second->output(i));
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
