// Printing: tables for people, one JSON document for programs.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace intaglio::cli {

using Json = nlohmann::ordered_json;

// A document of the named schema, `intaglio.build/1`.
Json document(const char* schema);
void print(const Json& document);

// Columns padded to their widest cell, numbers (columns in `right`) to the right.
std::string table(const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& right = {});

// 15.4 MB, 812 B
std::string bytes_text(uint64_t bytes);

}  // namespace intaglio::cli
