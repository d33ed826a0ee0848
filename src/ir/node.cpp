// Reading a node: arguments with their defaults, and where it comes from in the user's model.
#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/graph.h>

#include "ir/visit_values.h"

namespace intaglio {
namespace {

[[noreturn]] void wrong_type(const Node& node, std::string_view argument, const char* wanted) {
  throw_unsupported(fmt::format("{}: argument '{}' is not {}", describe(node), argument, wanted));
}

int64_t parse_integer(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// Default values as schemas spell them.
Argument default_value(const ArgSchema& schema) {
  const std::string& text = *schema.default_text;
  if (text == "None") return {};
  if (text == "True") return true;
  if (text == "False") return false;
  if (text.front() == '"' || text.front() == '\'') return text.substr(1, text.size() - 2);
  if (text == "contiguous_format") return MemoryFormat::contiguous;
  if (text == "preserve_format") return MemoryFormat::preserve;
  if (text == "strided") return Layout::strided;
  if (text == "long") return DType::int64;
  if (text == "Mean") return int64_t{1};
  if (schema.type == ArgType::scalar_type)  // ATen's numbers: 24, 4, 6
    return text == "24" ? DType::float8_e4m3fn : text == "4" ? DType::int64 : DType::float32;
  const bool floating_list = schema.type == ArgType::floating_list;
  if (text.front() == '[') {
    std::vector<int64_t> integers;
    std::vector<double> numbers;
    size_t start = 1;
    while (start < text.size() - 1) {
      const size_t end = std::min(text.find(',', start), text.size() - 1);
      std::string item = text.substr(start, end - start);
      item.erase(0, item.find_first_not_of(' '));
      integers.push_back(parse_integer(item));
      numbers.push_back(std::stod(item));
      start = end + 1;
    }
    if (floating_list) return numbers;
    return integers;
  }
  const bool is_float = text.find_first_of(".en") != std::string::npos;
  if (schema.type == ArgType::floating || is_float) return std::stod(text);
  if (schema.type == ArgType::integer_list && schema.fixed_length > 0)
    return std::vector<int64_t>(static_cast<size_t>(schema.fixed_length), parse_integer(text));
  return parse_integer(text);
}

}  // namespace

const Argument* Node::find(std::string_view argument) const {
  for (const NamedArgument& candidate : arguments_)
    if (candidate.name == argument) return &candidate.value;
  return nullptr;
}

Argument Node::argument(std::string_view argument) const {
  if (const Argument* written = find(argument)) return *written;
  const ArgSchema* schema = op_.schema() == nullptr ? nullptr : op_.schema()->find(argument);
  if (schema == nullptr || !schema->default_text) throw_unsupported(fmt::format("{}: argument '{}' is missing", describe(*this), argument));
  return default_value(*schema);
}

Value* Node::optional_tensor(std::string_view name) const {
  const Argument value = argument(name);
  if (value.is_none()) return nullptr;
  if (Value* const* single = value.get_if<Value*>(); single != nullptr && (*single)->is_tensor()) return *single;
  if (Value* const* single = value.get_if<Value*>(); single != nullptr && (*single)->kind() == ValueKind::none) return nullptr;
  wrong_type(*this, name, "a tensor");
}

Value* Node::tensor(std::string_view name) const {
  Value* value = optional_tensor(name);
  if (value == nullptr) wrong_type(*this, name, "a tensor");
  return value;
}

List<Value*> Node::tensors(std::string_view name) const {
  const Argument value = argument(name);
  if (const auto* list = value.get_if<std::vector<Value*>>()) return *list;
  // An empty list carries no element type.
  if (const auto* empty = value.get_if<std::vector<int64_t>>(); empty != nullptr && empty->empty()) return {};
  wrong_type(*this, name, "a list of tensors");
}

std::optional<int64_t> Node::optional_integer(std::string_view name) const {
  const Argument value = argument(name);
  if (value.is_none()) return std::nullopt;
  if (const int64_t* number = value.get_if<int64_t>()) return *number;
  if (const bool* flag = value.get_if<bool>()) return *flag ? 1 : 0;
  wrong_type(*this, name, "a constant integer");
}

int64_t Node::integer(std::string_view name) const {
  const std::optional<int64_t> value = optional_integer(name);
  if (!value) wrong_type(*this, name, "a constant integer");
  return *value;
}

List<int64_t> Node::integers(std::string_view name) const {
  const Argument value = argument(name);
  if (value.is_none()) return {};
  const ArgSchema* schema = op_.schema() == nullptr ? nullptr : op_.schema()->find(name);
  const size_t length = schema == nullptr ? 0 : static_cast<size_t>(schema->fixed_length);
  if (const int64_t* number = value.get_if<int64_t>()) return List<int64_t>(std::max<size_t>(length, 1), *number);
  List<int64_t> result;
  if (const auto* list = value.get_if<std::vector<int64_t>>()) {
    result = *list;
  } else if (const auto* symbols = value.get_if<std::vector<SymArg>>()) {
    for (const SymArg& item : *symbols) {
      const int64_t* number = std::get_if<int64_t>(&item);
      if (number == nullptr) wrong_type(*this, name, "a list of constant integers");
      result.push_back(*number);
    }
  } else if (const auto* empty = value.get_if<std::vector<Value*>>(); empty == nullptr || !empty->empty()) {
    wrong_type(*this, name, "a list of integers");
  }
  if (result.size() == 1 && length > 1) result.resize(length, result[0]);
  return result;
}

std::optional<double> Node::optional_number(std::string_view name) const {
  const Argument value = argument(name);
  if (value.is_none()) return std::nullopt;
  if (const double* number = value.get_if<double>()) return *number;
  if (const int64_t* number = value.get_if<int64_t>()) return static_cast<double>(*number);
  if (const bool* flag = value.get_if<bool>()) return *flag ? 1.0 : 0.0;
  wrong_type(*this, name, "a constant number");
}

double Node::number(std::string_view name) const {
  const std::optional<double> value = optional_number(name);
  if (!value) wrong_type(*this, name, "a constant number");
  return *value;
}

bool Node::boolean(std::string_view name) const {
  const Argument value = argument(name);
  if (const bool* flag = value.get_if<bool>()) return *flag;
  if (const int64_t* number = value.get_if<int64_t>()) return *number != 0;
  wrong_type(*this, name, "a bool");
}

std::string Node::string(std::string_view name) const {
  const Argument value = argument(name);
  if (const std::string* text = value.get_if<std::string>()) return *text;
  wrong_type(*this, name, "a string");
}

std::optional<DType> Node::optional_dtype(std::string_view name) const {
  const Argument value = argument(name);
  if (value.is_none()) return std::nullopt;
  if (const DType* dtype = value.get_if<DType>()) return *dtype;
  wrong_type(*this, name, "a dtype");
}

Value* Node::output(size_t index) const {
  if (index >= outputs_.size()) throw std::out_of_range(fmt::format("result {} of {}", index, describe(*this)));
  return outputs_[index];
}

std::vector<Value*> Node::inputs() const {
  constexpr size_t few = 16;
  std::vector<Value*> result;
  std::unordered_set<const Value*> seen;  // of many
  const auto is_new = [&](Value* value) {
    if (named_values_ > few) return seen.insert(value).second;
    return std::ranges::find(result, value) == result.end();
  };
  for (const NamedArgument& argument : arguments_)
    visit_values(argument.value, [&](Value* value) {
      if (is_new(value)) result.push_back(value);
    });
  return result;
}

std::vector<ModuleScope> module_stack(const Node& node) {
  std::vector<ModuleScope> result;
  const auto found = node.metadata.find("nn_module_stack");
  if (found == node.metadata.end()) return result;
  const std::string& text = found->second;
  // Items `key,path,type` joined by ';'; commas inside brackets belong to the item (pt2 has no escaping).
  std::vector<std::string> parts(1);
  int depth = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const char c = i < text.size() ? text[i] : ';';
    if (c == '(' || c == '[') ++depth;
    if (c == ')' || c == ']') --depth;
    if (c == ';') {
      if (parts.size() != 3) return {};
      std::string path = parts[1];
      constexpr std::string_view root = "L['self']";
      if (path.starts_with(root)) path.erase(0, root.size());
      if (path.starts_with('.')) path.erase(0, 1);
      // What the exporter adds itself is of no module.
      if (path != "_empty_nn_module_stack_from_metadata_hook") result.push_back({std::move(path), parts[2]});
      parts.assign(1, "");
      depth = 0;
    } else if (c == ',' && depth == 0) parts.emplace_back();
    else parts.back() += c;
  }
  return result;
}

std::string layer_name(const Node& node) {
  const std::vector<ModuleScope> stack = module_stack(node);
  return stack.empty() ? "" : stack.back().path;
}

std::string source_line(const Node& node) {
  const auto found = node.metadata.find("stack_trace");
  if (found == node.metadata.end()) return "";
  // Python's traceback form: File "model.py", line 31, in forward. The innermost frame outside PyTorch is the user's.
  const std::string& text = found->second;
  std::string result;
  for (size_t at = text.find("File \""); at != std::string::npos; at = text.find("File \"", at + 1)) {
    const size_t start = at + 6;
    const size_t end = text.find('"', start);
    const size_t line = text.find("line ", end);
    if (end == std::string::npos || line == std::string::npos) break;
    const std::string path = text.substr(start, end - start);
    if (path.starts_with('<')) continue;  // code that the exporter made up
    const bool inside_torch = path.starts_with("torch/") || path.find("/torch/") != std::string::npos;
    if (inside_torch && !result.empty()) continue;
    const size_t digits = std::min(text.find_first_not_of("0123456789", line + 5), text.size());
    result = path.substr(path.rfind('/') + 1) + ":" + text.substr(line + 5, digits - line - 5);
  }
  return result;
}

std::string describe(const Node& node) {
  const std::string layer = layer_name(node);
  const std::string source = source_line(node);
  std::string result = fmt::format("{} '{}'", escaped(node.op().name()), escaped(node.name()));
  if (!layer.empty()) result += fmt::format(" in layer '{}'", escaped(layer));
  if (!source.empty()) result += fmt::format(" ({})", escaped(source));
  return result;
}

}  // namespace intaglio
