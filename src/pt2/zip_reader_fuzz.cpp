// Any bytes as a ZIP archive: opened, every entry read and checked.
#include <intaglio/error.h>

#include "pt2/zip_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  try {
    const pt2::ZipReader reader(std::as_bytes(std::span(data, size)));
    for (const pt2::ZipEntry& entry : reader.entries()) {
      try {
        if (entry.deflated) pt2::check_crc(entry, reader.inflated(entry));
        else pt2::check_crc(entry, reader.stored(entry));
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::bug) __builtin_trap();
      }
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
