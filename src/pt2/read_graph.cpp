#include "pt2/model_json.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/check_arguments.h"

namespace intaglio::pt2 {
namespace {

class GraphReader {
 public:
  GraphReader(const json::Value& source, Expressions& expressions, Graph& graph)
      : source_(source), expressions_(expressions), graph_(graph), scope_{graph, [&expressions](const json::Value& inner) {
                                                                            auto subgraph = std::make_unique<Graph>();
                                                                            read_graph(inner, {}, expressions, *subgraph);
                                                                            return subgraph;
                                                                          }} {}

  void read(std::span<const std::string> input_names) {
    index_values();
    size_t position = 0;
    for (const json::Value input : source_.at("inputs").array("inputs")) {
      within(fmt::format("graph input {}", position), [&] { read_input(input, position, input_names); });
      ++position;
    }
    size_t number = 0;
    for (const json::Value node : source_.at("nodes").array("nodes")) {
      // The text of the place is made only when it is needed.
      try {
        read_node(node);
      } catch (const Error& error) { throw error.with_context(place_of(node, number)); }
      ++number;
    }
    std::vector<Argument> outputs;
    for (const json::Value output : source_.at("outputs").array("outputs"))
      within(fmt::format("graph output {}", outputs.size()), [&] { outputs.push_back(read_argument(output, scope_)); });
    graph_.set_outputs(std::move(outputs));
    if (const auto single = source_.find("is_single_tensor_return"))
      graph_.is_single_tensor_return = single->boolean("is_single_tensor_return");
    for (auto& [field, text] : source_.others("inputs outputs nodes tensor_values sym_int_values sym_bool_values "
                                              "sym_float_values custom_obj_values is_single_tensor_return"))
      graph_.carried.emplace(field, std::move(text));
  }

 private:
  template <typename Body>
  void within(const std::string& place, Body body) {
    try {
      body();
    } catch (const Error& error) { throw error.with_context(place); }
  }

  static std::string place_of(const json::Value& node, size_t number) {
    if (node.is_object())
      if (const auto target = node.find("target"); target && target->is_string()) {
        std::string_view name = target->string("target");
        if (name.starts_with("torch.ops.")) name.remove_prefix(10);
        return fmt::format("node {} ({})", number, escaped(name, 60));
      }
    return fmt::format("node {}", number);
  }

  void index_values() {
    for (const auto field : source_.at("tensor_values").object("tensor_values")) tensors_.emplace(field.key, field.value);
    for (const char* table : {"sym_int_values", "sym_bool_values", "sym_float_values"})
      if (const auto values = source_.find(table))
        for (const auto field : values->object(table)) symbols_.emplace(field.key, field.value);
    // Floats have no place in the graph's values.
    if (const auto floats = source_.find("sym_float_values"); floats && floats->object("sym_float_values").size() != 0) {
      for (const auto field : floats->object("sym_float_values"))
        if (const auto [kind, content] = json::Value(field.value).only_field("sym_float"); kind == "as_expr")
          expressions_.parsed(content.at("expr_str").string("expr_str"));
      graph_.carried.emplace("sym_float_values", floats->text());
    }
  }

  // ---- definitions

  std::string fresh_name(std::string_view name) const {
    if (name.empty()) throw_bad_input("a value without a name");
    if (graph_.find_value(name) != nullptr) throw_bad_input(fmt::format("two values are called '{}'", escaped(name, 80)));
    return std::string(name);
  }

  OutputSpecification tensor(const json::Value& reference) {
    OutputSpecification result;
    result.name = fresh_name(reference.at("name").string("name"));
    const auto meta = tensors_.find(result.name);
    if (meta == tensors_.end()) throw_bad_input(fmt::format("tensor '{}' has no entry in tensor_values", escaped(result.name, 80)));
    within(fmt::format("tensor_values of '{}'", escaped(result.name, 80)),
           [&] { result.meta = read_tensor_meta(meta->second, expressions_); });
    return result;
  }

  OutputSpecification symbol(const json::Value& reference, ValueKind kind) {
    OutputSpecification result;
    result.name = fresh_name(reference.at("as_name").string("as_name"));
    result.kind = kind;
    const auto value = symbols_.find(result.name);
    if (kind != ValueKind::sym_float && value != symbols_.end())
      within(fmt::format("value of '{}'", escaped(result.name, 80)), [&] { result.sym = read_sym_value(value->second, expressions_); });
    return result;
  }

