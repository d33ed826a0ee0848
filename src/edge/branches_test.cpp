#include "edge/branches.h"

#include <intaglio/edge.h>

#include "testing/errors.h"
#include "testing/program_builder.h"

namespace intaglio {
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

TEST(Branches, ConstantsOutsideAreConstantsInside) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = condition(t, {x, t.constant("c", Tensor::of<float>(std::vector<float>{1, -2}, {2}))});
  t.returns({cond.output()});
  EdgeProgram edge = to_edge_transform_and_lower(std::move(t.program), {});
  ExportedProgram& program = edge.methods.at(0).program;
  verify(program);
  const Condition lowered = condition_of(*program.graph().node_list().at(0));
  EXPECT_EQ(ops(*lowered.branches[0]), "relu mul");
  EXPECT_EQ(ops(*lowered.branches[1]), "exp mul");
  // x, and what each branch made of the constant.
  ASSERT_EQ(lowered.operands.size(), 3u);
  EXPECT_EQ(std::get<Value*>(lowered.operands[0])->name(), "x");
  for (const size_t i : {1, 2}) {
    const Tensor* folded = program.constant(std::get<Value*>(lowered.operands[i]));
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
  put_branches(t.program, cond, branches.at(0), branches.at(1));
  verify(t.program);
  EXPECT_EQ(condition_of(cond).operands.size(), 1u);
  EXPECT_EQ(y->users().size(), 0u);
}

TEST(Branches, WritingToAnOperandIsRefused) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = condition(t, {x, x});
  t.returns({cond.output()});
  std::vector<Branch> branches = take_branches(t.program);
  branches.at(1).program.output_specs[0] = {OutputSpec::Kind::user_input_mutation, "a"};
  const auto put = [&] { put_branches(t.program, cond, branches.at(0), branches.at(1)); };
  EXPECT_NE(test::refusal_of(ErrorKind::unsupported, put).find("'a' in place"), std::string::npos);
}

TEST(Branches, OneBranchIsDamage) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Node& cond = t.raw("higher_order.cond", {{"", x}, {"", branch("aten.relu.default")}, {"", x}}, {two});
  EXPECT_NE(test::refusal_of(ErrorKind::bad_input, [&] { condition_of(cond); }).find("two branches"), std::string::npos);
}

}  // namespace
}  // namespace intaglio
