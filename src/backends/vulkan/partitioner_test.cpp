// What is refused and why, on both sides of each limit; what options change.
#include <gtest/gtest.h>

#include <functional>

#include <intaglio/error.h>
#include <intaglio/vulkan.h>

#include "backends/vulkan/compile_specs.h"
#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio::vulkan {
namespace {

using test::ProgramBuilder;
using Ints = std::vector<int64_t>;
using Build = std::function<Value*(ProgramBuilder&)>;

// The first refusal, or "".
std::string refusal(const Build& build, const VulkanPartitionerOptions& options = {}) {
  ProgramBuilder t;
  t.returns({build(t)});
  const VulkanPartitioner partitioner(options);
  partitioner.transform(t.program);
  verify(t.program);
  const PartitionResult result = partitioner.partition(t.program);
  return result.refusals.empty() ? "" : result.refusals.front().rule;
}

struct LimitRow {
  const char* name;
  Build build;
  const char* refusal;
};
void PrintTo(const LimitRow& row, std::ostream* out) { *out << row.name; }

Value* image(ProgramBuilder& t, int64_t batch = 1) { return t.input({batch, 4, 8, 8}); }
Value* convolved(ProgramBuilder& t, Value* x, Sizes weight, int64_t groups = 1) {
  return t.convolution(x, t.weight("w", std::move(weight)), nullptr, 1, 0, groups);
}
Value* transposed(ProgramBuilder& t, int64_t dilation, int64_t groups) {
  return t("aten.convolution.default", image(t), t.weight("w", {4, 4 / groups, 3, 3}), Argument(), Ints{1, 1}, Ints{0, 0},
           Ints{dilation, dilation}, true, Ints{0, 0}, groups);
}

const LimitRow limit_rows[] = {
    {"relu", [](ProgramBuilder& t) { return t("aten.relu.default", image(t)); }, ""},
    {"relu_of_integers", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({2}, DType::int32)); }, "relu: not of int32"},
    {"relu_of_bfloat16", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({2}, DType::bfloat16)); },
     "relu: no tensors of bfloat16"},
    {"relu_of_five_dims", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({1, 2, 3, 4, 5})); }, ""},
    {"flip_of_five_dims", [](ProgramBuilder& t) { return t("aten.flip.default", t.input({1, 2, 3, 4, 5}), Ints{1}); },
     "flip: at most 4 dimensions"},
    {"add_of_five_dims",
     [](ProgramBuilder& t) {
       Value* x = t.input({1, 2, 3, 4, 5});
       return t("aten.add.Tensor", x, x);
     },
     ""},
    {"no_such_op", [](ProgramBuilder& t) { return t("aten.erf.default", image(t)); }, "erf: Vulkan has no such op"},
    {"absent_from_runtime", [](ProgramBuilder& t) { return t("aten.logical_not.default", t.input({2})); },
     "logical_not: the Vulkan runtime lacks it, though ExecuTorch delegates it"},
    {"negated_mask", [](ProgramBuilder& t) { return t("aten.logical_not.default", t.input({2}, DType::boolean)); }, ""},
    {"equality_of_floats",
     [](ProgramBuilder& t) {
       Value* x = image(t);
       return t("aten.eq.Tensor", x, x);
     },
     "eq: not of float32"},
    {"convolution", [](ProgramBuilder& t) { return convolved(t, image(t), {8, 4, 3, 3}); }, ""},
    {"convolution_of_groups", [](ProgramBuilder& t) { return convolved(t, image(t), {8, 2, 3, 3}, 2); }, ""},
    {"convolution_of_two_images", [](ProgramBuilder& t) { return convolved(t, image(t, 2), {8, 4, 3, 3}); },
     "convolution: a batch of one image"},
    {"convolution_by_computed_weight", [](ProgramBuilder& t) { return t.convolution(image(t), t.input({8, 4, 3, 3}), nullptr); },
     "convolution: constant weight and bias"},
    {"transposed", [](ProgramBuilder& t) { return transposed(t, 1, 1); }, ""},
    {"transposed_of_groups", [](ProgramBuilder& t) { return transposed(t, 1, 2); },
     "convolution: transposed: over images, without groups and dilation"},
    {"transposed_dilated", [](ProgramBuilder& t) { return transposed(t, 2, 1); },
     "convolution: transposed: over images, without groups and dilation"},
    {"linear", [](ProgramBuilder& t) { return t("aten.linear.default", t.input({2, 3}), t.weight("w", {4, 3})); }, ""},
    {"linear_by_computed_weight", [](ProgramBuilder& t) { return t("aten.linear.default", t.input({2, 3}), t.input({4, 3})); },
     "linear: constant weight and bias"},
    {"mean_of_two_dims", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{2, 3}, true); }, ""},
    {"mean_without_keepdim", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{2, 3}, false); }, ""},
    {"mean_of_three_dims", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{1, 2, 3}, true); },
     "mean: the last dimension, or at most two with keepdim"},
    {"mean_of_last_dim", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{-1}, false); }, ""},
    {"mean_of_channels", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t), Ints{1}, true); }, ""},
    {"mean_of_channels_of_two", [](ProgramBuilder& t) { return t("aten.mean.dim", image(t, 2), Ints{1}, true); },
     "mean: not over images, nor over the channels of several"},
    {"softmax_of_channels_of_two", [](ProgramBuilder& t) { return t("aten._softmax.default", image(t, 2), 1, false); },
     "_softmax: along the last two dimensions where there are several images"},
    {"argmax_of_rows", [](ProgramBuilder& t) { return t("aten.argmax.default", image(t), -1); }, ""},
    {"argmax_of_channels", [](ProgramBuilder& t) { return t("aten.argmax.default", image(t), 1); }, "argmax: the last dimension"},
    {"layer_norm_of_two_dims",
     [](ProgramBuilder& t) {
       return t("aten.native_layer_norm.default", image(t), Ints{8, 8}, t.weight("w", {8, 8}), t.weight("b", {8, 8}), 1e-5);
     },
     "native_layer_norm: over the last dimension"},
    {"negative_pad", [](ProgramBuilder& t) { return t("aten.constant_pad_nd.default", image(t), Ints{-1, 0}, 0.0); },
     "constant_pad_nd: of the last three dimensions, by nothing negative"},
    {"cast_to_bool",
     [](ProgramBuilder& t) {
       Node& node = t.node("dim_order_ops._to_dim_order_copy.default", {image(t)});
       t.program.graph().set_argument(node, "dtype", DType::boolean);
       node.output()->meta().dtype = DType::boolean;
       return node.output();
     },
     "_to_dim_order_copy: the runtime has no shader that casts to bool"},
    {"a_view_alone", [](ProgramBuilder& t) { return t("aten.view_copy.default", image(t), Ints{4, 64}); },
     "view_copy: alone it costs less outside a delegate"},
};

