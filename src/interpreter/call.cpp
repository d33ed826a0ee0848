#include "interpreter/call.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

int64_t truncated(double value) {
  if (!(value > -0x1p63 && value < 0x1p63)) return INT64_MIN;
  return static_cast<int64_t>(value);
}

std::optional<Number> number_of(const Argument& argument) {
  if (const auto* boolean = argument.get_if<bool>()) return Number(*boolean);
  if (const auto* integer = argument.get_if<int64_t>()) return Number(*integer);
  if (const auto* floating = argument.get_if<double>()) return Number(*floating);
  return std::nullopt;
}

Number number_of(const SymArg& argument) {
  if (const auto* boolean = std::get_if<bool>(&argument)) return Number(*boolean);
  if (const auto* integer = std::get_if<int64_t>(&argument)) return Number(*integer);
  return Number(std::get<double>(argument));
}

}  // namespace

Number::Number(double value) : kind_(Kind::floating), integer_(truncated(value)), floating_(value) {}

void Call::fail(const std::string& message) const { throw_bad_input(describe(node_) + ": " + message); }
void Call::unsupported(const std::string& message) const { throw_unsupported(describe(node_) + ": " + message); }

const BoundArgument* Call::find(std::string_view name) const {
  for (const BoundArgument& argument : arguments_)
    if (argument.name == name) return &argument;
  return nullptr;
}

const BoundArgument& Call::at(std::string_view name) const {
  const BoundArgument* argument = find(name);
  if (argument == nullptr) fail(fmt::format("argument '{}' is missing", name));
  return *argument;
}

const RuntimeValue& Call::slot(const BoundArgument& argument, size_t index) const {
  return values_[static_cast<size_t>(argument.slots[index])];
}

bool Call::has(std::string_view name) const {
  const BoundArgument* argument = find(name);
  if (argument == nullptr) return false;
  if (argument->form == BoundArgument::Form::value) return !std::holds_alternative<std::monostate>(slot(*argument));
  return argument->form != BoundArgument::Form::literal || !argument->literal.is_none();
}

bool Call::is_constant(std::string_view name) const {
  const BoundArgument* argument = find(name);
  return argument != nullptr && is_constant(*argument);
}

bool Call::is_constant(size_t position) const { return position < arguments_.size() && is_constant(arguments_[position]); }

bool Call::is_constant(const BoundArgument& argument) const {
  if (context_.constants == nullptr || !context_.keep_packed_weights) return false;
  for (const int32_t slot : argument.slots)
    if (slot >= 0 && !(*context_.constants)[static_cast<size_t>(slot)]) return false;
  return true;
}

const Tensor* Call::optional_tensor(std::string_view name) const {
  if (!has(name)) return nullptr;
  const BoundArgument& argument = at(name);
  if (argument.form == BoundArgument::Form::value)
    if (const auto* tensor = std::get_if<Tensor>(&slot(argument)); tensor != nullptr && tensor->defined()) return tensor;
  fail(fmt::format("argument '{}' is not a tensor", name));
}

const Tensor& Call::tensor(std::string_view name) const {
  const Tensor* tensor = optional_tensor(name);
  if (tensor == nullptr) fail(fmt::format("argument '{}' is missing", name));
  return *tensor;
}

std::vector<const Tensor*> Call::tensors(std::string_view name) const {
  const BoundArgument& argument = at(name);
  std::vector<const Tensor*> result;
  if (argument.form == BoundArgument::Form::values) {
    for (size_t i = 0; i < argument.slots.size(); ++i) {
      const Tensor* tensor = argument.slots[i] < 0 ? nullptr : std::get_if<Tensor>(&slot(argument, i));
      if (argument.slots[i] >= 0 && tensor == nullptr) fail(fmt::format("argument '{}' is not a list of tensors", name));
      result.push_back(tensor);
    }
    return result;
  }
  const auto* empty = argument.literal.get_if<std::vector<int64_t>>();
  if (argument.form != BoundArgument::Form::literal || (empty != nullptr && !empty->empty()))
    fail(fmt::format("argument '{}' is not a list of tensors", name));
  return result;
}

