#include "ir/parse_argument.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/program_text.h"

namespace intaglio {
namespace {

constexpr int deepest = 32;

std::optional<size_t> index_in(const auto& words, std::string_view word) {
  const auto found = std::ranges::find(words, word);
  return found == words.end() ? std::nullopt : std::optional(static_cast<size_t>(found - words.begin()));
}

Argument empty_list(ArgType type) {
  switch (type) {
    case ArgType::tensor_list:
    case ArgType::optional_tensor_list: return std::vector<Value*>();
    case ArgType::floating_list: return std::vector<double>();
    case ArgType::boolean_list: return std::vector<bool>();
    case ArgType::string_list: return std::vector<std::string>();
    default: return std::vector<int64_t>();
  }
}

bool is_empty(const Argument& item) {
  const auto* list = item.get_if<std::vector<int64_t>>();
  return list != nullptr && list->empty();
}

// The items as one vector of T when each is a T, or is what `also` takes for one.
template <typename T>
std::optional<Argument> list_of(const std::vector<Argument>& items, bool (*also)(const Argument&) = nullptr) {
  std::vector<T> result;
  for (const Argument& item : items) {
    if (const T* value = item.get_if<T>()) result.push_back(*value);
    else if (also != nullptr && also(item)) result.emplace_back();
    else return std::nullopt;
  }
  return result;
}

std::optional<Argument> symbol_list(const std::vector<Argument>& items) {
  std::vector<SymArg> result;
  for (const Argument& item : items) {
    if (const auto* number = item.get_if<int64_t>()) result.emplace_back(*number);
    else if (const auto* real = item.get_if<double>()) result.emplace_back(*real);
    else if (const auto* flag = item.get_if<bool>()) result.emplace_back(*flag);
    else if (Value* const* value = item.get_if<Value*>(); value != nullptr && !(*value)->is_tensor()) result.emplace_back(*value);
    else return std::nullopt;
  }
  return result;
}

bool is_symbolic(const Argument& item) {
  Value* const* value = item.get_if<Value*>();
  if (value == nullptr) return false;
  const ValueKind kind = (*value)->kind();
  return kind == ValueKind::sym_int || kind == ValueKind::sym_float || kind == ValueKind::sym_bool;
}

std::optional<Argument> list_argument(const std::vector<Argument>& items, ArgType type) {
  const bool symbols = std::ranges::any_of(items, is_symbolic);
  const auto none = [](const Argument& item) { return item.is_none(); };
  if (items.empty()) return empty_list(type);
  if (auto list = list_of<int64_t>(items)) return list;
  if (auto list = list_of<double>(items)) return list;
  if (auto list = list_of<bool>(items)) return list;
  if (auto list = list_of<std::string>(items)) return list;
  if (!symbols)
    if (auto list = list_of<Value*>(items, none)) return list;
  if (auto list = symbol_list(items)) return list;
  if (auto list = list_of<std::vector<int64_t>>(items)) return list;
  if (auto list = list_of<std::vector<double>>(items, is_empty)) return list;
  return list_of<std::vector<Value*>>(items, is_empty);
}

// True and int8, channels_last and strided, cpu and cuda:0.
Argument word_argument(TextReader& reader, ArgType type) {
  const std::string word = reader.word();
  const auto device = [&] {
    Device result{word, std::nullopt};
    if (reader.take(":")) result.index = reader.number<int64_t>();
    return result;
  };
  if (type == ArgType::device) return device();
  if (word == "True") return true;
  if (word == "False") return false;
  if (const auto dtype = dtype_from_name(word)) return *dtype;
  if (const auto format = index_in(memory_format_words, word)) return static_cast<MemoryFormat>(*format);
  if (const auto layout = index_in(layout_words, word)) return static_cast<Layout>(*layout);
  return device();
}

Argument bracketed(const ArgumentContext& context, ArgType type, int depth) {
  TextReader& reader = context.reader;
  const size_t start = reader.position();
  reader.expect("[");
  std::vector<Argument> items;
  while (!reader.take("]")) {
    if (!items.empty()) reader.expect(",");
    items.push_back(parse_argument(context, ArgType::other, depth + 1));
  }
  std::optional<Argument> list = list_argument(items, type);
  if (!list) reader.fail_at(start, "the list holds things of different kinds");
  return *list;
}

Argument map_argument(const ArgumentContext& context, int depth) {
  auto map = std::make_shared<ArgumentMap>();
  context.reader.expect("{");
  while (!context.reader.take("}")) {
    if (!map->empty()) context.reader.expect(",");
    std::string key = context.reader.word();
    context.reader.expect(":");
    map->emplace_back(std::move(key), parse_argument(context, ArgType::other, depth + 1));
  }
  return map;
}

Argument complex_argument(TextReader& reader) {
  reader.expect("(");
  const double real = reader.number<double>();
  reader.expect("+");
  const double imaginary = reader.number<double>();
  reader.expect("j");
  reader.expect(")");
  return std::complex<double>(real, imaginary);
}

}  // namespace

Value* parse_reference(const ArgumentContext& context) {
  context.reader.expect("%");
  const size_t start = context.reader.position();
  const std::string name = context.reader.word();
  const auto found = context.values.find(name);
  if (found == context.values.end()) context.reader.fail_at(start, fmt::format("there is no value '{}' before this line", escaped(name)));
  return found->second;
}

Argument parse_argument(const ArgumentContext& context, ArgType type, int depth) {
  TextReader& reader = context.reader;
  if (depth > deepest) reader.fail(fmt::format("lists are nested more than {} deep", deepest));
  if (reader.at("%")) return parse_reference(context);
  if (reader.at("[")) return bracketed(context, type, depth);
  if (reader.at("{")) return map_argument(context, depth);
  if (reader.at("(")) return complex_argument(reader);
  if (reader.at("'") && type != ArgType::device) return reader.quoted();
  if (reader.take_word("None")) return {};
  if (reader.take_word("graph")) {
    auto subgraph = std::make_shared<Subgraph>();
    subgraph->name = reader.word();
    reader.expect("{");
    subgraph->graph = context.parse_subgraph();
    reader.expect("}");
    return subgraph;
  }
  if (reader.take_word("object")) {
    std::string name = reader.quoted();
    return CustomObject{std::move(name), reader.quoted()};
  }
  if (reader.take_word("op")) return OpName{reader.quoted()};
  if (!reader.at_number()) return word_argument(reader, type);
  if (reader.number_is_integer()) return reader.number<int64_t>();
  return reader.number<double>();
}

}  // namespace intaglio
