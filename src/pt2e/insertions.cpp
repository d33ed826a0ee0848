#include "pt2e/insertions.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "ir/memory.h"

namespace intaglio::pt2e {
namespace {

// True when `value` is what an in-place node writes to and it goes back to buffers alone: its dtype and storage must stay.
bool is_mutated_buffer(const ExportedProgram& program, const Node& node, Value* value) {
  const OpSchema* schema = node.op().schema();
  if (schema == nullptr || schema->arguments.empty() || !schema->arguments.front().mutated) return false;
  const Argument* first = node.find(schema->arguments.front().name);
  if (first == nullptr || !first->is<Value*>() || *first->get_if<Value*>() != value) return false;

  bool from_buffer = false;
  std::vector<Value*> queue = {value};
  std::unordered_set<const Value*> seen = {value};
  for (size_t i = 0; i < queue.size(); ++i) {
    if (const Node* producer = queue[i]->producer()) {
      for (Value* input : producer->inputs())
        if (seen.insert(input).second) queue.push_back(input);
      continue;
    }
    const InputSpec* spec = program.spec_of(queue[i]);
    if (spec == nullptr || spec->kind == InputSpec::Kind::user_input) return false;
    from_buffer |= spec->kind == InputSpec::Kind::buffer || spec->kind == InputSpec::Kind::tensor_constant;
  }
  return from_buffer;
}

using Uses = std::set<std::pair<const Node*, const Value*>>;

const Value* memory_of(const Value* value) {
  while (const Value* operand = value->producer() ? memory_operand(*value->producer()) : nullptr) value = operand;
  return value;
}

// Where an in-place operator writes, with the views that lead to it, and who reads the same memory afterwards by an older name.
// Memory that only this chain reads is left out: nobody misses what a copy of it receives.
class MemoryUses {
 public:
  explicit MemoryUses(const Graph& graph) {
    for (const Node* node : graph.node_list()) nodes_.push_back(node);
    nodes_.push_back(&graph.output_node());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      position_[nodes_[i]] = i + 1;
      if (const Value* target = nodes_[i]->op().schema() && nodes_[i]->op().schema()->is_inplace() ? memory_operand(*nodes_[i]) : nullptr)
        writes_[memory_of(target)].push_back(nodes_[i]);
    }
  }

  Uses find() const {
    Uses uses;
    if (writes_.empty()) return uses;
    for (const Node* node : nodes_)
      for (const Value* value : node->inputs())
        if (reads_after_a_write(*node, *value)) uses.insert({node, value});
    for (const auto& [memory, writers] : writes_) {
      const bool is_read_later =
          std::ranges::any_of(uses, [&, memory = memory](const auto& use) { return memory_of(use.second) == memory; });
      if (memory->producer() != nullptr && !is_read_later) continue;
      for (const Node* writer : writers) add_way(*writer, uses);
    }
    return uses;
  }

 private:
  bool reads_after_a_write(const Node& node, const Value& value) const {
    const auto writers = writes_.find(memory_of(&value));
    if (writers == writes_.end()) return false;
    const size_t made = value.producer() ? position_.at(value.producer()) : 0;
    return std::ranges::any_of(
        writers->second, [&](const Node* writer) { return position_.at(writer) > made && position_.at(writer) < position_.at(&node); });
  }

  static void add_way(const Node& writer, Uses& uses) {
    const Node* node = &writer;
    while (const Value* operand = node ? memory_operand(*node) : nullptr) {
      uses.insert({node, operand});
      node = operand->producer();
    }
  }

  std::vector<const Node*> nodes_;
  std::unordered_map<const Node*, size_t> position_;  // counted from 1
  std::unordered_map<const Value*, std::vector<const Node*>> writes_;
};

Uses uses_of_memory(const Graph& graph) { return MemoryUses(graph).find(); }

class Planner {
 public:
  Planner(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs, Compat compat)
      : program_(program), annotations_(annotations), specs_(specs), compat_(compat) {
    if (compat != Compat::torchao) uses_of_memory_ = uses_of_memory(program.graph());
  }

