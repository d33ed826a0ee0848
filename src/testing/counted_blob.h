// Bytes from a producer that counts how often it is asked for them.
#pragma once

#include <span>
#include <string>
#include <utility>

#include <intaglio/blob.h>

namespace intaglio::test {

inline Blob counted_blob(std::string text, int& calls) {
  const uint64_t size = text.size();
  return Blob(size, [text = std::move(text), &calls](const Blob::Sink& sink) {
    ++calls;
    sink(std::as_bytes(std::span(text)));
  });
}

}  // namespace intaglio::test
