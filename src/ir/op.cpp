#include <intaglio/op.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

struct SchemaRow {
  std::string_view name;
  std::string_view text;
};
constexpr SchemaRow schema_rows[] = {
#include "ir/op_schemas.inc"
};

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// Splits at commas that stand outside brackets and quotes.
std::vector<std::string_view> split_arguments(std::string_view text) {
  std::vector<std::string_view> parts;
  int depth = 0;
  char quote = 0;
  size_t start = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') quote = c;
    else if (c == '(' || c == '[') ++depth;
    else if (c == ')' || c == ']') --depth;
    else if (c == ',' && depth == 0) {
      parts.push_back(trim(text.substr(start, i - start)));
      start = i + 1;
    }
  }
  if (!trim(text.substr(start)).empty()) parts.push_back(trim(text.substr(start)));
  return parts;
}

struct TypeRow {
  std::string_view name;
  ArgType plain;
  ArgType list;
};
constexpr TypeRow types[] = {
    {"Tensor", ArgType::tensor, ArgType::tensor_list},
    {"int", ArgType::integer, ArgType::integer_list},
    {"SymInt", ArgType::integer, ArgType::integer_list},
    {"float", ArgType::floating, ArgType::floating_list},
    {"SymFloat", ArgType::floating, ArgType::floating_list},
    {"bool", ArgType::boolean, ArgType::boolean_list},
    {"SymBool", ArgType::boolean, ArgType::boolean_list},
    {"Scalar", ArgType::scalar, ArgType::scalar_list},
    {"str", ArgType::string, ArgType::string_list},
    {"ScalarType", ArgType::scalar_type, ArgType::other},
    {"MemoryFormat", ArgType::memory_format, ArgType::other},
    {"Layout", ArgType::layout, ArgType::other},
    {"Device", ArgType::device, ArgType::other},
};

// `Tensor(a!)[]?`, `SymInt[2]?`, `Tensor?[]`
struct ParsedType {
  ArgType type = ArgType::other;
  bool optional = false;
  int fixed_length = 0;
  bool mutated = false;
  bool aliased = false;
};

// Where the type at the start of the text ends: at the first blank outside brackets.
size_t end_of_type(std::string_view text) {
  int depth = 0;
  size_t end = 0;
  while (end < text.size() && (depth > 0 || text[end] != ' ')) {
    if (text[end] == '(' || text[end] == '[') ++depth;
    if (text[end] == ')' || text[end] == ']') --depth;
    ++end;
  }
  return end;
}

ParsedType parse_type(std::string_view text) {
  ParsedType result;
  const size_t end = text.find_first_of("([?");
  const std::string_view base = text.substr(0, end);
  std::string_view rest = end == std::string_view::npos ? std::string_view() : text.substr(end);
  bool is_list = false, optional_element = false;
  while (!rest.empty()) {
    if (rest.front() == '?') {
      if (rest.find('[') != std::string_view::npos) optional_element = true;
      else result.optional = true;
      rest.remove_prefix(1);
    } else {
      const size_t close = rest.find(rest.front() == '(' ? ')' : ']');
      if (close == std::string_view::npos) throw_bug(fmt::format("malformed schema type '{}'", text));
      const std::string_view inside = rest.substr(1, close - 1);
      if (rest.front() == '(') {
        result.aliased = true;
        result.mutated |= inside.find('!') != std::string_view::npos;
      } else {
        is_list = true;
        if (!inside.empty()) result.fixed_length = std::stoi(std::string(inside));
      }
      rest.remove_prefix(close + 1);
    }
  }
  for (const TypeRow& row : types)
    if (row.name == base) result.type = is_list ? row.list : row.plain;
  if (result.type == ArgType::tensor && result.optional) result.type = ArgType::optional_tensor;
  if (result.type == ArgType::tensor_list && optional_element) result.type = ArgType::optional_tensor_list;
  return result;
}

ArgSchema parse_argument(std::string_view text, bool keyword_only) {
  ArgSchema argument;
  argument.keyword_only = keyword_only;
  const size_t end = end_of_type(text);
  const ParsedType type = parse_type(text.substr(0, end));
  argument.type = type.type;
  argument.optional = type.optional;
  argument.fixed_length = type.fixed_length;
  argument.mutated = type.mutated;
  argument.aliased = type.aliased;
  std::string_view rest = trim(text.substr(end));
  const size_t equals = rest.find('=');
  argument.name = std::string(trim(rest.substr(0, equals)));
  if (equals != std::string_view::npos) argument.default_text = std::string(trim(rest.substr(equals + 1)));
  return argument;
}

