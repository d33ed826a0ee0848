// Quantize, dequantize, choose_qparams: quantized_decomposed and torchao, with their numerics (quant/affine.h, quant/blocks.h).
#include <array>

#include <fmt/format.h>

#include "base/threads.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"
#include "quant/affine.h"
#include "quant/blocks.h"

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

// The floats that the integers stand for; these are kept for some elements at a time.
Tensor rounded(Call& call, const Tensor& input, DType dtype, quant::QuantRange range, double scale, int64_t zero_point) {
  if (input.dtype() != DType::float32 || !input.is_dense())
    return quant::dequantize_per_tensor(quant::quantize_per_tensor(input, scale, zero_point, range, dtype), scale, zero_point);
  const Tensor out = call.empty(DType::float32, input.sizes(), input.strides());
  const float* from = input.data<float>();
  float* to = writable<float>(out);
  in_parts(call, input.numel(), [&](size_t first, size_t count) {
    constexpr size_t most = 4096;
    std::array<std::byte, most * sizeof(int32_t)> integers;
    for (size_t at = first; at < first + count; at += most) {
      const size_t some = std::min(most, first + count - at);
      quant::quantize_per_tensor({from + at, some}, scale, zero_point, range, dtype, integers.data());
      quant::dequantize_per_tensor(integers.data(), dtype, scale, zero_point, {to + at, some});
    }
  });
  return out;
}

void quantize_per_tensor(Call& call) {
  const Tensor& input = call.tensor("input");
  const DType dtype = dtype_of(call, "dtype");
  const quant::QuantRange range = range_of(call), limits = quant::range_of(dtype);
  call.require(range.min >= limits.min && range.max <= limits.max && range.min <= range.max, "quant_min and quant_max do not fit the type");
  const double scale = scale_of(call);
  const int64_t zero_point = call.integer("zero_point");
  if (call.epilogue() != nullptr) return call.set(rounded(call, input, dtype, range, scale, zero_point));
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

// ---- blocks: torchao's affine ops; rows and groups of rows of quantized_decomposed

// None: what the type holds.
quant::QuantRange block_range(Call& call, DType dtype) {
  const quant::QuantRange whole = quant::range_of(dtype);
  const auto lowest = call.optional_number("quant_min"), highest = call.optional_number("quant_max");
  const quant::QuantRange range{lowest ? lowest->as_int() : whole.min, highest ? highest->as_int() : whole.max};
  call.require(range.min >= whole.min && range.max <= whole.max && range.min <= range.max, "quant_min and quant_max do not fit the type");
  return range;
}

MappingType mapping_type(Call& call) {
  const std::string given = call.string("mapping_type");
  if (given == "SYMMETRIC") return MappingType::symmetric;
  if (given == "SYMMETRIC_NO_CLIPPING_ERR") return MappingType::symmetric_no_clipping_err;
  if (given == "ASYMMETRIC") return MappingType::asymmetric;
  call.unsupported(fmt::format("the mapping type '{}'", given));
}

void choose_qparams_affine(Call& call) {
  const DType target = dtype_of(call, "target_dtype");
  const Tensor& input = call.tensor("input");
  quant::ChooseOptions options{.block_size = call.integers("block_size"),
                               .mapping = mapping_type(call),
                               .range = block_range(call, target),
                               .scale_dtype = call.optional_dtype("scale_dtype").value_or(input.dtype()),
                               .zero_point_dtype = call.optional_dtype("zero_point_dtype").value_or(DType::int32),
                               .keepdim = call.boolean("keepdim")};
  if (const auto eps = call.optional_number("eps")) options.eps = eps->as_double();
  quant::ScalesAndZeroPoints chosen = quant::choose_qparams_in_blocks(input, options, call.threads());
  call.set(std::move(chosen.scale), 0);
  call.set(std::move(chosen.zero_point), 1);
}

enum : int { kind_asymmetric, kind_by_magnitude };
void choose_qparams_per_token(Call& call) {
  if (dtype_of(call, "dtype") != DType::int8) call.unsupported("a type other than int8");
  quant::ScalesAndZeroPoints chosen = quant::choose_qparams_per_token(call.tensor("input"), call.variant() == kind_asymmetric);
  call.set(std::move(chosen.scale), 0);
  call.set(std::move(chosen.zero_point), 1);
}

// What a scale serves, by the kind of op.
enum : int { kind_block, kind_token, kind_group };
std::vector<int64_t> blocks_of(Call& call, const Tensor& input) {
  if (call.variant() == kind_block) return call.integers("block_size");
  call.require(input.rank() > 0, "a scalar has no rows");
  std::vector<int64_t> block(static_cast<size_t>(input.rank()), 1);
  block.back() = call.variant() == kind_token ? whole_dimension : call.integer("group_size");
  return block;
}

quant::BlockParams block_params(Call& call, DType dtype) {
  const bool plural = call.variant() != kind_block;
  quant::BlockParams params{blocks_of(call, call.tensor("input")), call.tensor(plural ? "scales" : "scale"), {}, block_range(call, dtype)};
  if (const Tensor* zero_point = call.optional_tensor(plural ? "zero_points" : "zero_point")) params.zero_point = *zero_point;
  return params;
}
quant::BlockOrder order_of(Call& call) { return call.variant() == kind_block ? quant::BlockOrder::torchao : quant::BlockOrder::decomposed; }

void quantize_in_blocks(Call& call) {
  const DType dtype = dtype_of(call, call.variant() == kind_block ? "output_dtype" : "dtype");
  call.set(quant::quantize_in_blocks(call.tensor("input"), block_params(call, dtype), dtype, order_of(call), call.threads()));
}
void dequantize_in_blocks(Call& call) {
  const DType target = call.optional_dtype("output_dtype").value_or(DType::float32);
  const Tensor& input = call.tensor("input");
  call.set(quant::dequantize_in_blocks(input, block_params(call, input.dtype()), target, order_of(call), call.threads()));
}

void dequantize_codebook(Call& call) {
  const Tensor& book = call.tensor("codebook");
  if (book.rank() == 0 || book.sizes().back() != 1) call.unsupported("a code book of vectors");
  call.set(quant::dequantize_code_book(call.tensor("codes"), book, call.integer("nbits"), call.integers("block_size"),
                                       call.optional_dtype("output_dtype").value_or(DType::float32)));
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
      {"quantized_decomposed.choose_qparams_per_token_asymmetric.default", choose_qparams_per_token, kind_asymmetric},
      {"quantized_decomposed.choose_qparams_per_token.default", choose_qparams_per_token, kind_by_magnitude},
      {"quantized_decomposed.quantize_per_token.default", quantize_in_blocks, kind_token},
      {"quantized_decomposed.dequantize_per_token.default", dequantize_in_blocks, kind_token},
      {"quantized_decomposed.quantize_per_channel_group.default", quantize_in_blocks, kind_group},
      {"quantized_decomposed.dequantize_per_channel_group.default", dequantize_in_blocks, kind_group},
      {"quantized_decomposed.convert_element_type.no_fuse", convert_element_type},
      {"torchao.choose_qparams_affine.default", choose_qparams_affine},
      {"torchao.quantize_affine.default", quantize_in_blocks, kind_block},
      {"torchao.dequantize_affine.default", dequantize_in_blocks, kind_block},
      {"quant.dequantize_codebook.default", dequantize_codebook},
  };
  return table;
}

}  // namespace intaglio::interp
