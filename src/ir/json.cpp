#include "ir/json.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::json {
namespace {

using simdjson::dom::element_type;

// Sub-graphs nest a few levels each; nothing real comes near.
constexpr size_t max_depth = 400;

std::string_view type_name(const simdjson::dom::element& element) {
  switch (element.type()) {
    case element_type::ARRAY: return "a list";
    case element_type::OBJECT: return "an object";
    case element_type::INT64:
    case element_type::UINT64: return "an integer";
    case element_type::DOUBLE: return "a number";
    case element_type::STRING: return "a string";
    case element_type::BOOL: return "a truth value";
    case element_type::NULL_VALUE: return "null";
  }
  return "something else";
}

void check_object(const simdjson::dom::object& object);

void check_keys_inside(const simdjson::dom::element& element) {
  if (element.is_object()) {
    check_object(element.get_object());
  } else if (element.is_array()) {
    for (const simdjson::dom::element child : element.get_array())
      if (child.is_object() || child.is_array()) check_keys_inside(child);
  }
}

[[noreturn]] void refuse_repeated(std::string_view key) {
  throw_bad_input(fmt::format("the key '{}' stands twice in one JSON object", escaped(key, 60)));
}

// simdjson lets repeated keys pass, and readers differ in which one wins.
void check_object(const simdjson::dom::object& object) {
  constexpr size_t few = 16;
  std::string_view keys[few];
  size_t count = 0;
  std::unordered_set<std::string_view> many;
  for (const auto field : object) {
    if (count < few) {
      for (size_t i = 0; i < count; ++i)
        if (keys[i] == field.key) refuse_repeated(field.key);
      keys[count] = field.key;
    } else {
      if (count == few) many.insert(keys, keys + few);
      if (!many.insert(field.key).second) refuse_repeated(field.key);
    }
    ++count;
    if (field.value.is_object() || field.value.is_array()) check_keys_inside(field.value);
  }
}

void write_value(Writer& writer, const simdjson::dom::element& element) {
  switch (element.type()) {
    case element_type::ARRAY:
      writer.begin_array();
      for (const simdjson::dom::element child : element.get_array()) write_value(writer, child);
      writer.end_array();
      return;
    case element_type::OBJECT:
      writer.begin_object();
      for (const auto field : element.get_object()) {
        writer.key(field.key);
        write_value(writer, field.value);
      }
      writer.end_object();
      return;
    case element_type::INT64: writer.integer(int64_t(element)); return;
    case element_type::UINT64: writer.raw(fmt::format("{}", uint64_t(element))); return;
    case element_type::DOUBLE: writer.number(double(element)); return;
    case element_type::STRING: writer.string(std::string_view(element)); return;
    case element_type::BOOL: writer.boolean(bool(element)); return;
    case element_type::NULL_VALUE: writer.null(); return;
  }
}

}  // namespace

// ---- reading

void Value::refuse(std::string_view what, std::string_view expected) const {
  throw_bad_input(fmt::format("'{}' must be {}, but {} stands there", escaped(what, 60), expected, type_name(element_)));
}

