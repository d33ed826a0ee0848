#include <set>

#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "pt2e/networks_for_tests.h"
#include "pt2e/prepared.h"
#include "pt2e/state_text_for_tests.h"
#include "testing/text_cases.h"

namespace intaglio::xnnpack {
namespace {

using namespace pt2e;
using namespace test;

QuantizationConfig per_channel() { return get_symmetric_quantization_config({.is_per_channel = true}); }

struct Prepared {
  PreparedProgram program;
  const QuantizationAnnotation* at(const std::string& name) const {
    const Value* value = program.program().graph().find_value(name);
    return value == nullptr ? nullptr : program.internal().annotations.find(value->producer());
  }
  std::string rule(const std::string& name) const {
    const QuantizationAnnotation* annotation = at(name);
    return annotation == nullptr ? "" : annotation->rule;
  }
};

Prepared prepare(ExportedProgram program, const XnnpackQuantizer& quantizer, Compat compat) {
  return {prepare_pt2e(std::move(program), quantizer, {.compat = compat})};
}

Prepared prepare_global(ExportedProgram program, Compat compat, const QuantizationConfig& config = per_channel()) {
  XnnpackQuantizer quantizer(compat);
  quantizer.set_global(config);
  return prepare(std::move(program), quantizer, compat);
}

bool is_shared(const std::optional<AnyQuantizationSpec>& spec) { return spec && std::holds_alternative<SharedQuantizationSpec>(*spec); }

// A builder with the operators these tests need.
struct Net : ProgramBuilder {
  Value* conv(Value* x, Value* weight, const std::string& name, const std::string& path = "c", int64_t groups = 1) {
    return call("aten.conv2d.default",
                {{"input", x},
                 {"weight", weight},
                 {"bias", Argument()},
                 {"stride", std::vector<int64_t>{1, 1}},
                 {"padding", std::vector<int64_t>{0, 0}},
                 {"dilation", std::vector<int64_t>{1, 1}},
                 {"groups", groups}},
                {1, 4, 8, 8}, name, {{path, conv2d_type}});
  }
  Value* unary(const std::string& op, Value* x, const std::string& name, Sizes sizes = {1, 4, 8, 8}) {
    return call(op, {{"self", x}}, std::move(sizes), name);
  }
  Value* weight(const std::string& name = "c.weight") { return parameter(name, ramp({4, 4, 1, 1}, -0.5f, 0.1f)); }
  Value* image() { return input("x", {1, 4, 8, 8}); }
};

TEST(XnnpackQuantizer, ConfigHasTorchaosNumbers) {
  const QuantizationConfig config = per_channel();
  EXPECT_EQ(pt2e::to_string(AnyQuantizationSpec(*config.input_activation)), "int8 per_tensor_affine [-128, 127] histogram");
  EXPECT_EQ(pt2e::to_string(AnyQuantizationSpec(*config.weight)), "int8 per_channel_symmetric [-127, 127] axis 0 per_channel_min_max");
  EXPECT_EQ(config.input_activation->observer.eps, 0.000244140625);
  EXPECT_EQ(config.weight->observer.eps, 0.000244140625);
  EXPECT_TRUE(config.output_activation.has_value());
  EXPECT_FALSE(config.bias.has_value());
  EXPECT_FALSE(get_symmetric_quantization_config({.is_dynamic = true}).output_activation.has_value());
  EXPECT_THROW(get_symmetric_quantization_config({.is_qat = true}), Error);
}

TEST(XnnpackQuantizer, ResidualNetworkIsQuantizedFromEndToEnd) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    const Prepared p = prepare_global(residual_network(), compat);
    EXPECT_EQ(p.rule("conv2d"), "xnnpack.conv_relu");
    EXPECT_EQ(p.rule("relu"), "xnnpack.conv_relu");
    EXPECT_FALSE(p.at("conv2d")->output_qspec.has_value());
    EXPECT_TRUE(p.at("relu")->output_qspec.has_value());
    EXPECT_EQ(p.rule("conv2d_1"), "xnnpack.conv");
    EXPECT_EQ(p.rule("add"), "xnnpack.add");
    EXPECT_EQ(p.rule("max_pool2d"), "xnnpack.sharing");
    EXPECT_EQ(p.rule("adaptive_avg_pool2d"), "xnnpack.adaptive_avg_pool2d");
    EXPECT_EQ(p.rule("flatten"), "xnnpack.sharing");
    EXPECT_EQ(p.rule("linear"), "xnnpack.linear");
    EXPECT_EQ(p.rule("mul"), "xnnpack.mul");
    const Value* two = p.program.program().graph().find_value("mul")->producer()->tensor("other");
    EXPECT_EQ(*p.program.program().target_of(two), "_tensor_constant_0");
    EXPECT_EQ(p.program.program().constant(two)->item_as_double(), 2.0);
  }
}

