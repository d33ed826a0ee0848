// What the Vulkan backend quantizes with observers: weights of linears, and what their inputs become at run time.
#pragma once

#include <cstdint>
#include <optional>

#include <intaglio/pattern_quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio::vulkan {

// The arguments of ExecuTorch's `get_symmetric_quantization_config` for Vulkan. A bound that is absent is that of the bits.
struct SymmetricQuantizationOptions {
  bool is_dynamic = false;  // inputs of linears become int8 at run time; else weights alone are quantized
  int64_t weight_bits = 8;  // or 4; stored as int8, with a scale for each output channel
  int64_t act_bits = 8;
  std::optional<int64_t> act_qmin, act_qmax, weight_qmin, weight_qmax;
};
// Usage errors: other bits, bounds that int8 has not or that leave no range around 0.
QuantizationConfig get_symmetric_quantization_config(const SymmetricQuantizationOptions& options = {});

// Takes linears, as VulkanQuantizer of ExecuTorch does. No sample is needed: nothing has a static range but weights.
class VulkanQuantizer : public PatternQuantizer {
 public:
  explicit VulkanQuantizer(Compat compat = Compat::intaglio);
};

}  // namespace intaglio::vulkan

#pragma GCC visibility pop
