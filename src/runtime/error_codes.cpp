#include <fmt/format.h>

#include "runtime/runtime.h"

namespace intaglio::runtime {
namespace {

struct ErrorWords {
  uint32_t code;
  const char* words;
};

// Codes of ExecuTorch 1.5; the numbers are part of its interface.
constexpr ErrorWords error_words[] = {
    {0x00, "no error"},
    {0x01, "internal error"},
    {0x02, "invalid state"},
    {0x03, "end of method"},
    {0x04, "already loaded"},
    {0x10, "not supported"},
    {0x11, "not implemented"},
    {0x12, "invalid argument"},
    {0x13, "invalid type"},
    {0x14, "operator missing"},
    {0x15, "too many kernels registered"},
    {0x16, "kernel registered twice"},
    {0x20, "not found"},
    {0x21, "memory allocation failed"},
    {0x22, "access failed"},
    {0x23, "invalid program"},
    {0x24, "invalid external data"},
    {0x25, "out of resources"},
    {0x30, "delegate built for another version"},
    {0x31, "delegate ran out of memory"},
    {0x32, "invalid delegate handle"},
};

}  // namespace

bool lacks_backend(uint32_t code) { return code == 0x20; }

bool is_lack_of_memory(uint32_t code) { return code == 0x21 || code == 0x25 || code == 0x31; }

std::string describe_error_code(uint32_t code) {
  for (const auto& row : error_words)
    if (row.code == code) return fmt::format("{} (0x{:02x})", row.words, code);
  return fmt::format("unknown error (0x{:02x})", code);
}

}  // namespace intaglio::runtime
