#include "edge/passes/passes.h"

#include <algorithm>

#include "decompose/builder.h"
#include "ir/infer.h"

namespace intaglio::edge {
namespace {

struct NarrowSum {
  std::string_view op;
  bool in_float16;  // in bfloat16 all are
};
constexpr NarrowSum narrow_sums[] = {{"aten.native_layer_norm.default", false},
                                     {"aten.avg_pool2d.default", false},
                                     {"aten.var.correction", true},
                                     {"aten.cumsum.default", true}};

bool sums_in_its_type(const Node& node) {
  const auto* row = std::ranges::find(narrow_sums, node.op().name(), &NarrowSum::op);
  if (row == std::end(narrow_sums)) return false;
  const DType dtype = node.output(0)->dtype();
  if (dtype != DType::bfloat16 && !(dtype == DType::float16 && row->in_float16)) return false;
  const auto is_unused = [](const Value* statistic) { return statistic->users().empty(); };
  return std::ranges::all_of(node.outputs().begin() + 1, node.outputs().end(), is_unused);
}

void widen(ExportedProgram& program, Node& node) {
  Graph& graph = program.graph();
  const DType dtype = node.output(0)->dtype();
  decompose::GraphBuilder before(program, node);
  for (const NamedArgument& argument : std::vector(node.arguments()))
    if (Value* const* value = argument.value.get_if<Value*>(); value && *value && (*value)->is_tensor())
      graph.set_argument(node, argument.name, before.cast(*value, DType::float32));
  if (const Argument* asked = node.find("dtype"); asked && asked->is<DType>()) graph.set_argument(node, "dtype", DType::float32);
  refresh_metadata(node);
  decompose::GraphBuilder behind(program, graph.next(&node), node);
  Value* narrow = behind.cast(node.output(0), dtype);
  graph.replace_uses_if(node.output(0), narrow, [&](const Node& user) { return &user != narrow->producer(); });
}

// The kernel that reads a number out of a tensor has no half precision.
void read_wide(ExportedProgram& program, Node& node) {
  const DType dtype = node.inputs().front()->dtype();
  if (dtype != DType::float16 && dtype != DType::bfloat16) return;
  decompose::GraphBuilder before(program, node);
  program.graph().set_argument(node, "self", before.cast(node.tensor("self"), DType::float32));
}

}  // namespace

void sum_in_float32(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    if (sums_in_its_type(*node)) widen(program, *node);
    else if (node->is("aten._local_scalar_dense.default") || node->is("aten.item.default")) read_wide(program, *node);
}

}  // namespace intaglio::edge
