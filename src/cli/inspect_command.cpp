#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>
#include <intaglio/pt2.h>

#include "base/mapped_file.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "edge/pte_reader.h"

namespace intaglio::cli {
namespace {

struct InspectArguments {
  std::string file;
  bool verify = false;
};

Json sizes_json(const std::vector<SymInt>& sizes) {
  Json list = Json::array();
  for (const SymInt& size : sizes) {
    if (size.is_static()) list.push_back(size.value());
    else list.push_back(to_string(size));
  }
  return list;
}

Json value_json(const Value& value) {
  if (!value.is_tensor()) return {{"name", value.name()}, {"dtype", nullptr}, {"sizes", Json::array()}};
  return {{"name", value.name()}, {"dtype", std::string(name(value.dtype()))}, {"sizes", sizes_json(value.sizes())}};
}

bool is_dequantize(const Node& node) { return node.op().base().starts_with("dequantize_"); }
bool is_quantize_op(const Node& node) {
  const std::string_view base = node.op().base();
  return is_dequantize(node) || base.starts_with("quantize_") || base.starts_with("choose_qparams");
}

// Computes on integers once deployed: every activation comes out of a dequantize, and so does a weight (a constant of
// rank 2 or more; biases stay float in the converted program).
bool is_quantized(const ExportedProgram& program, const Node& node) {
  if (is_quantize_op(node)) return false;
  bool any = false;
  for (const Value* input : node.inputs()) {
    if (!input->is_tensor()) continue;
    const bool from_integers = input->producer() != nullptr && is_dequantize(*input->producer());
    any |= from_integers;
    const bool is_bias = program.constant(input) != nullptr && input->meta().rank() < 2;
    if (!from_integers && !is_bias) return false;
  }
  return any;
}

// What torch.export.load would accept as input, in the order of the calls.
Json inspect_pt2(const std::string& path, bool verify) {
  const ExportedProgram program = load_exported_program(path, {.verify_all_records = verify});
  Json result = document("intaglio.inspect/1");
  result["file"] = path;
  result["kind"] = "pt2";
  result["bytes"] = std::filesystem::file_size(path);
  result["inputs"] = Json::array();
  for (const Value* input : program.user_inputs()) result["inputs"].push_back(value_json(*input));
  result["outputs"] = Json::array();
  for (const Argument& output : program.user_outputs()) {
    if (Value* const* value = output.get_if<Value*>()) result["outputs"].push_back(value_json(**value));
    else result["outputs"].push_back({{"name", to_string(output)}, {"dtype", nullptr}, {"sizes", Json::array()}});
  }
  std::map<std::string, size_t> ops, quantized;
  for (const Node* node : program.graph().node_list()) {
    ++ops[std::string(node->op().name())];
    if (is_quantized(program, *node)) ++quantized[std::string(node->op().name())];
  }
  result["ops"] = Json::array();
  for (const auto& [op, count] : ops) result["ops"].push_back({{"op", op}, {"count", count}});
  result["quantized_ops"] = Json::array();
  for (const auto& [op, count] : quantized) result["quantized_ops"].push_back({{"op", op}, {"count", count}});
  std::map<std::string, std::pair<size_t, uint64_t>> state;
  for (const State* entries : {&program.state, &program.constants})
    for (const auto& [fqn, entry] : entries->entries()) {
      auto& [count, bytes] = state[std::string(name(entry.tensor.dtype()))];
      ++count;
      bytes += entry.tensor.nbytes();
    }
  result["state"] = Json::array();
  for (const auto& [dtype, total] : state)
    result["state"].push_back({{"dtype", dtype}, {"tensors", total.first}, {"bytes", total.second}});
  result["verified"] = verify;
  return result;
}

Json tensor_json(const pte::PteTensor& tensor) {
  Json result = {{"kind", tensor.kind}};
  if (tensor.kind == "tensor") {
    result["dtype"] = tensor.dtype;
    result["sizes"] = tensor.sizes;
    result["dynamic"] = tensor.dynamic;
  }
  return result;
}

Json method_json(const pte::PteMethod& method) {
  Json result = {{"name", method.name}};
  result["inputs"] = Json::array();
  for (const pte::PteTensor& input : method.inputs) result["inputs"].push_back(tensor_json(input));
  result["outputs"] = Json::array();
  for (const pte::PteTensor& output : method.outputs) result["outputs"].push_back(tensor_json(output));
  result["operators"] = Json::array();
  for (const auto& [op, calls] : method.operators) result["operators"].push_back({{"op", op}, {"count", calls}});
  result["delegates"] = Json::array();
  for (const pte::PteDelegate& delegate : method.delegates)
    result["delegates"].push_back(
        {{"backend", delegate.id}, {"payload_bytes", delegate.payload_size}, {"calls", delegate.calls}});
  uint64_t planned = 0;
  for (const uint64_t block : method.planned_memory) planned += block;
  result["planned_bytes"] = planned;
  result["instructions"] = method.instructions;
  return result;
}

Json inspect_pte(const std::string& path, std::span<const std::byte> bytes) {
  const pte::PteSummary summary = pte::read_pte_summary(bytes);
  Json result = document("intaglio.inspect/1");
  result["file"] = path;
  result["kind"] = "pte";
  result["bytes"] = summary.file_size;
  result["program_bytes"] = summary.program_size;
  result["constant_bytes"] = summary.constant_bytes;
  uint64_t named = 0;
  for (const auto& [key, size] : summary.named_data) named += size;
  result["named_data"] = {{"entries", summary.named_data.size()}, {"bytes", named}};
  result["methods"] = Json::array();
  for (const pte::PteMethod& method : summary.methods) result["methods"].push_back(method_json(method));
  // A summary is only made of a fully verified program.
  result["verified"] = true;
  return result;
}

std::string tensor_text(const Json& tensor) {
  if (tensor.value("kind", "tensor") != "tensor") return tensor["kind"].get<std::string>();
  const std::string named = tensor.contains("name") ? escaped(tensor["name"].get<std::string>()) + ": " : "";
  const std::string dtype = tensor["dtype"].is_null() ? "?" : tensor["dtype"].get<std::string>();
  return fmt::format("{}{} {}", named, dtype, tensor["sizes"].dump());
}

void print_counts(const char* title, const Json& counts) {
  fmt::print("{}\n", title);
  std::vector<std::vector<std::string>> rows;
  for (const Json& entry : counts)
    rows.push_back({"  " + escaped(entry["op"].get<std::string>()), fmt::format("{}", entry["count"].get<size_t>())});
  fmt::print("{}", rows.empty() ? std::string("  none\n") : table(rows, {1}));
}

void print_ends(const Json& holder) {
  for (const Json& input : holder["inputs"]) fmt::print("  input   {}\n", tensor_text(input));
  for (const Json& output : holder["outputs"]) fmt::print("  output  {}\n", tensor_text(output));
}

void print_text(const Json& result) {
  const std::string verified = result["verified"].get<bool>() ? ", verified" : "";
  fmt::print("{}: .{}, {}{}\n", escaped(result["file"].get<std::string>()), result["kind"].get<std::string>(),
             bytes_text(result["bytes"].get<uint64_t>()), verified);
  if (result["kind"] == "pt2") {
    print_ends(result);
    for (const Json& entry : result["state"])
      fmt::print("  {} {} tensors, {}\n", entry["tensors"].get<size_t>(), entry["dtype"].get<std::string>(),
                 bytes_text(entry["bytes"].get<uint64_t>()));
    print_counts("operators", result["ops"]);
    return print_counts("of these quantized", result["quantized_ops"]);
  }
  fmt::print("  program {}, constants {}, delegate data {} in {} entries\n",
             bytes_text(result["program_bytes"].get<uint64_t>()), bytes_text(result["constant_bytes"].get<uint64_t>()),
             bytes_text(result["named_data"]["bytes"].get<uint64_t>()), result["named_data"]["entries"].get<size_t>());
  for (const Json& method : result["methods"]) {
    fmt::print("method {}, {} of planned memory\n", escaped(method["name"].get<std::string>()),
               bytes_text(method["planned_bytes"].get<uint64_t>()));
    print_ends(method);
    for (const Json& delegate : method["delegates"])
      fmt::print("  delegate {}, payload {}\n", escaped(delegate["backend"].get<std::string>()),
                 bytes_text(delegate["payload_bytes"].get<uint64_t>()));
    print_counts("portable kernels", method["operators"]);
  }
}

void inspect(const InspectArguments& arguments, const CommonOptions& common) {
  const auto file = MappedFile::open(arguments.file);
  const std::span<const std::byte> bytes = file->bytes();
  const auto starts_with = [&](size_t at, std::string_view magic) {
    return bytes.size() >= at + magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin() + at, [](char c, std::byte b) {
             return static_cast<std::byte>(c) == b;
           });
  };
  Json result;
  const std::string shown = escaped(arguments.file);
  const bool is_pte = starts_with(4, "ET") || arguments.file.ends_with(".pte");
  if (!is_pte && !starts_with(0, "PK") && !arguments.file.ends_with(".pt2"))
    throw_bad_input(fmt::format("{}: is neither a .pt2 archive nor a .pte program", shown));
  if (is_pte) {
    try {
      result = inspect_pte(arguments.file, bytes);
    } catch (const Error& error) {
      throw error.with_context(shown);
    }
  } else {
    result = inspect_pt2(arguments.file, arguments.verify);
  }
  if (common.json) return print(result);
  if (!common.quiet) print_text(result);
}

}  // namespace

void add_inspect(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("inspect", "what is in a .pt2 or .pte");
  const auto arguments = std::make_shared<InspectArguments>();
  command->add_option("FILE", arguments->file, "a .pt2 or .pte")->required();
  command->add_flag("--verify", arguments->verify, "check every byte (all checksums)");
  command->callback([arguments, &common] { inspect(*arguments, common); });
}

}  // namespace intaglio::cli
