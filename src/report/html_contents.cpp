#include "report/html_contents.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "base/number_text.h"
#include "base/threads.h"
#include "qdq/op_table.h"
#include "qdq/patterns.h"
#include "quant/affine.h"
#include "quant/range.h"
#include "report/explanation.h"
#include "report/html_text.h"

namespace intaglio::report {
namespace {

constexpr size_t most_activations = 300, most_weights = 100;
// Multiply-accumulates that a report may add to a build, some seconds: of values side by side, and of layers one by one.
constexpr uint64_t most_comparison_work = 200'000'000'000, most_sensitivity_work = 100'000'000'000;
constexpr uint64_t work_of_a_call = 20'000;  // what calling a kernel costs beside what it computes

// What fails here is told and leaves the rest as it is.
template <typename Body>
void told(std::string& note, const char* what, Body body) {
  try {
    body();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) throw;
    note += fmt::format(" {}: {}.", what, error.what());
  }
}

// A clamp behind an integer layer, before its result is quantized, is a part of it.
bool is_clamp_of_integers(const ExportedProgram& program, const Node& node) {
  const std::vector<Value*> inputs = node.inputs();
  return qdq::clamp_bounds(node) && inputs.size() == 1 && inputs[0]->has_one_user() && inputs[0]->producer() != nullptr &&
         is_quantized(program, *inputs[0]->producer());
}

OpRow row_of(const ExportedProgram& program, const Node& node, std::string delegate, std::string rule) {
  return {node.name(),
          std::string(node.op().name()),
          layer_name(node),
          source_line(node),
          is_quantized(program, node) || is_clamp_of_integers(program, node),
          std::move(delegate),
          std::move(rule),
          work_of(program, node)};
}

void sort_by_module(std::vector<OpRow>& ops, const ModuleOrder& order) {
  const auto place = [&](const OpRow& row) {
    const auto found = order.find(row.layer);
    return found == order.end() ? std::numeric_limits<size_t>::max() : found->second;
  };
  std::ranges::stable_sort(ops, {}, place);
}

void add_shares(Page& page, bool is_lowered) {
  uint64_t all = 0, quantized = 0, delegated = 0;
  for (const OpRow& row : page.ops) {
    all = saturating_add(all, row.work.amount);
    if (row.quantized) quantized = saturating_add(quantized, row.work.amount);
    if (!row.delegate.empty()) delegated = saturating_add(delegated, row.work.amount);
  }
  const auto add = [&](const char* what, uint64_t part) {
    const double share = all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
    page.facts.push_back({what, percent_text(share), share});
  };
  add("of the work quantized", quantized);
  if (is_lowered) add("of the work delegated", delegated);
}

// ------------------------------------------------------------------------------------------------------------ histograms

// The range of what integers can stand for, over all blocks.
std::optional<std::pair<double, double>> range_of(const QuantParams& params) {
  if (params.code_book || params.scale.empty() || params.zero_point.empty()) return std::nullopt;
  double low = HUGE_VAL, high = -HUGE_VAL;
  for (size_t i = 0; i < params.scale.size(); ++i) {
    const auto zero_point = static_cast<double>(params.zero_point[std::min(i, params.zero_point.size() - 1)]);
    low = std::min(low, (static_cast<double>(params.quant_min) - zero_point) * params.scale[i]);
    high = std::max(high, (static_cast<double>(params.quant_max) - zero_point) * params.scale[i]);
  }
  return std::pair(low, high);
}

std::string storage_text(const QuantParams& params) {
  const char* parameters = params.code_book          ? "a code book"
                           : params.is_per_tensor()  ? "one scale"
                           : params.is_per_channel() ? "a scale per channel"
                                                     : "a scale per group";
  return fmt::format("{}, {}", name(params.dtype), parameters);
}

std::vector<double> fewer_bins(const std::vector<float>& counts) {
  std::vector<double> bins(std::min(counts.size(), ValueHistogram::most_bins));
  for (size_t i = 0; i < counts.size(); ++i) bins[i * bins.size() / counts.size()] += counts[i];
  return bins;
}

ValueHistogram histogram_of(const PlanEntry& entry) {
  ValueHistogram result{entry.tensor, entry.layer, fmt::format("{}, {}", entry.observer, storage_text(entry.qparams)), {}, 0, 0, {}};
  result.counts = fewer_bins(entry.statistics.histogram);
  if (!entry.statistics.min.empty()) result.min = *std::ranges::min_element(entry.statistics.min);
  if (!entry.statistics.max.empty()) result.max = *std::ranges::max_element(entry.statistics.max);
  result.chosen = range_of(entry.qparams);
  return result;
}

void count(std::span<const float> values, ValueHistogram& histogram) {
  float low = HUGE_VALF, high = -HUGE_VALF;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (!(low <= high)) return;
  histogram.min = low;
  histogram.max = high;
  histogram.counts.assign(ValueHistogram::most_bins, 0);
  const double step = (histogram.max - histogram.min) / ValueHistogram::most_bins;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const double bin = step > 0 ? (value - histogram.min) / step : 0;
    ++histogram.counts[std::min(static_cast<size_t>(bin), ValueHistogram::most_bins - 1)];
  }
}

