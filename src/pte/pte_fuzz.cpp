// Any bytes: a summary or a bad-input error, never anything else.
#include <intaglio/error.h>

#include "pte/summary.h"
#include "pte/verifier.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::pte::summarize(intaglio::pte::verify_pte({reinterpret_cast<const std::byte*>(data), size}));
  } catch (const intaglio::Error& error) {
    if (error.kind() != intaglio::ErrorKind::bad_input) __builtin_trap();
  }
  return 0;
}
