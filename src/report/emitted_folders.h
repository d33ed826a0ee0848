// What delegates hold, as folders beside the `.pte`, for the tools of their makers.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace intaglio::report {

std::vector<std::string> emitted_formats();

// Those of every delegate that has the format: `OUT.FORMAT`, or `OUT_METHOD_0.FORMAT` and so on where they are several. One that
// stood there is replaced whole; a bad-input error where something else does. An unsupported error when there is none. The folders that
// were written.
std::vector<std::filesystem::path> emit_folders(const std::filesystem::path& program, const std::filesystem::path& out,
                                                const std::string& format);

}  // namespace intaglio::report