struct HeldWeight {
  const Value* value = nullptr;
  const Node* reader = nullptr;
  const Tensor* tensor = nullptr;
  std::optional<QuantParams> params;  // of integers
};

// Vectors (biases, norms) are left out.
std::vector<HeldWeight> weights_of(const ExportedProgram& program) {
  std::vector<HeldWeight> weights;
  std::unordered_set<const Value*> seen;
  for (const Node* node : program.graph().node_list()) {
    if (qdq::find(*node)) continue;
    for (const Value* value : node->inputs()) {
      if (!value->is_tensor()) continue;
      const auto read = qdq::dequantized(program, value);
      const Value* stored = read ? read->source : value;
      const Tensor* tensor = program.constant(stored);
      if (tensor == nullptr || tensor->sizes().size() < 2 || (!read && !is_floating(tensor->dtype())) || !seen.insert(stored).second)
        continue;
      weights.push_back({stored, node, tensor, read ? std::optional(read->params) : std::nullopt});
    }
  }
  std::ranges::stable_sort(weights, std::greater(), [](const HeldWeight& weight) { return weight.tensor->numel(); });
  return weights;
}

ValueHistogram histogram_of(const ExportedProgram& program, const HeldWeight& weight) {
  const std::string* target = program.target_of(weight.value);
  ValueHistogram result{target ? *target : weight.value->name(), layer_name(*weight.reader), "", {}, 0, 0, {}};
  result.about = weight.params ? storage_text(*weight.params) : std::string(name(weight.tensor->dtype()));
  std::string failure;
  told(failure, "not counted", [&] {
    const Tensor floats = weight.params ? quant::dequantize(*weight.tensor, *weight.params) : *weight.tensor;
    count(quant::FloatElements(floats).values(), result);
  });
  result.about += failure;
  if (weight.params) result.chosen = range_of(*weight.params);
  return result;
}

std::string shown_of(size_t shown, size_t all, const char* which) {
  return all == shown ? fmt::format("{} tensors.", all) : fmt::format("{} of {} tensors, {}.", shown, all, which);
}

// --------------------------------------------------------------------------------------------------------------- errors

// How many of the samples fit into this much work; 0: not one.
size_t affordable(size_t samples, uint64_t work_of_one, uint64_t limit) {
  return work_of_one == 0 ? samples : static_cast<size_t>(std::min<uint64_t>(samples, limit / work_of_one));
}

uint64_t sensitivity_work(const ExportedProgram& quantized) {
  const std::vector<Node*> nodes = quantized.graph().node_list();
  const auto layers = static_cast<uint64_t>(std::ranges::count_if(nodes, [](const Node* node) { return qdq::is_quantize(*node); }));
  const uint64_t once = saturating_add(total_work(quantized), nodes.size() * work_of_a_call);
  return layers != 0 && once > std::numeric_limits<uint64_t>::max() / layers ? std::numeric_limits<uint64_t>::max() : once * layers;
}

}  // namespace

ModuleOrder module_order(const ExportedProgram& program) {
  ModuleOrder order;
  for (const Node* node : program.graph().node_list()) order.emplace(layer_name(*node), order.size());
  return order;
}

void add_operators(Page& page, const EdgeMethod& method, const ModuleOrder& order) {
  size_t inside = 0;
  for (const Delegate& delegate : method.delegates) {
    if (!delegate.program) continue;
    for (const Node* node : delegate.program->graph().node_list()) {
      if (qdq::find(*node)) continue;
      page.ops.push_back(row_of(*delegate.program, *node, delegate.backend_id, ""));
      ++inside;
    }
  }
  std::unordered_map<std::string_view, const Node*> by_name;
  for (const Node* node : method.program.graph().node_list()) by_name.emplace(node->name(), node);
  for (const LeftoverOp& op : method.leftovers)
    if (const auto node = by_name.find(op.node); node != by_name.end())
      page.ops.push_back(row_of(method.program, *node->second, "", op.rule));
  page.ops_note = fmt::format("The lowered program: {} operators in {} delegate{}, {} outside.", inside, method.delegates.size(),
                              method.delegates.size() == 1 ? "" : "s", page.ops.size() - inside);
  sort_by_module(page.ops, order);
  add_shares(page, true);
}

void add_operators(Page& page, const ExportedProgram& program, const PartitionerList& partitioners, int threads) {
  std::string failure;
  told(failure, "The program cannot be lowered", [&] {
    const EdgeProgram edge = to_edge_transform_and_lower(program.clone(), partitioners, {.threads = threads});
    add_operators(page, edge.methods.at(0), module_order(program));
  });
  if (failure.empty()) return;
  page.ops.clear();
  for (const Node* node : program.graph().node_list())
    if (!qdq::find(*node)) page.ops.push_back(row_of(program, *node, "", ""));
  page.ops_note = "What is delegated is not known." + failure;
  add_shares(page, false);
}

