// The one exception type of the library.
//
// Thrown where the fact is known; `with_context` adds the outer place (file, section) on the way up.
// The library never aborts, prints or exits: the command line turns kinds into exit statuses.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)

namespace intaglio {

enum class ErrorKind {
  bad_input,    // a file, the data or the disk is at fault
  unsupported,  // the input is valid but this model or setting cannot be taken
  machine,      // time, memory or something of the system ran out here; the input may well be right
  usage,        // the caller asked for something that does not exist or does not fit together
  bug,          // an invariant of Intaglio does not hold
};

class Error : public std::runtime_error {
 public:
  // `message` is one line: what, where, what was expected, what to do.
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

  ErrorKind kind() const { return kind_; }

  // The same error with `context: ` in front, for example a file name; as it is where it names that place already, as a record does that is
  // read late.
  Error with_context(std::string_view context) const;

 private:
  ErrorKind kind_;
};

[[noreturn]] inline void throw_bad_input(const std::string& message) { throw Error(ErrorKind::bad_input, message); }
[[noreturn]] inline void throw_unsupported(const std::string& message) { throw Error(ErrorKind::unsupported, message); }
[[noreturn]] inline void throw_machine(const std::string& message) { throw Error(ErrorKind::machine, message); }
[[noreturn]] inline void throw_usage(const std::string& message) { throw Error(ErrorKind::usage, message); }
[[noreturn]] inline void throw_bug(const std::string& message) { throw Error(ErrorKind::bug, message); }

// Text from a file made fit to be shown on one line of a terminal: control characters and invalid UTF-8
// become hexadecimal escapes (`\x1b`), and anything longer than `limit` bytes is cut with an ellipsis.
std::string escaped(std::string_view text, size_t limit = 200);

}  // namespace intaglio

#pragma GCC visibility pop
