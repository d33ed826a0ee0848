#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

// What becomes of the matches that cut a text.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

constexpr std::pair<std::string_view, Behavior> behaviors[] = {
    {"Removed", Behavior::removed},
    {"Isolated", Behavior::isolated},
    {"MergedWithPrevious", Behavior::merged_with_previous},
    {"MergedWithNext", Behavior::merged_with_next},
    {"Contiguous", Behavior::contiguous},
};

Behavior read_behavior(json::Value step) {
  const std::string_view text = step.at("behavior").string("behavior");
  for (const auto& [name, behavior] : behaviors)
    if (name == text) return behavior;
  throw_unsupported(fmt::format("the behavior '{}' of a split is not known here", escaped(text)));
}

struct Part {
  Span span;
  bool matched = false;
};

// Matches and what is between them; the other way round where `invert`.
std::vector<Part> parts_of(const std::vector<Span>& matches, size_t size, bool invert) {
  std::vector<Part> parts;
  size_t done = 0;
  for (const Span match : matches) {
    if (match.begin > done) parts.push_back({{done, match.begin}, invert});
    parts.push_back({match, !invert});
    done = match.end;
  }
  if (done < size) parts.push_back({{done, size}, invert});
  return parts;
}

// Whether a part grows the one behind it in the order of the walk; `last` is the part before it.
bool joins(Behavior behavior, const Part& part, const Part& last) {
  if (behavior == Behavior::contiguous) return part.matched == last.matched;
  return part.matched && !last.matched;
}

std::vector<Span> spans_of(std::vector<Part> parts, Behavior behavior) {
  std::vector<Span> spans;
  const bool backwards = behavior == Behavior::merged_with_next;
  if (backwards) std::reverse(parts.begin(), parts.end());
  const bool merging = behavior != Behavior::removed && behavior != Behavior::isolated;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Span span = parts[i].span;
    if (behavior == Behavior::removed && parts[i].matched) continue;
    if (merging && i > 0 && joins(behavior, parts[i], parts[i - 1]))
      spans.back() = {std::min(spans.back().begin, span.begin), std::max(spans.back().end, span.end)};
    else spans.push_back(span);
  }
  if (backwards) std::reverse(spans.begin(), spans.end());
  return spans;
}

using Matcher = std::function<std::vector<Span>(std::string_view)>;

PreTokenizer splitter(Matcher matcher, Behavior behavior, bool invert = false) {
  return [matcher = std::move(matcher), behavior, invert](const std::vector<Piece>& pieces) {
    std::vector<Piece> result;
    for (const Piece& piece : pieces)
      for (const Span span : spans_of(parts_of(matcher(piece.text), piece.text.size(), invert), behavior))
        if (span.end > span.begin)
          result.push_back({piece.text.substr(span.begin, span.end - span.begin), piece.at_start && span.begin == 0});
    return result;
  };
}

Matcher matching(Regex regex) {
  return [regex = std::move(regex)](std::string_view text) { return regex.find_all(text); };
}

// Each character for which `is` holds.
template <typename Predicate>
Matcher each(Predicate is) {
  return [is](std::string_view text) {
    std::vector<Span> matches;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      if (is(utf8::next(text, at))) matches.push_back({begin, at});
    }
    return matches;
  };
}

PreTokenizer split(json::Value step) {
  return splitter(matching(read_pattern(step)), read_behavior(step), step.at("invert").boolean("invert"));
}

PreTokenizer digits(json::Value step) {
  const bool each_alone = step.at("individual_digits").boolean("individual_digits");
  return splitter(each(utf8::is_number), each_alone ? Behavior::isolated : Behavior::contiguous);
}

PreTokenizer punctuation(json::Value step) {
  return splitter(each(utf8::is_punctuation), step.find("behavior") ? read_behavior(step) : Behavior::isolated);
}

PreTokenizer whitespace_split(json::Value) { return splitter(each(utf8::is_space), Behavior::removed); }

