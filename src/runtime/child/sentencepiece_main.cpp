// intaglio-sentencepiece: text to ids and back with a `.model` file, as told by its parent.
//
// A process of its own because the library trusts its files, and because it exports a protobuf of its own, which must not meet
// another in one process.
//   load: the bytes of a file          -> loaded : u32 pieces, u32 begin of sequence, u32 end of sequence (-1: none)
//   run : a text, or a list of ids   -> outputs: ids, or a text
#include <sentencepiece_processor.h>

#include <intaglio/error.h>

#include "runtime/child/serve.h"

namespace {

using namespace intaglio;
using namespace intaglio::runtime;

void require(const sentencepiece::util::Status& status) {
  if (!status.ok()) throw_bad_input(status.error_message());
}

std::vector<std::byte> loaded(sentencepiece::SentencePieceProcessor& processor, MessageReader& request) {
  require(processor.LoadFromSerializedProto(request.get_string()));
  MessageWriter answer(MessageKind::loaded);
  for (const int number : {processor.GetPieceSize(), processor.bos_id(), processor.eos_id()}) answer.put_u32(static_cast<uint32_t>(number));
  return std::move(answer).finish();
}

RunValue encoded(const sentencepiece::SentencePieceProcessor& processor, const std::string& text) {
  std::vector<int> ids;
  require(processor.Encode(text, &ids));
  const std::vector<int64_t> wide(ids.begin(), ids.end());
  return Tensor::of<int64_t>(wide, {static_cast<int64_t>(wide.size())});
}

RunValue decoded(const sentencepiece::SentencePieceProcessor& processor, const Tensor& ids) {
  std::vector<int> narrow;
  for (const int64_t id : ids.span<int64_t>())
    if (id >= 0 && id < processor.GetPieceSize()) narrow.push_back(static_cast<int>(id));
  std::string text;
  require(processor.Decode(narrow, &text));
  return text;
}

}  // namespace

int main(int argc, char** argv) {
  sentencepiece::SentencePieceProcessor processor;
  return serve(argc, argv, [&](MessageKind kind, MessageReader& request) {
    if (kind == MessageKind::load) return loaded(processor, request);
    const RunValue value = request.get_value();
    const auto* text = std::get_if<std::string>(&value);
    MessageWriter answer(MessageKind::outputs);
    answer.put_value(text != nullptr ? encoded(processor, *text) : decoded(processor, std::get<Tensor>(value)));
    return std::move(answer).finish();
  });
}
