#include "base/sha256.h"

#include <openssl/evp.h>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {

Sha256 sha256(std::span<const std::byte> bytes) {
  Sha256 digest;
  unsigned length = 0;
  const int done = EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &length, EVP_sha256(), nullptr);
  if (done != 1 || length != digest.size()) throw_bug("libcrypto computes no SHA-256");
  return digest;
}

std::string lowercase_hex(const Sha256& digest) {
  std::string text;
  for (const std::byte byte : digest) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

}  // namespace intaglio
