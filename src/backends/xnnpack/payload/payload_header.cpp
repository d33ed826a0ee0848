#include "backends/xnnpack/payload/payload_bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/byte_reader.h"

namespace intaglio::xnnpack {
namespace {

constexpr size_t header_room = 32;  // the header's 30 bytes, padded
constexpr size_t alignment = 16;
constexpr char magic[] = {'X', 'H', '0', '0'};

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

}  // namespace

std::vector<std::byte> with_payload_header(std::span<const std::byte> flatbuffer, std::span<const std::byte> constants) {
  const size_t end = (header_room + flatbuffer.size() + alignment - 1) / alignment * alignment;
  if (end > std::numeric_limits<uint32_t>::max()) throw_bug("an XNNPACK payload is larger than 4 GiB");
  std::vector<std::byte> bytes(end + constants.size());
  std::memcpy(bytes.data() + 4, magic, sizeof magic);
  put(bytes, 8, uint16_t{30});
  put(bytes, 10, static_cast<uint32_t>(header_room));
  put(bytes, 14, static_cast<uint32_t>(flatbuffer.size()));
  put(bytes, 18, static_cast<uint32_t>(end));
  put(bytes, 22, uint64_t{constants.size()});
  std::memcpy(bytes.data() + header_room, flatbuffer.data(), flatbuffer.size());
  std::ranges::copy(constants, bytes.begin() + static_cast<ptrdiff_t>(end));
  return bytes;
}

PayloadParts split_payload(std::span<const std::byte> payload) {
  ByteReader reader(payload, "XNNPACK payload");
  reader.seek(std::min<size_t>(4, payload.size()));
  if (const std::string_view found = reader.take_text(4); found != std::string_view(magic, sizeof magic))
    throw_bad_input(fmt::format("XNNPACK payload: the header begins with \"{}\" where \"XH00\" was expected", escaped(found)));
  const Extents extents = read_extents(reader);
  reader.seek(extents.flatbuffer_offset);
  const auto flatbuffer = reader.take(extents.flatbuffer_size);
  reader.seek(extents.constant_offset);
  return {flatbuffer, reader.take(extents.constant_size)};
}

void check_payload_header(std::span<const std::byte> payload) {
  if (payload.size() < header_room)
    throw_bad_input(fmt::format("an XNNPACK payload has {} bytes; its header alone has {}", payload.size(), header_room));
  ByteReader reader(payload, "XNNPACK payload");
  reader.seek(4);
  if (reader.take_text(4) != std::string_view(magic, sizeof magic)) return;
  const auto [offset, size, constants, constant_size] = read_extents(reader);
  if (offset > payload.size() || size > payload.size() - offset || size < 8)
    throw_bad_input(fmt::format("an XNNPACK payload has {} bytes; its graph is {} bytes at {}", payload.size(), size, offset));
  if (constant_size > 0 &&
      (constants > payload.size() || constant_size > payload.size() - constants || constants < uint64_t{offset} + size))
    throw_bad_input(
        fmt::format("an XNNPACK payload has {} bytes; its constants are {} bytes at {}", payload.size(), constant_size, constants));
  reader.seek(size_t{offset} + 4);
  if (const std::string_view identifier = reader.take_text(4); identifier != "XN00" && identifier != "XN01")
    throw_bad_input("an XNNPACK payload is neither of version XN00 nor XN01");
}

}  // namespace intaglio::xnnpack
