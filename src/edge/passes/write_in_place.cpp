#include "edge/passes/passes.h"

#include <algorithm>
#include <optional>

#include "ir/result_places.h"
#include "pte/kernel_dtypes.h"
#include "pte/kernel_table.h"

namespace intaglio::edge {
namespace {

constexpr std::string_view in_place_op = "aten.index_put_.default";

bool takes_types_of(const Node& node) {
  const pte::RuntimeKernel& kernel = *pte::runtime_kernel_for(in_place_op);
  const auto takes = [&](std::string_view argument, const Value* value) {
    return !value || pte::refused_dtype(kernel, argument, value->dtype()).empty();
  };
  return takes("self", node.tensor("self")) &&
         std::ranges::all_of(node.tensors("indices"), [&](const Value* index) { return takes("indices", index); });
}

// The kernel in place writes whole slices at the positions of one list. Returns the leading dimensions of 1 that the values lack;
// nullopt for other forms.
std::optional<size_t> missing_dimensions(const Node& node) {
  const SymSizes &self = node.tensor("self")->sizes(), &values = node.tensor("values")->sizes();
  const List<Value*> indices = node.tensors("indices");
  const auto index = std::ranges::find_if(indices, [](const Value* each) { return each != nullptr; });
  if (index == indices.end() || std::count(index, indices.end(), nullptr) + 1 != indices.end() - index || (*index)->meta().rank() != 1 ||
      values.size() > self.size() || node.boolean("accumulate"))
    return std::nullopt;
  const auto dim = static_cast<size_t>(index - indices.begin());
  const size_t missing = self.size() - values.size();
  for (size_t i = 0; i < self.size(); ++i) {
    const SymInt& wanted = i == dim ? (*index)->sizes()[0] : self[i];
    if (!((i < missing ? SymInt(1) : values[i - missing]) == wanted)) return std::nullopt;
  }
  return missing;
}

// True when the node's result is a buffer with rows written, which the program keeps and gives to no one (a user's output must not be a
// buffer's memory), and nothing else reads what it was.
bool writes_rows_alone(const ExportedProgram& program, const ResultPlaces& results, const Node& node) {
  if (!node.is("aten.index_put.default")) return false;
  const Value* buffer = node.tensor("self");
  const InputSpec* input = program.spec_of(buffer);
  return input && input->kind == InputSpec::Kind::buffer && results.only_keeps(node.output(), input->target) && buffer->has_one_user() &&
         takes_types_of(node) && missing_dimensions(node);
}

void turn_in_place(Graph& graph, Node& node) {
  for (size_t missing = *missing_dimensions(node); missing > 0; --missing) {
    Value* values = node.tensor("values");
    SymSizes sizes = values->sizes();
    sizes.insert(sizes.begin(), SymInt(1));
    Node& widened = graph.insert_before(&node, Op::get("aten.unsqueeze_copy.default"), {{"self", values}, {"dim", 0}},
                                        {{TensorMeta::contiguous(values->dtype(), std::move(sizes))}});
    widened.metadata = node.metadata;
    graph.replace_uses_in(node, values, widened.output());
  }
  graph.set_op(node, Op::get(in_place_op));
}

}  // namespace

void write_in_place(ExportedProgram& program) {
  const ResultPlaces results(program);
  for (Node* node : program.graph().node_list())
    if (writes_rows_alone(program, results, *node)) turn_in_place(program.graph(), *node);
}

}  // namespace intaglio::edge
