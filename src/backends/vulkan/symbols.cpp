#include "backends/vulkan/symbols.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "decompose/builder.h"

namespace intaglio::vulkan {
namespace {

constexpr std::string_view symbol_ops[] = {
    "aten.sym_size.int", "aten._local_scalar_dense.default", "aten.item.default", "_operator.add", "_operator.sub", "_operator.mul",
    "_operator.floordiv"};

bool is_symbol(const Value* value) { return value->kind() == ValueKind::sym_int; }

// An element that is looked at as a number stands in the program as a tensor of one element in between.
bool leads_to_symbol(const Node& node) {
  const auto looks = [](const Node* user) { return looks_at_element(*user); };
  return computes_symbol(node) || (node.is("aten.select_copy.int") && std::ranges::all_of(node.output()->users(), looks));
}

class Copier {
 public:
  Copier(Graph& graph, Node& reader) : graph_(graph), reader_(reader) {}

  // The same number from nodes of the reader's own; of an element that is looked at, the element too.
  Value* copy(Value* value, bool is_looked_at = false) {
    const Node* producer = value->producer();
    if (!producer || !(computes_symbol(*producer) || (is_looked_at && producer->is("aten.select_copy.int")))) return value;
    if (const auto found = copies_.find(value); found != copies_.end()) return found->second;
    const bool looks = looks_at_element(*producer);
    std::vector<Value*> operands;
    for (Value* operand : producer->inputs()) operands.push_back(looks || is_symbol(operand) ? copy(operand, looks) : operand);
    OutputSpecification output{.kind = value->kind(), .sym = value->sym};
    if (value->is_tensor()) output.meta = value->meta();
    Node& node = graph_.insert_before(&reader_, producer->op(), producer->arguments(), {std::move(output)});
    node.metadata = decompose::inherited_metadata(*producer);
    const std::vector<Value*> originals = producer->inputs();
    for (size_t i = 0; i < originals.size(); ++i)
      if (originals[i] != operands[i]) graph_.replace_uses_in(node, originals[i], operands[i]);
    return copies_[value] = node.output();
  }

 private:
  Graph& graph_;
  Node& reader_;
  std::unordered_map<Value*, Value*> copies_;
};

}  // namespace

bool looks_at_element(const Node& node) { return node.is("aten._local_scalar_dense.default") || node.is("aten.item.default"); }

std::optional<ElementSource> element_source(const Node& look) {
  Value* element = look.tensor("self");
  if (!is_integral(element->dtype())) return std::nullopt;
  const auto is_given = [](const Value* tensor) { return tensor->producer() == nullptr; };
  const Node* select = element->producer();
  if (select && (select->is("aten.select_copy.int") || select->is("aten.select.int")) && is_given(select->tensor("self")) &&
      select->argument("index").is<int64_t>())
    return ElementSource{select->tensor("self"), select->integer("dim"), select->integer("index")};
  if (is_given(element) && element->meta().rank() == 1) return ElementSource{element, 0, 0};
  return std::nullopt;
}

bool computes_symbol(const Node& node) {
  return node.outputs().size() == 1 && is_symbol(node.output()) && std::ranges::find(symbol_ops, node.op().name()) != std::end(symbol_ops);
}

void give_each_reader_its_own_symbols(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (leads_to_symbol(*node)) continue;
    Copier copier(graph, *node);
    for (Value* value : node->inputs())
      if (is_symbol(value))
        if (Value* own = copier.copy(value); own != value) graph.replace_uses_in(*node, value, own);
  }
  graph.eliminate_dead_code();
}

std::vector<const Node*> symbol_nodes(const Node& reader) {
  std::vector<const Node*> nodes;
  std::vector<const Node*> pending = {&reader};
  while (!pending.empty()) {
    const Node* node = pending.back();
    pending.pop_back();
    for (const Value* value : node->inputs())
      if (const Node* producer = value->producer(); producer && leads_to_symbol(*producer)) {
        nodes.push_back(producer);
        pending.push_back(producer);
      }
  }
  return nodes;
}

const Node& reader_of_symbol(const Node& node) {
  const Node* reader = &node;
  while (leads_to_symbol(*reader) && !reader->output()->users().empty()) reader = reader->output()->users().front();
  return *reader;
}

}  // namespace intaglio::vulkan
