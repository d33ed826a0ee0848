#include <intaglio/graph.h>

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/map_values.h"

namespace intaglio {
namespace {

template <typename Visit>
void visit_values(const Argument& argument, Visit visit) {
  if (Value* const* single = argument.get_if<Value*>()) {
    visit(*single);
  } else if (const auto* list = argument.get_if<std::vector<Value*>>()) {
    for (Value* value : *list)
      if (value != nullptr) visit(value);
  } else if (const auto* lists = argument.get_if<std::vector<std::vector<Value*>>>()) {
    for (const auto& inner : *lists)
      for (Value* value : inner)
        if (value != nullptr) visit(value);
  } else if (const auto* symbols = argument.get_if<std::vector<SymArg>>()) {
    for (const SymArg& item : *symbols)
      if (Value* const* value = std::get_if<Value*>(&item)) visit(*value);
  } else if (const auto* map = argument.get_if<std::shared_ptr<ArgumentMap>>()) {
    for (const auto& [key, value] : **map) visit_values(value, visit);
  }
}

// Ops that must stay though nobody uses a result.
bool has_side_effect(const Node& node) {
  const Op op = node.op();
  if (op.name_space() == "higher_order") return true;
  if (op.base().starts_with("_assert") || op.base().starts_with("sym_constrain")) return true;
  if (op.schema() != nullptr) return op.schema()->is_inplace();
  // Arithmetic on symbols is pure; any other op that we do not know may do anything.
  return !(op.name_space() == "_operator" || op.name_space() == "math" || op.name_space() == "torch");
}

}  // namespace

std::vector<Value*> values_in(const Argument& argument) {
  std::vector<Value*> values;
  visit_values(argument, [&](Value* value) { values.push_back(value); });
  return values;
}

const TensorMeta& Value::meta() const {
  if (!is_tensor()) throw_bug(fmt::format("value '{}' is not a tensor", name_));
  return meta_;
}
TensorMeta& Value::meta() {
  if (!is_tensor()) throw_bug(fmt::format("value '{}' is not a tensor", name_));
  return meta_;
}

Graph::Graph() : output_node_(new Node(Op::get("output"))) {
  output_node_->graph_ = this;
  output_node_->name_ = "output";
  node_names_.insert("output");
}
Graph::~Graph() = default;

std::string Graph::unique_name(std::string_view hint) const {
  std::string name(hint.empty() ? "value" : hint);
  const auto taken = [&](const std::string& candidate) { return by_name_.contains(candidate) || node_names_.contains(candidate); };
  if (!taken(name)) return name;
  // Counts up from the stem, as torch does: relu_1, relu_2.
  const size_t digits = name.find_last_not_of("0123456789");
  if (digits != std::string::npos && digits + 1 < name.size() && name[digits] == '_') name.resize(digits);
  size_t& counter = name_counters_[name];
  for (;;) {
    std::string candidate = fmt::format("{}_{}", name, ++counter);
    if (!taken(candidate)) return candidate;
  }
}

Value* Graph::new_value(OutputSpecification spec, std::string_view fallback_name) {
  auto value = std::make_unique<Value>();
  value->name_ = unique_name(spec.name.empty() ? fallback_name : std::string_view(spec.name));
  value->kind_ = spec.kind;
  value->meta_ = std::move(spec.meta);
  value->sym = std::move(spec.sym);
  value->class_fqn = std::move(spec.class_fqn);
  Value* result = value.get();
  by_name_.emplace(result->name_, result);
  values_.emplace(result, std::move(value));
  return result;
}

Value* Graph::add_input(size_t position, OutputSpecification value, std::optional<Argument> literal) {
  if (position > inputs_.size()) throw_bug("graph input position out of range");
  Value* input = new_value(std::move(value), "input");
  inputs_.insert(inputs_.begin() + static_cast<std::ptrdiff_t>(position), input);
  // An input's index is its place among the inputs: what the program says of it is found there.
  for (size_t i = position; i < inputs_.size(); ++i) inputs_[i]->output_index_ = i;
  if (literal) literals_.emplace(input, std::move(*literal));
  return input;
}

void Graph::erase_input(Value* input) {
  if (!input->users_.empty()) throw_bug(fmt::format("graph input '{}' is erased while it has users", input->name_));
  const size_t position = input->output_index_;
  inputs_.erase(inputs_.begin() + static_cast<std::ptrdiff_t>(position));
  for (size_t i = position; i < inputs_.size(); ++i) inputs_[i]->output_index_ = i;
  literals_.erase(input);
  by_name_.erase(input->name_);
  values_.erase(input);
}

const Argument* Graph::literal_of(const Value* input) const {
  const auto found = literals_.find(input);
  return found == literals_.end() ? nullptr : &found->second;
}

std::vector<Argument> Graph::outputs() const {
  std::vector<Argument> result;
  result.reserve(output_node_->arguments_.size());
  for (const NamedArgument& argument : output_node_->arguments_) result.push_back(argument.value);
  return result;
}

std::vector<Node*> Graph::node_list() const {
  std::vector<Node*> result;
  result.reserve(nodes_.size());
  for (const auto& node : nodes_) result.push_back(node.get());
  return result;
}

Value* Graph::find_value(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

Node* Graph::next(const Node* node) const {
  const auto after = std::next(node->position_);
  return after == nodes_.end() ? nullptr : after->get();
}
Node* Graph::previous(const Node* node) const { return node->position_ == nodes_.begin() ? nullptr : std::prev(node->position_)->get(); }

void Graph::link(Node& node) {
  for (const NamedArgument& argument : node.arguments_)
    visit_values(argument.value, [&](Value* value) {
      if (!values_.contains(value)) throw_bug(fmt::format("node '{}' refers to a value that is not of its graph", node.name_));
      if (value->users_.empty() || value->users_.back() != &node) {
        if (std::find(value->users_.begin(), value->users_.end(), &node) == value->users_.end()) value->users_.push_back(&node);
      }
    });
}

void Graph::unlink(Node& node) {
  for (const NamedArgument& argument : node.arguments_)
    visit_values(argument.value, [&](Value* value) { std::erase(value->users_, &node); });
}

Node& Graph::insert_before(Node* position, Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs,
                           std::string name, std::vector<Node::OutputGroup> groups) {
  std::unique_ptr<Node> owned(new Node(op));
  Node& node = *owned;
  node.graph_ = this;
  node.arguments_ = std::move(arguments);
  const std::string stem = std::string(op.base());
  if (name.empty() && outputs.size() == 1 && !outputs[0].name.empty()) name = outputs[0].name;
  // The one result carries the node's name, so the pair is found free together.
  node.name_ = unique_name(name.empty() ? stem : name);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string fallback = outputs.size() == 1 ? node.name_ : fmt::format("{}_{}", node.name_, i);
    Value* value = new_value(std::move(outputs[i]), fallback);
    value->producer_ = &node;
    value->output_index_ = i;
    node.outputs_.push_back(value);
  }
  node_names_.insert(node.name_);
  const OpSchema* schema = op.schema();
  if (groups.empty()) {
    const bool one_list = schema != nullptr && schema->returns.size() == 1 && schema->returns[0].type == ArgType::tensor_list;
    if (one_list) groups.push_back({true, node.outputs_.size()});
    else groups.assign(node.outputs_.size(), {});
  }
  node.output_groups_ = std::move(groups);
  link(node);
  const auto where = position == nullptr || position == output_node_.get() ? nodes_.end() : position->position_;
  node.position_ = nodes_.insert(where, std::move(owned));
  node.in_list_ = true;
  return node;
}

Node& Graph::insert_after(Node* position, Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs,
                          std::string name, std::vector<Node::OutputGroup> groups) {
  Node* before = position == nullptr ? (nodes_.empty() ? nullptr : nodes_.front().get()) : next(position);
  return insert_before(before, op, std::move(arguments), std::move(outputs), std::move(name), std::move(groups));
}

void Graph::set_arguments(Node& node, std::vector<NamedArgument> arguments) {
  unlink(node);
  node.arguments_ = std::move(arguments);
  link(node);
}

void Graph::set_argument(Node& node, std::string_view argument, Argument value) {
  std::vector<NamedArgument> arguments = node.arguments_;
  const auto found =
      std::find_if(arguments.begin(), arguments.end(), [&](const NamedArgument& candidate) { return candidate.name == argument; });
  if (found != arguments.end()) {
    found->value = std::move(value);
  } else {
    const OpSchema* schema = node.op_.schema();
    const std::optional<size_t> index = schema == nullptr ? std::nullopt : schema->index_of(argument);
    if (schema != nullptr && !index) throw_bug(fmt::format("{} has no argument '{}'", node.op_.name(), argument));
    // Kept in schema order; an argument after a gap can only be passed by keyword.
    auto place = arguments.end();
    bool gap = false;
    if (index) {
      place = std::find_if(arguments.begin(), arguments.end(),
                           [&](const NamedArgument& other) { return schema->index_of(other.name).value_or(0) > *index; });
      gap = static_cast<size_t>(place - arguments.begin()) != *index || schema->arguments[*index].keyword_only;
    }
    arguments.insert(place, {std::string(argument), std::move(value), gap ? ArgKind::keyword : ArgKind::positional});
  }
  set_arguments(node, std::move(arguments));
}

void Graph::set_op(Node& node, Op op) { node.op_ = op; }

void Graph::set_outputs(std::vector<Argument> outputs) {
  std::vector<NamedArgument> arguments;
  for (Argument& output : outputs) arguments.push_back({"", std::move(output), ArgKind::positional});
  set_arguments(*output_node_, std::move(arguments));
}

void Graph::replace_uses_in(Node& user, Value* from, Value* to) {
  std::vector<NamedArgument> arguments = user.arguments_;
  for (NamedArgument& argument : arguments) {
    argument.value = map_values(argument.value, [&](Value* value) { return value == from ? to : value; });
  }
  set_arguments(user, std::move(arguments));
}

void Graph::replace_all_uses(Value* from, Value* to) {
  const std::vector<Node*> users = from->users_;
  for (Node* user : users) replace_uses_in(*user, from, to);
}

void Graph::rename(Value* value, std::string name) {
  if (value->name_ == name) return;
  by_name_.erase(value->name_);
  Node* producer = value->producer_;
  const bool node_follows = producer != nullptr && producer->outputs_.size() == 1 && producer->name_ == value->name_;
  if (node_follows) node_names_.erase(producer->name_);
  value->name_ = unique_name(name);
  by_name_.emplace(value->name_, value);
  if (node_follows) {
    producer->name_ = value->name_;
    node_names_.insert(producer->name_);
  }
}

void Graph::erase(Node* node) {
  for (const Value* output : node->outputs_)
    if (!output->users_.empty()) throw_bug(fmt::format("node '{}' is erased while '{}' uses it", node->name_, output->users_[0]->name_));
  unlink(*node);
  node_names_.erase(node->name_);
  for (Value* output : node->outputs_) {
    by_name_.erase(output->name_);
    values_.erase(output);
  }
  nodes_.erase(node->position_);
}

void Graph::move_before(Node* node, Node* position) {
  const auto where = position == nullptr || position == output_node_.get() ? nodes_.end() : position->position_;
  nodes_.splice(where, nodes_, node->position_);
}

size_t Graph::eliminate_dead_code() {
  size_t erased = 0;
  std::vector<Node*> nodes = node_list();
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    const bool used =
        std::any_of((*node)->outputs_.begin(), (*node)->outputs_.end(), [](const Value* output) { return !output->users_.empty(); });
    if (used || has_side_effect(**node)) continue;
    erase(*node);
    ++erased;
  }
  return erased;
}

