// `tokenizer.json`: a pipeline of parts, each an object with a "type":
//   added_tokens   found in the text first; those with "normalized" after the normalizer
//   normalizer     text to text
//   pre_tokenizer  text to pieces
//   model          a piece to ids: by merges (BPE) or by the longest token (WordPiece)
//   post_processor ids around a text's
//   decoder        tokens to text
#include <unordered_set>
#include <variant>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/steps.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/utf8.h"
#include "data/tokenizer/vocabulary.h"
#include "data/tokenizer/word_piece.h"

namespace intaglio::data {
namespace {

// What stands before and after the ids of a text.
struct Frame {
  std::vector<int64_t> before, after;
};

constexpr size_t longest_added_token = 1024;

int64_t id_in(json::Value value, std::string_view what) {
  const int64_t id = value.integer(what);
  if (id < 0 || id > largest_token_id) throw_bad_input(fmt::format("'{}' has the token id {}", what, id));
  return id;
}

void append(std::vector<int64_t>& ids, const std::vector<int64_t>& more) { ids.insert(ids.end(), more.begin(), more.end()); }

Frame template_frame(json::Value processor) {
  Frame frame;
  int texts = 0;
  const json::Value specials = processor.at("special_tokens");
  for (const json::Value item : processor.at("single").array("single")) {
    const auto [kind, fields] = item.only_field("single");
    if (kind == "Sequence") {
      ++texts;
      continue;
    }
    for (const json::Value id : specials.at(fields.at("id").string("id")).at("ids").array("ids"))
      (texts == 0 ? frame.before : frame.after).push_back(id_in(id, "ids"));
  }
  if (texts != 1) throw_unsupported(fmt::format("a template for one text that has the text {} times", texts));
  return frame;
}

// [token, id]
int64_t id_of_pair(json::Value pair, std::string_view key) {
  std::optional<int64_t> id;
  for (const json::Value item : pair.at(key).array(key))
    if (!item.is_string()) id = id_in(item, key);
  if (!id) throw_bad_input(fmt::format("'{}' has no id", key));
  return *id;
}

Frame pair_frame(json::Value processor) { return {{id_of_pair(processor, "cls")}, {id_of_pair(processor, "sep")}}; }
Frame no_frame(json::Value) { return {}; }  // it moves offsets, not ids

Frame make_frame(json::Value processor);

Frame frame_sequence(json::Value processor) {
  Frame frame;
  for (const Frame& outer : make_sequence(processor, "processors", make_frame)) {
    frame.before.insert(frame.before.begin(), outer.before.begin(), outer.before.end());
    append(frame.after, outer.after);
  }
  return frame;
}

constexpr std::array<StepType<Frame>, 5> frame_types = {{
    {"Sequence", frame_sequence},
    {"TemplateProcessing", template_frame},
    {"ByteLevel", no_frame},
    {"RobertaProcessing", pair_frame},
    {"BertProcessing", pair_frame},
}};

Frame make_frame(json::Value processor) { return make_step(frame_types, processor, "post-processor"); }

using Model = std::variant<Bpe, WordPiece>;

// Files from before the field was written have merges where the model is BPE.
std::string_view type_of(json::Value model) { return text_or(model, "type", model.find("merges") ? "BPE" : "WordPiece"); }

json::Value known_model(json::Value model) {
  const std::string_view type = type_of(model);
  if (type != "BPE" && type != "WordPiece")
    throw_unsupported(
        fmt::format("its model is {}; BPE and WordPiece are known here (of SentencePiece, give the .model file)", escaped(type)));
  return model;
}

Model make_model(json::Value model, const Vocabulary& vocabulary) {
  if (type_of(model) == "BPE") return Bpe(model, vocabulary);
  return WordPiece(model, vocabulary);
}

class JsonTokenizer : public Tokenizer {
 public:
  explicit JsonTokenizer(json::Value root) : vocabulary_(known_model(root.at("model"))), model_(make_model(root.at("model"), vocabulary_)) {
    if (const auto section = root.find("normalizer")) normalizer_ = make_normalizer(*section);
    if (const auto section = root.find("pre_tokenizer")) pre_tokenizer_ = make_pre_tokenizer(*section);
    if (const auto section = root.find("decoder")) decoder_ = make_decoder(*section);
    if (const auto section = root.find("post_processor")) frame_ = make_frame(*section);
    vocab_size_ = vocabulary_.size();
    if (const auto section = root.find("added_tokens"))
      for (const json::Value token : section->array("added_tokens")) add_token(token);
  }

