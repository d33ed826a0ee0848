#include <intaglio/blob.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/parts.h"
#include "base/sha256.h"
#include "base/threads.h"

namespace intaglio {
namespace {

void write_zeros(uint64_t count, const Blob::Sink& sink) {
  static constexpr std::array<std::byte, 256> zeros{};
  while (count > 0) {
    const size_t step = std::min<uint64_t>(count, zeros.size());
    sink(std::span(zeros).first(step));
    count -= step;
  }
}

constexpr size_t start_bytes = 4096;
constexpr size_t large_blob = 1 << 20;  // below that, all of what is there costs little more than its start

// Computed tensors that are written at the same time, together: two layers of 4096 x 4096 int8. More threads than that would
// only multiply what stands in memory. One that is larger alone is let in alone.
class ComputedMemory {
 public:
  explicit ComputedMemory(const Tensor& tensor) : bytes_(tensor.storage()->is_computed() && !inside ? tensor.storage()->size() : 0) {
    if (bytes_ == 0) return;
    std::unique_lock lock(mutex);
    enough.wait(lock, [&] { return in_use == 0 || in_use + bytes_ <= limit; });
    in_use += bytes_;
    inside = true;
  }
  ~ComputedMemory() {
    if (bytes_ == 0) return;
    {
      const std::lock_guard lock(mutex);
      in_use -= bytes_;
    }
    inside = false;
    enough.notify_all();
  }
  ComputedMemory(const ComputedMemory&) = delete;

 private:
  static constexpr size_t limit = size_t{32} << 20;
  inline static std::mutex mutex;
  inline static std::condition_variable enough;
  inline static size_t in_use = 0;
  inline static thread_local bool inside = false;  // one that is computed from another does not wait for itself

  size_t bytes_;
};

}  // namespace

struct Blob::Content {
  Content(uint64_t bytes, std::function<void(const Sink&)> producer) : size(bytes), produce(std::move(producer)) {}

  uint64_t size;
  std::function<void(const Sink&)> produce;
  std::vector<Piece> pieces = {};
  std::once_flag hashed = {};
  Sha256 digest = {};
  std::shared_ptr<Storage> starts_in = {};  // where there are cheap first bytes, and behind how many others
  size_t starts_at = 0;
  std::once_flag start_hashed = {};
  Sha256 start_digest = {};
};

Blob::Blob(uint64_t size, std::function<void(const Sink&)> produce) {
  if (size > 0) content_ = std::make_shared<Content>(size, std::move(produce));
}

Blob::Blob(std::vector<std::byte> bytes) {
  const auto shared = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  *this = Blob(shared->size(), [shared](const Sink& sink) { sink(*shared); });
}

Blob::Blob(std::string_view text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  *this = Blob(std::vector(bytes.begin(), bytes.end()));
}

Blob::Blob(Tensor tensor) {
  if (!tensor.is_contiguous()) throw_bug("a tensor whose bytes are written is not contiguous");
  const size_t size = tensor.nbytes();
  const std::shared_ptr<Storage> storage = tensor.storage();
  const size_t offset = static_cast<size_t>(tensor.storage_offset()) * item_size(tensor.dtype());
  *this = Blob(size, [tensor = std::move(tensor), size](const Sink& sink) {
    if (is_streamed(tensor)) return tensor.storage()->stream(sink);
    const ComputedMemory memory(tensor);
    const Tensor once = tensor.as_it_lies();
    sink({static_cast<const std::byte*>(once.raw()), size});
  });
  if (content_ && storage->has_start() && (size >= large_blob || storage->is_computed())) {
    content_->starts_in = storage;
    content_->starts_at = offset;
  }
}

Blob::Blob(std::shared_ptr<Storage> storage) : Blob(Tensor(DType::uint8, {static_cast<int64_t>(storage->size())}, {1}, 0, storage)) {}

Blob Blob::of_pieces(std::vector<Piece> pieces, uint64_t size) {
  uint64_t end = 0;
  for (const Piece& piece : pieces) {
    if (piece.offset < end) throw_bug(fmt::format("a piece at {} stands before the last one's end, {}", piece.offset, end));
    end = piece.offset + piece.blob.size();
  }
  if (end > size) throw_bug(fmt::format("pieces end at {}, behind the end at {}", end, size));
  Blob result(size, [size, pieces](const Sink& sink) {
    uint64_t position = 0;
    for (const Piece& piece : pieces) {
      write_zeros(piece.offset - position, sink);
      piece.blob.write(sink);
      position = piece.offset + piece.blob.size();
    }
    write_zeros(size - position, sink);
  });
  if (result.content_) result.content_->pieces = std::move(pieces);
  return result;
}

uint64_t Blob::size() const { return content_ ? content_->size : 0; }

void Blob::write(const Sink& sink) const {
  if (!content_) return;
  uint64_t left = content_->size;
  content_->produce([&](std::span<const std::byte> piece) {
    if (piece.size() > left) throw_bug(fmt::format("a producer of {} bytes gives more", content_->size));
    left -= piece.size();
    sink(piece);
  });
  if (left > 0) throw_bug(fmt::format("a producer of {} bytes gives {} too few", content_->size, left));
}

void Blob::write_in_place(const PlacedSink& sink, int threads) const {
  if (!content_) return;
  const auto put = [&](const Blob& blob, uint64_t position) {
    blob.write([&](std::span<const std::byte> bytes) {
      sink(position, bytes);
      position += bytes.size();
    });
  };
  const std::vector<Piece>& pieces = content_->pieces;
  if (pieces.empty()) return put(*this, 0);
  // A large piece and the small ones behind it, which may be computed with it, are one thread's.
  std::vector<size_t> starts = {0};
  for (size_t i = 1; i < pieces.size(); ++i)
    if (pieces[i].blob.size() >= large_blob) starts.push_back(i);
  starts.push_back(pieces.size());
  parallel_for(starts.size() - 1, threads, [&](size_t run) {
    for (size_t i = starts[run]; i < starts[run + 1]; ++i) put(pieces[i].blob, pieces[i].offset);
  });
}

std::vector<std::byte> Blob::bytes() const {
  std::vector<std::byte> result;
  result.reserve(size());
  write([&](std::span<const std::byte> piece) { result.insert(result.end(), piece.begin(), piece.end()); });
  return result;
}

const Sha256& Blob::digest() const {
  static const Sha256 of_nothing = sha256({});
  if (!content_) return of_nothing;
  std::call_once(content_->hashed, [&] {
    Sha256Hasher hasher;
    write([&](std::span<const std::byte> piece) { hasher.add(piece); });
    content_->digest = hasher.digest();
  });
  return content_->digest;
}

bool Blob::has_start() const { return content_ && content_->starts_in; }

std::optional<Blob::Source> Blob::source() const {
  if (!has_start() || !content_->starts_in->source_checksum()) return std::nullopt;
  return Source{*content_->starts_in->source_checksum(), content_->starts_at};
}

const Sha256& Blob::start_digest() const {
  if (!content_ || content_->size <= start_bytes) return digest();
  std::call_once(content_->start_hashed, [&] {
    if (content_->starts_in) {
      const std::shared_ptr<Storage> start = content_->starts_in->start(content_->starts_at + start_bytes);
      content_->start_digest = sha256(start->bytes().subspan(content_->starts_at, start_bytes));
      return;
    }
    std::vector<std::byte> start;
    write([&](std::span<const std::byte> piece) {
      const size_t missing = std::min(start_bytes - start.size(), piece.size());
      start.insert(start.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(missing));
    });
    content_->start_digest = sha256(start);
  });
  return content_->start_digest;
}

}  // namespace intaglio
