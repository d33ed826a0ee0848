#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "pt2e/networks_for_tests.h"
#include "pt2e/prepared.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

// The linear layer: input, weight per channel, output shared with its input's group or not.
class OneLinearQuantizer : public Quantizer {
 public:
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    Node* linear = program.graph().find_value("linear")->producer();
    QuantizationSpec activation, weight;
    activation.qscheme = QScheme::per_tensor_affine;
    activation.quant_min = -128;
    activation.quant_max = 127;
    activation.observer = histogram_observer();
    weight = activation;
    weight.qscheme = QScheme::per_channel_symmetric;
    weight.ch_axis = 0;
    weight.observer = per_channel_min_max_observer();
    QuantizationAnnotation& annotation = annotations.of(linear);
    annotation.input_qspec_map = {{linear->tensor("input"), activation}, {linear->tensor("weight"), weight}};
    annotation.output_qspec = SharedQuantizationSpec{QuantEdge{linear->tensor("input"), linear}};
    annotation.rule = "test.linear";
  }
};

PreparedProgram calibrated() {
  PreparedProgram prepared = prepare_pt2e(residual_network(), OneLinearQuantizer());
  PreparedProgram::State& state = prepared.internal();
  observe_constants(state);
  for (const char* name : {"flatten", "linear"})
    observe_value(state, state.program.graph().find_value(name), ramp({1, 40}, -0.37f, 0.123f));
  state.samples = 1;
  return prepared;
}

TEST(Plan, ChoicesAndLayersRoundTrip) {
  Plan plan;
  plan.in_float = {"conv2d"};
  plan.per_channel = {"linear", "linear_1"};
  plan.layers = {{"fc", "linear_2", "IntxWeightOnlyConfig", {{"weight_dtype", "int4"}, {"group_size", "32"}}}};
  const Plan back = parse_plan(to_json(plan), "plan.json");
  EXPECT_EQ(to_json(back), to_json(plan));
  EXPECT_EQ(back.per_channel, plan.per_channel);
  ASSERT_EQ(back.layers.size(), 1u);
  EXPECT_EQ(back.layers[0].node, "linear_2");
  EXPECT_EQ(back.layers[0].settings, plan.layers[0].settings);
  try {
    parse_plan(R"({"schema": "intaglio.plan", "version": 1, "layers": [{"layer": "fc"}], "entries": []})", "plan.json");
    ADD_FAILURE();
  } catch (const Error& error) { EXPECT_EQ(std::string(error.what()), "plan.json, layer 0: 'node' is missing"); }
}

TEST(Plan, RoundTripKeepsEveryBit) {
  PreparedProgram prepared = calibrated();
  const Plan plan = prepared.plan();
  ASSERT_EQ(plan.entries.size(), 3u);
  EXPECT_EQ(plan.entries[0].tensor, "p_fc_weight");
  EXPECT_EQ(plan.entries[0].layer, "fc");
  EXPECT_EQ(plan.entries[0].qparams.scale.size(), 5u);
  EXPECT_EQ(plan.entries[1].tensor, "flatten");
  EXPECT_EQ(plan.entries[1].group, plan.entries[2].group);
  EXPECT_EQ(plan.entries[1].statistics.histogram.size(), 2048u);
  EXPECT_EQ(plan.entries[1].rule, "test.linear");

  const std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "intaglio_plan_test.json";
  save_plan(plan, path);
  const Plan back = load_plan(path);
  std::filesystem::remove(path);
  ASSERT_EQ(back.entries.size(), plan.entries.size());
  for (size_t i = 0; i < plan.entries.size(); ++i) {
    EXPECT_EQ(back.entries[i].qparams.scale, plan.entries[i].qparams.scale);
    EXPECT_EQ(back.entries[i].qparams.zero_point, plan.entries[i].qparams.zero_point);
    EXPECT_EQ(back.entries[i].qparams.block_size, plan.entries[i].qparams.block_size);
    EXPECT_EQ(back.entries[i].statistics.min, plan.entries[i].statistics.min);
    EXPECT_EQ(back.entries[i].statistics.histogram, plan.entries[i].statistics.histogram);
    EXPECT_EQ(back.entries[i].statistics.calls, plan.entries[i].statistics.calls);
  }
  EXPECT_EQ(to_json(back), to_json(plan));
}

