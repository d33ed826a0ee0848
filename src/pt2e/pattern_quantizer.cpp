#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "pt2e/pattern_table.h"
#include "qdq/op_table.h"

namespace intaglio {

using namespace pt2e;
namespace {

// Which nodes one configuration applies to.
struct NodeFilter {
  std::function<bool(const Node&)> accepts;
  bool accepts_constants = true;  // weights and biases, which have no module of their own
};

bool is_marked(const Annotations& annotations, const Value* value) {
  const QuantizationAnnotation* annotation = annotations.find_producer(value);
  return annotation != nullptr && annotation->annotated;
}

bool is_constant_role(const OperatorMatch::Operand& operand) { return operand.pattern->role != OperandRole::activation; }

bool asks_constants(const PatternRow& row) {
  return row.scope == RowScope::nodes_and_constants || row.scope == RowScope::operator_and_constants;
}

bool is_free(const Annotations& annotations, const PatternRow& row, const OperatorMatch& match) {
  if (annotations.is_annotated(match.node) || (match.tail != nullptr && annotations.is_annotated(match.tail))) return false;
  return !asks_constants(row) || std::ranges::none_of(match.operands, [&](const auto& operand) {
    return is_constant_role(operand) && is_marked(annotations, operand.value);
  });
}

bool passes(const NodeFilter& filter, const PatternRow& row, const OperatorMatch& match) {
  if (row.scope == RowScope::nodes_unfiltered) return true;
  const bool with_tail = match.tail != nullptr && row.scope != RowScope::operator_and_constants;
  if (!filter.accepts(*match.node) || (with_tail && !filter.accepts(*match.tail))) return false;
  return !asks_constants(row) || std::ranges::all_of(match.operands, [&](const auto& operand) {
    if (!is_constant_role(operand)) return true;
    const Node* producer = operand.value->producer();
    return producer != nullptr ? filter.accepts(*producer) : filter.accepts_constants;
  });
}

bool reads_integers(const Node& node) {
  return std::ranges::any_of(node.inputs(), [](const Value* value) { return value->producer() && qdq::is_dequantize(*value->producer()); });
}

// What keeps an operator in float whatever row takes it; "" for nothing. torchao knows none of it.
std::string_view refusal_of(PatternRun& run, const OperatorMatch& match, Compat compat) {
  if (compat == Compat::torchao) return "";
  if (run.reads_constants_only(match)) return "it reads constants only, and is computed ahead in float";
  if (reads_integers(*match.node)) return "the program has it quantized already";
  return run.table.limit ? run.table.limit(run, *match.node) : "";
}

// Annotates every match of every row, in the table's order. `op`: the operator that is asked for, or null.
// torchao also quantizes what is computed from constants alone, and so makes it run at every call.
void annotate_rows(PatternRun run, Compat compat, const NodeFilter& filter, const NodeSelector* op = nullptr) {
  for (const PatternRow& row : run.table.rows) {
    if (run.is_dynamic() && !row.dynamic) continue;
    if (op != nullptr && !row.targets.empty() && std::ranges::find(row.targets, *op->op_family) == row.targets.end()) continue;
    run.start_row();
    for (Node* node : run.program.graph().node_list()) {
      const auto match = match_operator(row.pattern, *node);
      if (!match || (op != nullptr && row.targets.empty() && !op->matches(*node))) continue;
      if (!is_free(run.annotations, row, *match) || !passes(filter, row, *match)) continue;
      if (const std::string_view why = refusal_of(run, *match, compat); !why.empty()) {
        run.annotations.refuse(node, fmt::format("{}: {}", row.pattern.name, why));
        continue;
      }
      const auto broken = std::ranges::find_if(row.constraints, [&](const auto& constraint) { return !constraint.holds(run, *match); });
      if (broken == row.constraints.end()) row.annotate(run, *match, fmt::format("{}.{}", run.table.name, row.pattern.name));
      else if (!broken->text.empty()) run.annotations.refuse(node, fmt::format("{}: {}", row.pattern.name, broken->text));
    }
  }
}

// Operators that only move or clip values take over the parameters of what they read.
void propagate(const ExportedProgram& program, const PatternTable& table, const std::function<bool(const Node&)>& keeps_float,
               Annotations& annotations) {
  const QuantizationConfig none;
  PatternRun run(program, table, none, annotations);
  for (Node* node : program.graph().node_list()) {
    if (!takes_over_parameters(table, *node) || annotations.is_annotated(node) || keeps_float(*node)) continue;
    if (const std::string_view why = table.limit ? table.limit(run, *node) : ""; !why.empty()) {
      annotations.refuse(node, fmt::format("sharing: {}", why));
      continue;
    }
    Value* input = first_tensor(*node);
    const QuantizationAnnotation* producer = input == nullptr ? nullptr : annotations.find_producer(input);
    if (producer == nullptr || !producer->output_qspec) {
      annotations.refuse(node, "sharing: what it reads is quantized by the node that makes it");
      continue;
    }
    QuantizationAnnotation annotation;
    annotation.input_qspec_map.emplace_back(input, SharedQuantizationSpec{input});
    annotation.output_qspec = SharedQuantizationSpec{input};
    annotation.annotated = true;
    annotation.rule = fmt::format("{}.sharing", table.name);
    annotations.of(node) = std::move(annotation);
  }
}

// Gives every node that is neither annotated nor refused for a reason of its own one: no pattern, or no configuration.
void explain_the_rest(const ExportedProgram& program, const PatternTable& table, Annotations& annotations) {
  for (const Node* node : program.graph().node_list()) {
    if (annotations.is_annotated(node) || annotations.refusal(node) != nullptr) continue;
    const bool known = takes_over_parameters(table, *node) ||
                       std::ranges::any_of(table.rows, [&](const PatternRow& row) { return contains(row.pattern.ops, *node); });
    annotations.refuse(
        node, known ? "the configuration leaves it in float" : fmt::format("{}'s quantizer has no pattern for this op", table.title));
  }
}

std::optional<double> number_of(const Argument& argument) {
  if (const auto* integer = argument.get_if<int64_t>()) return static_cast<double>(*integer);
  if (const auto* floating = argument.get_if<double>()) return *floating;
  if (const auto* boolean = argument.get_if<bool>()) return *boolean ? 1.0 : 0.0;
  return std::nullopt;
}

}  // namespace

void PatternQuantizer::set(std::vector<Choice>& choices, NodeSelector nodes, std::optional<QuantizationConfig> config) {
  const auto found = std::ranges::find(choices, nodes, &Choice::nodes);
  if (found != choices.end()) found->config = std::move(config);
  else choices.push_back({std::move(nodes), std::move(config)});
}

PatternQuantizer& PatternQuantizer::set_global(QuantizationConfig config) {
  global_ = std::move(config);
  return *this;
}

PatternQuantizer& PatternQuantizer::set_module_name(std::string name, std::optional<QuantizationConfig> config) {
  if (!config && compat_ == Compat::torchao)
    throw_usage("set_module_name: torchao takes no empty configuration; compat=intaglio leaves such modules in float");
  set(module_names_, {.module_name = std::move(name)}, std::move(config));
  return *this;
}

PatternQuantizer& PatternQuantizer::set_module_type(std::string type, std::optional<QuantizationConfig> config) {
  NodeSelector nodes;
  (table_->types_of_sources ? nodes.source_type : nodes.module_type) = std::move(type);
  set(module_types_, std::move(nodes), std::move(config));
  return *this;
}

PatternQuantizer& PatternQuantizer::set_operator_type(std::string op, std::optional<QuantizationConfig> config) {
  set(operators_, {.op_family = std::move(op)}, std::move(config));
  return *this;
}

PatternQuantizer& PatternQuantizer::set_filter_function(std::function<bool(const Node&)> filter) {
  filter_ = std::move(filter);
  return *this;
}

std::vector<const QuantizationConfig*> PatternQuantizer::configs() const {
  std::vector<const QuantizationConfig*> list;
  if (global_) list.push_back(&*global_);
  for (const auto* choices : {&module_names_, &module_types_, &operators_})
    for (const Choice& choice : *choices)
      if (choice.config) list.push_back(&*choice.config);
  return list;
}

std::vector<DType> PatternQuantizer::widened_types() const {
  if (compat_ == Compat::torchao) return {};
  const std::vector<const QuantizationConfig*> list = configs();
  const auto is_static = [](const QuantizationConfig* config) { return config->input_activation && !config->input_activation->is_dynamic; };
  const auto quantizes = [](const QuantizationConfig* config) { return config->input_activation || config->weight; };
  if (std::ranges::any_of(list, is_static)) return {DType::float16, DType::bfloat16};
  return std::ranges::any_of(list, quantizes) ? std::vector<DType>{DType::bfloat16} : std::vector<DType>{};
}

// On integers (and float64) a float32 tensor in place of a number would change the result's type, so only torchao's
// behaviour does it there.
void PatternQuantizer::transform_for_annotation(ExportedProgram& program) const {
  const bool torchao = compat_ == Compat::torchao;
  size_t count = 0;
  for (Node* node : program.graph().node_list()) {
    if (!contains(table_->lifted, *node)) continue;
    for (const std::string_view argument : {"self", "other"}) {
      const Argument* written = node->find(argument);
      const std::optional<double> number = written == nullptr ? std::nullopt : number_of(*written);
      if (!number) continue;
      if (!torchao && (node->output()->dtype() != DType::float32 || is_large_scalar(*number))) continue;
      Value* constant = program.add_buffer(program.free_target("_tensor_constant_", count++), Tensor::scalar(static_cast<float>(*number)));
      program.graph().set_argument(*node, argument, constant);
      if (!is_floating(node->output()->dtype())) node->output()->meta().dtype = DType::float32;
    }
  }
}

// The narrowest configuration comes first, since the first annotation of a node stays.
void PatternQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  const bool torchao = compat_ == Compat::torchao;
  const auto accepted = [&](const Node& node) { return !filter_ || filter_(node); };
  const auto chosen = [](const std::vector<Choice>& choices, const Node& node) {
    return std::ranges::any_of(choices, [&](const Choice& choice) { return choice.nodes.matches(node); });
  };
  const auto in_float = [](const std::vector<Choice>& choices, const Node& node) {
    return std::ranges::any_of(choices, [&](const Choice& choice) { return !choice.config && choice.nodes.matches(node); });
  };
  // torchao forgets an operator's empty configuration; here it means: leave in float.
  const auto op_in_float = [&](const Node& node) { return !torchao && in_float(operators_, node); };
  const auto run = [&](const QuantizationConfig& config) { return PatternRun(program, *table_, config, annotations); };

