// Printing: tables for people, one JSON document for programs.
#pragma once

#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/number_text.h"

namespace intaglio::cli {

using Json = nlohmann::ordered_json;

// JSON has no infinities: null for them.
Json finite(double value);

// A document of the named schema, `intaglio.build/1`.
Json document(const char* schema);
std::string to_text(const Json& document);
void print(const Json& document);

// All that people read goes through here: names and paths from files may hold bytes that a terminal acts on, and are printed
// escaped, line ends apart.
std::string printable(std::string_view text);
void say(std::FILE* stream, std::string_view text);
template <typename... Arguments>
void say(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  say(stdout, fmt::format(format, std::forward<Arguments>(arguments)...));
}

// What a command says of a file that it writes, in words before the file takes its place: after that nothing can fail but the
// printing itself.
struct Report {
  std::string warnings, text;  // printable

  void print() const;
};

// Columns padded to their widest cell, numbers (columns in `right`) to the right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right = {});

}  // namespace intaglio::cli
