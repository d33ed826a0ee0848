#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/check_arguments.h"
#include "pt2/model_json.h"

namespace intaglio::pt2 {
namespace {

constexpr InputRow inputs[] = {
    {"parameter", InputSpec::Kind::parameter, "parameter_name"},
    {"buffer", InputSpec::Kind::buffer, "buffer_name"},
    {"tensor_constant", InputSpec::Kind::tensor_constant, "tensor_constant_name"},
    {"custom_obj", InputSpec::Kind::custom_object, "custom_obj_name"},
    {"user_input", InputSpec::Kind::user_input, ""},
    {"constant_input", InputSpec::Kind::literal_input, ""},
    {"token", InputSpec::Kind::token, ""},
};
constexpr OutputRow outputs[] = {
    {"user_output", OutputSpec::Kind::user_output, ""},
    {"buffer_mutation", OutputSpec::Kind::buffer_mutation, "buffer_name"},
    {"parameter_mutation", OutputSpec::Kind::parameter_mutation, "parameter_name"},
    {"user_input_mutation", OutputSpec::Kind::user_input_mutation, "user_input_name"},
    {"token", OutputSpec::Kind::token, ""},
    {"loss_output", OutputSpec::Kind::loss_output, ""},
    {"gradient_to_parameter", OutputSpec::Kind::gradient_to_parameter, "parameter_name"},
    {"gradient_to_user_input", OutputSpec::Kind::gradient_to_user_input, "user_input_name"},
};

template <typename Rows>
const auto& row_of(const Rows& rows, std::string_view kind) {
  for (const auto& row : rows)
    if (row.kind == kind) return row;
  throw_bad_input(fmt::format("a spec of the unknown kind '{}'", escaped(kind, 40)));
}

// The name inside an argument or a reference: {"name"}, {"as_tensor": {"name"}}, {"as_sym_int": {"as_name"}}; "" without one.
std::string name_in(const json::Value& argument) {
  for (const char* field : {"name", "as_name"})
    if (const auto name = argument.find(field)) return std::string(name->string(field));
  const auto [kind, content] = argument.only_field("argument");
  if (!content.is_object()) return "";
  for (const char* field : {"name", "as_name"})
    if (const auto name = content.find(field)) return std::string(name->string(field));
  return "";
}

std::string input_name(const json::Value& spec) {
  const auto [kind, content] = spec.only_field("input spec");
  if (kind == "constant_input") return std::string(content.at("name").string("name"));
  return name_in(content.at("arg"));
}

// The targets read so far.
using Names = std::set<std::pair<InputSpec::Kind, std::string>>;

void read_input(const json::Value& source, intaglio::Value* value, ExportedProgram& program, Names& names) {
  const auto [kind, content] = source.only_field("input spec");
  const InputRow& row = row_of(inputs, kind);
  InputSpec spec{row.spec, value, "", true};
  const bool literal = value->kind() == ValueKind::literal;
  if (!literal && input_name(source) != value->name())
    throw_bad_input(
        fmt::format("the graph has '{}' at this place, the signature '{}'", escaped(value->name(), 60), escaped(input_name(source), 60)));
  // A constant that an exporter lists as a user input is a constant all the same.
  if (literal && row.spec == InputSpec::Kind::user_input) spec.kind = InputSpec::Kind::literal_input;
  if ((spec.kind == InputSpec::Kind::literal_input) != literal)
    throw_bad_input(fmt::format("graph and signature differ in whether '{}' is a constant", escaped(value->name(), 60)));
  if (!row.target_field.empty()) {
    spec.target = content.at(row.target_field).string(row.target_field);
    const bool is_object = row.spec == InputSpec::Kind::custom_object;
    if (value->kind() != (is_object ? ValueKind::custom_object : ValueKind::tensor))
      throw_bad_input(fmt::format("'{}' is a {}, but the graph input '{}' is not of that type", escaped(spec.target, 60), kind,
                                  escaped(value->name(), 60)));
    if (!names.emplace(row.spec, spec.target).second)
      throw_bad_input(fmt::format("{} '{}' is listed twice", kind, escaped(spec.target, 60)));
  }
  if (row.spec == InputSpec::Kind::buffer) spec.persistent = content.at("persistent").boolean("persistent");
  program.input_specs.push_back(std::move(spec));
}

// What results may write to: states by their targets, user inputs by the names of their values.
using Targets = std::map<std::pair<InputSpec::Kind, std::string>, const intaglio::Value*>;

std::optional<InputSpec::Kind> kind_written_by(OutputSpec::Kind kind) {
  switch (kind) {
    case OutputSpec::Kind::buffer_mutation: return InputSpec::Kind::buffer;
    case OutputSpec::Kind::parameter_mutation:
    case OutputSpec::Kind::gradient_to_parameter: return InputSpec::Kind::parameter;
    case OutputSpec::Kind::user_input_mutation:
    case OutputSpec::Kind::gradient_to_user_input: return InputSpec::Kind::user_input;
    default: return std::nullopt;
  }
}

// A result is written over an input as it is: nothing casts or broadcasts it.
void check_target(const OutputSpec& spec, const intaglio::Value* result, const Targets& targets) {
  const std::optional<InputSpec::Kind> kind = kind_written_by(spec.kind);
  if (!kind) return;
  const auto found = targets.find({*kind, spec.target});
  if (found == targets.end()) throw_bad_input(fmt::format("it writes to '{}', which is no input of that kind", escaped(spec.target, 60)));
  const intaglio::Value& target = *found->second;
  if (!target.is_tensor() || !result->is_tensor())
    throw_bad_input(fmt::format("it writes to '{}', and one of the two is no tensor", escaped(spec.target, 60)));
  if (contradict(target.meta(), result->meta()))
    throw_bad_input(fmt::format("it writes {} to '{}', which is {}", escaped(to_string(result->meta())), escaped(spec.target, 60),
                                escaped(to_string(target.meta()))));
}

void read_output(const json::Value& source, const Argument& output, const Targets& targets, ExportedProgram& program) {
  const auto [kind, content] = source.only_field("output spec");
  const OutputRow& row = row_of(outputs, kind);
  OutputSpec spec{row.spec, ""};
  if (!row.target_field.empty()) spec.target = content.at(row.target_field).string(row.target_field);
  const std::string stated = name_in(content.at("arg"));
  const auto* value = output.get_if<intaglio::Value*>();
  const std::string actual = value != nullptr ? (*value)->name() : "";
  if (stated != actual)
    throw_bad_input(fmt::format("the graph returns '{}' at this place, the signature says '{}'", escaped(actual, 60), escaped(stated, 60)));
  if (value == nullptr && row.spec != OutputSpec::Kind::user_output) throw_bad_input("only a user output can be a constant");
  if (value != nullptr) check_target(spec, *value, targets);
  program.output_specs.push_back(std::move(spec));
}

}  // namespace

std::span<const InputRow> input_rows() { return inputs; }
std::span<const OutputRow> output_rows() { return outputs; }

std::vector<std::string> input_names(const json::Value& signature) {
  std::vector<std::string> names;
  for (const json::Value spec : signature.at("input_specs").array("input_specs")) {
    try {
      names.push_back(input_name(spec));
    } catch (const Error& error) { throw error.with_context(fmt::format("input spec {}", names.size())); }
  }
  return names;
}

void read_signature(const json::Value& signature, ExportedProgram& program) {
  const simdjson::dom::array input_specs = signature.at("input_specs").array("input_specs");
  const std::vector<intaglio::Value*>& graph_inputs = program.graph().inputs();
  if (input_specs.size() != graph_inputs.size())
    throw_bad_input(fmt::format("the graph has {} inputs, the signature {}", graph_inputs.size(), input_specs.size()));
  Names names;
  size_t position = 0;
  for (const json::Value spec : input_specs) {
    try {
      read_input(spec, graph_inputs[position], program, names);
    } catch (const Error& error) { throw error.with_context(fmt::format("input spec {}", position)); }
    ++position;
  }
  Targets targets;
  for (const InputSpec& spec : program.input_specs)
    targets.emplace(std::pair(spec.kind, spec.kind == InputSpec::Kind::user_input ? spec.value->name() : spec.target), spec.value);
  const simdjson::dom::array output_specs = signature.at("output_specs").array("output_specs");
  const std::vector<Argument> graph_outputs = program.graph().outputs();
  if (output_specs.size() != graph_outputs.size())
    throw_bad_input(fmt::format("the graph has {} outputs, the signature {}", graph_outputs.size(), output_specs.size()));
  position = 0;
  for (const json::Value spec : output_specs) {
    try {
      read_output(spec, graph_outputs[position], targets, program);
    } catch (const Error& error) { throw error.with_context(fmt::format("output spec {}", position)); }
    ++position;
  }
}

}  // namespace intaglio::pt2
