#include "recipes/side_by_side.h"

#include <algorithm>
#include <cmath>

#include <intaglio/interpreter.h>
#include <intaglio/pt2e.h>

#include "quant/metrics.h"
#include "recipes/reference.h"
#include "recipes/run_values.h"

namespace intaglio::recipes {
namespace {

// What one step of every value cannot explain may still be chance on a few outputs; half the power (3 dB) is not.
constexpr double margin_db = 3;
// More than any two float kernels differ on a model that works.
constexpr double enough_db = 60;
// One draw may, by chance, leave an output of few elements where it is.
constexpr uint64_t most_draws = 6;

Tensor as_floats(const Tensor& tensor) { return converted(tensor, DType::float32).contiguous(); }

// Errors as the bound allows them have this root mean square.
double allowed_error(std::span<const float> reference, double bound_db) {
  double squares = 0;
  for (const float value : reference)
    if (std::isfinite(value)) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / static_cast<double>(std::max<size_t>(reference.size(), 1))) * std::pow(10, -bound_db / 20);
}

double share_beyond(std::span<const float> reference, std::span<const float> found, double allowed) {
  size_t count = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const bool is_same = reference[i] == found[i] || (std::isnan(reference[i]) && std::isnan(found[i]));
    count += !is_same && !(std::abs(static_cast<double>(reference[i]) - found[i]) <= allowed);
  }
  return reference.empty() ? 0 : static_cast<double>(count) / static_cast<double>(reference.size());
}

}  // namespace

SideBySide::SideBySide(const ExportedProgram& program, std::vector<Tensor> inputs, int threads)
    : reference_(reference_of(program)),
      inputs_(std::move(inputs)),
      given_(with_literals(program, inputs_)),
      threads_(threads),
      expected_(run_reference(reference_, inputs_, threads)) {}

void SideBySide::run_file(runtime::PteRunner& runner, const runtime::MethodInfo& method) {
  found_ = to_tensors(runner.run(to_run_values(method, given_)));
}

void SideBySide::run_program(ExportedProgram program) {
  to_reference_representation(program);
  found_ = Interpreter(program, {.threads = threads_}).run(inputs_);
}

Distance SideBySide::distance(size_t output) {
  const Tensor expected = as_floats(expected_[output]), found = as_floats(found_[output]);
  const quant::ErrorMetrics metrics = quant::compare(expected.span<float>(), found.span<float>());
  Distance distance = {metrics.sqnr_db, enough_db, metrics.max_abs_error};
  for (uint64_t seed = 0; seed == 0 || (seed < most_draws && distance.is_breach()); ++seed) {
    const Tensor other = as_floats(moved(seed)[output]);
    distance.bound_db = std::min(distance.bound_db, quant::compare(expected.span<float>(), other.span<float>()).sqnr_db - margin_db);
  }
  if (distance.is_breach())
    distance.share = share_beyond(expected.span<float>(), found.span<float>(), allowed_error(expected.span<float>(), distance.bound_db));
  return distance;
}

const std::vector<Tensor>& SideBySide::moved(uint64_t seed) {
  while (moved_.size() <= seed) moved_.push_back(run_one_step_off(reference_, inputs_, moved_.size(), threads_));
  return moved_[seed];
}

}  // namespace intaglio::recipes
