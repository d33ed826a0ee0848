// Whole archives. The first byte says what the rest is: a file as it is, or the model or weight table inside a sound
// archive, so that checksums do not keep the fuzzer out. What loads must hold together and be writable.
#include "testing/archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  using namespace intaglio::test;
  if (size == 0) return 0;
  const std::string rest(reinterpret_cast<const char*>(data + 1), size - 1);
  try {
    const std::string bytes = data[0] % 4 == 0 ? rest : (data[0] % 4 == 1 ? small_archive(model_json, rest) : small_archive(rest)).bytes();
    const ExportedProgram program = load(bytes);
    verify(program);
    for (const auto& [name, entry] : program.state.entries())
      if (entry.tensor.numel() > 0 && entry.tensor.numel() < 100000) (void)entry.tensor.contiguous();
    (void)to_string(program);
    if (data[0] % 8 == 3) save_exported_program(program, "/dev/shm/intaglio_load_fuzz.pt2");
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) {
      fprintf(stderr, "%s\n", error.what());
      __builtin_trap();
    }
  }
  return 0;
}
