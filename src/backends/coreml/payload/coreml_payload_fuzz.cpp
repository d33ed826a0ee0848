// Any bytes: a decoded payload or a bad-input error.
#include <intaglio/error.h>

#include "backends/coreml/payload/decode_payload.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::coreml::decode_payload({reinterpret_cast<const std::byte*>(data), size});
  } catch (const intaglio::Error& error) {
    if (error.kind() != intaglio::ErrorKind::bad_input) __builtin_trap();
  }
  return 0;
}
