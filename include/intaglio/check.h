// Lowering and writing under checks: what was asked for is what is in the file.
//
//   quantize   the steps of a recipe warn of what they leave in float although the recipe names it (run_recipe)
//   lower      no quantize or dequantize operator stands outside a delegate
//   write      the file, run on the ExecuTorch runtime before it takes the target's place, agrees with the program it was made of
//
// A breach is a warning (Warning::is_breach), or an error where the options say `strict`: then nothing is written.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/edge.h>
#include <intaglio/warning.h>

#pragma GCC visibility push(default)

namespace intaglio {

// How far one output of the file is from the program's, on the interpreter.
//
// The bound is what the program's own steps can explain: the interpreter runs once more with every quantized value one step off,
// up or down at random (and every float result of a layer by a few units of its last place), and what that does to the output is
// the noise that is allowed. A file computes most values exactly, and the others one step off.
struct OutputAgreement {
  size_t index = 0;     // arr_<index>
  double sqnr_db = 0;   // +inf: equal
  double bound_db = 0;  // less is a breach
  double max_abs_error = 0;
};

// Where a file that is beyond its bound first leaves the program: what is before this layer is within its bounds.
struct WrongLayer {
  std::string layer;  // "aten.linear.default 'linear_1' in layer 'head' (model.py:31)"
  double sqnr_db = 0;
  double bound_db = 0;
  double share = 0;  // of its values, 0 to 1: those further off than the bound allows all of them to be
};
std::string to_string(const WrongLayer& wrong);

struct Agreement {
  std::string method;
  std::string inputs;                     // "the first calibration sample", "random inputs"
  std::string skipped;                    // why nothing was compared; "": it was
  std::vector<OutputAgreement> outputs;   // of float type
  std::string breach;                     // one line; "": within its bounds
  std::optional<WrongLayer> first_wrong;  // of an output in floats; absent where nothing inside is wrong once it can be seen

  // The output that is closest to its bound; null without one.
  const OutputAgreement* closest() const;
};
// "48.31 dB on the first calibration sample (its quantization steps explain as little as 31.20 dB)"
std::string to_string(const Agreement& agreement);

struct SaveOptions {
  int threads = 0;
  bool strict = false;
  RuntimeVersion runtime = newest_runtime;    // the oldest that is to run the file: ExecutorchOptions::runtime
  bool compare = true;                        // run the file
  std::chrono::milliseconds timeout{60'000};  // for one run of it
  // Inputs to run it on, one tensor for each user input; empty: random ones are drawn.
  std::vector<Tensor> sample;
  const HandOver* hand_over = nullptr;           // writes this in place of a `.pte`; checked on the interpreter
  std::vector<ConstantMethod> constant_methods;  // ExecutorchOptions::constant_methods
  WarningSink warn;
  std::function<void(std::string_view step, const ExportedProgram&)> observe_lowering;  // LowerOptions::observe
  std::function<void(const EdgeProgram&)> inspect;                                      // the lowered program, before it is written
  std::function<void(const RuntimeNeeds&)> inspect_needs;                               // of the file
  std::function<void(std::string_view step)> observe;                                   // after each step: "lower", "write", "check"
  // Last, before the file takes the target's place: what throws here leaves that as it was.
  std::function<void(const std::filesystem::path& written, const std::vector<Agreement>&)> inspect_written;
};

// to_edge_transform_and_lower, to_executorch and save under these checks. Says for each method how the file agrees; nothing
// without `compare`.
std::vector<Agreement> lower_and_save(std::vector<std::pair<std::string, ExportedProgram>> methods, const PartitionerList& partitioners,
                                      const std::filesystem::path& path, const SaveOptions& options = {});
std::vector<Agreement> lower_and_save(ExportedProgram program, const PartitionerList& partitioners, const std::filesystem::path& path,
                                      const SaveOptions& options = {});

}  // namespace intaglio

#pragma GCC visibility pop
