#include "report/language_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include <intaglio/error.h>

#include "report/generation.h"
#include "report/perplexity.h"

namespace intaglio::report {
namespace {

constexpr int64_t classes = 5;

// Scores the token that is one more, or `step` more, the highest, and writes down what it was called with.
struct Counting : Executable {
  std::vector<InputSlot> inputs;
  runtime::ConstantMethods facts;
  bool last_row_only = false;
  int64_t step = 1;
  std::vector<std::pair<int64_t, int64_t>> calls;  // first position (-1 without one), tokens
  int resets = 0;

  const std::vector<InputSlot>& slots() const override { return inputs; }
  double milliseconds() const override { return 1; }
  std::string engine() const override { return "test"; }
  void reset() override { ++resets; }
  runtime::ConstantMethods constants() const override { return facts; }
  std::optional<int64_t> output_width() const override { return classes; }
  std::vector<Tensor> run(const std::vector<Tensor>& given) override {
    const auto tokens = given[0].span<int64_t>();
    calls.emplace_back(given.size() > 1 ? given[1].span<int64_t>()[0] : -1, static_cast<int64_t>(tokens.size()));
    std::vector<float> scores;
    for (const int64_t token : last_row_only ? tokens.last(1) : tokens)
      for (int64_t i = 0; i < classes; ++i) scores.push_back(i == (token + step) % classes ? 2.0f : 0.5f);
    return {Tensor::of<float>(scores, {1, static_cast<int64_t>(scores.size()) / classes, classes})};
  }
};

InputSlot ids(std::vector<std::pair<int64_t, int64_t>> sizes) { return {.name = "ids", .dtype = DType::int64, .sizes = std::move(sizes)}; }

std::unique_ptr<Counting> cached(int64_t longest, runtime::ConstantMethods facts = {}) {
  auto program = std::make_unique<Counting>();
  program->inputs = {ids({{1, 1}, {longest > 1 ? 0 : 1, longest}}), ids({{longest > 1 ? 0 : 1, longest}})};
  program->facts = std::move(facts);
  return program;
}

runtime::ConstantMethods facts(int64_t length, bool parallel) {
  return {{"get_max_seq_len", {length}},
          {"get_max_context_len", {2 * length}},
          {"enable_dynamic_shape", {parallel}},
          {"get_eos_ids", {int64_t{3}, int64_t{4}}}};
}

using Calls = std::vector<std::pair<int64_t, int64_t>>;

TEST(LanguageModel, PrefillsInPartsOfTheLongestCall) {
  auto program = cached(8, facts(3, true));
  Counting& seen = *program;
  LanguageModel model(std::move(program), "m.pte");
  EXPECT_EQ(model.context_length(), 6);
  EXPECT_EQ(model.eos_ids(), (std::vector<int64_t>{3, 4}));
  const std::vector<int64_t> prompt{0, 1, 2, 3, 0};
  EXPECT_EQ(model.next_scores(prompt, 0).span<float>()[1], 2.0f);
  EXPECT_EQ(seen.calls, (Calls{{0, 3}, {3, 2}}));
}

TEST(LanguageModel, GivesTokenByTokenWhatIsOfOneShape) {
  auto program = cached(8, facts(6, false));
  Counting& seen = *program;
  LanguageModel model(std::move(program), "m.pte");
  model.next_scores(std::vector<int64_t>{0, 1, 2}, 1);
  EXPECT_EQ(seen.calls, (Calls{{1, 1}, {2, 1}, {3, 1}}));
}

TEST(LanguageModel, AsksAgainWhereOnlyTheLastRowIsScored) {
  auto program = cached(8);
  program->last_row_only = true;
  Counting& seen = *program;
  LanguageModel model(std::move(program), "m.pte");
  const Tensor scores = model.all_scores(std::vector<int64_t>{0, 2, 1}, 0);
  EXPECT_EQ(scores.sizes(), (Sizes{3, classes}));
  for (const auto& [row, best] : {std::pair{0, 1}, {1, 3}, {2, 2}}) EXPECT_EQ(scores.span<float>()[row * classes + best], 2.0f);
  EXPECT_EQ(seen.calls, (Calls{{0, 3}, {0, 1}, {1, 1}, {2, 1}}));
}

TEST(LanguageModel, RefusesOtherInputs) {
  const auto refused = [](std::vector<InputSlot> inputs) {
    auto program = std::make_unique<Counting>();
    program->inputs = std::move(inputs);
    EXPECT_THROW(LanguageModel(std::move(program), "m.pte"), Error);
  };
  refused({});
  refused({{.name = "x", .dtype = DType::float32, .sizes = {{1, 1}, {1, 8}}}});
  refused({ids({{2, 2}, {1, 8}})});
  refused({ids({{1, 1}, {8, 8}})});                                // neither one token nor any number
  refused({ids({{1, 1}, {1, 1}})});                                // remembers nothing
  refused({ids({{1, 1}, {0, 8}}), ids({{0, 8}}), ids({{1, 1}})});  // something more
}

TEST(LanguageModel, RefusesForeignTokensAndTooMany) {
  LanguageModel model(cached(8, facts(3, true)), "m.pte");
  EXPECT_THROW(model.next_scores(std::vector<int64_t>{0, classes}, 0), Error);
  EXPECT_THROW(model.next_scores(std::vector<int64_t>{-1}, 0), Error);
  EXPECT_THROW(model.next_scores(std::vector<int64_t>{0, 1}, 5), Error);
}

TEST(Generation, StopsAtAnyStopToken) {
  LanguageModel model(cached(8), "m.pte");
  std::vector<int64_t> taken;
  const Generation generation = generate(model, std::vector<int64_t>{0}, {.stop_ids = {4, 3}}, [&](int64_t id) { taken.push_back(id); });
  EXPECT_EQ(generation.ids, (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(taken, generation.ids);
  EXPECT_TRUE(generation.stopped);
}

TEST(Generation, DrawsByProbability) {
  std::mt19937_64 random(3);
  const std::vector<float> scores{0.0f, std::log(3.0f), -INFINITY};
  int counts[3] = {};
  for (int i = 0; i < 4000; ++i) ++counts[choose_token(scores, 1, random)];
  EXPECT_NEAR(counts[1], 3000, 150);
  EXPECT_EQ(counts[2], 0);
  EXPECT_EQ(choose_token(scores, 0, random), 1);
  EXPECT_THROW(choose_token(std::vector<float>{0, NAN}, 0, random), Error);
}

TEST(Perplexity, OfKnownDistributions) {
  auto other = cached(8);
  other->step = 2;
  Counting& seen = *other;
  LanguageModel reference(cached(8), "a.pte"), candidate(std::move(other), "b.pte");
  const std::vector<int64_t> text{0, 1, 2, 3, 4, 0, 1};  // always one more
  const LanguageComparison comparison = compare_language_models(reference, candidate, text, 3, [](size_t) {});
  EXPECT_EQ(comparison.tokens, 4u);  // the last window has one token
  EXPECT_EQ(comparison.windows, 2u);
  EXPECT_EQ(seen.resets, 1);
  const double sum = std::exp(2.0) + 4 * std::exp(0.5);
  EXPECT_NEAR(comparison.reference_perplexity, sum / std::exp(2.0), 1e-9);
  EXPECT_NEAR(comparison.candidate_perplexity, sum / std::exp(0.5), 1e-9);
  EXPECT_NEAR(comparison.mean_kl, 1.5 * (std::exp(2.0) - std::exp(0.5)) / sum, 1e-9);
  EXPECT_EQ(comparison.top1_agreement, 0);
  EXPECT_THROW(compare_language_models(reference, candidate, std::vector<int64_t>{0, 9}, 3, [](size_t) {}), Error);
}

}  // namespace
}  // namespace intaglio::report
