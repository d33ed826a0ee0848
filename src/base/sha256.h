// SHA-256, the name of equal bytes: constants and weights are shared by it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include <intaglio/blob.h>

struct evp_md_ctx_st;

namespace intaglio {

// Of bytes that come piece by piece.
class Sha256Hasher {
 public:
  Sha256Hasher();
  void add(std::span<const std::byte> bytes);
  Sha256 digest();  // nothing may be added afterwards

 private:
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> context_;
};

Sha256 sha256(std::span<const std::byte> bytes);
std::string lowercase_hex(const Sha256& digest);

}  // namespace intaglio
