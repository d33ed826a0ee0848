#include <intaglio/error.h>

#include "runtime/runtime.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::runtime::verify_pte({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  } catch (const intaglio::Error&) {}
  return 0;
}
