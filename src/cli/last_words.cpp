#include "cli/last_words.h"

#include <execinfo.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <system_error>

#include "base/leftovers.h"
#include "base/unchecked_code.h"
#include "cli/cli.h"

namespace intaglio::cli {
namespace {

// All that come from outside and end a process that does not ask for them.
constexpr int ending_signals[] = {SIGINT,  SIGTERM, SIGHUP,    SIGQUIT, SIGALRM, SIGUSR1,   SIGUSR2,
                                  SIGXCPU, SIGIO,   SIGVTALRM, SIGPROF, SIGPWR,  SIGSTKFLT, SIGSYS};

// Once an exception for lack of memory was wanted: where there is no memory for the exception itself, there is none to look at.
volatile std::sig_atomic_t memory_was_short = 0;
bool is_in_order = false;

[[noreturn]] void end(std::string_view line, int status) noexcept {
  write_line(line);
  remove_leftovers();
  ::_exit(status);
}

void memory_is_short() {
  memory_was_short = 1;
  throw std::bad_alloc();
}

[[noreturn]] void end_without_handler() {
  if (const std::exception_ptr uncaught = std::current_exception()) {
    try {
      std::rethrow_exception(uncaught);
    } catch (const std::bad_alloc&) { end(out_of_memory, status_input_at_fault); } catch (const std::length_error&) {
      end(out_of_memory, status_input_at_fault);
    } catch (const std::system_error&) {
      end("intaglio: the system refused what is needed, a thread perhaps; raise the limits of this process\n", status_input_at_fault);
    } catch (...) {}
  }
  if (memory_was_refused()) end(out_of_memory, status_input_at_fault);
  end("intaglio: this is a bug in intaglio: an exception was not caught; please report it with the input file\n", status_bug);
}

void end_by_request(int signal) {
  const char* name = ::sigabbrev_np(signal);
  char line[64] = "intaglio: ended by SIG";
  std::strncat(line, name, 16);
  std::strcat(line, "\n");
  write_line(line);
  remove_leftovers();
  sigset_t itself;
  sigemptyset(&itself);
  sigaddset(&itself, signal);
  std::signal(signal, SIG_DFL);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &itself, nullptr);
  ::_exit(128 + signal);
}

void end_by_fault(int signal, siginfo_t* info, void*) {
  if (info->si_code == SI_USER) return end_by_request(signal);  // no fault of this process: it would not come again
  constexpr uintptr_t largest_member = 1 << 16;                 // of an object at address zero
  if (UncheckedCode::is_running() && signal == SIGABRT) end("", status_input_at_fault);  // the C library has said why
  if (UncheckedCode::is_running() && (memory_was_refused() || reinterpret_cast<uintptr_t>(info->si_addr) < largest_member))
    end("intaglio: a library got no memory for itself or for the code that it makes; raise the limit, and allow executable memory\n",
        status_input_at_fault);
  std::signal(signal, SIG_DFL);  // the same instruction ends the process
}

// libgomp calls `exit` when it gets no memory. What it says of that, in two lines, is still in the buffer.
void end_by_library() {
  if (!is_in_order) end(out_of_memory, status_input_at_fault);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

}  // namespace

void write_line(std::string_view line) noexcept {
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // there is no other place to say so
}

bool memory_was_refused() noexcept { return memory_was_short != 0; }

void prepare_last_words() noexcept {
  std::set_new_handler(memory_is_short);
  std::set_terminate(end_without_handler);
  static char buffer[1 << 12];
  std::setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
  std::atexit(end_by_library);
}

void clean_up_at_the_end() noexcept {
  struct sigaction action {};
  action.sa_handler = end_by_request;
  sigfillset(&action.sa_mask);
  for (const int signal : ending_signals)
    if (!is_ignored(signal)) ::sigaction(signal, &action, nullptr);
  struct sigaction fault {};
  fault.sa_sigaction = end_by_fault;
  fault.sa_flags = SA_SIGINFO;
  for (const int signal : {SIGSEGV, SIGABRT, SIGBUS}) ::sigaction(signal, &fault, nullptr);
  std::atexit(end_by_library);
  // The C library loads its unwinder when the first exception passes its own frames, and gives up where it then gets no memory.
  void* frame;
  ::backtrace(&frame, 1);
}

void leave_in_order() noexcept { is_in_order = true; }

}  // namespace intaglio::cli
