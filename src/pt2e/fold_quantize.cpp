#include "pt2e/passes.h"

#include "base/computed.h"
#include "interpreter/constant_values.h"
#include "qdq/reader.h"
#include "quant/parts.h"

namespace intaglio::pt2e {
namespace {

// The integers a static quantize node computes; undefined when its input or parameters are not constant, or are chosen by
// the program: torchao leaves such nodes too.
Tensor quantized(const Node& node, ConstantValues& constants) {
  if (!qdq::is_tensor_or_channel_quantize(node)) return {};
  const qdq::OpRow& row = *qdq::find(node);
  if (row.granularity == qdq::Granularity::tensor && row.variant != qdq::Variant::literals) return {};
  const Tensor* input = constants.find(node.tensor("input"));
  if (input == nullptr) return {};
  const auto params = qdq::params_of(node, [&](const Value* value) { return constants.find(value); });
  if (!params) return {};
  return computed_from(*input, params->dtype, input->sizes(),
                       [params = *params](const Tensor& floats) { return quant::quantized_in_parts(floats, params); });
}

}  // namespace

size_t fold_quantize(ExportedProgram& program, Creations creations) {
  struct Folded {
    Node* node;
    Tensor tensor;
  };
  std::vector<Folded> folded;
  {
    ConstantValues constants(program, is_pure, creations);
    for (Node* node : program.graph().node_list()) {
      Tensor tensor = quantized(*node, constants);
      if (tensor.defined()) folded.push_back({node, std::move(tensor)});
    }
  }
  for (size_t i = 0; i < folded.size(); ++i) {
    Value* buffer = program.add_buffer(program.free_target("_frozen_param", i), folded[i].tensor.contiguous());
    program.graph().replace_all_uses(folded[i].node->output(), buffer);
    program.graph().erase(folded[i].node);
  }
  program.graph().eliminate_dead_code();
  program.remove_unused_constants();
  return folded.size();
}

}  // namespace intaglio::pt2e
