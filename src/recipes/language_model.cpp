#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/language_model.h>

#include "base/is_there.h"
#include "base/mapped_file.h"
#include "ir/json.h"
#include "ir/memory.h"

namespace intaglio {
namespace recipes {
namespace {

// ---- the program

[[noreturn]] void refuse(const ExportedProgram& program, const std::string& what) {
  throw_bad_input(fmt::format("{}: the text runner {}", program.source.empty() ? "the program" : escaped(program.source), what));
}

std::string description(const Value* value) { return fmt::format("'{}', {}", escaped(value->name()), to_string(value->meta())); }

// The most that a size can be; an error names the input when it has no bound.
int64_t most(const ExportedProgram& program, const Value* input, const SymInt& size) {
  if (size.is_static()) return size.value();
  const auto bound = bounds(*size.expression(), program.range_constraints).max;
  if (!bound) refuse(program, fmt::format("plans memory for the longest {}: export it with Dim(..., max=N)", description(input)));
  return *bound;
}

struct Prompt {
  int64_t tokens = 1;  // the most of one call
  bool is_dynamic = false;
  bool has_positions = false;
};

Prompt prompt_of(const ExportedProgram& program) {
  std::vector<Value*> inputs;
  for (Value* input : program.user_inputs())
    if (input->kind() != ValueKind::none && input->kind() != ValueKind::literal) inputs.push_back(input);
  const auto is_ids = [](const Value* value, int64_t rank) {
    return value->is_tensor() && value->dtype() == DType::int64 && value->meta().rank() == rank;
  };
  if (inputs.empty()) refuse(program, "gives tokens, and this program takes no input");
  const Value* tokens = inputs[0];
  if (!is_ids(tokens, 2) || !(tokens->sizes()[0] == SymInt(1)))
    refuse(program,
           fmt::format("gives tokens int64[1, n] as the first input, not {}", tokens->is_tensor() ? description(tokens) : tokens->name()));
  if (inputs.size() > 2)
    refuse(program, fmt::format("gives tokens and positions alone, and the program asks for '{}' too", inputs[2]->name()));
  const SymInt& count = tokens->sizes()[1];
  Prompt prompt{most(program, tokens, count), !count.is_static(), inputs.size() == 2};
  if (!prompt.has_positions) return prompt;
  const Value* positions = inputs[1];
  if (!is_ids(positions, 1))
    refuse(program, fmt::format("gives positions int64[n] as the second input, not {}", escaped(positions->name())));
  const int64_t given = most(program, positions, positions->sizes()[0]);
  if (given != 1 && given != prompt.tokens)
    refuse(program,
           fmt::format("gives a position for each token, or the first one's alone, and {} has room for {}", description(positions), given));
  return prompt;
}

int64_t vocabulary_of(const ExportedProgram& program) {
  const std::vector<Argument> outputs = program.user_outputs();
  Value* const* logits = outputs.size() == 1 ? outputs[0].get_if<Value*>() : nullptr;
  if (!logits || !*logits || !(*logits)->is_tensor())
    refuse(program, fmt::format("reads one output, the logits, and the program has {}: return logits alone", outputs.size()));
  const Value* value = *logits;
  const SymSizes& sizes = value->sizes();
  if (!is_floating(value->dtype()) || value->dtype() == DType::float64 || sizes.size() < 2 || sizes.size() > 3 ||
      !(sizes[0] == SymInt(1)) || !sizes.back().is_static())
    refuse(program, fmt::format("reads logits float[1, n, vocabulary] or float[1, vocabulary], not {}", description(value)));
  return sizes.back().value();
}

// Where a node writes rows into its first operand: the dimension that positions count along.
std::optional<int64_t> written_dimension(const Node& node) {
  const std::string_view base = node.op().base();
  if (node.is("llama.update_cache.default")) return 1;
  if (base == "index_copy" || base == "index_copy_") return node.integer("dim");
  if (base != "index_put" && base != "index_put_" && base != "_unsafe_index_put") return std::nullopt;
  const std::vector<Value*> indices = node.tensors("indices");
  const auto first = std::ranges::find_if(indices, [](const Value* index) { return index != nullptr; });
  return first == indices.end() ? std::nullopt : std::optional<int64_t>(first - indices.begin());
}

// Positions of the shortest cache among the mutated buffers.
std::optional<int64_t> cache_length(const ExportedProgram& program) {
  std::optional<int64_t> shortest;
  for (const Node* node : program.graph().node_list()) {
    const auto dim = node->arguments().empty() ? std::nullopt : written_dimension(*node);
    const Value* operand = dim ? node->tensor(node->is("llama.update_cache.default") ? "cache" : "self") : nullptr;
    const Value* written = operand;  // a view of the buffer may have other dimensions than it
    while (written && written->producer()) written = memory_operand(*written->producer());
    const InputSpec* spec = written ? program.spec_of(written) : nullptr;
    if (!spec || spec->kind != InputSpec::Kind::buffer) continue;
    const int64_t counted = dim.value_or(0);
    const auto at = static_cast<size_t>(counted < 0 ? counted + operand->meta().rank() : counted);
    if (at >= operand->sizes().size()) continue;
    const SymInt& size = operand->sizes()[at];
    if (size.is_static()) shortest = std::min(shortest.value_or(size.value()), size.value());
  }
  return shortest;
}

// ---- the folder

class Json {
 public:
  Json(std::filesystem::path path, bool is_required) : path_(std::move(path)) {
    if (!is_required && !is_there(path_)) return;
    const auto file = MappedFile::open(path_);
    within([&] {
      const auto bytes = file->bytes();
      document_.emplace(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
      if (!document_->root().is_object()) throw_bad_input("is no JSON object");
    });
  }

  bool was_read() const { return document_.has_value(); }
  // Models of several kinds of input keep what is their text's apart.
  std::optional<json::Value> find(std::string_view key) const {
    if (!document_) return std::nullopt;
    const json::Value root = document_->root();
    if (const auto found = root.find(key); found && !found->is_null()) return found;
    const auto text = root.find("text_config");
    return text && text->is_object() ? text->find(key) : std::nullopt;
  }
  std::string name() const { return escaped(path_.string()); }

  // One number or several.
  std::vector<int64_t> integers(std::string_view key) const {
    std::vector<int64_t> result;
    const auto value = find(key);
    if (!value) return result;
    within([&] {
      if (!value->is_array()) result.push_back(value->integer(key));
      else
        for (const json::Value item : value->array(key)) result.push_back(item.integer(key));
    });
    return result;
  }

  template <typename Work>
  void within(const Work& work) const {
    try {
      work();
    } catch (const Error& error) { throw error.with_context(name()); }
  }

 private:
  std::filesystem::path path_;
  std::optional<json::Document> document_;
};

// The highest number of a token in a `tokenizer.json`; -1 without the file.
int64_t highest_token(const Json& tokenizer) {
  int64_t highest = -1;
  if (!tokenizer.was_read()) return highest;
  tokenizer.within([&] {
    const auto model = tokenizer.find("model");
    const auto vocabulary = model ? model->find("vocab") : std::nullopt;
    if (vocabulary && vocabulary->is_object())
      for (const auto& [token, id] : vocabulary->object("vocab")) highest = std::max(highest, json::Value(id).integer("vocab"));
    if (vocabulary && vocabulary->is_array()) highest = static_cast<int64_t>(vocabulary->array("vocab").size()) - 1;
    if (const auto added = tokenizer.find("added_tokens"))
      for (const json::Value token : added->array("added_tokens")) highest = std::max(highest, token.at("id").integer("id"));
    if (highest < 0) throw_bad_input("has no vocabulary: it is no tokenizer; take the checkpoint's own");
  });
  return highest;
}

void check_tokens(const std::vector<int64_t>& tokens, int64_t vocabulary, std::string_view what) {
  for (const int64_t token : tokens)
    if (token < 0 || token >= vocabulary)
      throw_bad_input(
          fmt::format("{} {} is outside the program's vocabulary of {}: the folder is another model's", what, token, vocabulary));
}

// Tokens inside the vocabulary, of the first of the files that has the key.
std::vector<int64_t> tokens_of(std::initializer_list<const Json*> files, std::string_view key, int64_t vocabulary) {
  for (const Json* file : files)
    if (const auto found = file->integers(key); !found.empty()) {
      check_tokens(found, vocabulary, fmt::format("{}: {}", file->name(), key));
      return found;
    }
  return {};
}

std::vector<ConstantValue> values_of(const std::vector<int64_t>& integers) { return {integers.begin(), integers.end()}; }

// What takes the place of a value that the text runner reads has its kind, and its tokens are the program's.
void check_override(const std::vector<ConstantMethod>& methods, const ConstantMethod& known, const ConstantMethod& given) {
  const bool is_flag = std::holds_alternative<bool>(known.values.front()), may_be_several = known.name == "get_eos_ids";
  std::vector<int64_t> numbers;
  for (const ConstantValue& value : given.values)
    if (const auto* number = std::get_if<int64_t>(&value)) numbers.push_back(*number);
    else if (const auto* flag = std::get_if<bool>(&value); flag && is_flag) numbers.push_back(*flag);
  if (numbers.size() != given.values.size() || (numbers.size() > 1 && !may_be_several))
    throw_usage(fmt::format("--method-constant {}: the text runner reads {} here", known.name,
                            is_flag          ? "true or false"
                            : may_be_several ? "whole numbers"
                                             : "one whole number"));
  if (known.name == "get_max_seq_len" || known.name == "get_max_context_len")
    if (const int64_t most = std::get<int64_t>(known.values.front()); numbers[0] < 1 || numbers[0] > most)
      throw_usage(
          fmt::format("--method-constant {}: {} is not within 1 and {}, what the program has room for", known.name, numbers[0], most));
  const auto vocabulary = std::ranges::find(methods, "get_vocab_size", &ConstantMethod::name);
  if ((known.name != "get_eos_ids" && known.name != "get_bos_id") || vocabulary == methods.end()) return;
  for (const int64_t token : numbers)
    if (const int64_t count = std::get<int64_t>(vocabulary->values.front()); token < 0 || token >= count)
      throw_usage(fmt::format("--method-constant {}: token {} is outside the program's vocabulary of {}", known.name, token, count));
}

constexpr std::string_view too_large = "a number of 64 bits is expected; in quotes it is a text";

[[noreturn]] void refuse_value(const std::string& name, std::string_view text, std::string_view why) {
  throw_usage(fmt::format("--method-constant {}={}: {}", escaped(name), escaped(text, 60), why));
}

// Of a text that is a number in digits, whether no number of 64 bits holds it.
bool is_too_large(std::string_view text) {
  const char* end = text.data() + text.size();
  const auto overflows = [&](auto number) {
    const auto [last, error] = std::from_chars(text.data(), end, number);
    return error == std::errc::result_out_of_range && last == end;
  };
  return overflows(int64_t{}) || overflows(double{});
}

ConstantValue constant_value(const json::Value& value, const std::string& name) {
  const std::string text = value.text();
  if (value.is_string()) return std::string(value.string(name));
  if (text == "true" || text == "false") return text == "true";
  if (value.is_null() || value.is_object() || value.is_array())
    throw_usage(fmt::format("--method-constant {}: a number, a boolean, a text or a list of these is expected", escaped(name)));
  if (text.find_first_of(".eE") != std::string::npos) return value.number(name);
  if (is_too_large(text)) refuse_value(name, text, too_large);
  return value.integer(name);
}

}  // namespace
}  // namespace recipes

std::vector<ConstantMethod> text_runner_methods(const ExportedProgram& forward, const std::filesystem::path& folder) {
  using namespace recipes;
  const Prompt prompt = prompt_of(forward);
  const int64_t vocabulary = vocabulary_of(forward);
  const int64_t context = cache_length(forward).value_or(prompt.tokens);
  if (prompt.tokens > context)
    refuse(forward, fmt::format("may give {} tokens in one call, and the cache has {} positions", prompt.tokens, context));

  const Json config(folder / "config.json", true), generation(folder / "generation_config.json", false),
      tokenizer(folder / "tokenizer.json", false);
  const std::vector<int64_t> bos = tokens_of({&generation, &config}, "bos_token_id", vocabulary),
                             eos = tokens_of({&generation, &config}, "eos_token_id", vocabulary);
  if (const auto size = config.integers("vocab_size"); !size.empty() && size.front() != vocabulary)
    throw_bad_input(fmt::format("{}: vocab_size is {}, and the program's logits have {}: the folder is another model's", config.name(),
                                size.front(), vocabulary));
  if (const int64_t highest = highest_token(tokenizer); highest >= vocabulary)
    check_tokens({highest}, vocabulary, tokenizer.name() + ": token");
  if (eos.empty())
    throw_bad_input(fmt::format(
        "{}: no eos_token_id says where a text ends, there or in generation_config.json; add it as a number or a list", config.name()));

  std::vector<ConstantMethod> methods = {
      {"get_max_seq_len", {prompt.is_dynamic ? prompt.tokens : context}},
      {"get_max_context_len", {context}},
      {"use_kv_cache", {prompt.has_positions}},
      {"enable_dynamic_shape", {prompt.is_dynamic}},
      {"get_eos_ids", values_of(eos)},
      {"get_vocab_size", {vocabulary}},
  };
  if (!bos.empty()) methods.push_back({"get_bos_id", {bos.front()}});
  return methods;
}

std::vector<ConstantMethod> overridden(std::vector<ConstantMethod> methods, std::vector<ConstantMethod> given) {
  for (ConstantMethod& method : given) {
    const auto known = std::ranges::find(methods, method.name, &ConstantMethod::name);
    if (known == methods.end()) {
      methods.push_back(std::move(method));
      continue;
    }
    recipes::check_override(methods, *known, method);
    *known = std::move(method);
  }
  return methods;
}

ConstantMethod parse_constant_method(const std::string& pair) {
  const size_t equals = pair.find('=');
  const std::string name = pair.substr(0, equals);
  constexpr const char* letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
  if (equals == std::string::npos || name.empty() || name.find_first_not_of(letters) != std::string::npos)
    throw_usage(fmt::format("--method-constant {}: expected NAME=VALUE, as in get_max_seq_len=2048", escaped(pair)));
  const std::string text = pair.substr(equals + 1);
  std::optional<json::Document> document;
  try {
    document.emplace(text);
  } catch (const Error& error) {
    // What begins as a list or a quoted text is meant to be one; other words are texts.
    if (recipes::is_too_large(text)) recipes::refuse_value(name, text, recipes::too_large);
    if (text.starts_with('[') || text.starts_with('"') || text.starts_with('{')) recipes::refuse_value(name, text, error.what());
    return {name, {text}};
  }
  ConstantMethod method{name, {}};
  const json::Value root = document->root();
  if (!root.is_array()) method.values.push_back(recipes::constant_value(root, name));
  else
    for (const json::Value item : root.array(name)) method.values.push_back(recipes::constant_value(item, name));
  if (method.values.empty()) throw_usage(fmt::format("--method-constant {}: an empty list", escaped(pair)));
  return method;
}

}  // namespace intaglio
