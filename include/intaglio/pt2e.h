// The PT2E flow: prepare, calibrate, convert.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <intaglio/quantizer.h>

namespace intaglio {

enum class Compat {
  intaglio,  // the right behaviour where torchao has a bug that silently loses work or accuracy
  torchao,   // torchao's behaviour exactly
};

struct PrepareOptions {
  Compat compat = Compat::intaglio;
  int threads = 0;  // 0: all cores
};

// What was decided for one observed tensor, and why. The plan is a file: JSON, one entry per tensor.
struct PlanEntry {
  std::string tensor;     // name of the value in the prepared graph
  std::string layer;      // module path of its producer or first user
  std::string observer;   // kind of observer
  std::string rule;       // the rule that annotated it
  size_t group = 0;       // tensors of one group share their parameters
  ObservedStatistics statistics;
  QuantParams qparams;
};
struct Plan {
  std::vector<PlanEntry> entries;
};
Plan load_plan(const std::filesystem::path& path);
void save_plan(const Plan& plan, const std::filesystem::path& path);

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
  // Statistics and decided parameters as of now.
  Plan plan() const;
  // Decisions of an edited plan replace the observers'; entries are matched by tensor name. Bad input when they do not fit.
  void apply_plan(const Plan& plan);

  struct State;
  State& internal() { return *state_; }
  const State& internal() const { return *state_; }
  explicit PreparedProgram(std::unique_ptr<State> state);

 private:
  std::unique_ptr<State> state_;
};

PreparedProgram prepare_pt2e(ExportedProgram program, const Quantizer& quantizer, const PrepareOptions& options = {});

struct ConvertOptions {
  bool use_reference_representation = false;
  bool fold_quantize = true;  // store weights as integers
};
ExportedProgram convert_pt2e(PreparedProgram prepared, const ConvertOptions& options = {});

}  // namespace intaglio
