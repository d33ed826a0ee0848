// `.pt2` to ExportedProgram.
#include <intaglio/pt2.h>

#include <new>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "pt2/archive.h"
#include "pt2/model_json.h"
#include "pt2/pickles.h"
#include "pt2/read_state.h"

namespace intaglio {

namespace pt2 {
namespace {

constexpr std::string_view model_name = "models/model.json";
constexpr int64_t schema_major = 8;

template <typename Body>
auto within(std::string_view place, Body body) {
  try {
    return body();
  } catch (const Error& error) { throw error.with_context(place); }
}

void check_schema_version(const json::Value& root) {
  const json::Value version = root.at("schema_version");
  const int64_t major = version.at("major").integer("major");
  const int64_t minor = version.at("minor").integer("minor");
  if (major == schema_major) return;
  const bool newer = major > schema_major;
  throw_unsupported(
      fmt::format("schema version {}.{} is {} than the version {} that is read; {}", major, minor, newer ? "newer" : "older", schema_major,
                  newer ? "export the model with PyTorch 2.13"
                        : "in PyTorch 2.13 run torch.export.save(torch.export.load('old.pt2'), 'new.pt2') and take the new file"));
}

void read_ranges(const json::Value& root, ExportedProgram& program) {
  for (const auto field : root.at("range_constraints").object("range_constraints")) {
    within(fmt::format("range_constraints of '{}'", escaped(field.key, 60)), [&] {
      parse_sym_expr(field.key);
      SymRange range;
      if (const auto min = json::Value(field.value).find("min_val")) range.min = min->integer("min_val");
      if (const auto max = json::Value(field.value).find("max_val")) range.max = max->integer("max_val");
      if (range.min && range.max && *range.min > *range.max)
        throw_bad_input(fmt::format("the range {} to {} is empty", *range.min, *range.max));
      program.range_constraints.emplace(field.key, range);
    });
  }
}

// The root entry says how the program is called; the entries of modules are kept as they are.
void read_calling_convention(const json::Value& module, ExportedProgram& program) {
  const json::Value entries = module.at("module_call_graph");
  const simdjson::dom::array list = entries.array("module_call_graph");
  if (list.size() == 0 || !json::Value(list.at(0)).at("fqn").string("fqn").empty())
    throw_bad_input("module_call_graph does not begin with the entry of the whole model");
  const auto signature = json::Value(list.at(0)).find("signature");
  if (!signature) throw_bad_input("module_call_graph: the entry of the whole model has no signature");
  program.in_spec = within("in_spec", [&] { return parse_tree_spec(signature->at("in_spec").string("in_spec")); });
  program.out_spec = within("out_spec", [&] { return parse_tree_spec(signature->at("out_spec").string("out_spec")); });

  size_t inputs = 0, outputs = 0;
  for (const InputSpec& spec : program.input_specs)
    inputs += spec.kind == InputSpec::Kind::user_input || spec.kind == InputSpec::Kind::literal_input ||
              spec.kind == InputSpec::Kind::custom_object;
  for (const OutputSpec& spec : program.output_specs)
    outputs += spec.kind == OutputSpec::Kind::user_output || spec.kind == OutputSpec::Kind::loss_output;
  // Custom objects may be attributes of the model or arguments of the call; only the former are no leaves.
  size_t objects = 0;
  for (const InputSpec& spec : program.input_specs) objects += spec.kind == InputSpec::Kind::custom_object;
  const size_t leaves = program.in_spec.leaf_count();
  if (leaves > inputs || leaves + objects < inputs)
    throw_bad_input(fmt::format("in_spec has {} leaves, the signature {} user inputs", leaves, inputs - objects));
  if (program.out_spec.leaf_count() != outputs)
    throw_bad_input(fmt::format("out_spec has {} leaves, the signature {} user outputs", program.out_spec.leaf_count(), outputs));
  program.carried["graph_module"]["module_call_graph"] = entries.text();
}

void read_carried(const json::Value& root, const json::Value& module, ExportedProgram& program) {
  auto& top = program.carried[""];
  top = root.others("graph_module range_constraints guards_code");
  if (const auto guards = root.find("guards_code")) {
    json::Writer kept;
    kept.begin_array();
    for (const json::Value guard : guards->array("guards_code"))
      if (is_plain_guard(guard.string("guard"))) kept.string(guard.string("guard"));
    top["guards_code"] = kept.end_array().text();
  }
  for (auto& [field, text] : module.others("graph signature module_call_graph"))
    program.carried["graph_module"].emplace(field, std::move(text));
  const auto signature = module.at("signature").others("input_specs output_specs");
  if (!signature.empty()) program.carried["signature"] = signature;
}

void check_against_graph(const InputSpec& spec, const StateEntry& entry) {
  TensorMeta& meta = spec.value->meta();
  if (entry.tensor.dtype() != meta.dtype || !meta.is_static() || entry.tensor.sizes() != meta.static_sizes())
    throw_bad_input(fmt::format("the graph takes {} for '{}', but the stored tensor is {} with {} dimensions", to_string(meta),
                                escaped(spec.target, 80), name(entry.tensor.dtype()), entry.tensor.rank()));
  if ((spec.kind == InputSpec::Kind::parameter) != entry.is_parameter)
    throw_bad_input(fmt::format("signature and weights differ in whether '{}' is a parameter", escaped(spec.target, 80)));
  // The strides that count are those of the stored tensor.
  meta.strides.assign(entry.tensor.strides().begin(), entry.tensor.strides().end());
}

using SpecsByTarget = std::map<std::string_view, const InputSpec*>;

// In the order of the table, which is that of the model's state dict.
void read_tensors(StateReader& reader, const StatePlace& place, const SpecsByTarget& wanted, State& state) {
  for (const auto& [target, spec] : wanted)
    if (!reader.contains(target))
      throw_bad_input(fmt::format("{}: the signature names '{}', but it has no entry", place.config, escaped(target, 100)));
  for (const std::string_view name : reader.names()) {
    const auto spec = wanted.find(name);
    if (spec == wanted.end()) continue;
    StateEntry entry = reader.read(name);
    within(place.config, [&] { check_against_graph(*spec->second, entry); });
    state.set(std::string(name), std::move(entry));
  }
}

void read_state(Archive& archive, ExportedProgram& program) {
  SpecsByTarget from_weights, from_constants;
  StateReader weights = within(weights_place().config, [&] { return StateReader(archive, weights_place()); });
  StateReader constants = within(constants_place().config, [&] { return StateReader(archive, constants_place()); });
  for (const InputSpec& spec : program.input_specs) {
    const bool in_weights = spec.kind == InputSpec::Kind::parameter || (spec.kind == InputSpec::Kind::buffer && spec.persistent);
    const bool in_constants = spec.kind == InputSpec::Kind::tensor_constant || (spec.kind == InputSpec::Kind::buffer && !spec.persistent);
    if (in_weights) from_weights.emplace(spec.target, &spec);
    if (in_constants) from_constants.emplace(spec.target, &spec);
  }
  read_tensors(weights, weights_place(), from_weights, program.state);
  read_tensors(constants, constants_place(), from_constants, program.constants);
}

// PyTorch hands extra files on as bytes: those that whoever takes them could run as a pickle are left out. So is anything else that is not
// rebuilt, which PyTorch may unpickle or load as code.
void read_carried_files(Archive& archive, ExportedProgram& program) {
  for (const std::string_view name : archive.names()) {
    const bool rebuilt = name.starts_with("models/") || name.starts_with("data/weights/") || name.starts_with("data/constants/") ||
                         name.starts_with(".data/") || name == "version" || name == "archive_format" || name == "archive_version" ||
                         name == "byteorder";
    if (rebuilt) continue;
    const auto storage = name.starts_with("extra/") ? archive.record(name) : nullptr;
    if (storage && !holds_pickle({reinterpret_cast<const char*>(storage->bytes().data()), storage->size()}))
      program.carried_files.emplace(name, storage);
    else program.left_out_files.emplace_back(name);
  }
}

void read_model(Archive& archive, ExportedProgram& program) {
  within(model_name, [&] {
    if (!archive.contains(model_name)) throw_bad_input("the entry is missing; a program saved by torch.export.save has it");
    const json::Document document(archive.text(model_name));
    const json::Value root = document.root();
    root.object("model");
    check_schema_version(root);
    const json::Value module = root.at("graph_module");
    const json::Value signature = module.at("signature");
    Expressions expressions;
    const std::vector<std::string> names = within("signature", [&] { return input_names(signature); });
    read_graph(module.at("graph"), names, expressions, program.graph());
    within("signature", [&] { read_signature(signature, program); });
    read_ranges(root, program);
    within("graph", [&] { check_symbols(program); });
    read_calling_convention(module, program);
    read_carried(root, module, program);
  });
}

ExportedProgram load(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive, const std::string& name,
                     const LoadOptions& options, Storage::Backing backing) {
  try {
    Archive archive(bytes, std::move(keep_alive), name, backing);
    if (options.verify_all_records) archive.verify();
    ExportedProgram program;
    program.source = name;
    read_model(archive, program);
    read_state(archive, program);
    read_carried_files(archive, program);
    return program;
  } catch (const Error& error) { throw error.with_context(escaped(name)); } catch (const std::bad_alloc&) {
    throw_bad_input(escaped(name) + ": not enough memory to read it");
  }
}

}  // namespace

}  // namespace pt2

ExportedProgram load_exported_program(std::span<const std::byte> bytes, std::shared_ptr<const void> keep_alive, const std::string& name,
                                      const LoadOptions& options) {
  return pt2::load(bytes, std::move(keep_alive), name, options, Storage::Backing::memory);
}

ExportedProgram load_exported_program(const std::filesystem::path& path, const LoadOptions& options) {
  const std::shared_ptr<MappedFile> file = MappedFile::open(path);
  return pt2::load(file->bytes(), file, path.string(), options, Storage::Backing::file);
}

}  // namespace intaglio
