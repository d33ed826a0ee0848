// What stands around the flatbuffer of an XNNPACK payload.
#pragma once

#include "backends/common/payload_header.h"

namespace intaglio::xnnpack {

inline constexpr common::PayloadFormat payload_format = {"an XNNPACK payload", "XH00", {"XN00", "XN01"}, true};

inline void check_payload_header(std::span<const std::byte> payload) { common::check_payload_header(payload_format, payload); }

}  // namespace intaglio::xnnpack
