// How far a language model's distributions are from a reference's, on a text.
#pragma once

#include <functional>

#include "report/language_model.h"

namespace intaglio::report {

struct LanguageComparison {
  size_t tokens = 0;  // those that were predicted
  size_t windows = 0;
  double reference_perplexity = 0;  // exp of the mean negative log likelihood
  double candidate_perplexity = 0;
  double mean_kl = 0;  // of reference to candidate, in nats for each token
  double top1_agreement = 0;
};

// The text in windows of `window` tokens, each read by itself from its start; every token but a window's first is predicted.
// Bad-input error for a text of fewer than two tokens and for models of different vocabularies.
LanguageComparison compare_language_models(LanguageModel& reference, LanguageModel& candidate, std::span<const int64_t> text,
                                           int64_t window, const std::function<void(size_t tokens)>& advance);

}  // namespace intaglio::report
