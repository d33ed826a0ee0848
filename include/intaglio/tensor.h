// A tensor: element type, sizes, strides and a share of a storage.
//
// A value type. Copies share the storage; storages are read-only until `mutable_data` is asked for, which copies
// a storage that is mapped from a file or shared with another tensor (copy on write).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <intaglio/dtype.h>

#pragma GCC visibility push(default)

namespace intaglio {

// Bytes that live as long as somebody holds them: mapped from a file, owned, or computed when they are wanted.
class Storage {
 public:
  enum class Backing { memory, file };  // what holds the bytes of a mapped storage
  // `verify`, when given, runs once before the first read of mapped bytes (a record's CRC check) and throws on damage.
  static std::shared_ptr<Storage> mapped(std::shared_ptr<const void> keep_alive, std::span<const std::byte> bytes,
                                         std::function<void(std::span<const std::byte>)> verify = {}, Backing backing = Backing::memory);
  // Owned bytes, 64-byte aligned, uninitialised. A bad-input error when the memory is not to be had.
  static std::shared_ptr<Storage> allocate(size_t bytes);
  // Bytes that `compute` makes at the first read and that are then kept. It may be called again, from any thread, and always
  // gives the same `bytes` bytes.
  static std::shared_ptr<Storage> computed(size_t bytes, std::function<std::shared_ptr<Storage>()> compute);
  // The same bytes, which `stream` also hands over in parts, in order, each a multiple of `unit`: who reads parts never holds all.
  using Sink = std::function<void(std::span<const std::byte>)>;
  static std::shared_ptr<Storage> streamed(size_t bytes, std::function<std::shared_ptr<Storage>()> compute, size_t unit,
                                           std::function<void(const Sink&)> stream);
  // For a computed one whose first bytes cost less than all: `start` makes that many or more.
  using Start = std::function<std::shared_ptr<Storage>(size_t bytes)>;
  void starts_with(Start start);
  // Bytes of a file that stand at any address. Who reads elements gets a copy at an aligned one, as of `computed`; who reads bytes
  // alone takes them `as_they_lie`.
  static std::shared_ptr<Storage> unaligned(std::shared_ptr<Storage> mapped);
  // For one use, at any address: nothing is copied for alignment.
  static std::shared_ptr<Storage> as_they_lie(std::shared_ptr<Storage> storage);
  // The same bytes for a reader that is soon done with them. Memory that can be had again goes when the last share of the
  // result goes: pages of a mapped file, computed bytes. `storage` itself where there is none.
  static std::shared_ptr<Storage> for_one_use(std::shared_ptr<Storage> storage);

  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  std::span<const std::byte> bytes() const;  // runs the pending check or computation
  size_t size() const { return size_; }      // does not
  bool is_computed() const { return computation_ != nullptr; }
  size_t stream_unit() const;  // 0 where the bytes are not streamed
  void stream(const Sink& sink) const;
  // The first `bytes`, or more, unchecked, of one where they cost less than all of it.
  bool has_start() const;
  std::shared_ptr<Storage> start(size_t bytes) const;
  // What a file says of all its bytes, or of those that it is computed from: their CRC-32, which reading them checks.
  std::optional<uint32_t> source_checksum() const;
  void came_with(uint32_t source_checksum) { source_checksum_ = source_checksum; }
  std::byte* writable() { return owned_; }  // null unless owned

 private:
  Storage() = default;
  void release_pages() const;
  std::shared_ptr<const void> keep_alive_;
  const std::byte* data_ = nullptr;
  std::byte* owned_ = nullptr;
  size_t size_ = 0;
  Backing backing_ = Backing::memory;
  std::optional<uint32_t> source_checksum_;
  struct Check;
  mutable std::unique_ptr<Check> check_;
  struct Computation;
  std::unique_ptr<Computation> computation_;
};

using Sizes = std::vector<int64_t>;

// Product of sizes; a bad-input error on a negative size or on overflow of int64.
int64_t element_count(std::span<const int64_t> sizes);
Sizes contiguous_strides(std::span<const int64_t> sizes);
// Dense strides in which the dimensions are laid out, outermost first, in the order `dim_order`.
Sizes strides_of_dim_order(std::span<const int64_t> sizes, std::span<const uint8_t> dim_order);
// Dimensions by stride descending, ties in their original order: ExecuTorch's dim order.
std::vector<uint8_t> dim_order_of(std::span<const int64_t> strides);

class Tensor {
 public:
  Tensor() = default;  // undefined
  // A view into `storage`; offset and strides count elements. A bad-input error when the view leaves the storage.
  Tensor(DType dtype, Sizes sizes, Sizes strides, int64_t storage_offset, std::shared_ptr<Storage> storage);

