#include "report/language_model.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "report/slots.h"

namespace intaglio::report {
namespace {

bool is_index(const InputSlot& slot, size_t rank) {
  return !slot.scalar && slot.sizes.size() == rank && (slot.dtype == DType::int64 || slot.dtype == DType::int32);
}

std::optional<int64_t> integer_of(const runtime::RunValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* truth = std::get_if<bool>(&value)) return *truth ? 1 : 0;
  return std::nullopt;
}

}  // namespace

LanguageModel::LanguageModel(std::unique_ptr<Executable> program, std::string file)
    : program_(std::move(program)), file_(std::move(file)), vocab_size_(program_->output_width()) {
  read_inputs();
  read_constants();
}

void LanguageModel::refuse(const std::string& why) const { throw_unsupported(fmt::format("{}: {}", escaped(file_), why)); }

void LanguageModel::read_inputs() {
  const std::vector<InputSlot>& slots = program_->slots();
  const bool tokens_first = !slots.empty() && is_index(slots[0], 2);
  if (!tokens_first || slots[0].sizes[0].first > 1 || slots[0].sizes[0].second < 1)
    refuse(fmt::format("a language model takes tokens [1, s] of int64 first; its first input is {}",
                       slots.empty() ? "missing" : text_of(slots[0])));
  if (slots.size() > 2 || (slots.size() == 2 && !is_index(slots[1], 1)))
    refuse(
        fmt::format("tokens [1, s] and a position [p] are what a language model takes, but it takes {} too; a cache is in buffers "
                    "that the model writes, or goes from a method 'prefill' to one 'decode'",
                    text_of(slots.size() > 2 ? slots[2] : slots[1])));
  token_dtype_ = slots[0].dtype;
  const auto [least, most] = slots[0].sizes[1];
  longest_call_ = most;
  has_cache_ = slots.size() == 2;
  if (least == most && most > 1)
    refuse(fmt::format("it takes {} tokens at a time, no more and no fewer; export it with a dynamic length", most));
  if (!has_cache_) {
    if (most == 1) refuse("it takes one token and no position: it remembers nothing");
    context_length_ = most;
    return;
  }
  position_dtype_ = slots[1].dtype;
  position_for_each_ = slots[1].sizes[0].second > 1;
  if (most > 1) context_length_ = most;
}

std::optional<int64_t> LanguageModel::constant(const char* name) const {
  const runtime::ConstantMethods constants = program_->constants();
  const auto entry = constants.find(name);
  if (entry == constants.end()) return std::nullopt;
  const auto value = integer_of(entry->second.front());
  if (!value || *value < 0) refuse(fmt::format("its constant method '{}' gives no count", name));
  return value;
}

void LanguageModel::read_constants() {
  const runtime::ConstantMethods constants = program_->constants();
  for (const char* name : {"get_max_seq_len", "get_max_context_len"})
    if (const auto length = constant(name)) context_length_ = has_cache_ ? *length : std::min(*length, longest_call_);
  if (!constants.empty() && constant("enable_dynamic_shape").value_or(0) == 0 && has_cache_) longest_call_ = 1;
  if (const auto length = constant("get_max_seq_len")) longest_call_ = std::min(longest_call_, std::max<int64_t>(*length, 1));
  for (const char* name : {"get_eos_ids", "get_eos_id"}) {
    const auto entry = constants.find(name);
    if (entry == constants.end() || !eos_ids_.empty()) continue;
    for (const runtime::RunValue& value : entry->second)
      if (const auto id = integer_of(value)) eos_ids_.push_back(*id);
  }
  if (!vocab_size_) vocab_size_ = constant("get_vocab_size");
}

void LanguageModel::check(std::span<const int64_t> tokens, int64_t position) const {
  if (tokens.empty()) throw_bad_input("a language model needs at least one token");
  for (const int64_t id : tokens)
    if (id < 0 || (vocab_size_ && id >= *vocab_size_))
      throw_bad_input(fmt::format("{}: token {} is none of its {}; the tokens are another model's", escaped(file_), id,
                                  vocab_size_ ? std::to_string(*vocab_size_) : "tokens"));
  const int64_t end = position + static_cast<int64_t>(tokens.size());
  if (context_length_ && end > *context_length_)
    throw_bad_input(fmt::format("{}: {} tokens are more than the {} that it looks back to", escaped(file_), end, *context_length_));
}

