#include <intaglio/tensor.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/elements.h"

namespace intaglio {

struct Storage::Check {
  std::once_flag once;
  std::function<void(std::span<const std::byte>)> verify;
};

struct Storage::Computation {
  std::function<std::shared_ptr<Storage>()> compute;
  std::mutex mutex;
  std::shared_ptr<Storage> kept;
  std::shared_ptr<Storage> unaligned;  // of which a copy is made
  size_t unit = 0;
  std::function<void(const Sink&)> stream;
  Start start;
};

std::shared_ptr<Storage> Storage::mapped(std::shared_ptr<const void> keep_alive, std::span<const std::byte> bytes,
                                         std::function<void(std::span<const std::byte>)> verify, Backing backing) {
  std::shared_ptr<Storage> result(new Storage);
  result->backing_ = backing;
  result->keep_alive_ = std::move(keep_alive);
  result->data_ = bytes.data();
  result->size_ = bytes.size();
  if (verify) {
    result->check_ = std::make_unique<Check>();
    result->check_->verify = std::move(verify);
  }
  return result;
}

std::shared_ptr<Storage> Storage::allocate(size_t bytes) {
  constexpr size_t alignment = 64;
  if (bytes > SIZE_MAX - 2 * alignment) throw_bad_input("a tensor is larger than the address space");
  // Aligned here: aligned_alloc looks for more than it needs, so a block that was just freed would not fit the next tensor of
  // its size, and the heap would grow by one hole for each layer.
  size_t room = std::max(alignment, (bytes + alignment - 1) / alignment * alignment) + alignment;
  void* data = std::malloc(room);
  if (data == nullptr) throw_bad_input(fmt::format("not enough memory for a tensor of {} bytes", bytes));
  std::shared_ptr<Storage> result(new Storage);
  result->keep_alive_ = std::shared_ptr<const void>(data, [](const void* block) { std::free(const_cast<void*>(block)); });
  result->owned_ = static_cast<std::byte*>(std::align(alignment, room - alignment, data, room));
  result->data_ = result->owned_;
  result->size_ = bytes;
  return result;
}

std::shared_ptr<Storage> Storage::computed(size_t bytes, std::function<std::shared_ptr<Storage>()> compute) {
  std::shared_ptr<Storage> result(new Storage);
  result->size_ = bytes;
  result->computation_ = std::make_unique<Computation>();
  result->computation_->compute = [bytes, compute = std::move(compute)] {
    std::shared_ptr<Storage> made = compute();
    if (made == nullptr || made->size() != bytes) throw_bug("a computed storage has another size than was said");
    return made;
  };
  return result;
}

std::shared_ptr<Storage> Storage::streamed(size_t bytes, std::function<std::shared_ptr<Storage>()> compute, size_t unit,
                                           std::function<void(const Sink&)> stream) {
  std::shared_ptr<Storage> result = computed(bytes, std::move(compute));
  result->computation_->unit = unit;
  result->computation_->stream = std::move(stream);
  return result;
}

void Storage::starts_with(Start start) { computation_->start = std::move(start); }

std::shared_ptr<Storage> Storage::start(size_t bytes) const {
  if (!computation_) return mapped(nullptr, {data_, std::min(bytes, size_)});
  if (computation_->unaligned) return computation_->unaligned->start(bytes);
  return computation_->start(bytes);
}

bool Storage::has_start() const { return !computation_ || computation_->unaligned || computation_->start; }

std::optional<uint32_t> Storage::source_checksum() const {
  return computation_ && computation_->unaligned ? computation_->unaligned->source_checksum() : source_checksum_;
}

size_t Storage::stream_unit() const { return computation_ ? computation_->unit : 0; }
void Storage::stream(const Sink& sink) const { computation_->stream(sink); }

std::shared_ptr<Storage> Storage::unaligned(std::shared_ptr<Storage> mapped) {
  std::shared_ptr<Storage> result = computed(mapped->size(), [mapped] {
    const std::shared_ptr<Storage> source = for_one_use(mapped);
    std::shared_ptr<Storage> copy = allocate(source->size());
    if (source->size() > 0) std::memcpy(copy->writable(), source->bytes().data(), source->size());
    return copy;
  });
  result->computation_->unaligned = std::move(mapped);
  return result;
}

std::shared_ptr<Storage> Storage::as_they_lie(std::shared_ptr<Storage> storage) {
  const bool is_unaligned = storage->computation_ != nullptr && storage->computation_->unaligned != nullptr;
  return for_one_use(is_unaligned ? storage->computation_->unaligned : std::move(storage));
}

std::shared_ptr<Storage> Storage::for_one_use(std::shared_ptr<Storage> storage) {
  if (Computation* computation = storage->computation_.get()) {
    {
      const std::lock_guard lock(computation->mutex);
      if (computation->kept) return computation->kept;
    }
    return computation->compute();
  }
  if (storage->backing_ != Backing::file) return storage;
  const std::span<const std::byte> bytes = storage->bytes();
  const Storage* source = storage.get();
  return mapped(std::shared_ptr<const void>(source, [held = std::move(storage)](const void*) { held->release_pages(); }), bytes);
}

Storage::~Storage() = default;

std::span<const std::byte> Storage::bytes() const {
  if (computation_) {
    const std::lock_guard lock(computation_->mutex);
    if (!computation_->kept) computation_->kept = computation_->compute();
    return computation_->kept->bytes();
  }
  // call_once lets a check that threw run again, so every reader of a damaged record is told.
  if (check_) std::call_once(check_->once, check_->verify, std::span(data_, size_));
  return {data_, size_};
}

// They are read again from the file when needed.
void Storage::release_pages() const {
  // Only pages that lie wholly inside: the ends are shared with neighbours.
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(data_) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data_) + size_) / page * page;
  if (start < end) ::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

