#include "backends/vulkan/symbols.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <intaglio/vulkan.h>

#include "ir/parser.h"

namespace intaglio::vulkan {
namespace {

// Two sizes that are computed: one alone could be inferred.
constexpr const char* dynamic_view = R"(range s0: 2..8 hint 3
range s1: 2..16 hint 5
user %x: f32[s0, s1, 4]
%rows: int(s0) = aten.sym_size.int(%x, 0)
%columns: int(s1) = aten.sym_size.int(%x, 1)
%all: int(s0*s1) = _operator.mul(%rows, %columns)
%a: f32[s0, s1, 4] = aten.relu.default(%x)
%b: f32[s0*s1, 4] = aten.view_copy.default(%a, [%all, 4])
%c: f32[s0, s1, 4] = aten.view_copy.default(%b, [%rows, %columns, 4])
%d: f32[s0, s1, 4] = aten.neg.default(%c)
output user %d
)";

TEST(Symbols, EachReaderHasItsOwnAndTakesThemAlong) {
  ExportedProgram program = parse_program(dynamic_view);
  const VulkanPartitioner partitioner;
  partitioner.transform(program);
  verify(program);
  for (const Node* node : program.graph().node_list())
    if (computes_symbol(*node)) { EXPECT_TRUE(node->output()->has_one_user()); }
  const PartitionResult result = partitioner.partition(program);
  EXPECT_TRUE(result.refusals.empty()) << result.refusals.front().rule;
  ASSERT_EQ(result.partitions.size(), 1u);
  EXPECT_EQ(result.partitions[0].nodes.size(), program.graph().size());
}

// They are operands of the delegate too, be it for their size alone.
TEST(Symbols, WhatTheyLookAtHasBounds) {
  const auto taken = [](const char* bounds) {
    ExportedProgram program = parse_program(std::string("range s0: ") + bounds + R"( hint 3
user %x: f32[s0, 4]
user %y: f32[2]
%rows: int(s0) = aten.sym_size.int(%x, 0)
%number: f32[] = aten.scalar_tensor.default(%rows, dtype=float32)
%z: f32[2] = aten.add.Tensor(%y, %number)
output user %z
)");
    const VulkanPartitioner partitioner;
    partitioner.transform(program);
    size_t nodes = 0;
    for (const Partition& partition : partitioner.partition(program).partitions) nodes += partition.nodes.size();
    return nodes;
  };
  EXPECT_EQ(taken("2..8"), 3u);
  EXPECT_EQ(taken("2.."), 1u);
}

}  // namespace
}  // namespace intaglio::vulkan
