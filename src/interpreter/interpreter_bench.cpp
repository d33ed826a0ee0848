// Whole programs on one thread: INTAGLIO_BENCH_MODELS names .pt2 files, separated by colons. Inputs are constant; the
// time does not depend on them.
#include <cstdlib>
#include <memory>
#include <sstream>

#include <benchmark/benchmark.h>

#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>

namespace {

using namespace intaglio;

std::vector<Tensor> example_inputs(const ExportedProgram& program) {
  std::vector<Tensor> inputs;
  for (const Value* input : program.user_inputs()) {
    Sizes sizes;
    for (const SymInt& size : input->sizes()) sizes.push_back(size.hint().value_or(1));
    inputs.push_back(Tensor::zeros(input->dtype(), sizes));
  }
  return inputs;
}

void run_program(benchmark::State& state, const std::string& path, bool watched) {
  const ExportedProgram program = load_exported_program(path);
  Interpreter interpreter(program, {.threads = 1});
  const std::vector<Tensor> inputs = example_inputs(program);
  const ValueHook hook = watched ? ValueHook([](const Value*, const Tensor&) { return std::nullopt; }) : ValueHook();
  interpreter.run(inputs, hook);
  for (auto _ : state) benchmark::DoNotOptimize(interpreter.run(inputs, hook));
}

const int registered = [] {
  const char* list = std::getenv("INTAGLIO_BENCH_MODELS");
  std::istringstream paths(list == nullptr ? "" : list);
  for (std::string path; std::getline(paths, path, ':');) {
    benchmark::RegisterBenchmark((path + "/fused").c_str(), run_program, path, false)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark((path + "/every_value_watched").c_str(), run_program, path, true)->Unit(benchmark::kMillisecond);
  }
  return 0;
}();

}  // namespace
