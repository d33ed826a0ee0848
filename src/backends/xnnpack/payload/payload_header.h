// The 32 bytes in front of a payload's flatbuffer; their layout is at the top of payload.h.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace intaglio::xnnpack {

// Header, flatbuffer, padding to 16, constant data.
std::vector<std::byte> with_payload_header(std::span<const std::byte> flatbuffer, std::span<const std::byte> constants = {});

struct PayloadParts {
  std::span<const std::byte> flatbuffer;
  std::span<const std::byte> constant_data;
};
// Bad input when the header is not XNNPACK's or its parts leave the payload.
PayloadParts split_payload(std::span<const std::byte> payload);

// What the runtime relies on: the parts lie inside and apart, and the flatbuffer is of a known version. Payloads from
// before the header existed pass. A bad-input error otherwise.
void check_payload_header(std::span<const std::byte> payload);

}  // namespace intaglio::xnnpack
