#include "edge/passes/passes.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/interpreter.h>

#include "decompose/rewrite.h"
#include "interpreter/constant_values.h"
#include "ir/mutations.h"
#include "qdq/op_table.h"

namespace intaglio::edge {
namespace {

constexpr size_t always_small = 64 << 10;
// What is too large to be kept may still be made on the way to what is not.
constexpr size_t largest_passing = 16 << 20;

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

// Bytes of the constants behind a constant value that nothing else needs.
size_t bytes_used_alone(const ExportedProgram& program, const Value* value) {
  if (!value->has_one_user()) return 0;
  const Node* producer = value->producer();
  if (!producer) return program.constant(value)->nbytes();
  size_t bytes = 0;
  for (const Value* input : producer->inputs()) bytes += bytes_used_alone(program, input);
  return bytes;
}

// How much memory results may take.
struct Allowance {
  size_t each, together;
};

// Evaluates the node when its operands are constants and the result is small enough; empty otherwise. `passing`: nodes of constants whose
// results are too large, to which this one may be added.
using Mutated = std::shared_ptr<const std::unordered_set<const Value*>>;
std::vector<Tensor> fold(const ExportedProgram& program, const Mutated& mutated, const Node& node, Allowance& allowance,
                         std::unordered_set<const Node*>& passing) {
  if (!is_foldable_op(node) || node.outputs().empty()) return {};
  const auto bytes = result_bytes(node);
  if (!bytes) return {};
  // Goes with its values: the floats of quantized weights must not stay in memory.
  ConstantValues constants(program, [&](const Node& taken) { return is_quantization(taken) || passing.contains(&taken); }, mutated);
  const std::vector<Value*> inputs = node.inputs();
  if (!std::ranges::all_of(inputs, [&](const Value* input) { return constants.is_constant(input); })) return {};
  size_t replaced = 0;
  for (const Value* input : inputs) replaced += bytes_used_alone(program, input);
  if (*bytes > std::max(allowance.each, replaced) || *bytes > std::max(always_small, allowance.together + replaced)) {
    if (*bytes <= largest_passing) passing.insert(&node);
    return {};
  }
  std::vector<Tensor> operands;
  for (const Value* input : inputs) {
    const Tensor* operand = constants.find(input);
    if (!operand) return {};
    operands.push_back(*operand);
  }
  auto results = evaluate_node(node, operands);
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
  Allowance allowance{std::max(always_small, all / 32), all / 4};
  for (Node* node : graph.node_list()) {
    const bool used =
        std::any_of(node->outputs().begin(), node->outputs().end(), [](const Value* output) { return !output->users().empty(); });
    // A program output stays computed: a file cannot return a constant.
    const bool returned = std::any_of(node->outputs().begin(), node->outputs().end(), decompose::is_program_output);
    if (!used || returned) continue;
    std::vector<Tensor> results = fold(program, mutated, *node, allowance, passing);
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
