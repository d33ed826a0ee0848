// What is refused and why, on both sides of each limit; what options change; payloads.test.
#include <functional>

#include <gtest/gtest.h>
#include <intaglio/coreml.h>
#include <intaglio/error.h>

#include "backends/coreml/compile_specs.h"
#include "backends/coreml/passes/passes.h"
#include "backends/coreml/payload/payload.h"
#include "backends/coreml/preprocess.h"
#include "ir/parser.h"
#include "testing/errors.h"
#include "testing/program_builder.h"
#include "testing/text_cases.h"

namespace intaglio::coreml {
namespace {

using test::ProgramBuilder;
using test::refusal_of;
using Ints = std::vector<int64_t>;
using Build = std::function<Value*(ProgramBuilder&)>;
using enum DeploymentTarget;

PartitionResult partitioned(ProgramBuilder& t, const CoreMLPartitionerOptions& options) {
  const CoreMLPartitioner partitioner(options);
  partitioner.transform(t.program);
  verify(t.program);
  return partitioner.partition(t.program);
}

// The first refusal, or "".
std::string refusal(const Build& build, const CoreMLPartitionerOptions& options = {}) {
  ProgramBuilder t;
  t.returns({build(t)});
  const PartitionResult result = partitioned(t, options);
  return result.refusals.empty() ? "" : result.refusals.front().rule;
}

struct LimitRow {
  const char* name;
  Build build;
  const char* refusal;
};
void PrintTo(const LimitRow& row, std::ostream* out) { *out << row.name; }

Value* image(ProgramBuilder& t) { return t.input({1, 4, 8, 8}); }
Value* transposed(ProgramBuilder& t, int64_t padding, int64_t output_padding) {
  return t("aten.convolution.default", image(t), t.weight("w", {4, 4, 3, 3}), Argument(), Ints{2, 2}, Ints{padding, padding}, Ints{1, 1},
           true, Ints{output_padding, output_padding}, 1);
}
Value* softplus(ProgramBuilder& t, int64_t beta) { return t("aten.softplus.default", image(t), beta); }

const LimitRow limit_rows[] = {
    {"relu", [](ProgramBuilder& t) { return t("aten.relu.default", image(t)); }, ""},
    {"relu_of_integers", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({2}, DType::int32)); }, "relu: not of int32"},
    {"relu_of_bfloat16", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({2}, DType::bfloat16)); }, "relu: not of bfloat16"},
    {"relu_of_float16", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({2}, DType::float16)); },
     "relu: tensors of float16 need minimum_deployment_target=iOS16"},
    {"five_dims", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({1, 2, 3, 4, 5})); }, ""},
    {"six_dims", [](ProgramBuilder& t) { return t("aten.relu.default", t.input({1, 1, 2, 3, 4, 5})); }, "relu: at most 5 dimensions"},
    {"no_such_op", [](ProgramBuilder& t) { return t("aten.expm1.default", image(t)); }, "expm1: Core ML has no such op"},
    {"convolution", [](ProgramBuilder& t) { return t.convolution(image(t), t.weight("w", {8, 4, 3, 3}), nullptr); }, ""},
    {"convolution_by_computed_weight", [](ProgramBuilder& t) { return t.convolution(image(t), t.input({8, 4, 3, 3}), nullptr); },
     "convolution: the weight is known before the model runs"},
    {"transposed", [](ProgramBuilder& t) { return transposed(t, 1, 1); }, ""},
    {"transposed_larger_than_whole", [](ProgramBuilder& t) { return transposed(t, 0, 1); },
     "convolution: an output padding is at most the padding, of 2-d convolutions"},
    {"softplus", [](ProgramBuilder& t) { return softplus(t, 1); }, ""},
    {"softplus_of_beta", [](ProgramBuilder& t) { return softplus(t, 2); }, "softplus: beta is 1 and the threshold at least 20"},
    {"slopes_of_channels", [](ProgramBuilder& t) { return t("aten.prelu.default", image(t), t.weight("w", {4})); }, ""},
    {"slopes_of_rows", [](ProgramBuilder& t) { return t("aten.prelu.default", t.input({2, 4}), t.weight("w", {4})); },
     "prelu: the input has dimensions behind the channels"},
    {"statistics_of_an_image",
     [](ProgramBuilder& t) { return t("aten._native_batch_norm_legit.no_stats", image(t), Argument(), Argument(), true, 0.1, 1e-5); }, ""},
    {"statistics_of_two_images",
     [](ProgramBuilder& t) {
       return t("aten._native_batch_norm_legit.no_stats", t.input({2, 4, 8, 8}), Argument(), Argument(), true, 0.1, 1e-5);
     },
     "_native_batch_norm_legit: one image, or row, of known channels"},
    {"a_truth_value_inside",
     [](ProgramBuilder& t) {
       Value* x = image(t);
       return t("aten.where.self", t("aten.gt.Scalar", x, 0), x, t("aten.neg.default", x));
     },
     ""},
    {"a_truth_value_goes_out", [](ProgramBuilder& t) { return t("aten.gt.Scalar", image(t), 0); }, "gt: its bool is read outside"},
    {"a_truth_value_comes_in",
     [](ProgramBuilder& t) {
       Value* x = image(t);
       return t("aten.where.self", t.input({8}, DType::boolean), x, t("aten.neg.default", x));
     },
     "where: it reads bool from outside"},
    {"a_truth_value_between",
     [](ProgramBuilder& t) {
       Value* x = image(t);
       return t("aten.where.self", t("aten.isnan.default", x), x, t("aten.neg.default", x));
     },
     "isnan: Core ML has no such op"},
    {"a_view_alone", [](ProgramBuilder& t) { return t("aten.view_copy.default", image(t), Ints{4, 64}); },
     "view_copy: alone it costs less outside a delegate"},
};

