// Bytes of a file that is not written yet: their size is known, their SHA-256 is computed at most once, and the bytes
// themselves exist only while they are written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include <intaglio/tensor.h>

#pragma GCC visibility push(default)

namespace intaglio {

using Sha256 = std::array<std::byte, 32>;

// A value type. Copies share the bytes and the digest; all members may be called from any thread.
class Blob {
 public:
  using Sink = std::function<void(std::span<const std::byte>)>;

  Blob() = default;                    // no bytes
  Blob(std::vector<std::byte> bytes);  // NOLINT: implicit on purpose
  explicit Blob(std::string_view text);
  // The elements of a contiguous tensor (bug error otherwise), read for one use whenever they are written.
  explicit Blob(Tensor tensor);
  explicit Blob(std::shared_ptr<Storage> storage);  // all of it
  // `produce` hands its bytes to the sink piece by piece; it may be called again and always gives the same `size` bytes.
  Blob(uint64_t size, std::function<void(const Sink&)> produce);

  struct Piece;
  // `size` bytes with the pieces at their offsets, ascending and apart (bug error otherwise), and zeros between them.
  static Blob of_pieces(std::vector<Piece> pieces, uint64_t size);

  uint64_t size() const;
  bool empty() const { return size() == 0; }
  // Piece by piece, in order. A bug error when a producer gives another number of bytes than it said.
  void write(const Sink& sink) const;
  // The same for a file whose bytes are zeros: pieces at their offsets, from several threads and in any order.
  using PlacedSink = std::function<void(uint64_t offset, std::span<const std::byte> bytes)>;
  void write_in_place(const PlacedSink& sink, int threads = 0) const;
  std::vector<std::byte> bytes() const;
  const Sha256& digest() const;
  // Whether the first bytes cost much less than all of them, and the SHA-256 of these, 4096 at most: blobs that differ there
  // need no look at the rest.
  bool has_start() const;
  // Where there is such a start, what says what the rest is: the CRC-32 that its file has of all it comes from, and where in that it
  // starts.
  struct Source {
    uint32_t checksum = 0;
    uint64_t offset = 0;
  };
  std::optional<Source> source() const;
  const Sha256& start_digest() const;

 private:
  struct Content;
  std::shared_ptr<Content> content_;
};

struct Blob::Piece {
  uint64_t offset = 0;
  Blob blob;
};

}  // namespace intaglio

#pragma GCC visibility pop
