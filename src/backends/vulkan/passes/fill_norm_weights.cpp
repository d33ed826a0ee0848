#include <string_view>

#include "backends/vulkan/passes/passes.h"

namespace intaglio::vulkan {
namespace {

struct NormRow {
  std::string_view op;
  int64_t dim;  // of the input, that weight and bias go along; -1: the last
};
constexpr NormRow norms[] = {
    {"aten.native_layer_norm.default", -1},
    {"aten.native_group_norm.default", 1},
    {"aten._native_batch_norm_legit_no_training.default", 1},
};

void fill(ExportedProgram& program, Node& node, std::string_view argument, float value, int64_t dim) {
  if (node.optional_tensor(argument)) return;
  const Value& input = *node.inputs().front();
  const auto& sizes = input.sizes();
  const int64_t count = (dim < 0 ? sizes.back() : sizes[static_cast<size_t>(dim)]).value();
  const std::vector<float> values(static_cast<size_t>(count), value);
  const Tensor tensor = converted(Tensor::of<float>(std::span(values), {count}), input.dtype());
  const std::string target = program.free_target("_norm_" + std::string(argument));
  program.graph().set_argument(node, argument, program.add_constant(target, tensor));
}

}  // namespace

void fill_norm_weights(ExportedProgram& program) {
  for (Node* node : program.graph().node_list())
    for (const NormRow& row : norms) {
      if (!node->is(row.op)) continue;
      fill(program, *node, "weight", 1.0F, row.dim);
      fill(program, *node, "bias", 0.0F, row.dim);
    }
}

}  // namespace intaglio::vulkan
