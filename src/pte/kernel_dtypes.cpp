#include "pte/kernel_dtypes.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace intaglio::pte {
namespace {

using Set = uint32_t;
template <typename... Types>
constexpr Set of(Types... types) {
  return ((Set{1} << static_cast<int>(types)) | ...);
}

struct DTypeRow {
  Set types;
  std::initializer_list<std::string_view> arguments;  // "KERNEL" for all operands, "KERNEL:argument" for one
};
constexpr Set floating = of(DType::float16, DType::bfloat16, DType::float32, DType::float64);
constexpr Set integers = of(DType::uint8, DType::int8, DType::int16, DType::int32, DType::int64);
constexpr Set numbers = integers | floating;
constexpr Set arithmetic = numbers | of(DType::boolean);
constexpr Set bits = integers | of(DType::boolean);
constexpr Set complex = of(DType::complex64, DType::complex128);
constexpr Set moved = arithmetic | complex | of(DType::uint16, DType::uint32, DType::uint64);
constexpr Set indices = of(DType::int32, DType::int64);
constexpr Set masks = of(DType::uint8, DType::boolean);

const DTypeRow dtype_rows[] = {
    {arithmetic,
     {"aten::_to_copy.out", "aten::_to_copy.out:out", "aten::acos.out", "aten::acosh.out", "aten::amax.out", "aten::amin.out",
      "aten::any.all_out", "aten::any.dims_out", "aten::any.out", "aten::asin.out", "aten::asinh.out", "aten::atan.out", "aten::atan2.out",
      "aten::atanh.out", "aten::clamp.Tensor_out", "aten::clamp.out", "aten::constant_pad_nd.out"}},
    {arithmetic,
     {"aten::copy.out", "aten::copy_", "aten::cos.out", "aten::cosh.out", "aten::cumsum.out", "aten::cumsum.out:out",
      "aten::div.Scalar_mode_out", "aten::div.Scalar_out", "aten::eq.Scalar_out", "aten::eq.Tensor_out", "aten::erf.out", "aten::exp.out",
      "aten::expm1.out", "aten::fill.Scalar_out", "aten::fill.Tensor_out", "aten::flip.out", "aten::fmod.Scalar_out"}},
    {arithmetic,
     {"aten::full.out:out", "aten::full_like.out", "aten::full_like.out:out", "aten::gather.out", "aten::ge.Scalar_out",
      "aten::ge.Tensor_out", "aten::gt.Scalar_out", "aten::gt.Tensor_out", "aten::index_put.out", "aten::isinf.out", "aten::isnan.out",
      "aten::le.Scalar_out", "aten::le.Tensor_out", "aten::log.out", "aten::log10.out", "aten::log1p.out", "aten::log2.out"}},
    {arithmetic,
     {"aten::logical_and.out", "aten::logical_not.out", "aten::logical_or.out", "aten::logical_xor.out", "aten::lt.Scalar_out",
      "aten::lt.Tensor_out", "aten::masked_fill.Scalar_out", "aten::masked_scatter.out", "aten::masked_select.out", "aten::max.dim_max",
      "aten::max.unary_out", "aten::maximum.out", "aten::min.dim_min", "aten::min.unary_out", "aten::minimum.out", "aten::mul.Scalar_out",
      "aten::ne.Scalar_out"}},
    {arithmetic,
     {"aten::ne.Tensor_out", "aten::nonzero.out", "aten::ones.out:out", "aten::pow.Tensor_Scalar_out", "aten::prod.int_out",
      "aten::prod.int_out:out", "aten::prod.out", "aten::reciprocal.out", "aten::remainder.Scalar_out", "aten::roll.out", "aten::rsqrt.out",
      "aten::scalar_tensor.out:out", "aten::scatter.src_out", "aten::scatter.value_out", "aten::scatter_add.out",
      "aten::select_scatter.out", "aten::sigmoid.out"}},
    {arithmetic,
     {"aten::sign.out", "aten::sin.out", "aten::sinh.out", "aten::slice_scatter.out", "aten::split_copy.Tensor_out",
      "aten::split_with_sizes_copy.out", "aten::sqrt.out", "aten::stack.out", "aten::sum.IntList_out:out", "aten::tan.out",
      "aten::tanh.out", "aten::tril.out", "aten::unbind_copy.int_out", "aten::unfold_copy.out", "aten::where.self_out"}},
    {arithmetic | complex,
     {"aten::add.out", "aten::as_strided_copy.out", "aten::cat.out", "aten::diagonal_copy.out", "aten::div.out", "aten::mul.out",
      "aten::permute_copy.out", "aten::reflection_pad1d.out", "aten::reflection_pad2d.out", "aten::reflection_pad3d.out",
      "aten::replication_pad1d.out", "aten::replication_pad2d.out", "aten::replication_pad3d.out", "aten::sum.IntList_out",
      "aten::t_copy.out", "aten::transpose_copy.int_out", "dim_order_ops::_to_dim_order_copy.out",
      "dim_order_ops::_to_dim_order_copy.out:out"}},
    {numbers,
     {"aten::_upsample_bilinear2d_aa.out", "aten::abs.out", "aten::add.Scalar_out", "aten::addmm.out", "aten::arange.out:out",
      "aten::arange.start_out:out", "aten::argmax.out", "aten::argmin.out", "aten::ceil.out", "aten::convolution.out", "aten::div.out_mode",
      "aten::floor.out", "aten::floor_divide.out", "aten::fmod.Tensor_out", "aten::grid_sampler_2d.out", "aten::hardtanh.out"}},
    {numbers,
     {"aten::linear.out", "aten::max_pool2d_with_indices.out", "aten::mm.out", "aten::neg.out", "aten::pow.Scalar_out",
      "aten::pow.Tensor_Tensor_out", "aten::relu.out", "aten::remainder.Tensor_out", "aten::round.out", "aten::rsub.Scalar_out",
      "aten::sub.Scalar_out", "aten::topk.values", "aten::trunc.out", "aten::upsample_bilinear2d.vec_out",
      "aten::upsample_nearest2d.vec_out"}},
    {numbers | complex, {"aten::bmm.out", "aten::sub.out"}},
    {moved,
     {"aten::alias_copy.out", "aten::clone.out", "aten::detach_copy.out", "aten::embedding.out", "aten::empty.out:out",
      "aten::expand_copy.out", "aten::index.Tensor_out", "aten::index_put_", "aten::index_select.out", "aten::lift_fresh_copy.out",
      "aten::narrow_copy.out", "aten::native_dropout.out"}},
    {moved,
     {"aten::pixel_shuffle.out", "aten::pixel_unshuffle.out", "aten::repeat.out", "aten::select_copy.int_out",
      "aten::slice_copy.Tensor_out", "aten::squeeze_copy.dim_out", "aten::squeeze_copy.dims_out", "aten::unsqueeze_copy.out",
      "aten::view_copy.out", "aten::zeros.out:out", "dim_order_ops::_clone_dim_order.out", "dim_order_ops::_empty_dim_order.out:out"}},
    {floating,
     {"aten::_cdist_forward.out", "aten::_native_batch_norm_legit.no_stats_out", "aten::_native_batch_norm_legit_no_training.out",
      "aten::_pdist_forward.out", "aten::_softmax.out", "aten::elu.out", "aten::gelu.out", "aten::glu.out", "aten::leaky_relu.out",
      "aten::mean.dtype_out"}},
    {floating,
     {"aten::mean.dtype_out:out", "aten::mean.out", "aten::mean.out:out", "aten::native_group_norm.out", "aten::native_layer_norm.out",
      "aten::rand.out:out", "aten::randn.out:out", "aten::var.correction_out", "aten::var.out", "aten::var_mean.correction_out"}},
    {of(DType::float16, DType::bfloat16, DType::float32),
     {"aten::_log_softmax.out", "quantized_decomposed::embedding_2bit.dtype_out:out",
      "quantized_decomposed::embedding_2bit.dtype_out:weight_scales", "quantized_decomposed::embedding_2bit.dtype_out:weight_zero_points",
      "quantized_decomposed::embedding_2bit.out:out", "quantized_decomposed::embedding_2bit.out:weight_scales",
      "quantized_decomposed::embedding_2bit.out:weight_zero_points", "quantized_decomposed::embedding_4bit.dtype_out:out",
      "quantized_decomposed::embedding_4bit.dtype_out:weight_scales", "quantized_decomposed::embedding_4bit.dtype_out:weight_zero_points",
      "quantized_decomposed::embedding_4bit.out:out", "quantized_decomposed::embedding_4bit.out:weight_scales",
      "quantized_decomposed::embedding_4bit.out:weight_zero_points", "quantized_decomposed::embedding_byte.dtype_out:out",
      "quantized_decomposed::embedding_byte.dtype_out:weight_scales", "quantized_decomposed::embedding_byte.dtype_out:weight_zero_points",
      "quantized_decomposed::embedding_byte.out:out", "quantized_decomposed::embedding_byte.out:weight_scales",
      "quantized_decomposed::embedding_byte.out:weight_zero_points"}},
    {bits,
     {"aten::bitwise_and.Scalar_out", "aten::bitwise_and.Tensor_out", "aten::bitwise_left_shift.Tensor_Scalar_out",
      "aten::bitwise_left_shift.Tensor_out", "aten::bitwise_not.out", "aten::bitwise_or.Scalar_out", "aten::bitwise_or.Tensor_out",
      "aten::bitwise_right_shift.Tensor_Scalar_out", "aten::bitwise_right_shift.Tensor_out", "aten::bitwise_xor.Scalar_out",
      "aten::bitwise_xor.Tensor_out"}},
    {of(DType::int64),
     {"aten::argmax.out:out", "aten::gather.out:index", "aten::scatter.src_out:index", "aten::scatter.value_out:index",
      "aten::scatter_add.out:index", "quantized_decomposed::dequantize_per_tensor.Tensor_out:zero_point",
      "quantized_decomposed::embedding_byte.dtype_out:indices", "quantized_decomposed::embedding_byte.out:indices",
      "quantized_decomposed::quantize_per_channel.out:zero_points", "quantized_decomposed::quantize_per_tensor.Tensor_out:zero_point",
      "quantized_decomposed::quantize_per_token.out:zero_points"}},
    {indices,
     {"aten::embedding.out:indices", "aten::index_put_:indices", "aten::index_select.out:index", "aten::repeat_interleave.Tensor_out",
      "quantized_decomposed::dequantize_per_channel.out:zero_points", "quantized_decomposed::dequantize_per_token.out:zero_points",
      "quantized_decomposed::embedding_2bit.dtype_out:indices", "quantized_decomposed::embedding_2bit.out:indices",
      "quantized_decomposed::embedding_4bit.dtype_out:indices", "quantized_decomposed::embedding_4bit.out:indices"}},
    {of(DType::float16, DType::float32, DType::float64),
     {"quantized_decomposed::dequantize_per_channel.out:out", "quantized_decomposed::dequantize_per_tensor.Tensor_out:out",
      "quantized_decomposed::dequantize_per_tensor.out:out", "quantized_decomposed::dequantize_per_token.out:out",
      "quantized_decomposed::quantize_per_channel.out", "quantized_decomposed::quantize_per_tensor.Tensor_out",
      "quantized_decomposed::quantize_per_tensor.out", "quantized_decomposed::quantize_per_token.out"}},
    {of(DType::uint8, DType::int8, DType::int16, DType::int32, DType::uint16),
     {"quantized_decomposed::dequantize_per_channel.out", "quantized_decomposed::dequantize_per_tensor.Tensor_out",
      "quantized_decomposed::dequantize_per_tensor.out", "quantized_decomposed::dequantize_per_token.out",
      "quantized_decomposed::quantize_per_channel.out:out", "quantized_decomposed::quantize_per_tensor.Tensor_out:out",
      "quantized_decomposed::quantize_per_tensor.out:out", "quantized_decomposed::quantize_per_token.out:out"}},
    {of(DType::float64),
     {"quantized_decomposed::choose_qparams.Tensor_out:out", "quantized_decomposed::choose_qparams_per_token_asymmetric.out:out",
      "quantized_decomposed::dequantize_per_tensor.Tensor_out:scale", "quantized_decomposed::quantize_per_channel.out:scales",
      "quantized_decomposed::quantize_per_tensor.Tensor_out:scale", "quantized_decomposed::quantize_per_token.out:scales"}},
    {of(DType::float32),
     {"quantized_decomposed::choose_qparams.Tensor_out", "quantized_decomposed::choose_qparams_per_token_asymmetric.out",
      "quantized_decomposed::mixed_linear.out", "quantized_decomposed::mixed_mm.out"}},
    {of(DType::uint8),
     {"quantized_decomposed::embedding_2bit.dtype_out", "quantized_decomposed::embedding_2bit.out",
      "quantized_decomposed::embedding_4bit.dtype_out", "quantized_decomposed::embedding_4bit.out"}},
    {of(DType::boolean), {"aten::masked_fill.Scalar_out:mask", "aten::masked_scatter.out:mask", "aten::masked_select.out:mask"}},
    {of(DType::int64, DType::float16, DType::bfloat16, DType::float32, DType::float64),
     {"aten::_adaptive_avg_pool2d.out", "aten::avg_pool2d.out"}},
    {masks, {"aten::any.out:out", "aten::where.self_out:condition"}},
    {of(DType::uint8, DType::int32, DType::int64, DType::boolean), {"aten::index.Tensor_out:indices", "aten::index_put.out:indices"}},
    {of(DType::float32, DType::float64),
     {"quantized_decomposed::dequantize_per_channel.out:scales", "quantized_decomposed::dequantize_per_token.out:scales"}},
    {of(DType::uint8, DType::int8), {"quantized_decomposed::embedding_byte.dtype_out", "quantized_decomposed::embedding_byte.out"}},
    {of(DType::int8), {"quantized_decomposed::mixed_linear.out:weight", "quantized_decomposed::mixed_mm.out:weight"}},
    {of(DType::uint8, DType::int8, DType::int16, DType::int32, DType::int64, DType::boolean, DType::float32, DType::float64),
     {"aten::logit.out"}},
    {integers, {"quantized_decomposed::add.out"}},
    {of(DType::float32, DType::float64), {"aten::_fft_r2c.out"}},
    {complex, {"aten::_fft_c2r.out", "aten::view_as_real_copy.out", "aten::_conj_physical.out"}},
};

// Types that older releases refuse, though they have the kernel (tests/records/runtime_versions.json).
struct NewerRow {
  RuntimeVersion since;
  Set types;
  std::initializer_list<std::string_view> arguments;
};
const NewerRow newer_rows[] = {
    {RuntimeVersion::v1_1, of(DType::uint16, DType::uint32, DType::uint64), {"dim_order_ops::_clone_dim_order.out"}},
    {RuntimeVersion::v1_1,
     of(DType::int32),
     {"quantized_decomposed::embedding_2bit.dtype_out:indices", "quantized_decomposed::embedding_2bit.out:indices",
      "quantized_decomposed::embedding_4bit.dtype_out:indices", "quantized_decomposed::embedding_4bit.out:indices"}},
    {RuntimeVersion::v1_3, arithmetic, {"aten::fill.Tensor_out"}},
    {RuntimeVersion::v1_4, of(DType::float16, DType::bfloat16), {"aten::_log_softmax.out"}},
    {RuntimeVersion::v1_4,
     of(DType::bfloat16),
     {"quantized_decomposed::embedding_2bit.dtype_out:out", "quantized_decomposed::embedding_2bit.dtype_out:weight_scales",
      "quantized_decomposed::embedding_2bit.out:out", "quantized_decomposed::embedding_2bit.out:weight_scales",
      "quantized_decomposed::embedding_4bit.dtype_out:out", "quantized_decomposed::embedding_4bit.dtype_out:weight_scales",
      "quantized_decomposed::embedding_4bit.out:out", "quantized_decomposed::embedding_4bit.out:weight_scales",
      "quantized_decomposed::embedding_byte.dtype_out:out", "quantized_decomposed::embedding_byte.dtype_out:weight_scales",
      "quantized_decomposed::embedding_byte.out:out", "quantized_decomposed::embedding_byte.out:weight_scales"}},
    {RuntimeVersion::v1_5,
     of(DType::int32),
     {"quantized_decomposed::dequantize_per_channel.out:zero_points", "quantized_decomposed::dequantize_per_token.out:zero_points"}},
};

const std::unordered_map<std::string_view, Set>& table() {
  static const std::unordered_map<std::string_view, Set> rows = [] {
    std::unordered_map<std::string_view, Set> map;
    for (const DTypeRow& row : dtype_rows)
      for (const std::string_view argument : row.arguments) map.emplace(argument, row.types);
    return map;
  }();
  return rows;
}

}  // namespace

