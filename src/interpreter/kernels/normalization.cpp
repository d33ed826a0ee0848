// Batch, layer, group, instance and root-mean-square normalization, in evaluation.
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/threads.h"
#include "interpreter/elementwise.h"
#include "interpreter/fallbacks.h"
#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

Tensor to_float(const Tensor& tensor) { return tensor.dtype() == DType::float32 ? tensor : converted(tensor, DType::float32); }

// A per-channel or per-position parameter as plain floats; empty when absent.
std::vector<float> parameter(Call& call, std::string_view name, int64_t count) {
  const Tensor* tensor = call.optional_tensor(name);
  if (tensor == nullptr) return {};
  if (tensor->numel() != count) call.fail(fmt::format("argument '{}' has {} elements where {} are needed", name, tensor->numel(), count));
  const Tensor dense = to_float(*tensor).contiguous();
  return {dense.span<float>().begin(), dense.span<float>().end()};
}

void require_float(Call& call, const Tensor& input) {
  if (!is_floating(input.dtype())) call.unsupported(fmt::format("normalization of {} tensors", name(input.dtype())));
}

// In float32; wider elements are left to the runtime's kernels.
template <KernelFunction function>
void in_float32(Call& call) {
  if (call.tensor("input").dtype() == DType::float64) return run_elsewhere(call);
  function(call);
}

// x * scale + shift with one entry per channel (dimension 1).
Tensor scaled_by_channel(Call& call, const Tensor& input, const std::vector<float>& scale, const std::vector<float>& shift) {
  Sizes shape(static_cast<size_t>(input.rank()), 1);
  shape[1] = input.size(1);
  const Tensor scales = Tensor::of<float>(scale, shape), shifts = Tensor::of<float>(shift, shape);
  const Tensor* const operands[] = {&input, &scales, &shifts};
  const Tensor out = call.empty(input.dtype(), input.sizes(), result_strides(input.sizes(), operands));
  run_elementwise(call, scale_shift_functions(), input.dtype(), out, operands, {});
  return out;
}

Tensor evaluated_batch_norm(Call& call) {
  const Tensor& input = call.tensor("input");
  require_float(call, input);
  call.require(input.rank() >= 2, "the input needs a channel dimension");
  const int64_t channels = input.size(1);
  call.require(call.has("running_mean") && call.has("running_var"), "the running statistics are missing");
  const std::vector<float> mean = parameter(call, "running_mean", channels), variance = parameter(call, "running_var", channels);
  const std::vector<float> weight = parameter(call, "weight", channels), bias = parameter(call, "bias", channels);
  const double eps = call.floating("eps");
  std::vector<float> scale, shift;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const float w = weight.empty() ? 1.0f : weight[c];
    scale.push_back(static_cast<float>(w / std::sqrt(variance[c] + eps)));
    shift.push_back((bias.empty() ? 0.0f : bias[c]) - mean[c] * scale.back());
  }
  return scaled_by_channel(call, input, scale, shift);
}

void native_batch_norm(Call& call) {
  if (call.has("training") && call.boolean("training"))
    call.unsupported("batch norm in training mode: export the model in evaluation mode");
  call.set(evaluated_batch_norm(call), 0);
  call.set(Tensor::empty(DType::float32, {0}), 1);
  call.set(Tensor::empty(DType::float32, {0}), 2);
}

struct Statistics {
  Tensor mean, inverse;  // one entry a row
};

// Rows of `length` contiguous floats to zero mean and unit variance; `finish(row, mean, inverse)` writes the row.
template <typename Finish>
Statistics normalize_rows(const Call& call, const Tensor& input, int64_t length, double eps, Finish finish) {
  const int64_t rows = length == 0 ? 0 : input.numel() / length;
  Statistics statistics = {call.empty(DType::float32, {rows}), call.empty(DType::float32, {rows})};
  float *means = writable<float>(statistics.mean), *inverses = writable<float>(statistics.inverse);
  const float* x = input.data<float>();
  const auto run = [&](size_t index) {
    const int64_t row = static_cast<int64_t>(index);
    const double mean = row_sum(x + row * length, length) / static_cast<double>(length);
    const double variance = row_square_sum(x + row * length, length, mean) / static_cast<double>(length);
    means[row] = static_cast<float>(mean);
    inverses[row] = static_cast<float>(1.0 / std::sqrt(variance + eps));
    finish(row, means[row], inverses[row]);
  };
  constexpr int64_t worth_threads = 1 << 20;
  if (input.numel() < worth_threads)
    for (int64_t i = 0; i < rows; ++i) run(static_cast<size_t>(i));
  else parallel_for(static_cast<size_t>(rows), call.threads(), run);
  return statistics;
}

Tensor dense_rows(const Call& call, const Tensor& input) {
  return input.dtype() == DType::float32 && input.is_contiguous() ? input : own_copy(call, input, DType::float32);
}

Tensor in_type(const Tensor& tensor, DType dtype) { return converted(tensor, dtype); }

// Elements of one row to normalize: the product of `normalized_shape`, which the input's sizes must end in.
int64_t normalized_length(const Call& call, const Tensor& input) {
  const Sizes shape = call.integers("normalized_shape");
  const size_t lead = input.sizes().size() - std::min(input.sizes().size(), shape.size());
  if (shape.empty() || !std::equal(shape.begin(), shape.end(), input.sizes().begin() + static_cast<ptrdiff_t>(lead), input.sizes().end()))
    call.fail(fmt::format("input [{}] does not end in [{}]", fmt::join(input.sizes(), ", "), fmt::join(shape, ", ")));
  return element_count(shape);
}