  std::vector<int64_t> encode(std::string_view text) const override {
    require_bounded(text.size());
    require_utf8(text);
    std::vector<int64_t> ids = frame_.before;
    for (const Stretch& stretch : as_written_.split(text)) {
      if (stretch.id >= 0) ids.push_back(stretch.id);
      else encode_stretch(text.substr(stretch.span.begin, stretch.span.end - stretch.span.begin), stretch.span.begin == 0, ids);
    }
    append(ids, frame_.after);
    return ids;
  }

  std::string decode(std::span<const int64_t> ids) const override {
    std::vector<std::string> tokens;
    for (const int64_t id : ids)
      if (const std::string* token = token_of(id); token != nullptr && !special_.contains(id)) tokens.push_back(*token);
    if (decoder_) tokens = (*decoder_)(std::move(tokens));
    std::string text;
    for (size_t i = 0; i < tokens.size(); ++i) text += (i > 0 && !decoder_ ? " " : "") + tokens[i];
    return text;
  }

  std::optional<int64_t> id_of(std::string_view token) const override {
    if (const auto added = added_ids_.find(std::string(token)); added != added_ids_.end()) return added->second;
    return vocabulary_.id_of(token);
  }
  int64_t vocab_size() const override { return vocab_size_; }

 private:
  void add_token(json::Value entry) {
    const auto flag = [&](const char* key) { return entry.at(key).boolean(key); };
    AddedToken token{.content = std::string(entry.at("content").string("content")),
                     .id = id_in(entry.at("id"), "id"),
                     .single_word = flag("single_word"),
                     .lstrip = flag("lstrip"),
                     .rstrip = flag("rstrip"),
                     .normalized = flag("normalized"),
                     .special = flag("special")};
    if (token.content.size() > longest_added_token)
      throw_bad_input(fmt::format("an added token has {} bytes; none is longer than {}", token.content.size(), longest_added_token));
    token.id = vocabulary_.id_of(token.content).value_or(token.id);
    vocab_size_ = std::max(vocab_size_, token.id + 1);
    added_ids_.emplace(token.content, token.id);
    if (token.special) special_.insert(token.id);
    if (token.normalized && normalizer_) token.content = (*normalizer_)(token.content);
    added_tokens_.emplace(token.id, token.content);
    (token.normalized ? in_normalized_ : as_written_).add(std::move(token));
  }

  void encode_stretch(std::string_view text, bool at_start, std::vector<int64_t>& ids) const {
    const std::string normal = normalizer_ ? (*normalizer_)(std::string(text)) : std::string(text);
    for (const Stretch& stretch : in_normalized_.split(normal)) {
      if (stretch.id >= 0) {
        ids.push_back(stretch.id);
        continue;
      }
      const Span span = stretch.span;
      std::vector<Piece> pieces{{normal.substr(span.begin, span.end - span.begin), at_start && span.begin == 0}};
      if (pre_tokenizer_) pieces = (*pre_tokenizer_)(std::move(pieces));
      for (const Piece& piece : pieces) std::visit([&](const auto& model) { model.encode(piece.text, ids); }, model_);
    }
  }

  const std::string* token_of(int64_t id) const {
    const auto added = added_tokens_.find(id);
    return added != added_tokens_.end() ? &added->second : vocabulary_.token_of(id);
  }

  Vocabulary vocabulary_;
  Model model_;
  std::optional<Normalizer> normalizer_;
  std::optional<PreTokenizer> pre_tokenizer_;
  std::optional<Decoder> decoder_;
  Frame frame_;
  AddedTokens as_written_, in_normalized_;
  std::unordered_map<std::string, int64_t> added_ids_;
  std::unordered_map<int64_t, std::string> added_tokens_;
  std::unordered_set<int64_t> special_;
  int64_t vocab_size_ = 0;
};

}  // namespace

void require_utf8(std::string_view text) {
  if (const auto fault = utf8::first_fault(text)) throw_bad_input(fmt::format("the text is not UTF-8 at byte {}; convert it", *fault));
}

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text) {
  const json::Document document(text);
  return std::make_unique<JsonTokenizer>(document.root());
}

}  // namespace intaglio::data
