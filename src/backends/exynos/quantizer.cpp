#include <fmt/format.h>

#include <intaglio/error.h>
#include <intaglio/exynos.h>

#include "backends/exynos/annotators.h"

namespace intaglio::exynos {
namespace {

constexpr double smallest_scale = 1.0 / 4096;

QuantizationSpec int8_spec(QScheme scheme, ObserverFactory observer) {
  QuantizationSpec spec;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.qscheme = scheme;
  spec.observer = std::move(observer);
  return spec;
}

}  // namespace

QuantizationConfig get_quant_config(Precision, bool is_per_channel) {
  QuantizationConfig config;
  config.input_activation = int8_spec(QScheme::per_tensor_affine, min_max_observer(smallest_scale));
  config.output_activation = config.input_activation;
  config.weight = is_per_channel ? int8_spec(QScheme::per_channel_symmetric, per_channel_min_max_observer(smallest_scale))
                                 : int8_spec(QScheme::per_tensor_affine, min_max_observer(smallest_scale));
  config.weight->ch_axis = 0;
  return config;
}

EnnQuantizer& EnnQuantizer::set_quant_params(std::string_view precision, bool is_per_channel, bool is_qat) {
  if (precision != "A8W8") throw_usage(fmt::format("precision '{}': Exynos has A8W8 alone", escaped(precision)));
  return setup_quant_params(Precision::a8w8, is_per_channel, is_qat);
}

EnnQuantizer& EnnQuantizer::setup_precision(Precision precision) {
  if (precision != Precision::a8w8)
    throw_usage(fmt::format("precision {}: Exynos has A8W8 ({}) alone", static_cast<int>(precision), static_cast<int>(Precision::a8w8)));
  return *this;
}

EnnQuantizer& EnnQuantizer::setup_quant_params(Precision precision, bool is_per_channel, bool is_qat) {
  setup_precision(precision);
  if (is_qat) throw_usage("is_qat=true: training is PyTorch's part; train there, then quantize the trained program with is_qat=false");
  is_per_channel_ = is_per_channel;
  return *this;
}

EnnQuantizer& EnnQuantizer::set_filter_function(std::function<bool(const Node&)> filter) {
  filter_ = std::move(filter);
  return *this;
}

EnnQuantizer& EnnQuantizer::add_custom_quant_annotations(std::vector<CustomAnnotation> custom) {
  custom_ = std::move(custom);
  return *this;
}

// int8 stands beside float32 in the compiler's graph.
std::vector<DType> EnnQuantizer::widened_types() const {
  return compat_ == Compat::torchao ? std::vector<DType>{} : std::vector<DType>{DType::float16, DType::bfloat16};
}

void EnnQuantizer::annotate(const ExportedProgram& program, Annotations& annotations) const {
  const QuantizationConfig config = get_quant_config(Precision::a8w8, is_per_channel_);
  AnnotatorRun(program, config, annotations, compat_, filter_).annotate();
  for (const CustomAnnotation& custom : custom_) custom(program, annotations);
}

}  // namespace intaglio::exynos
