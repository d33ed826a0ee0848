// The command line: argument parsing and printing, nothing else.
#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "report/executable.h"

namespace intaglio::cli {

// Options that mean the same everywhere.
struct CommonOptions {
  int threads = 0;  // 0: all cores
  bool json = false;
  bool quiet = false;
};

// CLI::Range lets NaN pass, which is less than nothing and more than nothing.
CLI::Validator a_number();
CLI::Validator number_within(double least, double most);

// What the runtime may take; of commands that run a file on it.
void add_timeout_option(CLI::App& command, std::chrono::milliseconds& timeout);
// How a .pt2 is computed; of commands that run one.
void add_numerics_options(CLI::App& command, report::Numerics& numerics);

// One command: adds itself to the app; the returned callback runs after parsing succeeded.
void add_build(CLI::App& app, CommonOptions& common);
void add_quantize(CLI::App& app, CommonOptions& common);
void add_lower(CLI::App& app, CommonOptions& common);
void add_run(CLI::App& app, CommonOptions& common);
void add_compare(CLI::App& app, CommonOptions& common);
void add_diff(CLI::App& app, CommonOptions& common);
void add_generate(CLI::App& app, CommonOptions& common);
void add_inspect(CLI::App& app, CommonOptions& common);
void add_recipes(CLI::App& app, CommonOptions& common);

enum ExitStatus { status_done = 0, status_input_at_fault = 1, status_command_line_at_fault = 2, status_bug = 3 };

// Status 1: a file, the disk, the machine's limits or the model are at fault.
int main(int argc, const char* const* argv);

}  // namespace intaglio::cli