  // New memory, uninitialised / zeroed, contiguous.
  static Tensor empty(DType dtype, Sizes sizes);
  static Tensor empty_strided(DType dtype, Sizes sizes, Sizes strides);
  static Tensor zeros(DType dtype, Sizes sizes);
  // A 0-d tensor, or a contiguous one from values; the element type follows T.
  template <typename T>
  static Tensor scalar(T value);
  template <typename T>
  static Tensor of(std::span<const T> values, Sizes sizes);
  template <typename T>
  static Tensor of(std::initializer_list<T> values, Sizes sizes) {
    return of<T>(std::span<const T>(values.begin(), values.size()), std::move(sizes));
  }

  bool defined() const { return storage_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Sizes& sizes() const { return sizes_; }
  const Sizes& strides() const { return strides_; }
  int64_t size(int64_t dim) const;  // negative counts from the end
  int64_t rank() const { return static_cast<int64_t>(sizes_.size()); }
  int64_t numel() const { return numel_; }
  size_t nbytes() const { return static_cast<size_t>(numel_) * item_size(dtype_); }
  int64_t storage_offset() const { return storage_offset_; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }

  bool is_contiguous() const;     // row-major, no gaps
  bool is_channels_last() const;  // rank 4, NHWC dense
  bool is_dense() const;          // some permutation of the dims is row-major without gaps
  Tensor contiguous() const;      // itself when already so
  Tensor clone() const;           // always new memory, contiguous
  // The same values for a reader that is soon done with them (Storage::for_one_use): weights that are read once and not for a
  // while then, so that memory does not hold a model several times.
  Tensor for_one_use() const;
  // For one use by a reader of bytes: elements may stand at any address (Storage::as_they_lie).
  Tensor as_it_lies() const;

  // First element of the view. `data<T>` checks that T is the element type (bug error otherwise).
  const void* raw() const;
  template <typename T>
  const T* data() const;
  // Elements of a contiguous tensor.
  template <typename T>
  std::span<const T> span() const;
  // Writable first element; copies the storage first when it is mapped or shared with another tensor.
  void* mutable_raw();
  template <typename T>
  T* mutable_data();

  // Views; they share the storage. Arguments must be in range (bug error otherwise).
  Tensor view_as(Sizes sizes, Sizes strides, int64_t storage_offset) const;
  Tensor permuted(std::span<const int64_t> permutation) const;
  Tensor reshaped(Sizes sizes) const;  // a view when contiguous, else a contiguous copy
  Tensor narrowed(int64_t dim, int64_t start, int64_t length, int64_t step = 1) const;

  // Value of a one-element tensor.
  double item_as_double() const;
  int64_t item_as_int() const;

 private:
  void require(DType dtype) const;
  DType dtype_ = DType::float32;
  Sizes sizes_;
  Sizes strides_;
  int64_t storage_offset_ = 0;
  int64_t numel_ = 0;
  std::shared_ptr<Storage> storage_;
};

// Copies elements of any strides into memory laid out row-major.
void copy_to_contiguous(const Tensor& source, void* destination);
// Elements converted to another type as PyTorch's `.to` does (float to int truncates, to bool is != 0).
Tensor converted(const Tensor& source, DType dtype);
// Same dtype, sizes and bits of every element.
bool bit_equal(const Tensor& a, const Tensor& b);

// Maps a C++ element type to DType; bool is `boolean`, 16-bit floats have no C++ type here.
template <typename T>
constexpr DType dtype_of();

}  // namespace intaglio

#pragma GCC visibility pop

#include <intaglio/tensor_inl.h>
