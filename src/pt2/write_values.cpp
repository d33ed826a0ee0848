#include "pt2/model_json.h"

#include <algorithm>

#include <intaglio/error.h>

namespace intaglio::pt2 {
namespace {

using json::Writer;

void write_device(Writer& writer, const Device& device) {
  writer.begin_object().key("type").string(device.type).key("index");
  device.index ? writer.integer(*device.index) : writer.null();
  writer.end_object();
}

void write_named(Writer& writer, const Value* value) { writer.begin_object().key("name").string(value->name()).end_object(); }

template <typename T, typename Write>
void write_list(Writer& writer, const std::vector<T>& items, Write write) {
  writer.begin_array();
  for (auto&& item : items) write(item);
  writer.end_array();
}

// Member names of the union for symbols of a kind, single and in a list.
struct SymbolRow {
  ValueKind kind;
  std::string_view single;
  std::string_view list;
};
constexpr SymbolRow symbol_rows[] = {
    {ValueKind::sym_int, "as_sym_int", "as_sym_ints"},
    {ValueKind::sym_float, "as_sym_float", "as_sym_floats"},
    {ValueKind::sym_bool, "as_sym_bool", "as_sym_bools"},
};
const SymbolRow& symbol_row(ValueKind kind) {
  for (const SymbolRow& row : symbol_rows)
    if (row.kind == kind) return row;
  throw_bug("a value that is neither tensor nor symbol is written as an argument");
}

ValueKind kind_of(const SymArg& item) {
  if (const auto* value = std::get_if<Value*>(&item)) return (*value)->kind();
  if (std::holds_alternative<double>(item)) return ValueKind::sym_float;
  if (std::holds_alternative<bool>(item)) return ValueKind::sym_bool;
  return ValueKind::sym_int;
}

// One overload for each alternative of Argument: writes the union's member name and its contents.
struct ArgumentWriter {
  Writer& writer;

  void operator()(std::monostate) { writer.key("as_none").boolean(true); }
  void operator()(Value* value) {
    if (value->kind() == ValueKind::none) return (*this)(std::monostate());
    if (value->is_tensor()) {
      writer.key("as_tensor");
      write_named(writer, value);
    } else if (value->kind() == ValueKind::custom_object) {
      (*this)(CustomObject{value->name(), value->class_fqn});
    } else {
      writer.key(symbol_row(value->kind()).single).begin_object().key("as_name").string(value->name()).end_object();
    }
  }
  void operator()(const std::vector<Value*>& list) {
    const bool optional = std::ranges::any_of(list, [](const Value* value) { return value == nullptr; });
    writer.key(optional ? "as_optional_tensors" : "as_tensors");
    write_list(writer, list, [&](Value* value) {
      if (!optional) return write_named(writer, value);
      writer.begin_object();
      value == nullptr ? (*this)(std::monostate()) : (*this)(value);
      writer.end_object();
    });
  }
  void operator()(const std::vector<std::vector<Value*>>& lists) {
    writer.key("as_nested_tensors");
    write_list(writer, lists,
               [&](const std::vector<Value*>& list) { write_list(writer, list, [&](const Value* value) { write_named(writer, value); }); });
  }
  void operator()(int64_t value) { writer.key("as_int").integer(value); }
  void operator()(double value) { writer.key("as_float").number(value); }
  void operator()(bool value) { writer.key("as_bool").boolean(value); }
  void operator()(const std::string& value) { writer.key("as_string").string(value); }
  void operator()(const std::vector<int64_t>& list) { integers(writer.key("as_ints"), list); }
  void operator()(const std::vector<double>& list) { numbers(writer.key("as_floats"), list); }
  void operator()(const std::vector<bool>& list) {
    writer.key("as_bools");
    write_list(writer, list, [&](bool value) { writer.boolean(value); });
  }
  void operator()(const std::vector<std::string>& list) {
    writer.key("as_strings");
    write_list(writer, list, [&](const std::string& value) { writer.string(value); });
  }
  void operator()(const std::vector<std::vector<int64_t>>& lists) {
    writer.key("as_int_lists");
    write_list(writer, lists, [&](const std::vector<int64_t>& list) { integers(writer, list); });
  }
  void operator()(const std::vector<std::vector<double>>& lists) {
    writer.key("as_float_lists");
    write_list(writer, lists, [&](const std::vector<double>& list) { numbers(writer, list); });
  }
  void operator()(const std::vector<SymArg>& list) {
    for (const SymArg& item : list)
      if (Value* const* value = std::get_if<Value*>(&item); value != nullptr && (*value)->is_tensor())
        throw_unsupported("tensors and numbers stand in one list, which an archive has no form for");
    const bool plain = std::ranges::all_of(list, [](const SymArg& item) { return std::holds_alternative<int64_t>(item); });
    writer.key(plain && list.empty() ? "as_sym_ints" : symbol_row(list_kind(list)).list);
    write_list(writer, list, [&](const SymArg& item) {
      writer.begin_object();
      if (const auto* value = std::get_if<Value*>(&item)) writer.key("as_name").string((*value)->name());
      else
        std::visit(
            [&](auto constant) {
              if constexpr (!std::is_pointer_v<decltype(constant)>) (*this)(constant);
            },
            item);
      writer.end_object();
    });
  }
  void operator()(DType value) { writer.key("as_scalar_type").integer(number_of(value)); }
  void operator()(MemoryFormat value) { writer.key("as_memory_format").integer(number_of(value)); }
  void operator()(Layout value) { writer.key("as_layout").integer(number_of(value)); }
  void operator()(const Device& value) { write_device(writer.key("as_device"), value); }
  void operator()(const std::complex<double>& value) {
    writer.key("as_complex").begin_object().key("real").number(value.real()).key("imag").number(value.imag()).end_object();
  }
  void operator()(const CustomObject& value) {
    writer.key("as_custom_obj").begin_object().key("name").string(value.name).key("class_fqn").string(value.class_fqn).end_object();
  }
  void operator()(const OpName& value) { writer.key("as_operator").string(value.target); }
  void operator()(const std::shared_ptr<Subgraph>& value) {
    writer.key("as_graph").begin_object().key("name").string(value->name).key("graph");
    const std::vector<const Value*> inputs(value->graph->inputs().begin(), value->graph->inputs().end());
    write_graph(writer, *value->graph, inputs);
    writer.end_object();
  }
  void operator()(const std::shared_ptr<ArgumentMap>& map) {
    writer.key("as_string_to_argument").begin_object();
    for (const auto& [key, value] : *map) write_argument(writer.key(key), value);
    writer.end_object();
  }

