#include "report/accuracy_bound.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "qdq/reader.h"
#include "report/comparison.h"
#include "report/perplexity.h"
#include "report/sensitivity.h"

namespace intaglio::report {
namespace {

using Layers = std::vector<LayerSensitivity>;

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
    Layers channels, in_float;
    for (const LayerSensitivity& layer : rank(result.program))
      if (layer.one_scale) channels.push_back(layer);
    if (channels.empty() || !bound_.is_met(variant({}, channels).after)) {
      in_float = fewest_in_float(channels);
      channels = without(channels, in_float);
      if (!channels.empty() && bound_.is_met(variant(in_float, {}).after)) channels.clear();
    }
    if (!channels.empty()) channels = fewest_channels(channels, in_float);
    result = variant(in_float, channels);
    result.before = before;
    for (const LayerSensitivity& layer : in_float) result.in_float.push_back(describe(layer));
    for (const LayerSensitivity& layer : channels) result.per_channel.push_back(describe(layer));
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

  // Layers by what leaving them in float gives: right answers, where these are what is counted, then dB.
  Layers rank(const ExportedProgram& quantized) const {
    if (std::ranges::none_of(quantized.graph().node_list(), [](const Node* node) { return qdq::is_dequantize(*node); })) return {};
    SensitivityOptions options{.threads = threads_, .alone = false};
    size_t few = 8;  // samples tell the order of the layers
    if (bound_.labels) {
      few = 64;
      int64_t rows = 0;
      for (size_t i = 0; i < std::min(few, expected_.size()); ++i) rows += rows_of(expected_[i]);
      options.labels.emplace(bound_.labels->begin(), bound_.labels->begin() + std::min(rows, std::ssize(*bound_.labels)));
    }
    const auto end = samples_.begin() + static_cast<std::ptrdiff_t>(std::min(few, samples_.size()));
    Layers layers = sensitivity_of(floats_.clone(), quantized.clone(), {samples_.begin(), end}, options).layers;
    std::ranges::stable_sort(layers, std::greater(), [](const LayerSensitivity& layer) { return layer.in_float_top1.value_or(0); });
    return layers;
  }

  // Of the first output.
  static int64_t rows_of(const std::vector<Tensor>& outputs) {
    const bool has_scores = !outputs.empty() && outputs[0].defined() && outputs[0].rank() > 0 && outputs[0].size(-1) > 0;
    return has_scores ? outputs[0].numel() / outputs[0].size(-1) : 0;
  }

  BoundedProgram variant(const Layers& in_float, const Layers& per_channel) {
    LayerChoice choice;
    for (const LayerSensitivity& layer : in_float) choice.in_float.push_back(layer.value);
    for (const LayerSensitivity& layer : per_channel) choice.per_channel.push_back(layer.value);
    ExportedProgram program = quantize_(choice);
    const double loss = loss_of(program);
    return {.program = std::move(program), .choice = std::move(choice), .in_float = {}, .per_channel = {}, .before = 0, .after = loss};
  }

  static Layers without(Layers layers, const Layers& others) {
    std::erase_if(layers, [&](const LayerSensitivity& layer) {
      return std::ranges::find(others, layer.value, &LayerSensitivity::value) != others.end();
    });
    return layers;
  }
  static Layers first_of(const Layers& layers, size_t count) {
    return {layers.begin(), layers.begin() + static_cast<std::ptrdiff_t>(count)};
  }

  static Layers joined(Layers layers, const Layers& others) {
    layers.insert(layers.end(), others.begin(), others.end());
    return layers;
  }

  // What gained least is taken back first, until nothing more can be.
  template <typename IsEnough>
  static Layers pruned(Layers kept, const IsEnough& is_enough) {
    Layers order = kept;
    std::ranges::stable_sort(order, {}, &LayerSensitivity::gained_db);
    for (size_t before = 0; before != kept.size();) {
      before = kept.size();
      for (const LayerSensitivity& layer : order) {
        Layers fewer = without(kept, {layer});
        if (!fewer.empty() && fewer.size() < kept.size() && is_enough(fewer)) kept = std::move(fewer);
      }
    }
    return kept;
  }

  // The best layer of the program as it is by now, again and again; the more that took, the more at a time.
  Layers fewest_in_float(const Layers& channels) {
    const auto with = [&](const Layers& some) { return variant(some, without(channels, some)); };
    const auto is_enough = [&](const Layers& some) { return bound_.is_met(with(some).after); };
    Layers chosen;
    for (BoundedProgram now = with(chosen); !bound_.is_met(now.after); now = with(chosen)) {
      Layers order = without(rank(now.program), chosen);
      std::erase_if(order, [](const LayerSensitivity& layer) { return layer.op == "input"; });
      if (order.empty())
        throw_bad_input(
            fmt::format("the bound of {:.4g} {} cannot be met: with all {} layers in float it is {:.4g} (inputs and what moves "
                        "data stay quantized); allow more, or quantize dynamically",
                        bound_.limit, bound_.unit(), chosen.size(), now.after));
      // The last wrong answers are a matter of chance: of several layers that are as good one may be enough.
      const size_t candidates = std::min<size_t>(order.size(), bound_.labels ? 4 : 1);
      for (size_t i = 0; i < candidates; ++i)
        if (const Layers more = joined(chosen, {order[i]}); is_enough(more)) return pruned(more, is_enough);
      chosen = joined(chosen, first_of(order, std::min(order.size(), 1 + chosen.size() / 2)));
    }
    return pruned(std::move(chosen), is_enough);
  }

  // All of them are enough. Doubling, then halving: more of it only helps, but for single steps.
  Layers fewest_channels(const Layers& order, const Layers& in_float) {
    const auto is_enough = [&](const Layers& some) { return bound_.is_met(variant(in_float, some).after); };
    size_t too_few = 0, enough = 1;
    while (enough < order.size() && !is_enough(first_of(order, enough))) {
      too_few = enough;
      enough = std::min(2 * enough, order.size());
    }
    while (enough - too_few > 1) {
      const size_t middle = too_few + (enough - too_few) / 2;
      (is_enough(first_of(order, middle)) ? enough : too_few) = middle;
    }
    return pruned(first_of(order, enough), is_enough);
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
