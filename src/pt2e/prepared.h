// What a prepared program holds between prepare and convert.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <intaglio/interpreter.h>
#include <intaglio/pt2e.h>

#include "pt2e/insertions.h"
#include "pt2e/spec_map.h"
#include "pt2e/spreads.h"

namespace intaglio::pt2e {

// One group of tensors that share quantization parameters.
struct ObservedGroup {
  std::unique_ptr<Observer> observer;  // null: derived from other groups, or stays float
  std::optional<QuantParams> decided;  // by a plan; replaces the observer's
  bool fake_quantizes = false;         // ObserverFactory::fake_quantizes
};

// What calibration runs in place of the prepared program where observers quantize what they see: between a tensor and the nodes that
// read an insertion's result stands a node, and constants are as their observers leave them.
struct FakeQuantizedProgram {
  ExportedProgram program;
  std::unordered_map<const Value*, size_t> insertions;       // by the results of those nodes
  std::unordered_map<const Value*, const Value*> originals;  // of values whose spread is asked for
  std::vector<const Value*> watched;
};

}  // namespace intaglio::pt2e

namespace intaglio {

struct PreparedProgram::State {
  ExportedProgram program;
  Annotations annotations;
  PrepareOptions options;
  pt2e::SpecMap specs;
  pt2e::Insertions insertions;
  std::vector<pt2e::ObservedGroup> groups;  // of specs.groups
  size_t samples = 0;
  std::vector<Tensor> first_sample;
  bool constants_observed = false;
  std::unordered_set<const Value*> mutated;                  // inputs that the program writes to
  pt2e::Spreads spreads;                                     // of what `spreads_to_watch` names
  std::vector<const Value*> watched;                         // values of nodes that have observers or whose spread is asked for
  std::optional<pt2e::FakeQuantizedProgram> fake_quantized;  // made at the first call, if any observer fake-quantizes
  std::unique_ptr<Interpreter> interpreter;                  // made at the first call; refers to `program`, or to `fake_quantized`

  void warn(const Warning& warning) const {
    if (options.warn) options.warn(warning);
  }
};

}  // namespace intaglio

namespace intaglio::pt2e {

// Null for specs without an observer of their own (derived ones).
std::unique_ptr<Observer> make_observer(const AnyQuantizationSpec& spec);

// Feeds one tensor to every observer that stands at `value`, in their order. Adds tensor and layer to errors.
void observe_value(PreparedProgram::State& state, const Value* value, const Tensor& tensor);
// Feeds one tensor to the observer of an insertion.
void observe(PreparedProgram::State& state, const Insertion& insertion, const Tensor& tensor);
// After constants have been observed.
FakeQuantizedProgram fake_quantized_program(const PreparedProgram::State& state);
// One sample through it.
std::vector<Tensor> run_fake_quantized(PreparedProgram::State& state, const std::vector<Tensor>& inputs);
// Weights, biases and other constants; min/max observers see each only once, the others at every call as torchao's do.
void observe_constants(PreparedProgram::State& state);
// Buffers that the program writes to, as the last run left them: what the next one reads.
void observe_buffers(PreparedProgram::State& state);
// The same as `observe_constants` when no sample ever ran (weight-only quantization needs none), with what follows from constants alone.
void observe_without_samples(PreparedProgram::State& state);

// What needs no sample: constants, and values that follow from constants alone.
void observe_known_values(PreparedProgram::State& state);

// Are its parameters decided ahead of run time? Not those of dynamic specs and of float ones, which only observe.
bool has_static_params(const PreparedProgram::State& state, const Insertion& insertion);
// True when the parameters of a group are known: observed, decided, fixed, or derived from known ones.
bool is_calibrated(const PreparedProgram::State& state, size_t group);
// Decided, derived or calculated parameters; a usage error when derivations go in a circle.
QuantParams qparams_of(const PreparedProgram::State& state, size_t group);

// `layer 'features.0' (model.py:31)`, or the tensor's name: the place of an observed tensor in messages.
std::string layer_of(const Insertion& insertion);
std::string place_of(const Insertion& insertion);

// Insertions in graph order.
std::vector<size_t> graph_order(const PreparedProgram::State& state);

}  // namespace intaglio::pt2e