PreTokenizer bert(json::Value) {
  return [on_space = splitter(each(utf8::is_space), Behavior::removed),
          on_punctuation = splitter(each(utf8::is_punctuation), Behavior::isolated)](std::vector<Piece> pieces) {
    return on_punctuation(on_space(std::move(pieces)));
  };
}

// Runs of word characters, and runs of what is neither those nor space.
PreTokenizer whitespace(json::Value) {
  enum Kind { space, word, other };
  const auto kind_of = [](char32_t character) { return utf8::is_word(character) ? word : utf8::is_space(character) ? space : other; };
  const auto runs = [kind_of](std::string_view text) {
    std::vector<Span> matches;
    Kind last = space;
    for (size_t at = 0; at < text.size();) {
      const size_t begin = at;
      const Kind kind = kind_of(utf8::next(text, at));
      if (kind != space && kind == last) matches.back().end = at;
      else if (kind != space) matches.push_back({begin, at});
      last = kind;
    }
    return matches;
  };
  return splitter(runs, Behavior::removed, true);
}

PreTokenizer char_delimiter(json::Value step) {
  return splitter(matching(Regex::literal(step.at("delimiter").string("delimiter"))), Behavior::removed);
}

PreTokenizer byte_level_pieces(json::Value step) {
  static constexpr std::string_view words = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
  std::optional<PreTokenizer> on_words;
  if (flag(step, "use_regex", true)) on_words = splitter(matching(Regex(words)), Behavior::isolated);
  return [on_words, space_in_front = flag(step, "add_prefix_space", true)](std::vector<Piece> pieces) {
    for (Piece& piece : pieces)
      if (space_in_front && !piece.text.starts_with(' ')) piece.text.insert(0, " ");
    if (on_words) pieces = (*on_words)(std::move(pieces));
    for (Piece& piece : pieces) piece.text = in_byte_characters(piece.text);
    return pieces;
  };
}

PreTokenizer metaspace(json::Value step) {
  const Metaspace read = read_metaspace(step);
  std::optional<PreTokenizer> on_marks;
  if (flag(step, "split", true)) on_marks = splitter(matching(Regex::literal(read.mark)), Behavior::merged_with_next);
  return [mark = read.mark, scheme = read.scheme, on_marks, blank = Regex::literal(" ")](std::vector<Piece> pieces) {
    for (Piece& piece : pieces) {
      piece.text = replaced(blank, piece.text, mark);
      const bool prepends = scheme == "always" || (scheme == "first" && piece.at_start);
      if (prepends && !piece.text.starts_with(mark)) piece.text.insert(0, mark);
    }
    return on_marks ? (*on_marks)(std::move(pieces)) : pieces;
  };
}

PreTokenizer pieces_in_sequence(json::Value step) {
  return [steps = make_sequence(step, "pretokenizers", make_pre_tokenizer)](std::vector<Piece> pieces) {
    for (const PreTokenizer& one : steps) {
      pieces = one(std::move(pieces));
      size_t bytes = 0;
      for (const Piece& piece : pieces) bytes += piece.text.size();
      require_bounded(bytes);
    }
    return pieces;
  };
}

constexpr std::array<StepType<PreTokenizer>, 10> pre_tokenizer_types = {{
    {"Sequence", pieces_in_sequence},
    {"ByteLevel", byte_level_pieces},
    {"Split", split},
    {"Digits", digits},
    {"Metaspace", metaspace},
    {"Whitespace", whitespace},
    {"WhitespaceSplit", whitespace_split},
    {"Punctuation", punctuation},
    {"CharDelimiterSplit", char_delimiter},
    {"BertPreTokenizer", bert},
}};

}  // namespace

PreTokenizer make_pre_tokenizer(json::Value section) { return make_step(pre_tokenizer_types, section, "pre-tokenizer"); }

}  // namespace intaglio::data
