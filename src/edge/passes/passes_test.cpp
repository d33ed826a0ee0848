// The `.test` files beside the passes.
#include "edge/passes/passes.h"
#include "testing/text_cases.h"

namespace intaglio::edge {
namespace {

const bool registered = test::register_text_cases(
    "EdgePasses", "src/edge/passes",
    test::program_passes({
        {"cover_zero_points", cover_zero_points},
        {"dim_order_ops", dim_order_ops},
        {"eliminate_dead_code", [](ExportedProgram& program) { program.graph().eliminate_dead_code(); }},
        {"erase_asserts", erase_asserts},
        {"expand_llama_ops", [](ExportedProgram& program) { expand_llama_ops(program); }},
        {"recognize_caches", [](ExportedProgram& program) { recognize_caches(program, [](const Node&) { return true; }); }},
        {"keep_llama_ops", [](ExportedProgram& program) { expand_llama_ops(program, [](const Node&) { return true; }); }},
        {"fold_constants", fold_constants},
        {"fold_quantization", fold_quantization},
        {"fuse_quantized_embeddings", fuse_quantized_embeddings},
        {"inline_subgraphs", inline_subgraphs},
        {"insert_write_back", [](ExportedProgram& program) { insert_write_back(program, false); }},
        {"insert_write_back inputs_are_shared", [](ExportedProgram& program) { insert_write_back(program, true); }},
        {"legalize_dim_order", [](ExportedProgram& program) { legalize_dim_order(program.graph()); }},
        {"make_contiguous", make_contiguous},
        {"merge_duplicates", merge_duplicates},
        {"promote_mixed_dtypes", promote_mixed_dtypes},
        {"sum_in_float32", sum_in_float32},
        {"restore_linear", restore_linear},
        {"scalars_to_tensors", scalars_to_tensors},
        {"settle_masks", settle_masks},
        {"share_repeated_heads", share_repeated_heads},
        {"views_to_copies", views_to_copies},
        {"write_in_place", write_in_place},
    }));

}  // namespace
}  // namespace intaglio::edge