// Variant 1: native, with mean and inverse deviation.
void layer_norm(Call& call) {
  const Tensor& input = call.tensor("input");
  require_float(call, input);
  const int64_t length = normalized_length(call, input);
  const std::vector<float> weight = parameter(call, "weight", length), bias = parameter(call, "bias", length);
  const Tensor x = dense_rows(call, input), out = call.empty(DType::float32, input.sizes());
  float* to = writable<float>(out);
  const Statistics statistics = normalize_rows(call, x, length, call.floating("eps"), [&](int64_t row, float mean, float inverse) {
    row_affine(x.data<float>() + row * length, mean, inverse, weight.empty() ? nullptr : weight.data(),
               bias.empty() ? nullptr : bias.data(), length, to + row * length);
  });
  call.set(in_type(out, input.dtype()), 0);
  if (call.variant() == 0) return;
  Sizes reduced = input.sizes();
  std::fill_n(reduced.rbegin(), call.integers("normalized_shape").size(), 1);
  if (length == 0) return;
  call.set(statistics.mean.reshaped(reduced), 1);
  call.set(statistics.inverse.reshaped(reduced), 2);
}

// Groups of channels of every sample are normalized together.
Statistics normalize_groups(Call& call, const Tensor& input, int64_t groups, double eps, Tensor& out) {
  call.require(input.rank() >= 2, "the input needs a channel dimension");
  const int64_t batch = input.size(0), channels = input.size(1);
  if (groups <= 0 || channels % groups != 0) call.fail(fmt::format("{} channels in {} groups", channels, groups));
  const std::vector<float> weight = parameter(call, "weight", channels), bias = parameter(call, "bias", channels);
  const int64_t spatial = batch * channels == 0 ? 0 : input.numel() / (batch * channels), per_group = channels / groups;
  const Tensor x = dense_rows(call, input);
  out = call.empty(DType::float32, input.sizes());
  float* to = writable<float>(out);
  return normalize_rows(call, x, per_group * spatial, eps, [&](int64_t row, float mean, float inverse) {
    for (int64_t i = 0; i < per_group; ++i) {
      const size_t channel = static_cast<size_t>(row % groups * per_group + i);
      const int64_t at = (row * per_group + i) * spatial;
      const float scale = weight.empty() ? inverse : inverse * weight[channel];
      const float shift = (bias.empty() ? 0.0f : bias[channel]) - mean * scale;
      for (int64_t p = 0; p < spatial; ++p) to[at + p] = x.data<float>()[at + p] * scale + shift;
    }
  });
}

void group_norm(Call& call) {
  const bool native = call.variant() == 1;
  const Tensor& input = call.tensor("input");
  require_float(call, input);
  Tensor out;
  const int64_t groups = call.integer(native ? "group" : "num_groups");
  const Statistics statistics = normalize_groups(call, input, groups, call.floating("eps"), out);
  call.set(in_type(out, input.dtype()), 0);
  if (!native || input.numel() == 0) return;
  call.set(statistics.mean.reshaped({input.size(0), groups}), 1);
  call.set(statistics.inverse.reshaped({input.size(0), groups}), 2);
}

struct Normalized {
  Tensor result;
  Statistics statistics;
};

// Statistics of the batch itself; with one sample this is what instance norm decomposes to.
Normalized normalized_batch(Call& call) {
  const Tensor& input = call.tensor("input");
  require_float(call, input);
  call.require(call.boolean("training"), "batch norm without statistics must take those of the batch");
  call.require(input.rank() >= 2 && input.numel() > 0, "the input needs a channel dimension and elements");
  Sizes order(static_cast<size_t>(input.rank()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::swap(order[0], order[1]);
  const int64_t channels = input.size(1), length = input.numel() / channels;
  const std::vector<float> weight = parameter(call, "weight", channels), bias = parameter(call, "bias", channels);
  const Tensor x = dense_rows(call, input.permuted(order));
  std::vector<float> scale(static_cast<size_t>(channels)), shift(scale.size());
  Statistics statistics = normalize_rows(call, x, length, call.floating("eps"), [&](int64_t row, float mean, float inverse) {
    const size_t c = static_cast<size_t>(row);
    scale[c] = weight.empty() ? inverse : inverse * weight[c];
    shift[c] = (bias.empty() ? 0.0f : bias[c]) - mean * scale[c];
  });
  return {scaled_by_channel(call, input, scale, shift), std::move(statistics)};
}

void batch_norm_no_stats(Call& call) {
  Normalized normalized = normalized_batch(call);
  call.set(std::move(normalized.result), 0);
  call.set(std::move(normalized.statistics.mean), 1);
  call.set(std::move(normalized.statistics.inverse), 2);
}

void batch_norm(Call& call) {
  if (!call.boolean("training")) return call.set(evaluated_batch_norm(call));
  if (call.has("running_mean")) call.unsupported("batch norm in training mode: export the model in evaluation mode");
  call.set(normalized_batch(call).result);
}

}  // namespace

std::span<const Kernel> normalization_kernels() {
  static const Kernel table[] = {
      {"aten.batch_norm.default", in_float32<batch_norm>},
      {"aten._native_batch_norm_legit_no_training.default", in_float32<native_batch_norm>},
      {"aten._native_batch_norm_legit.default", in_float32<native_batch_norm>},
      {"aten._native_batch_norm_legit.no_stats", in_float32<batch_norm_no_stats>},
      {"aten.layer_norm.default", in_float32<layer_norm>, 0},
      {"aten.native_layer_norm.default", in_float32<layer_norm>, 1},
      {"aten.group_norm.default", in_float32<group_norm>, 0},
      {"aten.native_group_norm.default", in_float32<group_norm>, 1},
  };
  return table;
}

}  // namespace intaglio::interp
