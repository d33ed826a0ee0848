#include "decompose/decompose.h"

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/rewrite.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

struct Irregular {
  std::string_view in_place, functional;
};

// Where the functional op is called otherwise than by the in-place one's name without its underscore.
constexpr Irregular irregular[] = {
    {"aten._index_put_impl_.default", "aten.index_put.default"},
    {"aten._index_put_impl_.hacked_twin", "aten.index_put.hacked_twin"},
    {"aten._no_grad_fill_.default", "aten.fill.Scalar"},
    {"aten._no_grad_normal_.default", "aten.normal_functional.default"},
    {"aten._no_grad_uniform_.default", "aten.uniform.default"},
    {"aten.bernoulli_.float", "aten.bernoulli.p"},
    {"aten.floor_divide_.Tensor", "aten.floor_divide.default"},
    {"aten.ldexp_.default", "aten.ldexp.Tensor"},
    {"aten.normal_.default", "aten.normal_functional.default"},
    {"aten.transpose_.default", "aten.transpose.int"},
    {"prims._unsafe_index_put_.default", "aten._unsafe_index_put.default"},
};

std::string functional_name(Op op) {
  for (const Irregular& row : irregular)
    if (op.is(row.in_place)) return std::string(row.functional);
  const std::string_view base = op.base();
  if (base.starts_with("__i") && base.ends_with("__")) return fmt::format("{}.__{}.{}", op.name_space(), base.substr(3), op.overload());
  if (!base.ends_with('_')) return "";
  // Powers have two operands that may be numbers, so the functional overloads name both.
  const bool power = base == "pow_" || base == "float_power_";
  return fmt::format("{}.{}.{}{}", op.name_space(), base.substr(0, base.size() - 1), power ? "Tensor_" : "", op.overload());
}

bool takes(ArgType wanted, ArgType given) { return wanted == given || (wanted == ArgType::scalar && given == ArgType::floating); }

// Names alone may mislead: `ldexp` is also a function of numbers.
bool computes_the_same(const OpSchema& in_place, const OpSchema& functional) {
  if (functional.is_inplace() || functional.returns.size() != 1 || functional.returns[0].type != ArgType::tensor) return false;
  for (size_t i = 0; i < std::min(in_place.arguments.size(), functional.arguments.size()); ++i)
    if (!takes(functional.arguments[i].type, in_place.arguments[i].type)) return false;
  return in_place.arguments[0].mutated && in_place.arguments[0].type == ArgType::tensor;
}

// Make their operand another part of memory, which a view of one schema does not say.
constexpr std::string_view resizing[] = {"aten.resize_.default", "aten.resize_as_.default", "aten.set_.source_Tensor"};

}  // namespace

std::optional<Op> functional_form(Op op) {
  const OpSchema* schema = op.schema();
  if (!schema || !schema->is_inplace()) return std::nullopt;
  if (op.base().starts_with("resize_") || op.base() == "set_") return std::nullopt;
  const std::string name = functional_name(op);
  if (name.empty() || !find_schema(name)) return std::nullopt;
  const Op functional = Op::get(name);
  if (!computes_the_same(*schema, *functional.schema())) return std::nullopt;
  return functional;
}

std::vector<NamedArgument> functional_arguments(const Node& node, Op functional) {
  std::vector<NamedArgument> arguments;
  for (NamedArgument argument : node.arguments()) {
    const auto place = node.op().schema()->index_of(argument.name);
    const std::vector<ArgSchema>& formals = functional.schema()->arguments;
    if (!functional.schema()->find(argument.name)) {
      if (!place || *place >= formals.size()) continue;  // `unsafe` of _index_put_impl_: how, not what
      argument.name = formals[*place].name;
    }
    arguments.push_back(std::move(argument));
  }
  return arguments;
}

bool is_in_place_view(Op op) {
  if (std::ranges::find(resizing, op.name()) != std::end(resizing)) return true;
  const std::optional<Op> functional = functional_form(op);
  return functional && functional->schema()->is_view() && op.base() != "detach_";
}