int64_t element_count(std::span<const int64_t> sizes) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t size : sizes) {
    if (size < 0) throw_bad_input(fmt::format("a tensor has the negative size {}", size));
    empty |= size == 0;
    if (__builtin_mul_overflow(count, std::max<int64_t>(size, 1), &count))
      throw_bad_input(fmt::format("the product of the sizes [{}] overflows", fmt::join(sizes, ", ")));
  }
  return empty ? 0 : count;
}

// The stride in front of `stride`. Limited, not refused: element_count refuses such sizes before anything is allocated.
static int64_t outer_stride(int64_t stride, int64_t size) {
  return __builtin_mul_overflow(stride, std::max<int64_t>(size, 1), &stride) ? INT64_MAX : stride;
}

Sizes contiguous_strides(std::span<const int64_t> sizes) {
  Sizes strides(sizes.size());
  int64_t stride = 1;
  for (size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    stride = outer_stride(stride, sizes[i]);
  }
  return strides;
}

Sizes strides_of_dim_order(std::span<const int64_t> sizes, std::span<const uint8_t> dim_order) {
  if (dim_order.size() != sizes.size()) throw_bug("dim order and sizes differ in rank");
  Sizes strides(sizes.size());
  int64_t stride = 1;
  for (size_t i = dim_order.size(); i-- > 0;) {
    strides[dim_order[i]] = stride;
    stride = outer_stride(stride, sizes[dim_order[i]]);
  }
  return strides;
}

std::vector<uint8_t> dim_order_of(std::span<const int64_t> strides) {
  std::vector<uint8_t> order(strides.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::stable_sort(order.begin(), order.end(), [&](uint8_t a, uint8_t b) { return strides[a] > strides[b]; });
  return order;
}

Tensor::Tensor(DType dtype, Sizes sizes, Sizes strides, int64_t storage_offset, std::shared_ptr<Storage> storage)
    : dtype_(dtype),
      sizes_(std::move(sizes)),
      strides_(std::move(strides)),
      storage_offset_(storage_offset),
      numel_(element_count(sizes_)),
      storage_(std::move(storage)) {
  if (strides_.size() != sizes_.size())
    throw_bad_input(fmt::format("a tensor has {} sizes but {} strides", sizes_.size(), strides_.size()));
  if (storage_offset_ < 0) throw_bad_input(fmt::format("a tensor has the negative storage offset {}", storage_offset_));
  if (numel_ == 0) return;
  int64_t last = storage_offset_;
  bool overflow = false;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    if (strides_[i] < 0) throw_bad_input(fmt::format("a tensor has the negative stride {}", strides_[i]));
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(sizes_[i] - 1, strides_[i], &reach) || __builtin_add_overflow(last, reach, &last);
  }
  const uint64_t available = storage_->size() / item_size(dtype_);
  if (overflow || static_cast<uint64_t>(last) >= available)
    throw_bad_input(fmt::format("a {} tensor of sizes [{}] and strides [{}] at offset {} reaches past its {} bytes", name(dtype_),
                                fmt::join(sizes_, ", "), fmt::join(strides_, ", "), storage_offset_, storage_->size()));
}

Tensor Tensor::empty_strided(DType dtype, Sizes sizes, Sizes strides) {
  // One without elements has no memory, however far apart they would be.
  if (element_count(sizes) == 0) return Tensor(dtype, std::move(sizes), std::move(strides), 0, Storage::allocate(0));
  int64_t elements = 1;
  bool overflow = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    int64_t reach = 0;
    overflow |= __builtin_mul_overflow(sizes[i] - 1, strides[i], &reach) || __builtin_add_overflow(elements, reach, &elements);
  }
  int64_t bytes = 0;
  if (overflow || __builtin_mul_overflow(elements, static_cast<int64_t>(item_size(dtype)), &bytes))
    throw_bad_input(fmt::format("a tensor of sizes [{}] is too large", fmt::join(sizes, ", ")));
  return Tensor(dtype, std::move(sizes), std::move(strides), 0, Storage::allocate(static_cast<size_t>(bytes)));
}

