// A causal language model, whatever its file: token ids in, scores of the token that follows out.
//
// It is what ExecuTorch's text runner takes: tokens [1, s], then, where it has a cache, a position: one number, the first token's,
// or one for each token, as the method's sizes tell. Scores are [1, s, vocabulary] or [1, vocabulary]. The cache is in buffers
// that the program writes.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "report/executable.h"

namespace intaglio::report {

class LanguageModel {
 public:
  // Unsupported error, saying which, for a program with other inputs than those.
  LanguageModel(std::unique_ptr<Executable> program, std::string file);

  const std::string& file() const { return file_; }
  bool has_cache() const { return has_cache_; }
  // Tokens it can look back to, where the file tells.
  std::optional<int64_t> context_length() const { return context_length_; }
  std::optional<int64_t> vocab_size() const { return vocab_size_; }
  // What the file says ends a text; nothing where it does not say.
  const std::vector<int64_t>& eos_ids() const { return eos_ids_; }
  std::string engine() const { return program_->engine(); }

  // Scores after the last of `tokens`, float32 [1, vocabulary]. With a cache, `position` tokens were given before; without one
  // `tokens` are the whole text. Bad-input error for an id outside of the vocabulary.
  Tensor next_scores(std::span<const int64_t> tokens, int64_t position);
  // Scores after each of them, [count, vocabulary].
  Tensor all_scores(std::span<const int64_t> tokens, int64_t position);
  // What it is called with for the first tokens of a text, as many as one call takes.
  std::vector<Tensor> first_call(std::span<const int64_t> tokens) const;
  // Forgets what it was given.
  void reset() { program_->reset(); }
  double milliseconds() const { return milliseconds_; }  // of all its calls

 private:
  void read_inputs();
  void read_constants();
  std::optional<int64_t> constant(const char* name) const;
  void check(std::span<const int64_t> tokens, int64_t position) const;
  std::vector<Tensor> inputs_of(std::span<const int64_t> tokens, int64_t position) const;
  Tensor call(std::span<const int64_t> tokens, int64_t position, bool last_row);
  Tensor one_by_one(std::span<const int64_t> tokens, int64_t position);
  [[noreturn]] void refuse(const std::string& why) const;

  std::unique_ptr<Executable> program_;
  std::string file_;
  bool has_cache_ = false;
  DType token_dtype_ = DType::int64, position_dtype_ = DType::int64;
  bool position_for_each_ = false;
  int64_t longest_call_ = 1;  // tokens
  bool last_row_only_ = false;
  std::optional<int64_t> context_length_, vocab_size_;
  std::vector<int64_t> eos_ids_;
  double milliseconds_ = 0;
};

}  // namespace intaglio::report
