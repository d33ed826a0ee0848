#include "backends/coreml/mil/literal.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::coreml {
namespace {

// Elements, one in a byte, to one stream of bits from the lowest on.
class BitPacker {
 public:
  BitPacker(const DataTypeRow& row, const Blob::Sink& sink) : row_(row), sink_(sink) { ready_.reserve(piece); }

  void add(std::span<const std::byte> elements) {
    const int low = row_.is_signed ? -(1 << (row_.bits - 1)) : 0, high = low + (1 << row_.bits) - 1;
    const unsigned mask = (1u << row_.bits) - 1;
    for (const std::byte element : elements) {
      const int value = row_.is_signed ? std::to_integer<int8_t>(element) : std::to_integer<uint8_t>(element);
      if (value < low || value > high) throw_bug(fmt::format("{} does not fit into {}", value, row_.name));
      bits_ |= (static_cast<unsigned>(value) & mask) << waiting_;
      waiting_ += row_.bits;
      if (waiting_ >= 8) put();
    }
  }
  void finish() {
    if (waiting_ > 0) put();
    sink_(ready_);
  }

 private:
  void put() {
    ready_.push_back(static_cast<std::byte>(bits_ & 0xff));
    bits_ >>= 8;
    waiting_ = std::max(0, waiting_ - 8);
    if (ready_.size() < piece) return;
    sink_(ready_);
    ready_.clear();
  }

  static constexpr size_t piece = 1 << 16;
  const DataTypeRow& row_;
  const Blob::Sink& sink_;
  std::vector<std::byte> ready_;
  unsigned bits_ = 0;
  int waiting_ = 0;
};

}  // namespace

const DataTypeRow* find_data_type(int32_t number) {
  const auto row = std::ranges::find(data_types, number, [](const DataTypeRow& r) { return static_cast<int32_t>(r.type); });
  return row == std::end(data_types) ? nullptr : row;
}

const DataTypeRow& row_of(DataType type) { return *find_data_type(static_cast<int32_t>(type)); }

std::optional<DataType> data_type(DType dtype) {
  const auto row = std::ranges::find(data_types, std::optional(dtype), &DataTypeRow::dtype);
  return row == std::end(data_types) ? std::nullopt : std::optional(row->type);
}

std::optional<DataType> unsigned_type(int bits) {
  for (const DataTypeRow& row : data_types)
    if (row.bits == bits && row.immediate == Immediate::bytes && row.name.starts_with("uint")) return row.type;
  return std::nullopt;
}

uint64_t packed_size(DataType type, int64_t count) {
  return (static_cast<uint64_t>(count) * static_cast<uint64_t>(row_of(type).bits) + 7) / 8;
}

Literal literal(Tensor tensor) {
  const std::optional<DataType> type = data_type(tensor.dtype());
  if (!type) throw_bug(fmt::format("a constant of type {}, which Core ML has not", name(tensor.dtype())));
  Sizes dims = tensor.sizes();
  return {*type, std::move(dims), Blob(std::move(tensor))};
}

Literal packed_literal(Tensor integers, DataType type) {
  const DataTypeRow& row = row_of(type);
  if (row.bits == 0 || row.bits >= 8) throw_bug(fmt::format("{} takes whole bytes", row.name));
  if (integers.dtype() != DType::int8 && integers.dtype() != DType::uint8) throw_bug("elements below a byte come one in a byte");
  Sizes dims = integers.sizes();
  const uint64_t size = packed_size(type, integers.numel());
  const Blob elements(std::move(integers));
  return {type, std::move(dims), Blob(size, [elements, &row](const Blob::Sink& sink) {
            BitPacker packer(row, sink);
            elements.write([&](std::span<const std::byte> piece) { packer.add(piece); });
            packer.finish();
          })};
}

Literal text_literal(std::string text) { return {DataType::string, {}, {}, {std::move(text)}}; }

Literal int32_literal(const std::vector<int64_t>& values) {
  const std::vector<int32_t> narrow(values.begin(), values.end());
  return literal(Tensor::of<int32_t>(std::span(narrow), {std::ssize(narrow)}));
}

Literal float16_literal(float value) { return literal(converted(Tensor::scalar(value), DType::float16)); }

Tensor elements_of(const Literal& literal) {
  const DataTypeRow& row = row_of(literal.type);
  const std::vector<std::byte> bytes = literal.data.bytes();
  if (row.dtype) {
    Tensor result = Tensor::empty(*row.dtype, literal.dims);
    if (!bytes.empty()) std::memcpy(result.mutable_raw(), bytes.data(), bytes.size());
    return result;
  }
  Tensor result = Tensor::empty(row.is_signed ? DType::int8 : DType::uint8, literal.dims);
  auto* elements = static_cast<uint8_t*>(result.mutable_raw());
  for (int64_t i = 0; i < result.numel(); ++i) {
    const uint64_t bit = static_cast<uint64_t>(i) * static_cast<uint64_t>(row.bits);
    unsigned value = std::to_integer<unsigned>(bytes[bit / 8]) >> (bit % 8);
    if (bit % 8 + static_cast<uint64_t>(row.bits) > 8) value |= std::to_integer<unsigned>(bytes[bit / 8 + 1]) << (8 - bit % 8);
    value &= (1u << row.bits) - 1;
    if (row.is_signed && (value >> (row.bits - 1)) != 0) value |= ~0u << row.bits;
    elements[i] = static_cast<uint8_t>(value);
  }
  return result;
}

}  // namespace intaglio::coreml