class CoreMLLimits : public ::testing::TestWithParam<LimitRow> {};
TEST_P(CoreMLLimits, IsRefusedWithTheRule) { EXPECT_EQ(refusal(GetParam().build), GetParam().refusal); }
INSTANTIATE_TEST_SUITE_P(CoreMLPartitioner, CoreMLLimits, ::testing::ValuesIn(limit_rows),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(CoreMLPartitioner, AnOperatorMayNeedANewerTarget) {
  const Build heads = [](ProgramBuilder& t) {
    Value* x = t.input({1, 2, 4, 8});
    return t("aten.scaled_dot_product_attention.default", x, x, x);
  };
  EXPECT_EQ(refusal(heads, {.minimum_deployment_target = ios17}), "scaled_dot_product_attention: it needs minimum_deployment_target=iOS18");
  EXPECT_EQ(refusal(heads, {.minimum_deployment_target = ios18}), "");
}

TEST(CoreMLPartitioner, AQuantizedLayerNamesTheTargetToAskFor) {
  const auto lowered = [](const CoreMLPartitionerOptions& options) {
    ProgramBuilder t;
    Value* x = t.dequantize(t.quantize(t.input({1, 4}), 0.5, 0), 0.5, 0);
    t.returns({t("aten.neg.default", x)});
    return partitioned(t, options).partitions.size();
  };
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { lowered({}); }),
            "aten.neg.default 'neg': its quantized activations need minimum_deployment_target=iOS17 or later, and none was given");
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { lowered({.minimum_deployment_target = ios16}); }),
            "aten.neg.default 'neg': its quantized activations need minimum_deployment_target=iOS17 or later, and iOS16 was asked for");
  EXPECT_EQ(lowered({.minimum_deployment_target = ios17}), 1u);
}

TEST(CoreMLPartitioner, WhatIsQuantizedAtRunTimeIsReadInFloat) {
  using Source = std::function<Value*(ProgramBuilder&, Value*)>;
  const Source sources[] = {[](ProgramBuilder& p, Value* x) { return p.dynamic_qdq(x); },
                            [](ProgramBuilder& p, Value* x) { return p.dynamic_qdq(x, "choose_qparams_symmetric.tensor"); },
                            [](ProgramBuilder& p, Value* x) { return p.dynamic_rows(x); },
                            [](ProgramBuilder& p, Value* x) { return p.dynamic_rows(x, "choose_qparams_per_token.default"); }};
  for (const Source& quantized : sources) {
    ProgramBuilder taken;
    taken.returns({taken("aten.neg.default", quantized(taken, image(taken)))});
    const PartitionResult whole = partitioned(taken, {});
    ASSERT_EQ(whole.partitions.size(), 1u);
    EXPECT_TRUE(whole.refusals.empty());
    ASSERT_EQ(whole.warnings.size(), 1u);
    EXPECT_TRUE(whole.warnings[0].rule.starts_with("reads its input in float: Core ML quantizes nothing by ranges"));

    ProgramBuilder outside;
    outside.returns({outside("aten.expm1.default", quantized(outside, image(outside)))});
    const PartitionResult none = partitioned(outside, {});
    EXPECT_TRUE(none.partitions.empty() && none.warnings.empty());
    EXPECT_EQ(none.refusals.size(), 4u);
  }
}

