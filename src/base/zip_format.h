// Numbers of the ZIP format shared by reader and writer.
#pragma once

#include <cstdint>

namespace intaglio::zip {

inline constexpr uint32_t local_signature = 0x04034b50;
inline constexpr uint32_t central_signature = 0x02014b50;
inline constexpr uint32_t end_signature = 0x06054b50;
inline constexpr uint32_t end64_signature = 0x06064b50;
inline constexpr uint32_t locator64_signature = 0x07064b50;

inline constexpr uint64_t local_size = 30;
inline constexpr uint64_t central_size = 46;
inline constexpr uint64_t end_size = 22;
inline constexpr uint64_t end64_size = 56;
inline constexpr uint64_t locator64_size = 20;

inline constexpr uint16_t method_stored = 0;
inline constexpr uint16_t method_deflated = 8;
inline constexpr uint16_t flag_encrypted = 1 << 0;
inline constexpr uint16_t flag_descriptor = 1 << 3;
inline constexpr uint16_t flag_patch = 1 << 5;
inline constexpr uint16_t flag_strong_encryption = 1 << 6;
inline constexpr uint16_t flag_utf8 = 1 << 11;
inline constexpr uint16_t flag_masked = 1 << 13;
inline constexpr uint16_t flags_encrypted = flag_encrypted | flag_strong_encryption | flag_masked;

inline constexpr uint16_t extra_zip64 = 0x0001;
inline constexpr uint16_t extra_padding = 0x4246;  // "FB", as torch pads

}  // namespace intaglio::zip
