#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <intaglio/backend.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/mapped_file.h"
#include "cli/cli.h"
#include "cli/explanation_text.h"
#include "cli/files.h"
#include "cli/flow.h"
#include "cli/inspect_json.h"

namespace intaglio::cli {
namespace {

struct InspectArguments {
  std::string file;
  bool verify = false;
  bool verbose = false;
  std::string backend;
  std::string recipe;
  std::vector<std::string> settings;
};

std::string tensor_text(const Json& tensor) {
  if (tensor.value("kind", "tensor") != "tensor") return tensor["kind"].get<std::string>();
  const std::string named = tensor.contains("name") ? escaped(tensor["name"].get<std::string>()) + ": " : "";
  const std::string dtype = tensor["dtype"].is_null() ? "?" : tensor["dtype"].get<std::string>();
  return fmt::format("{}{} {}", named, dtype, tensor["sizes"].dump());
}

void print_counts(const char* title, const Json& counts) {
  std::vector<std::vector<std::string>> rows;
  for (const Json& entry : counts)
    rows.push_back({"  " + escaped(entry["op"].get<std::string>()), fmt::format("{}", entry["count"].get<size_t>())});
  say("{}\n{}", title, table(rows, {1}));
}

void print_ends(const Json& holder) {
  for (const Json& input : holder["inputs"]) say("  input   {}\n", tensor_text(input));
  for (const Json& output : holder["outputs"]) say("  output  {}\n", tensor_text(output));
}

void print_pt2(const Json& result, bool verbose) {
  print_ends(result);
  for (const Json& entry : result["state"])
    say("  {} {} tensors, {}\n", entry["tensors"].get<size_t>(), entry["dtype"].get<std::string>(),
        bytes_text(entry["bytes"].get<uint64_t>()));
  print_counts("operators", result["ops"]);
  if (!result["quantized_ops"].empty()) print_counts("of these quantized", result["quantized_ops"]);
  say("{}", delegation_text(result["delegation"], verbose));
  if (!result["quantization"].is_null()) say("{}", quantization_text(result["quantization"], verbose));
}

void print_pte(const Json& result, bool verbose) {
  say("  program {}, constants {}, delegate data {} in {} entries\n", bytes_text(result["program_bytes"].get<uint64_t>()),
      bytes_text(result["constant_bytes"].get<uint64_t>()), bytes_text(result["named_data"]["bytes"].get<uint64_t>()),
      result["named_data"]["entries"].get<size_t>());
  say("  {}\n", result["runtime"]["text"].get<std::string>());
  for (const Json& method : result["methods"]) {
    say("method {}, {} of planned memory\n", escaped(method["name"].get<std::string>()),
        bytes_text(method["planned_bytes"].get<uint64_t>()));
    print_ends(method);
    say("{}", pte_method_text(method, verbose));
  }
  say("{}", weights_text(result["weights"], verbose));
}

void print_hand_over(const Json& result, bool verbose) {
  say("  {}\n", result["hand_over"].get<std::string>());
  for (const Json& method : result["methods"]) {
    say("method {}: {} graphs, {} operators outside\n", escaped(method["name"].get<std::string>()), method["graphs"].size(),
        method["outside"].size());
    for (const Json& op : method["outside"]) say("  outside {}\n", escaped(op.get<std::string>()));
    for (const Json& graph : method["graphs"]) {
      if (verbose) say("{}", graph["text"].get<std::string>());
      else say("  graph of {} operators on {} tensors\n", graph["ops"].size(), graph["tensors"].size());
    }
  }
}

void print_text(const Json& result, bool verbose) {
  say("{}: .{}, {}{}\n", escaped(result["file"].get<std::string>()), result["kind"].get<std::string>(),
      bytes_text(result["bytes"].get<uint64_t>()), result["verified"].get<bool>() ? ", verified" : "");
  if (result["kind"] == "pt2") print_pt2(result, verbose);
  else if (result.contains("hand_over")) print_hand_over(result, verbose);
  else print_pte(result, verbose);
}

bool is_pte(const std::string& path, std::span<const std::byte> bytes) {
  const auto starts_with = [&](size_t at, std::string_view magic) {
    return bytes.size() >= at + magic.size() &&
           std::equal(magic.begin(), magic.end(), bytes.begin() + at, [](char c, std::byte b) { return static_cast<std::byte>(c) == b; });
  };
  if (starts_with(4, "ET") || path.ends_with(".pte")) return true;
  if (!starts_with(0, "PK") && !path.ends_with(".pt2"))
    throw_bad_input(fmt::format("{}: is neither a .pt2 archive nor a .pte program", escaped(path)));
  return false;
}

Json inspect_pte(const InspectArguments& arguments, std::span<const std::byte> bytes) {
  if (!arguments.backend.empty() || !arguments.recipe.empty())
    throw_usage(
        fmt::format("{}: --backend and --recipe ask what would become of a .pt2; a .pte is lowered already", escaped(arguments.file)));
  try {
    Json result = pte_document(arguments.file, bytes);
    result["verified"] = true;  // a document is only made of a fully verified program
    return result;
  } catch (const Error& error) { throw error.with_context(escaped(arguments.file)); }
}

Json inspect_hand_over(const InspectArguments& arguments, const HandOver& hand_over, uint64_t bytes) {
  const HandOverContents contents = hand_over.inspect(arguments.file);
  Json result = document("intaglio.inspect_hand_over/1");
  result["file"] = arguments.file;
  result["kind"] = hand_over.extension.substr(1);
  result["bytes"] = bytes;
  result["verified"] = true;  // every byte of an entry was read
  result["hand_over"] = contents.title;
  result["methods"] = Json::array();
  for (const HandOverMethod& method : contents.methods) {
    Json graphs = Json::array();
    for (const HandOverGraph& graph : method.graphs) {
      graphs.push_back(Json::parse(graph.json));
      graphs.back()["text"] = graph.text;
    }
    result["methods"].push_back({{"name", method.name}, {"outside", method.outside}, {"graphs", std::move(graphs)}});
  }
  return result;
}

Json inspect_pt2(const InspectArguments& arguments, const CommonOptions& common) {
  const ExplainOptions options = {arguments.backend, arguments.recipe, parse_settings(arguments.settings), common.threads};
  const ExportedProgram program = load_exported_program(arguments.file, {.verify_all_records = arguments.verify});
  Json result = pt2_document(arguments.file, program, options);
  result["verified"] = arguments.verify;
  return result;
}

void inspect(const InspectArguments& arguments, const CommonOptions& common) {
  if (!arguments.settings.empty() && arguments.recipe.empty() && arguments.backend.empty())
    throw_usage("--set is a setting of the recipe or the backend: give --recipe or --backend too");
  const auto file = MappedFile::open(arguments.file);
  const Backend* backend = find_hand_over(arguments.file);
  const Json result = backend != nullptr                      ? inspect_hand_over(arguments, *backend->hand_over, file->bytes().size())
                      : is_pte(arguments.file, file->bytes()) ? inspect_pte(arguments, file->bytes())
                                                              : inspect_pt2(arguments, common);
  if (common.json) return print(result);
  if (!common.quiet) print_text(result, arguments.verbose);
}

}  // namespace

void add_inspect(CLI::App& app, CommonOptions& common) {
  CLI::App* command =
      app.add_subcommand("inspect", "what is in a .pt2, a .pte or a hand-over, what is delegated and quantized, and why the rest is not");
  const auto arguments = std::make_shared<InspectArguments>();
  reading(command->add_option("FILE", arguments->file, "a .pt2, a .pte or a hand-over"))->required();
  command->add_flag("--verify", arguments->verify, "check every byte (all checksums)");
  command->add_flag("--verbose,--layers", arguments->verbose, "list every operator, node, tensor and weight");
  command->add_option("--backend", arguments->backend,
                      fmt::format("of a .pt2: explain the lowering to this one (default: the recipe's, or {})", backend_names().front()));
  reading(command->add_option("--recipe", arguments->recipe, "of a .pt2: explain what this recipe would quantize"));
  key_and_value(command->add_option("--set", arguments->settings, "a setting of the recipe or, without one, of the backend: key=value"))
      ->allow_extra_args(false);
  command->callback([arguments, &common] { inspect(*arguments, common); });
}

}  // namespace intaglio::cli
