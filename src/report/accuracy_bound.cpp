#include "report/accuracy_bound.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "report/comparison.h"
#include "report/perplexity.h"
#include "report/sensitivity.h"

namespace intaglio::report {
namespace {

using Layers = std::vector<const LayerSensitivity*>;

// The tokens of a text in windows, and a language model of each program that is tried.
class TextJudge {
 public:
  TextJudge(const ExportedProgram& floats, const AccuracyBound::Text& text, int threads)
      : floats_(floats), text_(text), threads_(threads), reference_(model_of(floats)) {
    window_ = text.window != 0 ? text.window : reference_.context_length().value_or(0);
    if (window_ == 0) throw_usage("the program does not say how many tokens it looks back to; give --window N");
    if (const auto most = reference_.context_length()) window_ = std::min(window_, *most);
  }

  double loss_of(const ExportedProgram& program) {
    reference_.reset();
    LanguageModel candidate = model_of(program);
    const LanguageComparison found = compare_language_models(reference_, candidate, text_.tokens, window_, [](size_t) {});
    return 100 * (found.candidate_perplexity / found.reference_perplexity - 1);
  }

  // Inputs of calls that start at the beginning of a window: layers are ranked by what they do to the scores of these.
  std::vector<std::vector<Tensor>> samples() const {
    constexpr size_t most = 4;
    std::vector<std::vector<Tensor>> samples;
    const std::span<const int64_t> tokens(text_.tokens);
    for (size_t at = 0; at < tokens.size() && samples.size() < most; at += static_cast<size_t>(window_))
      samples.push_back(reference_.first_call(tokens.subspan(at, std::min(static_cast<size_t>(window_), tokens.size() - at))));
    return samples;
  }

 private:
  LanguageModel model_of(const ExportedProgram& program) const {
    return {Executable::of(program.clone(), {.threads = threads_}), floats_.source};
  }

  const ExportedProgram& floats_;
  const AccuracyBound::Text& text_;
  int threads_;
  LanguageModel reference_;
  int64_t window_ = 0;
};

class Search {
 public:
  Search(const ExportedProgram& floats, const std::vector<std::vector<Tensor>>& samples, const AccuracyBound& bound, int threads,
         const std::function<ExportedProgram(const LayerChoice&)>& quantize)
      : floats_(floats), samples_(samples), bound_(bound), threads_(threads), quantize_(quantize) {
    if (bound.text) {
      text_.emplace(floats, *bound.text, threads);
      samples_ = text_->samples();
      return;
    }
    Interpreter interpreter(floats, {.threads = threads});
    for (const std::vector<Tensor>& inputs : samples_) expected_.push_back(interpreter.run(inputs));
  }

  BoundedProgram run() {
    BoundedProgram result = variant({}, {});
    const double before = result.before = result.after;
    if (bound_.is_met(result.after)) return result;
    const Sensitivity found = rank(result.program);
    Layers channels, in_float;
    for (const LayerSensitivity& layer : found.layers)
      if (layer.one_scale) channels.push_back(&layer);
    Sensitivity later;
    if (!channels.empty() && bound_.is_met(variant({}, channels).after)) {
      channels = fewest(channels, [&](const Layers& some) { return variant({}, some); });
    } else {
      const BoundedProgram start = variant({}, channels);
      later = rank(start.program);
      for (const LayerSensitivity& layer : later.layers)
        if (layer.op != "input") in_float.push_back(&layer);
      in_float = fewest(in_float, [&](const Layers& some) { return variant(some, without(channels, some)); });
      channels = without(channels, in_float);
      if (!channels.empty() && bound_.is_met(variant(in_float, {}).after)) channels.clear();
      if (!channels.empty()) channels = fewest(channels, [&](const Layers& some) { return variant(in_float, some); });
    }
    result = variant(in_float, channels);
    result.before = before;
    for (const LayerSensitivity* layer : in_float) result.in_float.push_back(describe(*layer));
    for (const LayerSensitivity* layer : channels) result.per_channel.push_back(describe(*layer));
    return result;
  }

