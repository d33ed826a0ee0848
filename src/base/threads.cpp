#include "base/threads.h"

#include "base/thread_limit.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

namespace intaglio {
namespace {

thread_local bool inside_parallel_for = false;
thread_local int current_limit = 0;

struct Scope {
  bool previous = inside_parallel_for;
  Scope() { inside_parallel_for = true; }
  ~Scope() { inside_parallel_for = previous; }
};

}  // namespace

int thread_count(int requested) {
  if (requested <= 0) requested = current_limit;
  if (requested > 0) return std::min(requested, 1024);
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

ThreadLimit::ThreadLimit(int threads) : previous_(current_limit) {
  if (threads > 0) current_limit = threads;
}
ThreadLimit::~ThreadLimit() { current_limit = previous_; }

void parallel_for(size_t count, int threads, const std::function<void(size_t)>& body) {
  const size_t workers = std::min<size_t>(count, static_cast<size_t>(thread_count(threads)));
  if (workers <= 1 || inside_parallel_for) {
    for (size_t i = 0; i < count; ++i) body(i);
    return;
  }
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failure;
  size_t failed_index = count;
  // Indices are handed out in order and one that was handed out is finished, so the smallest failing index is the
  // same for any number of threads.
  const auto work = [&] {
    const Scope scope;
    for (size_t i = next++; i < count; i = next++) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (i < failed_index) failed_index = i, failure = std::current_exception();
        next = count;
      }
    }
  };
  {
    std::vector<std::jthread> pool;
    // Where no more threads can be had, those that there are do it all.
    try {
      for (size_t i = 1; i < workers; ++i) pool.emplace_back(work);
    } catch (const std::system_error&) {
    } catch (const std::bad_alloc&) {}
    work();
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace intaglio
