#include "decompose/builder.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/limits.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

bool is_symbolic(const SymInt& size) { return !size.is_static(); }

bool is_within(size_t steps, const Graph& graph, const Node* from, const Node* to) {
  for (; from && steps > 0 && from != to; --steps) from = graph.next(from);
  return from == to && to;
}

// A value that already holds this size, defined before `position`: the `sym_size` of the same tensor and dimension. Among the first readers
// of the tensor, and not far off: it may have as many as the program has nodes, and each of them asks. One more goes with its likes later.
Value* existing_size(Value* of, int64_t dim, const Graph& graph, const Node* position) {
  constexpr size_t most_readers = 64, most_nodes = 2048;
  const auto holds_it = [&](const Node& node) {
    return node.is("aten.sym_size.int") && node.tensor("self") == of && node.integer("dim") == dim;
  };
  size_t readers = 0;
  for (Node* user : of->users()) {
    if (++readers > most_readers) break;
    if (holds_it(*user) && is_within(most_nodes, graph, user, position)) return user->output();
  }
  if (readers <= most_readers || !position) return nullptr;
  size_t steps = most_nodes;
  for (const Node* at = graph.previous(position); at && steps > 0; at = graph.previous(at), --steps)
    if (holds_it(*at)) return at->output();
  return nullptr;
}

}  // namespace

std::map<std::string, std::string> inherited_metadata(const Node& origin) {
  std::map<std::string, std::string> kept;
  for (const char* key : {"stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom", "refusal"})
    if (auto found = origin.metadata.find(key); found != origin.metadata.end()) kept.insert(*found);
  return kept;
}

std::vector<NamedArgument> GraphBuilder::bind(Op op, std::vector<Argument> positional, Keywords keywords) const {
  const OpSchema* schema = op.schema();
  if (!schema) throw_bug(fmt::format("no schema for {}", op.name()));
  std::vector<NamedArgument> bound;
  if (positional.size() > schema->arguments.size()) throw_bug(fmt::format("too many arguments for {}", op.name()));
  for (size_t i = 0; i < positional.size(); ++i) {
    const ArgSchema& argument = schema->arguments[i];
    bound.push_back({argument.name, std::move(positional[i]), argument.keyword_only ? ArgKind::keyword : ArgKind::positional});
  }
  for (auto& [name, value] : keywords) {
    if (!schema->find(name)) throw_bug(fmt::format("{} has no argument '{}'", op.name(), name));
    bound.push_back({name, std::move(value), ArgKind::keyword});
  }
  return bound;
}

Node& GraphBuilder::node(std::string_view name, std::vector<Argument> positional, Keywords keywords) {
  if (++made_ > most_nodes_of_one) refuse_size(origin_, most_nodes_of_one);
  const Op op = Op::get(name);
  std::vector<NamedArgument> arguments = bind(op, std::move(positional), std::move(keywords));
  // Node results cannot be added later: the number in a list return comes from a first node without results.
  const bool returns_list = op.schema()->returns.size() == 1 && op.schema()->returns[0].type == ArgType::tensor_list;
  std::vector<OutputSpecification> outputs(returns_list ? 0 : op.schema()->returns.size());
  std::vector<Node::OutputGroup> groups;
  if (returns_list) {
    Node& probe = graph().insert_before(position_, op, arguments, {}, "", {{true, 0}});
    const auto length = infer_list_length(probe);
    graph().erase(&probe);
    if (!length)
      throw_unsupported(fmt::format("{}: the number of parts depends on a symbolic size; export with that size fixed", describe(origin_)));
    outputs.resize(*length);
    groups.push_back({true, *length});
  }
  for (OutputSpecification& output : outputs) output.meta = TensorMeta::contiguous(DType::float32, {});
  Node& created = graph().insert_before(position_, op, std::move(arguments), std::move(outputs), "", std::move(groups));
  created.metadata = inherited_metadata(origin_);
  if (refresh_metadata(created)) return created;
  if (!has_inference_rule(op)) throw_bug(fmt::format("there is no inference rule for {}", op.name()));
  throw_unsupported(fmt::format("{}: the sizes of its {} depend on a symbolic size or on values; export with that size fixed",
                                describe(origin_), op.base()));
}

Value* GraphBuilder::call(std::string_view op, std::vector<Argument> positional, Keywords keywords) {
  return node(op, std::move(positional), std::move(keywords)).output();
}

Value* GraphBuilder::view(Value* x, const SymSizes& wanted) {
  if (x->sizes() == wanted) return x;
  Value* result = call("aten.view.default", {x, sizes(wanted, {x}, true)});
  result->meta() = TensorMeta::contiguous(x->dtype(), wanted);
  return result;
}

Value* GraphBuilder::permute(Value* x, const std::vector<int64_t>& dims) {
  if (std::is_sorted(dims.begin(), dims.end())) return x;
  return call("aten.permute.default", {x, dims});
}

Value* GraphBuilder::expand(Value* x, const SymSizes& wanted) {
  if (x->sizes() == wanted) return x;
  // A dimension that stays is written as -1, so that symbolic ones need no node.
  SymSizes written = wanted;
  if (x->sizes().size() > wanted.size())
    throw_bad_input(fmt::format("{}: a tensor of {} dimensions is expanded to {}", describe(origin_), x->sizes().size(), wanted.size()));
  const size_t added = wanted.size() - x->sizes().size();
  for (size_t i = added; i < wanted.size(); ++i)
    if (is_symbolic(wanted[i]) && x->sizes()[i - added] == wanted[i]) written[i] = -1;
  Value* result = call("aten.expand.default", {x, sizes(written, {x}, false)});
  result->meta() = TensorMeta::contiguous(x->dtype(), wanted);
  return result;
}

