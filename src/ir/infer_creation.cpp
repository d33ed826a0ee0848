// Tensors made from numbers or from another tensor's description; copies and casts.
#include <cmath>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

DType number_dtype(const Inference& in, std::string_view argument) {
  const auto operand = promotion_operand(in.node.argument(argument));
  return operand ? operand->dtype : DType::float32;
}

void sized(Inference& in) {
  SymSizes sizes = in.symbols("size");
  for (const SymInt& size : sizes) in.require(!size.is_static() || size.value() >= 0, "a size is negative");
  in.result(written_dtype(in, DType::float32), sizes);
}
void full(Inference& in) { in.result(written_dtype(in, number_dtype(in, "fill_value")), in.symbols("size")); }
void new_sized(Inference& in) { in.result(written_dtype(in, in.operand("self").dtype), in.symbols("size")); }
void like(Inference& in) { in.result(written_dtype(in, in.operand("self").dtype), in.sizes("self")); }
void like_self(Inference& in) { in.result(in.operand("self").dtype, in.sizes("self")); }
void as_other(Inference& in) { in.result(in.operand("other").dtype, in.sizes("self")); }
void scalar_tensor(Inference& in) { in.result(written_dtype(in, DType::float32), {}); }

void arange(Inference& in) {
  const OpSchema& schema = *in.node.op().schema();
  const Argument start = schema.find("start") ? in.node.argument("start") : Argument(0);
  const Argument end = in.node.argument("end");
  const Argument step = schema.find("step") ? in.node.argument("step") : Argument(1);
  bool integral = true;
  for (const Argument* argument : {&start, &end, &step}) {
    const auto operand = promotion_operand(*argument);
    in.require(operand.has_value(), "start, end and step must be numbers");
    integral = integral && operand->dtype == DType::int64;
  }
  const DType dtype = written_dtype(in, integral ? DType::int64 : DType::float32);
  const auto is_symbol = [](const Argument& a) { return a.is<Value*>(); };
  if (is_symbol(start) || is_symbol(end) || is_symbol(step)) {
    const auto* unit = step.get_if<int64_t>();
    const auto* zero = start.get_if<int64_t>();
    const auto last = in.symbol("end");
    if (!unit || *unit != 1 || !zero || !last) return in.unknown();
    return in.result(dtype, {*last - SymInt(*zero)});
  }
  const double first = schema.find("start") ? in.node.number("start") : 0, last = in.node.number("end");
  const double stride = schema.find("step") ? in.node.number("step") : 1;
  in.require(stride != 0 && std::isfinite(first) && std::isfinite(last) && std::isfinite(stride), "the range is not finite");
  const double count = std::ceil((last - first) / stride);
  in.require(count >= 0 && count < 1e15, "the range is empty the wrong way round or too long");
  in.result(dtype, {static_cast<int64_t>(count)});
}

void dim_order_copy(Inference& in) {
  const Argument* order = in.node.find("dim_order");
  // A clone has no dtype to write.
  const DType own = in.operand("self").dtype;
  const bool writes_dtype = in.node.op().schema()->find("dtype") != nullptr;
  TensorMeta meta = TensorMeta::contiguous(writes_dtype ? written_dtype(in, own) : own, in.sizes("self"));
  if (order && !order->is_none() && meta.is_static()) {
    const List<int64_t> written = in.node.integers("dim_order");
    in.require(written.size() == meta.sizes.size(), "dim_order has the wrong length");
    std::vector<uint8_t> dims;
    for (size_t dim : in.dims(written, written.size())) dims.push_back(static_cast<uint8_t>(dim));
    const Sizes strides = strides_of_dim_order(meta.static_sizes(), dims);
    meta.strides.assign(strides.begin(), strides.end());
  }
  in.outputs.push_back(std::move(meta));
}

const Rule creation_table[] = {
    {full, {"aten.full.default"}},
    {sized, {"aten.zeros.default", "aten.ones.default", "aten.empty.memory_format", "aten.rand.default", "aten.randn.default"}},
    {new_sized, {"aten.new_full.default", "aten.new_zeros.default", "aten.new_ones.default", "aten.new_empty.default"}},
    {like,
     {"aten.full_like.default", "aten.zeros_like.default", "aten.ones_like.default", "aten.empty_like.default", "aten.to.dtype",
      "aten.to.dtype_layout", "aten.to.device", "aten._to_copy.default"}},
    {scalar_tensor, {"aten.scalar_tensor.default"}},
    {arange, {"aten.arange.default", "aten.arange.start", "aten.arange.start_step"}},
    {as_other, {"aten.to.other", "aten.type_as.default"}},
    {like_self,
     {"aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default", "aten.lift_fresh_copy.default",
      "aten.lift_fresh.default", "aten.fill.Scalar", "aten.fill.Tensor", "aten.copy.default"}},
    {dim_order_copy, {"dim_order_ops._to_dim_order_copy.default", "dim_order_ops._clone_dim_order.default"}},
};

}  // namespace

std::span<const Rule> creation_rules() { return creation_table; }

}  // namespace intaglio::infer
