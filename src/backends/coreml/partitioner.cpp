#include <algorithm>
#include <deque>

#include <fmt/format.h>
#include <intaglio/coreml.h>
#include <intaglio/error.h>

#include "backends/common/candidates.h"
#include "backends/common/own_readers.h"
#include "backends/common/symbolic_views.h"
#include "backends/coreml/compile_specs.h"
#include "backends/coreml/constraints.h"
#include "backends/coreml/op_table.h"
#include "backends/coreml/passes/passes.h"
#include "backends/coreml/quantized_forms.h"
#include "backends/coreml/states.h"
#include "qdq/op_table.h"

namespace intaglio::coreml {
namespace {

using common::ProgramFacts;

bool passes_boundary(const Value* value) { return !value->is_tensor() || common::has(Types::floats | Types::integers, value->dtype()); }

std::string type_outside(const OpRow& row, const Node& node, Version version) {
  const auto refusal = [&](const Value* value) -> std::string {
    if (!value->is_tensor()) return "";
    if (value->dtype() == DType::float16 && version < Version::ios16)
      return fmt::format("tensors of float16 need minimum_deployment_target={}", row_of(Version::ios16).target);
    if (row.types != Types::unasked && !common::has(row.types, value->dtype())) return fmt::format("not of {}", name(value->dtype()));
    return "";
  };
  for (const auto& values : {node.inputs(), node.outputs()})
    for (const Value* value : values)
      if (std::string why = refusal(value); !why.empty()) return why;
  return "";
}

// Why an operator is not taken, looked at alone; "" for one that is.
std::string refusal_alone(const ProgramFacts& facts, const Node& node, const CoreMLPartitionerOptions& options) {
  const Version version = version_of(options);
  const std::string_view op = node.op().name();
  const OpRow* row = find_row(op);
  if (!row) return "Core ML has no such op";
  if (std::ranges::find(options.skip_ops_for_coreml_delegation, op) != options.skip_ops_for_coreml_delegation.end())
    return "it is among skip_ops_for_coreml_delegation";
  const RuleContext context{facts, node, version};
  if (const Constraint* broken = common::first_broken(constraints::common, context)) return std::string(broken->text);
  if (const Constraint* broken = common::first_broken(row->constraints, context)) return std::string(broken->text);
  if (std::string why = type_outside(*row, node, version); !why.empty()) return why;
  const Version needed = std::max(row->since, version_for(facts, node));
  if (needed > version) return fmt::format("it needs minimum_deployment_target={}", row_of(needed).target);
  return "";
}

// Of every node. Tensors of a type that no model takes or gives stay inside: who makes and who reads them go together.
class Verdicts {
 public:
  Verdicts(const ProgramFacts& facts, const CoreMLPartitionerOptions& options) : facts_(facts) {
    const Graph& graph = facts.program().graph();
    for (const Node* node : graph.node_list())
      if (std::string why = refusal_alone(facts, *node, options); !why.empty()) refuse(*node, std::move(why));
    for (const Value* input : graph.inputs())
      if (is_held(input)) refuse_readers(*input);
    spread();
    refuse_chains_without_reader();
  }

  std::optional<std::string> refusal(const Node& node) const {
    const auto found = reasons_.find(&node);
    if (found == reasons_.end()) return std::nullopt;
    return fmt::format("{}: {}", node.op().base(), found->second);
  }

  // A quantize node and the one that reads it; what is quantized at run time, with its reader.
  std::vector<std::vector<const Node*>> ties() const {
    std::vector<std::vector<const Node*>> result;
    for (const Node* node : facts_.program().graph().node_list())
      if (qdq::is_quantize(*node) && !reasons_.contains(node) && node->output()->has_one_user())
        result.push_back({node, node->output()->users().front()});
    for (const auto& [dynamic, reader] : dynamic_readers())
      if (!reasons_.contains(reader)) result.push_back({dynamic.choose, dynamic.quantize, dynamic.dequantize, reader});
    return result;
  }

