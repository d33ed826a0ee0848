#include "edge/branches.h"

#include <functional>

#include <intaglio/edge.h>

#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio::edge {
namespace {

using test::ProgramBuilder;

const TensorMeta two = TensorMeta::contiguous(DType::float32, {2});

// a, b -> relu(a) * neg(b), neg(b) being a constant where b is one.
std::shared_ptr<Subgraph> branch(const char* first) {
  auto graph = std::make_unique<Graph>();
  Value* a = graph->add_input(0, {two, "a"});
  Value* b = graph->add_input(1, {two, "b"});
  const auto unary = [&](const char* op, Value* x) { return graph->insert_before(nullptr, Op::get(op), {{"self", x}}, {{two}}).output(); };
  Value* left = unary(first, a);
  Value* right = unary("aten.neg.default", b);
  graph->set_outputs({graph->insert_before(nullptr, Op::get("aten.mul.Tensor"), {{"self", left}, {"other", right}}, {{two}}).output()});
  return std::make_shared<Subgraph>(Subgraph{"branch", std::move(graph)});
}

Node& condition(ProgramBuilder& t, std::vector<Value*> operands) {
  Value* predicate = t.input("p", {}, DType::boolean);
  return t.raw("higher_order.cond",
               {{"", predicate}, {"", branch("aten.relu.default")}, {"", branch("aten.exp.default")}, {"", std::move(operands)}}, {two});
}

std::string ops(const Graph& graph) {
  std::string text;
  for (const Node* node : graph.node_list()) text += (text.empty() ? "" : " ") + std::string(node->op().base());
  return text;
}

void put_both(ExportedProgram& program, Node& node, const std::vector<Branch>& branches) {
  const Branch* const bodies[] = {&branches.at(0), &branches.at(1)};
  put_branches(program, node, bodies);
}

TEST(Branches, ConstantsOutsideAreConstantsInside) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = condition(t, {x, t.constant("c", Tensor::of<float>(std::vector<float>{1, -2}, {2}))});
  t.returns({cond.output()});
  EdgeProgram edge = to_edge_transform_and_lower(std::move(t.program), {});
  ExportedProgram& program = edge.methods.at(0).program;
  verify(program);
  const ControlFlow lowered = control_flow_of(*program.graph().node_list().at(0));
  EXPECT_EQ(ops(*lowered.bodies[0]), "relu mul");
  EXPECT_EQ(ops(*lowered.bodies[1]), "exp mul");
  // x, and what each branch made of the constant.
  ASSERT_EQ(lowered.shared.size(), 3u);
  EXPECT_EQ(std::get<Value*>(lowered.shared[0])->name(), "x");
  for (const size_t i : {1, 2}) {
    const Tensor* folded = program.constant(std::get<Value*>(lowered.shared[i]));
    ASSERT_NE(folded, nullptr);
    EXPECT_EQ(folded->span<float>()[1], 2.0f);
  }
  EXPECT_EQ(edge.methods[0].leftovers.size(), 4u);
}

TEST(Branches, OperandsThatNoBranchUsesGo) {
  ProgramBuilder t;
  Value *x = t.input("x", {2}), *y = t.input("y", {2});
  Node& cond = condition(t, {x, y});
  t.returns({cond.output()});
  std::vector<Branch> branches = take_branches(t.program);
  for (Branch& branch : branches) {
    branch.program.graph().set_outputs({branch.program.user_inputs().at(0)});
    branch.program.graph().eliminate_dead_code();
  }
  put_both(t.program, cond, branches);
  verify(t.program);
  EXPECT_EQ(control_flow_of(cond).shared.size(), 1u);
  EXPECT_TRUE(cond.arguments().back().value.is<std::vector<Value*>>()) << "a list that an archive can hold";
  EXPECT_EQ(y->users().size(), 0u);
}

TEST(Branches, WritingToAnOperandIsRefused) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = condition(t, {x, x});
  t.returns({cond.output()});
  std::vector<Branch> branches = take_branches(t.program);
  branches.at(1).program.output_specs[0] = {OutputSpec::Kind::user_input_mutation, "a"};
  const auto put = [&] { put_both(t.program, cond, branches); };
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, put).find("'a' in place"), std::string::npos);
}

TEST(Branches, OneBranchIsDamage) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = t.raw("higher_order.cond", {{"", x}, {"", branch("aten.relu.default")}, {"", x}}, {two});
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { control_flow_of(cond); }).find("argument 2 is no sub-graph"), std::string::npos);
}

TEST(Branches, WhatDecidesIsATruthOrATensor) {
  const auto refusal = [](const Argument& predicate) {
    ProgramBuilder t;
    Value* x = t.input("x", {2});
    Node& cond =
        t.raw("higher_order.cond", {{"", predicate}, {"", branch("aten.relu.default")}, {"", branch("aten.neg.default")}, {"", x}}, {two});
    return test::refusal_of(ErrorKind::bad_input, [&] { control_flow_of(cond); });
  };
  for (const Argument& predicate : {Argument(DType::boolean), Argument(int64_t{1}), Argument()})
    EXPECT_NE(refusal(predicate).find("what decides is"), std::string::npos);
}