TEST(CoreMLPartitioner, StatesStartAtZero) {
  const auto states = [](float start) {
    ProgramBuilder t;
    Value* total = t.buffer("total", Tensor::of<float>({0, start}, {2}));
    Value* sum = t("aten.add.Tensor", total, t.input({2}));
    t.mutation("total", sum);
    t.output(t("aten.neg.default", sum));
    return partitioned(t, {.minimum_deployment_target = ios18}).partitions.at(0).owned_buffers.size();
  };
  EXPECT_EQ(states(0), 1u);
  EXPECT_EQ(states(1), 0u);
}

TEST(CoreMLPartitioner, SkippedOperatorsAndTheWholeGraph) {
  const Build relu = [](ProgramBuilder& t) { return t("aten.relu.default", image(t)); };
  EXPECT_EQ(refusal(relu, {.skip_ops_for_coreml_delegation = {"aten.relu.default"}}), "relu: it is among skip_ops_for_coreml_delegation");
  const Build view = [](ProgramBuilder& t) { return t("aten.view_copy.default", image(t), Ints{4, 64}); };
  EXPECT_EQ(refusal(view, {.lower_full_graph = true}), "");
  const Build unknown = [](ProgramBuilder& t) { return t("aten.expm1.default", image(t)); };
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [&] { refusal(unknown, {.lower_full_graph = true}); }),
            "lower_full_graph: aten.expm1.default 'expm1': expm1: Core ML has no such op");
  EXPECT_EQ(refusal_of(ErrorKind::usage, [] { CoreMLPartitioner({.take_over_mutable_buffer = false, .lower_full_graph = true}); }),
            "lower_full_graph takes every operator and buffer: give no skip_ops_for_coreml_delegation, and take_over_mutable_buffer=true");
}

TEST(CoreMLPartitioner, OptionsAreCompileSpecs) {
  const auto text = [](const CoreMLPartitionerOptions& options) {
    std::string all;
    for (const CompileSpec& spec : compile_specs(options))
      all += spec.key + "=" + std::string(reinterpret_cast<const char*>(spec.value.data()), spec.value.size()) + " ";
    return all;
  };
  EXPECT_EQ(text({}), "compute_units=all min_deployment_target= model_compute_precision=float16 model_type=model ");
  EXPECT_EQ(
      text({.minimum_deployment_target = ios18, .compute_unit = ComputeUnit::cpu_and_ne, .compute_precision = ComputePrecision::float32}),
      "compute_units=cpu_and_ne min_deployment_target=9 model_compute_precision=float32 model_type=model ");
  EXPECT_EQ(refusal_of(ErrorKind::unsupported, [] { CoreMLPartitioner({.model_type = ModelType::compiled_model}); }),
            "model_type=compiled_model: models are compiled on macOS alone; leave it at model, which devices compile when they load it");
}

// What is read back from the written bytes; words behind `payload` are a target and a precision.
std::string payload_of(const std::vector<std::string>& steps, const std::string& input) {
  CoreMLPartitionerOptions options;
  for (const VersionRow& row : versions)
    if (steps.at(0).find(row.target) != std::string::npos) options.minimum_deployment_target = static_cast<DeploymentTarget>(row.version);
  if (steps.at(0).find("float32") != std::string::npos) options.compute_precision = ComputePrecision::float32;
  ExportedProgram program = parse_program(input);
  const std::vector<std::byte> bytes = write_payload({version_of(options), {lower_partition(program, "main", options)}}).bytes();
  return to_string(read_payload(bytes).program);
}

const bool registered = test::register_text_cases("CoreMLPayloads", "src/backends/coreml/payloads.test", payload_of) &&
                        test::register_text_cases("CoreMLPasses", "src/backends/coreml/passes",
                                                  test::program_passes({{"read_codes_directly", read_codes_directly}}));

}  // namespace
}  // namespace intaglio::coreml
