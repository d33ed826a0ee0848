#include <algorithm>
#include <array>
#include <map>
#include <numeric>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/lower/gemm_weight.h"
#include "backends/xnnpack/rules.h"
#include "edge/partition/groups.h"

namespace intaglio::xnnpack {
namespace {

// Ops of the exporter that this backend takes whole; everything else it takes decomposed.
constexpr std::array kept_ops = {
    std::string_view("aten.linear.default"), std::string_view("aten.hardswish.default"),       std::string_view("aten.max_pool2d.default"),
    std::string_view("aten.prelu.default"),  std::string_view("aten.upsample_bilinear2d.vec"),
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
  const Int8Chains& chains() const { return chains_; }
  std::vector<Refusal> take_refusals() { return std::move(refusals_); }

 private:
  std::optional<std::string> refusal(const Node& node) const {
    if (is_constant_expression(program_, node) || chains_.dynamic_parts.contains(&node)) return std::nullopt;
    if (qdq::is_tensor_or_channel_quantize(node) || qdq::is_tensor_or_channel_dequantize(node)) {
      const bool fits = qdq::is_tensor_or_channel_quantize(node) ? is_int8_quantize(program_, node) : is_int8_dequantize(program_, node);
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
    if (rule.int8 != Int8::gemm || features_.float_fallback || chains_.find(node) || chains_.find_dynamic(node)) return std::nullopt;
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

// What must be delegated together: an op with the dequantize nodes and constants that it alone reads, with the activation
// and quantize nodes of its int8 chain, and with the nodes that quantize its input at run time. So int8 and not float crosses a boundary,
// and weights are known where they are used.
class Groups {
 public:
  Groups(const ExportedProgram& program, const Candidates& candidates)
      : program_(program), candidates_(candidates), nodes_(program.graph().node_list()), parent_(nodes_.size()) {
    std::iota(parent_.begin(), parent_.end(), size_t{0});
    for (size_t i = 0; i < nodes_.size(); ++i) index_[nodes_[i]] = i;
  }

  std::vector<NodeGroup> run() {
    for (Node* node : nodes_) join_sources(*node);
    for (const auto& [op, chain] : candidates_.chains().by_op) {
      if (chain.activation) join(op, chain.activation);
      for (const Node* quantize : chain.quantizes) join(op, quantize);
    }
    for (const auto& [op, dynamic] : candidates_.chains().dynamic_by_op)
      for (const Node* part : {dynamic.choose, dynamic.quantize, dynamic.dequantize}) join(op, part);
    std::map<size_t, NodeGroup> groups;
    for (size_t i = 0; i < nodes_.size(); ++i)
      if (is_delegated(*nodes_[i])) groups[root(i)].push_back(nodes_[i]);
    std::vector<NodeGroup> result;
    for (auto& [first, nodes] : groups) result.push_back(std::move(nodes));
    return result;
  }

 private:
  void join_sources(const Node& node) {
    if (!is_delegated(node)) return;
    for (const Value* input : node.inputs()) {
      const Node* producer = input->producer();
      if (!producer || !input->has_one_user() || !is_delegated(*producer)) continue;
      if (qdq::is_tensor_or_channel_dequantize(*producer) || is_constant_expression(program_, *producer)) join(&node, producer);
    }
  }
  // Expressions of constants only go along with a reader inside.
  bool is_delegated(const Node& node) {
    if (!candidates_.supported(node)) return false;
    if (!is_constant_expression(program_, node)) return true;
    return std::ranges::all_of(node.output()->users(), [&](const Node* user) { return index_.contains(user) && is_delegated(*user); });
  }

  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(const Node* a, const Node* b) { parent_[root(index_.at(b))] = root(index_.at(a)); }

  const ExportedProgram& program_;
  const Candidates& candidates_;
  std::vector<Node*> nodes_;
  std::vector<size_t> parent_;
  std::unordered_map<const Node*, size_t> index_;
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
    if (node.outputs().size() != 1 || (!qdq::is_tensor_or_channel_dequantize(node) && !is_constant_expression(program, node))) continue;
    const std::vector<Node*> readers = node.output()->users();
    for (size_t i = 1; i < readers.size(); ++i) {
      Node& copy = graph.insert_before(&node, node.op(), node.arguments(), {{.meta = node.output()->meta()}}, node.name());
      copy.metadata = node.metadata;
      graph.replace_uses_in(*readers[i], node.output(), copy.output());
    }
  }
}

// The same for the choose_qparams and quantize nodes of dynamic quantization, so that no reader ties another to its partition.
// Lowering converts a value once for all of its readers inside.
void give_each_reader_its_own_dynamic_chain(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const auto dynamic = node->outputs().size() == 1 ? qdq::dynamic_of(node->output()) : std::nullopt;
    if (!dynamic || qdq::has_one_reader(*dynamic)) continue;
    const auto copy = [&](const Node& original) -> Node& {
      std::vector<OutputSpecification> outputs;
      for (const Value* output : original.outputs()) outputs.push_back({.meta = output->meta()});
      Node& made = graph.insert_before(node, original.op(), original.arguments(), outputs, original.name());
      made.metadata = original.metadata;
      return made;
    };
    const Node& choose = copy(*dynamic->choose);
    Node& quantize = copy(*dynamic->quantize);
    for (size_t i = 0; i < 2; ++i)
      for (Node* reader : {&quantize, node}) graph.replace_uses_in(*reader, dynamic->choose->output(i), choose.output(i));
    graph.replace_uses_in(*node, dynamic->quantize->output(), quantize.output());
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
  give_each_reader_its_own_dynamic_chain(program);
  if (Features::of(options_.compat).symbolic_views) infer_symbolic_view_sizes(program);
}

PartitionResult XnnpackPartitioner::partition(const ExportedProgram& program) const {
  const Features features = Features::of(options_.compat);
  Candidates candidates(program, features);
  PartitionResult result;
  result.refusals = candidates.take_refusals();
  for (Partition& partition : merge_partitions(program.graph(), Groups(program, candidates).run())) {
    const std::vector<Node*>& nodes = partition.nodes;
    const auto moves = [&](const Node* node) { return only_moves(program, *node); };
    if (features.drop_lone_views && std::ranges::all_of(nodes, moves)) {
      for (Node* node : nodes)
        if (!is_constant_expression(program, *node))
          result.refusals.push_back({node, fmt::format("{}: alone it costs less outside a delegate", node->op().base())});
      continue;
    }
    result.partitions.push_back(std::move(partition));
  }
  return result;
}

}  // namespace intaglio::xnnpack