// Annotators of torchao ask the filter about weights, which belong to no module: the convolution stays float there.
TEST(XnnpackQuantizer, ConvolutionUnderAModuleFilterIsQuantized) {
  for (const bool by_name : {true, false}) {
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      XnnpackQuantizer quantizer(compat);
      if (by_name) quantizer.set_module_name("c2", per_channel());
      else quantizer.set_module_type(conv2d_type, per_channel());
      const Prepared p = prepare(residual_network(), quantizer, compat);
      EXPECT_EQ(p.rule("conv2d_1"), compat == Compat::torchao ? "" : "xnnpack.conv");
      EXPECT_EQ(p.rule("linear"), "");
    }
  }
}

// The relu is outside the module: the convolution is quantized by itself, torchao leaves it to a rule that refuses it.
TEST(XnnpackQuantizer, FilteredReluDoesNotKeepItsConvolutionInFloat) {
  XnnpackQuantizer quantizer;
  quantizer.set_module_name("c1", per_channel());
  const Prepared p = prepare(residual_network(), quantizer, Compat::intaglio);
  EXPECT_EQ(p.rule("conv2d"), "xnnpack.conv");
  EXPECT_EQ(p.rule("relu"), "xnnpack.sharing");
}

TEST(XnnpackQuantizer, SecondCallOfASharedConvolutionIsQuantized) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    Net b;
    Value* weight = b.weight();
    Value* first = b.conv(b.image(), weight, "first");
    Value* second = b.conv(first, weight, "second");
    const Prepared p = prepare_global(b.finish({second}), compat);
    EXPECT_EQ(p.rule("first"), "xnnpack.conv");
    EXPECT_EQ(p.rule("second"), compat == Compat::torchao ? "" : "xnnpack.conv");
  }
}

TEST(XnnpackQuantizer, FunctionalPoolIsQuantized) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    Net b;
    Value* pool = b.call("aten.adaptive_avg_pool2d.default", {{"self", b.image()}, {"output_size", std::vector<int64_t>{1, 1}}},
                         {1, 4, 1, 1}, "pool");
    const Prepared p = prepare_global(b.finish({pool}), compat);
    EXPECT_EQ(p.rule("pool"), compat == Compat::torchao ? "" : "xnnpack.adaptive_avg_pool2d");
  }
}

// A quantized clip after the observer would waste the range that it cuts off.
TEST(XnnpackQuantizer, ClipIsFusedAndObservedBehind) {
  for (const char* op : {"aten.hardtanh_.default", "aten.hardtanh.default", "aten.relu6.default", "aten.clamp.default"}) {
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      Net b;
      Value* conv = b.conv(b.image(), b.weight(), "conv");
      Value* clip = b.unary(op, conv, "clip");
      const Prepared p = prepare_global(b.finish({clip}), compat);
      EXPECT_EQ(p.at("conv")->output_qspec.has_value(), compat == Compat::torchao);
      EXPECT_EQ(p.rule("clip") == "xnnpack.conv_relu", compat == Compat::intaglio);
    }
  }
}