// state, row, c -> state * row, neg(row): a scan over the rows of x.
Node& scan(ProgramBuilder& t, Value* state, Value* x, Value* shared) {
  auto graph = std::make_unique<Graph>();
  Value* s = graph->add_input(0, {two, "s"});
  Value* row = graph->add_input(1, {two, "row"});
  Value* c = graph->add_input(2, {two, "c"});
  const auto call = [&](const char* op, std::vector<NamedArgument> arguments) {
    return graph->insert_before(nullptr, Op::get(op), std::move(arguments), {{two}}).output();
  };
  Value* shifted = call("aten.add.Tensor", {{"self", row}, {"other", call("aten.exp.default", {{"self", c}})}});
  graph->set_outputs({call("aten.mul.Tensor", {{"self", s}, {"other", shifted}}), call("aten.neg.default", {{"self", row}})});
  const std::vector<Value*> first = {state}, sliced = {x}, rest = {shared};
  return t.raw("higher_order.scan",
               {{"", std::make_shared<Subgraph>(Subgraph{"body", std::move(graph)})}, {"", first}, {"", sliced}, {"", rest}},
               {two, TensorMeta::contiguous(DType::float32, {3, 2})});
}

TEST(Branches, WhatALoopCarriesIsNoConstant) {
  ProgramBuilder t;
  Value* start = t.constant("start", Tensor::of<float>(std::vector<float>{1, 1}, {2}));
  Value* shared = t.constant("shared", Tensor::of<float>(std::vector<float>{0, 1}, {2}));
  Node& loop = scan(t, start, t.input("x", {3, 2}), shared);
  t.returns({loop.output(0), loop.output(1)});
  EdgeProgram edge = to_edge_transform_and_lower(std::move(t.program), {});
  ExportedProgram& program = edge.methods.at(0).program;
  verify(program);
  const ControlFlow lowered = control_flow_of(*program.graph().node_list().at(0));
  EXPECT_EQ(ops(*lowered.bodies[0]), "add mul neg");  // the exponential of the shared constant is folded, and `start` is not
  EXPECT_EQ(lowered.carried.size(), 1u);
  EXPECT_EQ(lowered.sliced.size(), 1u);
  ASSERT_EQ(lowered.shared.size(), 1u);
  EXPECT_EQ(program.constant(std::get<Value*>(lowered.shared[0]))->span<float>()[0], 1.0f);
  EXPECT_GT(std::move(edge).to_executorch().bytes().size(), 0u);
}

TEST(Branches, ALoopOverATensorWithoutRowsIsDamage) {
  ProgramBuilder t;
  Node& loop = scan(t, t.input("s", {2}), t.input("x", {0, 2}), t.input("c", {2}));
  t.returns({loop.output(0), loop.output(1)});
  const auto refusal = test::refusal_of(ErrorKind::bad_input, [&] { to_edge_transform_and_lower(std::move(t.program), {}); });
  EXPECT_NE(refusal.find("without rows"), std::string::npos) << refusal;
}

TEST(Branches, LoopsOfOtherFormsAreDamage) {
  const auto refusal = [](const std::function<void(ProgramBuilder&, Node&)>& damage) {
    ProgramBuilder t;
    Node& loop = scan(t, t.input("s", {2}), t.input("x", {3, 2}), t.input("c", {2}));
    t.returns({loop.output(0), loop.output(1)});
    damage(t, loop);
    return test::refusal_of(ErrorKind::bad_input, [&] { to_edge_transform_and_lower(std::move(t.program), {}); });
  };
  const auto with = [](size_t place, Argument argument) {
    return [place, argument](ProgramBuilder& t, Node& loop) {
      std::vector<NamedArgument> arguments = loop.arguments();
      arguments[place].value = argument;
      t.program.graph().set_arguments(loop, std::move(arguments));
    };
  };
  EXPECT_NE(refusal(with(2, std::vector<Value*>())).find("a loop over nothing"), std::string::npos);
  EXPECT_NE(refusal(with(2, std::vector<int64_t>{4})).find("tensors with dimensions"), std::string::npos);
  EXPECT_NE(refusal(with(0, Argument())).find("argument 0 is no sub-graph"), std::string::npos);
  EXPECT_NE(refusal(with(3, std::vector<Value*>())).find("takes 3 values and gets 2"), std::string::npos);
  EXPECT_NE(refusal([](ProgramBuilder&, Node& loop) {
              Graph& body = *(*loop.arguments()[0].value.get_if<std::shared_ptr<Subgraph>>())->graph;
              body.set_outputs({body.outputs()[0]});
            }).find("are not those of its body"),
            std::string::npos);
}

}  // namespace
}  // namespace intaglio::edge
