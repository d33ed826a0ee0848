// pt2e_annotate MODEL.pt2 [options]: what the XNNPACK quantizer decides, as JSON. A tool of the oracle tests.
//
//   --compat torchao|intaglio   default torchao
//   --per-tensor                weights per tensor instead of per channel
//   --dynamic                   dynamic activations
//   --module-name N, --module-type T, --operator OP
//                               configure these instead of the whole program (with --global: besides)
//   --text                      the readable form of golden tests instead of JSON
//   --observe DIR               feed DIR/*.npz (byte order of names; one file a sample, arrays named as `values` below)
//                               to the observers, convert, and add the decided parameters
//   --weights OUT.npz           with --observe: integer weights under their original names, folded floats as float:NAME
//
// Values are called by their name in the graph, constants by their name in the model.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <set>

#include <nlohmann/json.hpp>

#include <intaglio/data.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>
#include <intaglio/xnnpack.h>

#include "pt2e/prepared.h"
#include "pt2e/state_text_for_tests.h"
#include "quant/affine.h"

namespace intaglio {

using namespace pt2e;

namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::filesystem::path model;
  Compat compat = Compat::torchao;
  bool per_channel = true;
  bool dynamic = false;
  bool global = false;
  std::vector<std::string> module_names, module_types, operators;
  bool text = false;
  std::filesystem::path observe;
  std::filesystem::path weights;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto next = [&]() -> std::string {
      if (i + 1 >= argc) throw_usage(argument + ": a value is expected");
      return argv[++i];
    };
    if (argument == "--compat") {
      const std::string value = next();
      if (value != "torchao" && value != "intaglio") throw_usage("--compat: torchao or intaglio is expected");
      options.compat = value == "torchao" ? Compat::torchao : Compat::intaglio;
    } else if (argument == "--per-tensor") {
      options.per_channel = false;
    } else if (argument == "--dynamic") {
      options.dynamic = true;
    } else if (argument == "--global") {
      options.global = true;
    } else if (argument == "--module-name") {
      options.module_names.push_back(next());
    } else if (argument == "--module-type") {
      options.module_types.push_back(next());
    } else if (argument == "--operator") {
      options.operators.push_back(next());
    } else if (argument == "--text") {
      options.text = true;
    } else if (argument == "--observe") {
      options.observe = next();
    } else if (argument == "--weights") {
      options.weights = next();
    } else if (options.model.empty() && !argument.starts_with("--")) {
      options.model = argument;
    } else {
      throw_usage(argument + ": unknown option");
    }
  }
  if (options.model.empty()) throw_usage("pt2e_annotate MODEL.pt2 [--compat torchao|intaglio] [--observe DIR]");
  return options;
}

std::string value_name(const ExportedProgram& program, const Value* value) {
  const std::string* target = program.constant(value) != nullptr ? program.target_of(value) : nullptr;
  return target != nullptr ? *target : value->name();
}

std::string key_text(const ExportedProgram& program, const SpecKey& key) {
  const std::string value = value_name(program, key.value);
  return key.user == nullptr ? value : value + " -> " + key.user->name();
}

std::string spec_text(const ExportedProgram& program, const std::optional<AnyQuantizationSpec>& spec) {
  if (!spec) return "float";
  const auto* shared = std::get_if<SharedQuantizationSpec>(&*spec);
  return shared != nullptr ? "shared with (" + key_text(program, key_of(shared->target)) + ")" : to_string(*spec);
}

Json annotations_of(const PreparedProgram::State& state) {
  Json list = Json::array();
  for (const Node* node : state.program.graph().node_list()) {
    const QuantizationAnnotation* annotation = state.annotations.find(node);
    if (annotation == nullptr || (annotation->input_qspec_map.empty() && !annotation->output_qspec)) continue;
    Json inputs = Json::array();
    for (const auto& [value, spec] : annotation->input_qspec_map)
      inputs.push_back({value_name(state.program, value), spec_text(state.program, spec)});
    const Json output = annotation->output_qspec ? Json(spec_text(state.program, *annotation->output_qspec)) : Json();
    list.push_back({node->name(), inputs, output});
  }
  return list;
}