// What borders repeat is in the image's range; a number need not be.
TEST(XnnpackQuantizer, BordersShareTheImagesRange) {
  struct Row {
    const char* op;
    const char* padding;
    std::vector<NamedArgument> mode;
    const char* rule;
  };
  const Row table[] = {{"aten.pad.default", "pad", {{"mode", std::string("reflect")}}, "xnnpack.sharing"},
                       {"aten.pad.default", "pad", {{"mode", std::string("replicate")}}, "xnnpack.sharing"},
                       {"aten.pad.default", "pad", {{"value", 3.0}}, ""},
                       {"aten.reflection_pad2d.default", "padding", {}, "xnnpack.sharing"},
                       {"aten.replication_pad2d.default", "padding", {}, "xnnpack.sharing"}};
  for (const Row& row : table)
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      Net b;
      std::vector<NamedArgument> arguments = {{"self", b.conv(b.image(), b.weight(), "conv")},
                                              {row.padding, std::vector<int64_t>{1, 1, 1, 1}}};
      arguments.insert(arguments.end(), row.mode.begin(), row.mode.end());
      Value* border = b.call(row.op, arguments, {1, 4, 10, 10}, "border");
      EXPECT_EQ(prepare_global(b.finish({border}), compat).rule("border"), compat == Compat::torchao ? "" : row.rule) << row.op;
    }
}

// Behind something that clips nothing itself the clip has a range of its own; torchao's has that of its input, or none.
TEST(XnnpackQuantizer, UnfusedClipHasARangeOfItsOwn) {
  struct Row {
    const char* op;
    const char* torchao;
  };
  for (const Row& row : {Row{"aten.hardtanh.default", "xnnpack.sharing"}, Row{"aten.relu6.default", ""}, Row{"aten.clamp.default", ""}}) {
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      Net b;
      Value* conv = b.conv(b.image(), b.weight(), "conv");
      Value* pool = b.call("aten.max_pool2d.default", {{"self", conv}, {"kernel_size", std::vector<int64_t>{2, 2}}}, {1, 4, 4, 4}, "pool");
      Value* clip = b.unary(row.op, pool, "clip", {1, 4, 4, 4});
      const Prepared p = prepare_global(b.finish({clip}), compat);
      EXPECT_EQ(p.rule("pool"), "xnnpack.sharing");
      EXPECT_EQ(p.rule("clip"), compat == Compat::torchao ? row.torchao : "xnnpack.clip") << row.op;
      EXPECT_EQ(is_shared(p.at("clip") == nullptr ? std::nullopt : p.at("clip")->output_qspec),
                std::string_view(row.torchao) == "xnnpack.sharing" && compat == Compat::torchao)
          << row.op;
    }
  }
}

// A clip of floats stays in float: nothing around it is int8.
TEST(XnnpackQuantizer, ClipOfAFloatStaysFloat) {
  Net b;
  Value* clip = b.unary("aten.clamp.default", b.image(), "clip");
  EXPECT_EQ(prepare_global(b.finish({clip}), Compat::intaglio).rule("clip"), "");
}

TEST(XnnpackQuantizer, CatRespectsFiltersAndSharesWithItsQuantizedInput) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    Net b;
    Value* x = b.image();
    Value* conv = b.conv(x, b.weight(), "conv");
    Value* cat = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{x, conv}}, {"dim", 1}}, {1, 8, 8, 8}, "cat");
    XnnpackQuantizer quantizer(compat);
    quantizer.set_global(per_channel());
    quantizer.set_filter_function([](const Node& node) { return !node.is("aten.cat.default"); });
    const Prepared p = prepare(b.finish({cat}), quantizer, compat);
    EXPECT_EQ(p.rule("cat"), compat == Compat::torchao ? "xnnpack.cat" : "");
    if (compat == Compat::intaglio) continue;
    // The convolution's output has parameters, so it owns the concatenation's.
    const auto& inputs = p.at("cat")->input_qspec_map;
    ASSERT_EQ(inputs.size(), 2u);
    EXPECT_EQ(inputs[0].first->name(), "conv");
    EXPECT_FALSE(is_shared(inputs[0].second));
    EXPECT_TRUE(is_shared(inputs[1].second));
    EXPECT_TRUE(is_shared(p.at("cat")->output_qspec));
  }
}

TEST(XnnpackQuantizer, CatSharesOneObserverWithEverythingItJoins) {
  Net b;
  Value* x = b.image();
  Value* conv = b.conv(x, b.weight(), "conv");
  Value* cat = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{conv, x}}, {"dim", 1}}, {1, 8, 8, 8}, "cat");
  const Prepared p = prepare_global(b.finish({cat}), Compat::torchao);
  const PreparedProgram::State& state = p.program.internal();
  std::set<size_t> groups;
  for (const char* name : {"x", "conv", "cat"})
    groups.insert(state.insertions.items[state.insertions.at(state.program.graph().find_value(name)).front()].group);
  EXPECT_EQ(groups.size(), 1u);
}

