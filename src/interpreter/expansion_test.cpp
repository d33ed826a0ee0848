// Ops that the interpreter computes from what they are made of.
#include "interpreter/test_support.h"

namespace intaglio {
namespace {

using namespace test;

// One node on user inputs of these types; sizes of `symbolic` programs are symbols.
struct OneNode {
  ExportedProgram program;
  std::vector<Value*> inputs;
  Value* result = nullptr;

  Value* input(TensorMeta meta) {
    Graph& graph = program.graph();
    Value* value = graph.add_input(graph.inputs().size(), {std::move(meta), "x" + std::to_string(inputs.size())});
    program.input_specs.push_back({InputSpec::Kind::user_input, value, ""});
    inputs.push_back(value);
    return value;
  }
  Value* node(const char* op, std::vector<NamedArgument> arguments, TensorMeta meta) {
    return program.graph().insert_before(nullptr, Op::get(op), std::move(arguments), {{std::move(meta)}}).output();
  }
  void returns(std::vector<Value*> values) {
    program.graph().set_outputs({values.begin(), values.end()});
    program.output_specs.assign(values.size(), {OutputSpec::Kind::user_output, ""});
  }
};

TensorMeta f32(std::vector<SymInt> sizes) { return TensorMeta::contiguous(DType::float32, std::move(sizes)); }

TEST(Expansion, AnOperatorWithoutKernelIsComputedFromOthers) {
  OneNode p;
  Value *x = p.input(f32({3})), *y = p.input(f32({3}));
  p.returns({p.node("aten.hypot.default", {{"self", x}, {"other", y}}, f32({3}))});
  Interpreter interpreter(p.program, {.threads = 1});
  expect_values(interpreter.run({Tensor::of<float>({3, 5, 8}, {3}), Tensor::of<float>({4, 12, 15}, {3})})[0], {5, 13, 17});
  // The next run computes anew.
  expect_values(interpreter.run({Tensor::of<float>({0, 6, 9}, {3}), Tensor::of<float>({2, 8, 12}, {3})})[0], {2, 10, 15});
}

TEST(Expansion, SizesAreThoseOfTheCall) {
  const SymInt s(parse_sym_expr("s0"), "s0", 3);
  OneNode p;
  Value* x = p.input(f32({s, 2}));
  p.returns({p.node("aten.pdist.default", {{"self", x}}, f32({s}))});
  Interpreter interpreter(p.program, {.threads = 1});
  expect_values(interpreter.run({Tensor::of<float>({0, 0, 3, 4, 3, 0}, {3, 2})})[0], {5, 3, 4});
  expect_values(interpreter.run({Tensor::of<float>({0, 0, 6, 8}, {2, 2})})[0], {10});
}

TEST(Expansion, ResultsNobodyReadsAreLeftOut) {
  OneNode p;
  Value* x = p.input(f32({2, 3}));
  Node& node = p.program.graph().insert_before(nullptr, Op::get("aten.cummax.default"), {{"self", x}, {"dim", 1}},
                                               {{f32({2, 3})}, {TensorMeta::contiguous(DType::int64, {2, 3})}});
  p.returns({node.output(0)});
  expect_values(Interpreter(p.program, {.threads = 1}).run({Tensor::of<float>({1, 3, 2, -5, -7, 0}, {2, 3})})[0], {1, 3, 3, -5, -5, 0});
  p.returns({node.output(1)});
  Interpreter interpreter(p.program, {.threads = 1});
  EXPECT_NE(message_of([&] { interpreter.run({noise({2, 3})}); }).find("cannot be computed by any kernel"), std::string::npos);
}

// What such a view shares with its operand would be lost.
TEST(Expansion, ViewsBesideWritesAreRefused) {
  OneNode p;
  Value* x = p.input(f32({2, 2}));
  Value* copy = p.node("aten.clone.default", {{"self", x}}, f32({2, 2}));
  Value* view = p.node("aten.ravel.default", {{"self", copy}}, f32({4}));
  p.returns({view});
  expect_values(Interpreter(p.program, {.threads = 1}).run({Tensor::of<float>({1, 2, 3, 4}, {2, 2})})[0], {1, 2, 3, 4});
  p.returns({view, p.node("aten.relu_.default", {{"self", copy}}, f32({2, 2}))});
  Interpreter interpreter(p.program, {.threads = 1});
  EXPECT_NE(message_of([&] { interpreter.run({noise({2, 2})}); }).find("writes in place"), std::string::npos);
}

// What constants decide is folded, whatever computes it.
TEST(Expansion, SingleNodesAreEvaluated) {
  const auto arguments = [](const std::vector<Value*>& v) { return std::vector<NamedArgument>{{"self", v[0]}, {"other", v[1]}}; };
  expect_values(run_op("aten.hypot.default", {Tensor::of<float>({3, 5}, {2}), Tensor::of<float>({4, 12}, {2})}, arguments)[0], {5, 13});
  const Tensor whole = Tensor::of<int64_t>({1, 2}, {2});  // no decomposition of this form
  EXPECT_NE(message_of([&] { run_op("aten.isclose.default", {whole, whole}, arguments); }).find("no kernel for aten.isclose.default"),
            std::string::npos);
}

TEST(Expansion, ThePartThatHasNoKernelIsNamed) {
  OneNode p;
  p.returns({p.node("aten.lgamma.default", {{"self", p.input(f32({2}))}}, f32({2}))});
  EXPECT_NE(message_of([&] { Interpreter interpreter(p.program); }).find("aten.lgamma.default"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
