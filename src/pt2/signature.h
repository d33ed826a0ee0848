// The graph signature: what each graph input and output stands for.
#pragma once

#include <intaglio/program.h>

#include "ir/json.h"

namespace intaglio::pt2 {

// Rows of the signature's unions. `target_field` is empty where the spec names nothing of the model.
struct InputRow {
  std::string_view kind;
  InputSpec::Kind spec;
  std::string_view target_field;
};
struct OutputRow {
  std::string_view kind;
  OutputSpec::Kind spec;
  std::string_view target_field;
};
std::span<const InputRow> input_rows();
std::span<const OutputRow> output_rows();

// Names that the signature gives to graph inputs, "" for those it does not name.
std::vector<std::string> input_names(const json::Value& signature);
// Fills the specs of a program whose graph is read; bad input when the two do not agree.
void read_signature(const json::Value& signature, ExportedProgram& program);
void write_signature(json::Writer& writer, const ExportedProgram& program, std::span<const Value* const> inputs);

}  // namespace intaglio::pt2
