#include "data/token_file.h"

#include <charconv>

#include <fmt/format.h>
#include <intaglio/data.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"

namespace intaglio::data {
namespace {

std::vector<int64_t> tokens_of_array(const Tensor& array) {
  if (is_floating(array.dtype()) || is_complex(array.dtype()) || array.dtype() == DType::boolean)
    throw_bad_input(fmt::format("token ids are integers, these are {}", name(array.dtype())));
  const Tensor ids = converted(array, DType::int64).contiguous();
  return {ids.span<int64_t>().begin(), ids.span<int64_t>().end()};
}

}  // namespace

std::vector<int64_t> parse_tokens(std::string_view text) {
  constexpr std::string_view separators = " \t\r\n,";
  constexpr size_t longest_word = 64;  // what has no separator for longer is no list of ids, and its end is not looked for
  std::vector<int64_t> tokens;
  for (size_t at = text.find_first_not_of(separators); at != std::string_view::npos; at = text.find_first_not_of(separators, at)) {
    std::string_view word = text.substr(at, longest_word);
    word = word.substr(0, word.find_first_of(separators));
    int64_t id = -1;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc() || end != word.data() + word.size() || id < 0)
      throw_bad_input(fmt::format("'{}' is no token id; ids are whole numbers from 0", escaped(word, 40)));
    tokens.push_back(id);
    at += word.size();
    if (at == text.size()) break;
  }
  return tokens;
}

std::vector<int64_t> read_tokens(const std::filesystem::path& path) try {
  if (path.extension() == ".npy") return tokens_of_array(read_arrays(path).at(0).tensor);
  const auto file = MappedFile::open(path);
  return parse_tokens({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
} catch (const Error& error) {
  const std::string shown = escaped(path.string());
  throw std::string_view(error.what()).find(shown) == std::string_view::npos ? error.with_context(shown) : error;
}

}  // namespace intaglio::data
