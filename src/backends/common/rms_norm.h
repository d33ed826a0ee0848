// Root mean square norms that a model writes out in parts.
#pragma once

#include <string_view>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::common {

// input * rsqrt(mean(input^2) + eps) * weight over the last dimension.
struct RmsNorm {
  Value* input;
  Value* weight;  // a constant of one dimension
  double eps;
};

// Each becomes one node of `op`; the square may be a power or a product, factors stand in either order.
void write_rms_norms(ExportedProgram& program, std::string_view op, std::vector<NamedArgument> (*arguments)(const RmsNorm&));

}  // namespace intaglio::common
