#include "pt2e/fold_quantize.h"

#include <string>
#include <vector>

#include "interpreter/constant_values.h"
#include "quant/affine.h"

namespace intaglio {
namespace {

std::vector<int64_t> integers(const Tensor& tensor) {
  const Tensor values = converted(tensor, DType::int64).contiguous();
  const auto span = values.span<int64_t>();
  return {span.begin(), span.end()};
}

// The integers a static quantize node computes; undefined when its input or parameters are not constant.
Tensor quantized(const Node& node, ConstantValues& constants) {
  const bool per_tensor = node.is("quantized_decomposed.quantize_per_tensor.default");
  if (!per_tensor && !node.is("quantized_decomposed.quantize_per_channel.default")) return {};
  const Tensor* constant = constants.find(node.tensor("input"));
  if (constant == nullptr) return {};
  const Tensor input = constant->for_one_use();  // the float weight goes right afterwards
  const quant::QuantRange range = {node.integer("quant_min"), node.integer("quant_max")};
  const DType dtype = *node.optional_dtype("dtype");
  if (per_tensor) return quant::quantize_per_tensor(input, node.number("scale"), node.integer("zero_point"), range, dtype);
  const Tensor* scales = constants.find(node.tensor("scales"));
  const Tensor* zero_points = constants.find(node.tensor("zero_points"));
  if (scales == nullptr || zero_points == nullptr) return {};
  const Tensor scale = converted(*scales, DType::float32).contiguous();
  return quant::quantize_per_channel(input, scale.span<float>(), integers(*zero_points), node.integer("axis"), range, dtype);
}

std::string free_name(const ExportedProgram& program, size_t& next) {
  for (;; ++next) {
    std::string name = "_frozen_param" + std::to_string(next);
    if (!program.state.contains(name) && !program.constants.contains(name)) return name;
  }
}

}  // namespace

size_t fold_quantize(ExportedProgram& program) {
  struct Folded {
    Node* node;
    Tensor tensor;
  };
  std::vector<Folded> folded;
  {
    ConstantValues constants(program);
    for (Node* node : program.graph().node_list()) {
      Tensor tensor = quantized(*node, constants);
      if (tensor.defined()) folded.push_back({node, std::move(tensor)});
    }
  }
  size_t next = 0;
  for (Folded& item : folded) {
    Value* buffer = program.add_buffer(free_name(program, next), item.tensor.contiguous());
    program.graph().replace_all_uses(item.node->output(), buffer);
    program.graph().erase(item.node);
  }
  program.graph().eliminate_dead_code();
  program.remove_unused_constants();
  return folded.size();
}

}  // namespace intaglio
