#include "backends/coreml/op_table.h"

#include <vector>

#include "backends/coreml/constraints.h"
#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml {
namespace {

namespace c = constraints;
namespace r = rows;
using enum Types;
constexpr Types numbers = floats | integers;
constexpr Types plain = numbers | booleans;
constexpr Version first = Version::ios15;
constexpr bool kept = true, moves = true;

// ops, function, operation, types, constraints, version, kept, moves
const std::vector<OpRow>& table() {
  static const std::vector<OpRow> rows = {
      {"relu", r::unary, "relu"},
      {"relu6", r::unary, "relu6", floats, {}, first, kept},
      {"sigmoid", r::unary, "sigmoid", numbers},
      {"tanh", r::unary, "tanh", numbers},
      {"silu", r::unary, "silu", floats, {}, first, kept},
      {"softplus", r::unary, "softplus", floats, c::softplus, first, kept},
      {"exp", r::unary, "exp", numbers},
      {"erf", r::unary, "erf"},
      {"abs", r::unary, "abs", numbers},
      {"sign", r::unary, "sign", numbers},
      {"sqrt", r::unary, "sqrt", numbers},
      {"sin", r::unary, "sin", numbers},
      {"cos", r::unary, "cos", numbers},
      {"tan", r::unary, "tan"},
      {"asin", r::unary, "asin"},
      {"acos", r::unary, "acos"},
      {"atan", r::unary, "atan"},
      {"sinh", r::unary, "sinh"},
      {"cosh", r::unary, "cosh"},
      {"ceil", r::unary, "ceil"},
      {"floor", r::unary, "floor"},
      {"round", r::unary, "round"},
      {"rsqrt", r::with_epsilon, "rsqrt", numbers},
      {"log", r::with_epsilon, "log", numbers},
      {"reciprocal", r::reciprocal, "real_div", numbers},
      {"neg", r::negate, "mul", numbers},
      {"gelu", r::gelu, "gelu"},
      {"hardsigmoid", r::hard_sigmoid, "sigmoid_hard", floats, {}, first, kept},
      {"hardswish", r::hard_swish, "sigmoid_hard", floats, {}, first, kept},
      {"mish", r::mish, "softplus", floats, {}, first, kept},
      {"leaky_relu", r::with_parameter, "leaky_relu"},
      {"elu", r::with_parameter, "elu", floats, c::elu},
      {"prelu", r::channel_slopes, "prelu", floats, c::channel_slopes, first, kept},
      {"hardtanh clamp", r::clamp, "clip", numbers},

      {"add.Tensor add.Scalar", r::binary, "add", numbers},
      {"sub.Tensor sub.Scalar", r::binary, "sub", numbers},
      {"mul.Tensor mul.Scalar", r::binary, "mul", numbers},
      {"div.Tensor div.Scalar", r::binary, "real_div", numbers},
      {"div.Tensor_mode", r::rounded_quotient, "floor_div", numbers, c::rounded_quotient},
      {"floor_divide", r::rounded_quotient, "floor_div", numbers},
      {"remainder.Tensor remainder.Scalar", r::rounded_quotient, "mod", numbers},
      {"maximum", r::binary, "maximum", numbers},
      {"minimum", r::binary, "minimum", numbers},
      {"pow.Tensor_Tensor pow.Tensor_Scalar pow.Scalar", r::binary, "pow", numbers},
      {"eq.Tensor eq.Scalar", r::comparison, "equal", plain},
      {"ne.Tensor ne.Scalar", r::comparison, "not_equal", plain},
      {"lt.Tensor lt.Scalar", r::comparison, "less", plain},
      {"le.Tensor le.Scalar", r::comparison, "less_equal", plain},
      {"gt.Tensor gt.Scalar", r::comparison, "greater", plain},
      {"ge.Tensor ge.Scalar", r::comparison, "greater_equal", plain},
      {"logical_and bitwise_and.Tensor", r::logical, "logical_and", booleans},
      {"logical_or bitwise_or.Tensor", r::logical, "logical_or", booleans},
      {"logical_xor bitwise_xor.Tensor", r::logical, "logical_xor", booleans},
      {"logical_not bitwise_not", r::logical_not, "logical_not", booleans},
      {"where.self", r::choice, "select", plain, c::choice},
      {"dim_order_ops._to_dim_order_copy.default", r::cast, "cast", plain},

      {"convolution", r::convolution, "conv", floats, c::convolution},
      {"linear", r::linear, "linear", floats, c::linear, first, kept},
      {"mm bmm", r::product, "matmul", numbers},
      {"matmul", r::product, "matmul", numbers, c::matmul, first, kept},
      {"addmm", r::addmm, "matmul", floats, c::addmm},
      {"scaled_dot_product_attention", r::attention, "scaled_dot_product_attention", floats | booleans, c::attention, Version::ios18, kept},
      {"max_pool2d max_pool2d_with_indices", r::max_pool, "max_pool", numbers, c::max_pooling, first, kept},
      {"avg_pool2d", r::avg_pool, "avg_pool", floats, c::pooling},

      {"mean.dim", r::reduction, "reduce_mean", floats},
      {"sum.dim_IntList", r::reduction, "reduce_sum", numbers},
      {"amax", r::reduction, "reduce_max", numbers},
      {"amin", r::reduction, "reduce_min", numbers},
      {"argmax", r::arg_reduction, "reduce_argmax", numbers, c::arg_reduction},
      {"argmin", r::arg_reduction, "reduce_argmin", numbers, c::arg_reduction},
      {"cumsum", r::running, "cumsum", numbers, c::one_dim},
      {"topk", r::top, "topk", numbers, c::top},
      {"_softmax", r::softmax, "softmax", floats, c::one_dim},
      {"_log_softmax", r::log_softmax, "softmax", floats, c::one_dim},
      {"native_layer_norm layer_norm", r::layer_norm, "layer_norm", floats, c::normalization},
      {"_native_batch_norm_legit_no_training", r::batch_norm, "batch_norm", floats, c::batch_norm},
      {"_native_batch_norm_legit.no_stats", r::instance_norm, "instance_norm", floats, c::instance_norm},
      {"native_group_norm", r::group_norm, "layer_norm", floats, c::group_norm},

      {"clone alias_copy dim_order_ops._clone_dim_order.default", r::same, "", plain, {}, first, !kept, moves},
      {"view_copy", r::reshape, "reshape", plain, c::reshape, first, !kept, moves},
      {"permute_copy t_copy", r::permute, "transpose", plain, {}, first, !kept, moves},
      {"transpose_copy.int", r::swap, "transpose", plain, {}, first, !kept, moves},
      {"unsqueeze_copy", r::expand_dims, "expand_dims", plain, {}, first, !kept, moves},
      {"squeeze_copy.dims", r::squeeze, "squeeze", plain, {}, first, !kept, moves},
      {"expand_copy", r::expand, "tile", plain, c::expand, first, !kept, moves},
      {"repeat", r::repeat, "tile", plain, c::expand, first, !kept, moves},
      {"slice_copy.Tensor", r::slice, "slice_by_index", plain, c::slice, first, !kept, moves},
      {"select.int select_copy.int", r::select, "slice_by_index", plain, {}, first, kept, moves},
      {"split.Tensor split_copy.Tensor split_with_sizes split_with_sizes_copy", r::split, "split", plain, c::split, first, kept, moves},
      {"unbind.int unbind_copy.int", r::unbind, "split", plain, c::split, first, kept, moves},
      {"stack", r::concat, "stack", plain, {}, first, kept, moves},
      {"cat", r::concat, "concat", plain, {}, first, !kept, moves},
      {"constant_pad_nd", r::pad, "constant", floats, c::pad},
      {"reflection_pad1d reflection_pad2d", r::pad, "reflect", floats, c::mirrored_pad},
      {"replication_pad1d replication_pad2d", r::pad, "replicate", floats, c::mirrored_pad},
      {"flip", r::reverse, "reverse", plain, {}, first, !kept, moves},
      {"pixel_shuffle", r::shuffle, "pixel_shuffle", floats, {}, first, kept},
      {"pixel_unshuffle", r::shuffle, "pixel_unshuffle", floats, {}, Version::ios16, kept},
      {"upsample_nearest2d.vec", r::resize, "upsample_nearest_neighbor", floats, c::resize_nearest, first, kept},
      {"upsample_bilinear2d.vec", r::resize, "upsample_bilinear", floats, c::resize_bilinear, first, kept},

      {"embedding", r::embedding, "gather", numbers},
      {"index_select", r::take_rows, "gather", numbers},
      {"gather", r::take_along, "gather_along_axis", numbers},
      {"index.Tensor", r::index, "gather", numbers, c::index},
      {"index_put", r::put, "scatter", numbers, c::put},
      {"slice_scatter", r::write_slice, "slice_update", plain, c::write_slice, Version::ios18},

      {"quantized_decomposed.quantize_per_tensor.default quantized_decomposed.quantize_per_tensor.tensor "
       "quantized_decomposed.quantize_per_channel.default",
       r::quantize, "quantize", unasked, c::quantized},
      {"torchao.choose_qparams_affine.default quantized_decomposed.choose_qparams.tensor "
       "quantized_decomposed.choose_qparams_symmetric.tensor quantized_decomposed.choose_qparams_per_token_asymmetric.default "
       "quantized_decomposed.choose_qparams_per_token.default",
       r::choose, "", unasked, c::quantized, first, kept},
      {"torchao.quantize_affine.default quantized_decomposed.quantize_per_token.default", r::quantize, "", unasked, c::quantized, first,
       kept},
      {"quantized_decomposed.dequantize_per_tensor.default quantized_decomposed.dequantize_per_tensor.tensor "
       "quantized_decomposed.dequantize_per_channel.default",
       r::dequantize, "dequantize", unasked, c::quantized},
      {"torchao.dequantize_affine.default quantized_decomposed.dequantize_per_token.default "
       "quantized_decomposed.dequantize_per_channel_group.default quant.dequantize_codebook.default",
       r::dequantize, "", unasked, c::quantized, first, kept},
  };
  return rows;
}

}  // namespace

const OpRow* find_row(std::string_view op) {
  static const common::RowsByOp<OpRow> by_op(table());
  return by_op.find(op);
}

}  // namespace intaglio::coreml
