#include "pt2e/insertions.h"

#include <gtest/gtest.h>

#include "pt2e/specs_for_tests.h"
#include "testing/program_builder.h"

namespace intaglio::pt2e {
namespace {

using namespace test;

struct Fork {
  ProgramBuilder b;
  Value *x, *a, *c, *d;
  ExportedProgram program;
  Annotations annotations;
  Fork() {
    x = b.input("x", {1, 4});
    a = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "a");
    c = b.call("aten.relu.default", {{"self", a}}, {1, 4}, "c");
    d = b.call("aten.cat.default", {{"tensors", std::vector<Value*>{a, a}}, {"dim", 1}}, {1, 8}, "d");
    program = b.finish({c, d});
  }
  Insertions plan() { return plan_insertions(program, annotations, resolve_specs(program.graph(), annotations, Compat::intaglio)); }
};

TEST(Insertions, OutputObserverServesUsersOfTheSameGroup) {
  Fork t;
  t.annotations.of(t.a->producer()).output_qspec = int8_spec();
  t.annotations.of(t.c->producer()).input_qspec_map = {{t.a, int8_spec()}};
  const Insertions plan = t.plan();
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_TRUE(plan.items[0].of_output);
  EXPECT_EQ(plan.items[0].users, (std::vector<Node*>{t.c->producer(), t.d->producer()}));
  EXPECT_EQ(plan.items[0].name, "activation_post_process_0");
}

TEST(Insertions, AnotherGroupStacksBehindTheOutputObserver) {
  Fork t;
  t.annotations.of(t.a->producer()).output_qspec = int8_spec();
  t.annotations.of(t.c->producer()).input_qspec_map = {{t.a, int8_spec(-127)}};
  const Insertions plan = t.plan();
  ASSERT_EQ(plan.items.size(), 2u);
  EXPECT_EQ(plan.items[1].parent, 0u);
  EXPECT_EQ(plan.items[0].users, (std::vector<Node*>{t.d->producer()}));
  EXPECT_EQ(plan.items[1].users, (std::vector<Node*>{t.c->producer()}));
  EXPECT_EQ(plan.at(t.a), (std::vector<size_t>{0, 1}));
}

TEST(Insertions, InputEdgesOfOneGroupShareAnObserverAndATwiceUsedTensorIsOneEdge) {
  Fork t;
  t.annotations.of(t.c->producer()).input_qspec_map = {{t.a, int8_spec()}};
  t.annotations.of(t.d->producer()).input_qspec_map = {{t.a, int8_spec()}};
  const Insertions plan = t.plan();
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_FALSE(plan.items[0].of_output);
  EXPECT_EQ(plan.items[0].users.size(), 2u);
}

TEST(Insertions, LaterInputObserversStandFirst) {
  Fork t;
  t.annotations.of(t.c->producer()).input_qspec_map = {{t.a, int8_spec()}};
  t.annotations.of(t.d->producer()).input_qspec_map = {{t.a, int8_spec(-127)}};
  EXPECT_EQ(t.plan().at(t.a), (std::vector<size_t>{1, 0}));
}

TEST(Insertions, AnnotatedFloatHasNone) {
  Fork t;
  t.annotations.of(t.c->producer()).input_qspec_map = {{t.a, std::nullopt}};
  EXPECT_TRUE(t.plan().items.empty());
}

// What an in-place operator writes to keeps its type when it is a buffer.
TEST(Insertions, MutatedBufferIsLeftAlone) {
  ProgramBuilder b;
  Value* buffer = b.buffer("count", ramp({1, 4}, 0, 1));
  Value* x = b.input("x", {1, 4});
  Value* sum = b.call("aten.add_.Tensor", {{"self", buffer}, {"other", x}}, {1, 4}, "add_");
  ExportedProgram program = b.finish({sum});
  Annotations annotations;
  annotations.of(sum->producer()).input_qspec_map = {{buffer, int8_spec()}, {x, int8_spec()}};
  const Insertions plan = plan_insertions(program, annotations, resolve_specs(program.graph(), annotations, Compat::intaglio));
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_EQ(plan.items[0].value, x);
}

// y = add_(buffer, x); z = mul_(y, x): the second write goes to the buffer, as the first does.
struct TwoWrites {
  ProgramBuilder b;
  Value* buffer = b.buffer("state", ramp({1, 4}, 0, 1));
  Value* x = b.input("x", {1, 4});
  Value* sum = b.call("aten.add_.Tensor", {{"self", buffer}, {"other", x}}, {1, 4}, "add_");
  Value* product = b.call("aten.mul_.Tensor", {{"self", sum}, {"other", x}}, {1, 4}, "mul_");
  Value* read = b.call("aten.relu.default", {{"self", sum}}, {1, 4}, "read");
  ExportedProgram program = b.finish({read});
  Insertions plan(Compat compat) {
    Annotations annotations;
    annotations.of(sum->producer()) = {.input_qspec_map = {{buffer, int8_spec()}, {x, int8_spec()}}, .output_qspec = int8_spec()};
    return plan_insertions(program, annotations, resolve_specs(program.graph(), annotations, compat), compat);
  }
};

TEST(Insertions, WritesGoToTheMemoryThatTheyAreMeantFor) {
  TwoWrites t;
  const Insertions plan = t.plan(Compat::intaglio);
  // `read` comes after the second write, so it gets the tensor itself, too.
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_EQ(plan.items[0].value, t.x);
}

TEST(Insertions, TorchaoLetsTheSecondWriteGoIntoACopy) {
  TwoWrites t;
  const Insertions plan = t.plan(Compat::torchao);
  EXPECT_EQ(plan.items.back().users, (std::vector<Node*>{t.product->producer(), t.read->producer()}));
}

TEST(Insertions, WhoReadsAfterAWriteThroughAViewReadsTheMemory) {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4});
  Value* whole = b.call("aten.relu.default", {{"self", x}}, {1, 4}, "whole");
  Value* before = b.call("aten.tanh.default", {{"self", whole}}, {1, 4}, "before");
  Value* part = b.call("aten.slice.Tensor", {{"self", whole}, {"dim", 1}, {"start", 0}, {"end", 2}}, {1, 2}, "part");
  b.call("aten.add_.Scalar", {{"self", part}, {"other", 1.0}}, {1, 2}, "write");
  Value* after = b.call("aten.tanh.default", {{"self", whole}}, {1, 4}, "after");
  ExportedProgram program = b.finish({before, after});
  Annotations annotations;
  annotations.of(whole->producer()).output_qspec = int8_spec();
  const Insertions plan = plan_insertions(program, annotations, resolve_specs(program.graph(), annotations, Compat::intaglio));
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_EQ(plan.items[0].users, (std::vector<Node*>{before->producer()}));
}

TEST(Insertions, AnActivationInPlaceIsObservedAsOneThatIsNot) {
  ProgramBuilder b;
  Value* x = b.input("x", {1, 4});
  Value* sum = b.call("aten.tanh.default", {{"self", x}}, {1, 4}, "sum");
  Value* relu = b.call("aten.relu_.default", {{"self", sum}}, {1, 4}, "relu_");
  ExportedProgram program = b.finish({relu});
  Annotations annotations;
  annotations.of(sum->producer()).output_qspec = int8_spec();
  const Insertions plan = plan_insertions(program, annotations, resolve_specs(program.graph(), annotations, Compat::intaglio));
  ASSERT_EQ(plan.items.size(), 1u);
  EXPECT_EQ(plan.items[0].users, (std::vector<Node*>{relu->producer()}));
}

}  // namespace
}  // namespace intaglio::pt2e
