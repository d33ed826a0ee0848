#include "report/perplexity.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "quant/metrics.h"

namespace intaglio::report {
namespace {

constexpr int64_t most_scores = 16 << 20;  // held at a time

// Log of the sum of exponentials.
double normalizer_of(std::span<const float> scores) {
  const double best = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (const float score : scores) sum += std::exp(static_cast<double>(score) - best);
  return best + std::log(sum);
}

struct Sums {
  size_t tokens = 0, agreeing = 0;
  double reference_loss = 0, candidate_loss = 0, kl = 0;

  void add(std::span<const float> expected, std::span<const float> found, size_t next) {
    const double expected_normalizer = normalizer_of(expected), found_normalizer = normalizer_of(found);
    reference_loss += expected_normalizer - static_cast<double>(expected[next]);
    candidate_loss += found_normalizer - static_cast<double>(found[next]);
    for (size_t i = 0; i < expected.size(); ++i) {
      const double log_p = static_cast<double>(expected[i]) - expected_normalizer;
      const double p = std::exp(log_p);
      if (p > 0) kl += p * (log_p - static_cast<double>(found[i]) + found_normalizer);
    }
    agreeing += quant::top1(expected) == quant::top1(found);
    ++tokens;
  }
};

}  // namespace

LanguageComparison compare_language_models(LanguageModel& reference, LanguageModel& candidate, std::span<const int64_t> text,
                                           int64_t window, const std::function<void(size_t tokens)>& advance) {
  if (text.size() < 2) throw_bad_input(fmt::format("the text has {} tokens; two are the least from which one is predicted", text.size()));
  if (window < 2) throw_usage(fmt::format("a window of {} tokens predicts none; take two or more", window));
  Sums sums;
  LanguageComparison result;
  const bool cached = reference.has_cache() && candidate.has_cache();
  for (size_t start = 0; start + 1 < text.size(); start += static_cast<size_t>(window)) {
    const auto tokens = text.subspan(start, std::min(static_cast<size_t>(window), text.size() - start));
    if (tokens.size() < 2) break;
    if (result.windows++ > 0)
      for (LanguageModel* model : {&reference, &candidate}) model->reset();
    const int64_t width = std::max<int64_t>(reference.vocab_size().value_or(1), 1);
    const size_t step = cached ? static_cast<size_t>(std::max<int64_t>(most_scores / width, 1)) : tokens.size();
    for (size_t at = 0; at + 1 < tokens.size(); at += step) {
      const auto part = tokens.subspan(at, std::min(step, tokens.size() - at));
      const Tensor expected = reference.all_scores(part, static_cast<int64_t>(at));
      const Tensor found = candidate.all_scores(part, static_cast<int64_t>(at));
      if (expected.sizes() != found.sizes())
        throw_bad_input(fmt::format("the reference scores {} tokens, the candidate {}: they are not the same model", expected.size(-1),
                                    found.size(-1)));
      const auto classes = static_cast<size_t>(expected.size(-1));
      for (size_t row = 0; row < part.size() && at + row + 1 < tokens.size(); ++row) {
        const auto next = static_cast<size_t>(tokens[at + row + 1]);
        if (next >= classes)
          throw_bad_input(fmt::format("token {} is none of the {} that the models score", tokens[at + row + 1], classes));
        sums.add(expected.span<float>().subspan(row * classes, classes), found.span<float>().subspan(row * classes, classes), next);
      }
      advance(part.size());
    }
  }
  const auto count = static_cast<double>(sums.tokens);
  result.tokens = sums.tokens;
  result.reference_perplexity = std::exp(sums.reference_loss / count);
  result.candidate_perplexity = std::exp(sums.candidate_loss / count);
  result.mean_kl = sums.kl / count;
  result.top1_agreement = static_cast<double>(sums.agreeing) / count;
  return result;
}

}  // namespace intaglio::report
