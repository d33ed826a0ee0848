// Quantize and dequantize nodes as Core ML has them.
#pragma once

#include <optional>

#include "backends/common/program_facts.h"
#include "backends/coreml/mil/program.h"
#include "qdq/patterns.h"

namespace intaglio::coreml {

enum class QuantizedForm : uint8_t {
  activation,  // `quantize` or `dequantize`, computed when the model runs
  channels,    // a weight whose scale is one, or one for each index of a dimension
  groups,      // a matrix whose rows, or parts of them, have a scale
  table,       // a weight whose blocks have tables of values
  dynamic,     // of a tensor whose range is found at run time, for one reader: it is left out
};
// nullopt for any other node, and for what Core ML has no form for.
std::optional<QuantizedForm> quantized_form(const common::ProgramFacts& facts, const Node& node);

// What finds a range at run time and quantizes by it for one reader; nullopt for a node that is no part of such.
std::optional<qdq::Dynamic> dynamic_chain(const Node& node);

// The oldest version that has the form; iOS 15 for any other node.
Version version_for(const common::ProgramFacts& facts, const Node& node);

// A weight that is decompressed when the model is loaded, or the tensor itself.
bool is_known(const common::ProgramFacts& facts, const Value* value);

// The codes of a node with tables, without the cast that torchao writes between; null where they are not constant.
Value* stored_codes(const ExportedProgram& program, const Node& node);

// Of a node with tables, as the program has it and as it is stored: there is no type of 5 and of 7 bits.
int64_t table_bits(const Node& node);
int64_t stored_table_bits(int64_t bits);

}  // namespace intaglio::coreml
