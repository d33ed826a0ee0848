// tokenize TOKENIZER.json: texts from standard input, each ended by a zero byte; for each its ids, a line end, what they decode
// to, a zero byte. A text that cannot be encoded gives "error", a line end, the message.
#include <cstdio>
#include <iostream>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "data/tokenizer/tokenizer.h"

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  const auto file = intaglio::MappedFile::open(argv[1]);
  const auto tokenizer = intaglio::data::parse_tokenizer_json({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
  for (std::string text; std::getline(std::cin, text, '\0');) {
    try {
      const std::vector<int64_t> ids = tokenizer->encode(text);
      std::cout << fmt::format("{}\n", fmt::join(ids, " ")) << tokenizer->decode(ids) << '\0';
    } catch (const intaglio::Error& error) { std::cout << "error\n" << error.what() << '\0'; }
  }
  return 0;
} catch (const intaglio::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
