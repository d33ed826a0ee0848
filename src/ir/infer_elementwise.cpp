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

// One slope, or one for each channel; of the kernel's form, already in the dimension that they are for.
void prelu(Inference& in) {
  const SymSizes &sizes = in.sizes("self"), &weight = in.sizes("weight");
  const SymInt slopes = size_product(weight), channels = sizes.size() < 2 ? SymInt(1) : sizes[1];
  in.require(!surely_differ(slopes, 1) || !surely_differ(slopes, channels), "the weight is not one slope for each channel");
  in.require(weight.size() <= 1 || in.node.op().base() != "prelu", "the weight has more than one dimension");
  in.result(in.operand("self").dtype, sizes);
}

const Rule elementwise_table[] = {
    {same,
     {"aten.neg.default", "aten.positive.default", "aten.relu.default", "aten.relu6.default", "aten.sign.default", "aten.ceil.default",
      "aten.floor.default", "aten.round.default", "aten.round.decimals", "aten.trunc.default", "aten.frac.default",
      "aten.bitwise_not.default", "aten.hardtanh.default"}},
    {same,
     {"aten.threshold.default", "aten.leaky_relu.default", "aten.elu.default", "aten.celu.default", "aten.selu.default",
      "aten.gelu.default", "aten.silu.default", "aten.mish.default", "aten.softplus.default", "aten.hardswish.default",
      "aten.hardsigmoid.default", "aten.log_sigmoid.default", "aten.logsigmoid.default"}},
    {same,
     {"aten.softshrink.default", "aten.hardshrink.default", "aten.dropout.default", "aten.feature_dropout.default",
      "aten.alpha_dropout.default", "aten.nan_to_num.default", "aten.flip.default", "aten.roll.default", "aten.tril.default",
      "aten.triu.default", "aten.conj.default"}},
    {same_or_int64, {"aten.square.default"}},
    {prelu, {"aten.prelu.default", "aten._prelu_kernel.default"}},
    {same_or_float,
     {"aten.sigmoid.default", "aten.tanh.default", "aten.exp.default", "aten.exp2.default", "aten.expm1.default", "aten.log.default",
      "aten.log2.default", "aten.log10.default", "aten.log1p.default", "aten.sqrt.default", "aten.rsqrt.default", "aten.reciprocal.default",
      "aten.sin.default"}},
    {same_or_float,
     {"aten.cos.default", "aten.tan.default", "aten.asin.default", "aten.acos.default", "aten.atan.default", "aten.sinh.default",
      "aten.cosh.default", "aten.asinh.default", "aten.acosh.default", "aten.atanh.default", "aten.erf.default", "aten.erfc.default",
      "aten.erfinv.default", "aten.logit.default"}},
    {unary_bool, {"aten.logical_not.default", "aten.isnan.default", "aten.isinf.default", "aten.isfinite.default"}},
    {binary,
     {"aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.sub.Scalar", "aten.rsub.Tensor", "aten.rsub.Scalar", "aten.mul.Tensor",
      "aten.mul.Scalar", "aten.multiply.Tensor", "aten.subtract.Tensor", "aten.floor_divide.default", "aten.floor_divide.Scalar",
      "aten.remainder.Tensor"}},
    {binary,
     {"aten.remainder.Scalar", "aten.fmod.Tensor", "aten.fmod.Scalar", "aten.pow.Tensor_Tensor", "aten.pow.Tensor_Scalar",
      "aten.pow.Scalar", "aten.maximum.default", "aten.minimum.default", "aten.max.other", "aten.min.other", "aten.bitwise_and.Tensor",
      "aten.bitwise_or.Tensor", "aten.bitwise_xor.Tensor"}},
    {binary,
     {"aten.bitwise_and.Scalar", "aten.bitwise_or.Scalar", "aten.bitwise_xor.Scalar", "aten.__and__.Tensor", "aten.__or__.Tensor",
      "aten.__xor__.Tensor", "aten.__and__.Scalar", "aten.__or__.Scalar", "aten.bitwise_left_shift.Tensor",
      "aten.bitwise_right_shift.Tensor", "aten.bitwise_left_shift.Tensor_Scalar", "aten.bitwise_right_shift.Tensor_Scalar"}},
    {binary_float,
     {"aten.div.Tensor", "aten.div.Scalar", "aten.true_divide.Tensor", "aten.divide.Tensor", "aten.atan2.default",
      "aten.logaddexp.default"}},
    {div_mode, {"aten.div.Tensor_mode", "aten.div.Scalar_mode"}},
    {binary_bool,
     {"aten.eq.Tensor", "aten.eq.Scalar", "aten.ne.Tensor", "aten.ne.Scalar", "aten.lt.Tensor", "aten.lt.Scalar", "aten.le.Tensor",
      "aten.le.Scalar", "aten.gt.Tensor", "aten.gt.Scalar", "aten.ge.Tensor", "aten.ge.Scalar", "aten.logical_and.default",
      "aten.logical_or.default", "aten.logical_xor.default"}},
    {clamp,
     {"aten.clamp.default", "aten.clamp.Tensor", "aten.clamp_min.default", "aten.clamp_min.Tensor", "aten.clamp_max.default",
      "aten.clamp_max.Tensor", "aten.clip.default"}},
    {where, {"aten.where.self", "aten.where.ScalarSelf", "aten.where.ScalarOther", "aten.where.Scalar"}},
    {masked_fill, {"aten.masked_fill.Scalar", "aten.masked_fill.Tensor"}},
    {three_operands, {"aten.lerp.Scalar", "aten.lerp.Tensor", "aten.addcmul.default", "aten.addcdiv.default"}},
};

}  // namespace

std::span<const Rule> elementwise_rules() { return elementwise_table; }

}  // namespace intaglio::infer
