#include "base/stack.h"

#include <pthread.h>
#include <sys/resource.h>

#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr size_t usual_stack = 8 << 20;

struct Body {
  const std::function<int()>* function;
  int result = 0;
};

void* run_body(void* argument) {
  auto* body = static_cast<Body*>(argument);
  body->result = (*body->function)();
  return nullptr;
}

// What threads get that are started without a wish of their own: after a limit of the system that may be far less.
void raise_default_stack() {
  pthread_attr_t attributes;
  size_t size = 0;
  if (::pthread_getattr_default_np(&attributes) != 0) return;
  if (::pthread_attr_getstacksize(&attributes, &size) == 0 && size < usual_stack &&
      ::pthread_attr_setstacksize(&attributes, usual_stack) == 0)
    ::pthread_setattr_default_np(&attributes);
  ::pthread_attr_destroy(&attributes);
}

}  // namespace

int with_enough_stack(const std::function<int()>& body) {
  raise_default_stack();
  rlimit limit{};
  if (::getrlimit(RLIMIT_STACK, &limit) != 0 || limit.rlim_cur >= usual_stack) return body();
  Body all{&body};
  pthread_t thread;
  if (const int failure = ::pthread_create(&thread, nullptr, run_body, &all); failure != 0)
    throw_machine(fmt::format("the stack may have {} KB, and no thread can be had that has more ({}); raise `ulimit -s`",
                              limit.rlim_cur >> 10, std::strerror(failure)));
  // What a signal leads to needs the larger stack as well.
  sigset_t all_signals;
  sigfillset(&all_signals);
  ::pthread_sigmask(SIG_BLOCK, &all_signals, nullptr);
  ::pthread_join(thread, nullptr);
  return all.result;
}

}  // namespace intaglio
