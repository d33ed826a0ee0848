// How the program ends when it can or may not go on: one line, and nothing left behind. Nothing here allocates.
#pragma once

#include <string_view>

namespace intaglio::cli {

inline constexpr std::string_view out_of_memory = "intaglio: out of memory; a smaller model, fewer threads or a higher limit may fit\n";

// To standard error, whatever becomes of it.
void write_line(std::string_view line) noexcept;

// Before anything else, initializers of libraries included: exceptions that nobody catches, in any thread, and libraries that give
// up for lack of memory end the program in words.
void prepare_last_words() noexcept;

// Once memory was refused, what a library does next is no bug of ours.
bool memory_was_refused() noexcept;

// From now on SIGINT, SIGTERM and SIGHUP, unless they were ignored, remove temporary files and folders, print one line and end the
// process by that signal; a library that ends the process by itself (`exit`) removes them too.
void clean_up_at_the_end() noexcept;
// Nothing is left to be cleaned up: `exit` is the program's own.
void leave_in_order() noexcept;

}  // namespace intaglio::cli
