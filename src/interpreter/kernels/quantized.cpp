// quantized_decomposed: quantize, dequantize, choose_qparams, with PyTorch's numerics (quant/affine.h).
#include <fmt/format.h>

#include "base/threads.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"
#include "quant/affine.h"

namespace intaglio::interp {
namespace {

DType dtype_of(Call& call, std::string_view name) {
  const auto dtype = call.optional_dtype(name);
  if (!dtype) call.fail(fmt::format("argument '{}' is missing", name));
  return *dtype;
}

// Numbers, or one-element tensors of the .tensor overloads.
quant::QuantRange range_of(Call& call) { return {call.number("quant_min").as_int(), call.number("quant_max").as_int()}; }
double scale_of(Call& call) {
  const double scale = call.floating("scale");
  call.require(scale > 0, "the scale must be positive");
  return scale;
}

constexpr size_t task = 1 << 19;  // elements a thread takes
template <typename Body>
void in_parts(const Call& call, int64_t count, Body body) {
  const size_t total = static_cast<size_t>(count), tasks = (total + task - 1) / task;
  if (tasks < 2) return body(size_t{0}, total);
  parallel_for(tasks, call.threads(), [&](size_t i) { body(i * task, std::min(task, total - i * task)); });
}

void quantize_per_tensor(Call& call) {
  const Tensor& input = call.tensor("input");
  const DType dtype = dtype_of(call, "dtype");
  const quant::QuantRange range = range_of(call), limits = quant::range_of(dtype);
  call.require(range.min >= limits.min && range.max <= limits.max && range.min <= range.max, "quant_min and quant_max do not fit the type");
  const double scale = scale_of(call);
  const int64_t zero_point = call.integer("zero_point");
  if (input.dtype() != DType::float32 || !input.is_dense())
    return call.set(quant::quantize_per_tensor(input, scale, zero_point, range, dtype));
  const Tensor out = call.empty(dtype, input.sizes(), input.strides());
  const float* from = input.data<float>();
  std::byte* to = writable_bytes(out);
  in_parts(call, input.numel(), [&](size_t first, size_t count) {
    quant::quantize_per_tensor({from + first, count}, scale, zero_point, range, dtype, to + first * item_size(dtype));
  });
  call.set(out);
}

void dequantize_per_tensor(Call& call) {
  const Tensor& input = call.tensor("input");
  const DType target = call.optional_dtype("out_dtype").value_or(DType::float32);
  const double scale = call.floating("scale");
  const int64_t zero_point = call.integer("zero_point");
  quant::range_of(input.dtype());  // refuses types that nothing is quantized to
  if (target != DType::float32 || !input.is_dense()) return call.set(quant::dequantize_per_tensor(input, scale, zero_point, target));
  const Tensor out = call.empty(DType::float32, input.sizes(), input.strides());
  const std::byte* from = static_cast<const std::byte*>(input.raw());
  float* to = writable<float>(out);
  in_parts(call, input.numel(), [&](size_t first, size_t count) {
    quant::dequantize_per_tensor(from + first * item_size(input.dtype()), input.dtype(), scale, zero_point, {to + first, count});
  });
  call.set(out);
}

struct ChannelParameters {
  std::vector<float> scales;
  std::vector<int64_t> zero_points;
};
ChannelParameters channel_parameters(Call& call) {
  const Tensor scales = converted(call.tensor("scales"), DType::float32).contiguous();
  ChannelParameters result;
  result.scales.assign(scales.span<float>().begin(), scales.span<float>().end());
  result.zero_points.assign(result.scales.size(), 0);
  if (const Tensor* given = call.optional_tensor("zero_points")) {
    const Tensor zero_points = converted(*given, DType::int64).contiguous();
    result.zero_points.assign(zero_points.span<int64_t>().begin(), zero_points.span<int64_t>().end());
  }
  return result;
}

void quantize_per_channel(Call& call) {
  const Tensor& input = call.tensor("input");
  const ChannelParameters parameters = channel_parameters(call);
  const int64_t axis = call.dimension("axis", input.rank());
  call.set(quant::quantize_per_channel(input, parameters.scales, parameters.zero_points, axis, range_of(call), dtype_of(call, "dtype")));
}
void dequantize_per_channel(Call& call) {
  const Tensor& input = call.tensor("input");
  const ChannelParameters parameters = channel_parameters(call);
  const int64_t axis = call.dimension("axis", input.rank());
  call.set(quant::dequantize_per_channel(input, parameters.scales, parameters.zero_points, axis,
                                         call.optional_dtype("out_dtype").value_or(DType::float32)));
}

enum : int { kind_affine, kind_symmetric };
void choose_qparams(Call& call) {
  const Tensor& input = call.tensor("input");
  const quant::QuantRange range = range_of(call);
  const double eps = call.floating("eps");
  const DType dtype = dtype_of(call, "dtype");
  const quant::ScaleZeroPoint chosen = call.variant() == kind_affine ? quant::choose_qparams(input, range, eps, dtype)
                                                                     : quant::choose_qparams_symmetric(input, range, eps, dtype);
  call.set(Tensor::scalar(static_cast<double>(chosen.scale)).reshaped({1}), 0);
  call.set(Tensor::scalar(chosen.zero_point).reshaped({1}), 1);
}

void convert_element_type(Call& call) { call.set(converted(call.tensor("input"), dtype_of(call, "dtype"))); }

}  // namespace

std::span<const Kernel> quantized_kernels() {
  static const Kernel table[] = {
      {"quantized_decomposed.quantize_per_tensor.default", quantize_per_tensor},
      {"quantized_decomposed.quantize_per_tensor.tensor", quantize_per_tensor},
      {"quantized_decomposed.quantize_per_tensor.tensor2", quantize_per_tensor},
      {"quantized_decomposed.dequantize_per_tensor.default", dequantize_per_tensor},
      {"quantized_decomposed.dequantize_per_tensor.tensor", dequantize_per_tensor},
      {"quantized_decomposed.dequantize_per_tensor.tensor2", dequantize_per_tensor},
      {"quantized_decomposed.quantize_per_channel.default", quantize_per_channel},
      {"quantized_decomposed.dequantize_per_channel.default", dequantize_per_channel},
      {"quantized_decomposed.choose_qparams.tensor", choose_qparams, kind_affine},
      {"quantized_decomposed.choose_qparams_symmetric.tensor", choose_qparams, kind_symmetric},
      {"quantized_decomposed.convert_element_type.no_fuse", convert_element_type},
  };
  return table;
}

}  // namespace intaglio::interp
