#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/gemm_weight.h"
#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/partition_levels.h"
#include "backends/xnnpack/rules.h"

namespace intaglio::xnnpack {
namespace {

// Ops of the exporter that this backend takes whole; everything else it takes decomposed.
constexpr std::array kept_ops = {
    std::string_view("aten.linear.default"),        std::string_view("aten.hardswish.default"),
    std::string_view("aten.max_pool2d.default"),    std::string_view("aten.prelu.default"),
    std::string_view("aten.upsample_bilinear2d.vec"),
};

bool is_constant_expression(const ExportedProgram& program, const Node& node) {
  return node.outputs().size() == 1 && is_constant_value(program, node.output());
}

// Decides for every node whether it may be delegated, and why not.
class Candidates {
 public:
  Candidates(const ExportedProgram& program, const Features& features)
      : program_(program), features_(features), chains_(find_int8_chains(program, features)) {
    for (Node* node : program.graph().node_list()) {
      std::optional<std::string> why = refusal(*node);
      supported_[node] = !why;
      if (why && !node->outputs().empty()) refusals_.push_back({node, std::move(*why)});
    }
  }

  bool supported(const Node& node) const {
    const auto found = supported_.find(&node);
    return found != supported_.end() && found->second;
  }
  std::vector<Refusal> take_refusals() { return std::move(refusals_); }

 private:
  std::optional<std::string> refusal(const Node& node) const {
    if (is_constant_expression(program_, node)) return std::nullopt;
    if (qdq::is_quantize(node) || qdq::is_dequantize(node)) {
      const bool fits = qdq::is_quantize(node) ? is_int8_quantize(program_, node) : is_int8_dequantize(program_, node);
      if (fits) return std::nullopt;
      return fmt::format("{}: static int8 per tensor over [-128, 127] from and to float32", node.op().base());
    }
    const OpRule* rule = find_rule(node);
    if (!rule) return fmt::format("{}: XNNPACK has no such op", node.op().name());
    if (auto why = refusal_of(program_, features_, *rule, node)) return why;
    return refusal_of_precision(node, *rule);
  }

  // Quantized weights without an int8 chain around them.
  std::optional<std::string> refusal_of_precision(const Node& node, const OpRule& rule) const {
    if (rule.int8 != Int8::gemm || features_.float_fallback || chains_.find(node)) return std::nullopt;
    const auto weight = gemm_weight(program_, gemm_operands(program_, node)->weight);
    if (!weight->params) return std::nullopt;
    return fmt::format("{}: quantized weights need a quantized input and output", node.op().base());
  }

  const ExportedProgram& program_;
  const Features& features_;
  Int8Chains chains_;
  std::unordered_map<const Node*, bool> supported_;
  std::vector<Refusal> refusals_;
};

bool only_moves(const ExportedProgram& program, const Node& node) {
  const OpRule* rule = find_rule(node);
  return is_constant_expression(program, node) || (rule && rule->only_moves);
}

// Every reader gets a dequantize node (or constant expression) of its own, so that it can go where its reader goes.
void give_each_reader_its_own(ExportedProgram& program) {
  Graph& graph = program.graph();
  std::vector<Node*> nodes = graph.node_list();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node& node = **it;
    if (node.outputs().size() != 1 || (!qdq::is_dequantize(node) && !is_constant_expression(program, node))) continue;
    const std::vector<Node*> readers = node.output()->users();
    for (size_t i = 1; i < readers.size(); ++i) {
      Node& copy = graph.insert_before(&node, node.op(), node.arguments(), {{.meta = node.output()->meta()}}, node.name());
      copy.metadata = node.metadata;
      graph.replace_uses_in(*readers[i], node.output(), copy.output());
    }
  }
}

// `view(x, [s0, 1280])`: a size computed at run time cannot enter a delegate, but one size can be inferred.
void infer_symbolic_view_sizes(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.view_copy.default")) continue;
    const Argument* size = node->find("size");
    if (!size || !size->is<std::vector<SymArg>>()) continue;
    std::vector<int64_t> sizes;
    for (const SymInt& dim : node->output()->sizes()) sizes.push_back(dim.is_static() ? dim.value() : -1);
    if (std::ranges::count(sizes, -1) <= 1) graph.set_argument(*node, "size", sizes);
  }
}

}  // namespace

bool XnnpackPartitioner::keeps(const ExportedProgram& program, const Node& node) const {
  if (std::ranges::find(kept_ops, node.op().name()) == kept_ops.end()) return false;
  const OpRule* rule = find_rule(node);
  const Features features = Features::of(options_.compat);
  const RuleContext context{program, node, features};
  return std::ranges::all_of(rule->constraints, [&](const Constraint& row) { return row.holds(context); });
}

void XnnpackPartitioner::transform(ExportedProgram& program) const {
  give_each_reader_its_own(program);
  if (Features::of(options_.compat).symbolic_views) infer_symbolic_view_sizes(program);
}

PartitionResult XnnpackPartitioner::partition(const ExportedProgram& program) const {
  const Features features = Features::of(options_.compat);
  Candidates candidates(program, features);
  LevelOptions levels;
  levels.supported = [&](const Node& node) { return candidates.supported(node); };
  levels.needs_reader = [&](const Node& node) { return is_constant_expression(program, node); };
  levels.sinks = [&](const Node& node) { return qdq::is_dequantize(node) || levels.needs_reader(node); };

  PartitionResult result;
  result.refusals = candidates.take_refusals();
  for (std::vector<Node*>& nodes : group_by_level(program.graph(), levels)) {
    const auto moves = [&](const Node* node) { return only_moves(program, *node); };
    if (features.drop_lone_views && std::ranges::all_of(nodes, moves)) {
      for (Node* node : nodes)
        if (!is_constant_expression(program, *node))
          result.refusals.push_back({node, fmt::format("{}: alone it costs less outside a delegate", node->op().base())});
      continue;
    }
    result.partitions.push_back({std::move(nodes)});
  }
  return result;
}

}  // namespace intaglio::xnnpack
