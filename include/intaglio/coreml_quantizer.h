// What the Core ML backend quantizes with observers: layers with the activation behind them, sums and products.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <intaglio/pattern_quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio::coreml {

enum class QuantizationScheme : uint8_t { symmetric, affine };
enum class WeightDType : uint8_t { qint8, quint8, qint4, quint4, float32 };
enum class ActivationDType : uint8_t { quint8, float32 };
enum class ObserverType : uint8_t { moving_average_min_max, min_max };

// Names and defaults are those of coremltools' class.
struct ModuleLinearQuantizerConfig {
  QuantizationScheme quantization_scheme = QuantizationScheme::symmetric;  // of weights and activations
  WeightDType weight_dtype = WeightDType::qint8;                           // float32: nothing is quantized
  ObserverType weight_observer = ObserverType::moving_average_min_max;
  bool weight_per_channel = true;
  ActivationDType activation_dtype = ActivationDType::quint8;  // float32: weights alone are quantized
  ObserverType activation_observer = ObserverType::moving_average_min_max;
};

// nullopt: stays in float. With no configuration at all the global one is the default.
struct LinearQuantizerConfig {
  using Named = std::vector<std::pair<std::string, std::optional<ModuleLinearQuantizerConfig>>>;
  std::optional<ModuleLinearQuantizerConfig> global_config;
  Named module_type_configs;  // "torch.nn.modules.conv.Conv2d", or (compat=intaglio) its last part
  Named module_name_configs;  // fully qualified name of the module, or of one around it
  Named operator_configs;     // "aten.conv2d", in-place forms with it
};

// Observers fake-quantize while calibrating. 4-bit weights have -8..7 or 0..15; under Compat::torchao all of int8 or uint8, as there.
QuantizationConfig get_quantization_config(const ModuleLinearQuantizerConfig& config = {}, Compat compat = Compat::intaglio);

// CoreMLQuantizer of ExecuTorch. By default a tensor is quantized once, however many read it and as what, and pools, means and what moves
// values keep the parameters of what they read (docs/coreml_quantizer.md has every difference).
class CoreMLQuantizer : public PatternQuantizer {
 public:
  // Nothing is configured yet.
  explicit CoreMLQuantizer(Compat compat = Compat::intaglio);
  // Usage error when configurations differ in their scheme.
  explicit CoreMLQuantizer(const LinearQuantizerConfig& config, Compat compat = Compat::intaglio);

  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  Compat compat_;
};

}  // namespace intaglio::coreml

#pragma GCC visibility pop
