#include "backends/registry/parts.h"

#include <intaglio/coreml.h>

#include "backends/coreml/payload/decode_payload.h"
#include "backends/coreml/payload/payload.h"

namespace intaglio {

std::optional<PayloadPart> payload_part(std::string_view delegate_id, std::span<const std::byte> payload) {
  if (delegate_id != coreml::delegate_id) return std::nullopt;
  const auto reference = coreml::read_reference(payload);
  return reference ? std::optional(PayloadPart{reference->key, reference->function}) : std::nullopt;
}

DecodedPayload decode_part(std::string_view, std::span<const std::byte> model, std::string_view name) {
  return coreml::decode_function(model, name);
}

}  // namespace intaglio
