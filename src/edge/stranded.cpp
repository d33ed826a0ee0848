#include "edge/stranded.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "decompose/regions.h"
#include "edge/lower_checks.h"
#include "ir/work.h"
#include "qdq/op_table.h"

namespace intaglio::edge {
namespace {

class Stranded {
 public:
  explicit Stranded(const EdgeMethod& method) : method_(method) {
    visit(method.program.graph());
    if (layers_.empty() && lone_ != nullptr) add_layer(describe(*lone_));
  }

  std::string text() const {
    if (count_ == 0) return "";
    constexpr size_t most = 3;
    std::string places =
        fmt::format("{}", fmt::join(layers_.begin(), layers_.begin() + static_cast<std::ptrdiff_t>(std::min(most, layers_.size())), ", "));
    if (layers_.size() > most) places += fmt::format(" and {} more", layers_.size() - most);
    const double all = static_cast<double>(std::max<uint64_t>(total(), 1));
    return fmt::format(
        "{} quantize and dequantize operator{} outside the delegates, around {}: {:.1f}% of the work runs in float between them; "
        "`inspect` says what refused {}",
        count_, count_ == 1 ? " is" : "s are", places, 100 * static_cast<double>(work()) / all, layers_.size() == 1 ? "it" : "them");
  }

 private:
  void visit(const Graph& graph) {
    for (const Node* node : graph.node_list()) {
      if (qdq::find(*node) && !is_at_an_end(*node)) note(*node);
      for (const Graph* inside : decompose::subgraphs_of(*node)) visit(*inside);
    }
  }

  bool is_user_input(const Value* value) const {
    const InputSpec* spec = method_.program.spec_of(value);
    return spec != nullptr && spec->kind == InputSpec::Kind::user_input;
  }

  // Reads an integer input of the program, or makes nothing but integer outputs.
  bool is_at_an_end(const Node& node) const {
    if (&node.graph() != &method_.program.graph()) return false;
    if (qdq::is_dequantize(node)) return is_user_input(node.inputs().front());
    return qdq::is_quantize(node) &&
           std::ranges::all_of(node.output()->users(), [&](const Node* user) { return user == &node.graph().output_node(); });
  }

  // What computes between them is what the integers were meant for.
  void note(const Node& node) {
    ++count_;
    nodes_.insert(&node);
    std::vector<const Node*> around;
    if (qdq::is_dequantize(node)) around.assign(node.output()->users().begin(), node.output()->users().end());
    else if (!node.inputs().empty() && node.inputs().front()->producer() != nullptr) around.push_back(node.inputs().front()->producer());
    std::erase_if(around,
                  [&](const Node* other) { return qdq::find(*other) || is_delegate_call(*other) || other == &node.graph().output_node(); });
    nodes_.insert(around.begin(), around.end());
    for (const Node* other : around) add_layer(describe(*other));
    if (around.empty() && lone_ == nullptr) lone_ = &node;
  }

  void add_layer(const std::string& layer) {
    if (std::ranges::find(layers_, layer) == layers_.end()) layers_.push_back(layer);
  }

  uint64_t work() const {
    uint64_t sum = 0;
    for (const Node* node : nodes_) sum = saturating_add(sum, work_of(method_.program, *node).amount);
    return sum;
  }

  uint64_t total() const {
    uint64_t sum = total_work(method_.program, [](const Node& node) { return !is_delegate_call(node); });
    for (const Delegate& delegate : method_.delegates)
      if (delegate.program) sum = saturating_add(sum, total_work(*delegate.program, [](const Node& node) { return !qdq::find(node); }));
    return sum;
  }

  const EdgeMethod& method_;
  size_t count_ = 0;
  std::set<const Node*> nodes_;
  std::vector<std::string> layers_;
  const Node* lone_ = nullptr;  // between delegates
};

}  // namespace

std::string stranded_quantization(const EdgeMethod& method) { return Stranded(method).text(); }

}  // namespace intaglio::edge
