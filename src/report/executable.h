// A program that can be run on samples, whatever its file: `.pt2` on the interpreter, `.pte` on the ExecuTorch runtime, the hand-over of a
// backend on the interpreter in integers.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/data.h>
#include <intaglio/program.h>

#include "runtime/runtime.h"

namespace intaglio::report {

// How a quantized `.pt2` computes.
enum class Numerics {
  as_written,  // on the interpreter: Q/DQ float semantics as PyTorch computes them
  reference,   // on the interpreter, quantized layers in integers: the reference representation
  integer,     // lowered to the default backend and run on the runtime: what will be deployed
};

struct ExecutableOptions {
  int threads = 0;
  Numerics numerics = Numerics::as_written;    // of a `.pt2`
  std::string method = "forward";              // of a `.pte`
  int repetitions = 0;                         // more runs of each sample, only timed
  std::chrono::milliseconds timeout{300'000};  // on the runtime: for loading, and for one sample with its repetitions
};

// The program of a `.pt2`, or of a method of a hand-over.
ExportedProgram load_program_of(const std::filesystem::path& path, const std::string& method = "forward");

class Executable {
 public:
  // Told by the file's first bytes. Bad-input error for anything else.
  static std::unique_ptr<Executable> open(const std::filesystem::path& path, const ExecutableOptions& options = {});
  // A program on the interpreter.
  static std::unique_ptr<Executable> of(ExportedProgram program, const ExecutableOptions& options = {});
  virtual ~Executable() = default;

  // What a sample may hold; a `.pt2` also has slots for the numbers that its export fixed.
  virtual const std::vector<InputSlot>& slots() const = 0;
  // Puts the numbers that a sample leaves out in their places, where this side knows them. Bad-input error for a number other
  // than the one that the export fixed.
  virtual void complete(std::vector<Tensor>&) const {}
  // Flattened user outputs, scalars 0-d, None undefined.
  virtual std::vector<Tensor> run(const std::vector<Tensor>& inputs) = 0;
  // The same; of outputs [1, rows, width] the last row alone may come back, which is less to copy.
  virtual std::vector<Tensor> run_last_row(const std::vector<Tensor>& inputs) { return run(inputs); }
  // Buffers that the program writes to keep their contents from run to run; this gives them those of the file.
  virtual void reset() = 0;
  // Facts that the file states of itself; none in a `.pt2`.
  virtual runtime::ConstantMethods constants() const { return {}; }
  // Last size of the first output, where it is fixed.
  virtual std::optional<int64_t> output_width() const = 0;
  // Milliseconds of the last run: the median of its repetitions.
  virtual double milliseconds() const = 0;
  // Where it runs, for reports: "interpreter" or "ExecuTorch runtime".
  virtual std::string engine() const = 0;
};

}  // namespace intaglio::report
