// Token ids from a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

namespace intaglio::data {

// A `.npy` of integers, or a text of numbers apart by blanks, commas or line ends. Bad-input error naming the file.
std::vector<int64_t> read_tokens(const std::filesystem::path& path);
// Such a text. Bad-input error naming the word that is no number.
std::vector<int64_t> parse_tokens(std::string_view text);

}  // namespace intaglio::data
