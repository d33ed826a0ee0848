// What a configuration makes of a weight. Test: quantize_api_test.cpp.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <intaglio/quantize_api.h>

#include "quant/intx.h"
#include "quantize_api/layers.h"

namespace intaglio::quantize_api {

// A weight's form, settled for its sizes. Equal forms of one weight are one tensor.
using IntxForm = quant::IntxSettings;
struct CodebookForm {
  int bits = 8;
  std::vector<int64_t> block_size;  // as it was given
  friend bool operator==(const CodebookForm&, const CodebookForm&) = default;
};
using WeightForm = std::variant<IntxForm, CodebookForm>;
std::string to_string(const WeightForm& form);

// What becomes of a layer: a form, or why it stays in float. Errors name the layer and what would fit.
struct Decision {
  std::optional<WeightForm> form;
  std::string why_float;
};
Decision decide(const QuantizeConfig& config, const Layer& layer, WhenIndivisible when_indivisible);

// Codes, scale and zero point; codes and code book. Computed when they are read where the weight is large and lies in a file.
std::vector<Tensor> quantized(const Tensor& weight, const WeightForm& form, const Layer& layer, const std::string& file, int threads);

}  // namespace intaglio::quantize_api
