// One call of every kernel that a lowered program can hold, for tests of what types kernels take.
#pragma once

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <intaglio/graph.h>

#include "base/complex_types.h"

namespace intaglio::test {

using Ints = std::vector<int64_t>;
const Argument none;

// Types of the results, where they differ from the inputs'.
enum class Result { same, floating, boolean, int64, int8, same_and_int64, same_and_bool, with_number, product, complex, real };

struct KernelCase {
  std::string op;
  std::vector<std::pair<const char*, Sizes>> inputs;  // operands of one type
  std::vector<NamedArgument> others;
  std::vector<Sizes> outputs;
  Result result = Result::same;
  std::vector<std::tuple<const char*, DType, Sizes>> fixed = {};  // operands with types of their own: indices, masks
  const char* list = nullptr;                                     // the argument that takes all inputs as one list
  const char* index_list = nullptr;                               // the same for the fixed operands
  std::vector<DType> output_types = {};                           // where `result` does not say them
  DType base = DType::float32;                                    // the inputs' type while that of another operand varies
  bool any_result = false;                                        // the first result's type does not follow from the inputs'
  const char* names_input = nullptr;                              // arguments that repeat the types
  const char* names_result = nullptr;
  bool list_result = false;
};

inline DType result_type(Result result, DType input, size_t output) {
  switch (result) {
    case Result::floating: return is_floating(input) || is_complex(input) ? input : DType::float32;
    case Result::boolean: return DType::boolean;
    case Result::int64: return DType::int64;
    case Result::int8: return DType::int8;
    case Result::with_number:  // PyTorch promotes a bool beside an integer
      return input == DType::boolean ? DType::int64 : input;
    case Result::product: return is_floating(input) ? input : DType::int64;
    case Result::complex: return is_complex(complex_type_of(input)) ? complex_type_of(input) : DType::complex64;
    case Result::real: return real_type_of(input);
    case Result::same_and_int64: return output == 1 ? DType::int64 : input;
    case Result::same_and_bool: return output == 1 ? DType::boolean : input;
    default: return input;
  }
}

// Kernels that take a number where others take a tensor, and the other overloads of what `cases` has.
inline void add_scalar_forms(std::vector<KernelCase>& all) {
  const auto with = [&](Result result, std::initializer_list<const char*> names, std::vector<NamedArgument> others) {
    for (const char* name : names) all.push_back({fmt::format("aten.{}", name), {{"self", {4}}}, others, {{4}}, result});
  };
  with(Result::with_number,
       {"add.Scalar", "sub.Scalar", "mul.Scalar", "rsub.Scalar", "fmod.Scalar", "remainder.Scalar", "bitwise_and.Scalar",
        "bitwise_or.Scalar", "bitwise_xor.Scalar", "bitwise_left_shift.Tensor_Scalar", "bitwise_right_shift.Tensor_Scalar"},
       {{"other", 1}});
  with(Result::boolean, {"eq.Scalar", "ne.Scalar", "ge.Scalar", "le.Scalar", "lt.Scalar"}, {{"other", 1}});
  with(Result::with_number, {"pow.Tensor_Scalar"}, {{"exponent", 2}});
  with(Result::with_number, {"clamp.default"}, {{"min", 0}, {"max", 1}});
  with(Result::with_number, {"div.Scalar_mode"}, {{"other", 2}, {"rounding_mode", "floor"}});
  with(Result::same, {"glu.default"}, {{"dim", 0}});
  all.back().outputs = {{2}};
  with(Result::floating, {"logit.default"}, {{"eps", 0.1}});
  const auto binary = [&](Result result, std::initializer_list<const char*> names, std::vector<NamedArgument> others = {}) {
    for (const char* name : names) all.push_back({fmt::format("aten.{}", name), {{"self", {4}}, {"other", {4}}}, others, {{4}}, result});
  };
  binary(Result::same, {"fmod.Tensor", "remainder.Tensor", "floor_divide.default", "bitwise_right_shift.Tensor"});
  binary(Result::same, {"div.Tensor_mode"}, {{"rounding_mode", "trunc"}});
  binary(Result::boolean, {"ne.Tensor", "ge.Tensor", "le.Tensor", "gt.Tensor"});
  all.push_back({"aten.pow.Tensor_Tensor", {{"self", {4}}, {"exponent", {4}}}, {}, {{4}}});
  all.push_back({"aten.pow.Scalar", {{"exponent", {4}}}, {{"self", 2}}, {{4}}});
  all.push_back({"aten.clamp.Tensor", {{"self", {4}}, {"min", {4}}}, {{"max", none}}, {{4}}});
}

inline void add_more_reductions(std::vector<KernelCase>& all) {
  const std::vector<std::pair<const char*, Sizes>> rows = {{"self", {2, 4}}};
  all.push_back({"aten.amin.default", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.argmin.default", rows, {{"dim", 1}}, {{2}}, Result::int64});
  all.push_back({"aten.any.default", rows, {}, {{}}, Result::boolean});
  all.push_back({"aten.any.dims", rows, {{"dim", Ints{0, 1}}}, {{}}, Result::boolean});
  all.push_back({"aten.max.default", rows, {}, {{}}});
  all.push_back({"aten.min.default", rows, {}, {{}}});
  all.push_back({"aten.min.dim", rows, {{"dim", 1}}, {{2}, {2}}, Result::same_and_int64});
  all.push_back({"aten.mean.default", rows, {}, {{}}});
  all.push_back({"aten.prod.default", rows, {}, {{}}, Result::product});
  all.push_back({"aten.var.dim", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.tril.default", rows, {{"diagonal", 0}}, {{2, 4}}});
}

inline void add_complex(std::vector<KernelCase>& all) {
  all.push_back({"aten._fft_r2c.default",
                 {{"self", {2, 4}}},
                 {{"dim", Ints{1}}, {"normalization", 0}, {"onesided", true}},
                 {{2, 3}},
                 Result::complex});
  all.push_back({"aten._fft_c2r.default",
                 {{"self", {2, 3}}},
                 {{"dim", Ints{1}}, {"normalization", 0}, {"last_dim_size", 4}},
                 {{2, 4}},
                 Result::real});
  all.push_back({"aten.view_as_real_copy.default", {{"self", {2, 4}}}, {}, {{2, 4, 2}}, Result::real});
  all.push_back({"aten._conj_physical.default", {{"self", {2, 4}}}, {}, {{2, 4}}});
}

// Kernels that move elements: most take anything, which is measured too.
inline void add_moves(std::vector<KernelCase>& all) {
  const std::vector<std::pair<const char*, Sizes>> rows = {{"self", {2, 4}}};
  const auto move = [&](const char* name, std::vector<NamedArgument> others, Sizes result) {
    all.push_back({fmt::format("aten.{}", name), rows, std::move(others), {std::move(result)}});
  };
  move("slice_copy.Tensor", {{"dim", 1}, {"start", 0}, {"end", 2}}, {2, 2});
  move("select_copy.int", {{"dim", 1}, {"index", 0}}, {2});
  move("expand_copy.default", {{"size", Ints{3, 2, 4}}}, {3, 2, 4});
  move("repeat.default", {{"repeats", Ints{2, 1}}}, {4, 4});
  move("unsqueeze_copy.default", {{"dim", 0}}, {1, 2, 4});
  move("view_copy.default", {{"size", Ints{8}}}, {8});
  move("t_copy.default", {}, {4, 2});
  move("transpose_copy.int", {{"dim0", 0}, {"dim1", 1}}, {4, 2});
  move("clone.default", {}, {2, 4});
  move("unfold_copy.default", {{"dimension", 1}, {"size", 2}, {"step", 2}}, {2, 2, 2});
  all.push_back({"aten.squeeze_copy.dims", {{"self", {1, 4}}}, {{"dim", Ints{0}}}, {{4}}});
  all.push_back({"aten.reflection_pad1d.default", rows, {{"padding", Ints{1, 1}}}, {{2, 6}}});
  all.push_back({"aten.replication_pad1d.default", rows, {{"padding", Ints{1, 1}}}, {{2, 6}}});
  all.push_back({"aten.pixel_shuffle.default", {{"self", {1, 4, 2, 2}}}, {{"upscale_factor", 2}}, {{1, 1, 4, 4}}});
  all.push_back({"aten.select_scatter.default", {{"self", {2, 4}}, {"src", {2}}}, {{"dim", 1}, {"index", 0}}, {{2, 4}}});
  all.push_back({"aten.slice_scatter.default", {{"self", {2, 4}}, {"src", {2, 2}}}, {{"dim", 1}, {"start", 0}, {"end", 2}}, {{2, 4}}});

  const auto chosen = [&](const char* name, std::vector<std::pair<const char*, Sizes>> inputs, std::vector<NamedArgument> others,
                          Sizes result, std::vector<std::tuple<const char*, DType, Sizes>> fixed) {
    all.push_back(
        {fmt::format("aten.{}", name), std::move(inputs), std::move(others), {std::move(result)}, Result::same, std::move(fixed)});
  };
  chosen("where.self", {{"self", {4}}, {"other", {4}}}, {}, {4}, {{"condition", DType::boolean, {4}}});
  chosen("masked_fill.Scalar", {{"self", {4}}}, {{"value", 1}}, {4}, {{"mask", DType::boolean, {4}}});
  chosen("gather.default", rows, {{"dim", 1}}, {2, 1}, {{"index", DType::int64, {2, 1}}});
  chosen("index_select.default", rows, {{"dim", 1}}, {2, 3}, {{"index", DType::int64, {3}}});
  chosen("embedding.default", {{"weight", {3, 4}}}, {}, {2, 4}, {{"indices", DType::int64, {2}}});
  chosen("scatter.src", {{"self", {2, 4}}, {"src", {2, 1}}}, {{"dim", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("scatter.value", rows, {{"dim", 1}, {"value", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("scatter_add.default", {{"self", {2, 4}}, {"src", {2, 1}}}, {{"dim", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("index.Tensor", rows, {}, {2, 4}, {{"indices", DType::int64, {2}}});  // as long as a mask of the rows would be
  all.back().index_list = "indices";
  chosen("index_put.default", {{"self", {2, 4}}, {"values", {2, 4}}}, {}, {2, 4}, {{"indices", DType::int64, {2}}});
  all.back().index_list = "indices";
  for (const char* name : {"aten.cat.default", "aten.stack.default"}) {
    const Sizes result = std::string_view(name) == "aten.cat.default" ? Sizes{4, 4} : Sizes{2, 2, 4};
    all.push_back({name, {{"a", {2, 4}}, {"b", {2, 4}}}, {{"dim", 0}}, {result}, Result::same, {}, "tensors"});
  }
}

// What makes tensors from numbers, and what is told its result's type.
inline void add_creations(std::vector<KernelCase>& all) {
  const auto create = [&](const char* name, std::vector<NamedArgument> others, Sizes sizes = {4}) {
    all.push_back({.op = name, .inputs = {}, .others = std::move(others), .outputs = {std::move(sizes)}, .any_result = true});
  };
  create("aten.arange.default", {{"end", 4}});
  create("aten.arange.start_step", {{"start", 0}, {"end", 4}, {"step", 1}});
  create("aten.full.default", {{"size", Ints{4}}, {"fill_value", 1}});
  create("aten.scalar_tensor.default", {{"s", 1}}, {});
  for (const char* name : {"aten.empty.memory_format", "aten.ones.default", "aten.zeros.default", "aten.rand.default", "aten.randn.default",
                           "dim_order_ops._empty_dim_order.default"})
    create(name, {{"size", Ints{4}}});
  for (const char* name : {"aten._to_copy.default", "dim_order_ops._to_dim_order_copy.default"})
    all.push_back({.op = name, .inputs = {{"self", {4}}}, .others = {}, .outputs = {{4}}, .any_result = true});
  for (KernelCase& c : all)
    if (c.op == "aten.full_like.default" || c.op == "aten.cumsum.default" || c.op.starts_with("aten.sum.") ||
        c.op.starts_with("aten.mean.") || c.op == "aten.prod.dim_int" || c.op == "aten.argmax.default" || c.op == "aten.any.dim")
      c.any_result = true;
}

inline void add_more_moves(std::vector<KernelCase>& all) {
  const std::vector<std::pair<const char*, Sizes>> rows = {{"self", {2, 4}}};
  const auto move = [&](const char* name, std::vector<NamedArgument> others, Sizes result) {
    all.push_back({fmt::format("aten.{}", name), rows, std::move(others), {std::move(result)}});
  };
  move("alias_copy.default", {}, {2, 4});
  move("detach_copy.default", {}, {2, 4});
  move("lift_fresh_copy.default", {}, {2, 4});
  move("as_strided_copy.default", {{"size", Ints{2, 2}}, {"stride", Ints{4, 1}}}, {2, 2});
  move("diagonal_copy.default", {}, {2});
  move("narrow_copy.default", {{"dim", 1}, {"start", 1}, {"length", 2}}, {2, 2});
  move("fill.Scalar", {{"value", 1}}, {2, 4});
  move("nonzero.default", {}, {8, 2});
  all.back().result = Result::int64;
  for (const auto& [name, argument, value] : {std::tuple{"split_copy.Tensor", "split_size", Argument(2)},
                                              std::tuple{"split_with_sizes_copy.default", "split_sizes", Argument(Ints{2, 2})}}) {
    move(name, {{argument, value}, {"dim", 1}}, {2, 2});
    all.back().outputs.push_back({2, 2});
    all.back().list_result = true;
  }
  move("unbind_copy.int", {{"dim", 0}}, {4});
  all.back().outputs.push_back({4});
  all.back().list_result = true;
  all.push_back({"aten.squeeze_copy.dim", {{"self", {1, 4}}}, {{"dim", 0}}, {{4}}});
  all.push_back({"aten.pixel_unshuffle.default", {{"self", {1, 1, 4, 4}}}, {{"downscale_factor", 2}}, {{1, 4, 2, 2}}});
  for (const char* name : {"aten.reflection_pad3d.default", "aten.replication_pad3d.default"})
    all.push_back({name, {{"self", {1, 1, 2, 2, 2}}}, {{"padding", Ints{1, 1, 1, 1, 1, 1}}}, {{1, 1, 4, 4, 4}}});
  all.push_back({"dim_order_ops._clone_dim_order.default", {{"self", {4}}}, {}, {{4}}});

  const auto chosen = [&](const char* name, std::vector<std::pair<const char*, Sizes>> inputs, std::vector<NamedArgument> others,
                          Sizes result, std::vector<std::tuple<const char*, DType, Sizes>> fixed) {
    all.push_back(
        {fmt::format("aten.{}", name), std::move(inputs), std::move(others), {std::move(result)}, Result::same, std::move(fixed)});
  };
  chosen("copy.default", {{"self", {4}}}, {}, {4}, {{"src", DType::float32, {4}}});
  chosen("copy_.default", {{"self", {4}}}, {}, {4}, {{"src", DType::float32, {4}}});
  chosen("fill.Tensor", {{"self", {4}}}, {}, {4}, {{"value", DType::float32, {}}});
  chosen("masked_scatter.default", {{"self", {4}}, {"source", {4}}}, {}, {4}, {{"mask", DType::boolean, {4}}});
  chosen("masked_select.default", {{"self", {4}}}, {}, {4}, {{"mask", DType::boolean, {4}}});
  chosen("index_put_.default", {{"self", {2, 4}}, {"values", {2, 4}}}, {}, {2, 4}, {{"indices", DType::int64, {2}}});
  all.back().index_list = "indices";
  all.push_back(
      {.op = "aten.repeat_interleave.Tensor", .inputs = {{"repeats", {4}}}, .others = {}, .outputs = {{4}}, .base = DType::int64});
  all.push_back({.op = "aten.native_dropout.default",
                 .inputs = {{"input", {4}}},
                 .others = {{"p", 0.5}, {"train", false}},
                 .outputs = {{4}, {4}},
                 .result = Result::same_and_bool});

  all.push_back({"aten._pdist_forward.default", rows, {{"p", 2.0}}, {{1}}});
  all.push_back({"aten.var_mean.correction", rows, {{"dim", Ints{1}}}, {{2}, {2}}});
  all.push_back({"aten._native_batch_norm_legit.no_stats",
                 {{"input", {2, 2, 4}}, {"weight", {2}}, {"bias", {2}}},
                 {{"training", true}, {"momentum", 0.1}, {"eps", 1e-5}},
                 {{2, 2, 4}, {2}, {2}}});
  all.push_back({"aten._upsample_bilinear2d_aa.default",
                 {{"self", {1, 1, 4, 4}}},
                 {{"output_size", Ints{2, 2}}, {"align_corners", false}},
                 {{1, 1, 2, 2}}});
}

inline void add_quantized(std::vector<KernelCase>& all) {
  const auto op = [](const char* name) { return fmt::format("quantized_decomposed.{}", name); };
  const std::vector<NamedArgument> range = {{"quant_min", 0}, {"quant_max", 100}};
  const std::vector<NamedArgument> axis = {{"axis", 0}, {"quant_min", 0}, {"quant_max", 100}};
  const auto scales = [](const char* scale, const char* zero_point, DType type, Sizes sizes) {
    return std::vector<std::tuple<const char*, DType, Sizes>>{{scale, type, sizes}, {zero_point, DType::int64, sizes}};
  };
  const auto per_tensor = scales("scale", "zero_point", DType::float64, {1});
  const auto per_channel = scales("scales", "zero_points", DType::float64, {2});
  const auto per_token = scales("scales", "zero_points", DType::float64, {2, 1});
  for (KernelCase& c : all)
    if (c.op == op("quantize_per_tensor.default")) {
      c.others = {{"scale", 0.1}, {"zero_point", 0}, range[0], range[1]};
      c.any_result = true;
      c.names_result = "dtype";
    }
  const auto quantize = [&](const char* name, std::vector<NamedArgument> others, std::vector<std::tuple<const char*, DType, Sizes>> fixed) {
    all.push_back({.op = op(name),
                   .inputs = {{"input", {2, 4}}},
                   .others = std::move(others),
                   .outputs = {{2, 4}},
                   .result = Result::int8,
                   .fixed = std::move(fixed),
                   .any_result = true,
                   .names_result = "dtype"});
  };
  quantize("quantize_per_tensor.tensor", range, per_tensor);
  quantize("quantize_per_channel.default", axis, per_channel);
  quantize("quantize_per_token.default", range, per_token);
  const auto dequantize = [&](const char* name, std::vector<NamedArgument> others,
                              std::vector<std::tuple<const char*, DType, Sizes>> fixed) {
    all.push_back({.op = op(name),
                   .inputs = {{"input", {2, 4}}},
                   .others = std::move(others),
                   .outputs = {{2, 4}},
                   .fixed = std::move(fixed),
                   .output_types = {DType::float32},
                   .base = DType::int8,
                   .any_result = true,
                   .names_input = "dtype",
                   .names_result = "out_dtype"});
  };
  dequantize("dequantize_per_tensor.default", {{"scale", 0.1}, {"zero_point", 0}, range[0], range[1]}, {});
  dequantize("dequantize_per_tensor.tensor", range, per_tensor);
  dequantize("dequantize_per_channel.default", axis, per_channel);
  dequantize("dequantize_per_token.default", range, per_token);
  all.back().names_result = "output_dtype";
  const auto choose = [&](const char* name, std::vector<NamedArgument> others, Sizes sizes) {
    all.push_back({.op = op(name),
                   .inputs = {{"input", {2, 4}}},
                   .others = std::move(others),
                   .outputs = {sizes, sizes},
                   .output_types = {DType::float64, DType::int64},
                   .any_result = true});
  };
  choose("choose_qparams.tensor", {{"quant_min", 0}, {"quant_max", 100}, {"eps", 1e-5}, {"dtype", DType::uint8}}, {1});
  choose("choose_qparams_per_token_asymmetric.default", {{"dtype", DType::int8}}, {2, 1});
  const std::vector<NamedArgument> weight_range = {{"weight_quant_min", 0}, {"weight_quant_max", 3}};
  for (const auto& [name, bytes] : {std::pair{"embedding_byte", 8}, {"embedding_4bit", 4}, {"embedding_2bit", 2}})
    for (const char* overload : {"default", "dtype"})
      all.push_back({.op = op(fmt::format("{}.{}", name, overload).c_str()),
                     .inputs = {{"weight", {4, bytes}}},
                     .others = weight_range,
                     .outputs = {{2, 8}},
                     .fixed = {{"weight_scales", DType::float32, {4}}, {"indices", DType::int64, {2}}},
                     .output_types = {DType::float32},
                     .base = std::string_view(name) == "embedding_byte" ? DType::int8 : DType::uint8,
                     .any_result = true,
                     .names_result = std::string_view(overload) == "dtype" ? "dtype" : nullptr});
  for (const auto& [name, weight] : {std::pair{"mixed_linear.default", Sizes{2, 4}}, {"mixed_mm.default", Sizes{4, 2}}})
    all.push_back({.op = op(name),
                   .inputs = {{"input", {2, 4}}},
                   .others = {},
                   .outputs = {{2, 2}},
                   .fixed = {{"weight", DType::int8, weight}, {"weight_scales", DType::float32, {weight[0]}}}});
  std::vector<NamedArgument> both;
  for (const char* name : {"a", "b", "out"}) {
    both.push_back({fmt::format("{}_scale", name), 0.1});
    for (const auto& [part, value] : {std::pair{"zero_point", 0}, {"quant_min", 0}, {"quant_max", 100}})
      both.push_back({fmt::format("{}_{}", name, part), value});
  }
  all.push_back({op("add.default"), {{"a", {4}}, {"b", {4}}}, both, {{4}}});
}

inline std::vector<KernelCase> kernel_cases() {
  std::vector<KernelCase> all;
  const auto unary = [&](Result result, std::initializer_list<const char*> names, std::vector<NamedArgument> others = {}) {
    for (const char* name : names) all.push_back({fmt::format("aten.{}", name), {{"self", {4}}}, others, {{4}}, result});
  };
  const auto binary = [&](Result result, std::initializer_list<const char*> names) {
    for (const char* name : names) all.push_back({fmt::format("aten.{}", name), {{"self", {4}}, {"other", {4}}}, {}, {{4}}, result});
  };
  unary(Result::floating, {"exp.default",   "log.default",   "log1p.default", "log2.default",    "log10.default",     "expm1.default",
                           "sqrt.default",  "rsqrt.default", "sin.default",   "cos.default",     "tan.default",       "tanh.default",
                           "sinh.default",  "cosh.default",  "asin.default",  "acos.default",    "atan.default",      "asinh.default",
                           "acosh.default", "atanh.default", "erf.default",   "sigmoid.default", "reciprocal.default"});
  unary(Result::same, {"relu.default", "neg.default", "abs.default", "sign.default", "floor.default", "ceil.default", "round.default",
                       "trunc.default", "bitwise_not.default", "gelu.default", "elu.default", "leaky_relu.default", "hardtanh.default"});
  unary(Result::boolean, {"logical_not.default", "isnan.default", "isinf.default"});
  unary(Result::boolean, {"gt.Scalar"}, {{"other", 1}});
  unary(Result::floating, {"div.Scalar"}, {{"other", 3}});
  unary(Result::same, {"_softmax.default", "_log_softmax.default"}, {{"dim", 0}, {"half_to_float", false}});
  unary(Result::int64, {"cumsum.default"}, {{"dim", 0}});
  unary(Result::same, {"flip.default"}, {{"dims", Ints{0}}});
  unary(Result::same, {"roll.default"}, {{"shifts", Ints{1}}, {"dims", Ints{0}}});
  unary(Result::same, {"constant_pad_nd.default"}, {{"pad", Ints{0, 0}}, {"value", 0}});
  unary(Result::same, {"permute_copy.default"}, {{"dims", Ints{0}}});
  unary(Result::same, {"full_like.default"}, {{"fill_value", 1}});
  binary(Result::same, {"add.Tensor", "sub.Tensor", "mul.Tensor", "maximum.default", "minimum.default", "bitwise_and.Tensor",
                        "bitwise_or.Tensor", "bitwise_xor.Tensor", "bitwise_left_shift.Tensor"});
  binary(Result::floating, {"div.Tensor", "atan2.default"});
  binary(Result::boolean, {"eq.Tensor", "lt.Tensor", "logical_and.default", "logical_or.default", "logical_xor.default"});

  all.push_back({"aten.mm.default", {{"self", {2, 3}}, {"mat2", {3, 2}}}, {}, {{2, 2}}});
  all.push_back({"aten.bmm.default", {{"self", {1, 2, 3}}, {"mat2", {1, 3, 2}}}, {}, {{1, 2, 2}}});
  all.push_back({"aten.addmm.default", {{"self", {2}}, {"mat1", {2, 3}}, {"mat2", {3, 2}}}, {}, {{2, 2}}});
  all.push_back({"aten.linear.default", {{"input", {2, 3}}, {"weight", {2, 3}}}, {}, {{2, 2}}});
  all.push_back({"aten.convolution.default",
                 {{"input", {1, 1, 3, 3}}, {"weight", {1, 1, 2, 2}}},
                 {{"bias", none},
                  {"stride", Ints{1, 1}},
                  {"padding", Ints{0, 0}},
                  {"dilation", Ints{1, 1}},
                  {"transposed", false},
                  {"output_padding", Ints{0, 0}},
                  {"groups", 1}},
                 {{1, 1, 2, 2}}});
  all.push_back({"aten.native_layer_norm.default",
                 {{"input", {2, 4}}},
                 {{"normalized_shape", Ints{4}}, {"weight", none}, {"bias", none}, {"eps", 1e-5}},
                 {{2, 4}, {2, 1}, {2, 1}}});
  all.push_back({"aten.native_group_norm.default",
                 {{"input", {1, 2, 4}}},
                 {{"weight", none}, {"bias", none}, {"N", 1}, {"C", 2}, {"HxW", 4}, {"group", 1}, {"eps", 1e-5}},
                 {{1, 2, 4}, {1, 1}, {1, 1}}});
  all.push_back({"aten._native_batch_norm_legit_no_training.default",
                 {{"input", {1, 2, 4}}, {"weight", {2}}, {"bias", {2}}, {"running_mean", {2}}, {"running_var", {2}}},
                 {{"momentum", 0.1}, {"eps", 1e-5}},
                 {{1, 2, 4}, {0}, {0}}});
  const std::vector<std::pair<const char*, Sizes>> image = {{"self", {1, 1, 4, 4}}};
  all.push_back(
      {"aten.max_pool2d_with_indices.default", image, {{"kernel_size", Ints{2, 2}}}, {{1, 1, 2, 2}, {1, 1, 2, 2}}, Result::same_and_int64});
  all.push_back({"aten.avg_pool2d.default", image, {{"kernel_size", Ints{2, 2}}}, {{1, 1, 2, 2}}});
  all.push_back({"aten._adaptive_avg_pool2d.default", image, {{"output_size", Ints{2, 2}}}, {{1, 1, 2, 2}}});
  for (const char* name : {"aten.reflection_pad2d.default", "aten.replication_pad2d.default"})
    all.push_back({name, image, {{"padding", Ints{1, 1, 1, 1}}}, {{1, 1, 6, 6}}});
  all.push_back(
      {"aten.upsample_nearest2d.vec", {{"input", {1, 1, 2, 2}}}, {{"output_size", Ints{4, 4}}, {"scale_factors", none}}, {{1, 1, 4, 4}}});
  all.push_back({"aten.upsample_bilinear2d.vec",
                 {{"input", {1, 1, 2, 2}}},
                 {{"output_size", Ints{4, 4}}, {"align_corners", false}, {"scale_factors", none}},
                 {{1, 1, 4, 4}}});
  all.push_back({"aten.grid_sampler_2d.default",
                 {{"input", {1, 1, 2, 2}}, {"grid", {1, 2, 2, 2}}},
                 {{"interpolation_mode", 0}, {"padding_mode", 0}, {"align_corners", false}},
                 {{1, 1, 2, 2}}});
  const std::vector<std::pair<const char*, Sizes>> rows = {{"self", {2, 4}}};
  all.push_back({"aten.mean.dim", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.var.correction", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.sum.dim_IntList", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.amax.default", rows, {{"dim", Ints{1}}}, {{2}}});
  all.push_back({"aten.argmax.default", rows, {{"dim", 1}}, {{2}}, Result::int64});
  all.push_back({"aten.any.dim", rows, {{"dim", 1}}, {{2}}, Result::boolean});
  all.push_back({"aten.max.dim", rows, {{"dim", 1}}, {{2}, {2}}, Result::same_and_int64});
  all.push_back({"aten.topk.default", rows, {{"k", 2}}, {{2, 2}, {2, 2}}, Result::same_and_int64});
  all.push_back({"aten.prod.dim_int", rows, {{"dim", 1}}, {{2}}, Result::int64});
  all.push_back({"aten._cdist_forward.default", {{"x1", {2, 3}}, {"x2", {2, 3}}}, {{"p", 2.0}, {"compute_mode", none}}, {{2, 2}}});
  all.push_back({"quantized_decomposed.quantize_per_tensor.default",
                 {{"input", {4}}},
                 {{"scale", 0.1}, {"zero_point", 0}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", DType::int8}},
                 {{4}},
                 Result::int8});
  add_scalar_forms(all);
  add_more_reductions(all);
  add_moves(all);
  add_complex(all);
  add_creations(all);
  add_more_moves(all);
  add_quantized(all);
  return all;
}

}  // namespace intaglio::test
