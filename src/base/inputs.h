// The files that a program's one run reads.
//
// For programs, each run of which is one command; a library, whose callers may read, write and read again, remembers nothing.
#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace intaglio {

// From here on every file that is mapped is an input of the run, to its end.
void remember_inputs();

void add_input(const std::filesystem::path& path, const struct stat& opened);
// It was written by this run, and is nobody's input.
void forget_input(const std::filesystem::path& path);

// One that has another state or stands for another file than when it was first opened, as it is shown; "" if there is none. One that is
// gone was read as it was.
std::string changed_input();

// Usage error when this is an input, through links too, or a folder that holds one: writing there would lose it.
void require_no_input(const std::filesystem::path& target);
[[noreturn]] void throw_is_input(const std::filesystem::path& target);

}  // namespace intaglio
