// The whole way from an edge program to a decoded payload, as text.
#include "backends/xnnpack/preprocess.h"

#include <gtest/gtest.h>
#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "backends/xnnpack/payload_reader.h"
#include "backends/xnnpack/payload_writer.h"
#include "backends/xnnpack/test_program.h"

namespace intaglio::xnnpack {
namespace {

TEST(Smoke, Print) {
  TestProgram t;
  Value* x = t.input({1, 3, 8, 8});
  Value* a = t.qdq(x, 0.05, 3);
  Value* w = t.int8_weight("w", {4, 3, 3, 3});
  Value* c = t.convolution(a, w, t.weight("b", {4}), 1, 1);
  Value* r = t.qdq(t("aten.relu.default", c), 0.03, -128);
  t.returns({r});
  const PayloadGraph graph = lower_partition(t.program, Features{});
  printf("%s\n", to_string(graph).c_str());
  const WrittenPayload written = write_payload(graph);
  EXPECT_EQ(to_string(read_payload(written.bytes)), to_string(graph));
  XnnpackPartitioner p;
  const auto result = p.partition(t.program);
  EXPECT_EQ(result.partitions.size(), 1u);
  for (auto& r : result.refusals) printf("%s\n", r.rule.c_str());
}

}  // namespace
}  // namespace intaglio::xnnpack
