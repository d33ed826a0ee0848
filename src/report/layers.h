// Two programs side by side, value by value: where they part. Tests: tests/test_layers.py.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/program.h>

#include "quant/metrics.h"

namespace intaglio::report {

// How far one value of the candidate is from the reference's value of that name, over all samples.
struct LayerDifference {
  std::string value, op, layer, source;
  // Of floats, and of the floats that quantized values stand for.
  quant::ErrorMetrics metrics;
  // Where the candidate's value is quantized: the share of the reference's elements that its range cuts off, and the share of that
  // range that the reference's elements use.
  std::optional<double> clipped, range_used;
  // Where both hold integers of one scale: the share of elements that differ, and by how many steps at most.
  std::optional<double> differing;
  int64_t most_steps = 0;
};

// Values match by name: those of a float program and of what `quantize` made of it, of a Q/DQ program and of its reference
// representation. A float program's batch norms are folded first, as quantization folds them.
class LayerComparer {
 public:
  struct Options {
    int threads = 0;
    bool deployed = false;  // the candidate runs on the runtime, lowered to the default backend with its matched values as outputs
    std::chrono::milliseconds timeout{300'000};
  };
  // Bad-input error when no value of one has a counterpart in the other.
  LayerComparer(ExportedProgram reference, ExportedProgram candidate, const Options& options);
  ~LayerComparer();

  void add(const std::vector<Tensor>& inputs);
  // In the candidate's order.
  std::vector<LayerDifference> result() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace intaglio::report
