#include "edge/passes/passes.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>

#include "decompose/rewrite.h"

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

}  // namespace

void merge_duplicates(ExportedProgram& program) {
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
