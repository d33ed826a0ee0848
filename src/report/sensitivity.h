// What each layer's quantization costs: alone in an otherwise float program, and taken out of the quantized one.
// Tests: tests/test_sensitivity.py.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/program.h>

namespace intaglio::report {

// A layer and what is quantized of it: its weight, its input where that is quantized at run time, and its result where that is seen
// quantized behind its activations. Quantized inputs of the program are layers of their own.
struct LayerSensitivity {
  std::string value, op, layer, source;
  bool one_scale = false;  // for the whole weight
  double alone_db = 0;     // SQNR of the outputs against the float program's, only this layer being quantized
  double in_float_db = 0;  // the same of the quantized program with this layer left in float
  double gained_db = 0;    // by leaving it in float
  std::optional<double> alone_top1 = {}, in_float_top1 = {};  // with labels
};

struct Sensitivity {
  double quantized_db = 0;  // of the whole quantized program
  std::optional<double> float_top1, quantized_top1;
  std::vector<LayerSensitivity> layers;  // what costs most first: by what is gained, then by what it costs alone
};

struct SensitivityOptions {
  int threads = 0;
  bool alone = true;                                // whether each layer is quantized alone, too
  std::optional<std::vector<int64_t>> labels = {};  // one for each row of the first output, over all samples
  std::function<void(size_t layers)> begin = {};    // how many there are, times samples
  std::function<void()> advance = {};               // a layer is done with a sample
};

// `float_program` and what `quantize` made of it, on samples of the same inputs. Only what follows a layer is computed anew for it;
// layers are spread over threads, each of which packs the weights of both programs once. Memory holds the values that layers read, of
// several samples at a time while those are within a gigabyte.
// A program that writes to its buffers reads them as its file has them, for every sample. Bad-input error when the two do not belong
// together.
Sensitivity sensitivity_of(ExportedProgram float_program, ExportedProgram quantized, const std::vector<std::vector<Tensor>>& samples,
                           const SensitivityOptions& options);

}  // namespace intaglio::report
