// Options as the delegate's compile specs, and their names.
#pragma once

#include <string_view>
#include <utility>
#include <vector>

#include <intaglio/coreml.h>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

template <typename T>
using Named = std::pair<T, std::string_view>;
inline constexpr Named<ComputeUnit> unit_names[] = {{ComputeUnit::all, "all"},
                                                    {ComputeUnit::cpu_only, "cpu_only"},
                                                    {ComputeUnit::cpu_and_gpu, "cpu_and_gpu"},
                                                    {ComputeUnit::cpu_and_ne, "cpu_and_ne"}};
inline constexpr Named<ComputePrecision> precision_names[] = {{ComputePrecision::float16, "float16"},
                                                              {ComputePrecision::float32, "float32"}};
inline constexpr Named<ModelType> model_type_names[] = {{ModelType::model, "model"}, {ModelType::compiled_model, "compiled_model"}};

std::vector<CompileSpec> compile_specs(const CoreMLPartitionerOptions& options);

inline Version version_of(const CoreMLPartitionerOptions& options) {
  return static_cast<Version>(options.minimum_deployment_target.value_or(DeploymentTarget::ios15));
}

}  // namespace intaglio::coreml
