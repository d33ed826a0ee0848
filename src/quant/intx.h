// Weights as narrow integers in groups: torchao's IntxUnpackedToInt8Tensor, bit for bit. Test: intx_test.cpp; against torchao:
// tests/test_quantize_api.py.
#pragma once

#include <cstdint>
#include <optional>

#include <intaglio/mapping_type.h>

#include "quant/affine.h"

namespace intaglio::quant {

struct IntxSettings {
  int bits = 4;            // 1 to 8: [-2^(bits-1), 2^(bits-1) - 1]
  int64_t group_size = 0;  // elements of a row that share a scale; divides the row
  MappingType mapping = MappingType::symmetric;
  // Of the stored scale; the scale is found in the weight's own type, rounded to this one, and the weight is quantized with that.
  std::optional<DType> scale_dtype;
  // The scale that fits the weight best by least squares, found step by step (Half-Quadratic Quantization, scale only; Badri and
  // Shaji 2023). Symmetric whatever `mapping` says. All groups of a tensor take the same number of steps.
  bool fit_scale = false;
  friend bool operator==(const IntxSettings&, const IntxSettings&) = default;
};

struct IntxWeight {
  Tensor codes;       // int8, sizes of the weight: one value a byte
  Tensor scale;       // [rows, groups of a row]
  Tensor zero_point;  // int8 of the same sizes; zeros unless the mapping is asymmetric
};

QuantRange intx_range(int bits);

// Of a float32, float16 or bfloat16 matrix. Bad-input errors: a value that is not finite, a range that its type cannot hold.
// The same bits for any number of threads.
// `first_row`: of a larger weight that these are rows of, for messages.
IntxWeight quantize_intx(const Tensor& weight, const IntxSettings& settings, int threads, int64_t first_row = 0);

}  // namespace intaglio::quant
