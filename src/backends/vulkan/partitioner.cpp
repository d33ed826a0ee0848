#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/vulkan.h>

#include "backends/common/candidates.h"
#include "backends/common/own_readers.h"
#include "backends/common/symbolic_views.h"
#include "backends/vulkan/caches.h"
#include "backends/vulkan/constraints.h"
#include "backends/vulkan/op_representations.h"
#include "backends/vulkan/passes/passes.h"
#include "backends/vulkan/payload/vk_graph.h"
#include "backends/vulkan/quantized_patterns.h"
#include "backends/vulkan/symbols.h"

namespace intaglio::vulkan {
namespace {

using common::ProgramFacts;

// Ops of the exporter that this backend takes whole; everything else it takes decomposed.
constexpr std::string_view kept_ops[] = {"aten.linear.default", "aten.hardswish.default", "aten.upsample_nearest2d.vec",
                                         "aten.upsample_bilinear2d.vec", "aten.pixel_shuffle.default"};

bool lists(const std::vector<std::string>& names, std::string_view op) { return std::ranges::find(names, op) != names.end(); }

bool comes_from(const Node& node, const std::vector<std::string>& module_types) {
  return std::ranges::any_of(module_stack(node), [&](const ModuleScope& scope) {
    return std::ranges::any_of(module_types, [&](const std::string& part) { return scope.type.find(part) != std::string::npos; });
  });
}

bool has_dynamic_sizes(const Node& node) {
  const auto is_dynamic = [](const Value* value) { return value->is_tensor() && !value->meta().is_static(); };
  return std::ranges::any_of(node.inputs(), is_dynamic) || std::ranges::any_of(node.outputs(), is_dynamic);
}

std::string no_image_within(const TextureLimits& limits) {
  return fmt::format("no image within {} x {} x {} holds its tensors", limits[0], limits[1], limits[2]);
}

// What options and the table of operators say of every node.
class Verdicts {
 public:
  Verdicts(const ProgramFacts& facts, const VulkanPartitionerOptions& options)
      : facts_(facts), options_(options), limits_(texture_limits(options)), patterns_(facts), results_(facts.program()) {}

  std::optional<std::string> refusal(const Node& node) const {
    const std::string& why = reason(node);
    if (why.empty()) return std::nullopt;
    return fmt::format("{}: {}", node.op().base(), why);
  }

  std::optional<Refusal> warning() const { return patterns_.warning(); }

  // Nodes and the symbols that are computed for them.
  std::vector<std::vector<const Node*>> ties() const {
    std::vector<std::vector<const Node*>> result = patterns_.ties();
    for (const Node* node : facts_.program().graph().node_list()) {
      if (&reader_of_symbol(*node) != node || !reason(*node).empty()) continue;
      std::vector<const Node*> tied = symbol_nodes(*node);
      if (node->is(updated_cache_op))
        for (const Node* reader : cache_readers(*node)) tied.push_back(reader);
      if (tied.empty()) continue;
      tied.push_back(node);
      result.push_back(std::move(tied));
    }
    return result;
  }

 private:
  std::vector<const Node*> cache_readers(const Node& write) const {
    std::vector<const Node*> readers;
    for (const Node* reader : write.output()->users())
      if (reader != &facts_.program().graph().output_node()) readers.push_back(reader);
    return readers;
  }

  // "" when the node is taken.
  const std::string& reason(const Node& node) const {
    const Node& reader = reader_of_symbol(node);
    if (const auto found = reasons_.find(&reader); found != reasons_.end()) return found->second;
    std::string why = find_reason(reader);  // asks about others
    return reasons_[&reader] = std::move(why);
  }

  std::string find_reason(const Node& node) const {
    // What goes with a layer goes where it goes.
    if (const Node* layer = patterns_.layer_of(node); layer && layer != &node) return find_reason(*layer);
    if (node.outputs().empty()) return "it has no result";
    if (std::string why = wrong_type(node); !why.empty()) return why;
    if (options_.nn_module_allowlist && !comes_from(node, *options_.nn_module_allowlist)) return "its module is not on nn_module_allowlist";
    if (!options_.nn_module_blocklist.empty() && comes_from(node, options_.nn_module_blocklist))
      return "its module is on nn_module_blocklist";
    if (patterns_.contains(node)) return "";
    if (const std::string* why = patterns_.refusal(node)) return *why;
    if (node.is(updated_cache_op)) {
      if (!cache_of(facts_.program(), results_, node)) return "a cache is a buffer of the model that is read after it is written";
      for (const Node* reader : cache_readers(node))
        if (const std::string& why = reason(*reader); !why.empty()) return fmt::format("{} reads the cache outside", reader->op().base());
    }
    // The runtime has one of these operators, for the input of a layer that it takes; alone it would cut a chain in two.
    if (qdq::find(node)) return "it quantizes for a layer that stays outside, or dequantizes outside";
    const std::string_view op = node.op().name();
    const OpRow* row = find_row(op);
    if (!row) return is_absent_from_runtime(op) ? "the Vulkan runtime lacks it, though ExecuTorch delegates it" : "Vulkan has no such op";
    if (options_.operator_allowlist && !lists(*options_.operator_allowlist, op)) return "it is not on operator_allowlist";
    if (lists(options_.operator_blocklist, op)) return "it is on operator_blocklist";
    return refusal_of(*row, node);
  }