Tensor Tensor::empty(DType dtype, Sizes sizes) {
  element_count(sizes);
  Sizes strides = contiguous_strides(sizes);
  return empty_strided(dtype, std::move(sizes), std::move(strides));
}

Tensor Tensor::zeros(DType dtype, Sizes sizes) {
  Tensor result = empty(dtype, std::move(sizes));
  std::memset(result.storage_->writable(), 0, result.storage_->size());
  return result;
}

int64_t Tensor::size(int64_t dim) const {
  const int64_t index = dim < 0 ? dim + rank() : dim;
  if (index < 0 || index >= rank()) throw_bug(fmt::format("dimension {} of a tensor of rank {}", dim, rank()));
  return sizes_[static_cast<size_t>(index)];
}

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (size_t i = sizes_.size(); i-- > 0;) {
    if (sizes_[i] != 1 && strides_[i] != expected) return numel_ == 0;
    expected *= sizes_[i];
  }
  return true;
}

bool Tensor::is_channels_last() const {
  if (rank() != 4) return false;
  int64_t expected = 1;
  for (const size_t dim : {1, 3, 2, 0}) {
    if (sizes_[dim] != 1 && strides_[dim] != expected) return false;
    expected *= sizes_[dim];
  }
  return true;
}

bool Tensor::is_dense() const {
  if (numel_ == 0) return true;
  const std::vector<uint8_t> order = dim_order_of(strides_);
  int64_t expected = 1;
  for (size_t i = order.size(); i-- > 0;) {
    const uint8_t dim = order[i];
    if (sizes_[dim] == 1) continue;
    if (strides_[dim] != expected) return false;
    expected *= sizes_[dim];
  }
  return true;
}

Tensor Tensor::clone() const {
  Tensor result = empty(dtype_, sizes_);
  copy_to_contiguous(*this, result.storage_->writable());
  return result;
}

Tensor Tensor::for_one_use() const {
  Tensor result = *this;
  if (storage_) result.storage_ = Storage::for_one_use(storage_);
  return result;
}

