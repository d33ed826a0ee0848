// Integer kernels for int8 keep a sum for each result in int32: the bias, and weights times inputs. A sum that leaves the type
// wraps without a word, so whoever decides scales or runs a layer in integers asks here first. Test: int32_sums_test.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <intaglio/quantization.h>

namespace intaglio::quant {

// How far an 8-bit input can lie from its zero point.
constexpr int64_t input_steps = 255;

// How a layer sums: `weight` holds output channels along `channel_axis`, 0 or 1; along 1 (transposed convolutions, matrices
// [in, out]) the channels of one group, and groups follow each other along axis 0.
struct SummedLayer {
  Tensor weight;
  int64_t channel_axis = 0;
  int64_t groups = 1;
  std::vector<float> bias;  // empty: none, or one that is added in float
  double input_scale = 0;   // matters to a bias only

  size_t outputs() const;
};

// The largest magnitude of each output channel's sum, bias / (input scale * weight scale) + 255 * sum |w|, as a share of what
// int32 holds: more than 1 does not fit. `layer.weight` is int8 with these parameters, per tensor or along the channels.
std::vector<double> shares_of_int32(const SummedLayer& layer, const QuantParams& params);
// True if none is above 1; looks at every weight only where the longest row of the largest ones would not fit.
bool fits_int32(const SummedLayer& layer, const QuantParams& params);

// The same parameters with scales raised where a sum leaves int32, no further than needed; nullopt where a row is so long that
// its weights would lose more than two bits. `layer.weight` is still float here.
struct RaisedScales {
  QuantParams params;
  size_t raised = 0;     // scales
  double largest = 1.0;  // factor
};
std::optional<RaisedScales> raise_scales(const SummedLayer& layer, const QuantParams& params);

}  // namespace intaglio::quant
