#include "decompose/decompose.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/limits.h"
#include "decompose/rewrite.h"
#include "decompose/tables.h"
#include "ir/at_node.h"
#include "ir/infer.h"
#include "ir/operator_names.h"

namespace intaglio::decompose {
namespace {

const std::unordered_map<std::string_view, Decomposition>& table() {
  static const std::unordered_map<std::string_view, Decomposition> rows = [] {
    std::unordered_map<std::string_view, Decomposition> map;
    for (const auto& family :
         {activation_decompositions(),  arithmetic_decompositions(),    attention_decompositions(), composite_decompositions(),
          convolution_decompositions(), copy_decompositions(),          creation_decompositions(),  einsum_decompositions(),
          embedding_decompositions(),   encoder_layer_decompositions(), expert_decompositions(),    function_decompositions(),
          indexing_decompositions(),    loss_decompositions(),          matrix_decompositions(),    normalization_decompositions(),
          pooling_decompositions(),     quantized_decompositions(),     random_decompositions(),    recurrent_decompositions(),
          reduction_decompositions(),   resampling_decompositions(),    symbol_decompositions(),    view_decompositions()})
      for (const DecompositionRow& row : family)
        for (const std::string_view op : row.ops) map.emplace(op, row.function);
    for (const Alias& alias : aliases()) map.emplace(alias.op, renamed);
    return map;
  }();
  return rows;
}

// The first of what stands before `node`, else that itself; of the graph when it is null.
Node* first_before(const Graph& graph, Node* node) {
  if (node == nullptr) return graph.size() == 0 ? nullptr : graph.node_list().front();
  while (Node* previous = graph.previous(node)) node = previous;
  return node;
}

// Replaces the node; false when its decomposition left it alone.
bool replace(ExportedProgram& program, Node& node, Decomposition function, Claims claims) {
  check_integers(node);
  GraphBuilder build(program, node);
  const Values results = at_node(node, [&] { return function(build, node); });
  if (results.empty()) return false;
  if (results.size() != node.outputs().size() && std::ranges::any_of(node.output_groups(), &Node::OutputGroup::is_list))
    throw_bad_input(
        fmt::format("{}: the file lists {} results where the operator gives {}", describe(node), node.outputs().size(), results.size()));
  if (results.size() != node.outputs().size())
    throw_bug(fmt::format("the decomposition of {} gives {} results", describe(node), results.size()));
  for (size_t i = 0; i < results.size(); ++i) {
    Value* old = node.output(i);
    if (results[i]) {
      if (claims == Claims::checked && old->is_tensor() && results[i]->is_tensor()) check_claim(*old, results[i]->meta());
      replace_result(program.graph(), old, results[i]);
    } else if (!old->users().empty())
      throw_unsupported(fmt::format("{}: its result '{}' cannot be computed by any kernel", describe(node), escaped(old->name())));
  }
  program.graph().erase(&node);
  return true;
}

}  // namespace

int64_t dim_of(const Node& node, std::string_view argument, int64_t rank) {
  const int64_t dim = node.integer(argument);
  const int64_t result = dim < 0 ? dim + std::max<int64_t>(rank, 1) : dim;
  if (result < 0 || result >= std::max<int64_t>(rank, 1))
    throw_bad_input(fmt::format("{}: dimension {} is out of range", describe(node), dim));
  return result;
}

Ints spread(Ints list, size_t count) {
  if (list.size() == 1) list.resize(count, list[0]);
  return list;
}

Value* operand(GraphBuilder& build, const Node& node, std::string_view argument, DType dtype) {
  const Argument written = node.argument(argument);
  if (Value* const* value = written.get_if<Value*>(); value && (*value)->is_tensor()) return build.cast(*value, dtype);
  return build.number(written, dtype);
}
Value* operand(GraphBuilder& build, const Node& node, std::string_view argument) {
  return operand(build, node, argument, node.output()->dtype());
}

void refuse(const Node& node, std::string_view why) { throw_unsupported(fmt::format("{}: {}", describe(node), why)); }

std::vector<std::string_view> decomposed_operators() { return operator_names(table()); }

bool has_decomposition(const Op& op) { return table().contains(op.name()); }

namespace {

void decompose_all(ExportedProgram& program, const std::function<bool(const Node&)>& keep, Claims claims) {
  Graph& graph = program.graph();
  const std::vector<Node*> nodes = graph.node_list();
  Node* node = nodes.empty() ? nullptr : nodes.front();
  while (node) {
    const auto row = table().find(node->op().name());
    Node *previous = graph.previous(node), *behind = graph.next(node);
    if (row == table().end() || (keep && keep(*node)) || !replace(program, *node, row->second, claims)) {
      node = graph.next(node);
      continue;
    }
    // What was built may itself need decomposing.
    node = previous ? graph.next(previous) : first_before(graph, behind);
    if (graph.size() > nodes.size() + most_nodes_of_all && node) refuse_size(*node, most_nodes_of_all);
  }
  graph.eliminate_dead_code();
}

}  // namespace

void decompose(ExportedProgram& program, const std::function<bool(const Node&)>& keep, Claims claims) {
  program.add_at_once([&] { decompose_all(program, keep, claims); });
}

void expand_fused_layers(ExportedProgram& program) {
  const auto is_fused = [](const Node& node) {
    return std::ranges::any_of(encoder_layer_decompositions(), [&](const DecompositionRow& row) { return node.is(*row.ops.begin()); });
  };
  if (std::ranges::any_of(program.graph().node_list(), [&](const Node* node) { return is_fused(*node); }))
    decompose(program, [&](const Node& node) { return !is_fused(node); });
}

}  // namespace intaglio::decompose
