#include "base/sha256.h"

#include <openssl/evp.h>

#include <new>

#include <fmt/format.h>

#include "base/unchecked_code.h"

namespace intaglio {
namespace {

// Memory is all that libcrypto can lack.
void require(int done) {
  if (done != 1) throw std::bad_alloc();
}

}  // namespace

// The first digest of a process sets the library up, and OpenSSL 3.0 takes a lock then that may not have been made.
Sha256Hasher::Sha256Hasher() : context_(nullptr, EVP_MD_CTX_free) {
  const UncheckedCode unchecked;
  context_.reset(EVP_MD_CTX_new());
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