std::variant<Tensor, Number> Call::tensor_or_number(std::string_view name) const {
  const BoundArgument& argument = at(name);
  if (argument.form == BoundArgument::Form::value)
    if (const auto* tensor = std::get_if<Tensor>(&slot(argument)); tensor != nullptr && tensor->defined()) return *tensor;
  return number_in(argument);
}

Number Call::number_in(const BoundArgument& argument) const {
  if (argument.form == BoundArgument::Form::value) {
    const RuntimeValue& value = slot(argument);
    if (const auto* number = std::get_if<Number>(&value)) return *number;
    if (const auto* tensor = std::get_if<Tensor>(&value); tensor != nullptr && tensor->defined() && tensor->numel() == 1) {
      if (tensor->dtype() == DType::boolean) return Number(tensor->item_as_int() != 0);
      if (is_integral(tensor->dtype())) return Number(tensor->item_as_int());
      return Number(tensor->item_as_double());
    }
  } else if (argument.form == BoundArgument::Form::literal) {
    if (const auto number = number_of(argument.literal)) return *number;
  }
  fail(fmt::format("argument '{}' is not a number", argument.name));
}

Number Call::number(std::string_view name) const { return number_in(at(name)); }

std::optional<Number> Call::optional_number(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return number(name);
}

int64_t Call::integer(std::string_view name) const {
  const Number value = number(name);
  if (value.kind() == Number::Kind::floating) fail(fmt::format("argument '{}' is not an integer", name));
  return value.as_int();
}

std::optional<int64_t> Call::optional_integer(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return integer(name);
}

std::vector<bool> Call::booleans(std::string_view name) const {
  const BoundArgument& argument = at(name);
  if (argument.form == BoundArgument::Form::literal)
    if (const auto* list = argument.literal.get_if<std::vector<bool>>()) return *list;
  fail(fmt::format("argument '{}' is not a list of booleans", name));
}

std::vector<int64_t> Call::integers(std::string_view name) const {
  const BoundArgument& argument = at(name);
  const auto repeated = [&](std::vector<int64_t> list) {
    if (list.size() == 1 && argument.fixed_length > 1) list.resize(static_cast<size_t>(argument.fixed_length), list[0]);
    return list;
  };
  if (argument.form == BoundArgument::Form::literal)
    if (const auto* list = argument.literal.get_if<std::vector<int64_t>>()) return repeated(*list);
  if (argument.form == BoundArgument::Form::mixed) {
    std::vector<int64_t> result;
    size_t next = 0;
    for (const SymArg& item : *argument.literal.get_if<std::vector<SymArg>>()) {
      std::optional<Number> number;
      if (!std::holds_alternative<Value*>(item)) number = number_of(item);
      else if (const auto* value = std::get_if<Number>(&slot(argument, next++))) number = *value;
      if (!number || number->kind() == Number::Kind::floating) fail(fmt::format("argument '{}' is not a list of integers", name));
      result.push_back(number->as_int());
    }
    return repeated(std::move(result));
  }
  if (argument.form == BoundArgument::Form::values) {
    std::vector<int64_t> result;
    for (size_t i = 0; i < argument.slots.size(); ++i) {
      const auto* value = argument.slots[i] < 0 ? nullptr : std::get_if<Number>(&slot(argument, i));
      if (value == nullptr) fail(fmt::format("argument '{}' is not a list of integers", name));
      result.push_back(value->as_int());
    }
    return repeated(std::move(result));
  }
  return repeated({integer(name)});
}

std::optional<std::vector<int64_t>> Call::optional_integers(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return integers(name);
}

std::vector<double> Call::floatings(std::string_view name) const {
  const BoundArgument& argument = at(name);
  if (argument.form == BoundArgument::Form::literal)
    if (const auto* list = argument.literal.get_if<std::vector<double>>()) return *list;
  const std::vector<int64_t> list = integers(name);
  return {list.begin(), list.end()};
}