std::string_view Value::string(std::string_view what) const {
  if (!element_.is_string()) refuse(what, "a string");
  return std::string_view(element_);
}
int64_t Value::integer(std::string_view what) const {
  if (element_.type() != element_type::INT64) refuse(what, "a 64-bit integer");
  return int64_t(element_);
}
double Value::number(std::string_view what) const {
  if (element_.is_string()) {
    const std::string_view text(element_);
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  if (!element_.is_number()) refuse(what, "a number");
  return double(element_);
}
bool Value::boolean(std::string_view what) const {
  if (!element_.is_bool()) refuse(what, "true or false");
  return bool(element_);
}
simdjson::dom::object Value::object(std::string_view what) const {
  if (!element_.is_object()) refuse(what, "an object");
  return element_.get_object();
}
simdjson::dom::array Value::array(std::string_view what) const {
  if (!element_.is_array()) refuse(what, "a list");
  return element_.get_array();
}

Value Value::at(std::string_view key) const {
  simdjson::dom::element field;
  if (object(key).at_key(key).get(field) != simdjson::SUCCESS) throw_bad_input(fmt::format("the field '{}' is missing", escaped(key, 60)));
  return field;
}
std::optional<Value> Value::find(std::string_view key) const {
  simdjson::dom::element field;
  if (object(key).at_key(key).get(field) != simdjson::SUCCESS || field.is_null()) return std::nullopt;
  return field;
}

std::pair<std::string_view, Value> Value::only_field(std::string_view what) const {
  const simdjson::dom::object fields = object(what);
  if (fields.size() != 1)
    throw_bad_input(fmt::format("'{}' must have exactly one field that says its kind, it has {}", escaped(what, 60), fields.size()));
  const auto field = *fields.begin();
  return {field.key, field.value};
}

std::map<std::string, std::string> Value::others(std::string_view known) const {
  const auto is_known = [&](std::string_view key) {
    for (size_t at = known.find(key); at != std::string_view::npos; at = known.find(key, at + 1)) {
      const bool starts = at == 0 || known[at - 1] == ' ';
      const size_t end = at + key.size();
      if (!key.empty() && starts && (end == known.size() || known[end] == ' ')) return true;
    }
    return false;
  };
  std::map<std::string, std::string> result;
  for (const auto field : object("object"))
    if (!is_known(field.key)) result.emplace(field.key, Value(field.value).text());
  return result;
}

std::string Value::text() const {
  Writer writer;
  write_value(writer, element_);
  return writer.text();
}

Document::Document(std::string_view text) : parser_(std::make_unique<simdjson::dom::parser>()) {
  // An empty capacity is refused by the parser's allocation, and so is an empty text by the grammar.
  simdjson::error_code error = parser_->allocate(std::max<size_t>(text.size(), 64), max_depth);
  if (error == simdjson::SUCCESS) error = parser_->parse(text.data(), text.size()).get(root_);
  if (error == simdjson::DEPTH_ERROR) throw_bad_input(fmt::format("JSON nested deeper than {} levels", max_depth));
  if (error == simdjson::MEMALLOC) throw_bad_input("not enough memory to read the JSON text");
  if (error != simdjson::SUCCESS) throw_bad_input(fmt::format("not valid JSON: {}", simdjson::error_message(error)));
  check_keys_inside(root_);
}

// ---- writing

void Writer::separate() {
  if (!first_) text_ += ", ";
  first_ = false;
}
Writer& Writer::open(char bracket) {
  separate();
  text_ += bracket;
  first_ = true;
  return *this;
}
Writer& Writer::close(char bracket) {
  text_ += bracket;
  first_ = false;
  return *this;
}
Writer& Writer::key(std::string_view name) {
  string(name);
  text_ += ": ";
  first_ = true;  // the value stands right behind
  return *this;
}
Writer& Writer::string(std::string_view text) { return raw(quoted(text)); }
Writer& Writer::integer(int64_t value) { return raw(fmt::format("{}", value)); }
Writer& Writer::number(double value) {
  if (std::isnan(value)) return raw("\"NaN\"");
  if (std::isinf(value)) return raw(value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
  return raw(float_text(value));
}
Writer& Writer::boolean(bool value) { return raw(value ? "true" : "false"); }
Writer& Writer::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

std::string float_text(double value) {
  char buffer[40];
  const auto shortest = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view scientific(buffer, shortest.ptr);
  const size_t e = scientific.find('e');
  if (e == std::string_view::npos) return std::string(scientific);
  int exponent = 0;
  std::from_chars(scientific.data() + e + (scientific[e + 1] == '+' ? 2 : 1), shortest.ptr, exponent);
  // Python writes an exponent below 1e-4 and from 1e16 on.
  if (exponent < -4 || exponent >= 16) return std::string(scientific);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string text(buffer, fixed.ptr);
  return text.find('.') == std::string::npos ? text + ".0" : text;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  const auto unit = [&](uint32_t code) { result += fmt::format("\\u{:04x}", code); };
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x80) {
      ++i;
      switch (byte) {
        case '"': result += "\\\""; break;
        case '\\': result += "\\\\"; break;
        case '\n': result += "\\n"; break;
        case '\r': result += "\\r"; break;
        case '\t': result += "\\t"; break;
        case '\b': result += "\\b"; break;
        case '\f': result += "\\f"; break;
        default:
          if (byte < 0x20 || byte == 0x7f) unit(byte);
          else result += static_cast<char>(byte);
      }
      continue;
    }
    const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    uint32_t code = byte & (0xff >> (length + 1));
    bool valid = byte >= 0xc2 && byte <= 0xf4 && i + length <= text.size();
    for (size_t k = 1; valid && k < length; ++k) {
      const auto next = static_cast<unsigned char>(text[i + k]);
      valid = (next & 0xc0) == 0x80;
      code = code << 6 | (next & 0x3f);
    }
    if (!valid) {  // names given by callers need not be text
      unit(0xfffd);
      ++i;
      continue;
    }
    i += length;
    if (code >= 0x10000) {
      unit(0xd800 + ((code - 0x10000) >> 10));
      unit(0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      unit(code);
    }
  }
  return result + "\"";
}

}  // namespace intaglio::json
