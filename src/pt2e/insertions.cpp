#include "pt2e/insertions.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>

#include <intaglio/error.h>

namespace intaglio {
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

class Planner {
 public:
  Planner(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs)
      : program_(program), annotations_(annotations), specs_(specs) {}

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

  std::optional<size_t> output_insertion(const Value* value) const {
    const auto found = output_.find(value);
    return found == output_.end() ? std::nullopt : std::optional(found->second);
  }

  void observe_output(Value* value) {
    const SpecEntry* entry = specs_.find(value, nullptr);
    if (entry == nullptr || !specs_.groups[entry->group].spec) return;
    const size_t index = add(value, std::nullopt, *entry, true);
    result_.items[index].users = value->users();
    output_[value] = index;
  }

  void observe_input(Value* value, Node& user) {
    const SpecEntry* entry = specs_.find(value, &user);
    if (entry == nullptr || !specs_.groups[entry->group].spec || is_mutated_buffer(program_, user, value)) return;
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

Insertions plan_insertions(const ExportedProgram& program, const Annotations& annotations, const SpecMap& specs) {
  return Planner(program, annotations, specs).plan();
}

}  // namespace intaglio
