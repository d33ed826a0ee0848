#include "report/accuracy_bound.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "report/comparison.h"
#include "report/sensitivity.h"

namespace intaglio::report {
namespace {

class Search {
 public:
  Search(const ExportedProgram& floats, const std::vector<std::vector<Tensor>>& samples, const AccuracyBound& bound, int threads,
         const std::function<ExportedProgram(const std::vector<std::string>&)>& quantize)
      : floats_(floats), samples_(samples), bound_(bound), threads_(threads), quantize_(quantize) {
    Interpreter interpreter(floats, {.threads = threads});
    for (const std::vector<Tensor>& inputs : samples) expected_.push_back(interpreter.run(inputs));
  }

  BoundedProgram run() {
    BoundedProgram result = variant(0);
    result.before = result.after;
    if (bound_.is_met(result.after)) return result;
    rank(result.program);
    const double before = result.before;
    const size_t enough = fewest();
    kept_ = {order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(enough)};
    take_back();
    result = variant_of(kept_);
    result.before = before;
    for (const size_t index : kept_) result.layers.push_back(describe(ranked_[index]));
    return result;
  }

 private:
  double loss_of(const ExportedProgram& program) const {
    Interpreter interpreter(program, {.threads = threads_});
    Comparer comparer(bound_.labels);
    for (size_t i = 0; i < samples_.size(); ++i) comparer.add(expected_[i], interpreter.run(samples_[i]));
    const Comparison found = comparer.result();
    if (bound_.labels) return 100 * (*found.reference_accuracy - *found.candidate_accuracy);
    double worst = HUGE_VAL;
    for (const OutputComparison& output : found.outputs) worst = std::min(worst, output.metrics.sqnr_db);
    return worst;
  }

  void rank(const ExportedProgram& quantized) {
    const Sensitivity found = sensitivity_of(floats_.clone(), quantized.clone(), samples_, threads_, [](size_t) {}, [] {});
    for (const LayerSensitivity& layer : found.layers)
      if (layer.op != "input") ranked_.push_back(layer);
    for (size_t i = 0; i < ranked_.size(); ++i) order_.push_back(i);
  }

  BoundedProgram variant_of(const std::vector<size_t>& layers) const {
    std::vector<std::string> names;
    for (const size_t index : layers) names.push_back(ranked_[index].value);
    ExportedProgram program = quantize_(names);
    const double loss = loss_of(program);
    return {.program = std::move(program), .in_float = std::move(names), .layers = {}, .before = 0, .after = loss};
  }
  BoundedProgram variant(size_t first) const { return variant_of({order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(first)}); }

  // Doubling, then halving: what is left in float only helps, but for single steps.
  size_t fewest() const {
    size_t too_few = 0, enough = 1;
    for (;; enough = std::min(2 * enough, order_.size())) {
      const double found = variant(enough).after;
      if (bound_.is_met(found)) break;
      if (enough >= order_.size())
        throw_bad_input(
            fmt::format("the bound of {:.4g} {} cannot be met: with all {} layers in float it is {:.4g} (inputs and what moves "
                        "data stay quantized); allow more, or quantize dynamically",
                        bound_.limit, bound_.unit(), order_.size(), found));
      too_few = enough;
    }
    while (enough - too_few > 1) {
      const size_t middle = too_few + (enough - too_few) / 2;
      (bound_.is_met(variant(middle).after) ? enough : too_few) = middle;
    }
    return enough;
  }

  // The last ones gained least.
  void take_back() {
    for (size_t i = kept_.size(); i-- > 0 && kept_.size() > 1;) {
      std::vector<size_t> fewer = kept_;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (bound_.is_met(variant_of(fewer).after)) kept_ = std::move(fewer);
    }
  }

  static std::string describe(const LayerSensitivity& layer) {
    return fmt::format("{} ({})", layer.layer.empty() ? layer.value : layer.layer, layer.op);
  }

  const ExportedProgram& floats_;
  const std::vector<std::vector<Tensor>>& samples_;
  const AccuracyBound& bound_;
  int threads_;
  const std::function<ExportedProgram(const std::vector<std::string>&)>& quantize_;
  std::vector<std::vector<Tensor>> expected_;
  std::vector<LayerSensitivity> ranked_;
  std::vector<size_t> order_, kept_;
};

}  // namespace

BoundedProgram within_bound(const ExportedProgram& float_program, const std::vector<std::vector<Tensor>>& samples,
                            const AccuracyBound& bound, int threads,
                            const std::function<ExportedProgram(const std::vector<std::string>& in_float)>& quantize) {
  return Search(float_program, samples, bound, threads, quantize).run();
}

}  // namespace intaglio::report
