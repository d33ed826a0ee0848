// Checks that a `.pte` can be given to the runtime: what its own verification checks and what it does not.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string_view>

#include "pte/reader.h"

namespace intaglio::pte {

struct PteVerifyOptions {
  // Operators must be in the stock runtime's kernel list. What we write must; a foreign file may bring its own.
  bool require_known_operators = false;
  // What a backend has to say to one of its payloads; called for every delegate's. Throws a bad-input error.
  std::function<void(std::string_view backend_id, std::span<const std::byte> payload)> check_payload = {};
};

// Container, flatbuffer, and every index, extent, tag and order inside. A bad-input error says what is wrong and where.
// Never reads outside `file`.
ParsedProgram verify_pte(std::span<const std::byte> file, const PteVerifyOptions& options = {});

// The part of it that compares values with each other. `file` holds the segments.
void verify_program(const ParsedProgram& parsed, std::span<const std::byte> file, const PteVerifyOptions& options = {});

}  // namespace intaglio::pte
