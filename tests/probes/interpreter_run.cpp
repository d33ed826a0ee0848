// interpreter_run [--threads N] [--repeat N] MODEL.pt2 INPUTS.npz OUTPUTS.npz [MODEL.pt2 INPUTS.npz OUTPUTS.npz ...]
//
// Runs programs for the oracle tests. A model that fails is reported on stderr and the rest still runs. With --repeat
// the fastest of N runs is printed, in milliseconds of this process's processor time.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>

namespace {

double processor_milliseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

void run(const char* model, const char* inputs, const char* outputs, int threads, int repeat) {
  const intaglio::ExportedProgram program = intaglio::load_exported_program(model);
  intaglio::Interpreter interpreter(program, {.threads = threads});
  std::vector<intaglio::Tensor> tensors;
  for (const intaglio::NamedArray& array : intaglio::read_arrays(std::filesystem::path(inputs))) tensors.push_back(array.tensor);
  intaglio::write_outputs(outputs, interpreter.run(tensors));
  double best = 1e9;
  for (int i = 0; i < repeat; ++i) {
    const double start = processor_milliseconds();
    interpreter.run(tensors);
    best = std::min(best, processor_milliseconds() - start);
  }
  if (repeat > 0) std::printf("%s: %.2f ms\n", model, best);
}

}  // namespace

int main(int argc, char** argv) {
  int threads = 1, repeat = 0, first = 1;
  while (first + 1 < argc && std::string(argv[first]).starts_with("--")) {
    (std::string(argv[first]) == "--threads" ? threads : repeat) = std::atoi(argv[first + 1]);
    first += 2;
  }
  if (first >= argc || (argc - first) % 3 != 0) return 2;
  int status = 0;
  for (int i = first; i < argc; i += 3) {
    try {
      run(argv[i], argv[i + 1], argv[i + 2], threads, repeat);
    } catch (const intaglio::Error& error) {
      std::fprintf(stderr, "%s: %s\n", argv[i], error.what());
      status = 1;
    }
  }
  return status;
}
