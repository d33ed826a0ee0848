// Style and script of the page.
#pragma once

#include <string_view>

namespace intaglio::report {

extern const std::string_view page_style, page_script;

}  // namespace intaglio::report
