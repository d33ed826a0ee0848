#include "pt2/model_json.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2 {
namespace {

using Scope = ArgumentScope;

intaglio::Value* defined(std::string_view name, const Scope& scope) {
  intaglio::Value* value = scope.graph.find_value(name);
  if (value == nullptr) throw_bad_input(fmt::format("'{}' is used, but no graph input and no earlier node defines it", escaped(name, 80)));
  return value;
}

intaglio::Value* tensor(const json::Value& value, const Scope& scope) {
  intaglio::Value* found = defined(value.at("name").string("name"), scope);
  if (!found->is_tensor() && found->kind() != ValueKind::none)
    throw_bad_input(fmt::format("'{}' is used as a tensor and is none", escaped(found->name(), 80)));
  return found;
}

// Null for None.
intaglio::Value* optional_tensor(const json::Value& value, const Scope& scope) {
  const auto [kind, content] = value.only_field("optional tensor");
  if (kind == "as_none") return nullptr;
  if (kind != "as_tensor") throw_bad_input(fmt::format("an optional tensor of the unknown kind '{}'", escaped(kind, 40)));
  return tensor(content, scope);
}

SymArg symbol(const json::Value& value, const Scope& scope) {
  const auto [kind, content] = value.only_field("symbol");
  if (kind == "as_int") return content.integer(kind);
  if (kind == "as_float") return content.number(kind);
  if (kind == "as_bool") return content.boolean(kind);
  if (kind != "as_name") throw_bad_input(fmt::format("a symbol of the unknown kind '{}'", escaped(kind, 40)));
  intaglio::Value* found = defined(content.string(kind), scope);
  if (found->kind() != ValueKind::sym_int && found->kind() != ValueKind::sym_float && found->kind() != ValueKind::sym_bool)
    throw_bad_input(fmt::format("'{}' is used as a symbol and is none", escaped(found->name(), 80)));
  return found;
}

template <typename Read>
auto list_of(const json::Value& value, Read read) {
  const simdjson::dom::array items = value.array("list");
  std::vector<std::invoke_result_t<Read, json::Value>> result;
  result.reserve(items.size());
  for (const json::Value item : items) result.push_back(read(item));
  return result;
}

int64_t integer(const json::Value& value) { return value.integer("integer"); }
double number(const json::Value& value) { return value.number("number"); }
bool boolean(const json::Value& value) { return value.boolean("truth value"); }
std::string string(const json::Value& value) { return std::string(value.string("string")); }

Argument read_none(const json::Value& value, const Scope&) {
  if (!boolean(value)) throw_bad_input("'as_none' must be true");
  return {};
}
Argument read_tensor(const json::Value& value, const Scope& scope) { return tensor(value, scope); }
Argument read_tensors(const json::Value& value, const Scope& scope) {
  return list_of(value, [&](const json::Value& item) { return tensor(item, scope); });
}
Argument read_optional_tensor(const json::Value& value, const Scope& scope) {
  intaglio::Value* found = optional_tensor(value, scope);
  return found == nullptr ? Argument() : Argument(found);
}
Argument read_optional_tensors(const json::Value& value, const Scope& scope) {
  return list_of(value, [&](const json::Value& item) { return optional_tensor(item, scope); });
}
Argument read_nested_tensors(const json::Value& value, const Scope& scope) {
  return list_of(value,
                 [&](const json::Value& list) { return list_of(list, [&](const json::Value& item) { return tensor(item, scope); }); });
}
Argument read_int(const json::Value& value, const Scope&) { return integer(value); }
Argument read_ints(const json::Value& value, const Scope&) { return list_of(value, integer); }
Argument read_int_lists(const json::Value& value, const Scope&) {
  return list_of(value, [](const json::Value& list) { return list_of(list, integer); });
}
Argument read_float(const json::Value& value, const Scope&) { return number(value); }
Argument read_floats(const json::Value& value, const Scope&) { return list_of(value, number); }
Argument read_float_lists(const json::Value& value, const Scope&) {
  return list_of(value, [](const json::Value& list) { return list_of(list, number); });
}
Argument read_bool(const json::Value& value, const Scope&) { return boolean(value); }
Argument read_bools(const json::Value& value, const Scope&) { return list_of(value, boolean); }
Argument read_string(const json::Value& value, const Scope&) { return string(value); }
Argument read_strings(const json::Value& value, const Scope&) { return list_of(value, string); }

Argument read_symbol(const json::Value& value, const Scope& scope) {
  return std::visit([](auto content) -> Argument { return content; }, symbol(value, scope));
}
Argument read_symbols(const json::Value& value, const Scope& scope) {
  auto list = list_of(value, [&](const json::Value& item) { return symbol(item, scope); });
  // Without a symbol it is a plain list of integers.
  if (list.empty() || !std::ranges::all_of(list, [](const SymArg& item) { return std::holds_alternative<int64_t>(item); })) return list;
  std::vector<int64_t> integers;
  for (const SymArg& item : list) integers.push_back(std::get<int64_t>(item));
  return integers;
}

Argument read_scalar_type(const json::Value& value, const Scope&) { return dtype_of_number(integer(value)); }
Argument read_memory_format(const json::Value& value, const Scope&) { return memory_format_of_number(integer(value)); }
Argument read_layout(const json::Value& value, const Scope&) { return layout_of_number(integer(value)); }
Argument read_device_argument(const json::Value& value, const Scope&) { return read_device(value); }
Argument read_complex(const json::Value& value, const Scope&) {
  return std::complex<double>(value.at("real").number("real"), value.at("imag").number("imag"));
}
Argument read_custom_object(const json::Value& value, const Scope&) {
  return CustomObject{string(value.at("name")), string(value.at("class_fqn"))};
}
Argument read_operator(const json::Value& value, const Scope&) { return OpName{string(value)}; }

Argument read_graph(const json::Value& value, const Scope& scope) {
  auto subgraph = std::make_shared<Subgraph>();
  subgraph->name = value.at("name").string("name");
  try {
    subgraph->graph = scope.read_subgraph(value.at("graph"));
  } catch (const Error& error) { throw error.with_context(fmt::format("sub-graph '{}'", escaped(subgraph->name, 60))); }
  return subgraph;
}

Argument read_map(const json::Value& value, const Scope& scope) {
  auto map = std::make_shared<ArgumentMap>();
  for (const auto field : value.object("as_string_to_argument")) map->emplace_back(field.key, read_argument(field.value, scope));
  return map;
}

struct ArgumentRow {
  std::string_view kind;
  Argument (*read)(const json::Value&, const Scope&);
};
constexpr ArgumentRow argument_rows[] = {
    {"as_tensor", read_tensor},
    {"as_int", read_int},
    {"as_ints", read_ints},
    {"as_float", read_float},
    {"as_bool", read_bool},
    {"as_none", read_none},
    {"as_tensors", read_tensors},
    {"as_scalar_type", read_scalar_type},
    {"as_string", read_string},
    {"as_sym_int", read_symbol},
    {"as_sym_ints", read_symbols},
    {"as_sym_bool", read_symbol},
    {"as_sym_bools", read_symbols},
    {"as_sym_float", read_symbol},
    {"as_sym_floats", read_symbols},
    {"as_device", read_device_argument},
    {"as_layout", read_layout},
    {"as_memory_format", read_memory_format},
    {"as_floats", read_floats},
    {"as_bools", read_bools},
    {"as_strings", read_strings},
    {"as_optional_tensor", read_optional_tensor},
    {"as_optional_tensors", read_optional_tensors},
    {"as_nested_tensors", read_nested_tensors},
    {"as_int_lists", read_int_lists},
    {"as_float_lists", read_float_lists},
    {"as_complex", read_complex},
    {"as_graph", read_graph},
    {"as_custom_obj", read_custom_object},
    {"as_operator", read_operator},
    {"as_string_to_argument", read_map},
};

}  // namespace

Argument read_argument(const json::Value& value, const Scope& scope) {
  const auto [kind, content] = value.only_field("argument");
  for (const ArgumentRow& row : argument_rows)
    if (row.kind == kind) return row.read(content, scope);
  throw_bad_input(fmt::format("an argument of the unknown kind '{}'", escaped(kind, 40)));
}

}  // namespace intaglio::pt2
