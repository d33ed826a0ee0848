#include "backends/coreml/compile_specs.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

namespace intaglio::coreml {
namespace {

CompileSpec spec(const char* key, std::string_view text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return {key, {bytes.begin(), bytes.end()}};
}

template <typename T, size_t N>
std::string_view name_of(T value, const Named<T> (&names)[N]) {
  return std::ranges::find(names, value, &Named<T>::first)->second;
}

}  // namespace

std::vector<CompileSpec> compile_specs(const CoreMLPartitionerOptions& options) {
  const auto& target = options.minimum_deployment_target;
  return {spec("compute_units", name_of(options.compute_unit, unit_names)),
          spec("min_deployment_target", target ? fmt::format("{}", static_cast<int32_t>(*target)) : ""),
          spec("model_compute_precision", name_of(options.compute_precision, precision_names)),
          spec("model_type", name_of(options.model_type, model_type_names))};
}

}  // namespace intaglio::coreml
