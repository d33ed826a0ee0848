#include <intaglio/error.h>

#include "data/npy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::data::read_npy({reinterpret_cast<const std::byte*>(data), size});
  } catch (const intaglio::Error&) {}
  return 0;
}
