#include "edge/emit/kernel_arguments.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "pte/kernel_table.h"

namespace intaglio::edge {

bool is_in_place(const OpSchema& schema) {
  for (const ArgSchema& argument : schema.arguments)
    if (pte::is_out(argument)) return false;
  return true;
}

Argument kernel_argument(const Node& node, const ArgSchema& argument) {
  if (const Argument* written = node.find(argument.name)) return *written;
  const OpSchema* functional = node.op().schema();
  const ArgSchema* formal = functional == nullptr ? nullptr : functional->find(argument.name);
  if (formal != nullptr && formal->default_text) return node.argument(argument.name);
  if (argument.optional || argument.type == ArgType::optional_tensor) return {};
  if (!argument.default_text) throw_unsupported(fmt::format("{}: argument '{}' is missing", describe(node), argument.name));
  // Arguments the kernel has and the functional op has not: flags and numbers.
  const std::string& text = *argument.default_text;
  if (text == "False" || text == "True") return text == "True";
  if (text == "None") return {};
  return argument.type == ArgType::floating ? Argument(std::stod(text)) : Argument(int64_t{std::stoll(text)});
}

void ArgumentEmitter::does_not_fit(const ArgSchema& argument, const char* wanted) const {
  throw_unsupported(fmt::format("{}: argument '{}' is not {}", describe(node), argument.name, wanted));
}

int32_t ArgumentEmitter::emit_number(const ArgSchema& argument, double value, bool is_integer, int64_t integer) {
  switch (argument.type) {
    case ArgType::floating: return builder.number(value);
    case ArgType::boolean: return builder.boolean(value != 0);
    case ArgType::integer:
      if (!is_integer) does_not_fit(argument, "an integer");
      return builder.integer(integer);
    default: return is_integer ? builder.integer(integer) : builder.number(value);
  }
}

int32_t ArgumentEmitter::emit_value(const ArgSchema& argument, const Value& value) {
  if (value.kind() == ValueKind::none) return builder.none();
  // A symbolic int where a float is asked for is converted by a call of its own.
  if (value.kind() == ValueKind::sym_int && argument.type == ArgType::floating) {
    const int32_t result = builder.add(0.0);
    const pte::RuntimeKernel* kernel = pte::find_runtime_kernel("executorch_prim::sym_float.Scalar");
    builder.call_kernel(kernel->name(), kernel->overload(), {id_of(&value), result});
    return result;
  }
  const bool wants_tensor = argument.type == ArgType::tensor || argument.type == ArgType::optional_tensor;
  if (wants_tensor != value.is_tensor() && argument.type != ArgType::scalar) does_not_fit(argument, wants_tensor ? "a tensor" : "a number");
  return id_of(&value);
}

int32_t ArgumentEmitter::emit_int_list(const ArgSchema& argument, const Argument& value) {
  std::vector<int64_t> ids;
  if (const auto* numbers = value.get_if<std::vector<int64_t>>()) {
    for (const int64_t number : *numbers) ids.push_back(builder.integer(number));
  } else if (const auto* symbols = value.get_if<std::vector<SymArg>>()) {
    for (const SymArg& item : *symbols) {
      if (const auto* number = std::get_if<int64_t>(&item)) ids.push_back(builder.integer(*number));
      else if (Value* const* symbol = std::get_if<Value*>(&item)) ids.push_back(id_of(*symbol));
      else does_not_fit(argument, "a list of integers");
    }
  } else if (const auto* values = value.get_if<std::vector<Value*>>()) {
    for (const Value* item : *values) {
      if (item == nullptr || item->kind() != ValueKind::sym_int) does_not_fit(argument, "a list of integers");
      ids.push_back(id_of(item));
    }
  } else if (const auto* number = value.get_if<int64_t>()) {
    ids.push_back(builder.integer(*number));
  } else if (Value* const* symbol = value.get_if<Value*>(); symbol != nullptr && (*symbol)->kind() == ValueKind::sym_int) {
    ids.push_back(id_of(*symbol));
  } else {
    does_not_fit(argument, "a list of integers");
  }
  if (ids.size() == 1 && argument.fixed_length > 1) ids.resize(static_cast<size_t>(argument.fixed_length), ids[0]);
  return builder.int_list(ids);
}

int32_t ArgumentEmitter::emit_float_list(const ArgSchema& argument, const Argument& value) {
  if (const auto* numbers = value.get_if<std::vector<double>>()) return builder.double_list(*numbers);
  if (const auto* integers = value.get_if<std::vector<int64_t>>()) return builder.double_list({integers->begin(), integers->end()});
  std::vector<double> items;
  const auto* symbols = value.get_if<std::vector<SymArg>>();
  if (symbols == nullptr) does_not_fit(argument, "a list of numbers");
  for (const SymArg& item : *symbols) {
    if (const auto* number = std::get_if<double>(&item)) items.push_back(*number);
    else if (const auto* integer = std::get_if<int64_t>(&item)) items.push_back(static_cast<double>(*integer));
    else does_not_fit(argument, "a list of constant numbers");
  }
  return builder.double_list(items);
}

int32_t ArgumentEmitter::emit_tensor_list(const ArgSchema& argument, const Argument& value) {
  const auto* values = value.get_if<std::vector<Value*>>();
  std::vector<int32_t> ids;
  if (values == nullptr) {
    const auto* empty = value.get_if<std::vector<int64_t>>();
    if (empty == nullptr || !empty->empty()) does_not_fit(argument, "a list of tensors");
  } else {
    for (const Value* item : *values) {
      const bool absent = item == nullptr || item->kind() == ValueKind::none;
      if (absent && argument.type != ArgType::optional_tensor_list) does_not_fit(argument, "a list of tensors");
      ids.push_back(absent ? -1 : id_of(item));
    }
  }
  if (argument.type == ArgType::optional_tensor_list) return builder.add(pte::OptionalTensorList{std::move(ids)});
  return builder.add(pte::TensorList{std::move(ids)});
}

int32_t ArgumentEmitter::emit(const ArgSchema& argument, const Argument& value) {
  if (value.is_none()) {
    // The kernel reads a tensor all the same: an empty one stands for none.
    if (argument.type == ArgType::tensor)
      return builder.tensor({.scalar_type = 0, .sizes = {0}, .dim_order = {0}}, PlanBuilder::no_storage);
    return builder.none();
  }
  switch (argument.type) {
    case ArgType::tensor_list:
    case ArgType::optional_tensor_list: return emit_tensor_list(argument, value);
    case ArgType::integer_list: return emit_int_list(argument, value);
    case ArgType::floating_list:
    case ArgType::scalar_list: return emit_float_list(argument, value);
    default: break;
  }
  if (Value* const* single = value.get_if<Value*>()) return emit_value(argument, **single);
  if (const auto* v = value.get_if<int64_t>()) return emit_number(argument, static_cast<double>(*v), true, *v);
  if (const auto* v = value.get_if<double>()) return emit_number(argument, *v, false, 0);
  if (const auto* v = value.get_if<bool>())
    return argument.type == ArgType::integer    ? builder.integer(*v)
           : argument.type == ArgType::floating ? builder.number(*v)
                                                : builder.boolean(*v);
  if (const auto* v = value.get_if<std::string>()) return builder.text(*v);
  if (const auto* v = value.get_if<DType>()) return builder.integer(pte::scalar_type_of(*v));
  if (const auto* v = value.get_if<std::vector<bool>>()) return builder.bool_list(*v);
  if (value.is<Layout>()) return builder.integer(0);
  if (value.is<Device>()) return builder.none();
  if (const auto* v = value.get_if<MemoryFormat>()) {
    if (*v == MemoryFormat::channels_last || *v == MemoryFormat::channels_last_3d)
      does_not_fit(argument, "a memory format that ExecuTorch programs can hold (contiguous or preserve)");
    return builder.integer(*v == MemoryFormat::preserve ? 1 : 0);
  }
  does_not_fit(argument, "of a kind that kernels take");
}

}  // namespace intaglio::edge
