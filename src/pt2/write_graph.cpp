#include <intaglio/error.h>

#include "pt2/model_json.h"

namespace intaglio::pt2 {
namespace {

using json::Writer;

// A value where it is defined: as an argument is written.
void write_definition(Writer& writer, const Graph& graph, const Value* value) {
  if (const Argument* literal = graph.literal_of(value)) write_argument(writer, *literal);
  else write_argument(writer, Argument(const_cast<Value*>(value)));
}

void write_results(Writer& writer, const Node& node) {
  writer.key("outputs").begin_array();
  size_t next = 0;
  for (const Node::OutputGroup& group : node.output_groups()) {
    if (group.is_list) {
      std::vector<Value*> list;
      for (size_t i = 0; i < group.count; ++i) {
        Value* value = node.output(next++);
        list.push_back(value->kind() == ValueKind::none ? nullptr : value);
      }
      write_argument(writer, list);
    } else {
      write_argument(writer, node.output(next++));
    }
  }
  writer.end_array();
}

void write_node(Writer& writer, const Node& node) {
  writer.begin_object().key("target").string(target_of_op_name(node.op().name())).key("inputs").begin_array();
  for (const NamedArgument& argument : node.arguments()) {
    writer.begin_object().key("name").string(argument.name).key("arg");
    write_argument(writer, argument.value);
    writer.key("kind").integer(static_cast<int64_t>(argument.kind)).end_object();
  }
  writer.end_array();
  write_results(writer, node);
  writer.key("metadata").begin_object();
  for (const auto& [key, text] : node.metadata) writer.key(key).string(text);
  writer.end_object();
  if (!node.carried.contains("is_hop_single_tensor_return")) writer.key("is_hop_single_tensor_return").null();
  for (const auto& [field, text] : node.carried) writer.key(field).raw(text);
  writer.key("name").string(node.name()).end_object();
}

// The tables of values behind the nodes.
class ValueTables {
 public:
  ValueTables(const Graph& graph, std::span<const Value* const> inputs) : graph_(graph) {
    values_.assign(inputs.begin(), inputs.end());
    for (const Node* node : graph.node_list()) values_.insert(values_.end(), node->outputs().begin(), node->outputs().end());
  }

  void write(Writer& writer) const {
    table(writer, "tensor_values", ValueKind::tensor, [&](const Value* value) { write_tensor_meta(writer, value->meta()); });
    table(writer, "sym_int_values", ValueKind::sym_int, [&](const Value* value) { write_sym_int(writer, *value->sym); });
    table(writer, "sym_bool_values", ValueKind::sym_bool, [&](const Value* value) { write_sym_bool(writer, *value->sym); });
    writer.key("is_single_tensor_return").boolean(graph_.is_single_tensor_return);
    table(writer, "custom_obj_values", ValueKind::custom_object, [&](const Value* value) {
      writer.begin_object().key("name").string(value->name()).key("class_fqn").string(value->class_fqn).end_object();
    });
    write_floats(writer);
  }

 private:
  template <typename Write>
  void table(Writer& writer, std::string_view name, ValueKind kind, Write write) const {
    writer.key(name).begin_object();
    for (const Value* value : values_) {
      const bool symbol = kind == ValueKind::sym_int || kind == ValueKind::sym_bool;
      if (value->kind() != kind || (symbol && !value->sym)) continue;
      writer.key(value->name());
      write(value);
    }
    writer.end_object();
  }

  static void write_sym_bool(Writer& writer, const SymInt& value) {
    if (!value.is_static()) {
      writer.begin_object().key("as_expr").begin_object().key("expr_str").string(value.text()).key("hint");
      if (const auto hint = value.hint()) writer.begin_object().key("as_bool").boolean(*hint != 0).end_object();
      else writer.null();
      writer.end_object().end_object();
      return;
    }
    writer.begin_object().key("as_bool").boolean(value.value() != 0).end_object();
  }

  // Float symbols are kept as they were read, for those values that are left.
  void write_floats(Writer& writer) const {
    writer.key("sym_float_values").begin_object();
    const auto kept = graph_.carried.find("sym_float_values");
    if (kept != graph_.carried.end()) {
      const json::Document document(kept->second);
      for (const Value* value : values_)
        if (value->kind() == ValueKind::sym_float)
          if (const auto entry = document.root().find(value->name())) writer.key(value->name()).raw(entry->text());
    }
    writer.end_object();
  }

  const Graph& graph_;
  std::vector<const Value*> values_;
};

}  // namespace

void write_graph(Writer& writer, const Graph& graph, std::span<const Value* const> inputs) {
  writer.begin_object().key("inputs").begin_array();
  for (const Value* input : inputs) write_definition(writer, graph, input);
  writer.end_array().key("outputs").begin_array();
  for (const Argument& output : graph.outputs()) write_argument(writer, output);
  writer.end_array().key("nodes").begin_array();
  for (const Node* node : graph.node_list()) write_node(writer, *node);
  writer.end_array();
  ValueTables(graph, inputs).write(writer);
  for (const auto& [field, text] : graph.carried)
    if (field != "sym_float_values") writer.key(field).raw(text);
  writer.end_object();
}

}  // namespace intaglio::pt2
