#include "decompose/complex/parts.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/map_values.h"

namespace intaglio::decompose::complex_parts {

bool is_complex_tensor(const Value* value) { return value && value->is_tensor() && is_complex(value->dtype()); }

DType PartsBuilder::real_type() const {
  if (is_complex_tensor(node.output())) return real_type_of(node.output()->dtype());
  for (const Value* input : node.inputs())
    if (is_complex_tensor(input)) return real_type_of(input->dtype());
  return node.output()->dtype();
}

Parts PartsBuilder::parts(Value* value) const {
  if (!is_complex_tensor(value)) return Parts{value, nullptr};
  const auto found = known_.parts.find(value);
  if (found == known_.parts.end()) throw_bug(fmt::format("{}: the parts of '{}' are not known", describe(node), value->name()));
  return found->second;
}

Value* PartsBuilder::part(const Parts& z, Part which) {
  if (!z.packed) return which == Part::real ? z.real : z.imag;
  const int64_t index = which == Part::real ? 0 : 1;
  if (!build.program().is_constant(z.packed) || known_.buffers.contains(z.packed)) return build.select(z.packed, -1, index);
  // Large constants are not folded, and to take every second element of one at each run is slow.
  Value*& known = known_.constants[{z.packed, which}];
  if (!known) {
    const Tensor& tensor = *build.program().constant(z.packed);
    Tensor taken = tensor.narrowed(tensor.rank() - 1, index, 1).contiguous();
    Sizes sizes = taken.sizes();
    sizes.pop_back();
    known = build.program().add_constant(fmt::format("{}_{}", z.packed->name(), which == Part::real ? "real" : "imag"),
                                         taken.reshaped(std::move(sizes)));
  }
  return known;
}

Value* PartsBuilder::real_or_zeros(const Parts& z) {
  if (Value* part = real(z)) return part;
  return build.full(z.imag->sizes(), 0, z.imag->dtype(), z.imag);
}
Value* PartsBuilder::imag_or_zeros(const Parts& z) {
  if (Value* part = imag(z)) return part;
  return build.full(z.real->sizes(), 0, z.real->dtype(), z.real);
}

Value* PartsBuilder::packed(const Parts& z) {
  if (z.packed) return z.packed;
  return build("aten.stack.default", std::vector<Value*>{real_or_zeros(z), imag_or_zeros(z)}, -1);
}

std::optional<Argument> PartsBuilder::part(const Argument& written, Part which) {
  if (const auto* number = written.get_if<std::complex<double>>()) {
    const double value = which == Part::real ? number->real() : number->imag();
    return value == 0 && *number != 0.0 ? std::nullopt : std::optional<Argument>(value);
  }
  if (Value* const* value = written.get_if<Value*>(); value && *value && (*value)->is_tensor()) {
    Value* taken = part(parts(*value), which);
    return taken ? std::optional<Argument>(build.cast(taken, real_type())) : std::nullopt;
  }
  if (const auto* values = written.get_if<std::vector<Value*>>()) {
    std::vector<Value*> taken;
    for (Value* value : *values) {
      const Parts z = parts(value);
      taken.push_back(build.cast(which == Part::real ? real_or_zeros(z) : imag_or_zeros(z), real_type()));
    }
    return taken;
  }
  return which == Part::real ? std::optional<Argument>(written) : std::nullopt;
}

Value* PartsBuilder::sum(Value* x, Value* y) {
  if (!x || !y) return x ? x : y;
  return build("aten.add.Tensor", x, y);
}
Value* PartsBuilder::difference(Value* x, Value* y) {
  if (!x || !y) return x ? x : negative(y);
  return build("aten.sub.Tensor", x, y);
}
Value* PartsBuilder::product(Value* x, Value* y) {
  if (!x || !y) return nullptr;
  return build("aten.mul.Tensor", x, y);
}

std::vector<Value*> PartsBuilder::again(const std::function<Argument(const NamedArgument&)>& argument, bool packed) {
  std::vector<NamedArgument> arguments;
  for (const NamedArgument& written : node.arguments()) {
    NamedArgument changed = written;
    changed.value = argument(written);
    if (const auto* dtype = changed.value.get_if<DType>()) changed.value = real_type_of(*dtype);
    arguments.push_back(std::move(changed));
  }
  std::vector<OutputSpecification> outputs;
  for (const Value* output : node.outputs()) {
    SymSizes sizes = output->sizes();
    if (packed) sizes.emplace_back(2);
    outputs.push_back({TensorMeta::contiguous(real_type_of(output->dtype()), std::move(sizes)), ""});
  }
  Node& created =
      build.graph().insert_before(const_cast<Node*>(&node), node.op(), std::move(arguments), std::move(outputs), "", node.output_groups());
  created.metadata = inherited_metadata(node);
  return created.outputs();
}

Parts conjugated(PartsBuilder& b, const Parts& z) {
  Value* real = b.real(z);
  return Parts{real, b.negative(b.imag(z))};
}

// Numerators are products with the conjugate.
Value* squared_size(PartsBuilder& b, const Parts& z) {
  Value *real = b.real(z), *imag = b.imag(z);
  Value *first = b.product(real, real), *second = b.product(imag, imag);
  return b.sum(first, second);
}

Parts inverse(PartsBuilder& b, const Parts& z) {
  Value* size = squared_size(b, z);
  const auto over = [&](Value* x) { return x ? b.build("aten.div.Tensor", x, size) : nullptr; };
  return Parts{over(b.real(z)), b.negative(over(b.imag(z)))};
}

Value* size_of(PartsBuilder& b, const Parts& z) {
  if (z.is_real()) return b.build("aten.abs.default", z.real);
  return b.build("aten.sqrt.default", squared_size(b, z));
}
Value* angle_of(PartsBuilder& b, const Parts& z) {
  Value* imag = b.imag_or_zeros(z);
  return b.build("aten.atan2.default", imag, b.real_or_zeros(z));
}

Parts times(PartsBuilder& b, const Parts& x, const Parts& y) {
  Value *a = b.real(x), *bi = b.imag(x), *c = b.real(y), *d = b.imag(y);
  Value *ac = b.product(a, c), *bd = b.product(bi, d), *ad = b.product(a, d), *bc = b.product(bi, c);
  Value* real = b.difference(ac, bd);
  return Parts{real, b.sum(ad, bc)};
}

}  // namespace intaglio::decompose::complex_parts
