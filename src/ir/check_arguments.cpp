#include "ir/check_arguments.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

bool is_number(ValueKind kind) { return kind == ValueKind::sym_int || kind == ValueKind::sym_float || kind == ValueKind::sym_bool; }
bool is_symbol(const Value* value) { return value && is_number(value->kind()); }
// An optional result that is absent is None.
bool is_tensor(const Value* value) { return value && (value->is_tensor() || value->kind() == ValueKind::none); }

struct TypeText {
  ArgType type;
  std::string_view text;
};
constexpr TypeText type_texts[] = {
    {ArgType::tensor, "a tensor"},
    {ArgType::optional_tensor, "a tensor or none"},
    {ArgType::tensor_list, "a list of tensors"},
    {ArgType::optional_tensor_list, "a list of tensors"},
    {ArgType::integer, "an integer"},
    {ArgType::integer_list, "a list of integers"},
    {ArgType::floating, "a number"},
    {ArgType::floating_list, "a list of numbers"},
    {ArgType::boolean, "true or false"},
    {ArgType::boolean_list, "a list of truth values"},
    {ArgType::scalar, "a number"},
    {ArgType::scalar_list, "a list of numbers"},
    {ArgType::string, "a text"},
    {ArgType::string_list, "a list of texts"},
    {ArgType::scalar_type, "an element type"},
    {ArgType::memory_format, "a memory format"},
    {ArgType::layout, "a layout"},
    {ArgType::device, "a device"},
};
std::string_view text_of(ArgType type) {
  const auto row = std::ranges::find(type_texts, type, &TypeText::type);
  return row == std::end(type_texts) ? "something else" : row->text;
}

constexpr bool is_any_of(ArgType type, std::initializer_list<ArgType> types) { return std::ranges::find(types, type) != types.end(); }

// What an argument of a schema's type may be. PyTorch takes a number for a tensor, one for a list, an integer for a real.
struct Fits {
  const ArgSchema& formal;

  bool is(std::initializer_list<ArgType> types) const { return is_any_of(formal.type, types); }
  bool takes_number() const {
    using enum ArgType;
    return is({tensor, optional_tensor, scalar, floating, floating_list, scalar_list});
  }
  bool takes_integer() const {
    return takes_number() || is({ArgType::integer, ArgType::integer_list, ArgType::boolean, ArgType::scalar_type});
  }

  bool operator()(std::monostate) const {
    return formal.optional || formal.type == ArgType::optional_tensor || formal.default_text == "None";
  }
  bool operator()(Value* value) const {
    if (is_tensor(value)) return is({ArgType::tensor, ArgType::optional_tensor});
    if (!is_symbol(value)) return false;
    return value->kind() == ValueKind::sym_float ? takes_number() : takes_integer() || is({ArgType::boolean_list});
  }
  bool operator()(const std::vector<Value*>& values) const {
    if (values.empty())
      return is({ArgType::tensor_list, ArgType::optional_tensor_list, ArgType::integer_list, ArgType::floating_list, ArgType::scalar_list,
                 ArgType::boolean_list});
    const auto is_element = [&](const Value* value) {
      return is_tensor(value) || (!value && formal.type == ArgType::optional_tensor_list);
    };
    if (is({ArgType::tensor_list, ArgType::optional_tensor_list})) return std::ranges::all_of(values, is_element);
    return is({ArgType::integer_list, ArgType::floating_list, ArgType::scalar_list}) && std::ranges::all_of(values, is_symbol);
  }
  bool operator()(int64_t) const { return takes_integer() || is({ArgType::memory_format, ArgType::layout}); }
  bool operator()(double) const { return takes_number(); }
  bool operator()(bool) const { return takes_integer() || is({ArgType::boolean_list}); }
  bool operator()(const std::complex<double>&) const { return is({ArgType::scalar, ArgType::tensor}); }
  bool operator()(const std::vector<int64_t>& list) const {
    if (list.empty()) return (*this)(std::vector<Value*>());
    return is({ArgType::integer_list, ArgType::floating_list, ArgType::scalar_list, ArgType::boolean_list});
  }
  bool operator()(const std::vector<double>&) const { return is({ArgType::floating_list, ArgType::scalar_list}); }
  bool operator()(const std::vector<bool>&) const { return is({ArgType::boolean_list, ArgType::scalar_list}); }
  bool operator()(const std::vector<SymArg>& list) const {
    if (is({ArgType::floating_list, ArgType::scalar_list})) return true;
    return is({ArgType::integer_list}) && std::ranges::all_of(list, [](const SymArg& item) {
             Value* const* value = std::get_if<Value*>(&item);
             return std::holds_alternative<int64_t>(item) || (value && *value && (*value)->kind() == ValueKind::sym_int);
           });
  }
  bool operator()(const std::string&) const { return is({ArgType::string, ArgType::device}); }
  bool operator()(const std::vector<std::string>&) const { return is({ArgType::string_list}); }
  bool operator()(DType) const { return is({ArgType::scalar_type}); }
  bool operator()(MemoryFormat) const { return is({ArgType::memory_format}); }
  bool operator()(Layout) const { return is({ArgType::layout}); }
  bool operator()(const Device&) const { return is({ArgType::device}); }
  template <typename Other>
  bool operator()(const Other&) const {
    return false;
  }
};

