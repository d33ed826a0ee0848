// From a quantizer's setters to numbers: prepared, converted, lowered, run on the stock runtime, beside the float program.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include <intaglio/edge.h>
#include <intaglio/interpreter.h>
#include <intaglio/xnnpack.h>

#include "pt2e/networks_for_tests.h"
#include "runtime/runtime.h"
#include "testing/numbers.h"

namespace intaglio::xnnpack {
namespace {

using namespace test;

const QuantizationConfig fixed = get_symmetric_quantization_config({.is_per_channel = true});
const QuantizationConfig dynamic = get_symmetric_quantization_config({.is_per_channel = true, .is_dynamic = true});

size_t count(const ExportedProgram& program, std::string_view op) {
  size_t found = 0;
  for (const Node* node : program.graph().node_list()) found += node->is(op);
  return found;
}

struct Outcome {
  size_t dynamic_tensors = 0;
  size_t static_tensors = 0;
  size_t delegates = 0;
  std::vector<std::string> leftovers;
  double converted_sqnr = 0;  // of the interpreter's outputs against the float program
  double delegate_sqnr = 0;   // of the runtime's
};

Outcome run(ExportedProgram (*make)(), const XnnpackQuantizer& quantizer) {
  const ExportedProgram floats = make();
  const Sizes sizes = floats.user_inputs().front()->meta().static_sizes();
  PreparedProgram prepared = prepare_pt2e(make(), quantizer);
  for (uint32_t seed = 1; seed <= 4; ++seed) prepared({noise(sizes, -1, 1, seed)});
  ExportedProgram converted = convert_pt2e(std::move(prepared));

  Outcome outcome;
  outcome.dynamic_tensors = count(converted, "quantized_decomposed.choose_qparams.tensor");
  outcome.static_tensors = count(converted, "quantized_decomposed.quantize_per_tensor.default");
  const Tensor input = noise(sizes, -1, 1, 99);
  const Tensor reference = Interpreter(floats, {.threads = 1}).run({input}).front();
  EXPECT_GT(std::abs(reference.data<float>()[0]), 1e-2);
  outcome.converted_sqnr = sqnr(reference, Interpreter(converted, {.threads = 1}).run({input}).front());

  PartitionerList partitioners;
  partitioners.add(std::make_unique<XnnpackPartitioner>());
  EdgeProgram edge = to_edge_transform_and_lower(std::move(converted), partitioners);
  outcome.delegates = edge.methods.front().delegates.size();
  for (const LeftoverOp& op : edge.methods.front().leftovers) outcome.leftovers.push_back(op.op);
  const auto path = std::filesystem::temp_directory_path() / ("quantized_run_" + std::to_string(getpid()) + ".pte");
  std::move(edge).to_executorch().save(path);
  runtime::PteRunner runner(runtime::RunnerOptions{.threads = 1});
  runner.load(path);
  outcome.delegate_sqnr = sqnr(reference, std::get<Tensor>(runner.run(std::vector<runtime::RunValue>{input}).front()));
  std::filesystem::remove(path);
  return outcome;
}

// A convolution and a linear that are called twice.
ExportedProgram called_twice() {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4, 6, 6});
  Value* w = b.parameter("c.weight", ramp({4, 4, 3, 3}, -0.05f, 0.017f));
  Value* v = b.parameter("fc.weight", ramp({4, 4}, -0.4f, 0.09f));
  const auto conv = [&](Value* from, const char* name) {
    return b.call("aten.conv2d.default",
                  {{"input", from},
                   {"weight", w},
                   {"bias", Argument()},
                   {"stride", std::vector<int64_t>{1, 1}},
                   {"padding", std::vector<int64_t>{1, 1}}},
                  {1, 4, 6, 6}, name, {{"c", conv2d_type}});
  };
  const auto linear = [&](Value* from, const char* name) {
    return b.call("aten.linear.default", {{"input", from}, {"weight", v}}, {1, 4}, name, {{"fc", linear_type}});
  };
  Value* images = conv(conv(x, "first"), "second");
  // Called as a function: torchao knows pools by their module only.
  Value* pooled =
      b.call("aten.adaptive_avg_pool2d.default", {{"self", images}, {"output_size", std::vector<int64_t>{1, 1}}}, {1, 4, 1, 1}, "pool");
  Value* flat = b.call("aten.flatten.using_ints", {{"self", pooled}, {"start_dim", 1}}, {1, 4}, "flat");
  return b.finish({linear(linear(flat, "third"), "fourth")});
}

