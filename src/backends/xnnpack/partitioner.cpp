#include <algorithm>
#include <map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/xnnpack.h>

#include "backends/common/candidates.h"
#include "backends/common/gemm_operands.h"
#include "backends/common/own_readers.h"
#include "backends/common/symbolic_views.h"
#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/limits.h"
#include "backends/xnnpack/payload/payload.h"
#include "backends/xnnpack/rewrites/rewrites.h"
#include "backends/xnnpack/row_weights.h"

namespace intaglio::xnnpack {
namespace {

using common::ProgramFacts;

// Ops of the exporter that this backend takes whole, besides those that quantize by blocks; everything else it takes decomposed.
constexpr std::string_view kept_ops[] = {"aten.linear.default",     "aten.matmul.default", "aten.hardswish.default",
                                         "aten.max_pool2d.default", "aten.prelu.default",  "aten.upsample_bilinear2d.vec"};

constexpr std::string_view needs_quantized_input =
    "XNNPACK has no kernel for such weights beside float inputs: choose Int8DynamicActivationIntxWeightConfig (8da4w)";

// What the rules, the int8 chains and the numbers' precision say of every node.
struct Verdicts {
  const ProgramFacts& facts;
  const Features& features;
  RuleRefusals broken = find_rule_refusals(facts, features);
  Int8Chains chains = find_int8_chains(facts, features, broken);

  std::optional<std::string> refusal(const Node& node) const {
    if (facts.makes_constant(node) || chains.dynamic_parts.contains(&node)) return std::nullopt;
    if (qdq::is_tensor_or_channel_quantize(node) || qdq::is_tensor_or_channel_dequantize(node)) {
      const auto is_constant = [&](const Value* value) { return facts.is_constant(value); };
      if (const Limit* limit = first_broken_limit(facts.program(), node, is_constant))
        return fmt::format("{}: {}", node.op().base(), limit->text);
      if (qdq::is_tensor_or_channel_quantize(node) ? is_int8_quantize(facts, node) : is_int8_dequantize(facts, node)) return std::nullopt;
      return fmt::format("{}: static int8 per tensor over [-128, 127] from and to float32", node.op().base());
    }
    const OpRule* rule = find_rule(node);
    if (!rule) return fmt::format("{}: XNNPACK has no such op", node.op().name());
    if (const auto why = broken.find(&node); why != broken.end()) return why->second;
    if (rule->int8 != Int8::gemm || chains.find(node) || chains.find_dynamic(node)) return std::nullopt;
    if (const auto rows = row_weight(facts, features, common::gemm_operands(node)->weight))
      return fmt::format("{}: {}", node.op().base(), rows->refusal.empty() ? needs_quantized_input : rows->refusal);
    if (features.float_fallback) return std::nullopt;
    if (!common::gemm_weight(facts, common::gemm_operands(node)->weight)->params) return std::nullopt;
    return fmt::format("{}: quantized weights need a quantized input and output", node.op().base());
  }

