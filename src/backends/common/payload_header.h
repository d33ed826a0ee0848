// The bytes in front of a payload that is a flatbuffer and constants behind it: delegates of several backends are laid out as
//   0  u32 zero        4  magic ("XH00", ...)   8  u16 header size (30)
//  10  u32 flatbuffer offset                    14  u32 flatbuffer size
//  18  u32 constant data offset                 22  u64 constant data size
// followed by the flatbuffer (padded to 16) and constant data.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace intaglio::common {

struct PayloadFormat {
  std::string_view name;                        // "a Vulkan payload", in messages
  std::string_view magic;                       // of the header, 4 bytes
  std::array<std::string_view, 2> identifiers;  // of the flatbuffer: versions that are known
  bool has_headerless_files = false;            // payloads from before the header existed pass
};

// Header, flatbuffer, padding to 16, constant data.
std::vector<std::byte> with_payload_header(const PayloadFormat& format, std::span<const std::byte> flatbuffer,
                                           std::span<const std::byte> constants = {});

struct PayloadParts {
  std::span<const std::byte> flatbuffer;
  std::span<const std::byte> constant_data;
};
// Bad input when the header is not of this format or its parts leave the payload.
PayloadParts split_payload(const PayloadFormat& format, std::span<const std::byte> payload);

// What the runtime relies on: the parts lie inside and apart, and the flatbuffer is of a known version. A bad-input error
// otherwise.
void check_payload_header(const PayloadFormat& format, std::span<const std::byte> payload);

}  // namespace intaglio::common