namespace {

class ViewReplacement {
 public:
  explicit ViewReplacement(Graph& graph) : graph_(graph) {}

  void run(const std::vector<Node*>& nodes) {
    for (Node* node : nodes) {
      const OpSchema* schema = node->op().schema();
      if (is_in_place_view(node->op())) replace(*node);
      else if (schema && schema->is_inplace() && schema->arguments.front().mutated && node->outputs().size() == 1)
        add_name(node->tensor(schema->arguments.front().name), node->output());
      passed_.insert(node);
    }
  }

 private:
  struct Tensor {
    std::vector<Value*> names;
  };

  Tensor& tensor_of(Value* value) {
    auto [known, added] = tensors_.try_emplace(value);
    if (added) known->second = std::make_shared<Tensor>(Tensor{{value}});
    return *known->second;
  }
  // The result of an in-place op is its operand under another name.
  void add_name(Value* operand, Value* result) {
    tensor_of(operand).names.push_back(result);
    tensors_[result] = tensors_.at(operand);
  }

  void replace(Node& node) {
    Value* operand = node.tensor(node.op().schema()->arguments.front().name);
    for (const Value* name : tensor_of(operand).names)
      if (!name->producer())
        throw_unsupported(
            fmt::format("{}: changes the sizes of '{}' for its caller and for later calls; use the out-of-place op in the model",
                        describe(node), escaped(name->name())));
    Value* view = view_in_place_of(node, operand);
    for (Value* name : tensor_of(operand).names)
      graph_.replace_uses_if(name, view, [&](const Node& user) { return !passed_.contains(&user); });
    replace_result(graph_, node.output(), view);
    graph_.erase(&node);
  }

  Value* view_in_place_of(Node& node, Value* operand) {
    passed_.insert(&node);
    if (node.is("aten.set_.source_Tensor")) return add(node, Op::get("aten.alias.default"), {{"self", node.tensor("source")}});
    const std::optional<Op> functional = functional_form(node.op());
    if (functional) return add(node, *functional, functional_arguments(node, *functional));
    const TensorMeta& wanted = node.output()->meta();
    if (!wanted.is_static() || !operand->meta().is_static()) refuse(node, "is given other sizes in place, which must be fixed");
    const int64_t before = size_product(operand->sizes()).value(), count = size_product(wanted.sizes).value();
    if (count > before) refuse(node, "grows in place, and what it grows by has no values");
    Value* flat = add(node, Op::get("aten.reshape.default"), {{"self", operand}, {"shape", std::vector<int64_t>{before}}});
    flat = add(node, Op::get("aten.slice.Tensor"), {{"self", flat}, {"dim", 0}, {"start", 0}, {"end", count}});
    return add(node, Op::get("aten.view.default"), {{"self", flat}, {"size", wanted.static_sizes()}});
  }

  // Before the node, in its name.
  Value* add(Node& node, Op op, std::vector<NamedArgument> arguments) {
    Node& added = graph_.insert_before(&node, op, std::move(arguments), {description(*node.output())});
    added.metadata = node.metadata;
    refresh_metadata(added);
    passed_.insert(&added);
    return added.output();
  }

  [[noreturn]] static void refuse(const Node& node, std::string_view why) {
    throw_unsupported(fmt::format("{}: {}; use the out-of-place op in the model", describe(node), why));
  }

  Graph& graph_;
  std::unordered_set<const Node*> passed_;
  std::unordered_map<const Value*, std::shared_ptr<Tensor>> tensors_;
};

}  // namespace

void replace_in_place_views(ExportedProgram& program) {
  const std::vector<Node*> nodes = program.graph().node_list();
  if (std::ranges::any_of(nodes, [](const Node* node) { return is_in_place_view(node->op()); }))
    ViewReplacement(program.graph()).run(nodes);
}

}  // namespace intaglio::decompose
