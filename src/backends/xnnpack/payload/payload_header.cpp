#include "backends/xnnpack/payload/payload_header.h"

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

}  // namespace

std::vector<std::byte> with_payload_header(std::span<const std::byte> flatbuffer) {
  const size_t end = (header_room + flatbuffer.size() + alignment - 1) / alignment * alignment;
  if (end > std::numeric_limits<uint32_t>::max()) throw_bug("an XNNPACK payload is larger than 4 GiB");
  std::vector<std::byte> bytes(end);
  std::memcpy(bytes.data() + 4, magic, sizeof magic);
  put(bytes, 8, uint16_t{30});
  put(bytes, 10, static_cast<uint32_t>(header_room));
  put(bytes, 14, static_cast<uint32_t>(flatbuffer.size()));
  put(bytes, 18, static_cast<uint32_t>(end));
  put(bytes, 22, uint64_t{0});
  std::memcpy(bytes.data() + header_room, flatbuffer.data(), flatbuffer.size());
  return bytes;
}

PayloadParts split_payload(std::span<const std::byte> payload) {
  ByteReader reader(payload, "XNNPACK payload");
  reader.seek(std::min<size_t>(4, payload.size()));
  if (const std::string_view found = reader.take_text(4); found != std::string_view(magic, sizeof magic))
    throw_bad_input(fmt::format("XNNPACK payload: the header begins with \"{}\" where \"XH00\" was expected", escaped(found)));
  reader.read<uint16_t>();
  const auto flatbuffer_offset = reader.read<uint32_t>();
  const auto flatbuffer_size = reader.read<uint32_t>();
  const auto constant_offset = reader.read<uint32_t>();
  const auto constant_size = reader.read<uint64_t>();

  reader.seek(flatbuffer_offset);
  const auto flatbuffer = reader.take(flatbuffer_size);
  reader.seek(constant_offset);
  return {flatbuffer, reader.take(constant_size)};
}

}  // namespace intaglio::xnnpack
