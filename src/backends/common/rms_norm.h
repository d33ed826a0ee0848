// Root mean square norms that a model writes out in parts.
#pragma once

#include <optional>

#include <intaglio/program.h>

namespace intaglio::common {

// input * rsqrt(mean(input^2) + eps) * weight over the last dimension.
struct RmsNorm {
  Value* input;
  Value* weight;  // a constant of one dimension
  double eps;
};

// Of the product with the weight, in the edge dialect; the square may be a power or a product, factors stand in either order.
std::optional<RmsNorm> match_rms_norm(const ExportedProgram& program, const Node& node);

}  // namespace intaglio::common
