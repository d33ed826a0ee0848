// Guards: Python expressions on the inputs' sizes that torch evaluates when the program is called.
#pragma once

#include <string_view>

namespace intaglio::pt2 {

// True for comparisons of sizes and numbers and nothing else. Others are not carried along: they are code.
bool is_plain_guard(std::string_view text);

}  // namespace intaglio::pt2
