// ExecuTorch's own language models call operators of a library that only some runtimes have. They are what ATen says too:
//
//   llama.update_cache        rows written into a cache [batch, positions, heads, size], from a position on
//   llama.custom_sdpa         attention over such a cache: causal, or over all that was written
//   llama.sdpa_with_kv_cache  both caches written, then attention over them
//
// Needs: nothing. Guarantees: none is left, also as an operand of `auto_functionalized_v2`, but for those that `keeps` holds for: they
// stay as `llama.custom_sdpa` and as `llama.updated_cache(value, cache, start_pos)`, whose result is the cache with the rows written and
// which changes nothing. An unsupported error for attention with a mask or dropout that is not kept; other operators of the library are
// named when kernels are looked for. Shown by expand_llama_ops.test.
#pragma once

#include <functional>

#include <intaglio/program.h>

namespace intaglio::edge {

inline constexpr std::string_view updated_cache = "llama.updated_cache.default";

void expand_llama_ops(ExportedProgram& program, const std::function<bool(const Node&)>& keeps = {});

}  // namespace intaglio::edge
