// pt2_roundtrip [--times N] IN.pt2 [OUT.pt2]: loads an archive and writes it again. Without OUT it only loads and prints.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <intaglio/error.h>
#include <intaglio/pt2.h>

int main(int argc, char** argv) {
  using namespace intaglio;
  int first = 1;
  int times = 0;
  if (argc > 2 && std::strcmp(argv[1], "--times") == 0) {
    times = std::atoi(argv[2]);
    first = 3;
  }
  if (argc <= first) {
    std::fprintf(stderr, "usage: pt2_roundtrip [--times N] IN.pt2 [OUT.pt2]\n");
    return 2;
  }
  try {
    for (int i = 0; i < times; ++i) {
      const auto start = std::chrono::steady_clock::now();
      const ExportedProgram program = load_exported_program(argv[first]);
      const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
      std::fprintf(stderr, "%.2f ms, %zu nodes\n", took.count(), program.graph().size());
    }
    const ExportedProgram program = load_exported_program(argv[first]);
    verify(program);
    if (argc > first + 1) save_exported_program(program, argv[first + 1]);
    else if (times == 0) std::fputs(to_string(program).c_str(), stdout);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return error.kind() == ErrorKind::bug ? 3 : 1;
  }
  return 0;
}
