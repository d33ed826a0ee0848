// Complex numbers: made of real ones, taken apart, and Fourier transforms as the runtime has them.
#include "base/complex_types.h"
#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

DType complex_of(Inference& in, DType dtype) {
  in.require(complex_type_of(dtype) != dtype, "complex numbers are made of float16, float32 or float64");
  return complex_type_of(dtype);
}

void real_of_same_size(Inference& in) { in.result(real_type_of(in.operand("self").dtype), in.sizes("self")); }
void complex_of_parts(Inference& in) {
  const std::string_view first = in.node.op().base() == "polar" ? "abs" : "real", second = first == "abs" ? "angle" : "imag";
  in.result(complex_of(in, in.operand(first).dtype), in.broadcast(in.sizes(first), in.sizes(second)));
}

void view_as_real(Inference& in) {
  const TensorMeta& self = in.operand("self");
  in.require(is_complex(self.dtype), "the operand is not complex");
  SymSizes sizes = self.sizes;
  sizes.emplace_back(2);
  in.result(real_type_of(self.dtype), std::move(sizes));
}
void view_as_complex(Inference& in) {
  const TensorMeta& self = in.operand("self");
  in.require(!self.sizes.empty() && !surely_differ(self.sizes.back(), 2), "the last dimension is not two");
  in.result(complex_of(in, self.dtype), self.sizes.all_but_last(1));
}

size_t last_dim(Inference& in) {
  const List<size_t> dims = in.dims(in.node.integers("dim"), in.sizes("self").size());
  in.require(!dims.empty(), "no dimension");
  return dims.back();
}
void real_to_complex(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const size_t last = last_dim(in);
  if (in.node.boolean("onesided")) sizes[last] = floor_div(sizes[last], 2) + SymInt(1);
  in.result(complex_of(in, in.operand("self").dtype), std::move(sizes));
}
void complex_to_real(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const auto length = in.symbol("last_dim_size");
  const size_t last = last_dim(in);
  if (!length) return in.unknown();
  sizes[last] = *length;
  in.result(real_type_of(in.operand("self").dtype), std::move(sizes));
}

const Rule complex_table[] = {
    {real_of_same_size, {"aten.abs.default", "aten.real.default", "aten.imag.default"}},
    {complex_of_parts, {"aten.complex.default", "aten.polar.default"}},
    {view_as_real, {"aten.view_as_real.default"}},
    {view_as_complex, {"aten.view_as_complex.default"}},
    {real_to_complex, {"aten._fft_r2c.default"}},
    {complex_to_real, {"aten._fft_c2r.default"}},
};

}  // namespace

std::span<const Rule> complex_rules() { return complex_table; }

}  // namespace intaglio::infer
