// Strict JSON: reading texts that may be hostile, and writing in the style of Python's json module.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <simdjson.h>

namespace intaglio::json {

// One value of a Document, valid as long as that lives. Typed reads throw a bad-input error that names `what` and
// says what stands there instead.
class Value {
 public:
  Value(simdjson::dom::element element) : element_(element) {}  // NOLINT: what iteration gives

  bool is_null() const { return element_.is_null(); }
  bool is_object() const { return element_.is_object(); }
  bool is_array() const { return element_.is_array(); }
  bool is_string() const { return element_.is_string(); }

  std::string_view string(std::string_view what) const;
  int64_t integer(std::string_view what) const;  // 4.0 is no integer
  double number(std::string_view what) const;    // also "Infinity", "-Infinity" and "NaN" as strings
  bool boolean(std::string_view what) const;
  simdjson::dom::object object(std::string_view what) const;
  simdjson::dom::array array(std::string_view what) const;

  // A field of an object; `at` refuses a missing one, `find` also takes null for missing.
  Value at(std::string_view key) const;
  std::optional<Value> find(std::string_view key) const;
  // The one field of an object that stands for a union.
  std::pair<std::string_view, Value> only_field(std::string_view what) const;

  // Fields outside `known` (separated by blanks), as texts.
  std::map<std::string, std::string> others(std::string_view known) const;
  // Python's text of the value: ", " and ": " between parts, non-ASCII escaped.
  std::string text() const;

 private:
  [[noreturn]] void refuse(std::string_view what, std::string_view expected) const;
  simdjson::dom::element element_;
};

// A parsed text. Bad input for anything that is not exactly one JSON value, for repeated keys and for deep nesting.
class Document {
 public:
  explicit Document(std::string_view text);
  Value root() const { return root_; }

 private:
  std::unique_ptr<simdjson::dom::parser> parser_;
  simdjson::dom::element root_;
};

// Builds a text from left to right; commas are put where they belong.
class Writer {
 public:
  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);
  Writer& string(std::string_view text);
  Writer& integer(int64_t value);
  Writer& number(double value);  // infinities and NaN become strings
  Writer& boolean(bool value);
  Writer& null() { return raw("null"); }
  Writer& raw(std::string_view json);  // a JSON text

  const std::string& text() const { return text_; }

 private:
  Writer& open(char bracket);
  Writer& close(char bracket);
  void separate();
  std::string text_;
  bool first_ = true;
};

// As Python's repr: the shortest digits that read back, "1e-05", "1.0".
std::string float_text(double value);
std::string quoted(std::string_view text);

}  // namespace intaglio::json
