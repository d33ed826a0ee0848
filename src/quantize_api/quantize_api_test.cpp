#include <intaglio/quantize_api.h>

#include <algorithm>

#include <gtest/gtest.h>

#include <intaglio/error.h>

#include "quant/affine.h"
#include "testing/program_builder.h"

namespace intaglio {
namespace {

constexpr const char* linear_type = "torch.nn.modules.linear.Linear";
constexpr const char* embedding_type = "torch.nn.modules.sparse.Embedding";

// table(ids) -> up -> head, whose weight may be the table's.
struct Words : test::ProgramBuilder {
  explicit Words(bool tied = false) {
    Value* table = parameter("table.weight", test::ramp({6, 32}, -1.0f, 0.013f));
    Value* up = parameter("up.weight", test::ramp({32, 32}, 1.0f, -0.002f));
    Value* head = tied ? table : parameter("head.weight", test::ramp({6, 32}, 0.5f, -0.01f));
    Value* ids = input("ids", {{2, 3}, DType::int64});
    Value* x =
        call("aten.embedding.default", {{"weight", table}, {"indices", ids}}, {2, 3, 32}, "", {{"", "Model"}, {"table", embedding_type}});
    x = call("aten.linear.default", {{"input", x}, {"weight", up}}, {2, 3, 32}, "", {{"", "Model"}, {"up", linear_type}});
    x = call("aten.linear.default", {{"input", x}, {"weight", head}}, {2, 3, 6}, "", {{"", "Model"}, {"head", linear_type}});
    returns({x});
  }
  std::vector<std::string> state() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : program.state.entries()) names.push_back(name);
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string failure(const QuantizeConfig& config, const LayerFilter& filter = is_linear) {
    try {
      quantize_(program, config, filter);
    } catch (const Error& error) { return error.what(); }
    return "";
  }
};

const Int8DynamicActivationIntxWeightConfig int4_groups{.weight_dtype = IntxType::int4, .weight_granularity = PerGroup{16}};

TEST(QuantizeApi, LinearsGetTorchaosOperators) {
  Words p;
  const QuantizeSummary summary = quantize_(p.program, int4_groups);
  EXPECT_EQ(summary.quantized, 2u);
  EXPECT_EQ(summary.text, "2 of 2 linears quantized; 0 of 1 embeddings quantized, 1 left in float: no filter takes them ('table')");
  EXPECT_EQ(p.ops(),
            "embedding choose_qparams_affine quantize_affine dequantize_affine dequantize_affine linear "
            "choose_qparams_affine quantize_affine dequantize_affine dequantize_affine linear");
  EXPECT_EQ(p.state().size(), 7u);
  const Tensor& scale = p.program.state.find("up.parametrizations.weight.original1")->tensor;
  EXPECT_EQ(scale.sizes(), (Sizes{32, 2}));
  EXPECT_EQ(scale.data<float>()[0], 1.0f / 7.5f);
  EXPECT_EQ(p.program.state.find("up.parametrizations.weight.original0")->tensor.data<int8_t>()[0], 7);  // 7.5 clips
}

TEST(QuantizeApi, WhatIsQuantizedIsPassedOver) {
  Words p;
  quantize_(p.program, int4_groups, [](const QuantizableLayer& layer) { return layer.fqn == "up"; });
  EXPECT_EQ(quantize_(p.program, IntxWeightOnlyConfig{}, is_embedding).text,
            "0 of 1 linears quantized, 1 left in float: no filter takes them ('head'); 1 of 1 embeddings quantized");
  EXPECT_EQ(quantize_(p.program, int4_groups).quantized, 1u);
  EXPECT_NE(p.failure(int4_groups).find("quantized already"), std::string::npos);
}

TEST(QuantizeApi, TiedWeightsStayOneTensorOrAreSplitWithAWarning) {
  const auto quantized = [](Words& p, const QuantizeConfig& embeddings) {
    std::string warning;
    const QuantizeOptions options{.warn = [&](const Warning& w) { warning = w.text; }};
    quantize_(p.program, {{is_embedding, embeddings}, {is_linear, IntxWeightOnlyConfig{}}}, options);
    return warning;
  };
  Words same(true), other(true);
  EXPECT_EQ(quantized(same, IntxWeightOnlyConfig{}), "");
  EXPECT_EQ(same.state().size(), 6u);
  EXPECT_EQ(quantized(other, IntxWeightOnlyConfig{.weight_dtype = IntxType::int4}),
            "tied weight 'table.weight' is split: embedding 'table' reads it as int4 in groups of 32, linear 'head' reads it as int8 in "
            "groups of "
            "32; ask for the same to keep one copy");
  EXPECT_EQ(other.state().size(), 9u);
}

TEST(QuantizeApi, NothingChangesWhereALayerIsRefused) {
  Words p;
  const std::string before = to_string(p.program);
  EXPECT_EQ(p.failure(Int8DynamicActivationIntxWeightConfig{.weight_granularity = PerGroup{24}}),
            "linear layer 'up': groups of 24 do not divide its rows of 32; take a group size of 4, 8, 16, 32, or leave such layers to "
            "when_indivisible=float, int8 or nearest");
  EXPECT_EQ(p.failure(int4_groups, is_embedding),
            "embedding layer 'table': has no float input that int8 could stand for; quantize it with IntxWeightOnlyConfig");
  EXPECT_EQ(p.failure(int4_groups, [](const QuantizableLayer&) { return false; }),
            "the filter takes none of the 3 linear and embedding layers: embedding 'table' of type torch.nn.modules.sparse.Embedding, "
            "linear 'up' "
            "of type torch.nn.modules.linear.Linear, linear 'head' of type torch.nn.modules.linear.Linear");
  EXPECT_NE(p.failure(IntxWeightOnlyConfig{.granularity = PerAxis{1}}).find("axis 0"), std::string::npos);
  EXPECT_EQ(to_string(p.program), before);
}

TEST(QuantizeApi, CodeBooks) {
  Words p;
  quantize_(p.program, CodebookWeightOnlyConfig{.dtype = UintxType::uint2, .block_size = {16, -1}},
            [](const QuantizableLayer& layer) { return layer.fqn == "up"; });
  EXPECT_EQ(p.ops(), "embedding _assert_tensor_metadata to dequantize_codebook linear linear");
  EXPECT_EQ(p.program.state.find("up.parametrizations.weight.original1")->tensor.sizes(), (Sizes{2, 1, 4, 1}));
}

}  // namespace
}  // namespace intaglio
