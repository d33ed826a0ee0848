// What a command line that was refused may have meant.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

namespace intaglio::cli {

// The first word that names no command, or no option of the command, with what it is like; nullopt where all are known.
std::optional<std::string> misspelt(const CLI::App& app, int argc, const char* const* argv);

}  // namespace intaglio::cli
