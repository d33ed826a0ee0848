#include "pt2e/passes.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/computed.h"
#include "ir/mutations.h"

namespace intaglio::pt2e {
namespace {

bool is_embedding_table(const Node& reader, const Value* value) {
  return reader.is("aten.embedding.default") && reader.tensor("weight") == value;
}

bool writes_in_place(const Node& node) {
  const OpSchema* schema = node.op().schema();
  return schema != nullptr && schema->is_inplace();
}

class Widening {
 public:
  Widening(ExportedProgram& program, const std::vector<DType>& types)
      : program_(program), graph_(program.graph()), types_(types), mutated_(mutated_inputs(program)) {
    for (const OutputSpec& output : program.output_specs)
      if (output.kind == OutputSpec::Kind::user_input_mutation) written_at_end_.insert(output.target);
  }

  bool run() {
    if (!has_narrow(graph_)) return false;
    check(graph_);
    for (const Value* input : graph_.inputs()) check_input(input);
    find_empty_casts(graph_);
    const std::vector<Argument> outputs = graph_.outputs();
    std::vector<std::pair<size_t, DType>> narrow_outputs;
    for (size_t i = 0; i < outputs.size(); ++i)
      if (const auto* value = outputs[i].get_if<Value*>(); value != nullptr && leaves_program(i) && is_narrow(*value))
        narrow_outputs.emplace_back(i, (*value)->dtype());

    const std::vector<Value*> inputs = graph_.inputs();
    widen_nodes(graph_);
    const std::vector<Node*> nodes = graph_.node_list();
    first_ = nodes.empty() ? nullptr : nodes.front();
    for (Value* input : inputs) widen_input(input);
    for (Node* node : nodes)
      if (node->is("aten.embedding.default") && is_narrow(node->tensor("weight"))) cast_embedding(*node);
    cast_outputs(narrow_outputs);
    drop_empty_casts();
    return true;
  }

 private:
  bool is_narrow(DType dtype) const { return std::ranges::find(types_, dtype) != types_.end(); }
  bool is_narrow(const Value* value) const { return value->is_tensor() && is_narrow(value->dtype()); }

  template <typename Visit>
  static void for_each_subgraph(const Node& node, const Visit& visit) {
    for (const NamedArgument& argument : node.arguments())
      if (const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>()) visit(*(*subgraph)->graph);
  }

  bool has_narrow(const Graph& graph) const {
    bool found = std::ranges::any_of(graph.inputs(), [&](const Value* input) { return is_narrow(input); });
    for (const Node* node : graph.node_list()) {
      found = found || std::ranges::any_of(node->outputs(), [&](const Value* output) { return is_narrow(output); });
      for_each_subgraph(*node, [&](const Graph& inner) { found = found || has_narrow(inner); });
    }
    return found;
  }

  void check(const Graph& graph) const {
    for (const Node* node : graph.node_list()) {
      for_each_subgraph(*node, [&](const Graph& inner) { check(inner); });
      if (!node->is("aten.view.dtype") && !node->is("aten.view_copy.dtype")) continue;
      for (const Value* value : {node->tensor("self"), node->output()})
        if (is_narrow(value))
          throw_unsupported(fmt::format("{}: it reads the bits of {} numbers, but the program is to compute in float32; use `.to`",
                                        describe(*node), name(value->dtype())));
    }
  }

  void check_input(const Value* input) const {
    if (!is_narrow(input) || program_.constant(input) != nullptr || !is_written_in_place(input)) return;
    throw_unsupported(fmt::format("input '{}' is {} and written in place, but the program is to compute in float32; write to a copy",
                                  escaped(input->name()), name(input->dtype())));
  }

  // Casts between a narrow type and float32.
  void find_empty_casts(const Graph& graph) {
    for (Node* node : graph.node_list()) {
      for_each_subgraph(*node, [&](const Graph& inner) { find_empty_casts(inner); });
      if (!is_cast(*node) || node->outputs().size() != 1) continue;
      const Value* from = node->inputs().front();
      const auto known = [&](const Value* value) { return value->is_tensor() && (is_narrow(value) || value->dtype() == DType::float32); };
      if (known(from) && known(node->output()) && from->dtype() != node->output()->dtype()) empty_casts_.push_back(node);
    }
  }

  // Autocast states a type for what is not in the graph.
  static bool states_types(const Node& node) { return node.op().name_space() != "higher_order"; }