std::string Call::string(std::string_view name) const {
  const auto* text = at(name).literal.get_if<std::string>();
  if (text == nullptr) fail(fmt::format("argument '{}' is not a string", name));
  return *text;
}

bool Call::is_dtype(std::string_view name) const {
  const BoundArgument* argument = find(name);
  return argument != nullptr && argument->literal.is<DType>();
}

std::optional<DType> Call::optional_dtype(std::string_view name) const {
  const BoundArgument* argument = find(name);
  if (argument == nullptr || argument->literal.is_none()) return std::nullopt;
  const auto* dtype = argument->literal.get_if<DType>();
  if (dtype == nullptr) fail(fmt::format("argument '{}' is not an element type", name));
  return *dtype;
}

MemoryFormat Call::memory_format(std::string_view name) const {
  const BoundArgument* argument = find(name);
  const auto* format = argument == nullptr ? nullptr : argument->literal.get_if<MemoryFormat>();
  return format == nullptr ? MemoryFormat::unknown : *format;
}

const Argument* Call::literal(size_t position) const {
  if (position >= arguments_.size()) fail(fmt::format("argument {} is missing", position));
  return arguments_[position].form == BoundArgument::Form::literal ? &arguments_[position].literal : nullptr;
}

RuntimeValue Call::value(size_t position) const {
  if (position >= arguments_.size()) fail(fmt::format("argument {} is missing", position));
  const BoundArgument& argument = arguments_[position];
  if (argument.form == BoundArgument::Form::value) return slot(argument);
  return number_in(argument);
}

std::vector<RuntimeValue> Call::values(size_t position) const {
  if (position >= arguments_.size()) fail(fmt::format("argument {} is missing", position));
  const BoundArgument& argument = arguments_[position];
  std::vector<RuntimeValue> result;
  if (argument.form == BoundArgument::Form::mixed) {
    size_t next = 0;
    for (const SymArg& item : *argument.literal.get_if<std::vector<SymArg>>())
      result.push_back(std::holds_alternative<Value*>(item) ? slot(argument, next++) : RuntimeValue(number_of(item)));
  } else if (const auto* list = argument.literal.get_if<std::vector<int64_t>>()) {
    for (const int64_t item : *list) result.emplace_back(Number(item));
  } else {
    for (size_t i = 0; i < argument.slots.size(); ++i) result.push_back(argument.slots[i] < 0 ? RuntimeValue() : slot(argument, i));
  }
  return result;
}

int64_t Call::wrap_dimension(int64_t dim, int64_t rank) const {
  const int64_t extent = std::max<int64_t>(rank, 1);
  if (dim < -extent || dim >= extent) fail(fmt::format("dimension {} of a tensor of rank {}", dim, rank));
  return dim < 0 ? dim + extent : dim;
}

int64_t Call::dimension(std::string_view name, int64_t rank) const { return wrap_dimension(integer(name), rank); }

Tensor Call::channels_last(const Tensor& tensor) const {
  if (is_channels_last(tensor)) return tensor;
  const Tensor copy = empty(tensor.dtype(), tensor.sizes(), channels_last_strides(tensor.sizes()));
  copy_into(copy, tensor, threads());
  return copy;
}

void Call::set(RuntimeValue value, size_t index) {
  if (index >= outputs_.size()) return;  // results that the graph does not use may be absent
  values_[static_cast<size_t>(outputs_[index])] = std::move(value);
}

void Call::set_all(std::vector<Tensor> tensors) {
  if (tensors.size() != outputs_.size()) fail(fmt::format("gives {} tensors, but the graph expects {}", tensors.size(), outputs_.size()));
  for (size_t i = 0; i < tensors.size(); ++i) set(std::move(tensors[i]), i);
}

std::byte* writable_bytes(const Tensor& tensor) {
  std::byte* base = tensor.storage() ? tensor.storage()->writable() : nullptr;
  if (base == nullptr) throw_bug("a kernel writes to memory that is not its own");
  return base + static_cast<size_t>(tensor.storage_offset()) * item_size(tensor.dtype());
}

}  // namespace intaglio::interp