bool fits(const ArgSchema& formal, const Argument& argument) {
  return formal.type == ArgType::other || std::visit(Fits{formal}, static_cast<const Argument::variant&>(argument));
}

struct LengthOf {
  template <typename Item>
  std::optional<size_t> operator()(const std::vector<Item>& list) const {
    return list.size();
  }
  template <typename Other>
  std::optional<size_t> operator()(const Other&) const {
    return std::nullopt;
  }
};

// `int[2]` takes two or one for both, and none only where the schema has `[]` for it. Operators that join tensors need one.
void check_length(const ArgSchema& formal, const Argument& argument) {
  const std::optional<size_t> length = std::visit(LengthOf{}, static_cast<const Argument::variant&>(argument));
  if (!length) return;
  if (formal.type == ArgType::tensor_list && formal.name == "tensors" && *length == 0)
    throw_bad_input("argument 'tensors' is empty, the operator takes at least one tensor");
  const auto fixed = static_cast<size_t>(formal.fixed_length);
  const bool may_be_empty = formal.optional || formal.default_text == "[]";
  if (fixed < 2 || *length == fixed || *length == 1 || (*length == 0 && may_be_empty)) return;
  throw_bad_input(fmt::format("argument '{}' has {} elements, the operator takes {}", formal.name, *length, fixed));
}

void check_against(const OpSchema& schema, std::span<const NamedArgument> arguments) {
  for (const NamedArgument& argument : arguments) {
    const ArgSchema* formal = schema.find(argument.name);
    if (!formal) throw_bad_input(fmt::format("the operator has no argument '{}'", escaped(argument.name, 60)));
    if (!fits(*formal, argument.value))
      throw_bad_input(fmt::format("argument '{}' is {}, the operator takes {}", formal->name, escaped(to_string(argument.value), 60),
                                  text_of(formal->type)));
    check_length(*formal, argument.value);
  }
  for (const ArgSchema& formal : schema.arguments)
    if (!formal.default_text && std::ranges::find(arguments, formal.name, &NamedArgument::name) == arguments.end())
      throw_bad_input(fmt::format("the required argument '{}' is missing", formal.name));
}

bool is_result(ArgType type, ValueKind kind) {
  if (kind == ValueKind::none) return is_any_of(type, {ArgType::tensor, ArgType::optional_tensor, ArgType::tensor_list, ArgType::other});
  switch (type) {
    case ArgType::tensor:
    case ArgType::optional_tensor:
    case ArgType::tensor_list: return kind == ValueKind::tensor;
    case ArgType::integer: return kind == ValueKind::sym_int;
    case ArgType::floating: return kind == ValueKind::sym_float;
    case ArgType::boolean: return kind == ValueKind::sym_bool;
    case ArgType::scalar: return is_number(kind);
    default: return true;
  }
}

void check_results(const OpSchema& schema, const ResultKinds& results) {
  if (results.groups.size() != schema.returns.size())
    throw_bad_input(fmt::format("the operator returns {} results, {} are named", schema.returns.size(), results.groups.size()));
  size_t at = 0;
  for (size_t i = 0; i < results.groups.size(); ++i) {
    const ArgType type = schema.returns[i].type;
    const auto [is_list, count] = results.groups[i];
    const bool has_form = type == ArgType::other || is_list == (type == ArgType::tensor_list);
    const auto kinds = std::span(results.values).subspan(at, count);
    if (!has_form || !std::ranges::all_of(kinds, [&](ValueKind kind) { return is_result(type, kind); }))
      throw_bad_input(fmt::format("result {} is not what the operator returns: {}", i, text_of(type)));
    at += count;
  }
}

// ---- Python's functions on sizes and numbers

