// Rewrites before partitioning: what quantizes and dequantizes goes where its reader goes. Shown by
// own_readers.test.
#pragma once

#include <functional>

#include <intaglio/program.h>

namespace intaglio::common {

// Every reader gets a dequantize node, or expression of constants, of its own.
void give_each_reader_its_own_source(ExportedProgram& program);

// The same for the nodes of dynamic quantization (choose_qparams, quantize, dequantize), so that no reader ties another to
// its partition. Lowering may convert a value once for all of its readers inside.
void give_each_reader_its_own_dynamic_chain(ExportedProgram& program);

// The same for static quantization: a dequantize node reads a quantize node of its own, where `which` holds for that. Shown by
// own_readers.test.
void give_each_dequantize_its_own_quantize(ExportedProgram& program, const std::function<bool(const Node&)>& which);

}  // namespace intaglio::common