  void widen_nodes(Graph& graph) {
    for (Node* node : graph.node_list()) {
      in_place_ = in_place_ || writes_in_place(*node);
      for (Value* output : node->outputs())
        if (is_narrow(output)) output->meta().dtype = DType::float32;
      for_each_subgraph(*node, [&](Graph& inner) {
        for (Value* input : inner.inputs())
          if (is_narrow(input)) input->meta().dtype = DType::float32;
        widen_nodes(inner);
      });
      if (!states_types(*node)) continue;
      for (const NamedArgument& argument : std::vector<NamedArgument>(node->arguments()))
        if (const auto* dtype = argument.value.get_if<DType>(); dtype != nullptr && is_narrow(*dtype))
          graph.set_argument(*node, argument.name, DType::float32);
    }
  }

  Node& cast(Node* position, Value* value, DType dtype) {
    TensorMeta meta = value->meta();
    meta.dtype = dtype;
    meta.requires_grad = false;
    return graph_.insert_before(position, Op::get("aten._to_copy.default"), {{"self", value}, {"dtype", dtype, ArgKind::keyword}},
                                {{std::move(meta)}}, value->name() + "_cast");
  }

  void widen_input(Value* input) {
    if (!is_narrow(input)) return;
    const std::vector<Node*> readers = input->users();
    const bool is_constant = program_.constant(input) != nullptr;
    const auto keeps = [&](const Node& reader) {
      if (&reader == &graph_.output_node()) return !is_constant;
      return is_constant && !mutated_.contains(input) && is_embedding_table(reader, input);
    };
    if (is_constant && std::ranges::none_of(readers, [&](const Node* reader) { return keeps(*reader); })) return widen_constant(input);
    if (std::ranges::all_of(readers, [&](const Node* reader) { return keeps(*reader); })) return;
    const Node& widened = cast(first_, input, DType::float32);
    graph_.replace_uses_if(input, widened.output(), [&](const Node& reader) { return &reader != &widened && !keeps(reader); });
  }

  // By a node; what an output of the program writes to it is cast like other outputs.
  bool is_written_in_place(const Value* input) const { return mutated_.contains(input) && !written_at_end_.contains(input->name()); }

  void widen_constant(Value* input) {
    const Tensor tensor = *program_.constant(input);
    program_.set_constant(input, computed_by_rows(tensor, DType::float32, tensor.sizes(),
                                                  [](const Tensor& narrow) { return converted(narrow, DType::float32).contiguous(); }));
  }

  void cast_embedding(Node& node) {
    Value* rows = node.output();
    rows->meta().dtype = node.tensor("weight")->dtype();
    const Node& widened = cast(graph_.next(&node), rows, DType::float32);
    graph_.replace_uses_if(rows, widened.output(), [&](const Node& reader) { return &reader != &widened; });
  }

  // What a buffer is overwritten with stays inside.
  bool leaves_program(size_t output) const {
    const OutputSpec::Kind kind = program_.output_specs[output].kind;
    return kind != OutputSpec::Kind::buffer_mutation && kind != OutputSpec::Kind::parameter_mutation;
  }

  void cast_outputs(const std::vector<std::pair<size_t, DType>>& narrow) {
    std::vector<Argument> outputs = graph_.outputs();
    for (const auto& [index, dtype] : narrow) {
      Value* value = *outputs[index].get_if<Value*>();
      if (value->dtype() != dtype) outputs[index] = cast(nullptr, value, dtype).output();
    }
    graph_.set_outputs(std::move(outputs));
  }

  // A cast made a tensor of its own, which matters where something is written in place.
  void drop_empty_casts() {
    for (Node* node : empty_casts_) {
      Graph& graph = node->graph();
      Value* from = node->inputs().front();
      if (in_place_) {
        graph.set_op(*node, Op::get("aten.clone.default"));
        graph.set_arguments(*node, {{"self", from}});
        continue;
      }
      graph.replace_all_uses(node->output(), from);
      graph.erase(node);
    }
  }

  ExportedProgram& program_;
  Graph& graph_;
  const std::vector<DType>& types_;
  std::unordered_set<const Value*> mutated_;
  std::unordered_set<std::string_view> written_at_end_;  // inputs by name
  std::vector<Node*> empty_casts_;
  Node* first_ = nullptr;
  bool in_place_ = false;
};

}  // namespace

bool is_cast(const Node& node) {
  constexpr std::string_view casts[] = {"to", "_to_copy", "type_as", "convert_element_type"};
  return std::ranges::find(casts, node.op().base()) != std::end(casts);
}

bool compute_in_float32(ExportedProgram& program, const std::vector<DType>& types) {
  return !types.empty() && Widening(program, types).run();
}

}  // namespace intaglio::pt2e
