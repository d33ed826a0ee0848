#include "pt2e/insertions.h"

#include <gtest/gtest.h>

#include "testing/program_builder.h"

namespace intaglio {
namespace {

using namespace test;

QuantizationSpec int8_spec(int64_t quant_min = -128) {
  QuantizationSpec spec;
  spec.quant_min = quant_min;
  spec.quant_max = 127;
  spec.observer = min_max_observer();
  return spec;
}

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

}  // namespace
}  // namespace intaglio
