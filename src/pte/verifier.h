// Checks that a `.pte` can be given to the runtime: what its own verification checks and what it does not.
#pragma once

#include <cstddef>
#include <span>

#include "pte/reader.h"

namespace intaglio {

struct PteVerifyOptions {
  // Operators must be in the stock runtime's kernel list. What we write must; a foreign file may bring its own.
  bool require_known_operators = false;
};

// Container, flatbuffer, and every index, extent, tag and order inside; XNNPACK payload headers. A bad-input error says
// what is wrong and where. Never reads outside `file`.
void verify_pte(std::span<const std::byte> file, const PteVerifyOptions& options = {});

namespace pte {
// The part of it that compares values with each other. `file` holds the segments.
void verify_program(const ParsedProgram& parsed, std::span<const std::byte> file, const PteVerifyOptions& options);
}  // namespace pte

}  // namespace intaglio
