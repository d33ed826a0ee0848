#include "ir/parser.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/infer.h"
#include "ir/parse_argument.h"
#include "ir/parse_tensor.h"
#include "ir/program_text.h"

namespace intaglio {
namespace {

// A value as it stands left of `=`; without a type it is a tensor that the op describes.
struct Declaration {
  std::string name;
  OutputSpecification specification;
  bool has_type = false;
  size_t position = 0;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : reader_(text) { collect_names(text); }

  ExportedProgram parse() {
    for (reader_.skip_empty_lines(); !reader_.at_end(); reader_.skip_empty_lines()) {
      const size_t start = reader_.position();
      located(start, [&] { statement(); });
    }
    located(reader_.position(), [&] {
      program_.graph().set_outputs(std::move(outputs_));
      verify(program_);
    });
    return std::move(program_);
  }

 private:
  // Whatever the graph objects to is the text's fault, in the statement that began at `start`.
  template <typename Body>
  void located(size_t start, Body body) {
    try {
      body();
    } catch (const Error& error) {
      const std::string message = error.what();
      throw_bad_input(message.starts_with("line ") ? message : fmt::format("{}: {}", reader_.place(start), message));
    }
  }

  // Names of nodes are not in the text; none may take that of a value.
  void collect_names(std::string_view text) {
    for (size_t at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 1)) {
      size_t end = at + 1;
      while (end < text.size() && is_word_character(text[end])) ++end;
      value_names_.emplace(text.substr(at + 1, end - at - 1));
    }
  }

  ArgumentContext context() {
    return {reader_, *values_, [this] { return subgraph(); }};
  }

  void statement() {
    if (reader_.take_word("range")) return range();
    if (reader_.take_word("output")) return output();
    for (size_t kind = 0; kind < input_words.size(); ++kind)
      if (reader_.take_word(input_words[kind])) return input(static_cast<InputSpec::Kind>(kind));
    node(program_.graph());
  }

  // range s77: 2..128 hint 3
  void range() {
    const std::string expression(reader_.until(":"));
    parse_sym_expr(expression);
    reader_.expect(":");
    SymRange range;
    if (reader_.at_number()) range.min = reader_.number<int64_t>();
    reader_.expect("..");
    if (reader_.at_number()) range.max = reader_.number<int64_t>();
    if (range.min || range.max) program_.range_constraints[expression] = range;
    if (reader_.take_word("hint")) hints_[expression] = reader_.number<int64_t>();
    reader_.end_line();
  }

  Declaration declaration() {
    reader_.expect("%");
    Declaration result;
    result.position = reader_.position();
    result.name = reader_.word();
    result.specification.name = result.name;
    result.has_type = reader_.take(":");
    if (result.has_type) type(result.specification);
    return result;
  }

  void type(OutputSpecification& specification) {
    static constexpr std::pair<const char*, ValueKind> kinds[] = {{"int", ValueKind::sym_int},     {"float", ValueKind::sym_float},
                                                                  {"bool", ValueKind::sym_bool},   {"None", ValueKind::none},
                                                                  {"literal", ValueKind::literal}, {"object", ValueKind::custom_object}};
    if (std::optional<TensorMeta> meta = parse_tensor_meta(reader_, hints_)) {
      specification.meta = std::move(*meta);
      return;
    }
    const auto kind = std::ranges::find_if(kinds, [&](const auto& row) { return reader_.take_word(row.first); });
    if (kind == std::end(kinds)) reader_.fail("a type is expected: f32[2, 3], int, float, bool, None, literal or object");
    specification.kind = kind->second;
    if (kind->second == ValueKind::custom_object) specification.class_fqn = reader_.quoted();
    if (kind->second == ValueKind::sym_int && reader_.take("(")) {
      specification.sym = parse_size(reader_.until(")"), hints_);
      reader_.expect(")");
    }
  }

  void define(const Declaration& declared, Value* value) {
    if (!values_->emplace(declared.name, value).second)
      reader_.fail_at(declared.position, fmt::format("'{}' is there already", escaped(declared.name)));
  }

  std::optional<Argument> literal() {
    if (!reader_.take("=")) return std::nullopt;
    return parse_argument(context(), ArgType::other);
  }

  // parameter %p_w: f32[2] 'w' = [0.5, 1.0]
  void input(InputSpec::Kind kind) {
    if (!outputs_.empty() || program_.graph().size() != 0) reader_.fail("inputs stand before nodes and outputs");
    Declaration declared = declaration();
    if (!declared.has_type) reader_.fail("an input needs a type");
    InputSpec spec{kind, nullptr, reader_.at("'") ? reader_.quoted() : "", true};
    const bool has_tensor =
        kind == InputSpec::Kind::parameter || kind == InputSpec::Kind::buffer || kind == InputSpec::Kind::tensor_constant;
    std::optional<Argument> constant;
    if (has_tensor) {
      if (declared.specification.kind != ValueKind::tensor) reader_.fail("a parameter, buffer or constant is a tensor");
      State& state = kind == InputSpec::Kind::tensor_constant ? program_.constants : program_.state;
      if (state.contains(spec.target)) reader_.fail(fmt::format("'{}' is there already", escaped(spec.target)));
      state.set(spec.target, {parse_contents(reader_, declared.specification.meta), kind == InputSpec::Kind::parameter, false});
    } else {
      constant = literal();
    }
    reader_.end_line();
    spec.value = program_.graph().add_input(program_.graph().inputs().size(), declared.specification, std::move(constant));
    define(declared, spec.value);
    program_.input_specs.push_back(std::move(spec));
  }

