// Contents of a `.pte`: any bytes give contents or a bad-input error.
#include <intaglio/error.h>

#include "report/pte_explanation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::report::read_pte_contents({reinterpret_cast<const std::byte*>(data), size});
  } catch (const intaglio::Error& error) {
    if (error.kind() != intaglio::ErrorKind::bad_input) __builtin_trap();
  }
  return 0;
}
