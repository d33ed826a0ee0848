// What delegates hold, as folders beside the `.pte`, for the tools of their makers.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace intaglio::report {

// Names, and what each is in a line.
std::vector<std::pair<std::string, std::string>> emitted_formats();

// Those of every model that delegates have in the format: `OUT.FORMAT`, or `OUT_METHOD_0.FORMAT` and so on where they are several. One that
// stood there is replaced whole; a bad-input error where something else does. An unsupported error when there is none. The folders that
// were written.
std::vector<std::filesystem::path> emit_folders(const std::filesystem::path& program, const std::filesystem::path& out,
                                                const std::string& format);

}  // namespace intaglio::report
