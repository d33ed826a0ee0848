#include "backends/vulkan/quantized_patterns.h"

#include <fmt/format.h>

#include "backends/common/candidates.h"
#include "backends/vulkan/quantized_layer.h"

namespace intaglio::vulkan {

QuantizedPatterns::QuantizedPatterns(const common::ProgramFacts& facts) {
  for (Node* node : facts.program().graph().node_list()) {
    auto layer = quantized_layer(facts, *node);
    if (!layer) continue;
    if (!layer->refusal.empty()) {
      refusals_.emplace(node, std::move(layer->refusal));
      continue;
    }
    for (const Node* part : layer->parts) layers_.emplace(part, node);
    if (layer->drops_input_rounding) float_inputs_.push_back(node);
    ties_.push_back(std::move(layer->parts));
  }
}

const std::string* QuantizedPatterns::refusal(const Node& node) const {
  const auto found = refusals_.find(&node);
  return found == refusals_.end() ? nullptr : &found->second;
}

std::optional<Refusal> QuantizedPatterns::warning() const {
  if (float_inputs_.empty()) return std::nullopt;
  return Refusal{float_inputs_.front(),
                 fmt::format("reads its input in float{}: beside such weights the runtime quantizes none at run time; a recipe that "
                             "quantizes weights alone says the same",
                             common::and_others(float_inputs_.size()))};
}

}  // namespace intaglio::vulkan