// Integers leave a softmax no precision, and a mask's numbers (-1e4, -inf) would take the range of what they are added to.
TEST(XnnpackQuantizer, WhatOnlyASoftmaxReadsStaysFloat) {
  for (const bool only : {true, false}) {
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      Net b;
      Value* scaled = b.call("aten.mul.Tensor", {{"self", b.image()}, {"other", 0.5}}, {1, 4, 8, 8}, "scaled");
      Value* mask = b.buffer("mask", ramp({8, 8}, -1e4f, 1e3f));
      Value* sum = b.call("aten.add.Tensor", {{"self", scaled}, {"other", mask}}, {1, 4, 8, 8}, "sum");
      Value* relu = b.unary("aten.relu.default", sum, "relu");
      Value* padded = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{relu, relu}}, {"dim", 3}}, {1, 4, 8, 16}, "padded");
      Value* softmax = b.call("aten.softmax.int", {{"self", padded}, {"dim", -1}}, {1, 4, 8, 16}, "softmax");
      std::vector<Value*> outputs = {softmax};
      if (!only) outputs.push_back(b.unary("aten.sigmoid.default", padded, "other", {1, 4, 8, 16}));
      const Prepared p = prepare_global(b.finish(outputs), compat);
      const bool taken = !only || compat == Compat::torchao;
      EXPECT_EQ(p.rule("scaled"), taken ? "xnnpack.mul" : "");
      EXPECT_EQ(p.rule("sum"), taken ? "xnnpack.add_relu" : "");
      EXPECT_EQ(p.rule("padded"), taken ? "xnnpack.cat" : "");
      if (taken) continue;
      const Node* add = p.program.program().graph().find_value("sum")->producer();
      EXPECT_NE(p.program.internal().annotations.refusal(add)->find("goes to more than a softmax"), std::string::npos);
    }
  }
}

// Heads of a detector: integers all the way, and no mask among them.
TEST(XnnpackQuantizer, QuantizedLayersAreJoinedBeforeASoftmax) {
  Net b;
  Value* x = b.image();
  const std::vector<Value*> heads = {b.conv(x, b.weight("a"), "a"), b.conv(x, b.weight("b"), "b")};
  Value* cat = b.call("aten.cat.default", {{"tensors", heads}, {"dim", 1}}, {1, 8, 8, 8}, "cat");
  Value* softmax = b.call("aten.softmax.int", {{"self", cat}, {"dim", 1}}, {1, 8, 8, 8}, "softmax");
  EXPECT_EQ(prepare_global(b.finish({softmax}), Compat::intaglio).rule("cat"), "xnnpack.cat");
}

// torchao makes `arange + 1` a float tensor.
TEST(XnnpackQuantizer, IntegerArithmeticStaysInteger) {
  Net b;
  Value* x = b.input("x", {4}, DType::int64);
  Value* y = b.call("aten.add.Tensor", {{"self", x}, {"other", 1}}, {{4}, DType::int64}, "add");
  const Prepared p = prepare_global(b.finish({y}), Compat::intaglio);
  const Node* add = p.program.program().graph().find_value("add")->producer();
  EXPECT_TRUE(add->find("other")->is<int64_t>());
  EXPECT_EQ(p.at("add"), nullptr);
}

TEST(XnnpackQuantizer, InPlaceScalarIsQuantizedAndAHugeOneIsNot) {
  Net b;
  Value* x = b.image();
  Value* plus = b.call("aten.add_.Tensor", {{"self", x}, {"other", 1.5}}, {1, 4, 8, 8}, "plus");
  Value* mask = b.call("aten.mul.Tensor", {{"self", plus}, {"other", -1e30}}, {1, 4, 8, 8}, "mask");
  const Prepared p = prepare_global(b.finish({mask}), Compat::intaglio);
  EXPECT_EQ(p.rule("plus"), "xnnpack.add");
  EXPECT_EQ(p.at("plus")->input_qspec_map.size(), 2u);
  EXPECT_EQ(p.rule("mask"), "");
}

