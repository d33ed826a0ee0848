// ExportedProgram to `.pt2`.
#include <algorithm>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/atomic_file.h"
#include "base/zip_writer.h"
#include "pt2/model_json.h"
#include "pt2/read_state.h"

namespace intaglio {

namespace pt2 {
namespace {

using json::Writer;

constexpr std::string_view sample_inputs = "data/sample_inputs/model.pt";

bool has_tensor(InputSpec::Kind kind) {
  return kind == InputSpec::Kind::parameter || kind == InputSpec::Kind::buffer || kind == InputSpec::Kind::tensor_constant;
}

bool in_weights(const InputSpec& spec) {
  return spec.kind == InputSpec::Kind::parameter || (spec.kind == InputSpec::Kind::buffer && spec.persistent);
}

// Graph inputs without the parameters, buffers and constants that nothing uses: quantized programs keep the float
// weights they no longer need.
std::vector<const InputSpec*> live_inputs(const ExportedProgram& program) {
  std::unordered_set<std::string_view> mutated;
  for (const OutputSpec& output : program.output_specs) mutated.insert(output.target);
  std::vector<const InputSpec*> result;
  for (const InputSpec& spec : program.input_specs)
    if (!has_tensor(spec.kind) || !spec.value->users().empty() || mutated.contains(spec.target)) result.push_back(&spec);
  return result;
}

bool mutates(const Graph& graph) {
  return std::ranges::any_of(graph.node_list(), [](const Node* node) {
    const OpSchema* schema = node->op().schema();
    const std::string_view base = node->op().base();
    // An op without a known schema follows the naming rule: a trailing underscore writes in place.
    if (schema != nullptr ? schema->is_inplace() : base.ends_with("_") && !base.ends_with("__")) return true;
    return std::ranges::any_of(node->arguments(), [](const NamedArgument& argument) {
      const auto* subgraph = argument.value.get_if<std::shared_ptr<Subgraph>>();
      return subgraph != nullptr && mutates(*(*subgraph)->graph);
    });
  });
}

const std::string* carried(const ExportedProgram& program, const std::string& place, const std::string& field) {
  const auto fields = program.carried.find(place);
  if (fields == program.carried.end()) return nullptr;
  const auto text = fields->second.find(field);
  return text == fields->second.end() ? nullptr : &text->second;
}

// The ATEN dialect refuses in-place ops; TRAINING takes both, and a program that was captured so stays so.
std::string_view dialect(const ExportedProgram& program) {
  const std::string* before = carried(program, "", "verifiers");
  const bool training = before != nullptr && before->find("\"TRAINING\"") != std::string::npos;
  return training || mutates(program.graph()) ? "TRAINING" : "ATEN";
}

// ---- models/model.json

// True when every name in a module's signature is still a value of the graph.
bool is_valid(const json::Value& signature, const Graph& graph) {
  for (const char* list : {"inputs", "outputs"})
    for (const json::Value argument : signature.at(list).array(list)) {
      const auto [kind, content] = argument.only_field("argument");
      if (!content.is_object()) continue;
      for (const char* field : {"name", "as_name"})
        if (const auto name = content.find(field); name && graph.find_value(name->string(field)) == nullptr) return false;
    }
  return true;
}

void write_root_call(Writer& writer, const ExportedProgram& program, const std::optional<json::Value>& before) {
  writer.begin_object().key("fqn").string("").key("signature").begin_object();
  writer.key("inputs").begin_array().end_array().key("outputs").begin_array().end_array();
  writer.key("in_spec").string(to_json(program.in_spec)).key("out_spec").string(to_json(program.out_spec));
  if (before)
    if (const auto signature = before->find("signature"))
      if (const auto names = signature->find("forward_arg_names")) writer.key("forward_arg_names").raw(names->text());
  writer.end_object().end_object();
}

void write_calls(Writer& writer, const ExportedProgram& program) {
  writer.key("module_call_graph").begin_array();
  const std::string* before = carried(program, "graph_module", "module_call_graph");
  if (before == nullptr) {
    write_root_call(writer, program, std::nullopt);
  } else {
    const json::Document document(*before);
    bool root = true;
    for (const json::Value entry : document.root().array("module_call_graph")) {
      const auto signature = entry.find("signature");
      if (root) write_root_call(writer, program, entry);
      else if (!signature || is_valid(*signature, program.graph())) writer.raw(entry.text());
      else writer.begin_object().key("fqn").string(entry.at("fqn").string("fqn")).key("signature").null().end_object();
      root = false;
    }
  }
  writer.end_array();
}

void write_carried(Writer& writer, const ExportedProgram& program, const std::string& place,
                   std::initializer_list<std::pair<std::string_view, std::string_view>> defaults, std::string_view written) {
  for (const auto& [field, text] : defaults) {
    const std::string* kept = carried(program, place, std::string(field));
    writer.key(field).raw(kept != nullptr ? std::string_view(*kept) : text);
  }
  const auto fields = program.carried.find(place);
  if (fields == program.carried.end()) return;
  for (const auto& kept : fields->second) {
    const bool done = kept.first == written || std::ranges::any_of(defaults, [&](const auto& row) { return row.first == kept.first; });
    if (!done) writer.key(kept.first).raw(kept.second);
  }
}

void write_ranges(Writer& writer, const SymRanges& ranges) {
  const auto end = [&](const std::optional<int64_t>& value) { value ? writer.integer(*value) : writer.null(); };
  writer.key("range_constraints").begin_object();
  for (const auto& [symbol, range] : ranges) {
    writer.key(symbol).begin_object().key("min_val");
    end(range.min);
    writer.key("max_val");
    end(range.max);
    writer.end_object();
  }
  writer.end_object();
}

std::string model_text(const ExportedProgram& program, std::span<const Value* const> inputs) {
  Writer writer;
  writer.begin_object().key("graph_module").begin_object().key("graph");
  write_graph(writer, program.graph(), inputs);
  writer.key("signature");
  write_signature(writer, program, inputs);
  write_calls(writer, program);
  write_carried(writer, program, "graph_module", {{"metadata", "{}"}, {"treespec_namedtuple_fields", "{}"}}, "module_call_graph");
  writer.end_object();
  write_ranges(writer, program.range_constraints);
  writer.key("verifiers").begin_array().string(dialect(program)).end_array();
  write_carried(writer, program, "",
                {{"opset_version", R"({"aten": 10})"},
                 {"schema_version", R"({"major": 8, "minor": 20})"},
                 {"torch_version", R"("intaglio")"},
                 {"guards_code", "[]"}},
                "verifiers");
  return writer.end_object().text();
}

// ---- weights

// Records of one folder: whole storages, each written once for each element type it is seen as.
class StateWriter {
 public:
  StateWriter(ZipWriter& zip, const StatePlace& place, std::string_view stem) : zip_(zip), place_(place), stem_(stem) {
    config_.begin_object().key("config").begin_object();
  }

