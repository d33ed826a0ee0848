// The fewest layers left in float, or given a scale for each channel, for a quantized program to stay close enough to the float one.
// Tests: tests/test_max_loss.py.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::report {

struct AccuracyBound {
  // Of a text: percent that the perplexity may be above the float program's.
  struct Text {
    std::vector<int64_t> tokens;
    int64_t window = 0;  // 0: what the model looks back to
  };
  // With labels: points (percent) of top-1 accuracy that may be lost against the float program. With neither: dB of SQNR that the
  // outputs must have.
  double limit = 0;
  std::optional<std::vector<int64_t>> labels;  // one for each row of the first output, over all samples
  std::optional<Text> text;                    // in place of samples

  std::string unit() const { return labels ? "points of top-1 accuracy lost" : text ? "% of perplexity gained" : "dB of SQNR"; }
  bool is_met(double found) const { return labels || text ? found <= limit : found >= limit; }
};

// Names of nodes.
struct LayerChoice {
  std::vector<std::string> in_float, per_channel;
};

struct BoundedProgram {
  ExportedProgram program;
  LayerChoice choice;
  std::vector<std::string> in_float, per_channel;  // `features.0.0 (aten.conv2d.default)` of each
  double before = 0, after = 0;                    // what the bound is on: of every layer quantized as the recipe says, and of this program
};

// `quantize` gives the program of a choice. Weights with one scale get one for each channel first, which costs the least: the fewest of
// them, where that is enough. Else the layer is left in float that gains most, ranked anew by the program as it is by then, more at a
// time the more it takes, and then each is taken back that the bound can do without. A bad-input error that says how close it came when
// all of them are not enough.
BoundedProgram within_bound(const ExportedProgram& float_program, const std::vector<std::vector<Tensor>>& samples,
                            const AccuracyBound& bound, int threads, const std::function<ExportedProgram(const LayerChoice&)>& quantize);

}  // namespace intaglio::report
