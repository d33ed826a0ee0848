// Steps that a program takes, counted by the compiler's instrumentation: basic blocks that ran, and 64 bytes that were copied for one
// more. The same run gives the same number on any machine of one type, however busy it is. Written to the file that
// INTAGLIO_STEPS_FILE names when the program ends.
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace {

std::atomic<uint64_t> steps;

__attribute__((no_sanitize_coverage)) inline void add(uint64_t count) {
  steps.store(steps.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

__attribute__((destructor, no_sanitize_coverage)) void write_steps() {
  const char* path = std::getenv("INTAGLIO_STEPS_FILE");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
  if (file == nullptr) return;
  std::fprintf(file, "%llu\n", static_cast<unsigned long long>(steps.load()));
  std::fclose(file);
}

}  // namespace

extern "C" {
__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc() { add(1); }

void* __real_memmove(void* to, const void* from, size_t bytes);
void* __real_memcpy(void* to, const void* from, size_t bytes);
__attribute__((no_sanitize_coverage)) void* __wrap_memmove(void* to, const void* from, size_t bytes) {
  add(bytes / 64);
  return __real_memmove(to, from, bytes);
}
__attribute__((no_sanitize_coverage)) void* __wrap_memcpy(void* to, const void* from, size_t bytes) {
  add(bytes / 64);
  return __real_memcpy(to, from, bytes);
}
}
