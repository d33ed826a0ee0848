#include <algorithm>

#include "backends/vulkan/constraints.h"
#include "backends/vulkan/passes/passes.h"
#include "decompose/builder.h"
#include "decompose/rewrite.h"

namespace intaglio::vulkan {
namespace {

constexpr std::string_view reductions[] = {"aten.mean.dim", "aten.sum.dim_IntList", "aten.amax.default", "aten.amin.default"};

bool is_reduction(const Node& node) { return std::ranges::find(reductions, node.op().name()) != std::end(reductions); }

bool names_dims(const Node& node) {
  const Argument dim = node.argument("dim");
  const auto* dims = dim.get_if<std::vector<int64_t>>();
  return dims && !dims->empty();
}

bool drops_dims(const Node& node) {
  if (node.boolean("keepdim")) return false;
  const bool has_type = node.op().schema()->find("dtype") && node.optional_dtype("dtype");
  return !has_type && !reduces_last_dim_alone(node) && reduced_dims(node).size() <= 2;
}

}  // namespace

void keep_reduced_dims(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    if (!is_reduction(*node)) continue;
    if (!names_dims(*node)) program.graph().set_argument(*node, "dim", reduced_dims(*node));
    if (!drops_dims(*node)) continue;
    decompose::GraphBuilder b(program, *node);
    const std::vector<int64_t> dims = reduced_dims(*node);
    Value* kept = b.call(node->op().name(), {node->inputs().front(), dims, true});
    decompose::replace_result(program.graph(), node->output(), b("aten.squeeze_copy.dims", kept, dims));
    program.graph().erase(node);
  }
}

}  // namespace intaglio::vulkan