// One row an observer call: tensor, sorted users, group; groups are numbered as they appear in the sorted rows.
Json observers_of(const PreparedProgram::State& state, bool with_qparams) {
  struct Row {
    std::string value;
    std::vector<std::string> users;
    const Insertion* insertion;
    auto operator<=>(const Row& other) const { return std::tie(value, users) <=> std::tie(other.value, other.users); }
  };
  std::vector<Row> rows;
  for (const Insertion& insertion : state.insertions.items) {
    Row row{value_name(state.program, insertion.value), {}, &insertion};
    for (const Node* user : insertion.users) row.users.push_back(user == &state.program.graph().output_node() ? "output" : user->name());
    std::sort(row.users.begin(), row.users.end());
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return std::tie(a.value, a.users) < std::tie(b.value, b.users); });
  std::map<size_t, size_t> numbers;
  Json list = Json::array();
  for (const Row& row : rows) {
    const size_t group = numbers.try_emplace(row.insertion->group, numbers.size()).first->second;
    Json item = {row.value, row.users, group};
    if (with_qparams) {
      const QuantParams params = qparams_of(state, row.insertion->group);
      item.push_back(params.scale);
      item.push_back(params.zero_point);
    }
    list.push_back(std::move(item));
  }
  return list;
}

void observe_folder(PreparedProgram& prepared, const std::filesystem::path& folder) {
  PreparedProgram::State& state = prepared.internal();
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const std::filesystem::path& file : files) {
    std::map<std::string, Tensor> arrays;
    for (NamedArray& array : read_arrays(file)) arrays[array.name] = std::move(array.tensor);
    const auto feed = [&](const Value* value) {
      if (state.insertions.at(value).empty() || state.program.is_constant(value)) return;
      const auto found = arrays.find(value->name());
      if (found == arrays.end()) throw_bad_input(file.string() + ": no array for observed value " + value->name());
      observe_value(state, value, found->second);
    };
    observe_constants(state);
    for (const Value* input : state.program.graph().inputs()) feed(input);
    for (const Node* node : state.program.graph().node_list())
      for (const Value* output : node->outputs()) feed(output);
    ++state.samples;
  }
}

void write_weights(const PreparedProgram::State& state, const std::filesystem::path& path) {
  std::vector<NamedArray> arrays;
  for (const auto& [name, entry] : state.program.state.entries()) arrays.push_back({"float:" + name, entry.tensor.contiguous()});
  std::set<std::string> written;
  for (const Insertion& insertion : state.insertions.items) {
    const Tensor* tensor = state.program.constant(insertion.value);
    if (tensor == nullptr || !written.insert(value_name(state.program, insertion.value)).second) continue;
    arrays.push_back(
        {value_name(state.program, insertion.value), quant::quantize(tensor->contiguous(), qparams_of(state, insertion.group))});
  }
  write_npz(path, arrays);
}

int run(const Options& options) {
  const QuantizationConfig config =
      xnnpack::get_symmetric_quantization_config({.is_per_channel = options.per_channel, .is_dynamic = options.dynamic});
  xnnpack::XnnpackQuantizer quantizer(options.compat);
  for (const std::string& name : options.module_names) quantizer.set_module_name(name, config);
  for (const std::string& type : options.module_types) quantizer.set_module_type(type, config);
  for (const std::string& op : options.operators) quantizer.set_operator_type(op, config);
  if (options.global || (options.module_names.empty() && options.module_types.empty() && options.operators.empty()))
    quantizer.set_global(config);
  PreparedProgram prepared = prepare_pt2e(load_exported_program(options.model), quantizer, {.compat = options.compat});
  const PreparedProgram::State& state = prepared.internal();
  if (options.text) {
    std::cout << to_string(state.program.graph()) << to_string(state);
    return 0;
  }
  Json document;
  document["annotations"] = annotations_of(state);
  if (!options.observe.empty()) observe_folder(prepared, options.observe);
  document["observers"] = observers_of(state, !options.observe.empty());
  if (!options.weights.empty()) write_weights(state, options.weights);
  std::cout << document.dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace intaglio

int main(int argc, char** argv) {
  try {
    return intaglio::run(intaglio::parse(argc, argv));
  } catch (const intaglio::Error& error) {
    std::cerr << "pt2e_annotate: " << error.what() << "\n";
    return error.kind() == intaglio::ErrorKind::usage ? 2 : 1;
  }
}
