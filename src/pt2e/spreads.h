// How much tensors span, beside the steps they are quantized with. A range can fit a sum, a selection or a group of tensors
// and still leave less than one step to one of them.
//
// Tests: spreads_test.cpp.
#pragma once

#include <limits>
#include <unordered_map>

#include <intaglio/pt2e.h>

namespace intaglio::pt2e {

// Smallest and largest finite value seen. Infinities have no size, and NaN may stand where a selection does not look.
struct Spread {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();

  void extend(const Tensor& tensor);  // floating point, of any strides
  double width() const { return max > min ? static_cast<double>(max) - min : 0.0; }
};
using Spreads = std::unordered_map<const Value*, Spread>;

// Whose spread `warn_of_lost_tensors` asks for and no observer of its own knows.
Spreads spreads_to_watch(const PreparedProgram::State& state);

// A warning for each layer with a tensor, or an operand of a sum or selection, that spans less than one step of its range.
void warn_of_lost_tensors(const PreparedProgram::State& state);

}  // namespace intaglio::pt2e
