#include "base/sha256.h"

#include <openssl/evp.h>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

void require(int done) {
  if (done != 1) throw_bug("libcrypto computes no SHA-256");
}

}  // namespace

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

void Sha256Hasher::add(std::span<const std::byte> bytes) { require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size())); }

Sha256 Sha256Hasher::digest() {
  Sha256 digest;
  require(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr));
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