// The runtime compares to a truth value and adds to a number, whatever the file calls the result.
bool gives(std::string_view op, ValueKind kind) {
  constexpr std::string_view truths[] = {"_operator.eq", "_operator.ne", "_operator.lt",   "_operator.le",
                                         "_operator.gt", "_operator.ge", "_operator.not_", "torch.sym_not"};
  constexpr std::string_view either[] = {"_operator.and_", "_operator.or_", "_operator.xor", "torch.sym_ite"};
  if (std::ranges::find(either, op) != std::end(either)) return is_number(kind);
  const bool is_truth = std::ranges::find(truths, op) != std::end(truths);
  return is_truth ? kind == ValueKind::sym_bool : kind == ValueKind::sym_int || kind == ValueKind::sym_float;
}

struct PythonRow {
  std::string_view op;
  size_t least, most;
  bool divides = false;  // by its second number
  bool decides = false;  // by its first, which is true or false
  bool takes_truths = false;
};
constexpr PythonRow python_rows[] = {
    {"_operator.add", 2, 2},
    {"_operator.sub", 2, 2},
    {"_operator.mul", 2, 2},
    {"_operator.floordiv", 2, 2, true},
    {"_operator.mod", 2, 2, true},
    {"_operator.truediv", 2, 2, true},
    {"_operator.pow", 2, 2},
    {"_operator.and_", 2, 2, false, false, true},
    {"_operator.or_", 2, 2, false, false, true},
    {"_operator.xor", 2, 2, false, false, true},
    {"_operator.lshift", 2, 2},
    {"_operator.rshift", 2, 2},
    {"_operator.eq", 2, 2},
    {"_operator.ne", 2, 2},
    {"_operator.lt", 2, 2},
    {"_operator.le", 2, 2},
    {"_operator.gt", 2, 2},
    {"_operator.ge", 2, 2},
    {"_operator.neg", 1, 1},
    {"_operator.pos", 1, 1},
    {"_operator.not_", 1, 1, false, false, true},
    {"_operator.abs", 1, 1},
    {"_operator.trunc", 1, 1},
    {"_operator.round", 1, 2},
    {"math.trunc", 1, 1},
    {"math.floor", 1, 1},
    {"math.ceil", 1, 1},
    {"builtins.round", 1, 2},
    {"_builtins.round", 1, 2},
    {"torch.sym_max", 2, 2},
    {"torch.sym_min", 2, 2},
    {"torch.sym_ite", 3, 3, false, true, true},
    {"torch.sym_not", 1, 1, false, true, true},
    {"torch.sym_float", 1, 1},
    {"torch.sym_int", 1, 1},
    {"torch.sym_sqrt", 1, 1},
    {"torch._sym_sqrt", 1, 1},
};

bool is_zero(const Argument& value) {
  const auto* integer = value.get_if<int64_t>();
  const auto* real = value.get_if<double>();
  return (integer && *integer == 0) || (real && *real == 0);
}

void check_python(Op op, std::span<const NamedArgument> arguments, const ResultKinds& results) {
  const auto row = std::ranges::find(python_rows, op.name(), &PythonRow::op);
  if (row == std::end(python_rows)) return;
  if (arguments.size() < row->least || arguments.size() > row->most)
    throw_bad_input(fmt::format("it takes {} number{} and gets {}", row->least, row->least == 1 ? "" : "s", arguments.size()));
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Argument& value = arguments[i].value;
    Value* const* symbol = value.get_if<Value*>();
    if (!(symbol && is_symbol(*symbol)) && !value.is<int64_t>() && !value.is<double>() && !value.is<bool>())
      throw_bad_input(fmt::format("argument {} is {}, a number is needed", i, escaped(to_string(value), 60)));
    // The runtime computes with integers and reals alone.
    const bool is_truth = value.is<bool>() || (symbol && (*symbol)->kind() == ValueKind::sym_bool);
    if (is_truth && !row->takes_truths)
      throw_bad_input(fmt::format("argument {} is {}, which is true or false where a number is needed", i, escaped(to_string(value), 60)));
  }
  Value* const* first = arguments[0].value.get_if<Value*>();
  if (row->decides && !arguments[0].value.is<bool>() && !(first && (*first)->kind() == ValueKind::sym_bool))
    throw_bad_input(fmt::format("argument 0 is {}, true or false is needed", escaped(to_string(arguments[0].value), 60)));
  if (row->divides && is_zero(arguments[1].value)) throw_bad_input("it divides by zero");
  if (results.groups.size() != 1 || results.groups[0].is_list || !is_number(results.values[0]))
    throw_bad_input("its result is not one number");
  if (!gives(op.name(), results.values[0])) throw_bad_input("its result is of another kind than it gives");
}

}  // namespace

void check_arguments(Op op, std::span<const NamedArgument> arguments, const ResultKinds& results) {
  if (const OpSchema* schema = op.schema()) {
    check_against(*schema, arguments);
    check_results(*schema, results);
  } else {
    check_python(op, arguments, results);
  }
}

}  // namespace intaglio
