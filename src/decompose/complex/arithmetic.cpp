// Arithmetic of complex numbers, and the ops that make them and take them apart.
#include <algorithm>
#include <complex>

#include "decompose/complex/parts.h"

namespace intaglio::decompose::complex_parts {
namespace {

Results one(Parts z) { return {z}; }
Results one_real(Value* x) { return {Parts{x, nullptr}}; }

// ---- making them and taking them apart
Results from_parts(PartsBuilder& b) {
  return one(
      Parts{b.owned(b.build.cast(b.node.tensor("real"), b.real_type())), b.owned(b.build.cast(b.node.tensor("imag"), b.real_type()))});
}
Results from_polar(PartsBuilder& b) {
  Value *size = b.node.tensor("abs"), *angle = b.node.tensor("angle");
  return one(Parts{b.product(size, b.build("aten.cos.default", angle)), b.product(size, b.build("aten.sin.default", angle))});
}
Results from_pairs(PartsBuilder& b) { return one(Parts::pair(b.node.tensor("self"))); }

// The result has the node's name, which an operand must not take over.
Value* alias(PartsBuilder& b, Value* x) { return b.build("aten.alias.default", x); }

Results to_pairs(PartsBuilder& b) { return one_real(alias(b, b.packed(b.operand("self")))); }
Results real_part(PartsBuilder& b) { return one_real(alias(b, b.real_or_zeros(b.operand("self")))); }
Results imaginary_part(PartsBuilder& b) { return one_real(alias(b, b.imag_or_zeros(b.operand("self")))); }

Results adjoint(PartsBuilder& b) {
  const Parts z = b.operand("self");
  const auto turned = [&](Value* x) { return x ? b.build("aten.transpose.int", x, -2, -1) : nullptr; };
  return one(Parts{turned(b.real(z)), b.negative(turned(b.imag(z)))});
}

Results conjugate(PartsBuilder& b) { return one(conjugated(b, b.operand("self"))); }

// Casts: the imaginary part is lost where the result is real.
Results cast(PartsBuilder& b) {
  const Parts z = b.operand("self");
  const DType wanted = real_type_of(b.node.output()->dtype());
  const auto converted = [&](Value* x) { return b.build.cast(x, wanted); };
  if (!is_complex_tensor(b.node.output())) return one_real(alias(b, converted(b.real_or_zeros(z))));
  if (!z.is_real()) return one(b.each(z, converted));
  return one(Parts{b.owned(converted(z.real)), nullptr});
}

// What is written over: its sizes stay.
Results overwritten(PartsBuilder& b) {
  const DType wanted = b.real_type();
  return one(b.each(b.operand("src"), [&](Value* x) { return b.build.cast(x, wanted); }));
}

Results ones(PartsBuilder& b) {
  return one(Parts{b.again([](const NamedArgument& argument) { return argument.value; })[0], nullptr});
}

// ---- sums
Value* scaled(PartsBuilder& b, Value* x, const Argument& factor) {
  const auto* number = factor.get_if<int64_t>();
  return !x || (number && *number == 1) ? x : b.build("aten.mul.Tensor", x, factor);
}

Results both_packed(PartsBuilder& b) {
  return one(Parts::pair(b.again(
      [&](const NamedArgument& argument) -> Argument {
        Value* const* value = argument.value.get_if<Value*>();
        return value && is_complex_tensor(*value) ? b.parts(*value).packed : argument.value;
      },
      true)[0]));
}

// One part of `x + y` or `x - y`; `y` may be a number.
Value* added(PartsBuilder& b, const std::optional<Argument>& x, const std::optional<Argument>& y, bool negated) {
  const auto tensor = [&](const Argument& argument) {
    Value* const* value = argument.get_if<Value*>();
    return value ? *value : b.build.number(argument, b.real_type());
  };
  if (!x && !y) return nullptr;
  if (!y) return tensor(*x);
  if (!x) return negated ? b.negative(tensor(*y)) : tensor(*y);
  return b.build(negated ? "aten.sub.Tensor" : "aten.add.Tensor", tensor(*x), *y);
}

Results add(PartsBuilder& b) {
  const Node& node = b.node;
  const bool reversed = node.op().base() == "rsub", negated = node.op().base() != "add";
  const Argument x = node.argument("self"), y = node.argument("other"), alpha = node.argument("alpha");
  const auto is_packed = [&](const Argument& argument) {
    Value* const* value = argument.get_if<Value*>();
    return value && is_complex_tensor(*value) && b.parts(*value).packed && real_type_of((*value)->dtype()) == b.real_type();
  };
  if (is_packed(x) && is_packed(y)) return both_packed(b);
  const auto part = [&](Part which) {
    std::optional<Argument> left = b.part(x, which), right = b.part(y, which);
    std::optional<Argument>& factored = reversed ? left : right;
    const auto* times = alpha.get_if<int64_t>();
    if (factored && !(times && *times == 1)) {
      Value* const* value = factored->get_if<Value*>();
      factored = scaled(b, value ? *value : b.build.number(*factored, b.real_type()), alpha);
    }
    if (reversed) std::swap(left, right);
    return added(b, left, right, negated);
  };
  Value* imag = part(Part::imag);  // one after the other: names do not depend on the compiler
  return one(Parts{part(Part::real), imag});
}

// ---- products: the node once for each pair of parts
struct Product {
  std::string_view left, right;
  std::initializer_list<std::string_view> ops;
};
const Product products[] = {
    {"self",
     "other",
     {"aten.mul.Tensor", "aten.mul.Scalar", "aten.matmul.default", "aten.inner.default", "aten.tensordot.default", "aten.kron.default",
      "aten.cross.default", "aten.linalg_cross.default"}},
    {"self", "mat2", {"aten.mm.default", "aten.bmm.default"}},
    {"self", "tensor", {"aten.dot.default"}},
    {"self", "vec", {"aten.mv.default"}},
    {"self", "vec2", {"aten.outer.default"}},
    {"input", "weight", {"aten.linear.default", "aten.conv1d.default", "aten.conv2d.default", "aten.convolution.default"}},
};

// The product of real tensors: the node with other operands, `bias` where it adds one.
Value* multiplied(PartsBuilder& b, const Product& row, const std::optional<Argument>& x, const std::optional<Argument>& y,
                  const Argument& bias = {}) {
  if (!x || !y) return nullptr;
  return b.again([&](const NamedArgument& argument) -> Argument {
    if (argument.name == row.left) return *x;
    if (argument.name == row.right) return *y;
    return argument.name == "bias" ? bias : argument.value;
  })[0];
}

Parts product_of(PartsBuilder& b, const Product& row, const Argument& x, const Argument& y) {
  const auto a = b.part(x, Part::real), bi = b.part(x, Part::imag), c = b.part(y, Part::real), d = b.part(y, Part::imag);
  const Argument* bias = b.node.find("bias");
  const auto bias_part = [&](Part which) { return bias ? b.part(*bias, which).value_or(Argument()) : Argument(); };
  Value *ac = multiplied(b, row, a, c, bias_part(Part::real)), *bd = multiplied(b, row, bi, d);
  Value *ad = multiplied(b, row, a, d, bias_part(Part::imag)), *bc = multiplied(b, row, bi, c);
  Value* real = b.difference(ac, bd);
  return Parts{real, b.sum(ad, bc)};
}

bool is_real(PartsBuilder& b, const Argument& argument) {
  if (const auto* number = argument.get_if<std::complex<double>>()) return number->imag() == 0;
  Value* const* value = argument.get_if<Value*>();
  return !value || b.parts(*value).is_real();
}

// A real factor or divisor of pairs: both elements have the same.
Argument beside_pairs(PartsBuilder& b, const Argument& argument) {
  const Argument real = *b.part(argument, Part::real);
  Value* const* value = real.get_if<Value*>();
  return value && (*value)->is_tensor() && (*value)->meta().rank() > 0 ? Argument(b.build.unsqueeze(*value, -1)) : real;
}

Results multiply(PartsBuilder& b) {
  const std::string_view op = b.node.op().name();
  const Product& row =
      *std::ranges::find_if(products, [&](const Product& product) { return std::ranges::find(product.ops, op) != product.ops.end(); });
  const Argument x = b.node.argument(row.left), y = b.node.argument(row.right);
  Value* const* left = x.get_if<Value*>();
  if (b.node.op().base() == "mul" && is_real(b, y) && left && b.parts(*left).packed && real_type_of((*left)->dtype()) == b.real_type() &&
      (*left)->sizes() == b.node.output()->sizes())
    return one(Parts::pair(b.build("aten.mul.Tensor", b.parts(*left).packed, beside_pairs(b, y))));
  return one(product_of(b, row, x, y));
}

// beta * self + alpha * product
Results add_product(PartsBuilder& b) {
  const bool batched = b.node.op().base() == "baddbmm";
  const Argument x = b.node.argument(batched ? "batch1" : "mat1"), y = b.node.argument(batched ? "batch2" : "mat2");
  const auto product = [&](Part of_x, Part of_y) -> Value* {
    const auto left = b.part(x, of_x), right = b.part(y, of_y);
    return left && right ? b.build(batched ? "aten.bmm.default" : "aten.mm.default", *left, *right) : nullptr;
  };
  const auto with_self = [&](Part which, Value* sum) {
    const auto self = b.part(b.node.argument("self"), which);
    Value* times_alpha = scaled(b, sum, b.node.argument("alpha"));
    return b.sum(times_alpha, self ? scaled(b, *self->get_if<Value*>(), b.node.argument("beta")) : nullptr);
  };
  Value* of_real = product(Part::real, Part::real);
  Value* real = with_self(Part::real, b.difference(of_real, product(Part::imag, Part::imag)));
  Value* crossed = product(Part::real, Part::imag);
  return one(Parts{real, with_self(Part::imag, b.sum(crossed, product(Part::imag, Part::real)))});
}

// The sum over all choices of a real or an imaginary part of each operand.
Results einsum(PartsBuilder& b) {
  const std::vector<Value*> operands = b.node.tensors("tensors");
  constexpr size_t most = 6;
  if (operands.size() > most) refuse(b.node, "an einsum of more than six complex tensors; write it as several");
  Value *real = nullptr, *imag = nullptr;
  for (size_t choice = 0; choice < (size_t{1} << operands.size()); ++choice) {
    std::vector<Value*> chosen;
    for (size_t i = 0; i < operands.size(); ++i) {
      const auto part = b.part(Argument(operands[i]), (choice >> i) & 1 ? Part::imag : Part::real);
      if (part) chosen.push_back(*part->get_if<Value*>());
    }
    if (chosen.size() != operands.size()) continue;
    Value* term = b.again(
        [&](const NamedArgument& argument) -> Argument { return argument.name == "tensors" ? Argument(chosen) : argument.value; })[0];
    const int turns = __builtin_popcountll(choice) % 4;  // powers of i
    Value*& sum = turns % 2 == 0 ? real : imag;
    sum = turns < 2 ? b.sum(sum, term) : b.difference(sum, term);
  }
  return one(Parts{real, imag});
}

// ---- quotients
Results reciprocal(PartsBuilder& b) { return one(inverse(b, b.operand("self"))); }

Results divide(PartsBuilder& b) {
  const Argument x = b.node.argument("self"), y = b.node.argument("other");
  const DType dtype = b.real_type();
  Value* const* left = x.get_if<Value*>();
  if (is_real(b, y)) {
    const Parts z = b.parts(*left);
    const bool fits = z.packed && real_type_of((*left)->dtype()) == dtype && (*left)->sizes() == b.node.output()->sizes();
    if (fits) return one(Parts::pair(b.build("aten.div.Tensor", z.packed, beside_pairs(b, y))));
    const auto over = [&](Part which) -> Value* {
      const auto part = b.part(x, which);
      return part ? b.build("aten.div.Tensor", *part, *b.part(y, Part::real)) : nullptr;
    };
    return one(Parts{over(Part::real), over(Part::imag)});
  }
  const auto product = [&](Part xp, Value* w) -> Value* {
    const auto part = b.part(x, xp);
    return part && w ? b.build("aten.mul.Tensor", *part, w) : nullptr;
  };
  if (const auto* number = y.get_if<std::complex<double>>()) {
    const std::complex<double> w = 1.0 / *number;
    Value *c = b.build.number(w.real(), dtype), *d = w.imag() == 0 ? nullptr : b.build.number(w.imag(), dtype);
    Value *rc = product(Part::real, c), *id = product(Part::imag, d), *rd = product(Part::real, d), *ic = product(Part::imag, c);
    return one(Parts{b.difference(rc, id), b.sum(rd, ic)});
  }
  const Parts w = b.each(b.parts(*y.get_if<Value*>()), [&](Value* v) { return b.build.cast(v, dtype); });
  Value *c = b.real(w), *d = b.imag(w), *size = squared_size(b, w);
  Value *rc = product(Part::real, c), *id = product(Part::imag, d), *ic = product(Part::imag, c), *rd = product(Part::real, d);
  Value *real = b.sum(rc, id), *imag = b.difference(ic, rd);
  const auto over = [&](Value* v) { return v ? b.build("aten.div.Tensor", v, size) : nullptr; };
  return one(Parts{over(real), over(imag)});
}

// ---- sizes and angles
Results absolute(PartsBuilder& b) { return one_real(size_of(b, b.operand("self"))); }
Results angle(PartsBuilder& b) { return one_real(angle_of(b, b.operand("self"))); }

// A norm sees nothing but sizes.
Results norm(PartsBuilder& b) {
  const Parts z = b.operand("self");
  return one_real(b.again(
      [&](const NamedArgument& argument) -> Argument { return argument.name == "self" ? Argument(size_of(b, z)) : argument.value; })[0]);
}

// The spread of both parts around their means.
Results spread_of_parts(PartsBuilder& b) {
  const Parts z = b.operand("self");
  const bool root = b.node.op().base() == "std";
  const auto squared = [&](Value* part) -> Value* {
    if (!part) return nullptr;
    Value* of_part =
        b.again([&](const NamedArgument& argument) -> Argument { return argument.name == "self" ? Argument(part) : argument.value; })[0];
    return root ? b.product(of_part, of_part) : of_part;
  };
  Value* of_real = squared(b.real(z));
  Value* sum = b.sum(of_real, squared(b.imag(z)));
  return one_real(root ? b.build("aten.sqrt.default", sum) : sum);
}

Results sign(PartsBuilder& b) {
  const Parts z = b.operand("self");
  Value* size = size_of(b, z);
  Value* zero = b.build("aten.eq.Scalar", size, 0);
  Value* divisor = b.build("aten.where.self", zero, b.build.number(1.0, size->dtype()), size);
  const auto over = [&](Value* v) { return v ? b.build("aten.div.Tensor", v, divisor) : nullptr; };
  return one(Parts{over(b.real(z)), over(b.imag(z))});
}

// ---- relations
Value* of_both(PartsBuilder& b, std::string_view join, Value* x, Value* y) { return x && y ? b.build(join, x, y) : x ? x : y; }

Results equal(PartsBuilder& b) {
  const bool same = b.node.op().base() == "eq";
  const Argument x = b.node.argument("self"), y = b.node.argument("other");
  const auto compared = [&](Part which) -> Value* {
    auto left = b.part(x, which), right = b.part(y, which);
    if (!left && !right) return nullptr;
    if (!left) std::swap(left, right);
    return b.build(same ? "aten.eq.Tensor" : "aten.ne.Tensor", *left, right ? *right : Argument(0.0));
  };
  Value *real = compared(Part::real), *imag = compared(Part::imag);
  return one_real(of_both(b, same ? "aten.logical_and.default" : "aten.logical_or.default", real, imag));
}
// Is it so of either part, or of both?
Results classified(PartsBuilder& b) {
  const Parts z = b.operand("self");
  const auto of = [&](Value* x) { return x ? b.build(b.node.op().name(), x) : nullptr; };
  const bool both = b.node.op().base() == "isfinite";
  Value *real = of(b.real(z)), *imag = of(b.imag(z));
  return one_real(of_both(b, both ? "aten.logical_and.default" : "aten.logical_or.default", real, imag));
}

Results is_zero(PartsBuilder& b) {
  const Parts z = b.operand("self");
  const auto of = [&](Value* x) { return x ? b.build("aten.eq.Scalar", x, 0) : nullptr; };
  Value *real = of(b.real(z)), *imag = of(b.imag(z));
  return one_real(of_both(b, "aten.logical_and.default", real, imag));
}
Results is_real_number(PartsBuilder& b) { return one_real(b.build("aten.eq.Scalar", b.imag_or_zeros(b.operand("self")), 0)); }

const RuleRow arithmetic_rows[] = {
    {from_parts, {"aten.complex.default"}},
    {from_polar, {"aten.polar.default"}},
    {from_pairs, {"aten.view_as_complex.default", "aten.view_as_complex_copy.default"}},
    {to_pairs, {"aten.view_as_real.default", "aten.view_as_real_copy.default"}},
    {real_part, {"aten.real.default", "prims.real.default"}},
    {imaginary_part, {"aten.imag.default", "prims.imag.default"}},
    {conjugate,
     {"aten._conj.default", "aten._conj_copy.default", "aten.conj.default", "aten._conj_physical.default", "aten.conj_physical.default",
      "prims.conj_physical.default"}},
    {cast, {"aten._to_copy.default", "aten.to.dtype", "aten.to.dtype_layout", "aten.to.device", "aten.to.other", "aten.type_as.default"}},
    {overwritten, {"aten.copy.default"}},
    {adjoint, {"aten.mH.default", "aten.adjoint.default", "aten.matrix_H.default"}},
    {add_product, {"aten.addmm.default", "aten.baddbmm.default"}},
    {spread_of_parts,
     {"aten.var.default", "aten.var.dim", "aten.var.correction", "aten.std.default", "aten.std.dim", "aten.std.correction"}},
    {ones, {"aten.ones.default", "aten.ones_like.default", "aten.new_ones.default"}},
    {add, {"aten.add.Tensor", "aten.add.Scalar", "aten.sub.Tensor", "aten.sub.Scalar", "aten.rsub.Tensor", "aten.rsub.Scalar"}},
    {einsum, {"aten.einsum.default"}},
    {divide, {"aten.div.Tensor", "aten.div.Scalar"}},
    {reciprocal, {"aten.reciprocal.default"}},
    {absolute, {"aten.abs.default"}},
    {angle, {"aten.angle.default"}},
    {norm, {"aten.norm.Scalar", "aten.norm.ScalarOpt_dim", "aten.linalg_vector_norm.default"}},
    {sign, {"aten.sgn.default"}},
    {equal, {"aten.eq.Tensor", "aten.eq.Scalar", "aten.ne.Tensor", "aten.ne.Scalar"}},
    {is_zero, {"aten.logical_not.default"}},
    {is_real_number, {"aten.isreal.default"}},
    {classified, {"aten.isnan.default", "aten.isinf.default", "aten.isfinite.default"}},
};

}  // namespace

std::vector<RuleRow> arithmetic_rules() {
  std::vector<RuleRow> rows(std::begin(arithmetic_rows), std::end(arithmetic_rows));
  for (const Product& product : products) rows.push_back({multiply, product.ops});
  return rows;
}

}  // namespace intaglio::decompose::complex_parts
