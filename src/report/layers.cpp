#include "report/layers.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "pt2e/passes.h"
#include "qdq/patterns.h"
#include "qdq/reader.h"
#include "quant/affine.h"
#include "recipes/probes.h"
#include "report/deployment.h"

namespace intaglio::report {
namespace {

using Values = std::vector<Tensor>;  // by pair

bool is_small_integer(DType dtype) { return dtype == DType::int8 || dtype == DType::uint8; }

// The parameters that a value is quantized with when it is read next; a quantized value's own where `value` holds integers.
std::optional<QuantParams> params_of_readers(const ExportedProgram& program, const Value* value) {
  for (const Node* user : value->users()) {
    const bool fits = is_small_integer(value->dtype()) ? qdq::is_dequantize(*user) : qdq::is_quantize(*user);
    if (!fits) continue;
    if (auto params = qdq::params_of(program, *user); params && params->is_per_tensor() && !params->code_book) return params;
  }
  return std::nullopt;
}

// What a fused activation lets through of a value: its integers need not hold the rest.
qdq::Bounds bounds_of_reader(const Value* value) {
  constexpr qdq::Bounds all{-HUGE_VALF, HUGE_VALF};
  if (!value->has_one_user()) return all;
  const Node& user = *value->users().front();
  if (qdq::is_quantize(user) || qdq::is_dequantize(user)) return bounds_of_reader(user.output());
  return qdq::clamp_bounds(user).value_or(all);
}

}  // namespace

struct LayerPair {
  const Value *reference, *candidate;
  std::optional<QuantParams> params;
  qdq::Bounds read;
  bool integers = false;
  quant::ErrorAccumulator errors;
  int64_t count = 0, clipped = 0, differing = 0, most_steps = 0;
  double low = HUGE_VAL, high = -HUGE_VAL;

  void add(const Tensor& reference_tensor, const Tensor& candidate_tensor) {
    if (reference_tensor.sizes() != candidate_tensor.sizes()) return;
    Tensor a = reference_tensor.contiguous(), b = candidate_tensor.contiguous();
    if (integers) add_steps(a, b);
    if (is_small_integer(a.dtype())) a = quant::dequantize(a, *params);
    if (is_small_integer(b.dtype())) b = quant::dequantize(b, *params);
    a = converted(a, DType::float32);
    b = converted(b, DType::float32);
    errors.add(a.span<float>(), b.span<float>());
    count += a.numel();
    if (params) add_range(a.span<float>());
  }

 private:
  void add_steps(const Tensor& a, const Tensor& b) {
    const Tensor x = converted(a, DType::int64), y = converted(b, DType::int64);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t steps = std::abs(x.data<int64_t>()[i] - y.data<int64_t>()[i]);
      differing += steps != 0;
      most_steps = std::max(most_steps, steps);
    }
  }

  void add_range(std::span<const float> values) {
    const double scale = params->scale[0], zero_point = static_cast<double>(params->zero_point[0]);
    const double smallest = (static_cast<double>(params->quant_min) - zero_point - 0.5) * scale;
    const double biggest = (static_cast<double>(params->quant_max) - zero_point + 0.5) * scale;
    for (const float given : values) {
      const float value = std::clamp(given, read.min, read.max);
      clipped += value < smallest || value > biggest;
      low = std::min<double>(low, value);
      high = std::max<double>(high, value);
    }
  }
};

namespace {

bool is_comparable(const Value* value) {
  return value->producer() != nullptr && value->is_tensor() && (is_floating(value->dtype()) || is_small_integer(value->dtype()));
}

// A quantized tensor counts as one value, and what stands for it in float as the same one.
bool is_restated(const Value* value) { return qdq::is_dequantize(*value->producer()); }

std::vector<LayerPair> pairs_of(const ExportedProgram& reference, const ExportedProgram& candidate) {
  std::vector<LayerPair> pairs;
  for (const Node* node : candidate.graph().node_list())
    for (const Value* value : node->outputs()) {
      if (!is_comparable(value) || is_restated(value)) continue;
      const Value* other = reference.graph().find_value(value->name());
      if (other == nullptr || !is_comparable(other) || other->sizes() != value->sizes() || is_restated(other)) continue;
      const bool a = is_small_integer(other->dtype()), b = is_small_integer(value->dtype());
      auto params = params_of_readers(candidate, value);
      if (!params) params = params_of_readers(reference, other);
      if ((a || b) && !params) continue;
      if (a != b) continue;
      const qdq::Bounds read = bounds_of_reader(other);
      pairs.push_back(
          {.reference = other, .candidate = value, .params = std::move(params), .read = read, .integers = a && b, .errors = {}});
    }
  return pairs;
}

Values run_watching(Interpreter& interpreter, const std::vector<Tensor>& inputs, const std::vector<const Value*>& watched) {
  std::unordered_map<const Value*, size_t> places;
  for (size_t i = 0; i < watched.size(); ++i) places.emplace(watched[i], i);
  Values values(watched.size());
  const ValueHook keep = [&](const Value* value, const Tensor& tensor) -> std::optional<Tensor> {
    if (const auto place = places.find(value); place != places.end()) values[place->second] = tensor.clone();
    return std::nullopt;
  };
  interpreter.run(inputs, keep, &watched);
  return values;
}

}  // namespace

