#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <new>
#include <stdexcept>
#include <system_error>

#include <fmt/format.h>
#include <intaglio/backend.h>
#include <intaglio/error.h>

#include "base/inputs.h"
#include "base/mapped_file.h"
#include "cli/files.h"
#include "cli/last_words.h"
#include "cli/misspelt.h"
#include "cli/output.h"

namespace intaglio::cli {
namespace {

int complain(const std::string& message, ExitStatus status) {
  write_line(fmt::format("intaglio: {}\n", escaped(message, std::string::npos)));
  return status;
}

int complain_of_bug(const char* what) {
  if (memory_was_refused()) {
    write_line(out_of_memory);
    return status_input_at_fault;
  }
  return complain(fmt::format("this is a bug in intaglio: {}; please report it with the input file", what), status_bug);
}

int report(const Error& error) {
  // Whatever a file that changed meanwhile led to, that is the cause.
  try {
    require_mapped_files_unchanged();
  } catch (const Error& changed) { return complain(changed.what(), status_input_at_fault); }
  switch (error.kind()) {
    case ErrorKind::bad_input:
    case ErrorKind::machine:
    case ErrorKind::unsupported: return complain(error.what(), status_input_at_fault);
    case ErrorKind::usage: return complain(error.what(), status_command_line_at_fault);
    case ErrorKind::bug: break;
  }
  return complain_of_bug(error.what());
}

// The parser's message as one line, with the way to the help.
std::string one_line(const CLI::App& app, const CLI::ParseError& error) {
  std::string text = escaped(error.what(), 400);
  for (size_t at; (at = text.find("\\x0a")) != std::string::npos;) text.replace(at, 4, " ");
  const std::vector<CLI::App*> commands = app.get_subcommands();
  return fmt::format("{}; see `intaglio {}--help`", text, commands.empty() ? "" : commands[0]->get_name() + " ");
}

// A descriptor that is closed would be the next file's: what is printed would go into that. It stands for /dev/null then, opened
// so that using it fails still.
void hold_standard_descriptors() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0 && ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) ::open("/", O_PATH);
}

// What was printed reached its place, or status 1.
int finish_output() {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return status_done;
  return complain("writing to standard output failed", status_input_at_fault);
}

int run(int argc, const char* const* argv) {
  CLI::App app("Quantizes PyTorch exported programs (.pt2) and lowers them to ExecuTorch programs (.pte).", "intaglio");
  app.set_version_flag("--version", "intaglio " INTAGLIO_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  CommonOptions common;
  app.add_option("--threads", common.threads, "threads to use (default: all cores)")->check(CLI::Range(1, 1024));
  app.add_flag("--json", common.json, "print one JSON document on stdout, nothing else");
  app.add_flag("--quiet", common.quiet, "print nothing but errors");
  for (const auto add : {add_build, add_quantize, add_lower, add_run, add_compare, add_diff, add_generate, add_inspect, add_recipes})
    add(app, common);
  bool writes = false;
  for (CLI::App* command : app.get_subcommands({})) {
    command->footer("Every command also takes --threads N, --json and --quiet. Documentation: docs/cli.md");
    command->parse_complete_callback([command, &writes] {
      require_values(*command);
      require_distinct_files(*command);
      writes = writes_files(*command);
    });
  }

  try {
    app.parse(argc, argv);
    if (!writes) require_mapped_files_unchanged();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) return complain(misspelt(app, argc, argv).value_or(one_line(app, error)), status_command_line_at_fault);
    app.exit(error);  // --help and --version
  }
  return finish_output();
}

// The kinds of exceptions, as exit statuses.
int run_and_report(int argc, const char* const* argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) { return report(error); } catch (const std::bad_alloc&) {
    write_line(out_of_memory);
  } catch (const std::length_error&) { write_line(out_of_memory); } catch (const std::system_error& error) {
    return complain(fmt::format("the system refused what is needed: {}", error.what()), status_input_at_fault);
  } catch (const std::exception& error) { return complain_of_bug(error.what()); }
  return status_input_at_fault;
}

}  // namespace

CLI::Validator a_number() {
  return CLI::Validator(
      [](const std::string& text) {
        return std::isnan(std::strtod(text.c_str(), nullptr)) ? fmt::format("Value {} is no number", text) : "";
      },
      "");
}

CLI::Validator number_within(double least, double most) {
  const CLI::Validator range = CLI::Range(least, most), number = a_number();
  return CLI::Validator(range).operation([range, number](std::string& text) {
    const std::string fault = number(text);
    return fault.empty() ? range(text) : fault;
  });
}

void add_timeout_option(CLI::App& command, std::chrono::milliseconds& timeout) {
  const auto longest = std::chrono::duration<double>(std::chrono::hours(24 * 365)).count();
  command
      .add_option_function<double>(
          "--timeout", [&timeout](double seconds) { timeout = std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000)); },
          fmt::format("seconds that the runtime may take to load or to run (default: {})", timeout.count() / 1000))
      ->check(number_within(0.001, longest));
}

void add_numerics_options(CLI::App& command, report::Numerics& numerics) {
  using report::Numerics;
  static const std::map<std::string, Numerics> all = {{"as_written", Numerics::as_written}, {"integer", Numerics::integer}};
  static const std::map<std::string, Numerics> representations = {{"qdq", Numerics::as_written}, {"reference", Numerics::reference}};
  const auto chosen = [&numerics](const auto& choices) {
    return [&numerics, &choices](const std::string& name) {
      if (choices.at(name) != Numerics::as_written) numerics = choices.at(name);
    };
  };
  const std::string help = "of a .pt2: as_written, as PyTorch computes it; integer, as {} does once it is deployed";
  CLI::Option* deployed =
      command.add_option_function<std::string>("--numerics", chosen(all), fmt::format(fmt::runtime(help), backends().front().title));
  deployed->check(CLI::IsMember({"as_written", "integer"}));
  command
      .add_option_function<std::string>("--representation", chosen(representations),
                                        "of a quantized .pt2: qdq, as it is; reference, its quantized layers in integers")
      ->check(CLI::IsMember({"qdq", "reference"}))
      ->excludes(deployed);
}

int main(int argc, const char* const* argv) {
  hold_standard_descriptors();
  remember_inputs();
  clean_up_at_the_end();
  // A closed pipe is an error of the write, not the end of the process; a file size limit likewise.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  survive_truncated_files();
  int status = status_input_at_fault;
  try {
    status = run_and_report(argc, argv);
  } catch (const std::bad_alloc&) { write_line(out_of_memory); }  // for the words of another error
  leave_in_order();
  return status;
}

}  // namespace intaglio::cli
