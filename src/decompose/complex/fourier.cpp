// Fourier transforms by what the runtime has: real signals to half of their spectrum (`_fft_r2c`) and back (`_fft_c2r`).
//
// A complex signal is two real ones, F(a + ib) = F(a) + iF(b), and the half that a real signal's transform leaves out
// mirrors the other: F(a)[-k] is the conjugate of F(a)[k].
#include <algorithm>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "decompose/complex/parts.h"
#include "decompose/limits.h"

namespace intaglio::decompose::complex_parts {

Parts half_transform(PartsBuilder& b, Value* x, const Ints& dims, Scale scale) {
  if (!is_floating(x->dtype())) x = b.build.cast(x, DType::float32);
  if (x->dtype() != DType::float32 && x->dtype() != DType::float64)
    refuse(b.node, fmt::format("the runtime's Fourier transforms take float32, not {}; cast in the model", name(x->dtype())));
  Value* spectrum = b.build("aten._fft_r2c.default", x, dims, static_cast<int64_t>(scale), true);
  return Parts::pair(b.owned(b.build("aten.view_as_real.default", spectrum)));
}

Value* inverse_of_half(PartsBuilder& b, const Parts& z, const Ints& dims, Scale scale, const Argument& length) {
  return b.build("aten._fft_c2r.default", b.assembled(z), dims, static_cast<int64_t>(scale), length);
}

namespace {

// The size of a dimension; nullopt where it is known when the program runs.
std::optional<int64_t> fixed_size(const PartsBuilder& b, const Value* x, int64_t dim) {
  const SymInt& size = x->sizes()[static_cast<size_t>(dim)];
  if (!size.is_static()) return std::nullopt;
  written_out(b.node, DType::int64, {size.value()});
  return size.value();
}

// A number made of one that varies, which is `size`.
Argument varying(PartsBuilder& b, std::string_view op, const Argument& operand, int64_t number, SymInt size) {
  OutputSpecification output;
  output.kind = ValueKind::sym_int;
  output.sym = std::move(size);
  Node& node = b.build.graph().insert_before(const_cast<Node*>(&b.node), Op::get(op),
                                             {{"", operand, ArgKind::positional}, {"", number, ArgKind::positional}}, {std::move(output)});
  node.metadata = inherited_metadata(b.node);
  return node.output();
}

Value* with_size(Value* x, int64_t dim, const SymInt& size) {
  SymSizes sizes = x->sizes();
  sizes[static_cast<size_t>(dim)] = size;
  x->meta() = TensorMeta::contiguous(x->dtype(), std::move(sizes));
  return x;
}

Value* chosen(PartsBuilder& b, Value* x, int64_t dim, const Ints& indices) {
  return b.build("aten.index_select.default", x, dim,
                 b.build.constant(Tensor::of<int64_t>(indices, {static_cast<int64_t>(indices.size())})));
}

// All but the first element, backwards.
Value* rest_reversed(PartsBuilder& b, Value* x, int64_t dim, const Argument& end) {
  return b.build("aten.flip.default", b.build("aten.slice.Tensor", x, dim, 1, end), Ints{dim});
}

// The frequencies that half a spectrum leaves out, in their order: the mirror image of those it has. `signal` has them all.
Value* mirrored(PartsBuilder& b, Value* x, Value* signal, const Ints& dims) {
  if (!x) return nullptr;
  const int64_t last = dims.back();
  if (const auto length = fixed_size(b, signal, last)) {
    Ints indices(static_cast<size_t>((*length - 1) / 2));
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(indices.size() - i);
    x = chosen(b, x, last, indices);
  } else {
    const SymInt size = signal->sizes()[static_cast<size_t>(last)] + SymInt(1), half = floor_div(size, 2);
    const Argument end = varying(b, "_operator.floordiv", b.build.sum(b.build.size(signal, last), int64_t{1}), 2, half);
    x = with_size(rest_reversed(b, x, last, end), last, half - SymInt(1));
  }
  for (size_t i = 0; i + 1 < dims.size(); ++i) {
    const auto size = fixed_size(b, x, dims[i]);
    if (size && *size < 3) continue;  // it is its own
    if (!size) {
      const SymInt all = x->sizes()[static_cast<size_t>(dims[i])];
      std::vector<Value*> pieces = {b.build.slice(x, dims[i], 0, 1)};
      pieces.push_back(rest_reversed(b, x, dims[i], std::numeric_limits<int64_t>::max()));
      x = with_size(b.build("aten.cat.default", pieces, dims[i]), dims[i], all);
      continue;
    }
    Ints indices(static_cast<size_t>(*size), 0);
    for (int64_t k = 1; k < *size; ++k) indices[static_cast<size_t>(k)] = *size - k;
    x = chosen(b, x, dims[i], indices);
  }
  return x;
}

Value* joined(PartsBuilder& b, Value* head, Value* tail, Value* signal, int64_t dim) {
  if (!head || !tail) return head;
  return with_size(b.build("aten.cat.default", std::vector<Value*>{head, tail}, dim), dim, signal->sizes()[static_cast<size_t>(dim)]);
}

}  // namespace

Parts transform(PartsBuilder& b, const Parts& z, const Ints& dims, Scale scale, bool forward) {
  if (!forward) {  // with real and imaginary parts in each other's place, before and after
    const Parts turned = transform(b, Parts{b.imag(z), b.real(z)}, dims, scale, true);
    return Parts{turned.imag, turned.real};
  }
  Value *x = b.real(z), *y = b.imag(z);
  Value* signal = x ? x : y;
  const int64_t last = dims.back();
  const Parts first = x ? half_transform(b, x, dims, scale) : Parts(), second = y ? half_transform(b, y, dims, scale) : Parts();
  Value *xr = b.real(first), *xi = b.imag(first), *yr = b.real(second), *yi = b.imag(second);
  Value *real = b.difference(xr, yi), *imag = b.sum(xi, yr);
  if (const auto length = fixed_size(b, signal, last); length && *length < 3) return Parts{real, imag};
  real = joined(b, real, mirrored(b, b.sum(xr, yi), signal, dims), signal, last);
  return Parts{real, joined(b, imag, mirrored(b, b.difference(yr, xi), signal, dims), signal, last)};
}

namespace {

// What torch.fft's functions ask for.
struct Request {
  Ints dims;                                     // from the start, in the order of the call
  std::vector<std::optional<Argument>> lengths;  // of each dimension; nullopt: as it is
  Scale scale = Scale::none;
};

Scale scale_of(const Node& node, bool forward) {
  const Argument written = node.argument("norm");
  const std::string mode = written.is_none() ? "backward" : node.string("norm");
  if (mode == "ortho") return Scale::root;
  if (mode != "backward" && mode != "forward")
    refuse(node, fmt::format("'{}' is no normalization; use backward, ortho or forward", escaped(mode)));
  return (mode == "forward") == forward ? Scale::whole : Scale::none;
}

std::vector<Argument> items(const Argument& list) {
  std::vector<Argument> result;
  if (const auto* numbers = list.get_if<std::vector<int64_t>>()) result.assign(numbers->begin(), numbers->end());
  if (const auto* values = list.get_if<std::vector<Value*>>()) result.assign(values->begin(), values->end());
  if (const auto* symbols = list.get_if<std::vector<SymArg>>())
    for (const SymArg& symbol : *symbols) result.push_back(std::visit([](auto item) { return Argument(item); }, symbol));
  return result;
}

Request request_of(const Node& node, bool forward) {
  const int64_t rank = node.tensor("self")->meta().rank();
  Request request;
  request.scale = scale_of(node, forward);
  if (node.op().schema()->find("n")) {
    request.dims = {dim_of(node, "dim", rank)};
    const Argument length = node.argument("n");
    request.lengths = {length.is_none() ? std::nullopt : std::optional<Argument>(length)};
    return request;
  }
  const std::vector<Argument> lengths = items(node.argument("s"));
  if (!node.argument("dim").is_none()) {
    request.dims = node.integers("dim");
    for (int64_t& dim : request.dims) dim += dim < 0 ? rank : 0;
  } else {
    request.dims.resize(lengths.empty() ? static_cast<size_t>(rank) : lengths.size());
    std::iota(request.dims.begin(), request.dims.end(), rank - static_cast<int64_t>(request.dims.size()));
  }
  request.lengths.resize(request.dims.size());
  if (!lengths.empty() && lengths.size() != request.dims.size()) refuse(node, "as many lengths as dimensions are needed");
  for (size_t i = 0; i < lengths.size(); ++i) {
    const auto* number = lengths[i].get_if<int64_t>();
    if (!number || *number != -1) request.lengths[i] = lengths[i];
  }
  if (request.dims.empty()) refuse(node, "a transform needs a dimension");
  for (const int64_t dim : request.dims)
    if (dim < 0 || dim >= rank) refuse(node, "a dimension is out of range");
  return request;
}

// Zeros of the sizes of `x` but for one.
Value* zeros_of_length(PartsBuilder& b, Value* x, int64_t dim, const Argument& length) {
  std::vector<SymArg> sizes;
  Ints numbers;
  for (int64_t i = 0; i < x->meta().rank(); ++i) {
    const Argument size = i == dim ? length : b.build.size(x, i);
    if (const auto* number = size.get_if<int64_t>()) sizes.emplace_back(numbers.emplace_back(*number));
    else if (Value* const* value = size.get_if<Value*>()) sizes.emplace_back(*value);
    else refuse(b.node, "the length of a transform is no whole number");
  }
  Argument written = numbers.size() == sizes.size() ? Argument(numbers) : Argument(std::move(sizes));
  return b.build.call("aten.full.default", {std::move(written), 0.0}, {{"dtype", x->dtype()}});
}

// Cut, or continued with zeros; where only a run tells which, both.
Value* resized(PartsBuilder& b, Value* x, int64_t dim, const Argument& wanted) {
  const auto* length = wanted.get_if<int64_t>();
  if (length && *length < 1) refuse(b.node, "a transform is of one element or more");
  if (length) written_out(b.node, DType::int64, {*length});
  const auto size = fixed_size(b, x, dim);
  if (!size || !length) {
    const std::vector<Value*> pieces = {x, zeros_of_length(b, x, dim, wanted)};
    Value* cut = b.build("aten.slice.Tensor", b.build("aten.cat.default", pieces, dim), dim, 0, wanted);
    Value* const* varies = wanted.get_if<Value*>();
    if (varies && !(*varies)->sym) refuse(b.node, "the length of a transform is not known as a size");
    return with_size(cut, dim, varies ? *(*varies)->sym : SymInt(*length));
  }
  if (*size == *length) return x;
  if (*size > *length) return b.build.slice(x, dim, 0, *length);
  Ints padding(static_cast<size_t>(2 * (x->meta().rank() - dim)), 0);
  padding.back() = *length - *size;
  return b.build("aten.constant_pad_nd.default", x, padding);
}

Parts resized(PartsBuilder& b, Parts z, const Request& request) {
  for (size_t i = 0; i < request.dims.size(); ++i)
    if (request.lengths[i]) z = b.each(z, [&](Value* x) { return resized(b, x, request.dims[i], *request.lengths[i]); });
  return z;
}

Parts as_floating(PartsBuilder& b, const Parts& z) {
  if (!z.is_real() || is_floating(z.real->dtype())) return z;
  return Parts{b.build.cast(z.real, DType::float32), nullptr};
}

// fft, ifft and their forms in several dimensions
template <bool forward>
Results full(PartsBuilder& b) {
  const Request request = request_of(b.node, forward);
  return {transform(b, resized(b, as_floating(b, b.operand("self")), request), request.dims, request.scale, forward)};
}

Value* real_signal(PartsBuilder& b, const Parts& x) {
  if (!x.is_real()) refuse(b.node, "this transform is of real signals, and the operand is complex");
  return x.real;
}

// rfft; ihfft is its conjugate, scaled as inverse transforms are
template <bool forward>
Results half(PartsBuilder& b) {
  const Request request = request_of(b.node, forward);
  const Parts x = resized(b, as_floating(b, b.operand("self")), request);
  const Parts spectrum = half_transform(b, real_signal(b, x), request.dims, request.scale);
  return {forward ? spectrum : conjugated(b, spectrum)};
}

// irfft; hfft is that of the conjugate, scaled as forward transforms are
template <bool forward>
Results to_real(PartsBuilder& b) {
  Request request = request_of(b.node, forward);
  Parts z = as_floating(b, b.operand("self"));
  Argument length;
  if (std::optional<Argument>& last = request.lengths.back()) {
    length = *last;
    if (const auto* number = length.get_if<int64_t>()) last = Argument(*number / 2 + 1);
    else last = std::nullopt;  // of a length that varies the half must be there already
  } else {
    Value* any = z.packed ? z.packed : z.real ? z.real : z.imag;
    const int64_t dim = request.dims.back();
    const SymInt& size = any->sizes()[static_cast<size_t>(dim)];
    if (size.is_static()) length = 2 * (size.value() - 1);
    else length = varying(b, "_operator.mul", b.build.sum(b.build.size(any, dim), int64_t{-1}), 2, SymInt(2) * (size - SymInt(1)));
  }
  z = resized(b, z, request);
  return {Parts{inverse_of_half(b, forward ? conjugated(b, z) : z, request.dims, request.scale, length), nullptr}};
}

// ---- the same without torch.fft's clothes
Scale kernel_scale(const Node& node) {
  const int64_t mode = node.integer("normalization");
  if (mode < 0 || mode > 2) refuse(node, "no such normalization");
  return static_cast<Scale>(mode);
}
Ints kernel_dims(const Node& node) {
  Ints dims = node.integers("dim");
  const int64_t rank = node.tensor("self")->meta().rank();
  if (dims.empty()) refuse(node, "a transform needs a dimension");
  for (int64_t& dim : dims) {
    dim += dim < 0 ? rank : 0;
    if (dim < 0 || dim >= rank) refuse(node, "a dimension is out of range");
  }
  return dims;
}
Results real_to_complex(PartsBuilder& b) {
  const Parts x = b.operand("self");
  if (b.node.boolean("onesided")) return {half_transform(b, real_signal(b, x), kernel_dims(b.node), kernel_scale(b.node))};
  return {transform(b, x, kernel_dims(b.node), kernel_scale(b.node), true)};
}
Results complex_to_complex(PartsBuilder& b) {
  return {transform(b, b.operand("self"), kernel_dims(b.node), kernel_scale(b.node), b.node.boolean("forward"))};
}
Results complex_to_real(PartsBuilder& b) {
  return {
      Parts{inverse_of_half(b, b.operand("self"), kernel_dims(b.node), kernel_scale(b.node), b.node.argument("last_dim_size")), nullptr}};
}

// ---- frequencies of the bins, and those in the order of rising frequency
Results frequencies(PartsBuilder& b) {
  const int64_t count = b.node.integer("n");
  if (count < 1) refuse(b.node, "frequencies are those of one element or more");
  written_out(b.node, DType::float64, {count});
  const double step = 1 / (static_cast<double>(count) * b.node.number("d"));
  const bool half = b.node.op().base() == "fft_rfftfreq";
  std::vector<double> values;
  for (int64_t k = 0; k < (half ? count / 2 + 1 : count); ++k)
    values.push_back(static_cast<double>(half || k < (count + 1) / 2 ? k : k - count) * step);
  const Tensor tensor = Tensor::of<double>(values, {static_cast<int64_t>(values.size())});
  Value* constant = b.build.constant(converted(tensor, b.node.output()->dtype()));
  return {Parts{b.build("aten.alias.default", constant), nullptr}};
}

const RuleRow fourier_rows[] = {
    {real_to_complex, {"aten._fft_r2c.default"}},
    {complex_to_complex, {"aten._fft_c2c.default"}},
    {complex_to_real, {"aten._fft_c2r.default"}},
    {full<true>, {"aten.fft_fft.default", "aten.fft_fft2.default", "aten.fft_fftn.default"}},
    {full<false>, {"aten.fft_ifft.default", "aten.fft_ifft2.default", "aten.fft_ifftn.default"}},
    {half<true>, {"aten.fft_rfft.default", "aten.fft_rfft2.default", "aten.fft_rfftn.default"}},
    {half<false>, {"aten.fft_ihfft.default", "aten.fft_ihfft2.default", "aten.fft_ihfftn.default"}},
    {to_real<false>, {"aten.fft_irfft.default", "aten.fft_irfft2.default", "aten.fft_irfftn.default"}},
    {to_real<true>, {"aten.fft_hfft.default", "aten.fft_hfft2.default", "aten.fft_hfftn.default"}},
    {frequencies, {"aten.fft_fftfreq.default", "aten.fft_rfftfreq.default"}},
};

}  // namespace

std::span<const RuleRow> fourier_rules() { return fourier_rows; }

}  // namespace intaglio::decompose::complex_parts
