#include "pt2e/fold_quantize.h"

#include <string>

#include "base/computed.h"
#include "interpreter/constant_values.h"
#include "qdq/reader.h"
#include "quant/affine.h"

namespace intaglio {
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
                       [params = *params](const Tensor& floats) { return quant::quantize(floats, params); });
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
