#include <intaglio/data.h>
#include <intaglio/error.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::decode_image({reinterpret_cast<const std::byte*>(data), size}, "fuzz");
  } catch (const intaglio::Error&) {}
  return 0;
}
