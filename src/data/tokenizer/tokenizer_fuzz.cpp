// A hostile tokenizer.json, and texts through what it makes.
#include <intaglio/error.h>

#include "data/tokenizer/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  try {
    const auto tokenizer = data::parse_tokenizer_json({reinterpret_cast<const char*>(data), size});
    for (const char* text : {"", "Hello, w\u00f6rld 123!  <s>\n", "aaaa bbbb \u4e00\u0301"}) {
      const std::vector<int64_t> ids = tokenizer->encode(text);
      for (const int64_t id : ids)
        if (id < 0) __builtin_trap();
      (void)tokenizer->decode(ids);
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
