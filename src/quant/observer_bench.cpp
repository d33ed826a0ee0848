// Cost of calibration: nanoseconds per observed element, and per search when parameters are decided.
#include <benchmark/benchmark.h>

#include <cmath>
#include <random>
#include <vector>

#include "quant/histogram.h"
#include "quant/kernels/kernels.h"

namespace intaglio::quant {
namespace {

// What a convolution gives (bell-shaped) or, cut off below, what follows a relu6: half of it one value.
std::vector<float> activations(size_t count, bool relu, unsigned seed = 1) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0f, 1.0f);
  std::vector<float> values(count);
  for (float& value : values) {
    value = normal(generator);
    if (relu) value = std::min(std::max(value, 0.0f), 6.0f);
  }
  return values;
}

void per_element(benchmark::State& state, size_t count) {
  state.counters["ns/element"] =
      benchmark::Counter(static_cast<double>(count) * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

const Kernels* kernels_of(benchmark::State& state) {
  const auto sets = available_kernels();
  const size_t index = static_cast<size_t>(state.range(2));
  if (index >= sets.size()) {
    state.SkipWithError("this processor lacks the instructions");
    return nullptr;
  }
  state.SetLabel(sets[index]->name);
  return sets[index];
}

void min_max(benchmark::State& state) {
  const Kernels* set = kernels_of(state);
  if (!set) return;
  const std::vector<float> x = activations(state.range(0), state.range(1));
  for (auto _ : state) benchmark::DoNotOptimize(set->min_max(x.data(), x.size()));
  per_element(state, x.size());
}
BENCHMARK(min_max)->ArgsProduct({{12544 * 24, 12544 * 96}, {0}, {0, 1, 2}});

void count_bins(benchmark::State& state) {
  const Kernels* set = kernels_of(state);
  if (!set) return;
  const std::vector<float> x = activations(state.range(0), state.range(1));
  const MinMax range = set->min_max(x.data(), x.size());
  std::vector<uint32_t> counts(histogram_bins);
  for (auto _ : state) { benchmark::DoNotOptimize(set->count_bins(x.data(), x.size(), range.min, range.max, counts.data())); }
  per_element(state, x.size());
}
BENCHMARK(count_bins)->ArgsProduct({{7840, 12544 * 24, 12544 * 96}, {0, 1}, {0, 1, 2}});

void observe(benchmark::State& state) {
  const std::vector<float> x = activations(state.range(0), state.range(1));
  Histogram histogram;
  for (auto _ : state) histogram.observe(x);
  per_element(state, x.size());
}
BENCHMARK(observe)->ArgsProduct({{7840, 12544 * 24, 12544 * 96}, {0, 1}});

void widen(benchmark::State& state) {
  const std::vector<float> x = activations(12544 * 24, false);
  Histogram histogram;
  histogram.observe(x);
  const Range range = histogram.range();
  for (auto _ : state) benchmark::DoNotOptimize(widened(histogram.counts(), range, {range.min - 0.5f, range.max}));
}
BENCHMARK(widen);

void search(benchmark::State& state) {
  Histogram histogram;
  for (unsigned seed = 0; seed < 2; ++seed) histogram.observe(activations(12544 * 24, state.range(0), seed));
  for (auto _ : state) benchmark::DoNotOptimize(histogram.search(256));
}
BENCHMARK(search)->Arg(0)->Arg(1);

void quantization_error(benchmark::State& state) {
  Histogram histogram;
  histogram.observe(activations(12544 * 24, false));
  for (auto _ : state) benchmark::DoNotOptimize(histogram.quantization_error(100, 1900, 256));
}
BENCHMARK(quantization_error);

}  // namespace
}  // namespace intaglio::quant
