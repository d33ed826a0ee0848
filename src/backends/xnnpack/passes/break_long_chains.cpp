#include <algorithm>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

// XNNPACK computes a chain of elementwise nodes from int8 to int8 once for each of the 256 numbers. Ten nodes fill the room it has for
// them, and it then gives memory of its stack back to the heap.
constexpr size_t longest_chain = 9;

bool is_8_bit(const PayloadValue& value) { return value.type == DataType::qint8 || value.type == DataType::quint8; }
bool is_one_number(const PayloadValue& value) {
  return value.is_constant() && std::ranges::all_of(value.dims, [](int64_t size) { return size == 1; });
}
// A clamp that was fused is a node of its own again.
size_t runtime_nodes(const PayloadNode& node) { return info(node.kind).form == NodeForm::binary && node.clamps() ? 2 : 1; }

bool maps_elements(const PayloadNode& node) {
  constexpr NodeKind others[] = {NodeKind::Softmax, NodeKind::GlobalAvgPooling2d, NodeKind::Copy, NodeKind::BatchMatrixMultiply};
  constexpr NodeForm forms[] = {NodeForm::unary, NodeForm::binary, NodeForm::elu, NodeForm::leaky_relu};
  return std::ranges::find(forms, info(node.kind).form) != std::end(forms) && std::ranges::find(others, node.kind) == std::end(others);
}

class ChainBreaker {
 public:
  explicit ChainBreaker(PayloadGraph& graph) : graph_(graph), readers_(graph), covered_(graph.nodes.size(), false) {}

  void run() {
    for (size_t index = 0; index < graph_.nodes.size(); ++index)
      if (!covered_[index]) cut(chain_from(index));
    std::vector<PayloadNode> nodes;
    for (size_t index = 0; index < graph_.nodes.size(); ++index) {
      nodes.push_back(std::move(graph_.nodes[index]));
      if (std::ranges::binary_search(cuts_, index)) nodes.push_back(copy_behind(nodes.back()));
    }
    graph_.nodes = std::move(nodes);
  }

 private:
  struct Link {
    size_t node;
    size_t count;  // of the runtime's nodes that belong to the chain
  };

  bool gives_8_bit(size_t node) const { return is_8_bit(graph_.values[graph_.nodes[node].output]); }

  // The operand of a function of one tensor; `inside` are the values of the chain so far.
  ValueId moving_operand(const PayloadNode& node, const std::vector<ValueId>& inside = {}) const {
    if (!maps_elements(node)) return invalid_id;
    if (node.inputs.size() == 1) return node.inputs[0];
    const ValueId a = node.inputs[0], b = node.inputs[1];
    const auto is_inside = [&](ValueId value) { return std::ranges::find(inside, value) != inside.end(); };
    if (is_one_number(graph_.values[a])) return b;
    if (is_one_number(graph_.values[b]) || (is_inside(a) && is_inside(b))) return a;
    return invalid_id;
  }

  size_t only_reader(ValueId value) const {
    const std::vector<size_t>& nodes = readers_.nodes(value);
    const bool one = !readers_.is_output(value) && !nodes.empty() && std::ranges::count(nodes, nodes[0]) == std::ssize(nodes);
    return one ? nodes[0] : no_node;
  }

  // Empty where none starts. As far as it has to be known: one that is too long ends with the number that makes it so.
  std::vector<Link> chain_from(size_t first) const {
    const PayloadNode& start = graph_.nodes[first];
    const ValueId from = moving_operand(start);
    std::vector<Link> chain;
    std::vector<ValueId> inside;
    if (from != invalid_id && is_8_bit(graph_.values[from])) {
      chain.push_back({first, runtime_nodes(start)});
      inside = start.inputs;
    } else if (runtime_nodes(start) == 2 && gives_8_bit(first)) {
      chain.push_back({first, 1});  // its clamp alone
    } else {
      return chain;
    }
    size_t count = chain[0].count, to_number = 1;
    for (size_t node = first;;) {
      if (gives_8_bit(node)) {
        to_number = chain.size();
        if (count > longest_chain) break;
      }
      inside.push_back(graph_.nodes[node].output);
      node = only_reader(inside.back());
      if (node == no_node || moving_operand(graph_.nodes[node], inside) == invalid_id) break;
      chain.push_back({node, runtime_nodes(graph_.nodes[node])});
      count += chain.back().count;
    }
    chain.resize(to_number);
    return chain;
  }

  // Behind the last int8 value that is in time, else behind the last float one.
  void cut(const std::vector<Link>& chain) {
    size_t count = 0, in_time = 0, last_number = 0;
    for (const Link& link : chain) {
      count += link.count;
      if (count > longest_chain) break;
      ++in_time;
      if (gives_8_bit(link.node)) last_number = in_time;
    }
    const size_t kept = count <= longest_chain ? chain.size() : last_number != 0 ? last_number : in_time;
    for (size_t i = 0; i < kept; ++i) covered_[chain[i].node] = true;
    if (kept < chain.size()) cuts_.insert(std::ranges::upper_bound(cuts_, chain[kept - 1].node), chain[kept - 1].node);
  }

  // A transpose, since the runtime takes copies out.
  PayloadNode copy_behind(PayloadNode& node) {
    PayloadNode copy{.kind = NodeKind::StaticTranspose, .inputs = {node.output}, .output = node.output};
    copy.attributes = order_as_it_is(graph_.values[node.output]);
    node.output = copy.inputs[0] = graph_.add_value(graph_.values[node.output]);
    return copy;
  }

  PayloadGraph& graph_;
  Readers readers_;
  std::vector<bool> covered_;
  std::vector<size_t> cuts_;  // nodes behind which a chain ends, in order
};

}  // namespace

void break_long_chains(PayloadGraph& graph) { ChainBreaker(graph).run(); }

}  // namespace intaglio::xnnpack