TEST(Plan, TakesThePlaceOfCalibration) {
  const Plan plan = calibrated().plan();
  PreparedProgram prepared = prepare_pt2e(residual_network(), OneLinearQuantizer());
  prepared.apply_plan(plan);
  const ExportedProgram with_plan = convert_pt2e(std::move(prepared));
  const ExportedProgram with_samples = convert_pt2e(calibrated());
  EXPECT_EQ(to_string(with_plan.graph()), to_string(with_samples.graph()));
  EXPECT_TRUE(bit_equal(with_plan.state.find("_frozen_param0")->tensor, with_samples.state.find("_frozen_param0")->tensor));
}

TEST(Plan, EditsReachTheGraph) {
  PreparedProgram prepared = calibrated();
  Plan plan = prepared.plan();
  for (PlanEntry& entry : plan.entries)
    if (entry.group == plan.entries[1].group) entry.qparams.scale = {0.25f}, entry.qparams.zero_point = {7};
  prepared.apply_plan(plan);
  EXPECT_EQ(prepared.plan().entries[1].observer, "plan");
  const ExportedProgram converted = convert_pt2e(std::move(prepared));
  const Node* dequantize = converted.graph().find_value("linear")->producer()->tensor("input")->producer();
  EXPECT_EQ(dequantize->number("scale"), 0.25);
  EXPECT_EQ(dequantize->integer("zero_point"), 7);
}

TEST(Plan, RefusesWhatDoesNotFit) {
  const Plan good = calibrated().plan();
  const auto refuses = [&](auto edit, const std::string& message) {
    PreparedProgram prepared = prepare_pt2e(residual_network(), OneLinearQuantizer());
    Plan plan = good;
    edit(plan);
    try {
      prepared.apply_plan(plan);
      ADD_FAILURE() << "accepted: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  };
  refuses([](Plan& plan) { plan.entries[1].tensor = "nobody"; }, "no such tensor");
  refuses([](Plan& plan) { plan.entries[1].qparams.scale = {0.5f}; }, "differ");
  refuses([](Plan& plan) { plan.entries[0].qparams.dtype = DType::uint8; }, "dtype is uint8");
  refuses([](Plan& plan) { plan.entries[0].qparams.scale.pop_back(); }, "4 scales for 5 channels");
  refuses([](Plan& plan) { plan.entries[0].qparams.block_size = channel_blocks(7); }, "axis 7");
  refuses([](Plan& plan) { plan.entries[0].qparams.block_size = {1, 2}; }, "block size");

  std::vector<std::string> warnings;
  PrepareOptions options{.warn = [&](const std::string& line) { warnings.push_back(line); }};
  PreparedProgram prepared = prepare_pt2e(residual_network(), OneLinearQuantizer(), options);
  Plan plan = good;
  plan.entries[0].tensor = "add";
  prepared.apply_plan(plan);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST(Plan, HostileTextIsRefusedWithAPlace) {
  const std::string good = to_json(calibrated().plan());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "not a plan"},
      {"[]", "an object is expected"},
      {"{\"schema\": \"other\"}", "'schema' must be"},
      {good.substr(0, good.size() / 2), "not a plan"},
      {std::string(100000, '['), "nested too deeply"},
      {replaced("\"version\": 1", "\"version\": 2"), "reads version 1"},
      {replaced("\"axis\":0", "\"axis\":\"0\""), "'axis' must be an integer"},
      {replaced("\"axis\":0", "\"axis\":18446744073709551615"), "'axis' must be an integer"},
      {replaced("\"axis\":0", "\"axis\":-1"), "'axis' is -1"},
      {replaced("\"axis\":0", "\"axis\":1000000000000"), "'axis' is 1000000000000"},
      {replaced("\"quant_min\":-128", "\"quant_min\":128"), "'quant_min' must be less"},
      {replaced("\"dtype\":\"int8\"", "\"dtype\":\"float32\""), "an integer type is expected"},
      {replaced("\"dtype\":\"int8\"", "\"dtype\":\"int64\""), "int64"},
      {replaced("\"quant_max\":127", "\"quant_max\":1099511627776"), "must lie within [-128, 127]"},
      {replaced("\"zero_point\":[0", "\"zero_point\":[999"), "must lie between"},
      {replaced("\"scale\":[", "\"scale\":[1e300,"), "which no float32 can hold"},
      {replaced("\"scale\":[", "\"scale\":[-1.0,"), "same length"},
      {replaced("\"tensor\":", "\"tensor\":\"a\",\"tensor\":"), "appears twice"},
      {replaced("\"group\":", "\"grouq\":"), "'group' is missing"},
  };
  for (const auto& [text, message] : cases) {
    try {
      parse_plan(text, "P.json");
      ADD_FAILURE() << "accepted; expected: " << message;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input) << message;
      EXPECT_NE(std::string(error.what()).find("P.json"), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace intaglio::pt2e
