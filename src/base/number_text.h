// Numbers for people.
#pragma once

#include <cstdint>
#include <string>

namespace intaglio {

// 15.4 MB, 812 B
std::string bytes_text(uint64_t bytes);
// 31.20 dB; "equal" for what is without error
std::string decibel_text(double value);

}  // namespace intaglio
