#include <chrono>
#include <cstdio>
#include <memory>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "cli/cli.h"
#include "cli/files.h"
#include "cli/output.h"
#include "cli/text_input.h"
#include "report/cached_pair.h"
#include "report/generation.h"

namespace intaglio::cli {
namespace {

struct GenerateArguments {
  std::string model;
  std::string prompt;
  std::string tokens;
  std::string tokenizer;
  report::GenerationOptions options;
  std::chrono::milliseconds timeout{300'000};
  CLI::Option* prompt_option = nullptr;
};

// Prints text as it grows: only whole characters, tabs and line ends as they are.
class TextStream {
 public:
  explicit TextStream(const data::Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void take(int64_t id, bool shown) {
    ids_.push_back(id);
    if (!shown) return;
    text_ = tokenizer_.decode(ids_);
    if (!text_.ends_with("\uFFFD")) print();
  }
  void finish(bool shown) {
    if (!shown) return;
    print();
    say("\n");
  }
  std::string text() const { return tokenizer_.decode(ids_); }

 private:
  void print() {
    std::string_view fresh = std::string_view(text_).substr(std::min(printed_, text_.size()));
    for (size_t tab; (tab = fresh.find('\t')) != std::string_view::npos; fresh.remove_prefix(tab + 1)) {
      say("{}", fresh.substr(0, tab));
      std::fputc('\t', stdout);
    }
    say("{}", fresh);
    std::fflush(stdout);
    printed_ = text_.size();
  }

  const data::Tokenizer& tokenizer_;
  std::vector<int64_t> ids_;
  std::string text_;
  size_t printed_ = 0;
};

double per_second(size_t count, double seconds) { return seconds > 0 ? static_cast<double>(count) / seconds : 0; }

void print_json(const GenerateArguments& arguments, const std::vector<int64_t>& prompt, const report::Generation& generation,
                const std::optional<std::string>& text) {
  Json result = document("intaglio.generate/1");
  result["model"] = arguments.model;
  result["prompt_tokens"] = prompt;
  result["tokens"] = generation.ids;
  result["text"] = text ? Json(*text) : Json(nullptr);
  result["stopped_by"] = generation.stopped ? Json(generation.ids.back()) : Json(nullptr);
  result["first_token_seconds"] = generation.first_token_seconds;
  result["prompt_tokens_per_second"] = per_second(prompt.size(), generation.first_token_seconds);
  const size_t later = generation.ids.empty() ? 0 : generation.ids.size() - 1;
  result["tokens_per_second"] = per_second(later, generation.later_seconds);
  print(result);
}

void print_speed(size_t prompt, const report::Generation& generation) {
  const size_t later = generation.ids.empty() ? 0 : generation.ids.size() - 1;
  say(stderr, fmt::format("{} prompt tokens, first token after {:.3f} s ({:.1f} tokens/s); {} more tokens in {:.3f} s ({:.1f} tokens/s)\n",
                          prompt, generation.first_token_seconds, per_second(prompt, generation.first_token_seconds), later,
                          generation.later_seconds, per_second(later, generation.later_seconds)));
}

void generate(const GenerateArguments& arguments, const CommonOptions& common) {
  if ((arguments.prompt_option->count() > 0) == !arguments.tokens.empty())
    throw_usage("`generate` takes either --prompt TEXT or --tokens IDS; give one of them");
  report::LanguageModel model(report::open_language_model(arguments.model, {.threads = common.threads, .timeout = arguments.timeout}),
                              arguments.model);
  const bool needs_text = arguments.tokens.empty();
  const TextInput input(arguments.tokenizer, arguments.model, model.vocab_size(), needs_text);
  const std::vector<int64_t> prompt = needs_text ? input.encode(arguments.prompt) : token_list(arguments.tokens);
  report::GenerationOptions options = arguments.options;
  options.stop_ids = model.eos_ids().empty() ? input.eos_ids() : model.eos_ids();

  const bool shown = !common.json && !common.quiet;
  std::optional<TextStream> text;
  if (input.tokenizer() != nullptr) text.emplace(*input.tokenizer());
  const report::Generation generation = report::generate(model, prompt, options, [&](int64_t id) {
    if (text) text->take(id, shown);
  });
  if (common.json) return print_json(arguments, prompt, generation, text ? std::optional(text->text()) : std::nullopt);
  if (!shown) return;
  if (text) text->finish(shown);
  else say("{}\n", fmt::join(generation.ids, " "));
  if (std::fflush(stdout) != 0) return;  // what cannot be printed is told at the end
  print_speed(prompt.size(), generation);
}

}  // namespace

void add_generate(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("generate", "text from a causal language model, on the ExecuTorch runtime");
  const auto arguments = std::make_shared<GenerateArguments>();
  reading(command->add_option("MODEL", arguments->model, "a .pte (or a .pt2, on the interpreter)"))->required();
  arguments->prompt_option = any_text(command->add_option("--prompt", arguments->prompt, "the text to go on with"));
  reading(command->add_option("--tokens", arguments->tokens, "the same as token ids: `1,15043`, or a file of them"));
  reading(command->add_option("--tokenizer", arguments->tokenizer, "tokenizer.json or a SentencePiece .model (default: beside the model)"));
  command->add_option("--max-new-tokens", arguments->options.max_new_tokens, "tokens at most (default 128)")->check(CLI::Range(1, 1 << 24));
  command->add_option("--temperature", arguments->options.temperature, "0, the default: the likeliest token; else tokens are drawn")
      ->check(number_within(0, 1000));
  command->add_option("--seed", arguments->options.seed, "of the draws (default 0)");
  add_timeout_option(*command, arguments->timeout);
  command->callback([arguments, &common] { generate(*arguments, common); });
}

}  // namespace intaglio::cli
