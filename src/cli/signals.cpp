#include "cli/signals.h"

#include <csignal>
#include <thread>

#include <fmt/format.h>

#include "base/leftovers.h"

namespace intaglio::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

[[noreturn]] void end_by(int signal, const sigset_t& awaited) {
  remove_leftovers();
  fmt::print(stderr, "intaglio: ended by {}\n", ::sigabbrev_np(signal) ? fmt::format("SIG{}", ::sigabbrev_np(signal)) : "a signal");
  std::signal(signal, SIG_DFL);
  ::raise(signal);
  ::pthread_sigmask(SIG_UNBLOCK, &awaited, nullptr);
  std::_Exit(128 + signal);
}

}  // namespace

void clean_up_on_signals() {
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    if (!is_ignored(signal)) sigaddset(&awaited, signal);
  ::pthread_sigmask(SIG_BLOCK, &awaited, nullptr);
  // A thread may take locks and remove folders, a handler may not.
  std::thread([awaited] {
    int signal = 0;
    if (::sigwait(&awaited, &signal) == 0) end_by(signal, awaited);
  }).detach();
}

}  // namespace intaglio::cli
