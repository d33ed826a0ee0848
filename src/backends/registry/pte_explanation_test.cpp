#include "report/pte_explanation.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/xnnpack.h>

#include "report/executable.h"
#include "report/memory_use.h"
#include "testing/program_builder.h"

namespace intaglio {
namespace {

using test::ProgramBuilder;
using test::ramp;

std::vector<std::byte> file_of(ExportedProgram program, const PartitionerList& partitioners) {
  return to_edge_transform_and_lower(std::move(program), partitioners).to_executorch().bytes();
}

ExportedProgram two_layers() {
  ProgramBuilder b;
  Value* x = b.input("x", {4, 8});
  Value* y =
      b.call("aten.linear.default", {{"input", x}, {"weight", b.parameter("first.weight", ramp({16, 8}, 0.1f, 0.1f))}}, {4, 16}, "a");
  Value* clipped = b.call("aten.relu.default", {{"self", y}}, {4, 16}, "r");
  Value* sums = b.call("aten.cumsum.default", {{"self", clipped}, {"dim", 1}}, {4, 16}, "sums");
  return b.finish({sums});
}

TEST(PteContents, DecodesDelegates) {
  const report::PteContents contents = report::read_pte_contents(file_of(two_layers(), {xnnpack::XnnpackPartitioner()}));
  ASSERT_EQ(contents.methods.size(), 1u);
  const report::MethodContents& method = contents.methods[0];
  ASSERT_EQ(method.delegates.size(), 1u);
  const report::DelegateContents& delegate = method.delegates[0];
  EXPECT_EQ(delegate.kinds, (report::Counts{{"FullyConnected", 1}}));
  EXPECT_EQ(delegate.types, (report::Counts{{"fp32", 1}}));
  EXPECT_EQ(delegate.payload->fused_clamps, 1u);
  EXPECT_EQ(delegate.work, 4u * 16 * 8);
  EXPECT_DOUBLE_EQ(delegate.share, 512.0 / (512 + 2 * 64));

  ASSERT_EQ(method.instructions.size(), 2u);
  EXPECT_EQ(method.instructions[0].kind, "delegate");
  EXPECT_EQ(method.instructions[1].name, "aten::cumsum.out");
  EXPECT_EQ(method.instructions[1].work.amount, 128u);
  ASSERT_EQ(contents.weights.size(), 1u);
  EXPECT_EQ(contents.weights[0].bytes, 16u * 8 * 4);
  EXPECT_EQ(contents.weights[0].sizes, (std::vector<int64_t>{16, 8}));
  EXPECT_EQ(contents.weights[0].used_by, "delegate 0, FullyConnected 0");
}

TEST(PteContents, CountsKernelsAsTheGraphDoes) {
  const report::PteContents contents = report::read_pte_contents(file_of(two_layers(), {}));
  const report::MethodContents& method = contents.methods.at(0);
  EXPECT_TRUE(method.delegates.empty());
  EXPECT_TRUE(method.instructions.front().work.is_macs);
  EXPECT_EQ(method.instructions.front().work.amount, 4u * 16 * 8);
  ASSERT_EQ(contents.weights.size(), 1u);
  EXPECT_EQ(contents.weights[0].key, "");
  EXPECT_EQ(contents.weights[0].bytes, 16u * 8 * 4);
}

TEST(PteContents, MemoryIsWhatLivesAtOnce) {
  pte::ExecutionPlan plan;
  const auto tensor = [&](uint64_t offset, int32_t floats) {
    pte::TensorValue value;
    value.scalar_type = pte::scalar_type_of(DType::float32);
    value.sizes = {floats};
    value.dim_order = {0};
    value.allocation = pte::Allocation{1, offset};
    plan.values.emplace_back(value);
  };
  tensor(0, 4), tensor(16, 8), tensor(0, 4), tensor(16, 8);  // 3 is another name for 1
  plan.inputs = {0};
  plan.outputs = {2};
  plan.non_const_buffer_sizes = {0, 48};
  report::MethodContents method;
  report::add_memory_use(plan, {{0, 1}, {3}, {3, 2}}, method);
  ASSERT_EQ(method.arenas.size(), 1u);
  EXPECT_EQ(method.arenas[0].tensors, 4u);
  EXPECT_EQ(method.arenas[0].peak_bytes, 48u);
  EXPECT_EQ(method.arenas[0].peak_instruction, 0u);
  const auto of_value = [&](size_t value) { return *std::ranges::find(method.tensors, value, &report::PlannedTensor::value); };
  EXPECT_EQ(of_value(0).role, "input");
  EXPECT_EQ(of_value(2).role, "output");
  EXPECT_EQ(of_value(2).first, 2u);
  EXPECT_EQ(of_value(3).role, "temporary");
  EXPECT_EQ(of_value(3).last, 2u);
}

TEST(PteContents, DamageInsideAPayloadIsNamed) {
  std::vector<std::byte> file = file_of(two_layers(), {xnnpack::XnnpackPartitioner()});
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t identifier = text.find("XN01");
  ASSERT_NE(identifier, std::string_view::npos);
  file[identifier - 1] = std::byte{0x7f};  // the flatbuffer's root is far outside
  try {
    report::read_pte_contents(file);
    FAIL() << "a damaged payload was decoded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_NE(std::string(error.what()).find("method 'forward', delegate 0"), std::string::npos) << error.what();
  }
}

TEST(Executable, APayloadOfAnUnknownVersionIsRefusedBeforeItRuns) {
  std::vector<std::byte> file = file_of(two_layers(), {xnnpack::XnnpackPartitioner()});
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  file[text.find("XN01") + 3] = std::byte{'9'};
  const auto path = std::filesystem::temp_directory_path() / ("unknown_version_" + std::to_string(::getpid()) + ".pte");
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  try {
    report::Executable::open(path);
    ADD_FAILURE() << "a payload of an unknown version was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_NE(std::string(error.what()).find("neither of version XN00 nor XN01"), std::string::npos) << error.what();
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace intaglio
