#include "cli/text_input.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/is_there.h"
#include "base/mapped_file.h"
#include "data/token_file.h"

namespace intaglio::cli {

TextInput::TextInput(const std::string& tokenizer, const std::string& model, std::optional<int64_t> vocab_size, bool needed) {
  const auto found = tokenizer.empty() ? report::tokenizer_beside(model) : std::filesystem::path(tokenizer);
  if (!found) {
    if (needed) throw_usage(fmt::format("no tokenizer.json or tokenizer.model is beside {}; give --tokenizer FILE", escaped(model)));
    return;
  }
  path_ = *found;
  tokenizer_ = report::open_tokenizer(path_);
  if (vocab_size && tokenizer_->vocab_size() > *vocab_size)
    throw_bad_input(fmt::format("{}: it has {} tokens, but {} scores {}: it is another model's tokenizer; give --tokenizer FILE",
                                escaped(path_.string()), tokenizer_->vocab_size(), escaped(model), *vocab_size));
}

std::vector<int64_t> TextInput::encode(std::string_view text) const {
  std::vector<int64_t> ids = tokenizer_->encode(text);
  if (ids.empty() && !text.empty())
    throw_bad_input(fmt::format("{}: it has no token for any of the text's characters; is it another model's?", escaped(path_.string())));
  if (ids.empty()) throw_usage("the text is empty and has no tokens; give one that is not");
  return ids;
}

std::vector<int64_t> TextInput::eos_ids() const { return tokenizer_ ? report::eos_ids_of(*tokenizer_, path_) : std::vector<int64_t>{}; }

std::vector<int64_t> token_list(const std::string& text_or_file) {
  const bool listed = text_or_file.find_first_not_of("0123456789, \t\n") == std::string::npos;
  if (!listed && !is_there(text_or_file))
    throw_bad_input(fmt::format("--tokens {}: neither token ids, whole numbers from 0 such as `1,15043`, nor a file of them",
                                escaped(text_or_file, 400)));
  std::vector<int64_t> ids = listed ? data::parse_tokens(text_or_file) : data::read_tokens(text_or_file);
  if (ids.empty()) throw_usage(fmt::format("--tokens {}: there is no token id in it", escaped(text_or_file)));
  return ids;
}

std::string read_text(const std::string& file) {
  constexpr size_t largest_text = 1 << 28;
  const auto mapped = MappedFile::open(file);
  if (mapped->bytes().empty()) throw_bad_input(fmt::format("{}: is empty; a text is needed", escaped(file)));
  if (mapped->bytes().size() > largest_text)
    throw_bad_input(fmt::format("{}: is larger than 256 MiB; give a part of the text", escaped(file)));
  return {reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size()};
}

}  // namespace intaglio::cli
