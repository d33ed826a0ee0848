// The command line: argument parsing and printing, nothing else.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace intaglio::cli {

// Options that mean the same everywhere.
struct CommonOptions {
  int threads = 0;  // 0: all cores
  bool json = false;
  bool quiet = false;
};

// One command: adds itself to the app; the returned callback runs after parsing succeeded.
void add_build(CLI::App& app, CommonOptions& common);
void add_quantize(CLI::App& app, CommonOptions& common);
void add_lower(CLI::App& app, CommonOptions& common);
void add_run(CLI::App& app, CommonOptions& common);
void add_compare(CLI::App& app, CommonOptions& common);
void add_generate(CLI::App& app, CommonOptions& common);
void add_inspect(CLI::App& app, CommonOptions& common);
void add_recipes(CLI::App& app, CommonOptions& common);

// Exit status: 0 done, 1 a file, the disk or the model is at fault, 2 the command line is, 3 a bug.
int main(int argc, const char* const* argv);

}  // namespace intaglio::cli
