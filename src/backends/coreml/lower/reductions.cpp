#include <algorithm>
#include <numeric>

#include "backends/coreml/lower/rows.h"

namespace intaglio::coreml::rows {
namespace {

using Ints = std::vector<int64_t>;

// Ascending; all dimensions where the node names none.
Ints axes_of(const Node& node) {
  const Argument dim = node.argument("dim");
  Ints axes;
  if (const auto* one = dim.get_if<int64_t>()) axes = {*one};
  if (const auto* list = dim.get_if<Ints>()) axes = *list;
  std::ranges::sort(axes);
  if (!axes.empty()) return axes;
  axes.resize(node.inputs().front()->sizes().size());
  std::iota(axes.begin(), axes.end(), int64_t{0});
  return axes;
}

Literal axis_literal(const Node& node) { return scalar_literal(static_cast<int32_t>(node.integer("dim"))); }

// [1, channels, 1, ...], as it meets a tensor of this rank.
NamedType per_channel(Lowering& l, const Value* values, size_t rank) {
  Sizes sizes(rank, 1);
  sizes[1] = values->sizes()[0].value();
  const NamedType flat = l.operand(values);
  return l.op("reshape", {{"x", flat}, {"shape", int32_literal(sizes)}}, {flat.type.type, sizes});
}

}  // namespace

void reduction(Lowering& l, const Node& node, std::string_view mil) {
  const DataType type = l.type_of(node.output()).type;
  l.finish(node, mil,
           {{"x", l.cast(l.first_operand(node), type)},
            {"axes", int32_literal(axes_of(node))},
            {"keep_dims", scalar_literal(node.boolean("keepdim"))}});
}

void arg_reduction(Lowering& l, const Node& node, std::string_view mil) {
  Lowering::Parameters parameters = {
      {"x", l.first_operand(node)}, {"axis", axis_literal(node)}, {"keep_dims", scalar_literal(node.boolean("keepdim"))}};
  if (l.version() >= Version::ios17) parameters.emplace_back("output_dtype", text_literal("int32"));
  l.finish(node, mil, std::move(parameters));
}

void running(Lowering& l, const Node& node, std::string_view mil) {
  const DataType type = l.type_of(node.output()).type;
  l.finish(node, mil,
           {{"x", l.cast(l.first_operand(node), type)},
            {"axis", axis_literal(node)},
            {"exclusive", scalar_literal(false)},
            {"reverse", scalar_literal(false)}});
}

void softmax(Lowering& l, const Node& node, std::string_view mil) {
  l.finish(node, mil, {{"x", l.first_operand(node)}, {"axis", axis_literal(node)}});
}

void log_softmax(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.first_operand(node);
  const NamedType shares = l.op(mil, {{"x", x}, {"axis", axis_literal(node)}}, x.type);
  l.finish(node, "log", {{"x", shares}, {"epsilon", l.parameter(1.4e-45)}});
}

void layer_norm(Lowering& l, const Node& node, std::string_view mil) {
  Ints axes(node.integers("normalized_shape").size());
  std::iota(axes.begin(), axes.end(), -std::ssize(axes));
  Lowering::Parameters parameters = {
      {"x", l.operand(node, "input")}, {"axes", int32_literal(axes)}, {"epsilon", l.number(node.number("eps"), l.float_type())}};
  if (const Value* weight = node.optional_tensor("weight")) parameters.emplace_back("gamma", l.operand(weight));
  if (const Value* bias = node.optional_tensor("bias")) parameters.emplace_back("beta", l.operand(bias));
  l.finish(node, mil, std::move(parameters));
}

void batch_norm(Lowering& l, const Node& node, std::string_view mil) {
  Lowering::Parameters parameters = {{"x", l.operand(node, "input")},
                                     {"mean", l.operand(node, "running_mean")},
                                     {"variance", l.operand(node, "running_var")},
                                     {"epsilon", l.number(node.number("eps"), l.float_type())}};
  if (const Value* weight = node.optional_tensor("weight")) parameters.emplace_back("gamma", l.operand(weight));
  if (const Value* bias = node.optional_tensor("bias")) parameters.emplace_back("beta", l.operand(bias));
  l.finish(node, mil, std::move(parameters));
}

// Of one image, whose channels have statistics of their own.
void instance_norm(Lowering& l, const Node& node, std::string_view mil) {
  Lowering::Parameters parameters = {{"x", l.operand(node, "input")}, {"epsilon", l.number(node.number("eps"), l.float_type())}};
  if (const Value* weight = node.optional_tensor("weight")) parameters.emplace_back("gamma", l.operand(weight));
  if (const Value* bias = node.optional_tensor("bias")) parameters.emplace_back("beta", l.operand(bias));
  l.finish(node, mil, std::move(parameters));
}

// Rows of one group are normalized, then scaled by channel.
void group_norm(Lowering& l, const Node& node, std::string_view mil) {
  const NamedType x = l.operand(node, "input");
  const int64_t batch = x.type.dims[0];
  const ValueType rows = {
      x.type.type,
      {batch, node.integer("group"), batch == unknown_size ? unknown_size : node.integer("HxW") * x.type.dims[1] / node.integer("group")}};
  const NamedType flat = l.op("reshape", {{"x", x}, {"shape", int32_literal(rows.dims)}}, rows);
  const NamedType even =
      l.op(mil, {{"x", flat}, {"axes", int32_literal({-1})}, {"epsilon", l.number(node.number("eps"), l.float_type())}}, rows);
  NamedType y = l.op("reshape", {{"x", even}, {"shape", int32_literal(x.type.dims)}}, x.type);
  const Value *weight = node.optional_tensor("weight"), *bias = node.optional_tensor("bias");
  const size_t rank = x.type.dims.size();
  if (weight) y = l.op("mul", {{"x", y}, {"y", per_channel(l, weight, rank)}}, x.type);
  if (bias) y = l.op("add", {{"x", y}, {"y", per_channel(l, bias, rank)}}, x.type);
  l.set(node.output(), y);
}

void top(Lowering& l, const Node& node, std::string_view mil) {
  const std::vector<NamedType> results = l.builder().op(mil, node.name(),
                                                        {{"x", l.operand(node, "self")},
                                                         {"k", scalar_literal(static_cast<int32_t>(node.integer("k")))},
                                                         {"axis", axis_literal(node)},
                                                         {"ascending", scalar_literal(!node.boolean("largest"))}},
                                                        std::vector{l.type_of(node.output(0)), l.type_of(node.output(1))});
  for (size_t i = 0; i < results.size(); ++i) l.set(node.output(i), results[i]);
}

}  // namespace intaglio::coreml::rows
