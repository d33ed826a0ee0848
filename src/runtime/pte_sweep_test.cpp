// Damaged programs: what the verifier accepts goes to the runner, which may die but must not take more than its time or
// end us.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

#include <intaglio/error.h>

#include "pte/verifier.h"
#include "runtime/runtime.h"
#include "testing/source_dir.h"

namespace intaglio::runtime {
namespace {

namespace fs = std::filesystem;

std::vector<std::byte> read_record(const std::string& name) {
  std::ifstream in(test::source_dir() / "tests/records/pte" / name, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(in)), {});
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

class Sweep {
 public:
  explicit Sweep(std::vector<RunValue> inputs) : inputs_(std::move(inputs)), runner_(options()) {
    path_ = fs::temp_directory_path() / ("intaglio_sweep_" + std::to_string(getpid()) + ".pte");
  }
  ~Sweep() { fs::remove(path_); }

  void try_bytes(std::span<const std::byte> bytes) {
    ++tried_;
    try {
      pte::verify_pte(bytes);
      ++verified_;
      std::ofstream(path_, std::ios::binary | std::ios::trunc)
          .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      runner_.load(path_);
      runner_.run(inputs_);
      ++ran_;
    } catch (const Error& error) {
      EXPECT_NE(error.kind(), ErrorKind::bug) << error.what();
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
      if (std::string(error.what()).find("did not answer") != std::string::npos) ++timeouts_;
    }
  }

  int tried_ = 0, verified_ = 0, ran_ = 0, timeouts_ = 0;

 private:
  static RunnerOptions options() {
    RunnerOptions options;
    options.threads = 1;
    options.timeout = std::chrono::milliseconds(1500);
    return options;
  }
  std::vector<RunValue> inputs_;
  PteRunner runner_;
  fs::path path_;
};

void sweep_words(const std::string& name, std::vector<RunValue> inputs) {
  const auto good = read_record(name);
  ASSERT_GT(good.size(), 64u);
  Sweep sweep(std::move(inputs));
  auto bytes = good;
  for (size_t at = 0; at + 4 <= good.size(); at += 4) {
    uint32_t word;
    std::memcpy(&word, good.data() + at, 4);
    for (uint32_t value : {uint32_t{0}, ~uint32_t{0}, word + 1, word ^ 0x100u}) {
      if (value == word) continue;
      std::memcpy(bytes.data() + at, &value, 4);
      sweep.try_bytes(bytes);
    }
    std::memcpy(bytes.data() + at, &word, 4);
  }
  std::printf("%s: %d mutants, %d verified, %d ran, %d timed out\n", name.c_str(), sweep.tried_, sweep.verified_, sweep.ran_,
              sweep.timeouts_);
  EXPECT_LT(sweep.verified_, sweep.tried_);
  EXPECT_GT(sweep.ran_, 0);
}

TEST(PteSweep, EveryWordOfAPortableProgram) {
  sweep_words("multi_output.pte", {Tensor::zeros(DType::float32, {2, 3}), Tensor::of<int64_t>({2, 0}, {2})});
}

TEST(PteSweep, EveryWordOfADelegatedProgram) { sweep_words("conv_delegated.pte", {Tensor::zeros(DType::float32, {1, 1, 4, 5})}); }

TEST(PteSweep, EveryTruncation) {
  const auto good = read_record("conv_delegated.pte");
  EXPECT_EQ(pte::verify_pte(good).program.execution_plan.at(0).delegates.size(), 1u);
  for (size_t size = 0; size < good.size(); size += size < 256 ? 1 : 64)
    EXPECT_THROW(pte::verify_pte(std::span(good).first(size)), Error) << size;
}

}  // namespace
}  // namespace intaglio::runtime