 private:
  static void integers(Writer& writer, const std::vector<int64_t>& list) {
    write_list(writer, list, [&](int64_t value) { writer.integer(value); });
  }
  static void numbers(Writer& writer, const std::vector<double>& list) {
    write_list(writer, list, [&](double value) { writer.number(value); });
  }
  // A list of numbers and symbols is what its symbols are.
  static ValueKind list_kind(const std::vector<SymArg>& list) {
    for (const SymArg& item : list)
      if (std::holds_alternative<Value*>(item)) return kind_of(item);
    return list.empty() ? ValueKind::sym_int : kind_of(list[0]);
  }
};

}  // namespace

void write_sym_int(Writer& writer, const SymInt& size) {
  writer.begin_object();
  if (size.is_static()) {
    writer.key("as_int").integer(size.value());
  } else {
    writer.key("as_expr").begin_object().key("expr_str").string(size.text()).key("hint");
    if (const auto hint = size.hint()) writer.begin_object().key("as_int").integer(*hint).end_object();
    else writer.null();
    writer.end_object();
  }
  writer.end_object();
}

void write_tensor_meta(Writer& writer, const TensorMeta& meta) {
  const auto sizes = [&](const SymSizes& list) { write_list(writer, list, [&](const SymInt& size) { write_sym_int(writer, size); }); };
  writer.begin_object().key("dtype").integer(number_of(meta.dtype)).key("sizes");
  sizes(meta.sizes);
  writer.key("requires_grad").boolean(meta.requires_grad).key("device");
  write_device(writer, meta.device);
  writer.key("strides");
  sizes(meta.strides);
  writer.key("storage_offset");
  write_sym_int(writer, meta.storage_offset);
  writer.key("layout").integer(number_of(meta.layout)).end_object();
}

void write_argument(Writer& writer, const Argument& argument) {
  writer.begin_object();
  // std::visit takes classes derived from a variant.
  std::visit(ArgumentWriter{writer}, argument);
  writer.end_object();
}

}  // namespace intaglio::pt2
