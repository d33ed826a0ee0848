// Reads back what the printer prints: `to_string(parse_program(text)) == text` for every text that `to_string(program)` gives.
//
// A person may write less than the printer does. Blank lines, and comments from `#` to the end of the line. Results without
// a type have the one that their operands imply: `%y = aten.relu.default(%x)`. Arguments without a name follow the schema's
// order. Constants are given by all their values in row-major order (`= [1.0, 2.5]`), by one value for all (`= full(0.5)`) or
// by a seed (`= random(7)`: 64ths from -1 to 1, integers of 7 bits, signed where the type is); without any they are zero, and
// none of these takes memory before it is read.
//
// What the text does not say: strides (dense, in the printed dim order), devices, gradients, metadata other than the innermost
// module, trees of inputs and outputs, names of nodes with several results.
#pragma once

#include <string_view>

#include <intaglio/program.h>

namespace intaglio {

// A bad-input error with line and column for any other text.
ExportedProgram parse_program(std::string_view text);

}  // namespace intaglio