  OutputSpecification custom_object(const json::Value& reference) {
    OutputSpecification result;
    result.name = fresh_name(reference.at("name").string("name"));
    result.kind = ValueKind::custom_object;
    result.class_fqn = reference.at("class_fqn").string("class_fqn");
    return result;
  }

  // A value that the graph or a node defines; nothing for literals.
  std::optional<OutputSpecification> definition(std::string_view kind, const json::Value& content) {
    if (kind == "as_tensor") return tensor(content);
    if (kind == "as_sym_int") return symbol(content, ValueKind::sym_int);
    if (kind == "as_sym_float") return symbol(content, ValueKind::sym_float);
    if (kind == "as_sym_bool") return symbol(content, ValueKind::sym_bool);
    if (kind == "as_custom_obj") return custom_object(content);
    return std::nullopt;
  }

  void read_input(const json::Value& input, size_t position, std::span<const std::string> names) {
    const auto [kind, content] = input.only_field("graph input");
    if (auto value = definition(kind, content)) {
      graph_.add_input(position, std::move(*value));
      return;
    }
    OutputSpecification literal;
    literal.kind = ValueKind::literal;
    literal.name = position < names.size() && !names[position].empty() ? fresh_name(names[position])
                                                                       : graph_.unique_name(fmt::format("literal_{}", position));
    Argument constant = read_argument(input, scope_);
    const bool plain =
        constant.is_none() || constant.is<int64_t>() || constant.is<double>() || constant.is<bool>() || constant.is<std::string>();
    if (!plain) throw_bad_input(fmt::format("an input of kind '{}' is neither a value nor a plain constant", escaped(kind, 40)));
    graph_.add_input(position, std::move(literal), std::move(constant));
  }

  // ---- nodes

  struct Results {
    std::vector<OutputSpecification> values;
    std::vector<Node::OutputGroup> groups;
  };

  static OutputSpecification absent() {
    OutputSpecification result;
    result.kind = ValueKind::none;
    return result;
  }

  void read_result(const json::Value& output, Results& results) {
    const auto [kind, content] = output.only_field("output");
    if (kind == "as_tensors" || kind == "as_optional_tensors") {
      const simdjson::dom::array items = content.array(kind);
      for (const json::Value item : items) {
        if (kind == "as_tensors") {
          results.values.push_back(tensor(item));
          continue;
        }
        const auto [item_kind, item_content] = item.only_field(kind);
        results.values.push_back(item_kind == "as_none" ? absent() : tensor(item_content));
      }
      results.groups.push_back({true, items.size()});
    } else {
      auto value = kind == "as_none" ? std::optional(absent()) : definition(kind, content);
      if (!value) throw_unsupported(fmt::format("an output of kind '{}' is not supported", escaped(kind, 40)));
      results.values.push_back(std::move(*value));
      results.groups.push_back({});
    }
  }

  std::vector<NamedArgument> read_arguments(const json::Value& node) {
    const simdjson::dom::array inputs = node.at("inputs").array("inputs");
    std::vector<NamedArgument> arguments;
    arguments.reserve(inputs.size());
    for (const json::Value input : inputs) {
      NamedArgument argument;
      argument.name = input.at("name").string("name");
      try {
        argument.value = read_argument(input.at("arg"), scope_);
      } catch (const Error& error) {
        throw error.with_context(argument.name.empty() ? fmt::format("argument {}", arguments.size())
                                                       : fmt::format("argument '{}'", escaped(argument.name, 60)));
      }
      const auto kind = input.find("kind");
      const int64_t number = kind ? kind->integer("kind") : 0;
      if (number < 0 || number > 2) throw_bad_input(fmt::format("argument kind {} is not known", number));
      argument.kind = static_cast<ArgKind>(number);
      arguments.push_back(std::move(argument));
    }
    return arguments;
  }

  // Equal names are found by sorting: a hostile node may have very many arguments.
  static void check_distinct(const std::vector<NamedArgument>& arguments) {
    std::vector<std::string_view> names;
    for (const NamedArgument& argument : arguments)
      if (!argument.name.empty()) names.push_back(argument.name);
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice != names.end()) throw_bad_input(fmt::format("argument '{}' is given twice", escaped(*twice, 60)));
  }

