#include "runtime/sentencepiece.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "runtime/child_process.h"

namespace intaglio::runtime {
namespace {

constexpr std::chrono::milliseconds sentencepiece_timeout{60'000};
constexpr size_t largest_model = 1 << 28;
constexpr const char* sentencepiece_memory = "8589934592";  // address space, in bytes

class SentencePieceTokenizer : public data::Tokenizer {
 public:
  explicit SentencePieceTokenizer(const std::filesystem::path& path)
      : shown_(escaped(path.string())), child_(runtime_directory() / "intaglio-sentencepiece", {sentencepiece_memory}, "SentencePiece") {
    // As bytes: the child opens nothing, and reads what was looked at here.
    const std::shared_ptr<MappedFile> file = MappedFile::open(path);
    if (file->bytes().size() > largest_model) throw_bad_input(fmt::format("{}: is too large for a model of SentencePiece", shown_));
    MessageWriter request(MessageKind::load);
    request.put_string({reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()});
    const Message answer = ask(std::move(request));
    MessageReader reader(answer.payload);
    pieces_ = static_cast<int32_t>(reader.get_u32());
    bos_ = static_cast<int32_t>(reader.get_u32());
    eos_ = static_cast<int32_t>(reader.get_u32());
  }

  std::vector<int64_t> encode(std::string_view text) const override {
    data::require_utf8(text);
    const RunValue answer = value_for(std::string(text));
    const auto ids = std::get<Tensor>(answer).span<int64_t>();
    std::vector<int64_t> all;
    if (bos_ >= 0) all.push_back(bos_);
    all.insert(all.end(), ids.begin(), ids.end());
    return all;
  }
  std::string decode(std::span<const int64_t> ids) const override {
    return std::get<std::string>(value_for(Tensor::of<int64_t>(ids, {static_cast<int64_t>(ids.size())})));
  }
  std::optional<int64_t> id_of(std::string_view) const override { return std::nullopt; }
  int64_t vocab_size() const override { return pieces_; }
  std::optional<int64_t> eos_id() const override { return eos_ >= 0 ? std::optional<int64_t>(eos_) : std::nullopt; }

 private:
  Message ask(MessageWriter&& request) const try {
    const auto bytes = std::move(request).finish();
    Message answer = child_.exchange(bytes, sentencepiece_timeout);
    if (answer.kind != MessageKind::failed) return answer;
    MessageReader reader(answer.payload);
    reader.get_u32();
    reader.get_string();
    throw_bad_input(fmt::format("SentencePiece refuses it: {}", escaped(reader.get_string())));
  } catch (const Error& error) { throw error.with_context(shown_); }

  RunValue value_for(const RunValue& value) const {
    MessageWriter request(MessageKind::run);
    request.put_value(value);
    const Message answer = ask(std::move(request));
    return MessageReader(answer.payload).get_value();
  }

  std::string shown_;
  mutable ChildProcess child_;
  int64_t pieces_ = 0, bos_ = -1, eos_ = -1;
};

}  // namespace

std::unique_ptr<data::Tokenizer> open_sentencepiece(const std::filesystem::path& path) {
  return std::make_unique<SentencePieceTokenizer>(path);
}

}  // namespace intaglio::runtime