  Insertions plan() {
    for (Value* input : program_.graph().inputs()) observe_output(input);
    for (Node* node : program_.graph().node_list()) {
      if (annotations_.find(node) == nullptr) continue;
      for (Value* input : node->inputs())
        if (input->is_tensor()) observe_input(input, *node);
      if (node->outputs().size() == 1 && node->output()->is_tensor()) observe_output(node->output());
    }
    order();
    return std::move(result_);
  }

 private:
  size_t add(Value* value, std::optional<size_t> parent, const SpecEntry& entry, bool of_output) {
    const size_t index = result_.items.size();
    result_.items.push_back({fmt::format("activation_post_process_{}", index), value, parent, entry.group, of_output, {}, entry.rule});
    by_value_[value].push_back(index);
    return index;
  }

  bool needs_memory(const Node& user, Value* value) const {
    return compat_ == Compat::torchao ? is_mutated_buffer(program_, user, value) : uses_of_memory_.contains({&user, value});
  }

  std::optional<size_t> output_insertion(const Value* value) const {
    const auto found = output_.find(value);
    return found == output_.end() ? std::nullopt : std::optional(found->second);
  }

  void observe_output(Value* value) {
    const SpecEntry* entry = specs_.find(value, nullptr);
    if (entry == nullptr || !specs_.groups[entry->group].spec) return;
    std::vector<Node*> users = value->users();
    const bool unused = users.empty();
    std::erase_if(users, [&](const Node* user) { return uses_of_memory_.contains({user, value}); });
    if (users.empty() && !unused) return;
    const size_t index = add(value, std::nullopt, *entry, true);
    result_.items[index].users = std::move(users);
    output_[value] = index;
  }

  void observe_input(Value* value, Node& user) {
    const SpecEntry* entry = specs_.find(value, &user);
    if (entry == nullptr || !specs_.groups[entry->group].spec || needs_memory(user, value)) return;
    const std::optional<size_t> parent = output_insertion(value);
    if (parent && result_.items[*parent].group == entry->group) return;  // observed where it is produced

    if (parent) std::erase(result_.items[*parent].users, &user);
    for (const size_t other : by_value_[value]) {
      Insertion& candidate = result_.items[other];
      if (candidate.of_output || candidate.parent != parent || candidate.group != entry->group) continue;
      candidate.users.push_back(&user);
      return;
    }
    const size_t index = add(value, parent, *entry, false);
    result_.items[index].users.push_back(&user);
  }

  // A new observer is put right behind what it reads, so later ones of the same tensor stand before earlier ones.
  void order() {
    for (auto& [value, indices] : by_value_) {
      std::vector<size_t>& ordered = result_.of_value[value];
      const auto rank = [&](size_t i) { return result_.items[i].of_output ? 0 : 1; };
      ordered = indices;
      std::stable_sort(ordered.begin(), ordered.end(), [&](size_t a, size_t b) { return rank(a) != rank(b) ? rank(a) < rank(b) : a > b; });
    }
  }

  const ExportedProgram& program_;
  const Annotations& annotations_;
  const SpecMap& specs_;
  Compat compat_;
  Uses uses_of_memory_;
  Insertions result_;
  std::unordered_map<const Value*, std::vector<size_t>> by_value_;
  std::unordered_map<const Value*, size_t> output_;
};

}  // namespace

const std::vector<size_t>& Insertions::at(const Value* value) const {
  static const std::vector<size_t> nothing;
  const auto found = of_value.find(value);
  return found == of_value.end() ? nothing : found->second;
}

Insertions plan_insertions(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs, Compat compat) {
  return Planner(program, annotations, specs, compat).plan();
}

}  // namespace intaglio::pt2e
