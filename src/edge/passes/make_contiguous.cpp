#include "edge/passes/passes.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/builder.h"

namespace intaglio::edge {
namespace {

void describe_as_contiguous(TensorMeta& meta) {
  meta.strides = TensorMeta::contiguous(meta.dtype, meta.sizes).strides;
  meta.storage_offset = 0;
}

// Dimensions of size 1 may stand anywhere.
bool moves_row_major(const TensorMeta& meta) {
  const std::vector<uint8_t> order = meta.dim_order();
  std::vector<uint8_t> moving;
  for (uint8_t dim : order)
    if (!meta.sizes[dim].is_static() || meta.sizes[dim].value() != 1) moving.push_back(dim);
  return std::is_sorted(moving.begin(), moving.end());
}

// The one op whose result depends on its operand's strides.
void check_strided(const Node& node) {
  if (node.op().base() != "as_strided" && node.op().base() != "as_strided_copy") return;
  const TensorMeta& operand = node.tensor("self")->meta();
  if (operand.strides != TensorMeta::contiguous(operand.dtype, operand.sizes).strides)
    throw_unsupported(fmt::format("{}: its operand is not contiguous; use slices or permute in the model instead", describe(node)));
}

// Returns what stands before `first` then.
Node* copy_input(ExportedProgram& program, Value* input, Node* first) {
  Graph& graph = program.graph();
  if (first == nullptr || input->users().empty()) return first;
  decompose::GraphBuilder build(program, *first);
  std::vector<int64_t> order;
  for (int64_t dim = 0; dim < input->meta().rank(); ++dim) order.push_back(dim);
  Value* copy = build.call("dim_order_ops._to_dim_order_copy.default", {input}, {{"dim_order", order}});
  Node* own = copy->producer();
  graph.replace_uses_if(input, copy, [&](const Node& user) { return &user != own && &user != &graph.output_node(); });
  return own;
}

}  // namespace

void make_contiguous(ExportedProgram& program) {
  for (const Node* node : program.graph().node_list()) check_strided(*node);
  for (const Node* node : program.graph().node_list())
    for (Value* output : node->outputs())
      if (output->is_tensor()) describe_as_contiguous(output->meta());
  const std::vector<Node*> nodes = program.graph().node_list();
  Node* first = nodes.empty() ? nullptr : nodes.front();
  for (const InputSpec& spec : program.input_specs) {
    if (!spec.value->is_tensor()) continue;
    if (const Tensor* tensor = program.constant(spec.value)) {
      if (!tensor->is_contiguous()) program.set_constant(spec.value, tensor->contiguous());
    } else if (moves_row_major(spec.value->meta())) {
      describe_as_contiguous(spec.value->meta());
    } else {
      first = copy_input(program, spec.value, first);
    }
  }
}

}  // namespace intaglio::edge
