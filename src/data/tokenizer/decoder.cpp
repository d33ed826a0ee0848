#include <numeric>

#include "data/tokenizer/steps.h"
#include "data/tokenizer/utf8.h"

namespace intaglio::data {
namespace {

using Texts = std::vector<std::string>;

std::string joined(const Texts& texts) { return std::accumulate(texts.begin(), texts.end(), std::string()); }

Decoder fuse(json::Value) {
  return [](const Texts& tokens) { return Texts{joined(tokens)}; };
}

// A token that has a character outside of the byte alphabet stands for itself.
std::string bytes_of(const std::string& token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    const auto byte = byte_of_character(utf8::next(token, at));
    if (!byte) return token;
    bytes += static_cast<char>(*byte);
  }
  return bytes;
}

Decoder byte_level_decoded(json::Value) {
  return [](const Texts& tokens) {
    std::string bytes;
    for (const std::string& token : tokens) bytes += bytes_of(token);
    return Texts{utf8::replaced_faults(bytes)};
  };
}

// <0x0A>
std::optional<char> byte_of_token(std::string_view token) {
  constexpr std::string_view digits = "0123456789ABCDEFabcdef";
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  int value = 0;
  for (const char digit : token.substr(3, 2)) {
    const size_t at = digits.find(digit);
    if (at == std::string_view::npos) return std::nullopt;
    value = 16 * value + static_cast<int>(at < 16 ? at : at - 6);
  }
  return static_cast<char>(value);
}

Decoder byte_fallback(json::Value) {
  return [](const Texts& tokens) {
    Texts result;
    std::string run;
    const auto end_run = [&] {
      if (run.empty()) return;
      if (!utf8::first_fault(run)) result.push_back(run);
      else result.insert(result.end(), run.size(), "\uFFFD");
      run.clear();
    };
    for (const std::string& token : tokens) {
      if (const auto byte = byte_of_token(token)) {
        run += *byte;
        continue;
      }
      end_run();
      result.push_back(token);
    }
    end_run();
    return result;
  };
}

Decoder replace_in_tokens(json::Value step) {
  return [pattern = read_pattern(step), content = std::string(step.at("content").string("content"))](Texts tokens) {
    size_t bytes = 0;
    for (std::string& token : tokens) {
      token = replaced(pattern, token, content);
      require_bounded(bytes += token.size());
    }
    return tokens;
  };
}

Decoder strip_ends(json::Value step) {
  const std::string content(step.at("content").string("content"));
  if (content.empty()) throw_bad_input("the decoder Strip has no character to strip");
  return [content, start = step.at("start").integer("start"), stop = step.at("stop").integer("stop")](Texts tokens) {
    for (std::string& token : tokens) {
      std::string_view rest = token;
      for (int64_t left = start; left > 0 && rest.starts_with(content); --left) rest.remove_prefix(content.size());
      for (int64_t left = stop; left > 0 && rest.ends_with(content); --left) rest.remove_suffix(content.size());
      token = std::string(rest);
    }
    return tokens;
  };
}

Decoder metaspace_decoded(json::Value step) {
  const Metaspace read = read_metaspace(step);
  return [pattern = Regex::literal(read.mark), prepended = read.scheme != "never"](Texts tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = replaced(pattern, tokens[i], i == 0 && prepended ? "" : " ");
    return tokens;
  };
}

Decoder word_ends(json::Value step) {
  return [suffix = std::string(step.at("suffix").string("suffix"))](Texts tokens) {
    if (suffix.empty()) return tokens;
    const Regex pattern = Regex::literal(suffix);
    for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = replaced(pattern, tokens[i], i + 1 == tokens.size() ? "" : " ");
    return tokens;
  };
}

// Blanks before punctuation and contractions, as an English text has none.
std::string without_blanks(std::string token) {
  static const std::array<std::pair<Regex, std::string_view>, 11> marks = {{
      {Regex::literal(" ."), "."},
      {Regex::literal(" ?"), "?"},
      {Regex::literal(" !"), "!"},
      {Regex::literal(" ,"), ","},
      {Regex::literal(" ' "), "'"},
      {Regex::literal(" n't"), "n't"},
      {Regex::literal(" 'm"), "'m"},
      {Regex::literal(" do not"), " don't"},
      {Regex::literal(" 's"), "'s"},
      {Regex::literal(" 've"), "'ve"},
      {Regex::literal(" 're"), "'re"},
  }};
  for (const auto& [mark, closed_up] : marks) token = replaced(mark, token, closed_up);
  return token;
}

Decoder word_pieces(json::Value step) {
  return [prefix = std::string(text_or(step, "prefix", "##")), cleans = flag(step, "cleanup", true)](Texts tokens) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (i > 0 && tokens[i].starts_with(prefix)) tokens[i].erase(0, prefix.size());
      else if (i > 0) tokens[i].insert(0, " ");
      if (cleans) tokens[i] = without_blanks(std::move(tokens[i]));
    }
    return tokens;
  };
}

Decoder decoder_sequence(json::Value step) {
  return [steps = make_sequence(step, "decoders", make_decoder)](Texts tokens) {
    for (const Decoder& one : steps) tokens = one(std::move(tokens));
    return tokens;
  };
}

constexpr std::array<StepType<Decoder>, 9> decoder_types = {{
    {"Sequence", decoder_sequence},
    {"ByteLevel", byte_level_decoded},
    {"ByteFallback", byte_fallback},
    {"Fuse", fuse},
    {"Replace", replace_in_tokens},
    {"Strip", strip_ends},
    {"Metaspace", metaspace_decoded},
    {"BPEDecoder", word_ends},
    {"WordPiece", word_pieces},
}};

}  // namespace

Decoder make_decoder(json::Value section) { return make_step(decoder_types, section, "decoder"); }

}  // namespace intaglio::data
