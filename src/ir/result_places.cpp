#include "ir/result_places.h"

#include <algorithm>

#include "ir/visit_values.h"

namespace intaglio {
namespace {

template <typename Places, typename Key>
std::span<const size_t> found_in(const Places& places, const Key& key) {
  const auto found = places.find(key);
  return found == places.end() ? std::span<const size_t>() : std::span<const size_t>(found->second);
}

}  // namespace

ResultPlaces::ResultPlaces(const ExportedProgram& program) {
  const std::vector<Argument> results = program.graph().outputs();
  for (size_t i = 0; i < results.size(); ++i) {
    visit_values(results[i], [&](const Value* value) {
      std::vector<size_t>& places = of_value_[value];
      if (places.empty() || places.back() != i) places.push_back(i);
    });
    if (i >= program.output_specs.size()) continue;
    const OutputSpec& spec = program.output_specs[i];
    if (spec.kind == OutputSpec::Kind::buffer_mutation) of_buffer_[spec.target].push_back(i);
  }
}

std::span<const size_t> ResultPlaces::of(const Value* value) const { return found_in(of_value_, value); }
std::span<const size_t> ResultPlaces::of_buffer(std::string_view target) const { return found_in(of_buffer_, target); }

bool ResultPlaces::only_keeps(const Value* value, std::string_view buffer) const {
  const std::span<const size_t> places = of(value), kept = of_buffer(buffer);
  return places.size() == 1 && std::ranges::binary_search(kept, places[0]);
}

}  // namespace intaglio
