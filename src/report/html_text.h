// Text and numbers as HTML.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace intaglio::report {

// Fit for element content and quoted attributes: control bytes and what is not UTF-8 as `escaped` writes them, long texts cut.
std::string html(std::string_view text, size_t limit = 200);
// 0.52 %
std::string percent_text(double share);
// A table's cell that sorts by the number, which stands in it in full (`data-v`); empty without one.
std::string number_cell(const std::optional<double>& value, std::string_view text);

}  // namespace intaglio::report
