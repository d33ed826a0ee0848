#include "backends/xnnpack/rules.h"

#include <map>

#include <fmt/format.h>

#include "backends/xnnpack/constraints.h"
#include "backends/xnnpack/limits.h"
#include "backends/xnnpack/lower/lowering.h"

namespace intaglio::xnnpack {
namespace {

namespace c = constraints;
using enum NodeKind;
using A = Int8Activation;
using B = Beyond;

// op, int8, activations in an int8 chain, beyond ExecuTorch, constraints, lowering, node kind
const std::vector<OpRule>& rules() {
  static const std::vector<OpRule> table = {
      {"aten.convolution.default", Int8::gemm, A::relu_and_hardtanh, B::nothing, c::convolution, lower::convolution},
      {"aten.linear.default", Int8::gemm, A::relu_and_hardtanh, B::nothing, c::linear, lower::linear, FullyConnected},
      {"aten.addmm.default", Int8::gemm, A::relu_and_hardtanh, B::nothing, c::addmm, lower::linear, FullyConnected},
      {"aten.mm.default", Int8::gemm, A::relu_and_hardtanh, B::nothing, c::linear, lower::linear, FullyConnected},
      {"aten.bmm.default", Int8::none, A::none, B::nothing, c::bmm, lower::bmm, BatchMatrixMultiply},
      {"aten.matmul.default", Int8::none, A::none, B::op, c::matmul, lower::matmul, BatchMatrixMultiply},

      {"aten.add.Tensor", Int8::compute, A::relu, B::nothing, c::finite_alpha, lower::add_or_subtract, Add, false, c::one_alpha},
      {"aten.sub.Tensor", Int8::compute, A::beyond, B::nothing, c::finite_alpha, lower::add_or_subtract, Subtract, false, c::one_alpha},
      {"aten.mul.Tensor", Int8::compute, A::beyond, B::nothing, c::none, lower::binary, Multiply},
      {"aten.div.Tensor", Int8::none, A::none, B::nothing, c::none, lower::binary, Div},
      {"aten.minimum.default", Int8::none, A::none, B::nothing, c::none, lower::binary, Minimum},
      {"aten.maximum.default", Int8::none, A::none, B::nothing, c::none, lower::binary, Maximum},
      {"aten.add.Scalar", Int8::none, A::none, B::op, c::finite_alpha, lower::binary_scalar, Add},
      {"aten.sub.Scalar", Int8::none, A::none, B::op, c::finite_alpha, lower::binary_scalar, Subtract},
      {"aten.mul.Scalar", Int8::none, A::none, B::op, c::none, lower::binary_scalar, Multiply},
      {"aten.div.Scalar", Int8::none, A::none, B::op, c::none, lower::binary_scalar, Div},

      {"aten.relu.default", Int8::compute, A::none, B::nothing, c::none, lower::clamp, Clamp},
      {"aten.relu6.default", Int8::compute, A::none, B::nothing, c::none, lower::clamp, Clamp},
      {"aten.hardtanh.default", Int8::compute, A::none, B::nothing, c::clamp, lower::clamp, Clamp},
      {"aten.clamp.default", Int8::compute, A::none, B::nothing, c::clamp, lower::clamp, Clamp},
      {"aten.hardswish.default", Int8::compute, A::none, B::int8, c::none, lower::unary, Hardswish},
      {"aten.sigmoid.default", Int8::compute, A::none, B::int8, c::none, lower::unary, Sigmoid},
      {"aten.tanh.default", Int8::compute, A::none, B::int8, c::none, lower::unary, Tanh},
      {"aten.gelu.default", Int8::compute, A::none, B::int8, c::gelu, lower::gelu, Gelu, false, c::erf},
      {"aten.exp.default", Int8::compute, A::none, B::int8, c::none, lower::unary, Exp},
      {"aten.abs.default", Int8::compute, A::none, B::int8, c::none, lower::unary, Abs},
      {"aten.pow.Tensor_Scalar", Int8::compute, A::none, B::int8, c::power, lower::power, Square, false, c::square},
      {"aten.elu.default", Int8::compute, A::none, B::op, c::elu, lower::elu, ELU, false, c::unit_elu},
      {"aten.leaky_relu.default", Int8::compute, A::none, B::int8, c::leaky_relu, lower::leaky_relu, LeakyReLU},
      {"aten.ceil.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Ceiling},
      {"aten.cos.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Cos},
      {"aten.floor.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Floor},
      {"aten.log.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Log},
      {"aten.neg.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Negate},
      {"aten.rsqrt.default", Int8::none, A::none, B::nothing, c::none, lower::unary, ReciprocalSquareRoot},
      {"aten.sin.default", Int8::none, A::none, B::nothing, c::none, lower::unary, Sin},
      {"aten.sqrt.default", Int8::none, A::none, B::nothing, c::none, lower::unary, SquareRoot},
      {"aten.reciprocal.default", Int8::none, A::none, B::op, c::none, lower::reciprocal},
      {"aten.prelu.default", Int8::none, A::none, B::nothing, c::prelu, lower::prelu, PReLU},
      {"aten._softmax.default", Int8::none, A::none, B::nothing, c::softmax, lower::softmax, Softmax},
      {"aten._native_batch_norm_legit_no_training.default", Int8::none, A::none, B::nothing, c::batch_norm, lower::batch_norm, BatchNorm},

      {"aten.avg_pool2d.default", Int8::none, A::none, B::nothing, c::avg_pool, lower::avg_pool, AvgPooling2d},
      {"aten._adaptive_avg_pool2d.default", Int8::none, A::none, B::op, c::adaptive_pool, lower::adaptive_avg_pool},
      {"aten.max_pool2d.default", Int8::moves, A::none, B::nothing, c::max_pool, lower::max_pool, MaxPooling2d},
      {"aten.max_pool2d_with_indices.default", Int8::moves, A::none, B::nothing, c::max_pool, lower::max_pool, MaxPooling2d},
      {"aten.mean.dim", Int8::compute, A::none, B::nothing, c::mean, lower::mean, GlobalAvgPooling2d, false, c::int8_mean},
      {"aten.sum.dim_IntList", Int8::none, A::none, B::op, c::mean, lower::sum},
      {"aten.amax.default", Int8::none, A::none, B::op, c::maximum, lower::maximum_of, MaxPooling2d},
      {"aten.amin.default", Int8::none, A::none, B::op, c::maximum, lower::minimum_of, MaxPooling2d},
      {"aten.max.dim", Int8::none, A::none, B::nothing, c::maximum, lower::maximum_of, MaxPooling2d},
      {"aten.var.correction", Int8::none, A::none, B::op, c::variance, lower::variance},
      {"aten.native_layer_norm.default", Int8::none, A::none, B::op, c::layer_norm, lower::layer_norm},
      {"aten.native_group_norm.default", Int8::none, A::none, B::op, c::group_norm, lower::group_norm},
      {"aten._native_batch_norm_legit.no_stats", Int8::none, A::none, B::op, c::group_norm, lower::batch_statistics_norm},
      {"aten.upsample_nearest2d.vec", Int8::none, A::none, B::op, c::nearest, lower::upsample_nearest},
      {"aten.upsample_bilinear2d.vec", Int8::none, A::none, B::nothing, c::upsample, lower::upsample, StaticResizeBilinear2D},

      {"aten.view_copy.default", Int8::moves, A::none, B::nothing, c::view, lower::reshape, StaticReshape, true},
      {"aten.unsqueeze_copy.default", Int8::moves, A::none, B::nothing, c::unsqueeze, lower::reshape, StaticReshape, true},
      {"aten.squeeze_copy.dim", Int8::moves, A::none, B::op, c::view, lower::reshape, StaticReshape, true},
      {"aten.squeeze_copy.dims", Int8::moves, A::none, B::op, c::view, lower::reshape, StaticReshape, true},
      {"aten.permute_copy.default", Int8::moves, A::none, B::nothing, c::none, lower::permute, StaticTranspose},
      {"aten.slice_copy.Tensor", Int8::moves, A::none, B::nothing, c::slice, lower::slice, StaticSlice},
      {"aten.expand_copy.default", Int8::none, A::none, B::op, c::expand, lower::expand, Multiply, true},
      {"aten.where.self", Int8::none, A::none, B::op, c::where, lower::where},
      {"aten.cat.default", Int8::moves, A::none, B::nothing, c::cat, lower::cat},
      {"aten.constant_pad_nd.default", Int8::moves, A::none, B::int8, c::pad, lower::pad, StaticConstantPad, false, c::finite_pad},
      {"aten.index.Tensor", Int8::none, A::none, B::op, c::pick, lower::pick},
      {"aten.index_select.default", Int8::none, A::none, B::op, c::pick, lower::pick},
      {"aten.unfold_copy.default", Int8::none, A::none, B::op, c::unfold, lower::unfold},
      {"aten.slice_scatter.default", Int8::moves, A::none, B::op, c::slice_scatter, lower::slice_scatter},
      {"aten.reflection_pad1d.default", Int8::moves, A::none, B::op, c::border_pad, lower::reflection_pad},
      {"aten.reflection_pad2d.default", Int8::moves, A::none, B::op, c::border_pad, lower::reflection_pad},
      {"aten.reflection_pad3d.default", Int8::moves, A::none, B::op, c::border_pad, lower::reflection_pad},
      {"aten.replication_pad1d.default", Int8::moves, A::none, B::op, c::border_pad, lower::replication_pad},
      {"aten.replication_pad2d.default", Int8::moves, A::none, B::op, c::border_pad, lower::replication_pad},
      {"aten.replication_pad3d.default", Int8::moves, A::none, B::op, c::border_pad, lower::replication_pad},
      {"aten.clone.default", Int8::moves, A::none, B::nothing, c::copy, lower::copy, none, true},
      {"aten.alias_copy.default", Int8::moves, A::none, B::op, c::copy, lower::copy, none, true},
      {"dim_order_ops._clone_dim_order.default", Int8::moves, A::none, B::nothing, c::copy, lower::copy, none, true},
      {"dim_order_ops._to_dim_order_copy.default", Int8::moves, A::none, B::nothing, c::copy, lower::copy, none, true},
  };
  return table;
}

// What the node breaks, in words; "" for nothing.
std::string_view broken_requirement(const OpRule& rule, const RuleContext& context) {
  if (const Constraint* broken = common::first_broken(constraints::common, context)) return broken->text;
  const auto is_constant = [&](const Value* value) { return context.facts.is_constant(value); };
  if (const Limit* broken = first_broken_limit(context.facts.program(), context.node, is_constant)) return broken->text;
  const Constraint* broken = common::first_broken(rule.constraints, context);
  return broken ? broken->text : std::string_view();
}

}  // namespace

const OpRule* find_rule(const Node& node) {
  static const auto by_op = [] {
    std::map<Op, const OpRule*> map;
    for (const OpRule& rule : rules()) map.emplace(Op::get(rule.op), &rule);
    return map;
  }();
  const auto found = by_op.find(node.op());
  return found == by_op.end() ? nullptr : found->second;
}

RuleRefusals find_rule_refusals(const common::ProgramFacts& facts, const Features& features) {
  RuleRefusals refusals;
  for (const Node* node : facts.program().graph().node_list()) {
    const OpRule* rule = find_rule(*node);
    if (!rule) continue;
    if (rule->beyond == Beyond::op && !features.more_ops) {
      refusals[node] = fmt::format("{}: not delegated under compat=torchao", rule->op);
      continue;
    }
    if (const std::string_view broken = broken_requirement(*rule, {facts, *node, features}); !broken.empty())
      refusals[node] = fmt::format("{}: {}", node->op().base(), broken);
    else if (info(rule->kind).since > features.runtime)
      refusals[node] = fmt::format("{}: XNNPACK {} needs ExecuTorch {} and the runtime is {}", node->op().base(), info(rule->kind).name,
                                   name(info(rule->kind).since), name(features.runtime));
  }
  return refusals;
}

}  // namespace intaglio::xnnpack