bool has_measured_dtypes(const RuntimeKernel& kernel) {
  return table().contains(kernel.key) || table().contains(fmt::format("{}:{}", kernel.key, result_argument));
}

std::string refused_dtype(const RuntimeKernel& kernel, std::string_view argument, DType dtype) {
  auto row = table().find(fmt::format("{}:{}", kernel.key, argument));
  if (row == table().end() && argument != result_argument) row = table().find(kernel.key);
  if (row == table().end() || (row->second & of(dtype)) != 0) return {};
  std::vector<std::string_view> taken;
  for (int type = 0; type < 32; ++type)
    if ((row->second >> type) & 1) taken.push_back(name(static_cast<DType>(type)));
  return fmt::format("{}", fmt::join(taken, ", "));
}

RuntimeVersion taken_since(const RuntimeKernel& kernel, std::string_view argument, DType dtype) {
  const std::string named = fmt::format("{}:{}", kernel.key, argument);
  RuntimeVersion since = kernel.since;
  for (const NewerRow& row : newer_rows)
    for (const std::string_view newer : row.arguments)
      if ((newer == named || (newer == kernel.key && argument != result_argument)) && (row.types & of(dtype)) != 0)
        since = std::max(since, row.since);
  return since;
}

}  // namespace intaglio::pte