  std::string wrong_type(const Node& node) const {
    const auto check = [&](const Value* value) -> std::string {
      if (!value->is_tensor()) return "";
      const auto type = data_type(value->dtype());
      if (!type) return fmt::format("no tensors of {}", name(value->dtype()));
      if (!options_.downcast_64_bit.value_or(true) && (*type == DataType::int64 || *type == DataType::float64))
        return "no 64-bit tensors without downcast_64_bit";
      if (options_.skip_bool_tensors.value_or(false) && *type == DataType::boolean) return "no bool tensors with skip_bool_tensors";
      return "";
    };
    for (const auto& values : {node.inputs(), node.outputs()})
      for (const Value* value : values)
        if (std::string why = check(value); !why.empty()) return why;
    return "";
  }

  std::string refusal_of(const OpRow& row, const Node& node) const {
    const RuleContext context{facts_, node};
    if (const Constraint* broken = common::first_broken(constraints::common, context)) return std::string(broken->text);
    if (std::string why = type_outside_row(row, node); !why.empty()) return why;
    if (const Constraint* broken = common::first_broken(row.constraints, context)) return std::string(broken->text);
    const auto has_many_dims = [](const Value* value) { return value->is_tensor() && value->meta().rank() > 4; };
    if (!row.may(can::many_dims) &&
        (std::ranges::any_of(node.inputs(), has_many_dims) || std::ranges::any_of(node.outputs(), has_many_dims)))
      return "at most 4 dimensions";
    if (!row.may(can::resize) && (options_.require_dynamic_shapes.value_or(false) || has_dynamic_sizes(node)))
      return "the runtime cannot resize it";
    if (!OpRepresentations(facts_.program(), node, row, limits_).possible()) return no_image_within(limits_);
    return "";
  }

  static std::string type_outside_row(const OpRow& row, const Node& node) {
    const auto is_outside = [](Types types, const Value* value) { return types != Types::unasked && !has(types, value->dtype()); };
    for (const Operand& operand : tensor_operands(node))
      for (const Value* value : operand.values)
        if (is_outside(row.operand_types.at(operand.place), value)) return fmt::format("not of {}", name(value->dtype()));
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      const Types types = row.result_types.count == 0 ? row.operand_types.at(0) : row.result_types.at(i);
      if (is_outside(types, node.outputs()[i])) return fmt::format("no result of {}", name(node.outputs()[i]->dtype()));
    }
    return "";
  }

  const ProgramFacts& facts_;
  const VulkanPartitionerOptions& options_;
  TextureLimits limits_;
  QuantizedPatterns patterns_;
  ResultPlaces results_;
  mutable std::unordered_map<const Node*, std::string> reasons_;
};

bool only_moves(const Node* node) {
  const OpRow* row = find_row(node->op().name());
  return row && row->may(can::move);
}

// Limits below those of every device that leave an operator no layout are a slip, not a wish.
void refuse_limits(std::span<const Refusal> refusals, const TextureLimits& limits) {
  constexpr int64_t least = 256;  // maxImageDimension3D of the Vulkan specification's required limits
  const std::string rule = no_image_within(limits);
  const auto refused = std::ranges::find_if(refusals, [&](const Refusal& refusal) { return refusal.rule.ends_with(rule); });
  if (refused == refusals.end() || *std::ranges::min_element(limits) >= least) return;
  throw_usage(fmt::format("texture limits: {} ({}); every device has {} in each direction: raise texture_limit_x, _y or _z", rule,
                          describe(*refused->node), least));
}

}  // namespace

VulkanPartitioner::VulkanPartitioner(VulkanPartitionerOptions options) : options_(std::move(options)) {
  if (!options_.texture_limits) return;
  for (const int64_t limit : *options_.texture_limits)
    if (limit < 1 || limit > UINT32_MAX)
      throw_usage(fmt::format("texture_limits: {} is no extent of an image; give three positive numbers", limit));
}

bool VulkanPartitioner::keeps(const ExportedProgram&, const Node& node) const {
  const qdq::OpRow* row = qdq::find(node);
  if (row && (row->granularity == qdq::Granularity::block || row->granularity == qdq::Granularity::group)) return true;
  if (node.is("aten.select.int")) {  // read as a number alone: taken apart it would be no element any more
    const auto& readers = node.output()->users();
    return !readers.empty() &&
           std::ranges::all_of(readers, [](const Node* reader) { return looks_at_element(*reader) && element_source(*reader); });
  }
  return std::ranges::find(kept_ops, node.op().name()) != std::end(kept_ops) || is_cache_op(node);
}

void VulkanPartitioner::transform(ExportedProgram& program) const {
  common::infer_symbolic_view_sizes(program);
  keep_reduced_dims(program);
  write_out_batch_norms(program);
  flatten_many_dims(program);
  negate_masks(program);
  common::give_each_reader_its_own_source(program);
  common::give_each_reader_its_own_dynamic_chain(program);
  give_each_reader_its_own_symbols(program);
}

PartitionResult VulkanPartitioner::partition(const ExportedProgram& program) const {
  const ProgramFacts facts(program);
  const Verdicts verdicts(facts, options_);
  common::Candidates candidates = common::find_candidates(program, [&](const Node& node) { return verdicts.refusal(node); });
  candidates.ties = verdicts.ties();
  PartitionResult result{.refusals = std::move(candidates.refusals)};
  if (auto warning = verdicts.warning()) result.warnings.push_back(*std::move(warning));
  for (Partition& partition : common::partition_candidates(facts, candidates)) {
    if (!std::ranges::all_of(partition.nodes, only_moves)) {
      own_caches(partition);
      result.partitions.push_back(std::move(partition));
      continue;
    }
    for (Node* node : partition.nodes)
      result.refusals.push_back({node, fmt::format("{}: alone it costs less outside a delegate", node->op().base())});
  }
  if (options_.texture_limits) refuse_limits(result.refusals, *options_.texture_limits);
  return result;
}

}  // namespace intaglio::vulkan
