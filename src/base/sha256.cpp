#include "base/sha256.h"

#include <fmt/format.h>

namespace intaglio {

Sha256Hasher::Sha256Hasher() { SHA256_Init(&state_); }

void Sha256Hasher::add(std::span<const std::byte> bytes) { SHA256_Update(&state_, bytes.data(), bytes.size()); }

Sha256 Sha256Hasher::digest() {
  Sha256 digest;
  SHA256_Final(reinterpret_cast<unsigned char*>(digest.data()), &state_);
  return digest;
}

Sha256 sha256(std::span<const std::byte> bytes) {
  Sha256Hasher hasher;
  hasher.add(bytes);
  return hasher.digest();
}

std::string lowercase_hex(const Sha256& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

}  // namespace intaglio