  // True when no such tensor goes into one of these partitions or out of it; else some more nodes are refused.
  bool holds_inside(const std::vector<Partition>& partitions) {
    std::unordered_map<const Node*, const Partition*> home;
    for (const Partition& partition : partitions)
      for (const Node* node : partition.nodes) home[node] = &partition;
    const auto is_apart = [&](const Node* one, const Node* other) {
      const auto a = home.find(one), b = home.find(other);
      return (a == home.end() ? nullptr : a->second) != (b == home.end() ? nullptr : b->second);
    };
    const size_t before = reasons_.size();
    for (const Node* node : facts_.program().graph().node_list())
      for (const Value* output : node->outputs())
        if (is_held(output) && std::ranges::any_of(output->users(), [&](const Node* user) { return is_apart(node, user); })) {
          refuse(*node, fmt::format("its {} is read outside", name(output->dtype())));
          refuse_readers(*output);
        }
    spread();
    refuse_chains_without_reader();
    return reasons_.size() == before;
  }

  // Who reads in float what the program quantizes at run time.
  std::optional<Refusal> float_readers() const {
    std::vector<Node*> readers;
    for (const auto& [dynamic, reader] : dynamic_readers())
      if (!reasons_.contains(reader)) readers.push_back(reader);
    if (readers.empty()) return std::nullopt;
    return Refusal{readers.front(),
                   fmt::format("reads its input in float{}: Core ML quantizes nothing by ranges that are found at run time; a recipe that "
                               "quantizes weights alone says the same",
                               common::and_others(readers.size()))};
  }

 private:
  std::vector<std::pair<qdq::Dynamic, Node*>> dynamic_readers() const {
    std::vector<std::pair<qdq::Dynamic, Node*>> found;
    for (const Node* node : facts_.program().graph().node_list())
      if (const auto dynamic = qdq::is_dequantize(*node) ? dynamic_chain(*node) : std::nullopt)
        found.emplace_back(*dynamic, node->output()->users().front());
    return found;
  }
  void refuse_chains_without_reader() {
    for (const auto& [dynamic, reader] : dynamic_readers())
      if (reasons_.contains(reader))
        for (const Node* node : {dynamic.choose, dynamic.quantize, dynamic.dequantize}) refuse(*node, "who reads the result is outside");
    spread();
  }

  bool is_held(const Value* value) const { return !passes_boundary(value) && !facts_.stored(value); }

  void refuse(const Node& node, std::string why) {
    if (reasons_.try_emplace(&node, std::move(why)).second) waiting_.push_back(&node);
  }
  void refuse_readers(const Value& value) {
    for (const Node* user : value.users()) refuse(*user, fmt::format("it reads {} from outside", name(value.dtype())));
  }
  void spread() {
    for (; !waiting_.empty(); waiting_.pop_front()) {
      const Node& node = *waiting_.front();
      for (const Value* input : node.inputs())
        if (is_held(input) && input->producer())
          refuse(*input->producer(), fmt::format("{} reads its {} outside", node.op().base(), name(input->dtype())));
      for (const Value* output : node.outputs())
        if (is_held(output)) refuse_readers(*output);
    }
  }