  static ResultKinds kinds_of(const Results& results) {
    ResultKinds kinds{{}, results.groups};
    for (const OutputSpecification& value : results.values) kinds.values.push_back(value.kind);
    return kinds;
  }

  void read_node(const json::Value& source) {
    const Op op = Op::get(op_name_of_target(source.at("target").string("target")));
    std::vector<NamedArgument> arguments = read_arguments(source);
    Results results;
    for (const json::Value output : source.at("outputs").array("outputs")) read_result(output, results);
    check_distinct(arguments);
    check_arguments(op, arguments, kinds_of(results));
    check_distinct_results(results);

    std::string name;
    if (const auto given = source.find("name"); given && !given->is_null()) name = given->string("name");
    if (name.empty() && !shares_name_with_result(source, op, results)) name = free_node_name(op.base());
    // A name that an earlier value has is fine for the value of its own only.
    const bool own = results.values.size() == 1 && results.values[0].name == name;
    if (!name.empty() && !own && graph_.find_value(name) != nullptr)
      throw_bad_input(fmt::format("node and value are both called '{}'", escaped(name, 80)));
    for (OutputSpecification& value : results.values)
      if (value.name.empty()) value.name = graph_.unique_name(fmt::format("{}_none", name.empty() ? op.base() : std::string_view(name)));
    const std::vector<std::string> wanted = names_of(results);
    Node& node = graph_.insert_before(nullptr, op, std::move(arguments), std::move(results.values), name, std::move(results.groups));
    if (!name.empty() && node.name() != name) throw_bad_input(fmt::format("two nodes are called '{}'", escaped(name, 80)));
    for (size_t i = 0; i < wanted.size(); ++i)
      if (node.output(i)->name() != wanted[i]) throw_bad_input(fmt::format("two values are called '{}'", escaped(wanted[i], 80)));

    for (const auto field : source.at("metadata").object("metadata"))
      node.metadata.emplace(field.key, json::Value(field.value).string(field.key));
    for (auto& [field, text] : source.others("target inputs outputs metadata name"))
      if (text != "null") node.carried.emplace(field, std::move(text));
  }

  // PyTorch has one name for a node and its one result, unless the result is an element of a tuple or a list.
  static bool shares_name_with_result(const json::Value& source, Op op, const Results& results) {
    if (results.groups.size() != 1 || results.groups[0].is_list) return false;
    if (op.name_space() != "higher_order") return true;
    const auto single = source.find("is_hop_single_tensor_return");
    return single && !single->is_null() && single->boolean("is_hop_single_tensor_return");
  }

  // A name that no value of the graph has, also none that comes later.
  std::string free_node_name(std::string_view stem) {
    size_t& count = unnamed_[std::string(stem)];
    for (;;) {
      const std::string name = count == 0 ? std::string(stem) : fmt::format("{}_{}", stem, count);
      ++count;
      if (!tensors_.contains(name) && !symbols_.contains(name) && graph_.unique_name(name) == name) return name;
    }
  }

  static std::vector<std::string> names_of(const Results& results) {
    std::vector<std::string> names;
    for (const OutputSpecification& value : results.values) names.push_back(value.name);
    return names;
  }

  static void check_distinct_results(const Results& results) {
    std::vector<std::string> names = names_of(results);
    std::erase(names, std::string());
    std::ranges::sort(names);
    const auto twice = std::ranges::adjacent_find(names);
    if (twice != names.end()) throw_bad_input(fmt::format("two values are called '{}'", escaped(*twice, 80)));
  }

  json::Value source_;
  Expressions& expressions_;
  Graph& graph_;
  ArgumentScope scope_;
  std::unordered_map<std::string_view, json::Value> tensors_;
  std::unordered_map<std::string_view, json::Value> symbols_;
  std::unordered_map<std::string, size_t> unnamed_;  // nodes named here, by stem
};

}  // namespace

void read_graph(const json::Value& source, std::span<const std::string> input_names, Expressions& expressions, Graph& graph) {
  GraphReader(source, expressions, graph).read(input_names);
}

}  // namespace intaglio::pt2
