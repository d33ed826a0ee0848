// SHA-256, the name of equal bytes: constants and weights are shared by it.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>

namespace intaglio {

using Sha256 = std::array<std::byte, 32>;

Sha256 sha256(std::span<const std::byte> bytes);
std::string lowercase_hex(const Sha256& digest);

}  // namespace intaglio
