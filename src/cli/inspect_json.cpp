#include "cli/inspect_json.h"

#include <map>

#include <intaglio/error.h>

#include "report/pte_explanation.h"

namespace intaglio::cli {
namespace {

Json sizes_json(const SymSizes& sizes) {
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

template <typename Counted>
Json counts_json(const Counted& counts, const char* key) {
  Json list = Json::array();
  for (const auto& [what, count] : counts) list.push_back({{key, what}, {"count", count}});
  return list;
}

const char* unit(const Work& work) { return work.is_macs ? "macs" : "elements"; }

Json ops_json(const std::vector<report::ExplainedOp>& ops) {
  Json list = Json::array();
  for (const report::ExplainedOp& op : ops) list.push_back(op_json(op));
  return list;
}

Json delegation_json(const report::Explanation& explanation, const std::string& backend) {
  Json result = {{"backend", backend}, {"error", explanation.error.empty() ? Json(nullptr) : Json(explanation.error)}};
  if (!explanation.delegation) return result;
  result["work"] = explanation.delegation->work;
  if (explanation.needs) result["runtime"] = runtime_json(*explanation.needs);
  result["delegates"] = Json::array();
  for (const report::DelegateShare& delegate : explanation.delegation->delegates)
    result["delegates"].push_back({{"backend", delegate.backend}, {"nodes", delegate.nodes}, {"share", delegate.share}});
  result["outside"] = ops_json(explanation.delegation->outside);
  return result;
}

Json quantization_json(const report::QuantizationExplanation& explained, const std::string& recipe) {
  return {{"recipe", recipe.empty() ? Json(nullptr) : Json(recipe)},
          {"work", explained.work},
          {"quantized_share", explained.quantized_share},
          {"in_float", ops_json(explained.in_float)}};
}

// What of a recipe's settings every backend has.
RecipeSettings shared_settings(const SettingValues& settings) {
  RecipeSettings shared;
  for (const char* name : {"compat", "runtime"})
    if (settings.has(name)) shared[name] = settings.word(name);
  return shared;
}

void add_explanations(Json& result, const ExportedProgram& program, const ExplainOptions& options) {
  Recipe recipe;  // of no steps
  if (!options.recipe.empty()) recipe = make_recipe(options.recipe, options.settings);
  const std::string backend = !options.backend.empty()       ? options.backend
                              : !recipe.info.backend.empty() ? recipe.info.backend
                                                             : backend_names().front();
  PartitionerList partitioners = recipe.partitioners;
  RuntimeVersion runtime = runtime_of(recipe.settings);
  if (backend != recipe.info.backend) {
    partitioners = PartitionerList();
    RecipeSettings settings = options.settings;
    if (!options.recipe.empty()) settings = shared_settings(recipe.settings);
    runtime = add_backend(partitioners, backend, settings);
  }
  const report::Explanation explanation = report::explain(program, recipe, partitioners, options.threads, runtime);
  result["quantization"] = nullptr;
  if (explanation.quantization)
    result["quantization"] = quantization_json(*explanation.quantization, recipe.quantizes() ? recipe.info.name : "");
  result["delegation"] = delegation_json(explanation, backend);
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

Json payload_nodes_json(const report::DelegateContents& delegate, uint64_t method_work) {
  Json nodes = Json::array();
  for (size_t i = 0; i < delegate.payload->nodes.size(); ++i) {
    const DecodedNode& node = delegate.payload->nodes[i];
    const Work& work = delegate.node_work[i];
    nodes.push_back({{"kind", node.kind},
                     {"dtype", node.output.dtype},
                     {"sizes", node.output.sizes},
                     {"range", node.range ? Json({node.range->first, node.range->second}) : Json(nullptr)},
                     {"work", work.amount},
                     {"unit", unit(work)},
                     {"share", method_work == 0 ? 0 : static_cast<double>(work.amount) / static_cast<double>(method_work)},
                     {"text", node.text}});
  }
  return nodes;
}

Json delegate_json(const pte::PteDelegate& delegate, const report::DelegateContents& contents, uint64_t method_work) {
  Json result = {{"backend", delegate.id},
                 {"payload_bytes", delegate.payload_size},
                 {"calls", delegate.calls},
                 {"decoded", contents.payload.has_value()}};
  if (!contents.payload) return result;
  result["share"] = contents.share;
  result["kinds"] = counts_json(contents.kinds, "kind");
  result["dtypes"] = counts_json(contents.types, "dtype");
  result["fused_clamps"] = contents.payload->fused_clamps;
  result["nodes"] = payload_nodes_json(contents, method_work);
  return result;
}

Json memory_json(const report::MethodContents& contents) {
  Json arenas = Json::array(), tensors = Json::array();
  for (const report::Arena& arena : contents.arenas)
    arenas.push_back({{"id", arena.id},
                      {"bytes", arena.bytes},
                      {"tensors", arena.tensors},
                      {"peak_bytes", arena.peak_bytes},
                      {"peak_instruction", arena.peak_instruction}});
  for (const report::PlannedTensor& tensor : contents.tensors)
    tensors.push_back({{"value", tensor.value},
                       {"role", tensor.role},
                       {"dtype", tensor.dtype},
                       {"sizes", tensor.sizes},
                       {"arena", tensor.arena},
                       {"offset", tensor.offset},
                       {"bytes", tensor.bytes},
                       {"first", tensor.first},
                       {"last", tensor.last}});
  return {{"arenas", arenas}, {"tensors", tensors}};
}

Json method_json(const pte::PteMethod& method, const report::MethodContents& contents) {
  Json result = {{"name", method.name}};
  result["inputs"] = Json::array();
  for (const pte::PteTensor& input : method.inputs) result["inputs"].push_back(tensor_json(input));
  result["outputs"] = Json::array();
  for (const pte::PteTensor& output : method.outputs) result["outputs"].push_back(tensor_json(output));
  result["operators"] = Json::array();
  std::map<std::string_view, double> shares;
  for (const report::InstructionText& instruction : contents.instructions)
    if (instruction.kind == "kernel") shares[instruction.name] += instruction.share;
  for (const auto& [op, calls] : method.operators) result["operators"].push_back({{"op", op}, {"count", calls}, {"share", shares[op]}});
  result["delegates"] = Json::array();
  for (size_t i = 0; i < method.delegates.size(); ++i)
    result["delegates"].push_back(delegate_json(method.delegates[i], contents.delegates[i], contents.work));
  uint64_t planned = 0;
  for (const uint64_t block : method.planned_memory) planned += block;
  result["planned_bytes"] = planned;
  result["memory"] = memory_json(contents);
  result["instructions"] = method.instructions;
  result["chain"] = Json::array();
  for (const report::InstructionText& instruction : contents.instructions)
    result["chain"].push_back({{"kind", instruction.kind},
                               {"name", instruction.name},
                               {"text", instruction.text},
                               {"work", instruction.work.amount},
                               {"unit", unit(instruction.work)},
                               {"share", instruction.share}});
  result["work"] = contents.work;
  return result;
}

Json needs_json(const std::vector<RuntimeNeed>& needs) {
  Json list = Json::array();
  for (const RuntimeNeed& need : needs) list.push_back({{"since", name(need.since)}, {"what", need.what}});
  return list;
}

}  // namespace

Json runtime_json(const RuntimeNeeds& needs) {
  return {{"since", name(needs.since())},
          {"since_from_file", name(needs.since_from_file())},
          {"needs", needs_json(needs.needs())},
          {"needs_from_file", needs_json(needs.from_file())},
          {"text", to_string(needs)}};
}

Json op_json(const report::ExplainedOp& op) {
  return {{"op", op.op},           {"layer", op.layer}, {"source", op.source}, {"rule", op.rule}, {"work", op.work.amount},
          {"unit", unit(op.work)}, {"share", op.share}};
}

Json pt2_document(const std::string& path, const ExportedProgram& program, const ExplainOptions& options) {
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
    if (report::is_quantized(program, *node)) ++quantized[std::string(node->op().name())];
  }
  result["ops"] = counts_json(ops, "op");
  result["quantized_ops"] = counts_json(quantized, "op");
  std::map<std::string, std::pair<size_t, uint64_t>> state;
  for (const State* entries : {&program.state, &program.constants})
    for (const auto& [fqn, entry] : entries->entries()) {
      auto& [count, bytes] = state[std::string(name(entry.tensor.dtype()))];
      ++count;
      bytes += entry.tensor.nbytes();
    }
  result["state"] = Json::array();
  for (const auto& [dtype, total] : state) result["state"].push_back({{"dtype", dtype}, {"tensors", total.first}, {"bytes", total.second}});
  add_explanations(result, program, options);
  return result;
}

Json pte_document(const std::string& path, std::span<const std::byte> bytes) {
  const report::PteContents contents = report::read_pte_contents(bytes);
  const pte::PteSummary& summary = contents.summary;
  Json result = document("intaglio.inspect/1");
  result["file"] = path;
  result["kind"] = "pte";
  result["bytes"] = summary.file_size;
  result["program_bytes"] = summary.program_size;
  result["constant_bytes"] = summary.constant_bytes;
  uint64_t named = 0;
  for (const auto& [key, size] : summary.named_data) named += size;
  result["runtime"] = runtime_json(contents.needs);
  result["named_data"] = {{"entries", summary.named_data.size()}, {"bytes", named}};
  result["methods"] = Json::array();
  for (size_t i = 0; i < summary.methods.size(); ++i) result["methods"].push_back(method_json(summary.methods[i], contents.methods[i]));
  result["layer_names"] = false;
  result["weights"] = Json::array();
  for (const report::StoredWeight& weight : contents.weights)
    result["weights"].push_back({{"key", weight.key.empty() ? Json(nullptr) : Json(weight.key)},
                                 {"bytes", weight.bytes},
                                 {"dtype", weight.dtype},
                                 {"sizes", weight.sizes},
                                 {"used_by", weight.used_by}});
  return result;
}

}  // namespace intaglio::cli
