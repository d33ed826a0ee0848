// Work spread over threads. Results must not depend on how many there are: each index writes its own place.
#pragma once

#include <cstddef>
#include <functional>

namespace intaglio {

// `requested` if positive, else the number of processors this process may use.
int thread_count(int requested);

// Calls body(i) for every i < count on up to `threads` threads (the caller's among them), in any order. The first
// exception, by index, is rethrown after all threads have stopped. Nested calls run on the calling thread.
void parallel_for(size_t count, int threads, const std::function<void(size_t)>& body);

}  // namespace intaglio
