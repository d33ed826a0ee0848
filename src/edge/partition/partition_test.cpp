#include "edge/partition/cut.h"

#include <fmt/format.h>
#include <intaglio/edge.h>

#include "edge/partition/groups.h"
#include "testing/errors.h"
#include "testing/program_builder.h"
#include "testing/text_cases.h"

namespace intaglio::edge {
namespace {

using test::ProgramBuilder;

// Takes every relu, neg and mul, one group each, and keeps the buffers that they write.
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
    for (const InputSpec& spec : program.input_specs)
      if (spec.kind == InputSpec::Kind::buffer && program.is_mutated(spec.value))
        result.partitions.at(0).owned_buffers.push_back(spec.value);
    return result;
  }
  // The payload says where the partition comes from.
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override {
    std::vector<Delegate> delegates;
    for (const MethodPartition& partition : partitions) {
      verify(partition.program);
      Delegate& delegate = delegates.emplace_back();
      delegate.backend_id = "Picky";
      delegate.payload = Blob(fmt::format("{} {} of {}", partition.method, partition.index, partitions.size()));
    }
    return delegates;
  }
};

std::string payload(const Delegate& delegate) {
  const std::vector<std::byte> bytes = delegate.payload.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MergePartitions, OneGroupPerBreak) {
  ProgramBuilder t;
  Value *x = t.input("x", {2}), *y = t.input("y", {2});
  Value* a = t("aten.relu.default", x);
  Value* other = t("aten.neg.default", y);  // not connected, same group
  Value* broken = t("aten.sigmoid.default", a);
  Value* b = t("aten.mul.Tensor", broken, a);
  Value* late = t("aten.neg.default", other);
  t.returns({b, late});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  const std::vector<Partition> merged = merge_partitions(t.program.graph(), {{nodes[0]}, {nodes[1]}, {nodes[3]}, {nodes[4]}});
  ASSERT_EQ(merged.size(), 2u);
  EXPECT_EQ(merged[0].nodes, (std::vector<Node*>{nodes[0], nodes[1], nodes[4]}));
  EXPECT_EQ(merged[1].nodes, (std::vector<Node*>{nodes[3]}));
}

TEST(MergePartitions, EntangledGroupsAreGivenUp) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Value* a = t("aten.relu.default", x);
  Value* outside = t("aten.sigmoid.default", a);
  Value* b = t("aten.mul.Tensor", a, outside);
  t.returns({b});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  EXPECT_TRUE(merge_partitions(t.program.graph(), {{nodes[0], nodes[2]}}).empty());
}

TEST(Partition, CutsDelegatesOut) {
  ProgramBuilder t;
  Value* w = t.parameter("w", {2});
  Value* shared = t.parameter("shared", {2});
  Value* x = t.input("x", {2});
  Value* a = t("aten.mul.Tensor", t("aten.relu.default", x), w);
  Value* s = t("aten.sigmoid.default", t("aten.add.Tensor", a, shared));
  Value* b = t("aten.mul.Tensor", s, shared);
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
  test::expect_golden("src/edge/golden/partition_cut.txt", to_string(method.program));
  test::expect_golden("src/edge/golden/partition_first_delegate.txt", to_string(*method.delegates[0].program));
  ASSERT_EQ(method.leftovers.size(), 2u);
  EXPECT_EQ(method.leftovers[0].op, "aten.add.Tensor");
  EXPECT_EQ(method.leftovers[0].rule, "picky: only relu, neg and mul");
  EXPECT_EQ(method.program.state.find("w"), nullptr);
  EXPECT_NE(method.program.state.find("shared"), nullptr);
}

TEST(Partition, RefusesWhatIsNotConvex) {
  ProgramBuilder t;
  Value* x = t.input("x", {2});
  Value* a = t("aten.relu.default", x);
  Value* b = t("aten.mul.Tensor", a, t("aten.sigmoid.default", a));
  t.returns({b});
  const std::vector<Node*> nodes = t.program.graph().node_list();
  std::vector<Partition> partitions = {{{nodes[0], nodes[2]}, {}}};
  const std::string message = test::refusal_of(ErrorKind::bug, [&] { arrange_partitions(t.program, partitions); });
  EXPECT_NE(message.find("not convex"), std::string::npos);
}

TEST(Partition, AllMethodsAreSeenAtOnce) {
  const auto program = [] {
    ProgramBuilder t;
    Value* x = t.input("x", {2});
    t.returns({t("aten.relu.default", t("aten.sigmoid.default", t("aten.relu.default", x)))});
    return std::move(t.program);
  };
  std::vector<std::pair<std::string, ExportedProgram>> methods;
  methods.emplace_back("prefill", program());
  methods.emplace_back("decode", program());
  const EdgeProgram edge = to_edge_transform_and_lower(std::move(methods), {Picky()});
  ASSERT_EQ(edge.methods.size(), 2u);
  ASSERT_EQ(edge.methods[1].delegates.size(), 2u);
  EXPECT_EQ(payload(edge.methods[0].delegates[1]), "prefill 1 of 4");
  EXPECT_EQ(payload(edge.methods[1].delegates[0]), "decode 0 of 4");
}

// state = relu(x) * state; returns -state.
ExportedProgram running_product() {
  ProgramBuilder t;
  Value* state = t.buffer("state", Tensor::zeros(DType::float32, {2}));
  Value* x = t.input("x", {2});
  Value* next = t("aten.mul.Tensor", t("aten.relu.default", x), state);
  t.returns({next, t("aten.neg.default", next)});
  t.program.output_specs[0] = {OutputSpec::Kind::buffer_mutation, "state"};
  return std::move(t.program);
}

TEST(Partition, ADelegateMayKeepABufferAsItsState) {
  const EdgeProgram edge = to_edge_transform_and_lower(running_product(), {Picky()});
  const EdgeMethod& method = edge.methods.at(0);
  verify(method.program);
  EXPECT_EQ(method.program.output_specs.size(), 1u);
  EXPECT_EQ(method.program.state.find("state"), nullptr);
  const ExportedProgram& inside = *method.delegates.at(0).program;
  EXPECT_NE(inside.state.find("state"), nullptr);
  ASSERT_EQ(inside.output_specs.size(), 2u);
  EXPECT_EQ(inside.output_specs[0].kind, OutputSpec::Kind::buffer_mutation);
  EXPECT_EQ(inside.output_specs[0].target, "state");
  EXPECT_EQ(inside.user_inputs().size(), 1u);
}

TEST(Partition, ABufferThatOthersReadIsNobodysOwn) {
  ExportedProgram program = running_product();
  const std::vector<Node*> nodes = program.graph().node_list();
  Value* state = program.graph().find_value("b_state");
  std::vector<Partition> partitions = {{{nodes[0]}, {state}}};
  EXPECT_NE(test::refusal_of(ErrorKind::bug, [&] { arrange_partitions(program, partitions); }).find("owns a buffer"), std::string::npos);
}

TEST(Lower, MethodNamesAreUnique) {
  std::vector<std::pair<std::string, ExportedProgram>> methods(2);
  methods[0].first = methods[1].first = "forward";
  EXPECT_NE(test::refusal_of(ErrorKind::usage, [&] { to_edge_transform_and_lower(std::move(methods), {}); }).find("twice"),
            std::string::npos);
}

}  // namespace
}  // namespace intaglio::edge
