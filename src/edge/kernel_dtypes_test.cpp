// The table of element types against the runtime itself: every kernel that has a row, on both sides of its limit.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/atomic_file.h"
#include "edge/edge_graphs_for_tests.h"
#include "edge/emitter.h"
#include "edge/kernel_table.h"
#include "edge/pte_writer.h"
#include "runtime/runtime.h"

namespace intaglio {
namespace {

using test::EdgeBuilder;
using Ints = std::vector<int64_t>;
const Argument kNone;

// Types of the results, where they differ from the inputs'.
enum class Result { same, floating, boolean, int64, int8, same_and_int64, with_number, product };

struct Case {
  std::string op;
  std::vector<std::pair<const char*, Sizes>> inputs;
  std::vector<NamedArgument> others;
  std::vector<Sizes> outputs;
  Result result = Result::same;
  std::vector<std::tuple<const char*, DType, Sizes>> fixed;  // operands whose type the kernel decides: indices, masks
  const char* list = nullptr;                                // the argument that takes all inputs as one list
  const char* index_list = nullptr;                          // the same for the fixed operands
};

DType result_type(Result result, DType input, size_t output) {
  switch (result) {
    case Result::floating:
      return is_floating(input) ? input : DType::float32;
    case Result::boolean:
      return DType::boolean;
    case Result::int64:
      return DType::int64;
    case Result::int8:
      return DType::int8;
    case Result::with_number:  // PyTorch promotes a bool beside an integer
      return input == DType::boolean ? DType::int64 : input;
    case Result::product:
      return is_floating(input) ? input : DType::int64;
    case Result::same_and_int64:
      return output == 1 ? DType::int64 : input;
    default:
      return input;
  }
}

// Kernels that take a number where others take a tensor, and the other overloads of what `cases` has.
void add_scalar_forms(std::vector<Case>& all) {
  const auto with = [&](Result result, std::initializer_list<const char*> names, std::vector<NamedArgument> others) {
    for (const char* name : names) all.push_back({fmt::format("aten.{}", name), {{"self", {4}}}, others, {{4}}, result});
  };
  with(Result::with_number, {"add.Scalar", "sub.Scalar", "mul.Scalar", "rsub.Scalar", "fmod.Scalar", "remainder.Scalar", "bitwise_and.Scalar",
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
    for (const char* name : names)
      all.push_back({fmt::format("aten.{}", name), {{"self", {4}}, {"other", {4}}}, others, {{4}}, result});
  };
  binary(Result::same, {"fmod.Tensor", "remainder.Tensor", "floor_divide.default", "bitwise_right_shift.Tensor"});
  binary(Result::same, {"div.Tensor_mode"}, {{"rounding_mode", "trunc"}});
  binary(Result::boolean, {"ne.Tensor", "ge.Tensor", "le.Tensor", "gt.Tensor"});
  all.push_back({"aten.pow.Tensor_Tensor", {{"self", {4}}, {"exponent", {4}}}, {}, {{4}}});
  all.push_back({"aten.pow.Scalar", {{"exponent", {4}}}, {{"self", 2}}, {{4}}});
  all.push_back({"aten.clamp.Tensor", {{"self", {4}}, {"min", {4}}}, {{"max", kNone}}, {{4}}});
}

void add_more_reductions(std::vector<Case>& all) {
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

// Kernels that move elements: most take anything, which is measured too.
void add_moves(std::vector<Case>& all) {
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
    all.push_back({fmt::format("aten.{}", name), std::move(inputs), std::move(others), {std::move(result)}, Result::same, std::move(fixed)});
  };
  chosen("where.self", {{"self", {4}}, {"other", {4}}}, {}, {4}, {{"condition", DType::boolean, {4}}});
  chosen("masked_fill.Scalar", {{"self", {4}}}, {{"value", 1}}, {4}, {{"mask", DType::boolean, {4}}});
  chosen("gather.default", rows, {{"dim", 1}}, {2, 1}, {{"index", DType::int64, {2, 1}}});
  chosen("index_select.default", rows, {{"dim", 1}}, {2, 3}, {{"index", DType::int64, {3}}});
  chosen("embedding.default", {{"weight", {3, 4}}}, {}, {2, 4}, {{"indices", DType::int64, {2}}});
  chosen("scatter.src", {{"self", {2, 4}}, {"src", {2, 1}}}, {{"dim", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("scatter.value", rows, {{"dim", 1}, {"value", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("scatter_add.default", {{"self", {2, 4}}, {"src", {2, 1}}}, {{"dim", 1}}, {2, 4}, {{"index", DType::int64, {2, 1}}});
  chosen("index.Tensor", rows, {}, {3, 4}, {{"indices", DType::int64, {3}}});
  all.back().index_list = "indices";
  chosen("index_put.default", {{"self", {2, 4}}, {"values", {3, 4}}}, {}, {2, 4}, {{"indices", DType::int64, {3}}});
  all.back().index_list = "indices";
  for (const char* name : {"aten.cat.default", "aten.stack.default"}) {
    const Sizes result = std::string_view(name) == "aten.cat.default" ? Sizes{4, 4} : Sizes{2, 2, 4};
    all.push_back({name, {{"a", {2, 4}}, {"b", {2, 4}}}, {{"dim", 0}}, {result}, Result::same, {}, "tensors"});
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  const auto unary = [&](Result result, std::initializer_list<const char*> names,
                         std::vector<NamedArgument> others = {}) {
    for (const char* name : names)
      all.push_back({fmt::format("aten.{}", name), {{"self", {4}}}, others, {{4}}, result});
  };
  const auto binary = [&](Result result, std::initializer_list<const char*> names) {
    for (const char* name : names)
      all.push_back({fmt::format("aten.{}", name), {{"self", {4}}, {"other", {4}}}, {}, {{4}}, result});
  };
  unary(Result::floating,
        {"exp.default",   "log.default",   "log1p.default", "log2.default",    "log10.default",     "expm1.default",
         "sqrt.default",  "rsqrt.default", "sin.default",   "cos.default",     "tan.default",       "tanh.default",
         "sinh.default",  "cosh.default",  "asin.default",  "acos.default",    "atan.default",      "asinh.default",
         "acosh.default", "atanh.default", "erf.default",   "sigmoid.default", "reciprocal.default"});
  unary(Result::same, {"relu.default", "neg.default", "abs.default", "sign.default", "floor.default", "ceil.default",
                       "round.default", "trunc.default", "bitwise_not.default", "gelu.default", "elu.default",
                       "leaky_relu.default", "hardtanh.default"});
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
  binary(Result::same, {"add.Tensor", "sub.Tensor", "mul.Tensor", "maximum.default", "minimum.default",
                        "bitwise_and.Tensor", "bitwise_or.Tensor", "bitwise_xor.Tensor", "bitwise_left_shift.Tensor"});
  binary(Result::floating, {"div.Tensor", "atan2.default"});
  binary(Result::boolean,
         {"eq.Tensor", "lt.Tensor", "logical_and.default", "logical_or.default", "logical_xor.default"});

  all.push_back({"aten.mm.default", {{"self", {2, 3}}, {"mat2", {3, 2}}}, {}, {{2, 2}}});
  all.push_back({"aten.bmm.default", {{"self", {1, 2, 3}}, {"mat2", {1, 3, 2}}}, {}, {{1, 2, 2}}});
  all.push_back({"aten.addmm.default", {{"self", {2}}, {"mat1", {2, 3}}, {"mat2", {3, 2}}}, {}, {{2, 2}}});
  all.push_back({"aten.linear.default", {{"input", {2, 3}}, {"weight", {2, 3}}}, {}, {{2, 2}}});
  all.push_back({"aten.convolution.default",
                 {{"input", {1, 1, 3, 3}}, {"weight", {1, 1, 2, 2}}},
                 {{"bias", kNone},
                  {"stride", Ints{1, 1}},
                  {"padding", Ints{0, 0}},
                  {"dilation", Ints{1, 1}},
                  {"transposed", false},
                  {"output_padding", Ints{0, 0}},
                  {"groups", 1}},
                 {{1, 1, 2, 2}}});
  all.push_back({"aten.native_layer_norm.default",
                 {{"input", {2, 4}}},
                 {{"normalized_shape", Ints{4}}, {"weight", kNone}, {"bias", kNone}, {"eps", 1e-5}},
                 {{2, 4}, {2, 1}, {2, 1}}});
  all.push_back({"aten.native_group_norm.default",
                 {{"input", {1, 2, 4}}},
                 {{"weight", kNone}, {"bias", kNone}, {"N", 1}, {"C", 2}, {"HxW", 4}, {"group", 1}, {"eps", 1e-5}},
                 {{1, 2, 4}, {1, 1}, {1, 1}}});
  all.push_back({"aten._native_batch_norm_legit_no_training.default",
                 {{"input", {1, 2, 4}}, {"weight", {2}}, {"bias", {2}}, {"running_mean", {2}}, {"running_var", {2}}},
                 {{"momentum", 0.1}, {"eps", 1e-5}},
                 {{1, 2, 4}, {0}, {0}}});
  const std::vector<std::pair<const char*, Sizes>> image = {{"self", {1, 1, 4, 4}}};
  all.push_back({"aten.max_pool2d_with_indices.default",
                 image,
                 {{"kernel_size", Ints{2, 2}}},
                 {{1, 1, 2, 2}, {1, 1, 2, 2}},
                 Result::same_and_int64});
  all.push_back({"aten.avg_pool2d.default", image, {{"kernel_size", Ints{2, 2}}}, {{1, 1, 2, 2}}});
  all.push_back({"aten._adaptive_avg_pool2d.default", image, {{"output_size", Ints{2, 2}}}, {{1, 1, 2, 2}}});
  for (const char* name : {"aten.reflection_pad2d.default", "aten.replication_pad2d.default"})
    all.push_back({name, image, {{"padding", Ints{1, 1, 1, 1}}}, {{1, 1, 6, 6}}});
  all.push_back({"aten.upsample_nearest2d.vec",
                 {{"input", {1, 1, 2, 2}}},
                 {{"output_size", Ints{4, 4}}, {"scale_factors", kNone}},
                 {{1, 1, 4, 4}}});
  all.push_back({"aten.upsample_bilinear2d.vec",
                 {{"input", {1, 1, 2, 2}}},
                 {{"output_size", Ints{4, 4}}, {"align_corners", false}, {"scale_factors", kNone}},
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
  all.push_back({"aten._cdist_forward.default",
                 {{"x1", {2, 3}}, {"x2", {2, 3}}},
                 {{"p", 2.0}, {"compute_mode", kNone}},
                 {{2, 2}}});
  all.push_back({"quantized_decomposed.quantize_per_tensor.default",
                 {{"input", {4}}},
                 {{"scale", 0.1}, {"zero_point", 0}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", DType::int8}},
                 {{4}},
                 Result::int8});
  add_scalar_forms(all);
  add_more_reductions(all);
  add_moves(all);
  return all;
}

// The program without the check that is under test.
void write_unchecked(const Case& c, DType dtype, const std::filesystem::path& path) {
  EdgeBuilder b;
  std::vector<NamedArgument> arguments;
  std::vector<Value*> inputs, fixed;
  for (const auto& [name, sizes] : c.inputs) inputs.push_back(b.typed_input(name, dtype, sizes));
  for (const auto& [name, type, sizes] : c.fixed) fixed.push_back(b.typed_input(name, type, sizes));
  if (c.list != nullptr) arguments.push_back({c.list, inputs});
  if (c.index_list != nullptr) arguments.push_back({c.index_list, fixed});
  for (size_t i = 0; c.list == nullptr && i < inputs.size(); ++i) arguments.push_back({c.inputs[i].first, inputs[i]});
  for (size_t i = 0; c.index_list == nullptr && i < fixed.size(); ++i) arguments.push_back({std::get<0>(c.fixed[i]), fixed[i]});
  arguments.insert(arguments.end(), c.others.begin(), c.others.end());
  std::vector<OutputSpecification> outputs;
  for (size_t i = 0; i < c.outputs.size(); ++i)
    outputs.push_back(
        {TensorMeta::contiguous(result_type(c.result, dtype, i), {c.outputs[i].begin(), c.outputs[i].end()})});
  b.output(
      b.program().graph().insert_before(nullptr, Op::get(c.op), std::move(arguments), std::move(outputs)).output());
  const EdgeMethod method = std::move(b).method("forward");
  EmissionPools pools;
  pte::Program program;
  program.execution_plan.push_back(emit_method(method, {}, pools));
  const std::vector<std::byte> bytes = pte::image_bytes(pte::assemble(program, {}));
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

bool runs(runtime::PteRunner& runner, const Case& c, DType dtype) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("intaglio_dtypes_{}.pte", getpid());
  write_unchecked(c, dtype, path);
  std::vector<runtime::RunValue> inputs;
  for (const auto& [name, sizes] : c.inputs) {
    Tensor tensor = Tensor::zeros(dtype, sizes);
    std::memset(tensor.mutable_raw(), 1, tensor.nbytes());
    inputs.emplace_back(std::move(tensor));
  }
  for (const auto& [name, type, sizes] : c.fixed) inputs.emplace_back(Tensor::zeros(type, sizes));
  bool result = true;
  try {
    runner.load(path);
    runner.run(inputs);
  } catch (const Error&) {
    result = false;
  }
  std::filesystem::remove(path);
  return result;
}

TEST(KernelDtypes, TheTableSaysWhatTheRuntimeTakes) {
  runtime::PteRunner runner({.threads = 1});
  for (const Case& c : cases()) {
    const Kernel* kernel = kernel_for(c.op);
    ASSERT_NE(kernel, nullptr) << c.op;
    for (const DType dtype : {DType::uint8, DType::int64, DType::boolean, DType::float16, DType::bfloat16,
                              DType::float32, DType::float64, DType::uint16})
      EXPECT_EQ(runs(runner, c, dtype), refused_dtype(*kernel, dtype).empty()) << c.op << " on " << name(dtype);
  }
}

}  // namespace
}  // namespace intaglio
