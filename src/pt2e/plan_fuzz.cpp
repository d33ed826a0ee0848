// Any bytes as a plan: read, or refused with an Error.
#include <cstddef>
#include <cstdint>

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const intaglio::Plan plan = intaglio::parse_plan({reinterpret_cast<const char*>(data), size}, "fuzz");
    if (intaglio::to_json(intaglio::parse_plan(intaglio::to_json(plan), "again")) != intaglio::to_json(plan)) __builtin_trap();
  } catch (const intaglio::Error&) {}
  return 0;
}
