#include "backends/coreml/payload/weight_file.h"

#include <bit>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/byte_reader.h"

namespace intaglio::coreml {
namespace {

constexpr uint64_t alignment = 64;
constexpr uint32_t file_version = 2;
constexpr uint32_t record_mark = 0xDEADBEEF;
constexpr int64_t fewest_elements = 10;

struct FileHeader {
  uint32_t records;
  uint32_t version = file_version;
};
struct Record {
  uint32_t mark = record_mark;
  uint32_t storage;
  uint64_t size;
  uint64_t data;
  uint64_t unused_bits;
  std::byte zeros[32] = {};
};
static_assert(sizeof(Record) == alignment && std::endian::native == std::endian::little);

template <typename T>
Blob blob_of(const T& header) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(&header, 1));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

bool WeightFileWriter::takes(const Literal& literal) const {
  const DataTypeRow& row = row_of(literal.type);
  // Wider integers came with iOS 18.
  const bool is_wide_integer = row.bits > 8 && !(row.dtype && is_floating(*row.dtype));
  return row.storage != 0 && literal.count() >= fewest_elements && (!is_wide_integer || version_ >= Version::ios18);
}

uint64_t WeightFileWriter::add(const Literal& literal) {
  const uint64_t record = (end_ + alignment - 1) / alignment * alignment;
  const auto [place, is_new] = offsets_.try_emplace({literal.type, literal.count(), literal.data.digest()}, record);
  if (!is_new) return place->second;
  const DataTypeRow& row = row_of(literal.type);
  const uint64_t size = literal.data.size();
  const uint64_t used = static_cast<uint64_t>(literal.count()) * static_cast<uint64_t>(row.bits);
  pieces_.push_back(
      {record, blob_of(Record{.storage = row.storage, .size = size, .data = record + alignment, .unused_bits = size * 8 - used})});
  pieces_.push_back({record + alignment, literal.data});
  end_ = record + alignment + size;
  return record;
}

Blob WeightFileWriter::blob() const {
  if (pieces_.empty()) return {};
  std::vector<Blob::Piece> pieces = {{0, blob_of(FileHeader{static_cast<uint32_t>(offsets_.size())})}};
  pieces.insert(pieces.end(), pieces_.begin(), pieces_.end());
  return Blob::of_pieces(std::move(pieces), end_);
}

Literal read_weight(std::span<const std::byte> file, uint64_t offset, const ValueType& type) {
  const std::string what = fmt::format("weight.bin, record at {}", offset);
  ByteReader reader(file, what);
  const auto header = reader.read<FileHeader>();
  if (header.version != file_version) throw_bad_input(fmt::format("weight.bin is of version {}, not {}", header.version, file_version));
  if (offset % alignment != 0) throw_bad_input(fmt::format("{}: not at a multiple of {}", what, alignment));
  reader.seek(offset);
  const auto record = reader.read<Record>();
  const DataTypeRow& row = row_of(type.type);
  if (record.mark != record_mark || record.storage != row.storage || row.storage == 0)
    throw_bad_input(fmt::format("{}: no constant of type {}", what, row.name));
  reader.seek(record.data);
  const std::span<const std::byte> data = reader.take(record.size);
  const int64_t count = element_count(type.dims);
  // Compared before it is multiplied: sizes may be anything.
  if (static_cast<uint64_t>(count) > data.size() * 8 || packed_size(type.type, count) != data.size() ||
      record.unused_bits != data.size() * 8 - static_cast<uint64_t>(count) * static_cast<uint64_t>(row.bits))
    throw_bad_input(fmt::format("{}: {} bytes for {}", what, data.size(), to_string(type)));
  return {type.type, type.dims, Blob(data.size(), [data](const Blob::Sink& sink) { sink(data); })};
}

}  // namespace intaglio::coreml
