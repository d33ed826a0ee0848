// Any bytes as a ZIP archive: opened, every entry read and checked.
#include <intaglio/error.h>

#include "base/zip_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  try {
    const ZipReader reader(std::as_bytes(std::span(data, size)));
    for (const ZipEntry& entry : reader.entries()) {
      try {
        if (entry.deflated) check_crc(entry, reader.inflated(entry));
        else check_crc(entry, reader.stored(entry));
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::bug) __builtin_trap();
      }
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
