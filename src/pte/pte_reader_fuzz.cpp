// Any bytes: a summary or a bad-input error, never anything else.
#include <intaglio/error.h>

#include "pte/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::pte::read_pte_summary({reinterpret_cast<const std::byte*>(data), size});
  } catch (const intaglio::Error& error) {
    if (error.kind() != intaglio::ErrorKind::bad_input) __builtin_trap();
  }
  return 0;
}