  for (const Choice& choice : module_names_) {
    const auto named = [&](const Node& n) { return choice.nodes.matches(n) && accepted(n); };
    if (choice.config) annotate_rows(run(*choice.config), compat_, {named, false});
  }
  for (const Choice& choice : module_types_) {
    // An empty configuration of a module's name holds for everything in it, whatever its type says.
    const auto typed = [&](const Node& n) { return choice.nodes.matches(n) && !in_float(module_names_, n) && accepted(n); };
    if (choice.config) annotate_rows(run(*choice.config), compat_, {typed, false});
  }
  const NodeFilter rest{
      [&](const Node& n) { return !chosen(module_names_, n) && !chosen(module_types_, n) && !op_in_float(n) && accepted(n); }};
  for (const Choice& choice : operators_)
    if (choice.config) annotate_rows(run(*choice.config), compat_, rest, &choice.nodes);
  if (global_) annotate_rows(run(*global_), compat_, rest);

  // What the user keeps in float is not drawn in through its neighbours.
  const auto keeps_float = [&](const Node& node) {
    return !torchao && (!accepted(node) || op_in_float(node) || in_float(module_names_, node) || in_float(module_types_, node));
  };
  propagate(program, *table_, keeps_float, annotations);
  explain_the_rest(program, *table_, annotations);
  ask_for_names(program, annotations);
}

void PatternQuantizer::ask_for_names(const ExportedProgram& program, Annotations& annotations) const {
  const auto keeps_float = [](const std::vector<Choice>& choices, const Node& node) {
    return std::ranges::any_of(choices, [&](const Choice& choice) { return !choice.config && choice.nodes.matches(node); });
  };
  for (const auto* choices : {&module_names_, &module_types_, &operators_})
    for (const Choice& choice : *choices) {
      std::vector<const Node*> nodes = matching_nodes(program.graph(), choice.nodes);
      const bool is_known = !nodes.empty();
      if (choice.config)
        std::erase_if(nodes, [&](const Node* node) {
          return (filter_ && !filter_(*node)) || keeps_float(module_names_, *node) || keeps_float(module_types_, *node);
        });
      const bool quantizes =
          choice.config && (choice.config->weight || choice.config->input_activation || choice.config->output_activation);
      if (!is_known || !nodes.empty()) annotations.ask({to_string(choice.nodes), std::move(nodes), quantizes});
    }
}

}  // namespace intaglio
