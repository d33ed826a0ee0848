#include <intaglio/graph.h>

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/map_values.h"
#include "ir/visit_values.h"

namespace intaglio {
namespace {

bool is_map(const Argument& argument) { return argument.is<std::shared_ptr<ArgumentMap>>(); }

bool is_in_place(Op op) { return op.schema() != nullptr && op.schema()->is_inplace(); }

// From here on an index costs less than looking at all of them.
constexpr size_t many = 32;

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

size_t UserList::find(const Node* node) const {
  if (places_) {
    const auto found = places_->find(node);
    return found == places_->end() ? uses_.size() : found->second;
  }
  return static_cast<size_t>(std::ranges::find(uses_, node, &Use::node) - uses_.begin());
}

void UserList::add(Node* node, size_t count) {
  const size_t place = find(node);
  if (place < uses_.size()) {
    uses_[place].count += count;
    return;
  }
  uses_.push_back({node, count});
  if (places_) places_->emplace(node, place);
  else if (uses_.size() > many) close_gaps();
}

void UserList::remove(const Node* node, size_t count) {
  const size_t place = find(node);
  if (place == uses_.size() || uses_[place].count < count) throw_bug(fmt::format("node '{}' is no user", node->name()));
  if ((uses_[place].count -= count) > 0) return;
  if (!places_) {
    uses_.erase(uses_.begin() + static_cast<std::ptrdiff_t>(place));
    return;
  }
  places_->erase(node);
  uses_[place].node = nullptr;
  ++gaps_;
  if (place == first_) first_ = used_from(place);
  if (gaps_ > uses_.size() / 2) close_gaps();
}

void UserList::close_gaps() {
  std::erase_if(uses_, [](const Use& use) { return use.node == nullptr; });
  first_ = gaps_ = 0;
  places_.reset();
  if (uses_.size() <= many) return;
  places_ = std::make_unique<std::unordered_map<const Node*, size_t>>();
  for (size_t i = 0; i < uses_.size(); ++i) places_->emplace(uses_[i].node, i);
}

const TensorMeta& Value::meta() const {
  if (!is_tensor()) throw NotATensor(fmt::format("value '{}' is not a tensor", name_));
  return meta_;
}
TensorMeta& Value::meta() {
  if (!is_tensor()) throw NotATensor(fmt::format("value '{}' is not a tensor", name_));
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

void Graph::erase_inputs(const std::vector<Value*>& inputs) {
  const std::unordered_set<const Value*> erased(inputs.begin(), inputs.end());
  for (const Value* input : inputs)
    if (!input->users_.empty()) throw_bug(fmt::format("graph input '{}' is erased while it has users", input->name_));
  std::erase_if(inputs_, [&](const Value* input) { return erased.contains(input); });
  for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i]->output_index_ = i;
  for (const Value* input : inputs) {
    literals_.erase(input);
    by_name_.erase(input->name_);
    values_.erase(input);
  }
}

void Graph::order_inputs(std::vector<Value*> inputs) {
  std::vector<Value*> sorted = inputs, known = inputs_;
  std::ranges::sort(sorted);
  std::ranges::sort(known);
  if (sorted != known) throw_bug("the inputs of a graph are ordered as others than they are");
  inputs_ = std::move(inputs);
  for (size_t i = 0; i < inputs_.size(); ++i) inputs_[i]->output_index_ = i;
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

void Graph::link(Node& node, const Argument& argument) {
  visit_values(argument, [&](Value* value) {
    if (!values_.contains(value)) throw_bug(fmt::format("node '{}' refers to a value that is not of its graph", node.name_));
    value->users_.add(&node, 1);
    ++node.named_values_;
  });
  node.maps_ += is_map(argument);
  node.slots_.reset();
}

void Graph::unlink(Node& node, const Argument& argument) {
  visit_values(argument, [&](Value* value) {
    value->users_.remove(&node, 1);
    --node.named_values_;
  });
  node.maps_ -= is_map(argument);
  node.slots_.reset();
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
  for (const NamedArgument& argument : node.arguments_) link(node, argument.value);
  const auto where = position == nullptr || position == output_node_.get() ? nodes_.end() : position->position_;
  node.position_ = nodes_.insert(where, std::move(owned));
  node.in_list_ = true;
  in_place_nodes_ += is_in_place(op);
  return node;
}

Node& Graph::insert_after(Node* position, Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs,
                          std::string name, std::vector<Node::OutputGroup> groups) {
  Node* before = position == nullptr ? (nodes_.empty() ? nullptr : nodes_.front().get()) : next(position);
  return insert_before(before, op, std::move(arguments), std::move(outputs), std::move(name), std::move(groups));
}

void Graph::set_arguments(Node& node, std::vector<NamedArgument> arguments) {
  // The new ones first: who stays a user of a value keeps its place among them.
  for (const NamedArgument& argument : arguments) link(node, argument.value);
  for (const NamedArgument& argument : node.arguments_) unlink(node, argument.value);
  node.arguments_ = std::move(arguments);
}

void Graph::set_argument(Node& node, std::string_view argument, Argument value) {
  link(node, value);
  const auto found = std::ranges::find(node.arguments_, argument, &NamedArgument::name);
  if (found != node.arguments_.end()) {
    unlink(node, found->value);
    found->value = std::move(value);
    return;
  }
  const OpSchema* schema = node.op_.schema();
  const std::optional<size_t> index = schema == nullptr ? std::nullopt : schema->index_of(argument);
  if (schema != nullptr && !index) throw_bug(fmt::format("{} has no argument '{}'", node.op_.name(), argument));
  // Kept in schema order; an argument after a gap can only be passed by keyword.
  auto place = node.arguments_.end();
  bool gap = false;
  if (index) {
    place = std::ranges::find_if(node.arguments_,
                                 [&](const NamedArgument& other) { return schema->index_of(other.name).value_or(0) > *index; });
    gap = static_cast<size_t>(place - node.arguments_.begin()) != *index || schema->arguments[*index].keyword_only;
  }
  node.arguments_.insert(place, {std::string(argument), std::move(value), gap ? ArgKind::keyword : ArgKind::positional});
}

void Graph::set_op(Node& node, Op op) {
  in_place_nodes_ += is_in_place(op);
  in_place_nodes_ -= is_in_place(node.op_);
  node.op_ = op;
}

void Graph::set_outputs(std::vector<Argument> outputs) {
  std::vector<NamedArgument> arguments;
  for (Argument& output : outputs) arguments.push_back({"", std::move(output), ArgKind::positional});
  set_arguments(*output_node_, std::move(arguments));
}

void Graph::replace_uses_in(Node& user, Value* from, Value* to) {
  if (from == to) return;
  if (!values_.contains(to)) throw_bug(fmt::format("node '{}' refers to a value that is not of its graph", user.name_));
  if (user.maps_ > 0) {
    std::vector<NamedArgument> arguments = user.arguments_;
    for (NamedArgument& argument : arguments)
      argument.value = map_values(argument.value, [&](Value* value) { return value == from ? to : value; });
    set_arguments(user, std::move(arguments));
    return;
  }
  size_t count = 0;
  if (user.named_values_ > many) {
    index_slots(user);
    const auto found = user.slots_->find(from);
    if (found == user.slots_->end()) return;
    const std::vector<Value**> slots = std::move(found->second);
    user.slots_->erase(found);
    for (Value** slot : slots) *slot = to;
    std::vector<Value**>& others = (*user.slots_)[to];
    others.insert(others.end(), slots.begin(), slots.end());
    count = slots.size();
  } else {
    for (NamedArgument& argument : user.arguments_)
      visit_slots(argument.value, [&](Value*& value) {
        if (value != from) return;
        value = to;
        ++count;
      });
  }
  if (count == 0) return;
  to->users_.add(&user, count);
  from->users_.remove(&user, count);
}

void Graph::index_slots(Node& node) {
  if (node.slots_) return;
  node.slots_ = std::make_unique<std::unordered_map<const Value*, std::vector<Value**>>>();
  for (NamedArgument& argument : node.arguments_)
    visit_slots(argument.value, [&](Value*& value) {
      if (value != nullptr) (*node.slots_)[value].push_back(&value);
    });
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
    if (!output->users_.empty())
      throw_bug(fmt::format("node '{}' is erased while '{}' uses it", node->name_, output->users_.front()->name_));
  for (const NamedArgument& argument : node->arguments_) unlink(*node, argument.value);
  in_place_nodes_ -= is_in_place(node->op_);
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
