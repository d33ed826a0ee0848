// Programs as text: whatever parses prints as something that reads back as the same.
#include <intaglio/error.h>

#include "ir/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  try {
    const std::string printed = to_string(parse_program({reinterpret_cast<const char*>(data), size}));
    if (to_string(parse_program(printed)) != printed) __builtin_trap();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
