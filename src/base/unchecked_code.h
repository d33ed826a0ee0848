// Libraries that do not look whether they were given memory.
#pragma once

namespace intaglio {

// While it lives, this thread may touch addresses near zero (SIGSEGV) or be given up by the C library (SIGABRT) for lack of memory:
// a program that gets one of these signals knows why.
class UncheckedCode {
 public:
  UncheckedCode() { ++depth; }
  ~UncheckedCode() { --depth; }
  UncheckedCode(const UncheckedCode&) = delete;
  UncheckedCode& operator=(const UncheckedCode&) = delete;
  static bool is_running() { return depth > 0; }

 private:
  inline static thread_local int depth = 0;
};

}  // namespace intaglio
