#include "pt2e/insertions.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/memory.h"

namespace intaglio::pt2e {
namespace {

// Which values go back to buffers alone, found once for all of them.
class FromBuffers {
 public:
  explicit FromBuffers(const ExportedProgram& program) {
    for (const Value* input : program.graph().inputs()) {
      const InputSpec* spec = program.spec_of(input);
      const bool given = spec == nullptr || spec->kind == InputSpec::Kind::user_input;
      of_[input] = {given, !given && (spec->kind == InputSpec::Kind::buffer || spec->kind == InputSpec::Kind::tensor_constant)};
    }
    for (const Node* node : program.graph().node_list()) {
      Sources sources;
      for (const Value* input : node->inputs()) {
        sources.given |= of_.at(input).given;
        sources.buffer |= of_.at(input).buffer;
      }
      for (const Value* output : node->outputs()) of_[output] = sources;
    }
  }

  // True when `value` is what an in-place node writes to and it goes back to buffers alone: its dtype and storage must stay.
  bool is_mutated(const Node& node, const Value* value) const {
    const OpSchema* schema = node.op().schema();
    if (schema == nullptr || schema->arguments.empty() || !schema->arguments.front().mutated) return false;
    const Argument* first = node.find(schema->arguments.front().name);
    if (first == nullptr || !first->is<Value*>() || *first->get_if<Value*>() != value) return false;
    return of_.at(value).buffer && !of_.at(value).given;
  }

 private:
  struct Sources {
    bool given = false;  // by the caller
    bool buffer = false;
  };
  std::unordered_map<const Value*, Sources> of_;
};

using Uses = std::set<std::pair<const Node*, const Value*>>;

// Where an in-place operator writes, with the views that lead to it, and who reads the same memory afterwards by an older name.
// Memory that only this chain reads is left out: nobody misses what a copy of it receives.
class MemoryUses {
 public:
  explicit MemoryUses(const Graph& graph) {
    for (const Node* node : graph.node_list()) nodes_.push_back(node);
    nodes_.push_back(&graph.output_node());
    for (size_t i = 0; i < nodes_.size(); ++i) {
      position_[nodes_[i]] = i + 1;
      const Value* operand = memory_operand(*nodes_[i]);
      for (const Value* output : nodes_[i]->outputs())
        if (operand != nullptr) memory_[output] = memory_of(operand);
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
    std::unordered_set<const Value*> read_later;
    for (const auto& [node, value] : uses) read_later.insert(memory_of(value));
    std::unordered_set<const Node*> passed;
    for (const auto& [memory, writers] : writes_) {
      if (memory->producer() != nullptr && !read_later.contains(memory)) continue;
      for (const Node* writer : writers) add_way(*writer, uses, passed);
    }
    return uses;
  }

 private:
  bool reads_after_a_write(const Node& node, const Value& value) const {
    const auto writers = writes_.find(memory_of(&value));
    if (writers == writes_.end()) return false;
    const size_t made = value.producer() ? position_.at(value.producer()) : 0;
    const auto position = [&](const Node* writer) { return position_.at(writer); };
    const auto next = std::ranges::upper_bound(writers->second, made, {}, position);  // they stand in order
    return next != writers->second.end() && position(*next) < position(&node);
  }

  const Value* memory_of(const Value* value) const {
    const auto found = memory_.find(value);
    return found == memory_.end() ? value : found->second;
  }

  static void add_way(const Node& writer, Uses& uses, std::unordered_set<const Node*>& passed) {
    const Node* node = &writer;
    while (const Value* operand = node && passed.insert(node).second ? memory_operand(*node) : nullptr) {
      uses.insert({node, operand});
      node = operand->producer();
    }
  }

  std::vector<const Node*> nodes_;
  std::unordered_map<const Node*, size_t> position_;       // counted from 1
  std::unordered_map<const Value*, const Value*> memory_;  // of other names for it
  std::unordered_map<const Value*, std::vector<const Node*>> writes_;
};

Uses uses_of_memory(const Graph& graph) { return MemoryUses(graph).find(); }

class Planner {
 public:
  Planner(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs, Compat compat)
      : program_(program), annotations_(annotations), specs_(specs), compat_(compat) {
    if (compat == Compat::torchao) from_buffers_.emplace(program);
    else uses_of_memory_ = uses_of_memory(program.graph());
  }

  Insertions plan() {
    for (Value* input : program_.graph().inputs()) observe_output(input);
    for (Node* node : program_.graph().node_list()) {
      if (annotations_.find(node) == nullptr) continue;
      for (Value* input : node->inputs())
        if (input->is_tensor()) observe_input(input, *node);
      for (Value* output : node->outputs())
        if (output->is_tensor()) observe_output(output);
    }
    for (const auto& [parent, users] : with_their_own_)
      std::erase_if(result_.items[parent].users, [&](const Node* user) { return users.contains(user); });
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
    return compat_ == Compat::torchao ? from_buffers_->is_mutated(user, value) : uses_of_memory_.contains({&user, value});
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

    if (parent) with_their_own_[*parent].insert(&user);
    const auto [of_group, is_new] = of_readers_.try_emplace({value, parent, entry->group});
    if (is_new) of_group->second = add(value, parent, *entry, false);
    result_.items[of_group->second].users.push_back(&user);
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
  std::optional<FromBuffers> from_buffers_;
  Uses uses_of_memory_;
  Insertions result_;
  std::unordered_map<const Value*, std::vector<size_t>> by_value_;
  std::unordered_map<const Value*, size_t> output_;
  std::map<std::tuple<const Value*, std::optional<size_t>, size_t>, size_t> of_readers_;  // by the insertion in front of it, and group
  std::unordered_map<size_t, std::unordered_set<const Node*>> with_their_own_;  // users of an output that do not read its insertion
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
