// Payloads in the neutral form of `inspect`.
#pragma once

#include <intaglio/backend.h>

namespace intaglio::coreml {

// Bad-input error on anything that is not a well-formed payload.
DecodedPayload decode_payload(std::span<const std::byte> payload);
// One function of a model that several methods share.
DecodedPayload decode_function(std::span<const std::byte> payload, std::string_view name);

}  // namespace intaglio::coreml
