#include <algorithm>
#include <map>

#include "backends/common/symbolic_views.h"
#include "backends/xnnpack/rewrites/flat_form.h"
#include "backends/xnnpack/rewrites/rewrites.h"
#include "ir/infer.h"
#include "qdq/op_table.h"

namespace intaglio::xnnpack {
namespace {

class Flattening {
 public:
  explicit Flattening(ExportedProgram& program) : graph_(program.graph()) {}

  void run() {
    for (Node* node : graph_.node_list())
      if (const auto form = computes_in_delegates(*node) ? flat_form(*node) : std::nullopt) rewrite(*node, *form);
    graph_.eliminate_dead_code();
  }

 private:
  static bool computes_in_delegates(const Node& node) {
    if (qdq::find(node)) return true;
    return !node.outputs().empty() && node.output()->is_tensor() &&
           (node.output()->dtype() == DType::float32 || node.output()->dtype() == DType::float16);
  }

  void rewrite(Node& node, const FlatForm& form) {
    if (form.operands.empty() && form.result == node.output()->sizes()) {  // only names sizes anew
      Value* input = node.inputs().front();
      graph_.replace_all_uses(node.output(), sized(input, form.result, node));
      return;
    }
    for (const auto& [value, sizes] : form.operands) graph_.replace_uses_in(node, value, sized(value, sizes, node));
    for (const auto& [name, value] : form.arguments) graph_.set_argument(node, name, value);
    const qdq::OpRow* row = qdq::find(node);
    if (row && row->role == qdq::Role::choose) {
      refresh_metadata(node);
      return;
    }
    Value* result = node.output();
    const SymSizes original = result->sizes();
    result->meta() = TensorMeta::contiguous(result->dtype(), form.result);
    if (node.is("aten.native_layer_norm.default")) refresh_metadata(node);
    Node* next = graph_.next(&node);
    Value* unfolded = view(result, original, next, node);
    graph_.replace_uses_if(result, unfolded, [&](const Node& user) { return &user != unfolded->producer(); });
  }

  // The value's elements in these sizes: what it was reshaped from, or a reshape of that.
  Value* sized(Value* value, const SymSizes& sizes, Node& reader) {
    while (value->sizes() != sizes && value->producer() && value->producer()->is("aten.view_copy.default"))
      value = value->producer()->tensor("self");
    if (value->sizes() == sizes) return value;
    std::vector<std::pair<SymSizes, Value*>>& known = views_[value];
    const auto found = std::ranges::find(known, sizes, [](const auto& entry) { return entry.first; });
    if (found != known.end()) return found->second;
    return known.emplace_back(sizes, view(value, sizes, &reader, reader)).second;
  }

  Value* view(Value* value, const SymSizes& sizes, Node* position, const Node& origin) {
    Node& node =
        graph_.insert_before(position, Op::get("aten.view_copy.default"), {{"self", value}, {"size", common::inferred_sizes(sizes)}},
                             {{.meta = TensorMeta::contiguous(value->dtype(), sizes)}}, value->name() + "_view");
    node.metadata = origin.metadata;
    return node.output();
  }

  Graph& graph_;
  std::map<const Value*, std::vector<std::pair<SymSizes, Value*>>> views_;
};

}  // namespace

void flatten_many_dims(ExportedProgram& program) { Flattening(program).run(); }

}  // namespace intaglio::xnnpack
