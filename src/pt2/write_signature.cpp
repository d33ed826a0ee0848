#include <unordered_set>

#include <intaglio/error.h>

#include "pt2/model_json.h"

namespace intaglio::pt2 {
namespace {

using json::Writer;

template <typename Rows, typename Kind>
const auto& row_of(const Rows& rows, Kind kind) {
  for (const auto& row : rows)
    if (row.spec == kind) return row;
  throw_bug("a signature spec without a row");
}

void write_input(Writer& writer, const ExportedProgram& program, const InputSpec& spec) {
  const InputRow& row = row_of(input_rows(), spec.kind);
  writer.begin_object().key(row.kind).begin_object();
  if (spec.kind == InputSpec::Kind::literal_input) {
    writer.key("name").string(spec.value->name()).key("value");
    write_argument(writer, *program.graph().literal_of(spec.value));
  } else {
    writer.key("arg");
    if (spec.kind == InputSpec::Kind::user_input) {
      write_argument(writer, Argument(spec.value));
    } else {
      writer.begin_object().key("name").string(spec.value->name());
      if (spec.kind == InputSpec::Kind::custom_object) writer.key("class_fqn").string(spec.value->class_fqn);
      writer.end_object();
    }
    if (!row.target_field.empty()) writer.key(row.target_field).string(spec.target);
    if (spec.kind == InputSpec::Kind::buffer) writer.key("persistent").boolean(spec.persistent);
  }
  writer.end_object().end_object();
}

void write_output(Writer& writer, const OutputSpec& spec, const Argument& output) {
  const OutputRow& row = row_of(output_rows(), spec.kind);
  writer.begin_object().key(row.kind).begin_object().key("arg");
  if (spec.kind == OutputSpec::Kind::user_output) {
    write_argument(writer, output);
  } else {
    const auto* value = output.get_if<Value*>();
    if (value == nullptr) throw_bug("a mutation output that is no value");
    writer.begin_object().key("name").string((*value)->name()).end_object();
  }
  if (!row.target_field.empty()) writer.key(row.target_field).string(spec.target);
  writer.end_object().end_object();
}

}  // namespace

void write_signature(Writer& writer, const ExportedProgram& program, std::span<const Value* const> inputs) {
  const std::unordered_set<const Value*> kept(inputs.begin(), inputs.end());
  writer.begin_object().key("input_specs").begin_array();
  for (const InputSpec& spec : program.input_specs)
    if (kept.contains(spec.value)) write_input(writer, program, spec);
  writer.end_array().key("output_specs").begin_array();
  const std::vector<Argument> outputs = program.graph().outputs();
  for (size_t i = 0; i < outputs.size(); ++i) write_output(writer, program.output_specs.at(i), outputs[i]);
  writer.end_array();
  if (const auto carried = program.carried.find("signature"); carried != program.carried.end())
    for (const auto& [field, text] : carried->second) writer.key(field).raw(text);
  writer.end_object();
}

}  // namespace intaglio::pt2
