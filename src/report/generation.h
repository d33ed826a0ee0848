// Text from a language model, token by token.
#pragma once

#include <functional>
#include <random>

#include "report/language_model.h"

namespace intaglio::report {

struct GenerationOptions {
  int64_t max_new_tokens = 128;
  double temperature = 0;  // 0: the token of the highest score
  uint64_t seed = 0;
  std::vector<int64_t> stop_ids;
};

struct Generation {
  std::vector<int64_t> ids;  // the stop token too
  bool stopped = false;      // by one; else by the number of tokens or the model's context
  double first_token_seconds = 0;
  double later_seconds = 0;  // of all others
};

// Calls `take` with each token as soon as it is there.
Generation generate(LanguageModel& model, std::span<const int64_t> prompt, const GenerationOptions& options,
                    const std::function<void(int64_t id)>& take);

// One of the scores: the highest, or drawn with the probabilities of softmax(scores / temperature). Bad-input error for NaN.
int64_t choose_token(std::span<const float> scores, double temperature, std::mt19937_64& random);

}  // namespace intaglio::report
