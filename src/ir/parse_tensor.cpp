#include "ir/parse_tensor.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/program_text.h"

namespace intaglio {
namespace {

std::optional<DType> take_dtype(TextReader& reader) {
  const size_t start = reader.position();
  if (!reader.at("'") && !reader.at_end()) {
    const std::string word = reader.word();
    for (int i = 0; i <= static_cast<int>(DType::float8_e8m0fnu); ++i)
      if (short_name(static_cast<DType>(i)) == word && reader.at("[")) return static_cast<DType>(i);
  }
  reader.go_back(start);
  return std::nullopt;
}

// Dense strides with this dim order. A size of 1 may have any stride: the one that keeps its place in the order.
SymSizes strides_in_order(const SymSizes& sizes, const std::vector<uint8_t>& order) {
  SymSizes strides(sizes.size());
  SymInt stride = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const SymInt& size = sizes[order[i]];
    const bool single = size.is_static() && size.value() == 1;
    const bool as_inner = single && i + 1 < order.size() && order[i] < order[i + 1];
    strides[order[i]] = as_inner ? strides[order[i + 1]] : stride;
    if (!(size.is_static() && size.value() < 2)) stride = stride * size;
  }
  return strides;
}

void take_dim_order(TextReader& reader, TensorMeta& meta) {
  const size_t start = reader.position();
  if (!reader.take("{")) return;
  std::vector<uint8_t> order;
  std::vector<bool> seen(meta.sizes.size(), false);
  while (order.size() < seen.size()) {
    if (!order.empty()) reader.expect(",");
    const auto dim = reader.number<uint8_t>();
    if (dim >= seen.size() || seen[dim]) reader.fail_at(start, "the dim order is no permutation of the dimensions");
    seen[dim] = true;
    order.push_back(dim);
  }
  reader.expect("}");
  meta.strides = strides_in_order(meta.sizes, order);
  if (meta.dim_order() != order) reader.fail_at(start, "no dense tensor of these sizes has this dim order");
}

// Bytes that are made when they are first read.
Tensor computed(DType dtype, Sizes sizes, Sizes strides, std::function<void(Tensor&)> fill) {
  const int64_t count = element_count(sizes);
  if (count > int64_t{1} << 40) throw_bad_input(fmt::format("{} elements are more than a constant may have", count));
  const auto compute = [dtype, count, fill = std::move(fill)] {
    Tensor flat = Tensor::zeros(dtype, {count});
    fill(flat);
    return flat.storage();
  };
  return Tensor(dtype, std::move(sizes), std::move(strides), 0, Storage::computed(static_cast<size_t>(count) * item_size(dtype), compute));
}

void fill_random(Tensor& flat, uint32_t seed) {
  uint32_t state = seed * 2654435761u + 12345u;
  Tensor values = Tensor::empty(is_floating(flat.dtype()) ? DType::float32 : DType::int64, flat.sizes());
  for (int64_t i = 0; i < flat.numel(); ++i) {
    state = state * 1664525u + 1013904223u;
    const uint32_t bits = state >> 8;
    const int64_t low = is_signed(flat.dtype()) ? 64 : 0, modulus = flat.dtype() == DType::boolean ? 2 : 128;
    if (is_floating(flat.dtype())) values.mutable_data<float>()[i] = static_cast<float>(bits >> 17) / 64.0f - 1.0f;
    else values.mutable_data<int64_t>()[i] = static_cast<int64_t>(bits >> 8) % modulus - low;
  }
  flat = converted(values, flat.dtype());
}

// One element as a 0-d tensor of a type that holds it exactly.
Tensor parse_element(TextReader& reader, DType dtype) {
  if (dtype == DType::boolean) {
    if (reader.take_word("True")) return Tensor::scalar(true);
    if (reader.take_word("False")) return Tensor::scalar(false);
    reader.fail("True or False is expected");
  }
  if (dtype == DType::float64) return Tensor::scalar(reader.number<double>());
  if (is_floating(dtype)) return converted(Tensor::scalar(reader.number<float>()), dtype);
  const size_t start = reader.position();
  const Tensor wide = Tensor::scalar(reader.number<int64_t>());
  const Tensor narrow = converted(wide, dtype);
  if (!bit_equal(converted(narrow, DType::int64), wide)) reader.fail_at(start, fmt::format("{} cannot hold this number", name(dtype)));
  return narrow;
}

// All values, in row-major order.
Tensor parse_values(TextReader& reader, const TensorMeta& meta) {
  const Sizes sizes = meta.static_sizes();
  const size_t start = reader.position(), item = item_size(meta.dtype);
  std::vector<std::byte> bytes;
  const auto take_element = [&] {
    const Tensor element = parse_element(reader, meta.dtype);
    const auto* raw = static_cast<const std::byte*>(element.raw());
    bytes.insert(bytes.end(), raw, raw + item);
  };
  if (sizes.empty()) {
    take_element();
  } else {
    reader.expect("[");
    while (!reader.take("]")) {
      if (!bytes.empty()) reader.expect(",");
      take_element();
    }
  }
  if (const auto given = static_cast<int64_t>(bytes.size() / item); given != element_count(sizes))
    reader.fail_at(start, fmt::format("{} values are given for {} elements", given, element_count(sizes)));
  Tensor row_major = Tensor::empty(meta.dtype, sizes);
  if (!bytes.empty()) std::memcpy(row_major.mutable_raw(), bytes.data(), bytes.size());
  // Laid out in memory as the type says.
  const std::vector<uint8_t> order = meta.dim_order();
  std::vector<int64_t> there(order.begin(), order.end()), back(order.size());
  for (size_t i = 0; i < order.size(); ++i) back[order[i]] = static_cast<int64_t>(i);
  return row_major.permuted(there).contiguous().permuted(back);
}

}  // namespace