Value* GraphBuilder::unsqueeze(Value* x, int64_t dim) { return call("aten.unsqueeze.default", {x, dim}); }
Value* GraphBuilder::squeeze(Value* x, int64_t dim) { return call("aten.squeeze.dims", {x, std::vector<int64_t>{dim}}); }
Value* GraphBuilder::slice(Value* x, int64_t dim, int64_t start, int64_t end, int64_t step) {
  return step == 1 ? call("aten.slice.Tensor", {x, dim, start, end}) : call("aten.slice.Tensor", {x, dim, start, end, step});
}
Value* GraphBuilder::select(Value* x, int64_t dim, int64_t index) { return call("aten.select.int", {x, dim, index}); }

Value* GraphBuilder::cast(Value* x, DType dtype) {
  return x->dtype() == dtype ? x : call("aten._to_copy.default", {x}, {{"dtype", dtype}});
}

Value* GraphBuilder::full(const SymSizes& wanted, Argument value, DType dtype, Value* sized_like) {
  std::vector<Value*> sources;
  if (sized_like) sources.push_back(sized_like);
  return call("aten.full.default", {sizes(wanted, sources, false), std::move(value)}, {{"dtype", dtype}});
}

Value* GraphBuilder::out_dtype(std::string_view op, DType dtype, std::vector<Argument> operands, const SymSizes& sizes) {
  std::vector<NamedArgument> arguments = {{"", OpName{fmt::format("torch.ops.{}", op)}}, {"", dtype}};
  for (Argument& operand : operands) arguments.push_back({"", std::move(operand)});
  Node& created = graph().insert_before(position_, Op::get("higher_order.out_dtype"), std::move(arguments),
                                        {{.meta = TensorMeta::contiguous(dtype, sizes)}});
  created.carried["is_hop_single_tensor_return"] = "true";  // the result is no tuple
  created.metadata = inherited_metadata(origin_);
  return created.output();
}

Argument GraphBuilder::sum(const Argument& x, const Argument& y) {
  const auto as_sym = [](const Argument& argument) -> std::optional<SymInt> {
    if (const auto* number = argument.get_if<int64_t>()) return SymInt(*number);
    Value* const* value = argument.get_if<Value*>();
    return value ? (*value)->sym : std::nullopt;
  };
  const auto left = as_sym(x), right = as_sym(y);
  if (left && right && left->is_static() && right->is_static()) return left->value() + right->value();
  OutputSpecification output;
  output.kind = ValueKind::sym_int;
  if (left && right) output.sym = *left + *right;
  Node& created =
      graph().insert_before(position_, Op::get("_operator.add"), {{"", x, ArgKind::positional}, {"", y, ArgKind::positional}}, {output});
  created.metadata = inherited_metadata(origin_);
  return created.output();
}

Argument GraphBuilder::size(Value* of, int64_t dim) {
  const SymInt& size = of->sizes().at(static_cast<size_t>(dim));
  if (size.is_static()) return size.value();
  if (Value* known = existing_size(of, dim, graph(), position_)) return known;
  OutputSpecification output;
  output.kind = ValueKind::sym_int;
  output.sym = size;
  Node& created = graph().insert_before(position_, Op::get("aten.sym_size.int"),
                                        {{"self", of, ArgKind::positional}, {"dim", dim, ArgKind::positional}}, {output});
  created.metadata = inherited_metadata(origin_);
  return created.output();
}

Argument GraphBuilder::sizes(const SymSizes& wanted, const std::vector<Value*>& sources, bool infer_one) {
  const auto symbolic = std::count_if(wanted.begin(), wanted.end(), is_symbolic);
  if (symbolic == 0 || (infer_one && symbolic == 1)) {
    std::vector<int64_t> numbers;
    for (const SymInt& size : wanted) numbers.push_back(size.is_static() ? size.value() : -1);
    return numbers;
  }
  std::vector<SymArg> list;
  bool inferred = !infer_one;
  std::vector<Value*> among = sources;
  // What is taken apart knows sizes that its parts no longer have: rows of a matrix are texts times tokens.
  if (position_ == &origin_) {
    const std::vector<Value*> inputs = origin_.inputs();
    among.insert(among.end(), inputs.begin(), inputs.end());
  }
  for (const SymInt& size : wanted) {
    if (size.is_static()) {
      list.push_back(size.value());
      continue;
    }
    Value* found = nullptr;
    for (Value* source : among) {
      if (source->sym && *source->sym == size) found = source;
      for (size_t dim = 0; dim < source->sizes().size() && !found; ++dim)
        if (source->sizes()[dim] == size)
          found = std::get<Value*>(static_cast<const Argument::variant&>(this->size(source, static_cast<int64_t>(dim))));
      if (found) break;
    }
    if (found) {
      list.push_back(found);
    } else if (!inferred) {
      inferred = true;
      list.push_back(int64_t{-1});
    } else {
      throw_unsupported(fmt::format("{}: the symbolic size {} cannot be computed from its operands; export with that size fixed",
                                    describe(origin_), to_string(size)));
    }
  }
  return list;
}

Value* GraphBuilder::number(const Argument& value, DType dtype) {
  if (const auto* integer = value.get_if<int64_t>()) return constant(converted(Tensor::scalar(*integer), dtype));
  if (const auto* real = value.get_if<double>()) return constant(converted(Tensor::scalar(*real), dtype));
  if (const auto* flag = value.get_if<bool>()) return constant(converted(Tensor::scalar(*flag), dtype));
  throw_unsupported(fmt::format("{}: a symbolic number cannot become a constant", describe(origin_)));
}

Value* GraphBuilder::constant(Tensor tensor) { return program_.add_constant("_lifted_tensor_constant0", std::move(tensor)); }

}  // namespace intaglio::decompose
