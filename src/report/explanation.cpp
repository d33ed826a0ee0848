#include "report/explanation.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/regions.h"
#include "interpreter/constant_values.h"
#include "pt2e/uncalibrated.h"
#include "qdq/op_table.h"

namespace intaglio::report {
namespace {

ExplainedOp explained(const ExportedProgram& program, const Node& node, std::string rule) {
  return {std::string(node.op().name()), layer_name(node), source_line(node), std::move(rule), work_of(program, node), 0};
}

double share_of(uint64_t part, uint64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

void finish(std::vector<ExplainedOp>& ops, uint64_t whole) {
  for (ExplainedOp& op : ops) op.share = share_of(op.work.amount, whole);
  std::ranges::stable_sort(ops, std::greater(), &ExplainedOp::share);
}

// Operators that compute at every call: float tensors in and out, and not from constants alone.
bool computes_at_run_time(const Node& node, ConstantValues& constants) {
  return !qdq::find(node) && computes_on_floats(node) && std::ranges::any_of(node.inputs(), [&](const Value* input) {
    return input->is_tensor() && is_floating(input->dtype()) && !constants.is_constant(input);
  });
}

bool reads_codes(const Node& node) {
  return std::ranges::any_of(node.inputs(),
                             [](const Value* input) { return input->producer() != nullptr && qdq::is_dequantize(*input->producer()); });
}

// The operand that keeps a node of a converted program in float.
std::string float_operand(const ExportedProgram& program, const Node& node) {
  for (const Value* input : node.inputs()) {
    if (!input->is_tensor() || (input->producer() != nullptr && qdq::is_dequantize(*input->producer()))) continue;
    const Node* producer = input->producer();
    if (producer != nullptr) return fmt::format("reads the float result of {}", producer->op().name());
    if (program.constant(input) == nullptr) return fmt::format("reads the input '{}' in float", input->name());
    if (input->meta().rank() >= 2) return "a constant that it reads is float";
  }
  return "reads nothing that is quantized";
}

template <typename Quantized, typename Rule>
QuantizationExplanation explain(const ExportedProgram& program, Quantized quantized, Rule rule) {
  QuantizationExplanation result;
  uint64_t integer_work = 0;
  ConstantValues constants(program, is_pure, Creations::constant);
  for (const Node* node : program.graph().node_list()) {
    if (!computes_at_run_time(*node, constants)) continue;
    const uint64_t work = work_of(program, *node).amount;
    result.work = saturating_add(result.work, work);
    if (quantized(*node)) integer_work = saturating_add(integer_work, work);
    else
      result.in_float.push_back(
          explained(program, *node, decompose::subgraphs_of(*node).empty() ? rule(*node) : std::string(pt2e::subgraph_refusal)));
  }
  result.quantized_share = share_of(integer_work, result.work);
  finish(result.in_float, result.work);
  return result;
}

uint64_t delegated_work(const ExportedProgram& program) {
  return total_work(program, [](const Node& node) { return !qdq::find(node); });
}

}  // namespace

DelegationExplanation explain_delegation(const EdgeMethod& method) {
  DelegationExplanation result;
  result.method = method.name;
  std::vector<uint64_t> delegated;
  for (const Delegate& delegate : method.delegates) {
    delegated.push_back(delegate.program ? delegated_work(*delegate.program) : 0);
    result.work = saturating_add(result.work, delegated.back());
    result.delegates.push_back({delegate.backend_id, delegate.program ? delegate.program->graph().size() : 0, 0});
  }
  std::unordered_map<std::string_view, const Node*> by_name;
  for (const Node* node : method.program.graph().node_list()) by_name.emplace(node->name(), node);
  for (const LeftoverOp& op : method.leftovers) {
    const auto node = by_name.find(op.node);
    const Work work = node == by_name.end() ? Work{} : work_of(method.program, *node->second);
    result.work = saturating_add(result.work, work.amount);
    result.outside.push_back({op.op, op.layer, op.source, op.rule, work, 0});
  }
  for (size_t i = 0; i < delegated.size(); ++i) result.delegates[i].share = share_of(delegated[i], result.work);
  finish(result.outside, result.work);
  return result;
}

QuantizationExplanation explain_quantization(const ExportedProgram& program) {
  const bool is_weight_only = std::ranges::none_of(program.graph().node_list(), [](const Node* node) {
    const qdq::OpRow* row = qdq::find(*node);
    return row != nullptr && row->role != qdq::Role::dequantize;
  });
  return explain(
      program, [&](const Node& node) { return is_weight_only ? reads_codes(node) : is_quantized(program, node); },
      [&](const Node& node) { return is_weight_only ? "no weight of it is quantized" : float_operand(program, node); });
}

QuantizationExplanation explain_quantization(const PreparedProgram& prepared) {
  const Annotations& annotations = pt2e::annotations_of(prepared);
  return explain(
      prepared.program(), [&](const Node& node) { return annotations.is_annotated(&node); },
      [&](const Node& node) {
        const std::string* refusal = annotations.refusal(&node);
        return refusal == nullptr ? std::string("the quantizer does not annotate it") : *refusal;
      });
}

Explanation explain(const ExportedProgram& program, const Recipe& recipe, const PartitionerList& partitioners, int threads,
                    RuntimeVersion runtime) {
  Explanation result;
  FlowOptions options = {.threads = threads, .allow_uncalibrated = true};
  options.calibrate = [&](PreparedProgram& prepared) { result.quantization = explain_quantization(prepared); };
  bool applied = !recipe.quantizes();
  options.observe = [&](std::string_view) { applied = true; };
  try {
    ExportedProgram deployed = run_recipe(program.clone(), recipe, options).program;
    if (!result.quantization && has_quantization(deployed)) result.quantization = explain_quantization(deployed);
    EdgeProgram edge = to_edge_transform_and_lower(std::move(deployed), partitioners, {.threads = threads});
    result.delegation = explain_delegation(edge.methods.at(0));
    result.needs = std::move(edge).to_executorch({.runtime = runtime}).runtime_needs();  // what is outside may have no kernel
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug || !applied) throw;
    result.error = error.what();
  }
  return result;
}

bool is_quantized(const ExportedProgram& program, const Node& node) {
  if (qdq::find(node) || !decompose::subgraphs_of(node).empty()) return false;
  bool any = false;
  for (const Value* input : node.inputs()) {
    if (!input->is_tensor()) continue;
    const bool from_integers = input->producer() != nullptr && qdq::is_dequantize(*input->producer());
    any |= from_integers;
    const bool is_bias = program.constant(input) != nullptr && input->meta().rank() < 2;
    if (!from_integers && !is_bias) return false;
  }
  return any;
}

bool has_quantization(const ExportedProgram& program) {
  return std::ranges::any_of(program.graph().node_list(), [](const Node* node) { return qdq::find(*node); });
}

}  // namespace intaglio::report
