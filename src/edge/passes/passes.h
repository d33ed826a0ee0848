// The passes of lowering, in the order in which they run: lower.cpp and to_executorch.cpp list them and say why. Each stands in a
// file of its name, with a `.test` beside it.
#pragma once

#include <functional>
#include <string_view>

#include <intaglio/program.h>

namespace intaglio::edge {

// ExecuTorch's own language models call operators of a library that only some runtimes have. They are what ATen says too:
//
//   llama.update_cache        rows written into a cache [batch, positions, heads, size], from a position on
//   llama.custom_sdpa         attention over such a cache: causal, by a mask of all positions, or over all that was written
//   llama.sdpa_with_kv_cache  both caches written, then attention over them
//
// Needs: nothing. Guarantees: none is left, also as an operand of `auto_functionalized_v2`, but for those that `keeps` holds for: they
// stay as `llama.custom_sdpa` and as `llama.updated_cache(value, cache, start_pos)`, whose result is the cache with the rows written and
// which changes nothing. An unsupported error for causal attention with a mask, or with dropout, that is not kept; other operators of the
// library are named when kernels are looked for. Shown by expand_llama_ops.test.
inline constexpr std::string_view updated_cache = "llama.updated_cache.default";
void expand_llama_ops(ExportedProgram& program, const std::function<bool(const Node&)>& keeps = {});

// Attention over caches in plain operators becomes what ExecuTorch's own language models call: rows that are written into a buffer
// [1, heads, positions, size] from a position on (by `index_copy`, `index_put` or `slice_scatter`), and attention over it under a mask
// that lets each row read up to its own position. The buffer is then [1, positions, heads, size].
//
// Needs: a functional graph whose attention is not taken apart. Guarantees: the same numbers for positions within the cache. What
// `keeps` does not hold for, positions that need not be consecutive and other masks stay. Shown by recognize_caches.test.
void recognize_caches(ExportedProgram& program, const std::function<bool(const Node&)>& keeps);

// Takes out checks that the exporter left in the graph: they say what is already in the metadata.
//
// Needs: nothing. Guarantees: no `_assert_*` and no `sym_constrain_range*` node is left. Shown by erase_asserts.test.
void erase_asserts(ExportedProgram& program);

// Puts the bodies of regions in their place (decompose/regions.h) and refuses the sub-graphs that nothing can lower.
//
// Needs: nothing. Guarantees: branches of `cond` are the only sub-graphs left; other control flow
// is refused. Shown by inline_subgraphs.test.
void inline_subgraphs(ExportedProgram& program);

// Every tensor inside the program is row-major: kernels want operands of one dim order, and layout says nothing of values.
//
// Needs: a functional graph. Guarantees: results and constants are contiguous (constants of other strides are rewritten);
// user inputs keep the dim order that the export saw and, where that is not row-major, are copied once at the start.
// Refuses as_strided of a tensor that is not contiguous: its result depends on the strides that go. To be run once.
// Shown by make_contiguous.test.
void make_contiguous(ExportedProgram& program);

// Grouped-query attention without copies.
//
// A batched product whose right operand repeats each matrix for several neighbouring batches (key and value heads that serve
// several query heads) becomes one product per matrix, over the rows of all those batches.
//
// Needs: a functional graph of core ATen. Guarantees: the same numbers; other products are left as they are.
// Shown by share_repeated_heads.test.
void share_repeated_heads(ExportedProgram& program);

// A product with a transposed matrix is a linear layer again: `addmm(b, x, permute(w))` is what the exporter's own
// decomposition left of it, and the linear kernel and delegates are many times faster.
//
// Needs: metadata. Guarantees: no mm or addmm whose second operand is a plain transpose of a 2-d tensor is left, where
// the type has a linear kernel and the bias is one row. Shown by restore_linear.test.
void restore_linear(ExportedProgram& program);

// A Python number where an op takes a tensor becomes a 0-d constant of the type that the op computes in.
//
// Needs: metadata. Guarantees: every argument that a schema calls a tensor is one; equal constants are one constant; no
// cast of a constant is left to run time (`x + 2` needs none, unlike in the stock flow). Symbolic numbers become
// `scalar_tensor`. Shown by scalars_to_tensors.test.
void scalars_to_tensors(ExportedProgram& program);

// Arithmetic on tensors of different types: operands are cast to the promoted type first, as the kernels and delegates need.
//
// Needs: metadata; run after scalars_to_tensors. Guarantees: add, sub, mul, div, minimum and maximum have operands of one
// type. Shown by promote_mixed_dtypes.test.
void promote_mixed_dtypes(ExportedProgram& program);

// Operators whose kernels in the runtime add numbers of half precision up in half precision, where a sum of bfloat16 ends at 256
// times its summands: they compute in float32, between casts, as PyTorch does inside. Numbers are read out of float32 tensors: that kernel
// has no half precision.
//
// Needs: metadata; run after scalars_to_tensors. Types that a delegate takes and sums as it should are left alone.
// Shown by sum_in_float32.test.
void sum_in_float32(ExportedProgram& program);

// Mask and index arithmetic whose answer does not depend on the input, or is the input itself: `and` with true, `or` with false,
// a choice that is always the same, minus infinity looked for where it never is, all places in their order, places in a table of
// one number, times a mask that is true. Exporters write it around every attention mask.
//
// Needs: metadata, scalars as tensors. Guarantees: values stay; what is left of the operands goes to fold_constants. Shown by
// settle_masks.test.
void settle_masks(ExportedProgram& program);

// Ops on constants only are computed once, now.
//
// Needs: metadata, a functional graph. Guarantees: what is computed stays within bounds: a result is at most 64 KiB or a
// part in 32 of all constants, or no larger than the constants that it alone uses and so replaces, and all together add at
// most a quarter. Quantized weights stay integers: they are dequantized only on the way to an op all of whose operands are constants. Ops
// without a kernel in the interpreter stay. Shown by fold_constants.test.
void fold_constants(ExportedProgram& program);

// Equal ops on equal operands are computed once.
//
// Needs: a functional graph. Guarantees: no two `aten` nodes with the same op and arguments are left, random ones and
// program outputs excepted; small constants of the same elements are one. Quantization ops are not merged: patterns want their own pair at
// each use. Shown by merge_duplicates.test.
void merge_duplicates(ExportedProgram& program);

// A dequantize that is quantized again with the same parameters is the integer tensor it came from.
//
// Needs: no-ops between the two already removed. Guarantees: no such pair is left. Shown by fold_quantization.test.
void fold_quantization(ExportedProgram& program);

// View ops become their `_copy` forms: in a file nothing aliases, except where memory planning decides so.
//
// Needs: a functional graph. Guarantees: no op returns a view of its operand. Shown by views_to_copies.test.
void views_to_copies(ExportedProgram& program);

// Casts and copies in the form that the runtime has kernels for: `dim_order_ops`, with the dim order written out.
//
// Needs: every tensor contiguous (make_contiguous). Guarantees: no `_to_copy`, `clone` or `empty` is left. Shown by
// dim_order_ops.test.
void dim_order_ops(ExportedProgram& program);

// Rows looked up in a table that a dequantize node makes of integers: the runtime's kernels look up the integers and dequantize
// what they found, and the float table is never made.
//
// Needs: functional ops and metadata. Guarantees: no `aten.embedding` reads a table for which `is_quantized_table` holds. Tables of
// 4 and 2 bits are packed. Shown by fuse_quantized_embeddings.test.
void fuse_quantized_embeddings(ExportedProgram& program);
// A dequantize node of int8 rows in groups, read by an embedding: it is to be left whole until they are fused.
bool is_quantized_table(const ExportedProgram& program, const Node& node);

// Zero points outside of the quantized values' bounds: what dequantizes uses no bounds, but its kernels assert that zero points lie between
// them.
//
// Needs: nothing. Guarantees: the bounds beside constant zero points take all of them in; those that the element type does not hold are an
// unsupported error. Shown by cover_zero_points.test.
void cover_zero_points(ExportedProgram& program);

// Kernels that compute on row-major tensors only. Shown by dim_order_legalization.test.
//
// A `_to_dim_order_copy` to row-major order goes in front of `_adaptive_avg_pool2d`, `avg_pool2d`, `expand_copy`,
// `mean.dim` and `sum.dim_IntList` where their argument is laid out otherwise. Results of these ops, and of what
// follows them, become row-major: kernels want one order for all their tensors.
void legalize_dim_order(Graph& graph);

// Rows written into a mutated buffer are written where it lies: the cache of a language model is neither copied to get a new row, nor
// copied back.
//
// Needs: mutation outputs that are still in the signature. Guarantees: an `aten.index_put` whose result is the new value of the buffer
// that it alone reads is in place, where the kernel takes its types and form. Shown by write_in_place.test.
void write_in_place(ExportedProgram& program);

// Mutated buffers and inputs get their new values at the end of the program. Shown by write_back.test.
//
// For each mutation output, in the order of the signature, appends `aten.copy_(input, new value)`; what is left of the
// outputs are the user's. A new value that is itself a mutated input (buffers that change places), or a user output
// that is an old value, is cloned first: the copies must not overwrite what is still to be read. Mutated user inputs
// are written only where they are the caller's memory (`inputs_are_shared`): a copy inside the program nobody would
// see.
void insert_write_back(ExportedProgram& program, bool inputs_are_shared);

}  // namespace intaglio::edge
