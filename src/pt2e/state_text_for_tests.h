// Readable, stable text of what prepare decided: the form of golden tests and of `pt2e_annotate --text`.
#pragma once

#include <array>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "pt2e/prepared.h"

namespace intaglio::pt2e {

inline constexpr std::array scheme_names = {"per_tensor_affine", "per_tensor_symmetric", "per_channel_affine", "per_channel_symmetric"};

inline std::string key_text(const SpecKey& key) {
  return key.user == nullptr ? key.value->name() : fmt::format("{} -> {}", key.value->name(), key.user->name());
}

inline std::string range_text(std::optional<int64_t> min, std::optional<int64_t> max) {
  if (!min && !max) return "";
  return fmt::format(" [{}, {}]", min ? std::to_string(*min) : "-", max ? std::to_string(*max) : "-");
}

inline std::string scheme_text(std::optional<QScheme> scheme) {
  return scheme ? fmt::format(" {}", scheme_names[static_cast<size_t>(*scheme)]) : std::string();
}

inline std::string text_of(const QuantizationSpec& spec) {
  const std::string axis = spec.ch_axis ? fmt::format(" axis {}", *spec.ch_axis) : "";
  return fmt::format("{}{}{}{} {}{}", name(spec.dtype), scheme_text(spec.qscheme), range_text(spec.quant_min, spec.quant_max), axis,
                     spec.observer.name, spec.is_dynamic ? " dynamic" : "");
}
inline std::string text_of(const FixedQParamsQuantizationSpec& spec) {
  return fmt::format("{}{}{} fixed scale {} zero point {}", name(spec.dtype), scheme_text(spec.qscheme),
                     range_text(spec.quant_min, spec.quant_max), spec.scale, spec.zero_point);
}
inline std::string text_of(const SharedQuantizationSpec& spec) { return fmt::format("shared with ({})", key_text(key_of(spec.target))); }
inline std::string text_of(const DerivedQuantizationSpec& spec) {
  std::vector<std::string> sources;
  for (const EdgeOrValue& source : spec.derived_from) sources.push_back(fmt::format("({})", key_text(key_of(source))));
  return fmt::format("{}{}{} derived from {}", name(spec.dtype), scheme_text(spec.qscheme), range_text(spec.quant_min, spec.quant_max),
                     fmt::join(sources, " "));
}

inline std::string to_string(const AnyQuantizationSpec& spec) {
  return std::visit([](const auto& concrete) { return text_of(concrete); }, spec);
}
inline std::string text_of(const std::optional<AnyQuantizationSpec>& spec) { return spec ? to_string(*spec) : "float"; }

// Sections `annotations`, `groups` and `observers`, each in graph order.
inline std::string to_string(const PreparedProgram::State& state) {
  std::string text = "annotations\n";
  for (const Node* node : state.program.graph().node_list()) {
    const QuantizationAnnotation* annotation = state.annotations.find(node);
    if (annotation == nullptr) continue;
    text += fmt::format("  {}: {}\n", node->name(), annotation->rule);
    for (const auto& [value, spec] : annotation->input_qspec_map) text += fmt::format("    {}: {}\n", value->name(), text_of(spec));
    if (annotation->output_qspec) text += fmt::format("    output: {}\n", to_string(*annotation->output_qspec));
  }
  text += "groups\n";
  for (size_t i = 0; i < state.specs.groups.size(); ++i) {
    std::vector<std::string> members;
    for (const size_t entry : state.specs.groups[i].entries)
      members.push_back(fmt::format("({})", key_text(state.specs.entries[entry].key)));
    text += fmt::format("  {}: {}: {}\n", i, text_of(state.specs.groups[i].spec), fmt::join(members, " "));
  }
  text += "observers\n";
  for (const size_t index : graph_order(state)) {
    const Insertion& insertion = state.insertions.items[index];
    std::vector<std::string> users;
    for (const Node* user : insertion.users) users.push_back(user == &state.program.graph().output_node() ? "output" : user->name());
    const std::string source = insertion.parent ? state.insertions.items[*insertion.parent].name : insertion.value->name();
    text += fmt::format("  {}: {} -> {} (group {})\n", insertion.name, source, fmt::join(users, ", "), insertion.group);
  }
  return text;
}

}  // namespace intaglio::pt2e
