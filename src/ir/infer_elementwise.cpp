// Element by element: one operand's sizes, or several broadcast together.

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

struct Operands {
  std::vector<PromotionOperand> types;
  SymSizes sizes;
};

// Every tensor and number among the named arguments, promoted and broadcast together.
Operands gather(Inference& in, std::initializer_list<std::string_view> names) {
  Operands result;
  for (std::string_view name : names) {
    if (!in.node.op().schema() || !in.node.op().schema()->find(name)) continue;
    const Argument argument = in.node.argument(name);
    if (argument.is_none()) continue;
    const auto operand = promotion_operand(argument);
    if (!operand) in.fail("argument '" + std::string(name) + "' is neither a tensor nor a number");
    result.types.push_back(*operand);
    if (Value* const* value = argument.get_if<Value*>(); value && *value && (*value)->is_tensor())
      result.sizes = in.broadcast(result.sizes, (*value)->sizes());
  }
  in.require(!result.types.empty(), "no operand");
  return result;
}

// The first argument, whatever it is called.
const TensorMeta& first(const Inference& in) {
  const OpSchema* schema = in.node.op().schema();
  if (!schema || schema->arguments.empty()) in.fail("the op takes no operand");
  return in.operand(schema->arguments.front().name);
}

void same(Inference& in) { in.result(first(in).dtype, first(in).sizes); }
void same_or_float(Inference& in) { in.result(float_result(first(in).dtype), first(in).sizes); }
void same_or_int64(Inference& in) {  // hardtanh and relations refuse bool; square of bool counts
  const DType dtype = first(in).dtype;
  in.result(dtype == DType::boolean ? DType::int64 : dtype, first(in).sizes);
}
void unary_bool(Inference& in) { in.result(DType::boolean, first(in).sizes); }

void binary(Inference& in) {
  Operands operands = gather(in, {"self", "input", "other", "exponent"});
  in.result(result_type(operands.types), operands.sizes);
}
void binary_float(Inference& in) {
  Operands operands = gather(in, {"self", "other"});
  in.result(float_result(result_type(operands.types)), operands.sizes);
}
void binary_bool(Inference& in) { in.result(DType::boolean, gather(in, {"self", "other"}).sizes); }

void div_mode(Inference& in) {
  if (in.has("rounding_mode")) binary(in);
  else binary_float(in);
}

void clamp(Inference& in) {
  Operands operands = gather(in, {"self", "min", "max"});
  in.result(result_type(operands.types), operands.sizes);
}

void where(Inference& in) {
  Operands operands = gather(in, {"self", "other"});
  in.result(result_type(operands.types), in.broadcast(in.sizes("condition"), operands.sizes));
}

void masked_fill(Inference& in) { in.result(in.operand("self").dtype, in.broadcast(in.sizes("self"), in.sizes("mask"))); }

void three_operands(Inference& in) {
  Operands operands = gather(in, {"self", "tensor1", "tensor2", "end", "weight"});
  in.result(result_type(operands.types), operands.sizes);
}

void prelu(Inference& in) { in.result(in.operand("self").dtype, in.sizes("self")); }