TEST(QuantizedRun, StaticAndDynamicMixInOneModel) {
  XnnpackQuantizer by_name, by_type, by_operator, everything;
  by_name.set_global(fixed).set_module_name("fc", dynamic);
  by_type.set_global(fixed).set_module_type(linear_type, dynamic);
  by_operator.set_global(fixed).set_operator_type("aten.linear.default", dynamic);
  everything.set_global(fixed);
  const Outcome plain = run(residual_network, everything);
  EXPECT_EQ(plain.dynamic_tensors, 0u);
  for (const XnnpackQuantizer* quantizer : {&by_name, &by_type, &by_operator}) {
    const Outcome mixed = run(residual_network, *quantizer);
    EXPECT_EQ(mixed.dynamic_tensors, 1u);
    EXPECT_EQ(mixed.static_tensors, plain.static_tensors);  // what the linear reads is static too, what it gives is read by the mul
    EXPECT_EQ(mixed.delegates, 1u);
    EXPECT_EQ(mixed.leftovers, std::vector<std::string>{});
    EXPECT_GT(mixed.converted_sqnr, 25);
    EXPECT_GT(mixed.delegate_sqnr, 25);
  }
}

// The reverse: everything dynamic but one convolution.
TEST(QuantizedRun, OneStaticLayerAmongDynamicOnes) {
  XnnpackQuantizer quantizer;
  quantizer.set_global(dynamic).set_module_name("c2", fixed);
  const Outcome mixed = run(residual_network, quantizer);
  EXPECT_EQ(mixed.dynamic_tensors, 2u);
  EXPECT_GT(mixed.static_tensors, 0u);
  EXPECT_EQ(mixed.delegates, 1u);
  EXPECT_EQ(mixed.leftovers, std::vector<std::string>{});
  EXPECT_GT(mixed.delegate_sqnr, 25);
}

// Twelve products with numbers, each with a relu: more than the runtime has room for in one table of int8 to int8.
ExportedProgram long_chain() {
  ProgramBuilder b;
  Value* x = b.call("aten.abs.default", {{"self", b.input("x", {2, 8})}}, {2, 8}, "abs");
  for (int i = 0; i < 12; ++i) {
    x = b.call("aten.mul.Tensor", {{"self", x}, {"other", i % 2 == 0 ? 1.25 : 0.75}}, {2, 8}, "product");
    x = b.call("aten.relu.default", {{"self", x}}, {2, 8}, "positive");
  }
  return b.finish({x});
}

TEST(QuantizedRun, ChainsOfElementwiseOpsMayBeLong) {
  XnnpackQuantizer quantizer;
  quantizer.set_global(fixed);
  const Outcome outcome = run(long_chain, quantizer);
  EXPECT_EQ(outcome.delegates, 1u);
  EXPECT_EQ(outcome.static_tensors, 13u);
  EXPECT_GT(outcome.delegate_sqnr, 25);
}

// ExecuTorch leaves the second call in float with an int8 filter, a file that the runtime refuses.
TEST(QuantizedRun, AModuleCalledTwiceIsQuantizedTwice) {
  for (const QuantizationConfig& config : {fixed, dynamic}) {
    XnnpackQuantizer quantizer;
    quantizer.set_global(config);
    const Outcome outcome = run(called_twice, quantizer);
    const bool is_dynamic = config.input_activation->is_dynamic;
    EXPECT_EQ(outcome.dynamic_tensors, is_dynamic ? 4u : 0u);
    // Input, two convolutions, pool, flatten, two linears.
    EXPECT_EQ(outcome.static_tensors, is_dynamic ? 0u : 7u);
    EXPECT_EQ(outcome.delegates, 1u);
    EXPECT_EQ(outcome.leftovers, std::vector<std::string>{});
    EXPECT_GT(outcome.converted_sqnr, 25);
    EXPECT_GT(outcome.delegate_sqnr, 25);
  }
}

// An integer sum is no business of a quantizer; torchao's would make floats of it.
TEST(QuantizedRun, IntegerSumsStayIntegers) {
  const auto program = [] {
    ProgramBuilder b;
    Value* counted =
        b.call("aten.add.Tensor", {{"self", b.input("x", {2, 3}, DType::int64)}, {"other", int64_t{3}}}, {{2, 3}, DType::int64}, "counted");
    return b.finish({counted});
  };
  for (const Compat compat : {Compat::torchao, Compat::intaglio}) {
    XnnpackQuantizer quantizer(compat);
    quantizer.set_global(fixed);
    PreparedProgram prepared = prepare_pt2e(program(), quantizer, {.compat = compat});
    const Value* counted = prepared.program().graph().find_value("counted");
    EXPECT_EQ(counted->dtype(), compat == Compat::torchao ? DType::float32 : DType::int64);
    if (compat == Compat::torchao) continue;
    prepared({Tensor::of<int64_t>({1, 2, 3, 40, 50, 60}, {2, 3})});
    const ExportedProgram converted = convert_pt2e(std::move(prepared));
    const Tensor result = Interpreter(converted, {.threads = 1}).run({Tensor::of<int64_t>({7, 0, -3, 1, 5, 1000}, {2, 3})}).front();
    const auto numbers = result.span<int64_t>();
    EXPECT_EQ(std::vector<int64_t>(numbers.begin(), numbers.end()), (std::vector<int64_t>{10, 3, 0, 4, 8, 1003}));
  }
}

}  // namespace
}  // namespace intaglio::xnnpack
