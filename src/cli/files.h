// The files of a command line, before any of them is opened.
#pragma once

#include <CLI/CLI.hpp>

namespace intaglio::cli {

// Options that name files say so: a file or folder that is read, `key=value` whose value may be one, or a file that is written.
CLI::Option* reading(CLI::Option* option);
CLI::Option* key_and_value(CLI::Option* option);
CLI::Option* writing(CLI::Option* option);
// One whose value is a text of any kind, an empty one too.
CLI::Option* any_text(CLI::Option* option);

// Usage error when an option was given nothing, as by a variable of a script that is not set: a default would be taken for what was meant.
// `any_text` is exempt.
void require_values(const CLI::App& command);

// Usage error when a file that the command is to write is one that it reads, one that is read of a folder it reads, or another one that it
// writes, through links too.
void require_distinct_files(const CLI::App& command);

// Whether the command was given a file to write: the last of them was compared with what it was made from when it took its place.
bool writes_files(const CLI::App& command);

}  // namespace intaglio::cli