  void add(const std::string& name, const StateEntry& entry, const Device& device) {
    const Tensor& tensor = entry.tensor;
    const auto [record, is_new] =
        records_.try_emplace({tensor.storage().get(), tensor.dtype()}, fmt::format("{}_{}", stem_, records_.size()));
    if (is_new) zip_.add(place_.folder + record->second, Blob(tensor.storage()));
    TensorMeta meta;
    meta.dtype = tensor.dtype();
    meta.sizes.assign(tensor.sizes().begin(), tensor.sizes().end());
    meta.strides.assign(tensor.strides().begin(), tensor.strides().end());
    meta.storage_offset = tensor.storage_offset();
    meta.requires_grad = entry.requires_grad && is_floating(tensor.dtype());
    meta.device = device;
    config_.key(name).begin_object().key("path_name").string(record->second).key("is_param").boolean(entry.is_parameter);
    config_.key("use_pickle").boolean(false).key("tensor_meta");
    write_tensor_meta(config_, meta);
    config_.end_object();
  }

  void finish() { zip_.add(place_.config, config_.end_object().end_object().text()); }

 private:
  ZipWriter& zip_;
  const StatePlace& place_;
  std::string stem_;
  Writer config_;
  std::map<std::pair<const Storage*, DType>, std::string> records_;
  std::unordered_set<std::string> files_;
};

void write_state(ZipWriter& zip, const ExportedProgram& program, std::span<const InputSpec* const> specs, bool weights) {
  StateWriter writer(zip, weights ? weights_place() : constants_place(), weights ? "weight" : "tensor");
  const State& state = weights ? program.state : program.constants;
  std::map<std::string_view, const InputSpec*> live;
  for (const InputSpec* spec : specs)
    if (has_tensor(spec->kind) && in_weights(*spec) == weights) live.emplace(spec->target, spec);
  for (const auto& [name, entry] : state.entries())
    if (const auto spec = live.find(name); spec != live.end()) writer.add(name, entry, spec->second->value->meta().device);
  for (const InputSpec* spec : specs)
    if (spec->kind == InputSpec::Kind::custom_object)
      throw_unsupported(
          fmt::format("the custom object '{}' is a pickle in the archive, which no writer repeats; export the model without it",
                      escaped(spec->target)));
  writer.finish();
}

// Torch names the root after the file; a stem that no archive may have becomes "model".
std::string root_name(const std::filesystem::path& path) {
  const std::string stem = path.stem().string();
  const bool plain = !stem.empty() && stem != "." && stem != ".." && stem.size() <= 200 &&
                     std::ranges::all_of(stem, [](unsigned char c) { return c >= 0x20 && c < 0x7f && c != '\\' && c != '/'; });
  return plain ? stem : "model";
}

void write_archive(const ExportedProgram& program, const std::string& root, AtomicFile& file) {
  const std::vector<const InputSpec*> specs = live_inputs(program);
  std::vector<const Value*> inputs;
  for (const InputSpec* spec : specs) inputs.push_back(spec->value);
  ZipWriter zip(file, root);
  zip.add("archive_format", "pt2");
  zip.add("archive_version", "0");
  zip.add("byteorder", "little");
  zip.add("models/model.json", model_text(program, inputs));
  write_state(zip, program, specs, true);
  write_state(zip, program, specs, false);
  zip.add(sample_inputs, "");
  for (const auto& [name, contents] : program.carried_files)
    if (!name.starts_with(constants_place().folder)) zip.add(name, Blob(contents));
  zip.add(".data/version", "6\n");
  zip.finish();
}

}  // namespace

}  // namespace pt2

void save_exported_program(const ExportedProgram& program, const std::filesystem::path& path,
                           const std::function<void(uint64_t bytes)>& inspect) {
  const auto within_file = [&](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      // Bad input is no fault of this file: what is read late names its own.
      throw error.kind() == ErrorKind::bad_input ? error : error.with_context(escaped(path.string()));
    }
  };
  std::optional<AtomicFile> file;
  within_file([&] {
    verify(program);
    file.emplace(path);
    pt2::write_archive(program, pt2::root_name(path), *file);
  });
  if (inspect) inspect(file->position());  // whose errors name other files
  within_file([&] { file->commit(); });
}

}  // namespace intaglio
