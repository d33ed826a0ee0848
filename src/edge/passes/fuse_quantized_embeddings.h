// Rows looked up in a table that a dequantize node makes of integers: the runtime's kernels look up the integers and dequantize
// what they found, and the float table is never made.
//
// Needs: functional ops and metadata. Guarantees: no `aten.embedding` reads a table for which `is_quantized_table` holds. Tables of
// 4 and 2 bits are packed. Shown by fuse_quantized_embeddings.test.
#pragma once

#include <intaglio/program.h>

namespace intaglio::edge {

// A dequantize node of int8 rows in groups, read by an embedding: it is to be left whole until they are fused.
bool is_quantized_table(const ExportedProgram& program, const Node& node);
void fuse_quantized_embeddings(ExportedProgram& program);

}  // namespace intaglio::edge