 private:
  double loss_of(const ExportedProgram& program) {
    if (text_) return text_->loss_of(program);
    Interpreter interpreter(program, {.threads = threads_});
    Comparer comparer(bound_.labels);
    for (size_t i = 0; i < samples_.size(); ++i) comparer.add(expected_[i], interpreter.run(samples_[i]));
    const Comparison found = comparer.result();
    if (bound_.labels) return 100 * (*found.reference_accuracy - *found.candidate_accuracy);
    double worst = HUGE_VAL;
    for (const OutputComparison& output : found.outputs) worst = std::min(worst, output.metrics.sqnr_db);
    return worst;
  }

  Sensitivity rank(const ExportedProgram& quantized) const {
    // A few samples tell the order of the layers.
    constexpr size_t most_samples = 8;
    const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(std::min(most_samples, samples_.size()));
    return sensitivity_of(floats_.clone(), quantized.clone(), {samples_.begin(), end}, threads_, [](size_t) {}, [] {});
  }

  BoundedProgram variant(const Layers& in_float, const Layers& per_channel) {
    LayerChoice choice;
    for (const LayerSensitivity* layer : in_float) choice.in_float.push_back(layer->value);
    for (const LayerSensitivity* layer : per_channel) choice.per_channel.push_back(layer->value);
    ExportedProgram program = quantize_(choice);
    const double loss = loss_of(program);
    return {.program = std::move(program), .choice = std::move(choice), .in_float = {}, .per_channel = {}, .before = 0, .after = loss};
  }

  static Layers without(const Layers& layers, const Layers& others) {
    Layers rest;
    for (const LayerSensitivity* layer : layers)
      if (std::ranges::none_of(others, [&](const LayerSensitivity* other) { return other->value == layer->value; })) rest.push_back(layer);
    return rest;
  }
  static Layers first_of(const Layers& layers, size_t count) {
    return {layers.begin(), layers.begin() + static_cast<std::ptrdiff_t>(count)};
  }

  // Doubling, then halving: more of it only helps, but for single steps. Then what gained least is taken back.
  template <typename Try>
  Layers fewest(const Layers& order, const Try& variant_with) const {
    const auto is_enough = [&](const Layers& some) { return bound_.is_met(variant_with(some).after); };
    size_t too_few = 0, enough = std::min<size_t>(1, order.size());
    for (;; enough = std::min(2 * enough, order.size())) {
      const double found = variant_with(first_of(order, enough)).after;
      if (bound_.is_met(found)) break;
      if (enough >= order.size())
        throw_bad_input(
            fmt::format("the bound of {:.4g} {} cannot be met: with all {} layers in float it is {:.4g} (inputs and what moves "
                        "data stay quantized); allow more, or quantize dynamically",
                        bound_.limit, bound_.unit(), order.size(), found));
      too_few = enough;
    }
    while (enough - too_few > 1) {
      const size_t middle = too_few + (enough - too_few) / 2;
      (is_enough(first_of(order, middle)) ? enough : too_few) = middle;
    }
    Layers kept = first_of(order, enough);
    for (size_t i = kept.size(); i-- > 0 && kept.size() > 1;) {
      Layers fewer = kept;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (is_enough(fewer)) kept = std::move(fewer);
    }
    return kept;
  }

  static std::string describe(const LayerSensitivity& layer) {
    return fmt::format("{} ({})", layer.layer.empty() ? layer.value : layer.layer, layer.op);
  }

  const ExportedProgram& floats_;
  std::vector<std::vector<Tensor>> samples_;
  const AccuracyBound& bound_;
  int threads_;
  const std::function<ExportedProgram(const LayerChoice&)>& quantize_;
  std::optional<TextJudge> text_;
  std::vector<std::vector<Tensor>> expected_;
};

}  // namespace

BoundedProgram within_bound(const ExportedProgram& float_program, const std::vector<std::vector<Tensor>>& samples,
                            const AccuracyBound& bound, int threads, const std::function<ExportedProgram(const LayerChoice&)>& quantize) {
  return Search(float_program, samples, bound, threads, quantize).run();
}

}  // namespace intaglio::report
