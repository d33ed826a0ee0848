#include "report/difference.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "ir/work.h"
#include "pte/summary.h"
#include "pte/verifier.h"
#include "qdq/patterns.h"

namespace intaglio::report {
namespace {

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string span_of(const std::vector<double>& numbers) {
  const auto [low, high] = std::ranges::minmax(numbers);
  return low == high ? fmt::format("{:.6g}", low) : fmt::format("{:.6g} to {:.6g}", low, high);
}

std::string span_of(const std::vector<int64_t>& numbers) {
  const auto [low, high] = std::ranges::minmax(numbers);
  return low == high ? fmt::format("{}", low) : fmt::format("{} to {}", low, high);
}

// "one scale", "a scale for each of 64 channels", "blocks of [1, 32]".
std::string granularity_of(const QuantParams& params) {
  if (params.is_per_tensor()) return "one scale";
  if (const auto axis = params.axis()) return fmt::format("a scale for each of {} channels (axis {})", params.scale.size(), *axis);
  return fmt::format("a scale for each block of [{}]", fmt::join(params.block_size, ", "));
}

std::string type_of(const QuantParams& params) {
  return fmt::format("{} in [{}, {}], {}", name(params.dtype), params.quant_min, params.quant_max, granularity_of(params));
}

void add_params(Facts& facts, const std::string& what, const QuantParams& params) {
  facts.emplace_back(what, type_of(params));
  if (params.scale.empty() || params.zero_point.empty()) return;
  facts.emplace_back(what + " scale", span_of(params.scale));
  facts.emplace_back(what + " zero point", span_of(params.zero_point));
}

// How an operand reaches a layer.
void add_operand(Facts& facts, const ExportedProgram& program, const std::string& what, const Value* value) {
  if (qdq::any_dynamic_of(value)) return facts.emplace_back(what, "quantized at run time"), void();
  const Node* producer = value->producer();
  if (producer != nullptr && qdq::is_dequantize(*producer)) {
    if (const auto params = qdq::params_of(program, *producer)) return add_params(facts, what, *params);
    return facts.emplace_back(what, "quantized"), void();
  }
  facts.emplace_back(what, name(value->dtype()));
}

std::string place_of(const Node& node) {
  const std::string layer = layer_name(node);
  return fmt::format("{} ({})", layer.empty() ? fmt::format("'{}'", node.name()) : fmt::format("layer '{}'", layer), node.op().name());
}

void add_result(Facts& facts, const ExportedProgram& program, const Node& node) {
  for (const Node* user : node.output()->users())
    if (qdq::is_quantize(*user)) {
      if (const auto params = qdq::params_of(program, *user)) add_params(facts, "result", *params);
      return;
    }
}

Place place_with_facts(const ExportedProgram& program, const Node& node) {
  Place place{place_of(node), {}};
  for (const NamedArgument& argument : node.arguments())
    if (Value* const* value = argument.value.get_if<Value*>(); value && *value && (*value)->is_tensor())
      add_operand(place.facts, program, argument.name.empty() ? "operand" : argument.name, *value);
  if (node.outputs().size() == 1 && node.output()->is_tensor()) {
    place.facts.emplace_back("result sizes", to_string(node.output()->meta()));
    add_result(place.facts, program, node);
  }
  return place;
}

Place tensors_of(const char* name, const std::vector<pte::PteTensor>& tensors) {
  Place place{name, {}};
  for (size_t i = 0; i < tensors.size(); ++i)
    place.facts.emplace_back(fmt::format("{}", i), fmt::format("{}{} [{}]", tensors[i].dynamic ? "up to " : "", tensors[i].dtype,
                                                               fmt::join(tensors[i].sizes, ", ")));
  return place;
}

void add_method(std::vector<Place>& places, const pte::PteMethod& method) {
  const std::string prefix = fmt::format("method '{}'", method.name);
  Place size{prefix, {}};
  size.facts.emplace_back("delegates", fmt::format("{}", method.delegates.size()));
  size.facts.emplace_back("instructions", fmt::format("{}", method.instructions));
  size.facts.emplace_back("planned memory", fmt::format("{} bytes", fmt::join(method.planned_memory, " + ")));
  places.push_back(std::move(size));
  for (const auto& [what, tensors] : {std::pair{"inputs", &method.inputs}, std::pair{"outputs", &method.outputs}}) {
    places.push_back(tensors_of(what, *tensors));
    places.back().name = fmt::format("{}, {}", prefix, what);
  }
  Place kernels{prefix + ", portable kernels", {}};
  for (const auto& [op, calls] : method.operators) kernels.facts.emplace_back(op, fmt::format("{} calls", calls));
  places.push_back(std::move(kernels));
  for (size_t i = 0; i < method.delegates.size(); ++i) {
    const pte::PteDelegate& delegate = method.delegates[i];
    Place place{fmt::format("{}, delegate {} ({})", prefix, i, delegate.id), {}};
    place.facts.emplace_back("payload", fmt::format("{} bytes", delegate.payload_size));
    place.facts.emplace_back("calls", fmt::format("{}", delegate.calls));
    places.push_back(std::move(place));
  }
}

// By name and, of those that share one, by order.
std::unordered_map<std::string, const Place*> by_key(const std::vector<Place>& places, std::vector<std::string>& keys) {
  std::unordered_map<std::string, size_t> seen;
  std::unordered_map<std::string, const Place*> result;
  for (const Place& place : places) {
    const size_t number = seen[place.name]++;
    keys.push_back(number == 0 ? place.name : fmt::format("{}, number {}", place.name, number + 1));
    result.emplace(keys.back(), &place);
  }
  return result;
}

const std::string* find(const Facts& facts, const std::string& fact) {
  const auto found = std::ranges::find(facts, fact, &std::pair<std::string, std::string>::first);
  return found == facts.end() ? nullptr : &found->second;
}

void compare_facts(const std::string& place, const Facts& before, const Facts& after, std::vector<Difference>& result) {
  for (const auto& [fact, was] : before) {
    const std::string* is = find(after, fact);
    if (is == nullptr || *is != was) result.push_back({place, fact, was, is ? *is : ""});
  }
  for (const auto& [fact, is] : after)
    if (find(before, fact) == nullptr) result.push_back({place, fact, "", is});
}

}  // namespace

std::vector<Place> places_of(const Plan& plan) {
  std::vector<Place> places;
  for (const auto& [names, fact] : {std::pair{&plan.in_float, "in float"}, std::pair{&plan.per_channel, "per channel"}})
    for (const std::string& name : *names) places.push_back({fmt::format("operator '{}' {}", name, fact), {}});
  for (const PlanLayer& layer : plan.layers) {
    Place place{fmt::format("layer '{}' ('{}')", layer.layer, layer.node), {{"quantize_", layer.config}}};
    place.facts.insert(place.facts.end(), layer.settings.begin(), layer.settings.end());
    places.push_back(std::move(place));
  }
  for (const PlanEntry& entry : plan.entries) {
    const std::string reader = entry.used_by.empty() ? "" : fmt::format(" for '{}'", entry.used_by);
    const std::string layer = entry.layer.empty() ? "" : fmt::format(", layer '{}'", entry.layer);
    Place place{fmt::format("tensor '{}'{}{}", entry.tensor, reader, layer), {}};
    add_params(place.facts, "parameters", entry.qparams);
    place.facts.emplace_back("observer", entry.observer);
    place.facts.emplace_back("rule", entry.rule);
    places.push_back(std::move(place));
  }
  return places;
}

std::vector<Place> places_of(const ExportedProgram& program) {
  std::vector<Place> places;
  for (const Node* node : program.graph().node_list())
    if (qdq::find(*node) == nullptr && computes_on_floats(*node)) places.push_back(place_with_facts(program, *node));
  return places;
}

std::vector<Place> places_of_pte(std::span<const std::byte> file) {
  const pte::PteSummary summary = pte::summarize(pte::verify_pte(file));
  std::vector<Place> places = {{"file", {}}};
  places[0].facts = {{"size", fmt::format("{} bytes", summary.file_size)},
                     {"constants", fmt::format("{} of {} bytes", summary.constants, summary.constant_bytes)},
                     {"state", fmt::format("{} bytes", summary.mutable_state_bytes)}};
  for (const pte::PteMethod& method : summary.methods) add_method(places, method);
  return places;
}

std::vector<Difference> differences(const std::vector<Place>& before, const std::vector<Place>& after) {
  std::vector<std::string> before_keys, after_keys;
  const auto before_places = by_key(before, before_keys), after_places = by_key(after, after_keys);
  std::vector<Difference> result;
  for (const std::string& key : before_keys) {
    const auto other = after_places.find(key);
    if (other == after_places.end()) result.push_back({key, "", "there", ""});
    else compare_facts(key, before_places.at(key)->facts, other->second->facts, result);
  }
  for (const std::string& key : after_keys)
    if (!before_places.contains(key)) result.push_back({key, "", "", "there"});
  return result;
}

}  // namespace intaglio::report
