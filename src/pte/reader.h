// Reads a `.pte` that may lie about anything.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "pte/program.h"

namespace intaglio::pte {

// The container and the flatbuffer: both fully checked to lie inside the bytes, values not yet checked against each
// other (`verify_pte` does both). Bad-input error on damage. Work and memory are bounded by the file's size.
struct ParsedProgram {
  Program program;
  FileLayout layout;
  uint64_t file_size = 0;
  std::unordered_map<std::string, size_t> named_data;  // by key: the first of that name in the program's list
};
ParsedProgram parse_pte(std::span<const std::byte> file);

// A delegate's payload, inside a segment or inside the flatbuffer. Its place must have been verified.
std::span<const std::byte> payload_of(const ParsedProgram& parsed, const BackendDelegate& delegate, std::span<const std::byte> file);

// Of the key; a bad-input error when there is none. Its place must have been verified.
std::span<const std::byte> named_data_of(const ParsedProgram& parsed, std::string_view key, std::span<const std::byte> file);

}  // namespace intaglio::pte
