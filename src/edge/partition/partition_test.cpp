#include "edge/partition/cut.h"

#include <intaglio/edge.h>

#include "decompose/programs_for_tests.h"
#include "edge/partition/groups.h"

namespace intaglio {
namespace {

using test::TestProgram;

// Takes every relu, neg and mul, one group each.
class Picky : public Partitioner {
 public:
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<Picky>(*this); }
  std::string_view backend_id() const override { return "Picky"; }
  PartitionResult partition(const ExportedProgram& program) const override {
    PartitionResult result;
    std::vector<NodeGroup> groups;
    for (Node* node : program.graph().node_list()) {
      const std::string_view base = node->op().base();
      if (base == "relu" || base == "neg" || base == "mul") groups.push_back({node});
      else result.refusals.push_back({node, "picky: only relu, neg and mul"});
    }
    result.partitions = merge_partitions(program.graph(), groups);
    return result;
  }
  Delegate preprocess(ExportedProgram partition) const override {
    verify(partition);
    Delegate delegate;
    delegate.backend_id = "Picky";
    delegate.payload = Blob(to_string(partition));
    return delegate;
  }
};

TEST(MergePartitions, OneGroupPerBreak) {
  TestProgram t;
  Value *x = t.input("x", {2}), *y = t.input("y", {2});
  Value* a = t.op("aten.relu.default", {x});
  Value* other = t.op("aten.neg.default", {y});  // not connected, same group
  Value* broken = t.op("aten.sigmoid.default", {a});
  Value* b = t.op("aten.mul.Tensor", {broken, a});
  Value* late = t.op("aten.neg.default", {other});
  t.returns({b, late});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  const std::vector<Partition> merged = merge_partitions(t.program.graph(), {{nodes[0]}, {nodes[1]}, {nodes[3]}, {nodes[4]}});
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[0].nodes, (std::vector<Node*>{nodes[0], nodes[1], nodes[4]}));
  EXPECT_EQ(merged[1].nodes, (std::vector<Node*>{nodes[3]}));
}

TEST(MergePartitions, EntangledGroupsAreGivenUp) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* a = t.op("aten.relu.default", {x});
  Value* outside = t.op("aten.sigmoid.default", {a});
  Value* b = t.op("aten.mul.Tensor", {a, outside});
  t.returns({b});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  EXPECT_TRUE(merge_partitions(t.program.graph(), {{nodes[0], nodes[2]}}).empty());
}

TEST(Partition, CutsDelegatesOut) {
  TestProgram t;
  Value* w = t.parameter("w", {2});
  Value* shared = t.parameter("shared", {2});
  Value* x = t.input("x", {2});
  Value* a = t.op("aten.mul.Tensor", {t.op("aten.relu.default", {x}), w});
  Value* s = t.op("aten.sigmoid.default", {t.op("aten.add.Tensor", {a, shared})});
  Value* b = t.op("aten.mul.Tensor", {s, shared});
  t.returns({b, a});
  std::vector<std::string> steps;
  LowerOptions options;
  options.observe = [&](std::string_view step, const ExportedProgram& program) {
    verify(program);
    steps.emplace_back(step);
  };
  EdgeProgram lowered = to_edge_transform_and_lower(std::move(t.program), PartitionerList{Picky()}, options);
  const EdgeMethod& method = lowered.methods.at(0);
  ASSERT_EQ(method.delegates.size(), 2u);
  EXPECT_NE(std::find(steps.begin(), steps.end(), "delegate to Picky"), steps.end());
  test::expect_golden("partition_cut", method.program);
  test::expect_golden("partition_first_delegate", *method.delegates[0].program);
  ASSERT_EQ(method.leftovers.size(), 2u);
  EXPECT_EQ(method.leftovers[0].op, "aten.add.Tensor");
  EXPECT_EQ(method.leftovers[0].rule, "picky: only relu, neg and mul");
  EXPECT_EQ(method.program.state.find("w"), nullptr);
  EXPECT_NE(method.program.state.find("shared"), nullptr);
}

TEST(Partition, RefusesWhatIsNotConvex) {
  TestProgram t;
  Value* x = t.input("x", {2});
  Value* a = t.op("aten.relu.default", {x});
  Value* b = t.op("aten.mul.Tensor", {a, t.op("aten.sigmoid.default", {a})});
  t.returns({b});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  std::vector<Delegate> delegates;
  const std::string message =
      test::refusal_of(ErrorKind::bug, [&] { delegate_partitions(t.program, Picky(), {{{nodes[0], nodes[2]}}}, delegates); });
  EXPECT_NE(message.find("not convex"), std::string::npos);
}

TEST(Lower, MethodNamesAreUnique) {
  std::vector<std::pair<std::string, ExportedProgram>> methods(2);
  methods[0].first = methods[1].first = "forward";
  EXPECT_NE(test::refusal_of(ErrorKind::usage, [&] { to_edge_transform_and_lower(std::move(methods), {}); }).find("twice"),
            std::string::npos);
}

}  // namespace
}  // namespace intaglio