  // output mutates buffer %add 'count'
  void output() {
    // Longer words first: `gradient of input` begins as `gradient of` does.
    for (size_t kind = output_words.size(); kind-- > 0;) {
      if (!reader_.take_word(output_words[kind])) continue;
      outputs_.push_back(parse_argument(context(), ArgType::other));
      program_.output_specs.push_back({static_cast<OutputSpec::Kind>(kind), reader_.at("'") ? reader_.quoted() : ""});
      return reader_.end_line();
    }
    reader_.fail(fmt::format("an output is one of: {}", fmt::join(output_words, ", ")));
  }

  NamedArgument argument(const OpSchema* schema, size_t position, bool& gap) {
    const size_t start = reader_.position();
    NamedArgument result;
    if (!reader_.at("%") && !reader_.at("[") && !reader_.at("{") && !reader_.at("(")) {
      if (!reader_.at_number()) result.name = reader_.word();
      if (result.name.empty() || !reader_.take("=")) {
        result.name.clear();
        reader_.go_back(start);
      }
    }
    if (schema != nullptr && result.name.empty() && position < schema->arguments.size()) result.name = schema->arguments[position].name;
    const std::optional<size_t> index = schema == nullptr ? std::nullopt : schema->index_of(result.name);
    if (schema != nullptr && !index)
      reader_.fail_at(start, result.name.empty() ? fmt::format("the operator takes {} arguments", schema->arguments.size())
                                                 : fmt::format("the operator has no argument '{}'", escaped(result.name)));
    // As in Graph::set_argument: what follows a gap can only be passed by keyword.
    gap |= index && (*index != position || schema->arguments[*index].keyword_only);
    result.kind = gap ? ArgKind::keyword : ArgKind::positional;
    result.value = parse_argument(context(), index ? schema->arguments[*index].type : ArgType::other);
    return result;
  }

  // `list_0` and `list_1` are of the node `list`.
  std::string node_name(Op op, const std::vector<Declaration>& results) const {
    if (results.size() == 1) return results[0].name;
    std::string name = results.empty() ? std::string(op.base()) : results[0].name;
    if (!results.empty() && name.ends_with("_0")) name.resize(name.size() - 2);
    while (value_names_.contains(name)) name += "_node";
    return name;
  }

  void layer(Node& node) {
    if (!reader_.take_word("in")) return;
    const std::string path = reader_.quoted();
    reader_.expect("(");
    node.metadata["nn_module_stack"] = fmt::format("layer,{},{}", path, reader_.word());
    reader_.expect(")");
  }

  // %a: f32[2], %b: i64[2] = aten.max.dim(self=%x, dim=0) in 'head' (my.Head)
  void node(Graph& graph) {
    const size_t start = reader_.position();
    if (!outputs_.empty() && &graph == &program_.graph()) reader_.fail("nodes stand before outputs");
    std::vector<Declaration> results;
    while (reader_.at("%")) {
      results.push_back(declaration());
      if (!reader_.take(",")) {
        reader_.expect("=");
        break;
      }
    }
    const Op op = Op::get(reader_.word());
    std::vector<NamedArgument> arguments;
    reader_.expect("(");
    for (bool gap = false; !reader_.take(")");) {
      if (!arguments.empty()) reader_.expect(",");
      arguments.push_back(argument(op.schema(), arguments.size(), gap));
    }
    std::vector<OutputSpecification> specifications;
    for (const Declaration& result : results) specifications.push_back(result.specification);
    Node& node = graph.insert_before(nullptr, op, std::move(arguments), std::move(specifications), node_name(op, results));
    const bool any_untyped = std::ranges::any_of(results, [](const Declaration& result) { return !result.has_type; });
    if (any_untyped && (!std::ranges::none_of(results, &Declaration::has_type) || !refresh_metadata(node)))
      reader_.fail_at(start, "the types of the results do not follow from the operands; write them all");
    for (size_t i = 0; i < results.size(); ++i) define(results[i], node.output(i));
    layer(node);
    reader_.end_line();
  }

  // input lines, nodes and `return` between the braces of `graph name {...}`; names are its own.
  std::unique_ptr<Graph> subgraph() {
    constexpr int deepest = 32;
    if (++depth_ > deepest) reader_.fail(fmt::format("graphs are nested more than {} deep", deepest));
    auto graph = std::make_unique<Graph>();
    ValueNames names;
    ValueNames* outside = std::exchange(values_, &names);
    reader_.skip_empty_lines();
    for (; !reader_.take_word("return"); reader_.skip_empty_lines()) {
      if (!reader_.take_word("input")) {
        node(*graph);
        continue;
      }
      Declaration declared = declaration();
      if (!declared.has_type) reader_.fail("an input needs a type");
      std::optional<Argument> constant = literal();
      reader_.end_line();
      define(declared, graph->add_input(graph->inputs().size(), declared.specification, std::move(constant)));
    }
    std::vector<Argument> outputs;
    while (!reader_.at("\n") && !reader_.at("}")) {
      if (!outputs.empty()) reader_.expect(",");
      outputs.push_back(parse_argument(context(), ArgType::other));
    }
    reader_.skip_empty_lines();
    graph->set_outputs(std::move(outputs));
    values_ = outside;
    --depth_;
    return graph;
  }

  TextReader reader_;
  ExportedProgram program_;
  ValueNames top_;
  ValueNames* values_ = &top_;
  std::vector<Argument> outputs_;
  SymBindings hints_;
  std::unordered_set<std::string> value_names_;
  int depth_ = 0;
};

}  // namespace

ExportedProgram parse_program(std::string_view text) { return Parser(text).parse(); }

}  // namespace intaglio