// torchao ignores an empty configuration of an operator.
TEST(XnnpackQuantizer, EmptyOperatorConfigurationMeansFloat) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    XnnpackQuantizer quantizer(compat);
    quantizer.set_global(per_channel()).set_operator_type("aten.linear.default", std::nullopt);
    const Prepared p = prepare(residual_network(), quantizer, compat);
    EXPECT_EQ(p.rule("linear"), compat == Compat::torchao ? "xnnpack.linear" : "");
    EXPECT_EQ(p.rule("add"), "xnnpack.add");
  }
}

TEST(XnnpackQuantizer, EmptyModuleConfigurationMeansFloat) {
  XnnpackQuantizer by_type;
  by_type.set_global(per_channel()).set_module_type(linear_type, std::nullopt);
  EXPECT_EQ(prepare(residual_network(), by_type, Compat::intaglio).rule("linear"), "");
  XnnpackQuantizer by_name;
  by_name.set_global(per_channel()).set_module_name("fc", std::nullopt);
  EXPECT_EQ(prepare(residual_network(), by_name, Compat::intaglio).rule("linear"), "");
  EXPECT_THROW(XnnpackQuantizer(Compat::torchao).set_module_name("fc", std::nullopt), Error);
}

// The operator's own configuration comes before the global one; by default it reaches that operator alone.
TEST(XnnpackQuantizer, OperatorTypeComesBeforeGlobal) {
  XnnpackQuantizer quantizer;
  quantizer.set_global(per_channel()).set_operator_type("aten.linear", get_symmetric_quantization_config());
  const Prepared p = prepare(residual_network(), quantizer, Compat::intaglio);
  EXPECT_EQ(pt2e::to_string(*p.at("linear")->input_qspec_map[1].second), "int8 per_tensor_symmetric [-127, 127] axis 0 min_max");
  EXPECT_EQ(pt2e::to_string(*p.at("conv2d")->input_qspec_map[1].second),
            "int8 per_channel_symmetric [-127, 127] axis 0 per_channel_min_max");
}

TEST(XnnpackQuantizer, TransposedConvolutionUsesItsSecondAxisAndOneGroup) {
  for (const int64_t groups : {1, 2}) {
    Net b;
    Value* conv = b.call("aten.conv_transpose2d.input",
                         {{"input", b.image()},
                          {"weight", b.parameter("w", ramp({4, 4 / groups, 1, 1}, 0.1f, 0.1f))},
                          {"bias", Argument()},
                          {"stride", std::vector<int64_t>{1, 1}},
                          {"padding", std::vector<int64_t>{0, 0}},
                          {"output_padding", std::vector<int64_t>{0, 0}},
                          {"groups", groups}},
                         {1, 4, 8, 8}, "up");
    Value* relu = b.unary("aten.relu.default", conv, "relu");
    const Prepared p = prepare_global(b.finish({relu}), Compat::torchao);
    EXPECT_EQ(p.rule("up"), groups == 1 ? "xnnpack.conv_transpose_relu" : "");
    if (groups != 1) continue;
    EXPECT_EQ(std::get<QuantizationSpec>(*p.at("up")->input_qspec_map[1].second).ch_axis, 1);
  }
}

// Dynamic: linear and dense 2-d convolutions. torchao skips a convolution before a relu, and any with one input channel.
TEST(XnnpackQuantizer, DynamicTakesLinearAndDenseConvolutions) {
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    const Prepared p =
        prepare_global(residual_network(), compat, get_symmetric_quantization_config({.is_per_channel = true, .is_dynamic = true}));
    EXPECT_EQ(p.rule("linear"), "xnnpack.linear");
    EXPECT_EQ(p.rule("conv2d_1"), "xnnpack.conv");
    EXPECT_EQ(p.rule("conv2d"), compat == Compat::torchao ? "" : "xnnpack.conv");
    EXPECT_EQ(p.rule("add"), "");
    EXPECT_FALSE(p.at("linear")->output_qspec.has_value());
  }
}

