#include <cmath>
#include <optional>

#include "backends/vulkan/passes/passes.h"
#include "decompose/builder.h"
#include "decompose/rewrite.h"

namespace intaglio::vulkan {
namespace {

// A constant operand's floats; `absent` for each channel where there is none, nullopt where it is computed.
std::optional<std::vector<float>> floats_of(const ExportedProgram& program, const Node& node, std::string_view argument, size_t channels,
                                            float absent) {
  const Value* value = node.optional_tensor(argument);
  if (!value) return std::vector<float>(channels, absent);
  if (!program.is_constant(value)) return std::nullopt;
  const Tensor tensor = converted(*program.constant(value), DType::float32).contiguous();
  const auto span = tensor.span<float>();
  return std::vector<float>(span.begin(), span.end());
}

void write_out(ExportedProgram& program, Node& node) {
  Value* x = node.tensor("input");
  const auto channels = static_cast<size_t>(x->sizes()[1].value());
  auto scale = floats_of(program, node, "weight", channels, 1.0F), shift = floats_of(program, node, "bias", channels, 0.0F);
  const auto mean = floats_of(program, node, "running_mean", channels, 0.0F),
             variance = floats_of(program, node, "running_var", channels, 1.0F);
  if (!scale || !shift || !mean || !variance) return;
  const auto eps = static_cast<float>(node.number("eps"));
  for (size_t c = 0; c < channels; ++c) {
    (*scale)[c] /= std::sqrt((*variance)[c] + eps);
    (*shift)[c] -= (*mean)[c] * (*scale)[c];
  }
  decompose::GraphBuilder b(program, node);
  Sizes sizes = {static_cast<int64_t>(channels)};
  sizes.resize(static_cast<size_t>(x->meta().rank() - 1), 1);
  const auto constant = [&](const std::vector<float>& values) {
    return b.constant(converted(Tensor::of<float>(std::span<const float>(values), sizes), x->dtype()));
  };
  Value* scaled = b("aten.mul.Tensor", x, constant(*scale));
  decompose::replace_result(program.graph(), node.output(), b("aten.add.Tensor", scaled, constant(*shift)));
  program.graph().erase(&node);
}

}  // namespace

void write_out_batch_norms(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    if (!node->is("aten._native_batch_norm_legit_no_training.default") || node->tensor("input")->meta().rank() == 4) continue;
    const bool others_used = !node->output(1)->users().empty() || !node->output(2)->users().empty();
    if (!others_used && node->tensor("input")->meta().rank() >= 2 && node->tensor("input")->sizes()[1].is_static())
      write_out(program, *node);
  }
}

}  // namespace intaglio::vulkan
