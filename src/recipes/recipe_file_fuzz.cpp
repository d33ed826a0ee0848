// Any bytes as a recipe file: read, or refused with an Error.
#include <cstddef>
#include <cstdint>

#include <intaglio/error.h>

#include "recipes/recipe_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::recipes::parse_recipe({reinterpret_cast<const char*>(data), size}, "fuzz.json", {});
  } catch (const intaglio::Error& error) {
    if (error.kind() == intaglio::ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