  const ProgramFacts& facts_;
  std::unordered_map<const Node*, std::string> reasons_;
  std::deque<const Node*> waiting_;
};

// A quantized layer that only the target keeps outside is not run in another way unasked.
void require_target_of_layers(const ProgramFacts& facts, const common::Candidates& candidates, const CoreMLPartitionerOptions& options) {
  Version wanted = version_of(options);
  std::string why;
  for (const Node* node : facts.program().graph().node_list()) {
    const Version needed = version_for(facts, *node);
    if (needed <= wanted || !qdq::is_dequantize(*node)) continue;
    const auto is_taken = [&](const Node* user) { return candidates.supported.contains(user); };
    const auto reader = std::ranges::find_if(node->output()->users(), is_taken);
    if (reader == node->output()->users().end()) continue;
    wanted = needed;
    why = fmt::format("{}: its quantized {}", describe(**reader),
                      *quantized_form(facts, *node) == QuantizedForm::activation ? "activations" : "weights");
  }
  if (why.empty()) return;
  throw_unsupported(fmt::format("{} need minimum_deployment_target={} or later, and {}", why, row_of(wanted).target,
                                options.minimum_deployment_target ? fmt::format("{} was asked for", row_of(version_of(options)).target)
                                                                  : std::string("none was given")));
}

bool only_moves(const Node* node) { return find_row(node->op().name())->moves; }

std::vector<Refusal> padded_tables(const Partition& partition) {
  std::vector<Refusal> notes;
  for (Node* node : partition.nodes) {
    if (!node->is("quant.dequantize_codebook.default")) continue;
    const int64_t bits = table_bits(*node), stored = stored_table_bits(bits);
    if (bits != stored)
      notes.push_back({node, fmt::format("Core ML has no {}-bit weights: written as {} bits, with the same values", bits, stored)});
  }
  return notes;
}

}  // namespace

CoreMLPartitioner::CoreMLPartitioner(CoreMLPartitionerOptions options) : options_(std::move(options)) {
  if (options_.model_type == ModelType::compiled_model)
    throw_unsupported(
        "model_type=compiled_model: models are compiled on macOS alone; leave it at model, which devices compile when they load it");
  if (options_.lower_full_graph && (!options_.skip_ops_for_coreml_delegation.empty() || !options_.take_over_mutable_buffer))
    throw_usage(
        "lower_full_graph takes every operator and buffer: give no skip_ops_for_coreml_delegation, and take_over_mutable_buffer=true");
  if (!options_.enumerated_shapes.empty() && !options_.lower_full_graph)
    throw_usage("enumerated_shapes are those of the whole program's inputs: give lower_full_graph=true with them");
}

bool CoreMLPartitioner::keeps(const ExportedProgram& program, const Node& node) const { return keeper(program)(node); }

std::function<bool(const Node&)> CoreMLPartitioner::keeper(const ExportedProgram& program) const {
  return [this, &program, mutated = LastingConstants(program).mutated()](const Node& node) {
    const OpRow* row = find_row(node.op().name());
    return row && row->is_kept && refusal_alone(ProgramFacts(program, mutated), node, options_).empty();
  };
}

void CoreMLPartitioner::transform(ExportedProgram& program) const {
  common::infer_symbolic_view_sizes(program);
  read_codes_directly(program);
  common::give_each_reader_its_own_source(program);
  common::give_each_reader_its_own_dynamic_chain(program);
  const ProgramFacts facts(program);
  common::give_each_dequantize_its_own_quantize(program, [&](const Node& node) { return refusal_alone(facts, node, options_).empty(); });
}

PartitionResult CoreMLPartitioner::partition(const ExportedProgram& program) const {
  const ProgramFacts facts(program);
  Verdicts verdicts(facts, options_);
  common::Candidates candidates;
  std::vector<Partition> partitions;
  do {
    candidates = common::find_candidates(program, [&](const Node& node) { return verdicts.refusal(node); });
    candidates.ties = verdicts.ties();
    partitions = common::partition_candidates(facts, candidates);
  } while (!verdicts.holds_inside(partitions));
  require_target_of_layers(facts, candidates, options_);
  if (options_.lower_full_graph && !candidates.refusals.empty())
    throw_unsupported(fmt::format("lower_full_graph: {}: {}", describe(*candidates.refusals[0].node), candidates.refusals[0].rule));
  const States states(program);
  PartitionResult result{.refusals = std::move(candidates.refusals)};
  if (auto warning = verdicts.float_readers()) result.warnings.push_back(*std::move(warning));
  for (Partition& partition : partitions) {
    if (!options_.lower_full_graph && std::ranges::all_of(partition.nodes, only_moves)) {
      for (Node* node : partition.nodes)
        result.refusals.push_back({node, fmt::format("{}: alone it costs less outside a delegate", node->op().base())});
      continue;
    }
    std::ranges::move(padded_tables(partition), std::back_inserter(result.warnings));
    if (options_.take_over_mutable_buffer && version_of(options_) >= Version::ios18) states.own(partition);
    result.partitions.push_back(std::move(partition));
  }
  return result;
}

}  // namespace intaglio::coreml