// Records live as long as the process: programs of any lifetime refer to them.
struct Registry {
  std::mutex mutex;
  std::unordered_map<std::string_view, std::unique_ptr<Op::Record>> records;
  std::unordered_map<std::string_view, std::unique_ptr<OpSchema>> schemas;
};
Registry& registry() {
  static Registry* instance = new Registry;  // never destroyed: ops are used during static destruction too
  return *instance;
}

const OpSchema* find_schema_locked(Registry& all, std::string_view name) {
  if (const auto found = all.schemas.find(name); found != all.schemas.end()) return found->second.get();
  const SchemaRow* row = std::lower_bound(std::begin(schema_rows), std::end(schema_rows), name,
                                          [](const SchemaRow& a, std::string_view b) { return a.name < b; });
  if (row == std::end(schema_rows) || row->name != name) return nullptr;
  auto schema = std::make_unique<OpSchema>(parse_schema(row->text));
  return all.schemas.emplace(row->name, std::move(schema)).first->second.get();
}

}  // namespace

OpSchema parse_schema(std::string_view text) {
  OpSchema schema;
  const size_t open = text.find('(');
  const size_t arrow = text.rfind(" -> ");
  if (open == std::string_view::npos || arrow == std::string_view::npos || arrow < open + 1)
    throw_bug(fmt::format("malformed schema '{}'", text));
  std::string name(text.substr(0, open));
  if (const size_t colons = name.find("::"); colons != std::string::npos) name.replace(colons, 2, ".");
  if (std::count(name.begin(), name.end(), '.') < 2) name += ".default";
  schema.name = std::move(name);

  bool keyword_only = false;
  for (const std::string_view part : split_arguments(text.substr(open + 1, arrow - open - 2))) {
    if (part == "*") keyword_only = true;
    else schema.arguments.push_back(parse_argument(part, keyword_only));
  }
  std::string_view returns = trim(text.substr(arrow + 4));
  if (!returns.empty() && returns.front() == '(') returns = returns.substr(1, returns.size() - 2);
  for (const std::string_view part : split_arguments(returns)) {
    const ParsedType type = parse_type(part.substr(0, end_of_type(part)));
    schema.returns.push_back({type.type, type.aliased, type.mutated});
  }
  return schema;
}

const OpSchema* find_schema(std::string_view name) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  return find_schema_locked(all, name);
}

Op Op::get(std::string_view name) {
  Registry& all = registry();
  const std::lock_guard lock(all.mutex);
  if (const auto found = all.records.find(name); found != all.records.end()) return Op(found->second.get());
  auto record = std::make_unique<Record>(Record{std::string(name), find_schema_locked(all, name)});
  const Record* interned = record.get();
  all.records.emplace(interned->name, std::move(record));
  return Op(interned);
}

std::string_view Op::name_space() const { return name().substr(0, name().find('.')); }
std::string_view Op::base() const {
  const size_t first = name().find('.');
  if (first == std::string_view::npos) return name();
  const std::string_view rest = name().substr(first + 1);
  return rest.substr(0, rest.find('.'));
}
std::string_view Op::overload() const {
  const size_t first = name().find('.');
  const size_t second = first == std::string_view::npos ? first : name().find('.', first + 1);
  return second == std::string_view::npos ? std::string_view() : name().substr(second + 1);
}

const ArgSchema* OpSchema::find(std::string_view argument) const {
  const std::optional<size_t> index = index_of(argument);
  return index ? &arguments[*index] : nullptr;
}
std::optional<size_t> OpSchema::index_of(std::string_view argument) const {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (arguments[i].name == argument) return i;
  return std::nullopt;
}
bool OpSchema::is_inplace() const {
  return std::any_of(arguments.begin(), arguments.end(), [](const ArgSchema& a) { return a.mutated; });
}
bool OpSchema::is_view() const {
  return std::any_of(returns.begin(), returns.end(), [](const ReturnSchema& r) { return r.aliased && !r.mutated; });
}

}  // namespace intaglio
