// Samsung's Exynos backend (ENN): what it quantizes.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include <intaglio/pt2e.h>

#pragma GCC visibility push(default)

namespace intaglio::exynos {

// Activations of 8 bits and weights of 8 bits are all there is.
enum class Precision : uint8_t { a8w8 = 3 };

// EnnQuantizer of ExecuTorch: int8 activations of a range of their own, int8 weights; every result is quantized, inputs and outputs of
// the program too.
class EnnQuantizer : public Quantizer {
 public:
  // Precision::a8w8, weights per channel.
  explicit EnnQuantizer(Compat compat = Compat::intaglio) : compat_(compat) {}

  // Usage errors: a precision other than "A8W8", `is_qat`. Weights that are not per channel are affine per tensor.
  EnnQuantizer& set_quant_params(std::string_view precision, bool is_per_channel = true, bool is_qat = false);
  // The same under the names of ExecuTorch's release.
  EnnQuantizer& setup_precision(Precision precision);
  EnnQuantizer& setup_quant_params(Precision precision, bool is_per_channel = true, bool is_qat = false);
  // Called in order behind the quantizer's own rules, and may change what these said. Replaces those of an earlier call.
  using CustomAnnotation = std::function<void(const ExportedProgram&, Annotations&)>;
  EnnQuantizer& add_custom_quant_annotations(std::vector<CustomAnnotation> custom);

  std::vector<DType> widened_types() const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  Compat compat_;
  bool is_per_channel_ = true;
  std::vector<CustomAnnotation> custom_;
};

// What every operator is quantized with; for annotations of one's own.
QuantizationConfig get_quant_config(Precision precision = Precision::a8w8, bool is_per_channel = true);

}  // namespace intaglio::exynos

#pragma GCC visibility pop
