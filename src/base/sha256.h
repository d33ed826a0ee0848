// SHA-256, the name of equal bytes: constants and weights are shared by it.
#pragma once

#include <span>
#include <string>

// The functions that need no memory and no set-up: nothing in them can fail, nor wait for a lock that could not be made.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

#include <intaglio/blob.h>

namespace intaglio {

// Of bytes that come piece by piece.
class Sha256Hasher {
 public:
  Sha256Hasher();
  void add(std::span<const std::byte> bytes);
  Sha256 digest();  // nothing may be added afterwards

 private:
  SHA256_CTX state_;
};

Sha256 sha256(std::span<const std::byte> bytes);
std::string lowercase_hex(const Sha256& digest);

}  // namespace intaglio