std::unique_ptr<Graph> Graph::clone(std::unordered_map<const Value*, Value*>* mapping,
                                    std::unordered_map<const Node*, Node*>* nodes) const {
  auto copy = std::make_unique<Graph>();
  std::unordered_map<const Value*, Value*> local;
  std::unordered_map<const Value*, Value*>& map = mapping != nullptr ? *mapping : local;
  const auto specification = [](const Value& value) {
    return OutputSpecification{value.meta_, value.name_, value.kind_, value.sym, value.class_fqn};
  };
  const auto copied = [&](const Argument& argument) -> Argument {
    const auto* subgraph = argument.get_if<std::shared_ptr<Subgraph>>();
    if (subgraph == nullptr) return map_values(argument, [&](Value* value) { return map.at(value); });
    return std::make_shared<Subgraph>(Subgraph{(*subgraph)->name, (*subgraph)->graph->clone()});
  };

  for (const Value* input : inputs_) {
    const Argument* literal = literal_of(input);
    map[input] = copy->add_input(copy->inputs_.size(), specification(*input), literal != nullptr ? std::optional(*literal) : std::nullopt);
  }
  for (const auto& node : nodes_) {
    std::vector<NamedArgument> arguments;
    arguments.reserve(node->arguments_.size());
    for (const NamedArgument& argument : node->arguments_) arguments.push_back({argument.name, copied(argument.value), argument.kind});
    std::vector<OutputSpecification> outputs;
    for (const Value* output : node->outputs_) outputs.push_back(specification(*output));
    Node& fresh = copy->insert_before(nullptr, node->op_, std::move(arguments), std::move(outputs), node->name_, node->output_groups_);
    fresh.metadata = node->metadata;
    fresh.carried = node->carried;
    for (size_t i = 0; i < node->outputs_.size(); ++i) map[node->outputs_[i]] = fresh.outputs_[i];
    if (nodes != nullptr) (*nodes)[node.get()] = &fresh;
  }
  std::vector<Argument> outputs;
  for (const NamedArgument& output : output_node_->arguments_) outputs.push_back(copied(output.value));
  copy->set_outputs(std::move(outputs));
  if (nodes != nullptr) (*nodes)[output_node_.get()] = copy->output_node_.get();
  copy->carried = carried;
  copy->is_single_tensor_return = is_single_tensor_return;
  return copy;
}

}  // namespace intaglio