class VulkanLimits : public ::testing::TestWithParam<LimitRow> {};
TEST_P(VulkanLimits, IsRefusedWithTheRule) { EXPECT_EQ(refusal(GetParam().build), GetParam().refusal); }
INSTANTIATE_TEST_SUITE_P(VulkanPartitioner, VulkanLimits, ::testing::ValuesIn(limit_rows),
                         [](const auto& info) { return std::string(info.param.name); });

Value* wide_relu(ProgramBuilder& t) {
  return t("aten.upsample_nearest2d.vec", t.input({1, 1, 2, 3000}), Argument(), std::vector<double>{2, 2});
}

TEST(VulkanPartitioner, ImagesHoldToTheTextureLimits) {
  EXPECT_EQ(refusal(wide_relu), "");
  EXPECT_EQ(refusal(wide_relu, {.small_texture_limits = true}), "upsample_nearest2d: no image within 2048 x 2048 x 2048 holds its tensors");
  EXPECT_EQ(refusal(wide_relu, {.texture_limits = {{16384, 16384, 2048}}, .small_texture_limits = true}), "");
  EXPECT_EQ(refusal(wide_relu, {.texture_limits = {{2048, 4096, 256}}}),
            "upsample_nearest2d: no image within 2048 x 4096 x 256 holds its tensors");
  EXPECT_NE(test::refusal_of(ErrorKind::usage, [] { refusal(wide_relu, {.texture_limits = {{16, 16, 16}}}); })
                .find("every device has 256 in each direction: raise texture_limit_x"),
            std::string::npos);
  EXPECT_THROW(VulkanPartitioner({.texture_limits = {{0, 1, 1}}}), Error);
}

TEST(VulkanPartitioner, ListsAndFlagsRefuse) {
  const Build relu = [](ProgramBuilder& t) { return t("aten.relu.default", image(t)); };
  EXPECT_EQ(refusal(relu, {.operator_allowlist = {{"aten.add.Tensor"}}}), "relu: it is not on operator_allowlist");
  EXPECT_EQ(refusal(relu, {.operator_blocklist = {"aten.relu.default"}}), "relu: it is on operator_blocklist");
  EXPECT_EQ(refusal(relu, {.nn_module_allowlist = {{"Conv2d"}}}), "relu: its module is not on nn_module_allowlist");
  const Build named = [](ProgramBuilder& t) {
    return t.call("aten.relu.default", {{"self", image(t)}}, {1, 4, 8, 8}, "", {{"act", "torch.nn.modules.activation.ReLU"}});
  };
  EXPECT_EQ(refusal(named, {.nn_module_blocklist = {"ReLU"}}), "relu: its module is on nn_module_blocklist");
  EXPECT_EQ(refusal(named, {.nn_module_allowlist = {{"ReLU"}}}), "");
  const Build expanded = [](ProgramBuilder& t) { return t("aten.neg.default", t("aten.repeat.default", image(t), Ints{1, 1, 2, 1})); };
  EXPECT_EQ(refusal(expanded), "");
  EXPECT_EQ(refusal(expanded, {.require_dynamic_shapes = true}), "repeat: the runtime cannot resize it");
  const Build compared = [](ProgramBuilder& t) { return t("aten.gt.Scalar", image(t), 0); };
  EXPECT_EQ(refusal(compared), "");
  EXPECT_EQ(refusal(compared, {.skip_bool_tensors = true}), "gt: no bool tensors with skip_bool_tensors");
}

TEST(VulkanPartitioner, OptionsAreCompileSpecs) {
  EXPECT_TRUE(compile_specs({}).empty());
  const auto specs = compile_specs({.storage_type_override = StorageType::buffer, .texture_limits = {{1, 2, 300}}, .force_fp16 = true});
  ASSERT_EQ(specs.size(), 5u);
  EXPECT_EQ(specs[0].key, "storage_type_override");
  EXPECT_EQ(specs[0].value.size(), 4u);
  EXPECT_EQ(specs[3].key, "texture_limits_z");
  EXPECT_EQ(specs[3].value, (std::vector{std::byte{44}, std::byte{1}, std::byte{0}, std::byte{0}}));
  EXPECT_EQ(specs[4].key, "force_fp16");
  EXPECT_EQ(specs[4].value, std::vector{std::byte{1}});
}

}  // namespace
}  // namespace intaglio::vulkan
