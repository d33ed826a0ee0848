#include "backends/exynos/handover/container.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/exynos.h>
#include <intaglio/pt2.h>

#include "backends/exynos/handover/graph_bytes.h"
#include "backends/exynos/handover/import_graph.h"
#include "base/atomic_file.h"
#include "base/leftovers.h"
#include "base/mapped_file.h"
#include "base/temporary_names.h"
#include "base/zip_reader.h"
#include "base/zip_writer.h"
#include "edge/partition/cut.h"
#include "ir/json.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view format_entry = "hand_over/format", format_text = "intaglio-enn 1\n", manifest_entry = "hand_over/manifest.json";
constexpr std::string_view graph_node = "intaglio.enn_graph.default";

// ------------------------------------------------------------------------------------------------------------- writing

// Nodes of delegates under a name that an archive may have.
ExportedProgram with_graph_nodes(const EdgeMethod& method) {
  ExportedProgram program = method.program.clone();
  Graph& graph = program.graph();
  const auto is_call = [](const Node* node) { return node->is(edge::delegate_call); };
  for (Node* node : graph.node_list()) {
    // Once lowered they have operands of several kinds in one list, which no archive has.
    const auto is_body = [](const NamedArgument& argument) { return argument.value.is<std::shared_ptr<Subgraph>>(); };
    if (std::ranges::any_of(node->arguments(), is_body))
      throw_unsupported(fmt::format("{}: a hand-over has no conditions and loops; export the model without them", describe(*node)));
    if (!is_call(node)) continue;
    std::vector<NamedArgument> arguments;
    for (const NamedArgument& argument : node->arguments()) arguments.push_back({"", argument.value});
    graph.set_arguments(*node, {});
    graph.set_op(*node, Op::get(graph_node));
    graph.set_arguments(*node, std::move(arguments));
  }
  return program;
}

// Written beside the target, so that weights need not be in memory. An archive's folder is named as its file is.
std::shared_ptr<MappedFile> archive_of(const ExportedProgram& program, const std::filesystem::path& target) {
  const Leftover folder = Leftover::folder(temporary_prefix(target));
  if (!folder.exists()) throw_bad_input(fmt::format("{}: its folder cannot be written to", escaped(target.string())));
  const std::filesystem::path file = std::filesystem::path(folder.path()) / "program.pt2";
  save_exported_program(program, file);
  return MappedFile::open(file);
}

std::string graph_name(const std::string& method, size_t index) { return fmt::format("graphs/{}_{}.ieg", method, index); }
std::string program_name(const std::string& method) { return fmt::format("methods/{}.pt2", method); }

std::string manifest_of(const EdgeProgram& program) {
  json::Writer writer;
  writer.begin_object().key("format").string("intaglio-enn").key("version").integer(1).key("methods").begin_array();
  for (const EdgeMethod& method : program.methods) {
    writer.begin_object().key("name").string(method.name).key("program").string(program_name(method.name)).key("graphs").begin_array();
    for (size_t i = 0; i < method.delegates.size(); ++i) writer.string(graph_name(method.name, i));
    writer.end_array().end_object();
  }
  return writer.end_array().end_object().text();
}

void write(const EdgeProgram& program, const std::filesystem::path& path, const HandOver::Inspect& inspect) {
  for (const EdgeMethod& method : program.methods)
    for (const Delegate& delegate : method.delegates)
      if (delegate.backend_id != hand_over_id)
        throw_usage(fmt::format("{}: a hand-over holds graphs, not what {} has made of them; leave enn_compiler and enn_binary out",
                                escaped(path.string()), delegate.backend_id == delegate_id ? "a compiler" : delegate.backend_id));
  AtomicFile file(path);
  ZipWriter zip(file);
  zip.add(format_entry, format_text);
  zip.add(manifest_entry, manifest_of(program));
  for (const EdgeMethod& method : program.methods) {
    const std::shared_ptr<MappedFile> archive = archive_of(with_graph_nodes(method), path);
    zip.add(program_name(method.name), Blob(Storage::mapped(archive, archive->bytes())));
    for (size_t i = 0; i < method.delegates.size(); ++i) zip.add(graph_name(method.name, i), method.delegates[i].payload);
  }
  zip.finish();
  file.flush();
  if (inspect) inspect(file.temporary_path());
  file.commit();
}

// ------------------------------------------------------------------------------------------------------------- reading

class Container {
 public:
  explicit Container(const std::filesystem::path& path) : file_(MappedFile::open(path)), zip_(file_->bytes()) {
    const std::span<const std::byte> format = entry(format_entry);
    const std::string_view text(reinterpret_cast<const char*>(format.data()), format.size());
    if (text != format_text)
      throw_bad_input(fmt::format("is '{}'; this program reads hand-overs of '{}'", escaped(text.substr(0, text.find('\n')), 40),
                                  format_text.substr(0, format_text.size() - 1)));
    for (const ZipEntry& each : zip_.entries()) check_crc(each, stored(each));
    const std::span<const std::byte> manifest = entry(manifest_entry);
    manifest_.emplace(std::string_view(reinterpret_cast<const char*>(manifest.data()), manifest.size()));
  }

