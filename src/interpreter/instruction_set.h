// Loops that exist once for each instruction set; the processor's best is taken at run time. No multiply-add is
// contracted, so all versions give the same bits.
#pragma once

#include <cstdint>

namespace intaglio::interp {

enum class InstructionSet : uint8_t { base, avx2, avx512 };
InstructionSet instruction_set();  // of this processor

}  // namespace intaglio::interp

#define INTAGLIO_INLINE inline __attribute__((always_inline))
#define INTAGLIO_AVX2 __attribute__((target("avx2")))
#define INTAGLIO_AVX512 __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw")))

// After `INTAGLIO_INLINE void NAME_body PARAMETERS {...}`: defines `void NAME PARAMETERS` that calls the best version.
#if defined(__x86_64__)
#define INTAGLIO_VERSIONS(NAME, PARAMETERS, ARGUMENTS)                     \
  INTAGLIO_AVX2 void NAME##_avx2 PARAMETERS { NAME##_body ARGUMENTS; }     \
  INTAGLIO_AVX512 void NAME##_avx512 PARAMETERS { NAME##_body ARGUMENTS; } \
  void NAME##_base PARAMETERS { NAME##_body ARGUMENTS; }                   \
  void NAME PARAMETERS {                                                   \
    switch (instruction_set()) {                                           \
      case InstructionSet::avx512: return NAME##_avx512 ARGUMENTS;         \
      case InstructionSet::avx2: return NAME##_avx2 ARGUMENTS;             \
      default: return NAME##_base ARGUMENTS;                               \
    }                                                                      \
  }
#else
#define INTAGLIO_VERSIONS(NAME, PARAMETERS, ARGUMENTS) \
  void NAME PARAMETERS { NAME##_body ARGUMENTS; }
#endif
