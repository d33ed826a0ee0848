// Torch's pytree specification: `[1, {"type", "context", "children_spec"}]`, its protocol number first.
#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/program.h>

#include "ir/json.h"

namespace intaglio {
namespace {

constexpr int64_t protocol = 1;
constexpr int max_depth = 100;

bool has_keys(std::string_view type) {
  return type == "builtins.dict" || type == "collections.OrderedDict" || type == "collections.defaultdict";
}

std::vector<std::string> key_list(const json::Value& list) {
  std::vector<std::string> keys;
  for (const json::Value key : list.array("context")) keys.push_back(key.is_string() ? std::string(key.string("key")) : key.text());
  return keys;
}

// The keys of a dict: JSON inside a JSON string; a defaultdict has them in an object beside its factory.
std::vector<std::string> keys_of(const json::Value& context) {
  if (context.is_string()) {
    const json::Document inner(context.string("context"));
    return keys_of(inner.root());
  }
  return key_list(context.is_object() ? context.at("dict_context") : context);
}

TreeSpec parse(const json::Value& value, int depth) {
  if (depth > max_depth) throw_bad_input(fmt::format("containers nested deeper than {} levels", max_depth));
  TreeSpec spec;
  const json::Value context = value.at("context");
  const simdjson::dom::array children = value.at("children_spec").array("children_spec");
  spec.context_json = context.text();
  if (value.at("type").is_null()) {
    if (children.size() != 0 || !context.is_null()) throw_bad_input("a leaf with children or a context");
    return spec;
  }
  spec.type = value.at("type").string("type");
  if (spec.type.empty()) throw_bad_input("a container without a type");
  for (const json::Value child : children) spec.children.push_back(parse(child, depth + 1));
  if (!has_keys(spec.type)) return spec;
  spec.keys = keys_of(context);
  if (spec.keys.size() != spec.children.size())
    throw_bad_input(fmt::format("a {} of {} keys has {} values", escaped(spec.type, 40), spec.keys.size(), spec.children.size()));
  return spec;
}

std::string context_text(const TreeSpec& spec) {
  if (!spec.context_json.empty()) return spec.context_json;
  if (spec.is_leaf()) return "null";
  if (!has_keys(spec.type)) return "\"null\"";
  json::Writer keys;
  keys.begin_array();
  for (const std::string& key : spec.keys) keys.string(key);
  keys.end_array();
  return json::quoted(keys.text());
}

void write(json::Writer& writer, const TreeSpec& spec) {
  writer.begin_object().key("type");
  spec.is_leaf() ? writer.null() : writer.string(spec.type);
  writer.key("context").raw(context_text(spec));
  writer.key("children_spec").begin_array();
  for (const TreeSpec& child : spec.children) write(writer, child);
  writer.end_array().end_object();
}

}  // namespace

TreeSpec parse_tree_spec(std::string_view text) {
  try {
    const json::Document document(text);
    const simdjson::dom::array parts = document.root().array("tree spec");
    if (parts.size() != 2) throw_bad_input(fmt::format("expected a protocol number and a tree, found {} parts", parts.size()));
    const int64_t number = json::Value(parts.at(0)).integer("protocol");
    if (number != protocol)
      throw_unsupported(fmt::format("protocol {} is not known, only {}; the file is of another PyTorch version", number, protocol));
    return parse(json::Value(parts.at(1)), 0);
  } catch (const Error& error) { throw error.with_context("tree spec"); }
}

std::string to_json(const TreeSpec& spec) {
  json::Writer writer;
  writer.begin_array().integer(protocol);
  write(writer, spec);
  return writer.end_array().text();
}

}  // namespace intaglio