  // Calls `visit(name, its entry of the manifest)`.
  template <typename Visit>
  void for_each_method(const Visit& visit) const {
    for (const json::Value method : manifest_->root().at("methods").array("methods")) visit(method.at("name").string("name"), method);
  }

  ExportedProgram program(const json::Value& method) const {
    const std::string_view name = method.at("program").string("program");
    return load_exported_program(entry(name), file_, std::string(name));
  }
  std::vector<EnnGraph> graphs(const json::Value& method) const {
    std::vector<EnnGraph> list;
    for (const json::Value graph : method.at("graphs").array("graphs")) {
      const std::string_view name = graph.string("graph");
      try {
        list.push_back(read_graph(entry(name), file_));
      } catch (const Error& error) { throw error.with_context(escaped(name)); }
    }
    return list;
  }

 private:
  std::span<const std::byte> stored(const ZipEntry& each) const {
    if (each.deflated) throw_bad_input(fmt::format("entry '{}' is compressed, which a hand-over's are not", escaped(each.name)));
    return zip_.stored(each);
  }
  std::span<const std::byte> entry(std::string_view name) const {
    const ZipEntry* found = zip_.find(name);
    if (found == nullptr) throw_bad_input(fmt::format("has no entry '{}', which a hand-over has", escaped(name)));
    return stored(*found);
  }

  std::shared_ptr<MappedFile> file_;
  ZipReader zip_;
  std::optional<json::Document> manifest_;
};

void put_graphs(ExportedProgram& program, const std::vector<EnnGraph>& graphs) {
  for (Node* node : program.graph().node_list()) {
    if (!node->is(graph_node)) continue;
    const int64_t* number = node->arguments().empty() ? nullptr : node->arguments().front().value.get_if<int64_t>();
    if (number == nullptr || *number < 0 || *number >= static_cast<int64_t>(graphs.size()))
      throw_bad_input(fmt::format("node '{}' names a graph that is not there", escaped(node->name())));
    import_graph(program, *node, graphs[static_cast<size_t>(*number)]);
  }
  verify(program);
}

// Errors name the file.
template <typename Work>
auto within(const std::filesystem::path& path, const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    const std::string shown = escaped(path.string());
    if (std::string_view(error.what()).starts_with(shown)) throw;
    throw error.with_context(shown);
  }
}

ExportedProgram load(const std::filesystem::path& path, std::string_view wanted) {
  return within(path, [&] {
    const Container container(path);
    std::optional<ExportedProgram> program;
    container.for_each_method([&](std::string_view name, const json::Value& method) {
      if (name != wanted || program) return;
      program = container.program(method);
      put_graphs(*program, container.graphs(method));
      program->source = path.string();
    });
    if (!program) throw_bad_input(fmt::format("has no method '{}'", escaped(wanted)));
    return *std::move(program);
  });
}

HandOverContents inspect(const std::filesystem::path& path) {
  return within(path, [&] {
    const Container container(path);
    HandOverContents contents;
    container.for_each_method([&](std::string_view name, const json::Value& method) {
      ExportedProgram program = container.program(method);
      HandOverMethod& added = contents.methods.emplace_back(std::string(name));
      for (const Node* node : program.graph().node_list())
        if (!node->is(graph_node)) added.outside.push_back(describe(*node));
      const std::vector<EnnGraph> graphs = container.graphs(method);
      for (const EnnGraph& graph : graphs) {
        contents.title = fmt::format("hand-over to Samsung's compiler for {}, version 1", exynos::name(graph.chipset));
        added.graphs.push_back({graph.ops.size(), to_string(graph), graph_json(graph)});
      }
      put_graphs(program, graphs);  // that they fit their places
    });
    return contents;
  });
}

bool recognizes(std::span<const std::byte> file) {
  constexpr size_t name_at = 30;  // in the header of a ZIP's first entry
  const std::string_view text(reinterpret_cast<const char*>(file.data()), std::min<size_t>(file.size(), name_at + format_entry.size()));
  return text.starts_with("PK") && text.size() > name_at && text.substr(name_at) == format_entry;
}

}  // namespace

void save_hand_over(const EdgeProgram& program, const std::filesystem::path& path) { write(program, path, {}); }
ExportedProgram load_hand_over(const std::filesystem::path& path, std::string_view method) { return load(path, method); }

HandOver hand_over() { return {".enn", recognizes, write, load, inspect}; }

}  // namespace intaglio::exynos