constexpr Rule elementwise_table[] = {
    {"aten.neg.default", same},
    {"aten.positive.default", same},
    {"aten.relu.default", same},
    {"aten.relu6.default", same},
    {"aten.sign.default", same},
    {"aten.ceil.default", same},
    {"aten.floor.default", same},
    {"aten.round.default", same},
    {"aten.round.decimals", same},
    {"aten.trunc.default", same},
    {"aten.frac.default", same},
    {"aten.square.default", same_or_int64},
    {"aten.bitwise_not.default", same},
    {"aten.hardtanh.default", same},
    {"aten.threshold.default", same},
    {"aten.leaky_relu.default", same},
    {"aten.elu.default", same},
    {"aten.celu.default", same},
    {"aten.selu.default", same},
    {"aten.gelu.default", same},
    {"aten.silu.default", same},
    {"aten.mish.default", same},
    {"aten.softplus.default", same},
    {"aten.hardswish.default", same},
    {"aten.hardsigmoid.default", same},
    {"aten.log_sigmoid.default", same},
    {"aten.logsigmoid.default", same},
    {"aten.softshrink.default", same},
    {"aten.hardshrink.default", same},
    {"aten.prelu.default", prelu},
    {"aten._prelu_kernel.default", prelu},
    {"aten.dropout.default", same},
    {"aten.feature_dropout.default", same},
    {"aten.alpha_dropout.default", same},
    {"aten.nan_to_num.default", same},
    {"aten.flip.default", same},
    {"aten.roll.default", same},
    {"aten.tril.default", same},
    {"aten.triu.default", same},
    {"aten.conj.default", same},
    {"aten.sigmoid.default", same_or_float},
    {"aten.tanh.default", same_or_float},
    {"aten.exp.default", same_or_float},
    {"aten.exp2.default", same_or_float},
    {"aten.expm1.default", same_or_float},
    {"aten.log.default", same_or_float},
    {"aten.log2.default", same_or_float},
    {"aten.log10.default", same_or_float},
    {"aten.log1p.default", same_or_float},
    {"aten.sqrt.default", same_or_float},
    {"aten.rsqrt.default", same_or_float},
    {"aten.reciprocal.default", same_or_float},
    {"aten.sin.default", same_or_float},
    {"aten.cos.default", same_or_float},
    {"aten.tan.default", same_or_float},
    {"aten.asin.default", same_or_float},
    {"aten.acos.default", same_or_float},
    {"aten.atan.default", same_or_float},
    {"aten.sinh.default", same_or_float},
    {"aten.cosh.default", same_or_float},
    {"aten.asinh.default", same_or_float},
    {"aten.acosh.default", same_or_float},
    {"aten.atanh.default", same_or_float},
    {"aten.erf.default", same_or_float},
    {"aten.erfc.default", same_or_float},
    {"aten.logit.default", same_or_float},
    {"aten.logical_not.default", unary_bool},
    {"aten.isnan.default", unary_bool},
    {"aten.isinf.default", unary_bool},
    {"aten.isfinite.default", unary_bool},
    {"aten.add.Tensor", binary},
    {"aten.add.Scalar", binary},
    {"aten.sub.Tensor", binary},
    {"aten.sub.Scalar", binary},
    {"aten.rsub.Tensor", binary},
    {"aten.rsub.Scalar", binary},
    {"aten.mul.Tensor", binary},
    {"aten.mul.Scalar", binary},
    {"aten.div.Tensor", binary_float},
    {"aten.div.Scalar", binary_float},
    {"aten.true_divide.Tensor", binary_float},
    {"aten.divide.Tensor", binary_float},
    {"aten.multiply.Tensor", binary},
    {"aten.subtract.Tensor", binary},
    {"aten.div.Tensor_mode", div_mode},
    {"aten.div.Scalar_mode", div_mode},
    {"aten.floor_divide.default", binary},
    {"aten.floor_divide.Scalar", binary},
    {"aten.remainder.Tensor", binary},
    {"aten.remainder.Scalar", binary},
    {"aten.fmod.Tensor", binary},
    {"aten.fmod.Scalar", binary},
    {"aten.pow.Tensor_Tensor", binary},
    {"aten.pow.Tensor_Scalar", binary},
    {"aten.pow.Scalar", binary},
    {"aten.maximum.default", binary},
    {"aten.minimum.default", binary},
    {"aten.max.other", binary},
    {"aten.min.other", binary},
    {"aten.atan2.default", binary_float},
    {"aten.logaddexp.default", binary_float},
    {"aten.bitwise_and.Tensor", binary},
    {"aten.bitwise_or.Tensor", binary},
    {"aten.bitwise_xor.Tensor", binary},
    {"aten.bitwise_and.Scalar", binary},
    {"aten.bitwise_or.Scalar", binary},
    {"aten.bitwise_xor.Scalar", binary},
    {"aten.__and__.Tensor", binary},
    {"aten.__or__.Tensor", binary},
    {"aten.__xor__.Tensor", binary},
    {"aten.__and__.Scalar", binary},
    {"aten.__or__.Scalar", binary},
    {"aten.bitwise_left_shift.Tensor", binary},
    {"aten.bitwise_right_shift.Tensor", binary},
    {"aten.bitwise_left_shift.Tensor_Scalar", binary},
    {"aten.bitwise_right_shift.Tensor_Scalar", binary},
    {"aten.eq.Tensor", binary_bool},
    {"aten.eq.Scalar", binary_bool},
    {"aten.ne.Tensor", binary_bool},
    {"aten.ne.Scalar", binary_bool},
    {"aten.lt.Tensor", binary_bool},
    {"aten.lt.Scalar", binary_bool},
    {"aten.le.Tensor", binary_bool},
    {"aten.le.Scalar", binary_bool},
    {"aten.gt.Tensor", binary_bool},
    {"aten.gt.Scalar", binary_bool},
    {"aten.ge.Tensor", binary_bool},
    {"aten.ge.Scalar", binary_bool},
    {"aten.logical_and.default", binary_bool},
    {"aten.logical_or.default", binary_bool},
    {"aten.logical_xor.default", binary_bool},
    {"aten.clamp.default", clamp},
    {"aten.clamp.Tensor", clamp},
    {"aten.clamp_min.default", clamp},
    {"aten.clamp_min.Tensor", clamp},
    {"aten.clamp_max.default", clamp},
    {"aten.clamp_max.Tensor", clamp},
    {"aten.clip.default", clamp},
    {"aten.where.self", where},
    {"aten.where.ScalarSelf", where},
    {"aten.where.ScalarOther", where},
    {"aten.where.Scalar", where},
    {"aten.masked_fill.Scalar", masked_fill},
    {"aten.masked_fill.Tensor", masked_fill},
    {"aten.lerp.Scalar", three_operands},
    {"aten.lerp.Tensor", three_operands},
    {"aten.addcmul.default", three_operands},
    {"aten.addcdiv.default", three_operands},
};

}  // namespace

std::span<const Rule> elementwise_rules() { return elementwise_table; }

}  // namespace intaglio::infer