SymInt parse_size(std::string_view text, const SymBindings& hints) {
  const SymExprPtr expression = parse_sym_expr(text);
  if (expression->kind == SymExpr::Kind::integer) return expression->integer;
  return SymInt(expression, to_srepr(*expression), evaluate(*expression, hints));
}

std::optional<TensorMeta> parse_tensor_meta(TextReader& reader, const SymBindings& hints) {
  const std::optional<DType> dtype = take_dtype(reader);
  if (!dtype) return std::nullopt;
  SymSizes sizes;
  reader.expect("[");
  while (!reader.take("]")) {
    constexpr size_t most_dimensions = 64;
    if (!sizes.empty()) reader.expect(",");
    if (sizes.size() == most_dimensions) reader.fail(fmt::format("a tensor has at most {} dimensions", most_dimensions));
    sizes.push_back(parse_size(reader.until(",]"), hints));
  }
  TensorMeta meta = TensorMeta::contiguous(*dtype, std::move(sizes));
  take_dim_order(reader, meta);
  return meta;
}

Tensor parse_contents(TextReader& reader, const TensorMeta& meta) {
  if (!meta.is_static()) reader.fail("the sizes of a constant are numbers");
  Sizes strides;
  for (const SymInt& stride : meta.strides) strides.push_back(stride.value());
  const auto filled = [&](std::function<void(Tensor&)> fill) {
    return computed(meta.dtype, meta.static_sizes(), strides, std::move(fill));
  };
  if (!reader.take("=")) return filled([](Tensor&) {});
  const bool has_text = !is_complex(meta.dtype) && !(is_floating(meta.dtype) && item_size(meta.dtype) == 1);
  if (!has_text) reader.fail(fmt::format("values of {} cannot be written", name(meta.dtype)));
  if (reader.take_word("random")) {
    reader.expect("(");
    const auto seed = reader.number<uint32_t>();
    reader.expect(")");
    return filled([seed](Tensor& flat) { fill_random(flat, seed); });
  }
  if (!reader.take_word("full")) return parse_values(reader, meta);
  reader.expect("(");
  const Tensor element = parse_element(reader, meta.dtype);
  reader.expect(")");
  return filled([element](Tensor& flat) {
    auto* out = static_cast<std::byte*>(flat.mutable_raw());
    for (int64_t i = 0; i < flat.numel(); ++i)
      std::memcpy(out + i * static_cast<int64_t>(element.nbytes()), element.raw(), element.nbytes());
  });
}

}  // namespace intaglio