Tensor Tensor::as_it_lies() const {
  Tensor result = *this;
  if (storage_) result.storage_ = Storage::as_they_lie(storage_);
  return result;
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

const void* Tensor::raw() const {
  if (!storage_) throw_bug("an undefined tensor is read");
  return storage_->bytes().data() + static_cast<size_t>(storage_offset_) * item_size(dtype_);
}

void* Tensor::mutable_raw() {
  if (!storage_) throw_bug("an undefined tensor is written");
  if (storage_->writable() == nullptr || storage_.use_count() > 1) {
    if (is_dense()) {  // keeps the layout
      std::shared_ptr<Storage> fresh = Storage::allocate(nbytes());
      if (numel_ != 0) std::memcpy(fresh->writable(), raw(), nbytes());
      storage_ = std::move(fresh);
      storage_offset_ = 0;
    } else {
      *this = clone();
    }
  }
  return storage_->writable() + static_cast<size_t>(storage_offset_) * item_size(dtype_);
}

void Tensor::require(DType dtype) const {
  if (dtype != dtype_) throw_bug(fmt::format("a {} tensor is read as {}", name(dtype_), name(dtype)));
}

Tensor Tensor::view_as(Sizes sizes, Sizes strides, int64_t storage_offset) const {
  return Tensor(dtype_, std::move(sizes), std::move(strides), storage_offset, storage_);
}

Tensor Tensor::permuted(std::span<const int64_t> permutation) const {
  if (permutation.size() != sizes_.size()) throw_bug("a permutation of the wrong rank");
  Sizes sizes(sizes_.size()), strides(sizes_.size());
  std::vector<bool> seen(sizes_.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    const int64_t from = permutation[i] < 0 ? permutation[i] + rank() : permutation[i];
    if (from < 0 || from >= rank() || seen[static_cast<size_t>(from)]) throw_bug("not a permutation");
    seen[static_cast<size_t>(from)] = true;
    sizes[i] = sizes_[static_cast<size_t>(from)];
    strides[i] = strides_[static_cast<size_t>(from)];
  }
  return view_as(std::move(sizes), std::move(strides), storage_offset_);
}

Tensor Tensor::reshaped(Sizes sizes) const {
  if (element_count(sizes) != numel_) throw_bug(fmt::format("a tensor of {} elements reshaped to [{}]", numel_, fmt::join(sizes, ", ")));
  const Tensor source = contiguous();
  Sizes strides = contiguous_strides(sizes);
  return source.view_as(std::move(sizes), std::move(strides), source.storage_offset_);
}

Tensor Tensor::narrowed(int64_t dim, int64_t start, int64_t length, int64_t step) const {
  const int64_t extent = size(dim);
  const size_t index = static_cast<size_t>(dim < 0 ? dim + rank() : dim);
  if (step < 1 || start < 0 || length < 0 || (length > 0 && start + (length - 1) * step >= extent))
    throw_bug(fmt::format("slice {}+{}*{} of a dimension of size {}", start, length, step, extent));
  Sizes sizes = sizes_, strides = strides_;
  const int64_t offset = storage_offset_ + (length > 0 ? start * strides_[index] : 0);
  sizes[index] = length;
  strides[index] *= step;
  return view_as(std::move(sizes), std::move(strides), offset);
}

namespace {

[[noreturn]] void refuse_arithmetic(DType dtype) { throw_unsupported(fmt::format("no arithmetic on {} tensors", name(dtype))); }

// Calls body(source element pointer) for each element in row-major order of the sizes.
template <typename Body>
void for_each_element(const Tensor& tensor, Body body) {
  if (tensor.numel() == 0) return;
  const Tensor source = tensor.as_it_lies();
  const size_t width = item_size(source.dtype());
  const std::byte* base = static_cast<const std::byte*>(source.raw());
  const Sizes& sizes = source.sizes();
  if (sizes.empty()) return body(base);
  const size_t inner = sizes.size() - 1;
  const int64_t step = source.strides()[inner] * static_cast<int64_t>(width);
  Sizes index(sizes.size(), 0);
  for (;;) {
    int64_t offset = 0;
    for (size_t i = 0; i < inner; ++i) offset += index[i] * source.strides()[i];
    const std::byte* row = base + offset * static_cast<int64_t>(width);
    for (int64_t i = 0; i < sizes[inner]; ++i) body(row + i * step);
    size_t dim = inner;
    while (dim-- > 0) {
      if (++index[dim] < sizes[dim]) break;
      index[dim] = 0;
    }
    if (dim == SIZE_MAX) return;
  }
}

template <size_t column_width>
void copy_elements(const Tensor& source, void* destination) {
  std::byte* out = static_cast<std::byte*>(destination);
  for_each_element(source, [&](const std::byte* in) {
    std::memcpy(out, in, column_width);
    out += column_width;
  });
}

template <typename T>
auto load(const std::byte* in) {
  Stored<T> value;
  std::memcpy(&value, in, sizeof value);
  if constexpr (std::is_same_v<T, bool>) return value != 0;
  else return value;
}

// The tensor's only element.
template <typename T>
T only_element(const Tensor& tensor) {
  if (tensor.numel() != 1) throw_bug(fmt::format("the one value of a tensor of {} elements", tensor.numel()));
  T value = 0;
  const auto read = [&]<typename E>(E) { value = number_as<T>(load<E>(static_cast<const std::byte*>(tensor.raw()))); };
  if (!with_element_type(tensor.dtype(), read)) refuse_arithmetic(tensor.dtype());
  return value;
}

}  // namespace

void copy_to_contiguous(const Tensor& source, void* destination) {
  if (source.numel() == 0) return;
  if (source.is_contiguous()) {
    std::memcpy(destination, source.as_it_lies().raw(), source.nbytes());
    return;
  }
  switch (item_size(source.dtype())) {
    case 1: return copy_elements<1>(source, destination);
    case 2: return copy_elements<2>(source, destination);
    case 4: return copy_elements<4>(source, destination);
    case 8: return copy_elements<8>(source, destination);
    default: return copy_elements<16>(source, destination);
  }
}

Tensor converted(const Tensor& source, DType dtype) {
  if (source.dtype() == dtype) return source;
  Tensor result = Tensor::empty(dtype, source.sizes());
  const auto convert = [&]<typename From>(From) {
    const auto fill = [&]<typename To>(To) {
      auto* out = static_cast<To*>(result.mutable_raw());
      for_each_element(source, [&](const std::byte* in) { *out++ = number_as<To>(load<From>(in)); });
    };
    if (!with_element_type(dtype, fill)) throw_unsupported(fmt::format("no conversion to {}", name(dtype)));
  };
  if (!with_element_type(source.dtype(), convert)) refuse_arithmetic(source.dtype());
  return result;
}

bool bit_equal(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.sizes() != b.sizes()) return false;
  if (a.numel() == 0) return true;
  const Tensor x = a.as_it_lies().contiguous(), y = b.as_it_lies().contiguous();
  return std::memcmp(x.raw(), y.raw(), x.nbytes()) == 0;
}

double Tensor::item_as_double() const { return only_element<double>(*this); }
int64_t Tensor::item_as_int() const { return only_element<int64_t>(*this); }

}  // namespace intaglio
