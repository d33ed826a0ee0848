// Copies and conversions. A copy that nothing can tell from its source is the source itself.
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

Tensor copied(const Call& call, const Tensor& self, DType dtype) {
  const Tensor* const operands[] = {&self};
  const Tensor out = call.empty(dtype, self.sizes(), result_strides(self.sizes(), operands));
  copy_into(out, self, call.threads());
  return out;
}

void clone(Call& call) {
  const Tensor& self = call.tensor("self");
  call.set(call.context().has_in_place ? copied(call, self, self.dtype()) : self);
}

void contiguous(Call& call) {
  const Tensor& self = call.tensor("self");
  if (self.is_contiguous() || !call.context().has_in_place) return call.set(self);
  call.set(own_copy(call, self));
}

// The layout asked for does not change values; results of the program are row-major anyway.
void to(Call& call) {
  const Tensor& self = call.tensor("self");
  const DType dtype = call.optional_dtype("dtype").value_or(self.dtype());
  const bool copy = call.has("copy") && call.boolean("copy") && call.context().has_in_place;
  call.set(dtype == self.dtype() && !copy ? self : copied(call, self, dtype));
}
void to_other(Call& call) {
  const Tensor& self = call.tensor("self");
  const DType dtype = call.tensor("other").dtype();
  call.set(dtype == self.dtype() ? self : copied(call, self, dtype));
}
void to_copy(Call& call) {
  const Tensor& self = call.tensor("self");
  const DType dtype = call.optional_dtype("dtype").value_or(self.dtype());
  call.set(dtype == self.dtype() && !call.context().has_in_place ? self : copied(call, self, dtype));
}

// Broadcast and converted into the memory of `self`.
void copy_in_place(Call& call) {
  const Tensor& self = call.tensor("self");
  copy_into(self, call.tensor("src"), call.threads());
  call.set(self);
}
void copy(Call& call) {
  const Tensor& self = call.tensor("self");
  const Tensor out = call.empty(self.dtype(), self.sizes());
  copy_into(out, call.tensor("src"), call.threads());
  call.set(out);
}

}  // namespace

std::span<const Kernel> type_kernels() {
  constexpr bool result_aliases = true;
  static const std::vector<Kernel> table = kernels_of({
      {clone, {"aten.clone.default", "aten.lift_fresh_copy.default", "dim_order_ops._clone_dim_order.default"}},
      {contiguous, {"aten.contiguous.default"}, 0, result_aliases},
      {to, {"aten.to.dtype", "aten.to.dtype_layout", "aten.to.device"}, 0, result_aliases},
      {to_other, {"aten.to.other", "aten.type_as.default"}, 0, result_aliases},
      {to_copy, {"aten._to_copy.default", "dim_order_ops._to_dim_order_copy.default"}},
      {copy_in_place, {"aten.copy_.default"}},
      {copy, {"aten.copy.default"}},
  });
  return table;
}

}  // namespace intaglio::interp
