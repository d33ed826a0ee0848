#include "edge/passes/passes.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/interpreter.h>

#include "decompose/rewrite.h"
#include "interpreter/constant_values.h"
#include "ir/mutations.h"
#include "ir/operands_first.h"
#include "qdq/op_table.h"

namespace intaglio::edge {
namespace {

constexpr size_t always_small = 64 << 10;
// What is too large to be kept may still be made on the way to what is not.
constexpr size_t largest_passing = 16 << 20;
// Of all that is made so: a file of a few kilobytes must not take minutes.
constexpr size_t always_on_the_way = size_t{8} << 30;

bool is_foldable_op(const Node& node) {
  const std::string_view space = node.op().name_space();
  return (space == "aten" || space == "dim_order_ops") && is_pure(node);
}

size_t bytes_of(const TensorMeta& meta) { return static_cast<size_t>(element_count(meta.static_sizes())) * item_size(meta.dtype); }

// The results' size in bytes; nullopt when one is not a tensor of fixed size.
std::optional<size_t> result_bytes(const Node& node) {
  size_t bytes = 0;
  for (const Value* output : node.outputs()) {
    if (!output->is_tensor() || !output->meta().is_static()) return std::nullopt;
    bytes += bytes_of(output->meta());
  }
  return bytes;
}

size_t bytes_of_constants(const ExportedProgram& program) {
  size_t bytes = 0;
  for (const State* state : {&program.state, &program.constants})
    for (const auto& [name, entry] : state->entries()) bytes += entry.tensor.nbytes();
  return bytes;
}

// What stands between a constant and its quantized form, or between that and the floats it is read as.
bool is_quantization(const Node& node) { return qdq::is_quantize(node) || qdq::is_dequantize(node); }

// Bytes of the constants behind a node that nothing else needs, where all its operands are made of constants: added up as the nodes
// come, since chains may be as long as the graph.
class UsedAlone {
 public:
  explicit UsedAlone(const ExportedProgram& program) : program_(program) {}

  size_t add(const Node& node) {
    if (!is_foldable_op(node) && !is_quantization(node)) return 0;
    size_t bytes = 0;
    for (const Value* input : node.inputs()) {
      if (!input->has_one_user()) continue;
      if (const Node* producer = input->producer()) {
        const auto before = by_node_.find(producer);
        bytes += before == by_node_.end() ? 0 : before->second;
      } else if (const Tensor* constant = program_.constant(input)) {
        bytes += constant->nbytes();
      }
    }
    return by_node_[&node] = bytes;
  }

 private:
  const ExportedProgram& program_;
  std::unordered_map<const Node*, size_t> by_node_;
};

// Constant values, each computed once; one that only leads to them goes when its last reader has it. Nothing where an operator has no
// kernel, or where more bytes stand on the way than `allowed`, of which those that do are taken.
class Computation {
 public:
  Computation(const ExportedProgram& program, size_t& allowed) : program_(program), allowed_(allowed) {}

  std::optional<std::vector<Tensor>> run(const std::vector<Value*>& wanted) {
    for (const Value* value : wanted) {
      add(value);
      ++readers_[value];
    }
    if (is_too_much_) return std::nullopt;
    for (const Node* node : order_)
      if (!evaluate(*node)) return std::nullopt;
    std::vector<Tensor> results;
    for (const Value* value : wanted) results.push_back(value->producer() ? known_.at(value) : *program_.constant(value));
    return results;
  }

 private:
  // The nodes that make it, each after those that it reads.
  void add(const Value* value) {
    const auto operands_of = [](const Value* v) { return v->producer()->inputs(); };
    const auto is_known = [&](const Value* v) { return is_too_much_ || !v->producer() || added_.contains(v->producer()); };
    visit_operands_first(value, operands_of, is_known, [&](const Value* v, const std::vector<Value*>& operands) {
      const Node* node = v->producer();
      added_.insert(node);
      for (const Value* operand : operands) ++readers_[operand];
      take(*node);
      order_.push_back(node);
    });
  }

  void take(const Node& node) {
    constexpr size_t least = 4096;  // what an operator costs however small its result
    const size_t bytes = std::max(least, result_bytes(node).value_or(0));
    is_too_much_ = bytes > allowed_;
    allowed_ -= std::min(bytes, allowed_);
  }

  bool evaluate(const Node& node) {
    const std::vector<Value*> inputs = node.inputs();
    std::vector<Tensor> operands;
    for (const Value* input : inputs) operands.push_back(input->producer() ? known_.at(input) : *program_.constant(input));
    const auto results = evaluate_node(node, operands);
    if (!results || results->size() != node.outputs().size()) return false;
    for (size_t i = 0; i < results->size(); ++i)
      if (readers_.contains(node.output(i))) known_.emplace(node.output(i), (*results)[i]);
    for (const Value* input : inputs)
      if (--readers_.at(input) == 0) known_.erase(input);
    return true;
  }

  const ExportedProgram& program_;
  size_t& allowed_;
  bool is_too_much_ = false;
  std::vector<const Node*> order_;
  std::unordered_set<const Node*> added_;
  std::unordered_map<const Value*, size_t> readers_;
  std::unordered_map<const Value*, Tensor> known_;
};

using Mutated = std::shared_ptr<const std::unordered_set<const Value*>>;

bool is_returned(const Node& node) { return std::ranges::any_of(node.outputs(), decompose::is_program_output); }

// Constants that nodes have in common, those nodes, and what they make for others: parts of a weight, a weight over its own norm.
class ConstantParts {
 public:
  ConstantParts(const ExportedProgram& program, const Mutated& mutated) {
    for (const Node* node : program.graph().node_list()) add(program, *mutated, *node);
    for (const auto& [value, part] : parts_) {
      Bytes& bytes = bytes_[root(part)];
      if (value->producer() != nullptr) bytes.made += is_read_elsewhere(value) ? bytes_of(value->meta()) : 0;
      else bytes.replaced += is_read_elsewhere(value) ? 0 : bytes_of(value->meta());
    }
  }

