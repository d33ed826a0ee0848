#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "base/thread_limit.h"
#include "pt2e/passes.h"
#include "pt2e/prepared.h"
#include "pt2e/reference_representation.h"
#include "pt2e/steps.h"
#include "pt2e/uncalibrated.h"

namespace intaglio {

using namespace pt2e;
namespace {

// Nothing is quantized on guesses: every static group has seen values, and they were finite.
void check_ranges(const PreparedProgram::State& state) {
  ConstantValues known(state.program, is_pure, Creations::constant);
  for (const Insertion& insertion : state.insertions.items) {
    if (!has_static_params(state, insertion)) continue;
    if (!is_calibrated(state, insertion.group)) {
      if (state.options.compat == Compat::torchao) {
        state.warn(Warning::at(place_of(insertion), "never observed; its scale is 1", true));
        continue;
      }
      const Observer* observer = state.groups[insertion.group].observer.get();
      if (observer != nullptr && observer->statistics().calls > 0)
        throw_bad_input(
            place_of(insertion) +
            ": every value that was observed is infinite, so it has no scale; check the calibration data and the weights before it");
      throw_bad_input(place_of(insertion) + ": never observed, so it has no scale; run at least one calibration sample first");
    }
    const ObservedGroup& group = state.groups[insertion.group];
    if (group.decided || group.observer == nullptr) continue;
    const ObservedStatistics statistics = group.observer->statistics();
    if (statistics.infinite > 0)
      state.warn(Warning::at(
          place_of(insertion),
          fmt::format("{} of its values were infinite, which its range leaves out; they become its ends", statistics.infinite)));
    bool constant = !statistics.min.empty();
    for (size_t i = 0; i < statistics.min.size(); ++i) {
      if (!std::isfinite(statistics.min[i]) || !std::isfinite(statistics.max[i]))
        throw_bad_input(
            fmt::format("{}: its observed range is [{}, {}]; a finite range is needed, check the calibration data and the weights",
                        place_of(insertion), statistics.min[i], statistics.max[i]));
      constant = constant && statistics.min[i] == statistics.max[i];
    }
    if (constant && insertion.value->producer() != nullptr && !known.is_constant(insertion.value))
      state.warn(Warning::at(place_of(insertion), fmt::format("it was {} in every sample; the calibration data may not exercise this layer",
                                                              statistics.min.front())));
  }
}

ExportedProgram converted(PreparedProgram::State& state, const ConvertOptions& options) {
  const ThreadLimit limit(state.options.threads);
  state.interpreter.reset();  // it refers to the float graph
  state.program.add_at_once([&] { insert_quantize_nodes(state); });
  verify(state.program);
  // After the nodes are in place, so that weights that several layers share fold once.
  if (options.fold_quantize)
    state.program.add_at_once(
        [&] { fold_quantize(state.program, state.options.compat == Compat::torchao ? Creations::unknown : Creations::constant); });
  if (options.use_reference_representation) to_reference_representation(state.program, state.options.compat);
  verify(state.program);
  return std::move(state.program);
}

}  // namespace

ExportedProgram convert_pt2e(PreparedProgram prepared, const ConvertOptions& options) {
  PreparedProgram::State& state = prepared.internal();
  observe_without_samples(state);
  check_ranges(state);
  warn_of_lost_tensors(state);
  // torchao decides each scale by itself, and integer kernels wrap.
  if (state.options.compat == Compat::intaglio) keep_sums_in_int32(state);
  return converted(state, options);
}

void to_reference_representation(ExportedProgram& converted, Compat compat) {
  compat == Compat::torchao ? write_torchao_reference(converted) : write_reference(converted);
}

const Annotations& pt2e::annotations_of(const PreparedProgram& prepared) { return prepared.internal().annotations; }

ExportedProgram pt2e::convert_uncalibrated(PreparedProgram prepared) {
  PreparedProgram::State& state = prepared.internal();
  observe_known_values(state);
  return converted(state, {});
}

}  // namespace intaglio
