// The PT2E flow: prepare, calibrate, convert.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/quantizer.h>
#include <intaglio/warning.h>

#pragma GCC visibility push(default)

namespace intaglio {

enum class Compat {
  intaglio,  // the right behaviour where torchao has a bug that silently loses work or accuracy
  torchao,   // torchao's behaviour exactly
};

struct PrepareOptions {
  Compat compat = Compat::intaglio;
  int threads = 0;   // 0: all cores
  WarningSink warn;  // also used by calls, plans and conversion of the prepared program
  // Names of nodes that the quantizer is to leave alone, and of those whose weights get a scale for each output channel where the
  // quantizer gives them one for all, as a plan's `in_float` and `per_channel` give them.
  std::vector<std::string> in_float, per_channel;
};

// What was decided for one observed tensor, and why. The plan is a file: JSON, one entry per tensor (docs/plan.md).
struct PlanEntry {
  std::string tensor;    // name of the value in the prepared graph
  std::string used_by;   // node it is quantized for, when its other users see it otherwise; "" for all users
  std::string layer;     // module path of its producer or first user
  std::string observer;  // kind of observer
  std::string rule;      // the rule that annotated it
  size_t group = 0;      // tensors of one group share their parameters
  ObservedStatistics statistics;
  QuantParams qparams;
};
// A layer whose weights `quantize_` takes: its configuration in the words of recipe files. Integers follow from that and the weights.
struct PlanLayer {
  std::string layer, node;  // module path, and the operator that reads the weight
  std::string config;       // "IntxWeightOnlyConfig"
  std::vector<std::pair<std::string, std::string>> settings;
};
struct Plan {
  std::vector<PlanEntry> entries;
  std::vector<PlanLayer> layers;
  // Nodes that the program is prepared with (PrepareOptions).
  std::vector<std::string> in_float, per_channel;
};
// Bad input on anything that docs/plan.md does not allow, naming file and entry.
Plan load_plan(const std::filesystem::path& path);
// Replaces the target only after everything is written.
void save_plan(const Plan& plan, const std::filesystem::path& path);
// The file's text, and back; `source` is used in messages.
std::string to_json(const Plan& plan);
Plan parse_plan(std::string_view json, const std::string& source);

// A program with observers. Calling it runs one sample and observes.
class PreparedProgram {
 public:
  PreparedProgram(PreparedProgram&&) noexcept;
  PreparedProgram& operator=(PreparedProgram&&) noexcept;
  ~PreparedProgram();

  // Flattened user inputs in; user outputs out, as the float program gives them.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs);

  const ExportedProgram& program() const;
  size_t calibrated_samples() const;
  // The inputs of the first call; empty before it.
  const std::vector<Tensor>& first_sample() const;
  // Statistics and decided parameters as of now, those of constants always; what no sample reached is left out.
  Plan plan();
  // Decisions of an edited plan replace the observers'; entries are matched by tensor and used_by. Bad input when they do
  // not fit: an unknown tensor, another dtype or channel count, tensors of one group that disagree. An entry for a tensor
  // that this quantizer leaves in float is passed over with a warning.
  void apply_plan(const Plan& plan);
  // Is there a tensor whose range neither a plan nor a sample nor the program itself gives?
  bool needs_samples();

  struct State;
  State& internal() { return *state_; }
  const State& internal() const { return *state_; }
  explicit PreparedProgram(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

// Folds batch norms, lets the quantizer annotate, places observers. Each step and its reason: src/pt2e/prepare.cpp.
PreparedProgram prepare_pt2e(ExportedProgram program, const Quantizer& quantizer, const PrepareOptions& options = {});

struct ConvertOptions {
  // Integer arithmetic in plain operators in place of quantize and dequantize nodes: docs/reference_representation.md.
  bool use_reference_representation = false;
  bool fold_quantize = true;  // store weights as integers
};
// Observers become quantize and dequantize nodes, weights become integers. A bad-input error naming the layer when a tensor
// was never observed or its range is not finite (Compat::torchao: scale 1 for never observed ones, as torchao).
ExportedProgram convert_pt2e(PreparedProgram prepared, const ConvertOptions& options = {});

// What `use_reference_representation` does, of a program that has been converted: docs/reference_representation.md.
void to_reference_representation(ExportedProgram& converted, Compat compat = Compat::intaglio);

}  // namespace intaglio

#pragma GCC visibility pop