std::vector<Tensor> LanguageModel::inputs_of(std::span<const int64_t> tokens, int64_t position) const {
  const auto count = static_cast<int64_t>(tokens.size());
  std::vector<Tensor> inputs{converted(Tensor::of<int64_t>(tokens, {1, count}), token_dtype_)};
  if (has_cache_) {
    std::vector<int64_t> positions(position_for_each_ ? tokens.size() : 1);
    std::iota(positions.begin(), positions.end(), position);
    inputs.push_back(converted(Tensor::of<int64_t>(positions, {static_cast<int64_t>(positions.size())}), position_dtype_));
  }
  return inputs;
}

std::vector<Tensor> LanguageModel::first_call(std::span<const int64_t> tokens) const {
  tokens = tokens.first(std::min(tokens.size(), static_cast<size_t>(longest_call_)));
  check(tokens, 0);
  return inputs_of(tokens, 0);
}

Tensor LanguageModel::call(std::span<const int64_t> tokens, int64_t position, bool last_row) {
  const auto count = static_cast<int64_t>(tokens.size());
  const std::vector<Tensor> inputs = inputs_of(tokens, position);
  const std::vector<Tensor> outputs = last_row ? program_->run_last_row(inputs) : program_->run(inputs);
  milliseconds_ += program_->milliseconds();
  if (outputs.empty() || !outputs[0].defined() || !is_floating(outputs[0].dtype()) || outputs[0].rank() < 2)
    refuse("its first output is no scores [1, s, vocabulary]");
  const int64_t width = outputs[0].size(-1);
  const int64_t rows = width > 0 ? outputs[0].numel() / width : 0;
  if (rows != 1 && rows != count) refuse(fmt::format("it gives {} rows of scores for {} tokens", rows, count));
  const Tensor scores = converted(outputs[0], DType::float32).reshaped({rows, width});
  return last_row ? scores.narrowed(0, rows - 1, 1).contiguous() : scores;
}

Tensor LanguageModel::next_scores(std::span<const int64_t> tokens, int64_t position) {
  check(tokens, position);
  if (!has_cache_) return call(tokens, 0, true);
  while (static_cast<int64_t>(tokens.size()) > longest_call_) {
    call(tokens.first(static_cast<size_t>(longest_call_)), position, true);
    tokens = tokens.subspan(static_cast<size_t>(longest_call_));
    position += longest_call_;
  }
  return call(tokens, position, true);
}

Tensor LanguageModel::one_by_one(std::span<const int64_t> tokens, int64_t position) {
  std::vector<float> scores;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const Tensor row =
        has_cache_ ? call(tokens.subspan(i, 1), position + static_cast<int64_t>(i), true) : call(tokens.first(i + 1), 0, true);
    scores.insert(scores.end(), row.span<float>().begin(), row.span<float>().end());
  }
  const auto count = static_cast<int64_t>(tokens.size());
  return Tensor::of<float>(scores, {count, static_cast<int64_t>(scores.size()) / count});
}

Tensor LanguageModel::all_scores(std::span<const int64_t> tokens, int64_t position) {
  check(tokens, position);
  std::vector<float> scores;
  for (size_t at = 0; at < tokens.size();) {
    const auto part = tokens.subspan(at, std::min(tokens.size() - at, static_cast<size_t>(longest_call_)));
    const int64_t start = position + static_cast<int64_t>(at);
    Tensor rows = last_row_only_ ? one_by_one(part, start) : call(part, start, false);
    if (rows.size(0) != static_cast<int64_t>(part.size())) {
      last_row_only_ = true;  // what it wrote to its cache is written again
      continue;
    }
    if (part.size() == tokens.size()) return rows;
    scores.insert(scores.end(), rows.span<float>().begin(), rows.span<float>().end());
    at += part.size();
  }
  const auto count = static_cast<int64_t>(tokens.size());
  return Tensor::of<float>(scores, {count, static_cast<int64_t>(scores.size()) / count});
}

}  // namespace intaglio::report