  // Bytes of the constants that go when the node's part is computed ahead; nullopt where more would come.
  std::optional<size_t> replaced_with(const Node& node) {
    const auto found = nodes_.find(&node);
    if (found == nodes_.end()) return std::nullopt;
    const Bytes& bytes = bytes_[root(found->second)];
    return bytes.made <= bytes.replaced ? std::optional(bytes.replaced) : std::nullopt;
  }
  bool is_read_elsewhere(const Value* value) const {
    return std::ranges::any_of(value->users(), [&](const Node* user) { return !nodes_.contains(user); });
  }

 private:
  struct Bytes {
    size_t made = 0, replaced = 0;
  };

  void add(const ExportedProgram& program, const std::unordered_set<const Value*>& mutated, const Node& node) {
    const std::vector<Value*> inputs = node.inputs();
    const auto is_known = [&](const Value* input) {
      return parts_.contains(input) || (!input->producer() && program.constant(input) && !mutated.contains(input));
    };
    if (inputs.empty() || !is_foldable_op(node) || is_returned(node) || !result_bytes(node) || !std::ranges::all_of(inputs, is_known))
      return;
    const size_t part = parents_.size();
    parents_.push_back(part);
    nodes_[&node] = part;
    for (const Value* output : node.outputs()) parts_[output] = part;
    for (const Value* input : inputs) parents_[root(parts_.try_emplace(input, part).first->second)] = root(part);
  }
  size_t root(size_t part) {
    while (parents_[part] != part) part = parents_[part] = parents_[parents_[part]];
    return part;
  }

  std::vector<size_t> parents_;
  std::unordered_map<const Node*, size_t> nodes_;
  std::unordered_map<const Value*, size_t> parts_;
  std::unordered_map<size_t, Bytes> bytes_;
};

// How much memory results may take, and how much may be computed on the way to them.
struct Allowance {
  size_t each, together, on_the_way;
};

// Evaluates the node when its operands are constants and the result is small enough; empty otherwise. `passing`: nodes of constants whose
// results are too large, to which this one may be added.
std::vector<Tensor> fold(const ExportedProgram& program, ConstantValues& constants, const Node& node, Allowance& allowance,
                         ConstantParts& parts, size_t used_alone, std::unordered_set<const Node*>& passing) {
  if (!is_foldable_op(node) || node.outputs().empty()) return {};
  const auto bytes = result_bytes(node);
  if (!bytes) return {};
  const std::vector<Value*> inputs = node.inputs();
  if (!std::ranges::all_of(inputs, [&](const Value* input) { return constants.is_constant(input); })) return {};
  size_t replaced = used_alone;
  const std::optional<size_t> replaced_together = parts.replaced_with(node);
  const bool is_kept = std::ranges::any_of(node.outputs(), [&](const Value* output) { return parts.is_read_elsewhere(output); });
  if (replaced_together && is_kept) replaced = std::max(replaced, *bytes);
  if (*bytes > std::max(allowance.each, replaced) || *bytes > std::max(always_small, allowance.together + replaced)) {
    if (*bytes <= std::max(largest_passing, replaced_together.value_or(0))) passing.insert(&node);
    return {};
  }
  const auto operands = Computation(program, allowance.on_the_way).run(inputs);
  if (!operands) return {};
  auto results = evaluate_node(node, *operands);
  if (!results || results->size() != node.outputs().size()) return {};
  for (size_t i = 0; i < results->size(); ++i) {
    const TensorMeta& meta = node.output(i)->meta();
    if ((*results)[i].dtype() != meta.dtype || (*results)[i].sizes() != meta.static_sizes()) return {};
  }
  allowance.together += replaced;
  allowance.together -= std::min(allowance.together, *bytes);
  return std::move(*results);
}

}  // namespace

void fold_constants(ExportedProgram& program) {
  Graph& graph = program.graph();
  bool folded = false;
  std::unordered_set<const Node*> passing;
  const size_t all = bytes_of_constants(program);
  const auto mutated = std::make_shared<const std::unordered_set<const Value*>>(mutated_inputs(program));
  Allowance allowance{std::max(always_small, all / 32), all / 4, always_on_the_way + 16 * all};
  ConstantParts parts(program, mutated);
  UsedAlone used_alone(program);
  // Its answers alone are kept: the floats of quantized weights must not stay in memory.
  ConstantValues constants(program, [&](const Node& taken) { return is_quantization(taken) || passing.contains(&taken); }, mutated);
  for (Node* node : graph.node_list()) {
    const bool used =
        std::any_of(node->outputs().begin(), node->outputs().end(), [](const Value* output) { return !output->users().empty(); });
    // A program output stays computed: a file cannot return a constant.
    const size_t alone = used_alone.add(*node);
    if (!used || is_returned(*node)) continue;
    std::vector<Tensor> results = fold(program, constants, *node, allowance, parts, alone, passing);
    for (size_t i = 0; i < results.size(); ++i) {
      if (node->output(i)->users().empty()) continue;
      Value* constant = program.add_constant(fmt::format("_folded_{}", node->output(i)->name()), results[i].clone());
      graph.replace_all_uses(node->output(i), constant);
    }
    folded = folded || !results.empty();
  }
  if (!folded) return;
  graph.eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio::edge
