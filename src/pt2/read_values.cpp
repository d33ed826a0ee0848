#include "pt2/model_json.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2 {
namespace {

constexpr size_t max_rank = 64;

SymSizes read_sym_ints(const json::Value& value, std::string_view what, Expressions& expressions) {
  const simdjson::dom::array items = value.array(what);
  if (items.size() > max_rank)
    throw_bad_input(fmt::format("'{}' has {} dimensions, at most {} are possible", what, items.size(), max_rank));
  SymSizes result;
  result.reserve(items.size());
  for (const json::Value item : items) {
    result.push_back(read_sym_int(item, expressions));
    if (result.back().is_static() && result.back().value() < 0)
      throw_bad_input(fmt::format("'{}' holds the negative number {}", what, result.back().value()));
  }
  return result;
}

}  // namespace

SymExprPtr Expressions::parsed(std::string_view text) {
  const auto found = known_.find(text);
  if (found != known_.end()) return found->second;
  return known_.emplace(text, parse_sym_expr(text)).first->second;
}

SymInt read_sym_value(const json::Value& value, Expressions& expressions) {
  const auto [kind, content] = value.only_field("size");
  if (kind == "as_int") return content.integer(kind);
  if (kind == "as_bool") return int64_t{content.boolean(kind)};
  if (kind != "as_expr") throw_bad_input(fmt::format("a size of the unknown kind '{}'", escaped(kind, 40)));
  const std::string_view text = content.at("expr_str").string("expr_str");
  std::optional<int64_t> hint;
  if (const auto given = content.find("hint")) {
    const auto [hint_kind, number] = given->only_field("hint");
    if (hint_kind == "as_int") hint = number.integer("hint");
    else if (hint_kind == "as_bool") hint = number.boolean("hint");
    else if (hint_kind != "as_float") throw_bad_input(fmt::format("a hint of the unknown kind '{}'", escaped(hint_kind, 40)));
  }
  return SymInt(expressions.parsed(text), std::string(text), hint);
}

SymInt read_sym_int(const json::Value& value, Expressions& expressions) {
  const std::string_view kind = value.only_field("size").first;
  if (kind == "as_bool") throw_bad_input("a size that is a truth value");
  return read_sym_value(value, expressions);
}

Device read_device(const json::Value& value) {
  Device device;
  device.type = value.at("type").string("device type");
  if (device.type.empty() || device.type.size() > 32)
    throw_bad_input(fmt::format("device type '{}' is not known", escaped(device.type, 40)));
  if (const auto index = value.find("index")) device.index = index->integer("device index");
  return device;
}

TensorMeta read_tensor_meta(const json::Value& value, Expressions& expressions) {
  TensorMeta meta;
  meta.dtype = dtype_of_number(value.at("dtype").integer("dtype"));
  meta.sizes = read_sym_ints(value.at("sizes"), "sizes", expressions);
  meta.strides = read_sym_ints(value.at("strides"), "strides", expressions);
  meta.storage_offset = read_sym_int(value.at("storage_offset"), expressions);
  meta.requires_grad = value.at("requires_grad").boolean("requires_grad");
  meta.device = read_device(value.at("device"));
  meta.layout = layout_of_number(value.at("layout").integer("layout"));
  if (meta.strides.size() != meta.sizes.size())
    throw_bad_input(fmt::format("{} sizes but {} strides", meta.sizes.size(), meta.strides.size()));
  if (meta.is_static()) {
    int64_t bytes = 0;
    if (__builtin_mul_overflow(element_count(meta.static_sizes()), static_cast<int64_t>(item_size(meta.dtype)), &bytes))
      throw_bad_input("the tensor's size in bytes overflows");
  }
  if (meta.requires_grad && !is_floating(meta.dtype) && !is_complex(meta.dtype))
    throw_bad_input(fmt::format("a tensor of type {} cannot require gradients", name(meta.dtype)));
  return meta;
}

}  // namespace intaglio::pt2
