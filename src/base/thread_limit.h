// How many threads work takes that was given no count of its own.
#pragma once

namespace intaglio {

// While it lives, `thread_count(0)` on this thread is `threads`. 0 changes nothing.
class ThreadLimit {
 public:
  explicit ThreadLimit(int threads);
  ~ThreadLimit();
  ThreadLimit(const ThreadLimit&) = delete;
  ThreadLimit& operator=(const ThreadLimit&) = delete;

 private:
  int previous_;
};

}  // namespace intaglio