// What the runtime has dynamic kernels for: convolutions over lines and with one input channel, but no depthwise ones.
TEST(XnnpackQuantizer, DynamicTakesWhatTheRuntimeTakes) {
  struct Row {
    Sizes weight;
    int64_t groups;
    bool intaglio, torchao;
  };
  const Row rows[] = {{{4, 4, 1, 1}, 1, true, true},   {{4, 2, 1, 1}, 2, true, true}, {{4, 1, 1, 1}, 1, true, false},
                      {{4, 1, 1, 1}, 4, false, false}, {{4, 4, 1}, 1, true, false},   {{4, 1, 1}, 4, false, false}};
  for (const Row& row : rows) {
    for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
      Net b;
      const bool line = row.weight.size() == 3;
      Sizes image = {1, row.weight[1] * row.groups, 8, 8}, result = {1, 4, 8, 8};
      if (line) image.pop_back(), result.pop_back();
      Value* conv = b.call(line ? "aten.conv1d.default" : "aten.conv2d.default",
                           {{"input", b.input("x", image)},
                            {"weight", b.parameter("c.weight", ramp(row.weight, -0.5f, 0.1f))},
                            {"bias", Argument()},
                            {"groups", row.groups}},
                           result, "conv");
      const Prepared p =
          prepare_global(b.finish({conv}), compat, get_symmetric_quantization_config({.is_per_channel = true, .is_dynamic = true}));
      const bool taken = compat == Compat::torchao ? row.torchao : row.intaglio;
      EXPECT_EQ(p.rule("conv"), taken ? "xnnpack.conv" : "") << row.weight.size() << " dimensions, " << row.groups << " groups";
    }
  }
}

// A weight that is computed from inputs cannot be packed ahead.
TEST(XnnpackQuantizer, ComputedWeightStaysFloat) {
  Net b;
  Value* x = b.input("x", {2, 4});
  Value* weight = b.input("w", {3, 4});
  Value* y = b.call("aten.linear.default", {{"input", x}, {"weight", weight}}, {2, 3}, "linear");
  EXPECT_EQ(prepare_global(b.finish({y}), Compat::intaglio).rule("linear"), "");
}

// Annotations, groups and observers of both modes, beside the goldens of prepare.
TEST(XnnpackQuantizer, ResidualNetworkAsGolden) {
  std::string text;
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    const Prepared p = prepare_global(residual_network(), compat);
    text += (compat == Compat::torchao ? "# torchao\n" : "# intaglio\n") + pt2e::to_string(p.program.internal());
  }
  test::expect_golden("src/backends/xnnpack/golden/quantizer_residual_network.txt", text);
}

// The name that nothing has, and what follows from it.
TEST(XnnpackQuantizer, NothingQuantizedIsAWarning) {
  std::vector<std::string> warnings;
  XnnpackQuantizer quantizer;
  quantizer.set_module_name("nobody", per_channel());
  prepare_pt2e(residual_network(), quantizer, {.warn = [&](const std::string& line) { warnings.push_back(line); }});
  EXPECT_EQ(warnings.size(), 2u);
}

// The partitioner would leave these outside delegates; what has many dimensions gets fewer in lowering.
TEST(XnnpackQuantizer, WhatTheRuntimeDoesNotTakeStaysInFloat) {
  const SymSizes rows = {SymInt(parse_sym_expr("s0"), "s0", 2), 3};
  Net b;
  const auto sum = [&](const std::string& name, Meta sizes) {
    return b.call("aten.add.Tensor", {{"self", b.input(name + "_x", sizes)}, {"other", b.input(name + "_y", sizes)}}, sizes, name);
  };
  Value* linear = b.call("aten.linear.default",
                         {{"input", b.input("rows", {4, 3})}, {"weight", b.parameter("w", Sizes{5, 3})}, {"bias", b.input("bias", {5})}},
                         {4, 5}, "linear");
  Value* unfolded = b.call("aten.view.default", {{"self", sum("flat", {4, 2, 3})}, {"size", std::vector<int64_t>{2, 1, 2, 1, 2, 1, 3}}},
                           {2, 1, 2, 1, 2, 1, 3}, "unfolded");
  const Prepared p =
      prepare_global(b.finish({sum("scalars", {}), sum("empty", {0, 3}), sum("unbounded", rows), linear, unfolded}), Compat::intaglio);
  for (const char* name : {"scalars", "empty", "unbounded", "linear"}) EXPECT_EQ(p.rule(name), "") << name;
  EXPECT_EQ(p.rule("flat"), "xnnpack.add");
  EXPECT_EQ(p.rule("unfolded"), "xnnpack.sharing");
}

}  // namespace
}  // namespace intaglio::xnnpack
