#include "report/generation.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::report {

int64_t choose_token(std::span<const float> scores, double temperature, std::mt19937_64& random) {
  if (scores.empty() || std::any_of(scores.begin(), scores.end(), [](float score) { return std::isnan(score); }))
    throw_bad_input("the model's scores are not numbers (NaN); look for the layer with `compare`");
  const auto best = std::max_element(scores.begin(), scores.end());
  if (temperature <= 0) return best - scores.begin();
  std::vector<double> cumulative(scores.size());
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) cumulative[i] = sum += std::exp((static_cast<double>(scores[i]) - *best) / temperature);
  // 53 bits: the same on every machine, which the distributions of <random> are not.
  const double drawn = static_cast<double>(random() >> 11) * 0x1p-53 * sum;
  const auto chosen = std::upper_bound(cumulative.begin(), cumulative.end(), drawn);
  return std::min(chosen, cumulative.end() - 1) - cumulative.begin();
}

Generation generate(LanguageModel& model, std::span<const int64_t> prompt, const GenerationOptions& options,
                    const std::function<void(int64_t id)>& take) {
  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); };
  const auto prompt_length = static_cast<int64_t>(prompt.size());
  const auto context = model.context_length();
  if (context && prompt_length >= *context)
    throw_bad_input(fmt::format("{}: the prompt has {} tokens and leaves no room in the model's context of {}; shorten it",
                                escaped(model.file()), prompt_length, *context));
  const int64_t most = context ? std::min(options.max_new_tokens, *context - prompt_length) : options.max_new_tokens;
  std::mt19937_64 random(options.seed);
  std::vector<int64_t> text(prompt.begin(), prompt.end());
  Generation result;
  auto start = Clock::now();
  while (static_cast<int64_t>(result.ids.size()) < most && !result.stopped) {
    const bool first = result.ids.empty();
    const auto given = std::span<const int64_t>(text).subspan(first || !model.has_cache() ? 0 : text.size() - 1);
    const Tensor scores = model.next_scores(given, static_cast<int64_t>(text.size() - given.size()));
    const int64_t id = choose_token(scores.span<float>(), options.temperature, random);
    text.push_back(id);
    result.ids.push_back(id);
    result.stopped = std::find(options.stop_ids.begin(), options.stop_ids.end(), id) != options.stop_ids.end();
    take(id);
    if (!first) continue;
    result.first_token_seconds = seconds_since(start);
    start = Clock::now();
  }
  if (!result.ids.empty()) result.later_seconds = seconds_since(start);
  return result;
}

}  // namespace intaglio::report
