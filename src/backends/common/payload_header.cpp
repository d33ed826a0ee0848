#include "backends/common/payload_header.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/byte_reader.h"

namespace intaglio::common {
namespace {

constexpr size_t header_room = 32;  // the header's 30 bytes, padded
constexpr size_t alignment = 16;

template <typename T>
void put(std::vector<std::byte>& bytes, size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

struct Extents {
  uint32_t flatbuffer_offset, flatbuffer_size, constant_offset;
  uint64_t constant_size;
};
// Behind the magic.
Extents read_extents(ByteReader& reader) {
  reader.read<uint16_t>();
  return {reader.read<uint32_t>(), reader.read<uint32_t>(), reader.read<uint32_t>(), reader.read<uint64_t>()};
}

[[noreturn]] void reject_header(const PayloadFormat& format, std::string_view found) {
  throw_bad_input(fmt::format("{}: the header begins with \"{}\" where \"{}\" was expected", format.name, escaped(found), format.magic));
}

}  // namespace

std::vector<std::byte> with_payload_header(const PayloadFormat& format, std::span<const std::byte> flatbuffer,
                                           std::span<const std::byte> constants) {
  const size_t end = (header_room + flatbuffer.size() + alignment - 1) / alignment * alignment;
  if (end > std::numeric_limits<uint32_t>::max()) throw_bug(fmt::format("{} is larger than 4 GiB", format.name));
  std::vector<std::byte> bytes(end + constants.size());
  std::memcpy(bytes.data() + 4, format.magic.data(), format.magic.size());
  put(bytes, 8, uint16_t{30});
  put(bytes, 10, static_cast<uint32_t>(header_room));
  put(bytes, 14, static_cast<uint32_t>(flatbuffer.size()));
  put(bytes, 18, static_cast<uint32_t>(end));
  put(bytes, 22, uint64_t{constants.size()});
  std::memcpy(bytes.data() + header_room, flatbuffer.data(), flatbuffer.size());
  std::ranges::copy(constants, bytes.begin() + static_cast<ptrdiff_t>(end));
  return bytes;
}

PayloadParts split_payload(const PayloadFormat& format, std::span<const std::byte> payload) {
  ByteReader reader(payload, std::string(format.name));
  reader.seek(std::min<size_t>(4, payload.size()));
  if (const std::string_view found = reader.take_text(4); found != format.magic) reject_header(format, found);
  const Extents extents = read_extents(reader);
  reader.seek(extents.flatbuffer_offset);
  const auto flatbuffer = reader.take(extents.flatbuffer_size);
  reader.seek(extents.constant_offset);
  return {flatbuffer, reader.take(extents.constant_size)};
}

void check_payload_header(const PayloadFormat& format, std::span<const std::byte> payload) {
  if (payload.size() < header_room)
    throw_bad_input(fmt::format("{} has {} bytes; its header alone has {}", format.name, payload.size(), header_room));
  ByteReader reader(payload, std::string(format.name));
  reader.seek(4);
  if (const std::string_view found = reader.take_text(4); found != format.magic) {
    if (format.has_headerless_files) return;
    reject_header(format, found);
  }
  const auto [offset, size, constants, constant_size] = read_extents(reader);
  if (offset > payload.size() || size > payload.size() - offset || size < 8)
    throw_bad_input(fmt::format("{} has {} bytes; its graph is {} bytes at {}", format.name, payload.size(), size, offset));
  if (constant_size > 0 &&
      (constants > payload.size() || constant_size > payload.size() - constants || constants < uint64_t{offset} + size))
    throw_bad_input(
        fmt::format("{} has {} bytes; its constants are {} bytes at {}", format.name, payload.size(), constant_size, constants));
  reader.seek(size_t{offset} + 4);
  if (const std::string_view found = reader.take_text(4); std::ranges::find(format.identifiers, found) == format.identifiers.end())
    throw_bad_input(fmt::format("{} is neither of version {} nor {}", format.name, format.identifiers[0], format.identifiers[1]));
}

}  // namespace intaglio::common