void add_histograms(Page& page, const Plan& plan, const ExportedProgram& program, int threads) {
  std::unordered_map<std::string_view, double> errors;
  for (const LayerDifference& row : page.errors) errors.emplace(row.value, row.metrics.sqnr_db);
  const auto rank = [&](const PlanEntry* entry) {
    const auto found = errors.find(entry->tensor);
    return found == errors.end() ? HUGE_VAL : found->second;
  };
  std::vector<const PlanEntry*> activations;
  for (const PlanEntry& entry : plan.entries) {
    const Value* value = program.graph().find_value(entry.tensor);  // weights have gone, or are constants
    if (value != nullptr && !program.is_constant(value)) activations.push_back(&entry);
  }
  std::ranges::stable_sort(activations, {}, rank);
  const size_t shown = std::min(activations.size(), most_activations);
  for (size_t i = 0; i < shown; ++i) page.activations.push_back(histogram_of(*activations[i]));
  page.activations_note =
      activations.empty()
          ? "No ranges of activations were chosen beforehand."
          : "Bars: the square root of how often each value was seen in calibration. Shaded: the range that its integers cover. " +
                shown_of(shown, activations.size(), "those with the largest errors");

  const std::vector<HeldWeight> weights = weights_of(program);
  page.weights.resize(std::min(weights.size(), most_weights));
  parallel_for(page.weights.size(), threads, [&](size_t i) { page.weights[i] = histogram_of(program, weights[i]); });
  page.weights_note = shown_of(page.weights.size(), weights.size(), "the largest");
}

void add_errors(Page& page, const ExportedProgram& floats, const ExportedProgram& quantized, size_t samples, const SampleLoader& load,
                const ErrorOptions& options) {
  told(page.errors_note, "Values were not compared", [&] {
    ExportedProgram candidate = quantized.clone();
    if (options.numerics == Numerics::reference) to_reference_representation(candidate);
    LayerComparer comparer(floats.clone(), std::move(candidate),
                           {.threads = options.threads, .deployed = options.numerics == Numerics::integer, .timeout = options.timeout});
    for (size_t i = 0; i < samples; ++i) comparer.add(load(i));
    page.errors = comparer.result();
    page.errors_note +=
        fmt::format(" {} values against the float program's, over {} sample{}.", page.errors.size(), samples, samples == 1 ? "" : "s");
  });
  std::vector<std::vector<Tensor>> inputs(affordable(samples, sensitivity_work(quantized), most_sensitivity_work));
  if (inputs.empty()) {
    page.errors_note +=
        " What each layer costs takes long to find out for this program: `intaglio compare --sensitivity` does. Sorted by SQNR.";
    return;
  }
  told(page.errors_note, "What each layer costs is not known", [&] {
    for (size_t i = 0; i < inputs.size(); ++i) inputs[i] = load(i);
    page.sensitivity = sensitivity_of(floats.clone(), quantized.clone(), inputs, {.threads = options.threads});
    page.errors_note += fmt::format(
        " Sorted by what the output gains when the layer is left in float ({} for the whole quantized program, over {} sample{}); layers "
        "without a number are not quantized by themselves.",
        decibel_text(page.sensitivity->quantized_db), inputs.size(), inputs.size() == 1 ? "" : "s");
  });
}

void add_outputs(Page& page, const Comparison& comparison) {
  constexpr size_t most_outputs = 4;
  for (size_t i = 0; i < std::min(comparison.outputs.size(), most_outputs); ++i) {
    const OutputComparison& output = comparison.outputs[i];
    page.facts.push_back(
        {fmt::format("SQNR of arr_{} against the reference", output.index), decibel_text(output.metrics.sqnr_db), output.metrics.sqnr_db});
  }
  const auto share = [&](const char* what, const std::optional<double>& value) {
    if (value) page.facts.push_back({what, percent_text(*value), *value});
  };
  share("top-1 agreement", comparison.top1_agreement);
  share("top-1 accuracy of the reference", comparison.reference_accuracy);
  share("top-1 accuracy of the candidate", comparison.candidate_accuracy);
  share("top-5 accuracy of the reference", comparison.reference_top5);
  share("top-5 accuracy of the candidate", comparison.candidate_top5);
}

size_t samples_for_report(const ExportedProgram& program, size_t samples) {
  constexpr size_t most_samples = 8;
  return std::min(samples, std::max<size_t>(1, affordable(most_samples, total_work(program), most_comparison_work)));
}

void add_memory(Page& page, const std::filesystem::path& pte) {
  page.memory = read_pte_contents(MappedFile::open(pte)->bytes()).methods;
  page.memory_note = "What the runtime plans outside delegates; a delegate's own memory is not in it.";
}

}  // namespace intaglio::report
