// The checksum of ZIP and PNG (CRC-32, polynomial 0x04c11db7, reflected).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace intaglio {

// `before` is the checksum of the bytes in front of these.
uint32_t crc32_of(std::span<const std::byte> bytes, uint32_t before = 0);

}  // namespace intaglio
