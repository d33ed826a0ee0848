// Payloads that hold no model of their own: they name one in the file's named data, and the part of it that they are.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <intaglio/backend.h>

namespace intaglio {

struct PayloadPart {
  std::string key, name;
};
// nullopt for a payload that is a whole one. Bad-input errors on damage.
std::optional<PayloadPart> payload_part(std::string_view delegate_id, std::span<const std::byte> payload);

// `Backend::decode` of that part of the model alone.
DecodedPayload decode_part(std::string_view delegate_id, std::span<const std::byte> model, std::string_view name);

}  // namespace intaglio
