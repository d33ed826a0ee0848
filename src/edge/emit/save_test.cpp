// What a program must pass before its file takes the target's place.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "edge/edge_programs_for_tests.h"

namespace intaglio::edge {
namespace {

namespace fs = std::filesystem;
using test::edge_of;
using test::ProgramBuilder;

class Save : public ::testing::Test {
 protected:
  void SetUp() override {
    folder = fs::temp_directory_path() / fmt::format("intaglio_save_{}", getpid());
    fs::create_directories(folder);
    std::ofstream(folder / "out.pte") << "before";
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string target() const {
    std::ifstream file(folder / "out.pte", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t files() const { return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator())); }

  fs::path folder;
};

// A backend whose payloads have 48 bytes.
class FixedSizePartitioner : public Partitioner {
 public:
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<FixedSizePartitioner>(*this); }
  std::string_view backend_id() const override { return "FixedSizeBackend"; }
  PartitionResult partition(const ExportedProgram&) const override { return {}; }
  std::vector<Delegate> preprocess(std::vector<MethodPartition>) const override { return {}; }
  void check(std::span<const std::byte> payload) const override {
    if (payload.size() != 48) throw_bad_input(fmt::format("a payload of {} bytes", payload.size()));
  }
};

ExecutorchProgram one_delegate(const std::string& backend_id, size_t payload_size) {
  ProgramBuilder b;
  Value* x = b.input("x", {4});
  Delegate delegate;
  delegate.backend_id = backend_id;
  delegate.payload = std::vector<std::byte>(payload_size);
  b.output(b.call("executorch_call_delegate", {{"", 0}, {"", x}}, {4}));
  EdgeProgram edge = edge_of(b, std::move(delegate));
  edge.partitioners.add(FixedSizePartitioner().clone());
  return std::move(edge).to_executorch();
}

TEST_F(Save, AFileThatFailsItsCheckReplacesNothing) {
  const ExecutorchProgram program = one_delegate("FixedSizeBackend", 20);
  for (const bool to_file : {true, false}) {
    try {
      if (to_file) program.save(folder / "out.pte");
      else program.bytes();
      FAIL() << "a damaged payload was written";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bug);
      EXPECT_NE(std::string(error.what()).find("does not pass its own check: a payload of 20 bytes"), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(target(), "before");
  EXPECT_EQ(files(), 1u);
}

TEST_F(Save, AWholeOneDoes) {
  const ExecutorchProgram program = one_delegate("FixedSizeBackend", 48);
  program.save(folder / "out.pte");
  const std::vector<std::byte> bytes = program.bytes();
  EXPECT_EQ(target(), std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  EXPECT_EQ(files(), 1u);
}

TEST_F(Save, ABackendChecksItsOwnPayloadsOnly) { EXPECT_NO_THROW(one_delegate("AnotherBackend", 20).save(folder / "out.pte")); }

TEST_F(Save, AnOperatorOrTypeWithoutKernelIsRefusedBeforeAnythingIsWritten) {
  const auto lowered = [](DType dtype, const char* op) {
    ProgramBuilder b;
    Value* x = b.input("x", {4}, dtype);
    b.output(b.call(op, {{"self", x}}, {{4}, dtype}));
    return edge_of(b).to_executorch();
  };
  EXPECT_NO_THROW(lowered(DType::int64, "aten.relu.default").save(folder / "out.pte"));
  const std::string written = target();
  EXPECT_NE(written, "before");
  for (const auto& [dtype, op] : {std::pair(DType::boolean, "aten.relu.default"), {DType::float32, "aten.silu.default"}}) {
    try {
      lowered(dtype, op).save(folder / "out.pte");
      FAIL() << op << " was written";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unsupported);
      EXPECT_NE(std::string(error.what()).find(op), std::string::npos) << error.what();
    }
    EXPECT_EQ(target(), written);
  }
}

}  // namespace
}  // namespace intaglio::edge
