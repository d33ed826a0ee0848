#include "cli/cli.h"

#include <malloc.h>

#include <csignal>
#include <cstdio>
#include <new>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "cli/output.h"
#include "cli/signals.h"

namespace intaglio::cli {
namespace {

enum ExitStatus { status_done = 0, status_input_at_fault = 1, status_command_line_at_fault = 2, status_bug = 3 };

void complain(const std::string& message) { fmt::print(stderr, "intaglio: {}\n", escaped(message, std::string::npos)); }

int report(const Error& error) {
  // Whatever a file that changed meanwhile led to, that is the cause.
  try {
    require_mapped_files_unchanged();
  } catch (const Error& changed) {
    complain(changed.what());
    return status_input_at_fault;
  }
  switch (error.kind()) {
    case ErrorKind::bad_input:
    case ErrorKind::unsupported: complain(error.what()); return status_input_at_fault;
    case ErrorKind::usage: complain(error.what()); return status_command_line_at_fault;
    case ErrorKind::bug: break;
  }
  complain(fmt::format("this is a bug in intaglio: {}; please report it with the input file", error.what()));
  return status_bug;
}

// The parser's message as one line, with the way to the help.
std::string one_line(const CLI::ParseError& error) {
  std::string text = escaped(error.what(), 400);
  for (size_t at; (at = text.find("\\x0a")) != std::string::npos;) text.replace(at, 4, " ");
  return text + "; see `intaglio --help`";
}

}  // namespace

int main(int argc, const char* const* argv) {
  // Left to itself the allocator keeps what a thread freed of weights, for each thread.
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
  // A closed pipe is an error of the write, not the end of the process; a file size limit likewise.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  survive_truncated_files();
  clean_up_on_signals();

  CLI::App app("Quantizes PyTorch exported programs (.pt2) and lowers them to ExecuTorch programs (.pte).", "intaglio");
  app.set_version_flag("--version", "intaglio " INTAGLIO_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  CommonOptions common;
  app.add_option("--threads", common.threads, "threads to use (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_flag("--json", common.json, "print one JSON document on stdout, nothing else");
  app.add_flag("--quiet", common.quiet, "print nothing but errors");
  for (const auto add : {add_build, add_quantize, add_lower, add_run, add_compare, add_generate, add_inspect, add_recipes})
    add(app, common);
  for (CLI::App* command : app.get_subcommands({}))
    command->footer("Every command also takes --threads N, --json and --quiet. Documentation: docs/cli.md");

  try {
    app.parse(argc, argv);
    require_mapped_files_unchanged();
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      complain("writing to standard output failed");
      return status_input_at_fault;
    }
    return status_done;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    complain(one_line(error));
    return status_command_line_at_fault;
  } catch (const Error& error) { return report(error); } catch (const std::bad_alloc&) {
    complain("out of memory; a smaller model or fewer threads may fit");
    return status_input_at_fault;
  } catch (const std::exception& error) {
    complain(fmt::format("this is a bug in intaglio: {}; please report it with the input file", escaped(error.what())));
    return status_bug;
  }
}

}  // namespace intaglio::cli
