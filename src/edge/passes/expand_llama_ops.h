// ExecuTorch's own language models call operators of a library that only some runtimes have. Two of them are what ATen says too:
//
//   llama.update_cache   rows written into a cache [batch, positions, heads, size], from a position on
//   llama.custom_sdpa    attention over such a cache: causal, or over all that was written
//
// Needs: nothing. Guarantees: neither is left, also as an operand of `auto_functionalized_v2`. An unsupported error for attention with
// a mask or dropout; other operators of the library are named when kernels are looked for. Shown by expand_llama_ops.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

void expand_llama_ops(ExportedProgram& program);

}  // namespace intaglio::edge
