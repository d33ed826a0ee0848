// Runs a program on tensors: float kernels (oneDNN and our own), the quantized_decomposed ops with torchao's numerics.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include <intaglio/program.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct InterpreterOptions {
  int threads = 0;  // 0: all cores
  // Weights are packed at the first run and kept for those that follow. Without it memory holds one layer's at a time.
  bool keep_packed_weights = true;
};

// Called with each value right after it was computed, in execution order, while it is still in cache. The tensor may have
// any dense layout. A tensor that the hook returns (of the same type and sizes; the run may write to it) takes the value's
// place for everything that runs later: fake quantization.
using ValueHook = std::function<std::optional<Tensor>(const Value* value, const Tensor& tensor)>;

class Interpreter {
 public:
  // Compiles the program once: kernels chosen, weights reordered, lifetimes known. The program must outlive it.
  // Unsupported error naming op, layer and line when an op has no kernel.
  explicit Interpreter(const ExportedProgram& program, InterpreterOptions options = {});
  ~Interpreter();
  Interpreter(Interpreter&&) noexcept;

  // User inputs in order (literals excluded), checked against the program's sizes, ranges and dtypes (bad input).
  // Returns the user outputs, contiguous; buffer mutations persist from run to run.
  // `watched`, when given, limits the hook to these values, which lets others be fused or skipped.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, const ValueHook& hook = {},
                          const std::vector<const Value*>* watched = nullptr);
  // The outputs that the program has with other tensors in the places of `replaced`: what follows these is computed, with the weights
  // that other runs packed. `known` is asked for what that reads of other values, user inputs among them; nothing stays in buffers.
  // Unsupported error for a program that writes in place, or whose complex numbers lie between.
  std::vector<Tensor> run_from(const std::unordered_map<const Value*, Tensor>& replaced, const std::function<Tensor(const Value*)>& known);
  // What run_from asks `known` for when these are replaced.
  std::vector<const Value*> read_beside(const std::vector<const Value*>& replaced);
  // What the next run reads of an input that the program writes to: the buffer as saved, then as the last run left it. Valid until
  // the next run.
  Tensor state_of(const Value* input) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One node on known tensors (constant folding). Inputs are those of node.inputs(), in that order.
// A result that is a view of an input shares its memory. nullopt when there is no kernel for it.
std::optional<std::vector<Tensor>> evaluate_node(const Node& node, const std::vector<Tensor>& inputs);

}  // namespace intaglio

#pragma GCC visibility pop
