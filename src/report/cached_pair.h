// Two methods that are one language model: `prefill` reads a prompt and gives logits and a cache, `decode` reads one token and the
// cache and gives logits and the cache with it, longer or written into. `transformers.exporters` writes such pairs.
//
// Their inputs, in this order: tokens [1, s]; where there are, a mask (booleans, or integers [1, n]), positions (integers [1, s] or
// [s]); the tensors of the cache (floats of three dimensions or more) and its counters (integers without dimensions). What follows the
// logits among the outputs is the cache.
#pragma once

#include <filesystem>
#include <memory>

#include "report/executable.h"

namespace intaglio::report {

// The file's `forward`; where it has none but `prefill` and `decode`, these as a program of tokens [1, s] and positions [s] that keeps
// its cache itself. Unsupported error, naming the input, for a pair with other inputs than those.
std::unique_ptr<Executable> open_language_model(const std::filesystem::path& path, const ExecutableOptions& options);

}  // namespace intaglio::report
