#include <algorithm>

#include <intaglio/coreml_quantizer.h>
#include <intaglio/error.h>

#include "backends/coreml/quantizer/pattern_rows.h"

namespace intaglio::coreml {

namespace quantizer {
namespace {

using Named = LinearQuantizerConfig::Named;

QScheme scheme_of(QuantizationScheme scheme, bool per_channel) {
  const bool symmetric = scheme == QuantizationScheme::symmetric;
  if (per_channel) return symmetric ? QScheme::per_channel_symmetric : QScheme::per_channel_affine;
  return symmetric ? QScheme::per_tensor_symmetric : QScheme::per_tensor_affine;
}

ObserverFactory observer_of(ObserverType type, bool per_channel) {
  if (type == ObserverType::min_max) return fake_quantize(per_channel ? per_channel_min_max_observer() : min_max_observer());
  return fake_quantize(per_channel ? moving_average_per_channel_min_max_observer() : moving_average_min_max_observer());
}

QuantizationSpec weight_spec(const ModuleLinearQuantizerConfig& config, Compat compat) {
  QuantizationSpec spec;
  const bool is_unsigned = config.weight_dtype == WeightDType::quint8 || config.weight_dtype == WeightDType::quint4;
  const bool is_narrow = config.weight_dtype == WeightDType::qint4 || config.weight_dtype == WeightDType::quint4;
  spec.dtype = is_unsigned ? DType::uint8 : DType::int8;
  spec.qscheme = scheme_of(config.quantization_scheme, config.weight_per_channel);
  spec.observer = observer_of(config.weight_observer, config.weight_per_channel);
  if (is_narrow && compat == Compat::intaglio) {
    spec.quant_min = is_unsigned ? 0 : -8;
    spec.quant_max = is_unsigned ? 15 : 7;
  }
  return spec;
}

void check_schemes(const LinearQuantizerConfig& config) {
  std::optional<QuantizationScheme> known;
  const auto check = [&](const std::optional<ModuleLinearQuantizerConfig>& one) {
    if (!one) return;
    if (known.value_or(one->quantization_scheme) != one->quantization_scheme)
      throw_usage("LinearQuantizerConfig: configurations differ in quantization_scheme; Core ML's quantizer takes one for all of a model");
    known = one->quantization_scheme;
  };
  check(config.global_config);
  for (const Named* named : {&config.module_type_configs, &config.module_name_configs, &config.operator_configs})
    for (const auto& [name, one] : *named) check(one);
}

// A tensor is quantized once: who reads it takes the parameters that it was made with.
void read_as_made(const ExportedProgram& program, Annotations& annotations) {
  for (const Node* node : program.graph().node_list()) {
    QuantizationAnnotation* annotation = annotations.find(node);
    if (annotation == nullptr) continue;
    for (auto& [value, spec] : annotation->input_qspec_map) {
      const QuantizationAnnotation* made = value->producer() == nullptr ? nullptr : annotations.find_producer(value);
      if (spec && made != nullptr && made->output_qspec) spec = SharedQuantizationSpec{value};
    }
  }
}

}  // namespace
}  // namespace quantizer

QuantizationConfig get_quantization_config(const ModuleLinearQuantizerConfig& config, Compat compat) {
  QuantizationConfig result;
  if (config.weight_dtype == WeightDType::float32) return result;
  result.weight = quantizer::weight_spec(config, compat);
  if (config.activation_dtype == ActivationDType::float32) return result;
  QuantizationSpec activation;
  activation.dtype = DType::uint8;
  activation.qscheme = quantizer::scheme_of(config.quantization_scheme, false);
  activation.observer = quantizer::observer_of(config.activation_observer, false);
  result.input_activation = activation;
  result.output_activation = std::move(activation);
  return result;
}

CoreMLQuantizer::CoreMLQuantizer(Compat compat)
    : PatternQuantizer(compat == Compat::torchao ? original_pattern_table : pattern_table, compat), compat_(compat) {}

CoreMLQuantizer::CoreMLQuantizer(const LinearQuantizerConfig& config, Compat compat) : CoreMLQuantizer(compat) {
  quantizer::check_schemes(config);
  // The original marks what it leaves in float, and a layer behind it takes its input in float too.
  const auto config_of = [&](const std::optional<ModuleLinearQuantizerConfig>& one) -> std::optional<QuantizationConfig> {
    const bool in_float = !one || one->weight_dtype == WeightDType::float32;
    if (in_float) return compat == Compat::torchao ? std::optional(QuantizationConfig{}) : std::nullopt;
    return get_quantization_config(*one, compat);
  };
  const bool is_empty = config.module_type_configs.empty() && config.module_name_configs.empty() && config.operator_configs.empty();
  if (config.global_config || is_empty)
    set_global(config_of(config.global_config ? config.global_config : ModuleLinearQuantizerConfig{}).value_or(QuantizationConfig{}));
  for (const auto& [type, one] : config.module_type_configs) set_module_type(type, config_of(one));
  for (const auto& [name, one] : config.module_name_configs) set_module_name(name, config_of(one));
  for (const auto& [op, one] : config.operator_configs) set_operator_type(op, config_of(one));
}

void CoreMLQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  PatternQuantizer::annotate(program, annotations);
  if (compat_ == Compat::intaglio) quantizer::read_as_made(program, annotations);
}

}  // namespace intaglio::coreml
