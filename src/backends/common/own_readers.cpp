#include "backends/common/own_readers.h"

#include <ranges>

#include "backends/common/program_facts.h"

namespace intaglio::common {
namespace {

Node& copy_before(Graph& graph, Node* position, const Node& original) {
  std::vector<OutputSpecification> outputs;
  for (const Value* output : original.outputs()) outputs.push_back({.meta = output->meta()});
  Node& copy = graph.insert_before(position, original.op(), original.arguments(), std::move(outputs), original.name());
  copy.metadata = original.metadata;
  return copy;
}

void copy_for_other_readers(Graph& graph, Node* source) {
  const std::vector<Node*> readers = source->output()->users();
  for (size_t i = 1; i < readers.size(); ++i)
    graph.replace_uses_in(*readers[i], source->output(), copy_before(graph, source, *source).output());
}

}  // namespace

void give_each_reader_its_own_source(ExportedProgram& program) {
  const ProgramFacts facts(program);
  std::vector<Node*> sources;
  for (Node* node : program.graph().node_list())
    if (node->outputs().size() == 1 && (qdq::is_tensor_or_channel_dequantize(*node) || facts.makes_constant(*node)))
      sources.push_back(node);
  // Readers first: what a copy reads is then copied for it.
  for (Node* source : sources | std::views::reverse) copy_for_other_readers(program.graph(), source);
}

void give_each_dequantize_its_own_quantize(ExportedProgram& program, const std::function<bool(const Node&)>& which) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!qdq::is_tensor_or_channel_quantize(*node) || !which(*node)) continue;
    const std::vector<Node*> readers = node->output()->users();
    for (size_t i = 1; i < readers.size(); ++i)
      if (qdq::is_dequantize(*readers[i])) graph.replace_uses_in(*readers[i], node->output(), copy_before(graph, node, *node).output());
  }
}

void give_each_reader_its_own_dynamic_chain(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list())
    if (node->outputs().size() == 1 && qdq::any_dynamic_of(node->output())) copy_for_other_readers(graph, node);
  for (Node* node : graph.node_list()) {
    const auto dynamic = node->outputs().size() == 1 ? qdq::any_dynamic_of(node->output()) : std::nullopt;
    if (!dynamic || qdq::has_one_reader(*dynamic)) continue;
    const Node& choose = copy_before(graph, node, *dynamic->choose);
    Node& quantize = copy_before(graph, node, *dynamic->quantize);
    for (size_t i = 0; i < 2; ++i)
      for (Node* reader : {&quantize, node}) graph.replace_uses_in(*reader, dynamic->choose->output(i), choose.output(i));
    graph.replace_uses_in(*node, dynamic->quantize->output(), quantize.output());
  }
}

}  // namespace intaglio::common
