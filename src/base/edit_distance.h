// How far two words are apart: characters to insert, to leave out or to change (Levenshtein).
#pragma once

#include <cstddef>
#include <string_view>

namespace intaglio {

size_t edit_distance(std::string_view a, std::string_view b);

}  // namespace intaglio
