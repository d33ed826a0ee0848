#include <deque>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/vulkan/op_representations.h"
#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

class Assigner {
 public:
  Assigner(ExportedProgram& program, const TextureLimits& limits, bool prefer_textures)
      : program_(program), limits_(limits), prefer_textures_(prefer_textures) {}

  Assignments run() && {
    for (Node* node : program_.graph().node_list())
      if (const OpRow* row = find_row(node->op().name())) assign(*node, *row);
    return std::move(assigned_);
  }

 private:
  void assign(Node& node, const OpRow& row) {
    OpRepresentations sets(program_, node, row, limits_);
    if (!sets.possible())
      throw_unsupported(fmt::format("{}: no image within {} x {} x {} holds its tensors; give the program smaller sizes", describe(node),
                                    limits_[0], limits_[1], limits_[2]));
    const std::vector<Operand> operands = tensor_operands(node);
    for (size_t i = 0; i < operands.size(); ++i)
      if (!is_bytes(row, node, operands[i])) settle_operand(sets, i, operands[i].values.front());
    const std::vector<Value*>& results = node.outputs();
    if (!results.empty() && !sets.result(0).settled()) sets.narrow_result(wanted_by_readers(passed_on(node, sets), sets.result(0)));
    for (size_t i = 0; i < results.size(); ++i) assigned_[results[i]] = sets.result(i).first();
    for (size_t i = 0; i < operands.size(); ++i)
      if (!is_bytes(row, node, operands[i]))
        for (Value* value : operands[i].values) give(node, value, sets.operand(i).first());
  }

  bool is_bytes(const OpRow& row, const Node& node, const Operand& operand) const {
    return reads_constant(row, node, operand.place) && program_.constant(operand.values.front()) != nullptr;
  }

  void settle_operand(OpRepresentations& sets, size_t i, const Value* value) {
    if (prefer_textures_) sets.narrow_operand(i, representations::any_texture);
    if (!sets.operand(i).settled()) sets.narrow_operand(i, wanted_by_readers({value}, sets.operand(i)));
    if (!sets.operand(i).settled()) sets.narrow_operand(i, given_by_producer(value));
  }

  Representations given_by_producer(const Value* value) {
    if (const auto found = assigned_.find(value); found != assigned_.end()) return Representations::of(found->second);
    return representations::any;
  }

  static std::vector<const Value*> passed_on(const Node& node, const OpRepresentations& sets) {
    const auto& results = node.outputs();
    if (!sets.results_alike()) return {results.front()};
    return {results.begin(), results.end()};
  }

  // What of the set suits the nodes behind the values, nearer ones first, as far as their needs reach back to here.
  Representations wanted_by_readers(std::vector<const Value*> values, Representations set) {
    constexpr int most_steps = 64, most_visits = 1024;
    std::deque<std::vector<const Value*>> queue = {std::move(values)};
    for (int steps = 1, visits = 0; !queue.empty() && steps < most_steps; ++steps) {
      const std::vector<const Value*> step = std::move(queue.front());
      queue.pop_front();
      for (const Value* value : step)
        for (const Node* reader : value->users()) {
          if (set.settled() || ++visits > most_visits) return set;
          const Reading* reading = reading_of(reader, value);
          if (!reading || (set & reading->wants).empty()) continue;
          set = set & reading->wants;
          if (reading->passes_on) queue.push_back(passed_on(*reader, *reading->sets));
        }
    }
    return set;
  }

  // How a node reads a value, before anything about the node is decided.
  struct Reading {
    Representations wants;
    bool passes_on = false;
    const OpRepresentations* sets = nullptr;
  };
  const Reading* reading_of(const Node* reader, const Value* value) {
    const auto [found, is_new] = readings_.try_emplace({reader, value});
    if (!is_new) return found->second ? &*found->second : nullptr;
    const OpRow* row = find_row(reader->op().name());
    if (!row) return nullptr;
    std::unique_ptr<OpRepresentations>& sets = sets_[reader];
    if (!sets) sets = std::make_unique<OpRepresentations>(program_, *reader, *row, limits_);
    const std::vector<Operand> operands = tensor_operands(*reader);
    for (size_t i = 0; i < operands.size() && !found->second; ++i)
      if (std::ranges::find(operands[i].values, value) != operands[i].values.end() && !is_bytes(*row, *reader, operands[i]))
        found->second = Reading{sets->operand(i), sets->passes_on(i), sets.get()};
    return found->second ? &*found->second : nullptr;
  }

  void give(Node& node, Value* value, Representation representation) {
    const auto [found, is_new] = assigned_.try_emplace(value, representation);
    if (found->second == representation) return;
    Value*& copy = copies_[{value, representation}];
    if (!copy) {
      TensorMeta meta = value->meta();
      copy = program_.graph().insert_before(&node, Op::get("aten.clone.default"), {{"self", value}}, {{.meta = std::move(meta)}}).output();
      assigned_[copy] = representation;
    }
    program_.graph().replace_uses_in(node, value, copy);
  }

  ExportedProgram& program_;
  const TextureLimits& limits_;
  bool prefer_textures_;
  Assignments assigned_;
  std::map<std::pair<const Value*, Representation>, Value*> copies_;
  std::unordered_map<const Node*, std::unique_ptr<OpRepresentations>> sets_;
  std::map<std::pair<const Node*, const Value*>, std::optional<Reading>> readings_;
};

}  // namespace

Assignments assign_representations(ExportedProgram& program, const TextureLimits& limits, bool prefer_textures) {
  return Assigner(program, limits, prefer_textures).run();
}

}  // namespace intaglio::vulkan
