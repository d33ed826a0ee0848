// The fewest layers left in float for a quantized program to stay close enough to the float one. Tests: tests/test_max_loss.py.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::report {

struct AccuracyBound {
  // With labels: points (percent) of top-1 accuracy that may be lost against the float program. Without: dB of SQNR that the
  // outputs must have.
  double limit = 0;
  std::optional<std::vector<int64_t>> labels;  // one for each row of the first output, over all samples

  std::string unit() const { return labels ? "points of top-1 accuracy lost" : "dB of SQNR"; }
  bool is_met(double found) const { return labels ? found <= limit : found >= limit; }
};

struct BoundedProgram {
  ExportedProgram program;
  std::vector<std::string> in_float;  // nodes
  std::vector<std::string> layers;    // `features.0.0 (aten.conv2d.default)` of each
  double before = 0, after = 0;       // what the bound is on: without any layer in float, and of this program
};

// `quantize` gives the program with these nodes left in float. Layers are tried in the order of what they gain alone, then each is
// taken back that the bound can do without. A bad-input error that says how close it came when all of them are not enough.
BoundedProgram within_bound(const ExportedProgram& float_program, const std::vector<std::vector<Tensor>>& samples,
                            const AccuracyBound& bound, int threads,
                            const std::function<ExportedProgram(const std::vector<std::string>& in_float)>& quantize);

}  // namespace intaglio::report
