#include "edge/passes/fold_constants.h"

#include <algorithm>

#include <fmt/format.h>

#include <intaglio/interpreter.h>

#include "edge/rewrite.h"

namespace intaglio {
namespace {

constexpr size_t always_small = 64 << 10;

bool is_foldable_op(const Node& node) {
  const std::string_view space = node.op().name_space();
  if (space != "aten" && space != "dim_order_ops") return false;
  const OpSchema* schema = node.op().schema();
  const bool random = node.op().base().starts_with("rand") || node.op().base() == "bernoulli" || node.op().base() == "empty";
  return schema && !schema->is_inplace() && !random;
}

size_t bytes_of(const TensorMeta& meta) {
  return static_cast<size_t>(element_count(meta.static_sizes())) * item_size(meta.dtype);
}

// The results' size in bytes; nullopt when one is not a tensor of fixed size.
std::optional<size_t> result_bytes(const Node& node) {
  size_t bytes = 0;
  for (const Value* output : node.outputs()) {
    if (!output->is_tensor() || !output->meta().is_static()) return std::nullopt;
    bytes += bytes_of(output->meta());
  }
  return bytes;
}

// Evaluates the node when its operands are constants and the result is small enough; empty otherwise.
std::vector<Tensor> fold(const ExportedProgram& program, const Node& node) {
  if (!is_foldable_op(node) || node.outputs().empty()) return {};
  std::vector<Tensor> operands;
  size_t replaced = 0;
  for (const Value* input : node.inputs()) {
    if (!input->is_tensor() || !program.is_constant(input)) return {};
    operands.push_back(*program.constant(input));
    if (input->has_one_user()) replaced += operands.back().nbytes();
  }
  const auto bytes = result_bytes(node);
  if (!bytes || *bytes > std::max(always_small, replaced)) return {};
  auto results = evaluate_node(node, operands);
  if (!results || results->size() != node.outputs().size()) return {};
  for (size_t i = 0; i < results->size(); ++i) {
    const TensorMeta& meta = node.output(i)->meta();
    if ((*results)[i].dtype() != meta.dtype || (*results)[i].sizes() != meta.static_sizes()) return {};
  }
  return std::move(*results);
}

}  // namespace

void fold_constants(ExportedProgram& program) {
  Graph& graph = program.graph();
  bool folded = false;
  for (Node* node : graph.node_list()) {
    const bool used = std::any_of(node->outputs().begin(), node->outputs().end(), [](const Value* output) { return !output->users().empty(); });
    // A program output stays computed: a file cannot return a constant.
    const bool returned = std::any_of(node->outputs().begin(), node->outputs().end(), is_program_output);
    if (!used || returned) continue;
    std::vector<Tensor> results = fold(program, *node);
    for (size_t i = 0; i < results.size(); ++i) {
      if (node->output(i)->users().empty()) continue;
      Value* constant = program.add_constant(fmt::format("_folded_{}", node->output(i)->name()), results[i].contiguous());
      graph.replace_all_uses(node->output(i), constant);
    }
    folded = folded || !results.empty();
  }
  if (!folded) return;
  graph.eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio
