#include "quant/int32_sums.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "quant/affine.h"

namespace intaglio::quant {
namespace {

constexpr double largest_sum = std::numeric_limits<int32_t>::max();

// Weights beyond this factor would have less than six bits.
constexpr double largest_row_factor = 4;

int64_t row_length(const SummedLayer& layer) { return layer.weight.numel() / std::max<int64_t>(1, static_cast<int64_t>(layer.outputs())); }

size_t scale_of(const QuantParams& params, size_t output) { return params.scale.size() == 1 ? 0 : output % params.scale.size(); }

double share_of_bias(const SummedLayer& layer, const QuantParams& params, size_t output) {
  if (layer.bias.empty() || layer.bias[output] == 0.0f) return 0;
  return std::abs(static_cast<double>(layer.bias[output])) / (layer.input_scale * params.scale[scale_of(params, output)]) / largest_sum;
}

double share_of_row(double magnitudes) { return magnitudes * static_cast<double>(input_steps) / largest_sum; }

// Of each output channel: the sum of |w|.
std::vector<int64_t> row_magnitudes(const SummedLayer& layer) {
  const Tensor weight = layer.weight.contiguous();
  const auto values = weight.span<int8_t>();
  const int64_t first = weight.size(0), second = layer.channel_axis == 0 ? 1 : weight.size(1);
  const int64_t inner = first * second == 0 ? 0 : weight.numel() / (first * second);
  const int64_t rows_of_group = std::max<int64_t>(1, first / layer.groups);
  std::vector<int64_t> sums(layer.outputs());
  size_t next = 0;
  for (int64_t i = 0; i < first; ++i)
    for (int64_t j = 0; j < second; ++j) {
      int64_t sum = 0;
      for (int64_t k = 0; k < inner; ++k) sum += std::abs(static_cast<int>(values[next++]));
      sums[static_cast<size_t>(layer.channel_axis == 0 ? i : i / rows_of_group * second + j)] += sum;
    }
  return sums;
}

bool rows_surely_fit(const SummedLayer& layer, const QuantParams& params) {
  const auto largest_weight = static_cast<double>(std::max(std::abs(params.quant_min), std::abs(params.quant_max)));
  const double row = share_of_row(static_cast<double>(row_length(layer)) * largest_weight);
  for (size_t output = 0; output < layer.outputs(); ++output)
    if (!(share_of_bias(layer, params, output) + row <= 1)) return false;
  return true;
}

// The factor by which each scale is too small.
std::vector<double> factors(const std::vector<double>& shares, const QuantParams& params) {
  std::vector<double> result(params.scale.size(), 1.0);
  for (size_t output = 0; output < shares.size(); ++output) {
    double& factor = result[scale_of(params, output)];
    factor = std::max(factor, shares[output]);
  }
  return result;
}

bool rows_keep_their_bits(const SummedLayer& layer) {
  const std::vector<int64_t> magnitudes = row_magnitudes(layer);
  return std::ranges::all_of(magnitudes, [&](int64_t sum) { return share_of_row(static_cast<double>(sum)) <= largest_row_factor; });
}

}  // namespace

size_t SummedLayer::outputs() const { return static_cast<size_t>(channel_axis == 0 ? weight.size(0) : weight.size(1) * groups); }

std::vector<double> shares_of_int32(const SummedLayer& layer, const QuantParams& params) {
  const std::vector<int64_t> magnitudes = row_magnitudes(layer);
  std::vector<double> shares(magnitudes.size());
  for (size_t output = 0; output < shares.size(); ++output)
    shares[output] = share_of_bias(layer, params, output) + share_of_row(static_cast<double>(magnitudes[output]));
  return shares;
}

bool fits_int32(const SummedLayer& layer, const QuantParams& params) {
  return rows_surely_fit(layer, params) || std::ranges::all_of(shares_of_int32(layer, params), [](double share) { return share <= 1; });
}

std::optional<RaisedScales> raise_scales(const SummedLayer& layer, const QuantParams& params) {
  RaisedScales result{params};
  if (rows_surely_fit(layer, params)) return result;
  SummedLayer integers = layer;
  integers.weight = quantize(layer.weight, params);
  if (!rows_keep_their_bits(integers)) return std::nullopt;
  // Equal weights all stay where they are until the scale has grown by half a step of theirs, so what is spared grows.
  constexpr int rounds = 12;
  double spare = 1e-6;
  for (int round = 0; round < rounds; ++round, spare *= 4) {
    const std::vector<double> factor = factors(shares_of_int32(integers, result.params), result.params);
    if (std::ranges::all_of(factor, [](double f) { return f <= 1; })) {
      for (size_t i = 0; i < params.scale.size(); ++i) {
        result.raised += result.params.scale[i] > params.scale[i];
        result.largest = std::max(result.largest, result.params.scale[i] / params.scale[i]);
      }
      return result;
    }
    for (size_t i = 0; i < factor.size(); ++i)
      if (factor[i] > 1) result.params.scale[i] = static_cast<float>(result.params.scale[i] * factor[i] * (1 + spare));
    if (!std::ranges::all_of(result.params.scale, [](double scale) { return std::isfinite(scale); })) return std::nullopt;
    integers.weight = quantize(layer.weight, result.params);
  }
  return std::nullopt;
}

}  // namespace intaglio::quant
