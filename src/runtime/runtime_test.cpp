#include "runtime/runtime.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include <intaglio/error.h>

#include "runtime/child_process.h"
#include "testing/errors.h"
#include "testing/source_dir.h"

namespace intaglio::runtime {
namespace {

using test::error_of;

namespace fs = std::filesystem;

fs::path record(const std::string& name) { return test::source_dir() / "tests/records/pte" / (name + ".pte"); }

std::vector<RunValue> run_once(const std::string& name, std::vector<RunValue> inputs) {
  PteRunner runner;
  runner.load(record(name));
  return runner.run(inputs);
}

std::vector<float> floats(const RunValue& value) {
  const auto span = std::get<Tensor>(value).span<float>();
  return {span.begin(), span.end()};
}

TEST(Runtime, RunsAPortableProgram) {
  const auto outputs = run_once("add_mul", {Tensor::of<float>({0, 1, 2, -1, -2.5f, 4}, {2, 3})});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(std::get<Tensor>(outputs[0]).sizes(), (Sizes{2, 3}));
  EXPECT_EQ(floats(outputs[0]), (std::vector<float>{0, 3.5f, 9, -1.5f, 0, 26}));
}

TEST(Runtime, RunsADelegate) {
  std::vector<float> image(20);
  for (size_t i = 0; i < image.size(); ++i) image[i] = static_cast<float>(i % 7) - 2;
  std::vector<float> expected;
  for (int channel = 0; channel < 2; ++channel)
    for (int y = 0; y < 4; ++y)
      for (int x = 0; x < 5; ++x) {
        float sum = channel == 0 ? 0.5f : -0.5f;
        for (int i = 0; i < 3; ++i)
          for (int j = 0; j < 3; ++j) {
            const int row = y + i - 1, column = x + j - 1;
            if (row < 0 || row >= 4 || column < 0 || column >= 5) continue;
            sum += image[static_cast<size_t>(row * 5 + column)] * static_cast<float>((channel + 1) * (i - j)) / 4;
          }
        expected.push_back(std::max(sum, 0.0f));
      }
  const auto outputs = run_once("conv_delegated", {Tensor::of<float>(std::span<const float>(image), {1, 1, 4, 5})});
  const auto got = floats(outputs.at(0));
  ASSERT_EQ(got.size(), expected.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5) << i;
}

TEST(Runtime, DynamicSizesUpToTheBound) {
  PteRunner runner;
  const MethodInfo& method = runner.load(record("dynamic"));
  EXPECT_TRUE(method.inputs.at(0).dynamic);
  EXPECT_EQ(method.inputs.at(0).sizes, (Sizes{8, 4}));
  const std::vector<RunValue> small{Tensor::of<float>({1, 2, 3, 4}, {1, 4})};
  EXPECT_EQ(floats(runner.run(small).at(0)), (std::vector<float>{2, 5, 10, 17}));
  std::vector<RunValue> large{Tensor::zeros(DType::float32, {8, 4})};
  const auto outputs = runner.run(large);
  EXPECT_EQ(std::get<Tensor>(outputs.at(0)).sizes(), (Sizes{8, 4}));
  large = {Tensor::zeros(DType::float32, {9, 4})};
  const Error error = error_of([&] { runner.run(large); });
  EXPECT_EQ(error.kind(), ErrorKind::bad_input);
  EXPECT_NE(std::string(error.what()).find("float32 [8, 4] at most expected, float32 [9, 4] given"), std::string::npos) << error.what();
}

TEST(Runtime, SeveralInputsAndOutputs) {
  const auto outputs = run_once("multi_output", {Tensor::of<float>({1, 5, -3, 0, -1, 2}, {2, 3}), Tensor::of<int64_t>({2, 0}, {2})});
  ASSERT_EQ(outputs.size(), 4u);
  EXPECT_EQ(floats(outputs[0]), (std::vector<float>{5, 2}));
  const auto positions = std::get<Tensor>(outputs[1]).span<int64_t>();
  EXPECT_EQ(std::vector<int64_t>(positions.begin(), positions.end()), (std::vector<int64_t>{1, 2}));
  const auto& positive = std::get<Tensor>(outputs[2]);
  EXPECT_EQ(positive.dtype(), DType::boolean);
  EXPECT_TRUE(bit_equal(positive, Tensor::of<bool>({true, true, false, false, false, true}, {2, 3})));
  EXPECT_EQ(floats(outputs[3]), (std::vector<float>{-3, 1, 2, 0}));
}

TEST(Runtime, ProvidesMemoryForUnplannedOutputs) {
  const auto outputs = run_once("unplanned", {Tensor::of<float>({0, 1, 2, 3, 4, 5}, {2, 3})});
  EXPECT_EQ(floats(outputs.at(0)), (std::vector<float>{0, 3.5f, 9, 16.5f, 26, 37.5f}));
}

TEST(Runtime, LaysInputsOutAsTheMethodWants) {
  std::vector<float> values(12), doubled(12);
  for (size_t i = 0; i < 12; ++i) values[i] = static_cast<float>(i), doubled[i] = static_cast<float>(2 * i);
  const auto outputs = run_once("channels_last", {Tensor::of<float>(std::span<const float>(values), {1, 2, 2, 3})});
  EXPECT_EQ(floats(outputs.at(0)), doubled);
}

TEST(Runtime, TimesRepetitionsInOneChild) {
  RunOptions options;
  options.repetitions = 4;
  options.runner.threads = 1;
  const std::vector<std::vector<Tensor>> samples{{Tensor::zeros(DType::float32, {2, 3})}, {Tensor::zeros(DType::float32, {2, 3})}};
  const RunResult result = run_pte(record("add_mul"), samples, options);
  ASSERT_EQ(result.outputs.size(), 2u);
  EXPECT_EQ(result.timings[1].runs.size(), 5u);
  EXPECT_LE(result.timings[1].minimum(), result.timings[1].median());
  EXPECT_GT(result.timings[1].load, 0);
  EXPECT_EQ(result.method.operators, (std::vector<std::string>{"aten::add.out", "aten::mul.out"}));
}

TEST(Runtime, SaysWhatAMethodTakesAndGives) {
  PteRunner runner;
  const MethodInfo& method = runner.load(record("multi_output"), "");
  EXPECT_EQ(method.name, "forward");
  ASSERT_EQ(method.inputs.size(), 2u);
  EXPECT_EQ(method.inputs[1].dtype, DType::int64);
  EXPECT_EQ(method.inputs[0].sizes, (Sizes{2, 3}));
  EXPECT_EQ(method.outputs.size(), 4u);
  EXPECT_GT(method.planned_bytes, 0);
  EXPECT_EQ(runner.load(record("conv_delegated")).delegates.size(), 1u);
}

TEST(Runtime, DamagedFilesAreNamedWithTheCause) {
  const fs::path path = fs::temp_directory_path() / ("intaglio_damaged_" + std::to_string(getpid()) + ".pte");
  const auto message = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    const Error error = error_of([&] { PteRunner().load(path); });
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    return std::string(error.what());
  };
  std::ifstream in(record("conv_delegated"), std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  const std::string name = path.string();
  EXPECT_EQ(message(""), name + ": 0 bytes are too few for an ExecuTorch program; give a complete .pte file");
  EXPECT_EQ(message(std::string(4096, '\0')), name + ": not an ExecuTorch program: `ET12` expected at byte 4; give a .pte file");
  const std::string cut = message(good.substr(0, good.size() - 1));
  EXPECT_NE(cut.find("bytes of segments expected"), std::string::npos) << cut;
  fs::remove(path);
  EXPECT_THROW(PteRunner().load(path), Error);
  EXPECT_THROW(PteRunner().load(fs::temp_directory_path()), Error);
}

TEST(Runtime, RefusesInputsThatDoNotFit) {
  PteRunner runner;
  runner.load(record("add_mul"));
  const std::vector<RunValue> none;
  EXPECT_NE(std::string(error_of([&] { runner.run(none); }).what()).find("takes 1 inputs, 0 were given"), std::string::npos);
  const std::vector<RunValue> doubles{Tensor::zeros(DType::float64, {2, 3})};
  const Error error = error_of([&] { runner.run(doubles); });
  EXPECT_NE(std::string(error.what()).find("input 0 of method 'forward': float32 [2, 3] expected, float64 [2, 3] given"), std::string::npos)
      << error.what();
  const std::vector<RunValue> number{1.5};
  EXPECT_NE(std::string(error_of([&] { runner.run(number); }).what()).find("a number given"), std::string::npos);
}

TEST(Runtime, NamesTheMethodsThereAre) {
  PteRunner runner;
  const Error error = error_of([&] { runner.load(record("add_mul"), "decode"); });
  EXPECT_EQ(error.kind(), ErrorKind::usage);
  EXPECT_NE(std::string(error.what()).find("no method 'decode'; it has forward"), std::string::npos) << error.what();
}

TEST(Runtime, ErrorCodesInWords) {
  EXPECT_EQ(describe_error_code(0x14), "operator missing (0x14)");
  EXPECT_EQ(describe_error_code(0x77), "unknown error (0x77)");
}

TEST(Runtime, SaysWhyTheRuntimeRefused) {
  // The operator's name is text inside the file: `add` becomes `adq`.
  std::ifstream in(record("add_mul"), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  bytes.replace(bytes.find("aten::add"), 9, "aten::adq");
  const fs::path path = fs::temp_directory_path() / ("intaglio_runtime_test_" + std::to_string(getpid()) + ".pte");
  std::ofstream(path, std::ios::binary) << bytes;
  PteRunner runner;
  const Error error = error_of([&] { runner.load(path); });
  EXPECT_EQ(error.kind(), ErrorKind::bad_input);
  EXPECT_NE(std::string(error.what()).find("operator missing (0x14)"), std::string::npos) << error.what();
  EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
  runner.load(record("add_mul"));  // the same runner goes on
  fs::remove(path);
}

TEST(Runtime, WrongFolderIsNamed) {
  setenv("INTAGLIO_RUNTIME_DIR", "/nonexistent", 1);
  const Error error = error_of([] { runtime_directory(); });
  unsetenv("INTAGLIO_RUNTIME_DIR");
  EXPECT_NE(std::string(error.what()).find("INTAGLIO_RUNTIME_DIR=/nonexistent"), std::string::npos) << error.what();
}

TEST(ChildProcess, SaysHowTheChildEnded) {
  const MessageWriter empty(MessageKind::run);
  const auto message = MessageWriter(empty).finish();
  {
    ChildProcess child("/bin/sh", {"-c", "echo first >&2; echo 'last words' >&2; kill -ABRT $$"});
    const Error error = error_of([&] { child.exchange(message, std::chrono::seconds(20)); });
    EXPECT_NE(std::string(error.what()).find("was stopped by SIGABRT, a failed check: first; last words"), std::string::npos)
        << error.what();
    EXPECT_FALSE(child.alive());
  }
  ChildProcess child("/bin/sh", {"-c", "exit 7"});
  const Error error = error_of([&] { child.exchange(message, std::chrono::seconds(20)); });
  EXPECT_NE(std::string(error.what()).find("exited with status 7"), std::string::npos) << error.what();
}

TEST(ChildProcess, StopsOneThatHangs) {
  ChildProcess child("/bin/sleep", {"1000"});
  const auto message = MessageWriter(MessageKind::run).finish();
  const Error error = error_of([&] { child.exchange(message, std::chrono::milliseconds(200)); });
  EXPECT_NE(std::string(error.what()).find("did not answer within 0.2 s"), std::string::npos) << error.what();
  EXPECT_FALSE(child.alive());
}

TEST(ChildProcess, MissingProgramIsBadInput) {
  const Error error = error_of([] { ChildProcess child("/nonexistent/runner", {}); });
  EXPECT_EQ(error.kind(), ErrorKind::bad_input);
}

TEST(ChildProcess, CpuinfoLinesAreNoise) {
  EXPECT_TRUE(is_noise("Error in cpuinfo: failed to parse the list of possible processors"));
  EXPECT_FALSE(is_noise("E 00:00:00.000 executorch: missing operator"));
}

}  // namespace
}  // namespace intaglio::runtime