struct LayerComparer::Impl {
  Impl(ExportedProgram reference_program, ExportedProgram candidate_program, const Options& options)
      : reference(std::move(reference_program)), candidate(std::move(candidate_program)) {
    pt2e::fold_batch_norm(reference, Compat::intaglio);
    pt2e::fold_batch_norm(candidate, Compat::intaglio);
    pairs = pairs_of(reference, candidate);
    if (options.deployed) keep_points();
    if (pairs.empty())
      throw_bad_input(fmt::format(
          "{} and {} have no value in common: layers are matched by the names of their values, which quantizing a program keeps",
          escaped(reference.source), escaped(candidate.source)));
    for (const LayerPair& pair : pairs) {
      of_reference.push_back(pair.reference);
      of_candidate.push_back(pair.candidate);
    }
    reference_runner.emplace(reference, InterpreterOptions{.threads = options.threads});
    if (!options.deployed) candidate_runner.emplace(candidate, InterpreterOptions{.threads = options.threads});
    else deployed = std::make_unique<Deployment>(recipes::with_probes(candidate, points), options.threads, options.timeout);
  }

  // A value from inside a chain of integers, asked for in float, would part the chain. A float program has what a point quantizes, and
  // not its integers.
  void keep_points() {
    std::unordered_map<const Value*, LayerPair*> by_value;
    for (LayerPair& pair : pairs) by_value.emplace(pair.candidate, &pair);
    points = recipes::probe_points(candidate);
    std::vector<LayerPair> kept;
    std::vector<const Node*> kept_points;
    for (const Node* point : points) {
      const qdq::OpRow* row = qdq::find(*point);
      auto pair = by_value.find(point->output());
      if (pair == by_value.end() && row && row->role == qdq::Role::quantize) pair = by_value.find(point->tensor(row->places.input));
      if (pair == by_value.end()) continue;
      kept.push_back(std::move(*pair->second));
      kept_points.push_back(point);
      by_value.erase(pair);
    }
    pairs = std::move(kept);
    points = std::move(kept_points);
  }

  Values candidate_values(const std::vector<Tensor>& inputs) {
    if (candidate_runner) return run_watching(*candidate_runner, inputs, of_candidate);
    const std::vector<Tensor> outputs = deployed->run(inputs);
    Values values(outputs.end() - static_cast<std::ptrdiff_t>(pairs.size()), outputs.end());
    for (size_t i = 0; i < values.size(); ++i)
      if (pairs[i].integers) values[i] = quant::quantize(values[i], *pairs[i].params);
    return values;
  }

  ExportedProgram reference, candidate;
  std::vector<LayerPair> pairs;
  std::vector<const Node*> points;
  std::vector<const Value*> of_reference, of_candidate;
  std::optional<Interpreter> reference_runner, candidate_runner;
  std::unique_ptr<Deployment> deployed;
};

LayerComparer::LayerComparer(ExportedProgram reference, ExportedProgram candidate, const Options& options)
    : impl_(std::make_unique<Impl>(std::move(reference), std::move(candidate), options)) {}
LayerComparer::~LayerComparer() = default;

void LayerComparer::add(const std::vector<Tensor>& inputs) {
  const Values expected = run_watching(*impl_->reference_runner, inputs, impl_->of_reference);
  const Values found = impl_->candidate_values(inputs);
  for (size_t i = 0; i < impl_->pairs.size(); ++i)
    if (expected[i].defined() && found[i].defined()) impl_->pairs[i].add(expected[i], found[i]);
}

std::vector<LayerDifference> LayerComparer::result() const {
  std::vector<LayerDifference> rows;
  for (const LayerPair& pair : impl_->pairs) {
    const Node* maker = pair.reference->producer();  // what it computes, in the words of the model
    if (const qdq::OpRow* row = qdq::find(*maker); row && row->role == qdq::Role::quantize) {
      const Node* quantized = maker->tensor(row->places.input)->producer();
      if (quantized != nullptr) maker = quantized;
    }
    LayerDifference row = {.value = pair.candidate->name(),
                           .op = std::string(maker->op().name()),
                           .layer = layer_name(*maker),
                           .source = source_line(*maker),
                           .metrics = pair.errors.metrics(),
                           .clipped = {},
                           .range_used = {},
                           .differing = {}};
    const double count = static_cast<double>(std::max<int64_t>(pair.count, 1));
    if (pair.params && pair.count > 0) {
      const double range = pair.params->scale[0] * static_cast<double>(pair.params->quant_max - pair.params->quant_min);
      row.clipped = static_cast<double>(pair.clipped) / count;
      row.range_used = range > 0 ? std::clamp((pair.high - pair.low) / range, 0.0, 1.0) : 0;
    }
    if (pair.integers) row.differing = static_cast<double>(pair.differing) / count;
    row.most_steps = pair.most_steps;
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace intaglio::report