  // The activation and quantize nodes of an op's int8 chain, and the nodes that quantize its input at run time.
  std::vector<std::vector<const Node*>> ties() const {
    std::vector<std::vector<const Node*>> result;
    for (const Node* op : facts.program().graph().node_list()) {
      if (const qdq::Chain* chain = chains.find(*op)) {
        std::vector<const Node*>& tied = result.emplace_back(1, op);
        if (chain->activation) tied.push_back(chain->activation);
        tied.insert(tied.end(), chain->quantizes.begin(), chain->quantizes.end());
      }
      if (const qdq::Dynamic* dynamic = chains.find_dynamic(*op))
        result.push_back({op, dynamic->choose, dynamic->quantize, dynamic->dequantize});
    }
    return result;
  }
};

// The choosing and the quantizing node of a chain have copies of one dequantize node. Where that stays outside, the two copies would
// be two inputs of a delegate, and nothing there says that they are the same numbers.
void read_once_what_stays_outside(ExportedProgram& program) {
  std::vector<qdq::Dynamic> chains;
  {
    const ProgramFacts facts(program);
    for (const Node* node : program.graph().node_list()) {
      const auto dynamic = node->outputs().size() == 1 ? qdq::dynamic_of(node->output()) : std::nullopt;
      const Node* source = dynamic ? qdq::dequantize_of(dynamic->source) : nullptr;
      if (source && !is_int8_dequantize(facts, *source)) chains.push_back(*dynamic);
    }
  }
  for (const qdq::Dynamic& chain : chains) program.graph().replace_uses_in(*chain.quantize, chain.quantize->tensor("input"), chain.source);
  if (!chains.empty()) program.graph().eliminate_dead_code();
}

// What a delegate of these nodes is given and gives: every value once.
size_t count_externals(const ProgramFacts& facts, const std::vector<Node*>& nodes) {
  const std::unordered_set<const Node*> inside(nodes.begin(), nodes.end());
  std::unordered_set<const Value*> inputs;
  size_t outputs = 0;
  for (const Node* node : nodes) {
    for (const Value* input : node->inputs())
      if (!facts.is_constant(input) && !(input->producer() && inside.contains(input->producer()))) inputs.insert(input);
    for (const Value* output : node->outputs())
      outputs += std::ranges::any_of(output->users(), [&](const Node* user) { return !inside.contains(user); });
  }
  return inputs.size() + outputs;
}

// Layers whose weights no kernel takes cost the most time of all that stays outside: one line for each reason.
std::vector<Refusal> warnings_of_row_weights(const ExportedProgram& program, const Verdicts& verdicts) {
  std::map<std::string, std::vector<Node*>> layers;
  for (Node* node : program.graph().node_list()) {
    const auto operands = common::gemm_operands(*node);
    if (!operands || !row_weight(verdicts.facts, verdicts.features, operands->weight)) continue;
    if (auto why = verdicts.refusal(*node)) layers[*std::move(why)].push_back(node);
  }
  std::vector<Refusal> warnings;
  for (const auto& [why, nodes] : layers) {
    warnings.push_back({nodes.front(), fmt::format("runs on portable kernels{}: {}", common::and_others(nodes.size()), why)});
  }
  return warnings;
}

}  // namespace

bool XnnpackPartitioner::keeps(const ExportedProgram& program, const Node& node) const { return keeper(program)(node); }

std::function<bool(const Node&)> XnnpackPartitioner::keeper(const ExportedProgram& program) const {
  return [&program, features = Features::of(options_), mutated = LastingConstants(program).mutated()](const Node& node) {
    const qdq::OpRow* row = qdq::find(node);
    if (row && (row->granularity == qdq::Granularity::block || row->granularity == qdq::Granularity::group)) return true;
    if (std::ranges::find(kept_ops, node.op().name()) == std::end(kept_ops)) return false;
    const OpRule& rule = *find_rule(node);
    if (rule.beyond == Beyond::op && !features.more_ops) return false;
    return !common::first_broken(rule.constraints, RuleContext{ProgramFacts(program, mutated), node, features});
  };
}

void XnnpackPartitioner::transform(ExportedProgram& program) const {
  const Features features = Features::of(options_);
  if (features.symbolic_views) common::infer_symbolic_view_sizes(program);
  // First: quantize nodes get other sizes with what they serve.
  if (features.more_ops) flatten_many_dims(program);
  if (features.more_ops) compute_logs_of_one_plus(program);
  // Before quantize nodes are looked at: minima and maxima may stand between them.
  if (features.more_ops) choose_by_bounds(program, features);
  common::give_each_reader_its_own_source(program);
  common::give_each_reader_its_own_dynamic_chain(program);
  read_once_what_stays_outside(program);
  if (features.int8_around_moves) quantize_around_moves(program, features);
  // Last: what is left of ranges found at run time serves no kernel.
  if (features.float_fallback) read_float_outside_kernels(program, features);
}

PartitionResult XnnpackPartitioner::partition(const ExportedProgram& program) const {
  const Features features = Features::of(options_);
  const ProgramFacts facts(program);
  const Verdicts verdicts{facts, features};
  common::Candidates candidates = common::find_candidates(program, [&](const Node& node) { return verdicts.refusal(node); });
  candidates.ties = verdicts.ties();
  const auto only_moves = [&](const Node* node) {
    const OpRule* rule = find_rule(*node);
    return facts.makes_constant(*node) || (rule && rule->only_moves);
  };
  PartitionResult result{.warnings = warnings_of_row_weights(program, verdicts)};
  if (features.checked_sums)
    for (Node* node : program.graph().node_list())
      if (leaves_int32(facts, *node))
        result.warnings.push_back({node, "runs in float, since its bias and sums could leave int32; give its weight larger scales"});
  for (Node* node : verdicts.chains.coarse)
    result.warnings.push_back({node,
                               "runs in float: one step of its input times one of its weight is 256 steps of its result or more; keep far "
                               "values out of its input's range"});
  result.refusals = std::move(candidates.refusals);
  const auto refuse = [&](const Partition& partition, std::string_view why) {
    for (Node* node : partition.nodes)
      if (!facts.makes_constant(*node)) result.refusals.push_back({node, fmt::format("{}: {}", node->op().base(), why)});
  };
  for (Partition& partition : common::partition_candidates(facts, candidates)) {
    if (count_externals(facts, partition.nodes) > max_externals) {
      refuse(partition, fmt::format("its delegate would have more inputs and outputs than the {} that the runtime takes", max_externals));
      continue;
    }
    if (features.drop_lone_views && std::ranges::all_of(partition.nodes, only_moves)) {
      refuse(partition, "alone it costs less outside a delegate");
      continue;
    }
    result.partitions.push_back(std::move(partition));
  }
  return result;
}

}  // namespace intaglio::xnnpack
