#include "interpreter/strided.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/elements.h"
#include "base/threads.h"
#include "interpreter/call.h"
#include "interpreter/instruction_set.h"

namespace intaglio::interp {

std::optional<Sizes> broadcast_shape(std::span<const Sizes* const> shapes) {
  size_t rank = 0;
  for (const Sizes* shape : shapes) rank = std::max(rank, shape->size());
  Sizes result(rank, 1);
  for (const Sizes* shape : shapes) {
    const size_t skip = rank - shape->size();
    for (size_t i = 0; i < shape->size(); ++i) {
      int64_t& size = result[skip + i];
      if ((*shape)[i] == size || (*shape)[i] == 1) continue;
      if (size != 1) return std::nullopt;
      size = (*shape)[i];
    }
  }
  return result;
}

Sizes broadcast_strides(const Tensor& tensor, const Sizes& shape) {
  Sizes result(shape.size(), 0);
  const size_t rank = tensor.sizes().size();
  if (rank > shape.size())
    throw_bad_input(fmt::format("sizes [{}] do not broadcast to [{}]", fmt::join(tensor.sizes(), ", "), fmt::join(shape, ", ")));
  const size_t skip = shape.size() - rank;
  for (size_t i = 0; i < rank; ++i) {
    if (tensor.sizes()[i] == shape[skip + i]) result[skip + i] = shape[skip + i] == 1 ? 0 : tensor.strides()[i];
    else if (tensor.sizes()[i] != 1)
      throw_bad_input(fmt::format("sizes [{}] do not broadcast to [{}]", fmt::join(tensor.sizes(), ", "), fmt::join(shape, ", ")));
  }
  return result;
}

Sizes result_strides(const Sizes& shape, std::span<const Tensor* const> operands) {
  for (const Tensor* operand : operands)
    if (operand->sizes() == shape && operand->is_dense()) return operand->strides();
  return contiguous_strides(shape);
}

Sizes channels_last_strides(const Sizes& sizes) {
  std::vector<uint8_t> order(sizes.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  if (sizes.size() > 2) std::rotate(order.begin() + 1, order.begin() + 2, order.end());
  return strides_of_dim_order(sizes, order);
}

bool is_channels_last(const Tensor& tensor) {
  const Sizes expected = channels_last_strides(tensor.sizes());
  for (size_t i = 0; i < expected.size(); ++i)
    if (tensor.sizes()[i] != 1 && tensor.strides()[i] != expected[i]) return false;
  return true;
}

RowLoop make_row_loop(const Sizes& shape, const std::vector<Sizes>& strides) {
  RowLoop loop;
  const size_t count = strides.size();
  std::vector<size_t> order;
  for (size_t i = 0; i < shape.size(); ++i)
    if (shape[i] != 1) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    for (const Sizes& s : strides)
      if (s[a] != s[b] && s[a] != 0 && s[b] != 0) return s[a] > s[b];
    return false;
  });
  loop.strides.resize(count);
  for (const size_t dim : order) {
    bool merge = !loop.outer.empty();
    for (size_t k = 0; k < count && merge; ++k) merge = loop.strides[k].back() == strides[k][dim] * shape[dim];
    if (merge) {
      loop.outer.back() *= shape[dim];
      for (size_t k = 0; k < count; ++k) loop.strides[k].back() = strides[k][dim];
    } else {
      loop.outer.push_back(shape[dim]);
      for (size_t k = 0; k < count; ++k) loop.strides[k].push_back(strides[k][dim]);
    }
  }
  loop.steps.assign(count, 0);
  if (!loop.outer.empty()) {
    loop.length = loop.outer.back();
    loop.outer.pop_back();
    for (size_t k = 0; k < count; ++k) {
      loop.steps[k] = loop.strides[k].back();
      loop.strides[k].pop_back();
    }
  }
  for (const int64_t size : loop.outer) loop.rows *= size;
  if (loop.length == 0) loop.rows = 0;
  return loop;
}

namespace {

constexpr size_t max_operands = 8;

// Walks pieces [begin, end), counting pieces row by row.
void walk(const RowLoop& loop, int64_t block, int64_t per_row, int64_t begin, int64_t end, const RowBody& body) {
  const size_t count = loop.steps.size();
  Sizes index(loop.outer.size(), 0);
  std::array<int64_t, max_operands> row{}, offsets{};
  int64_t remaining = begin / per_row;
  for (size_t d = loop.outer.size(); d-- > 0;) {
    index[d] = remaining % loop.outer[d];
    remaining /= loop.outer[d];
    for (size_t k = 0; k < count; ++k) row[k] += index[d] * loop.strides[k][d];
  }
  int64_t piece = begin % per_row;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t start = piece * block;
    for (size_t k = 0; k < count; ++k) offsets[k] = row[k] + start * loop.steps[k];
    body(offsets.data(), loop.steps.data(), std::min(block, loop.length - start));
    if (++piece < per_row) continue;
    piece = 0;
    for (size_t d = loop.outer.size(); d-- > 0;) {
      for (size_t k = 0; k < count; ++k) row[k] += loop.strides[k][d];
      if (++index[d] < loop.outer[d]) break;
      for (size_t k = 0; k < count; ++k) row[k] -= loop.outer[d] * loop.strides[k][d];
      index[d] = 0;
    }
  }
}

}  // namespace

void for_blocks(const RowLoop& loop, int64_t block, int threads, const RowBody& body) {
  if (loop.rows == 0) return;
  if (loop.steps.size() > max_operands) throw_bug("too many operands in one loop");
  const int64_t per_row = (loop.length + block - 1) / block;
  const int64_t pieces = loop.rows * per_row;
  // Threads are worth their start only above about a million elements.
  constexpr int64_t elements_per_task = 1 << 19;
  const int64_t per_task = std::max<int64_t>(1, elements_per_task / std::min(block, loop.length));
  const int64_t tasks = (pieces + per_task - 1) / per_task;
  if (threads == 1 || tasks < 2) return walk(loop, block, per_row, 0, pieces, body);
  parallel_for(static_cast<size_t>(tasks), threads, [&](size_t task) {
    const int64_t begin = static_cast<int64_t>(task) * per_task;
    walk(loop, block, per_row, begin, std::min(pieces, begin + per_task), body);
  });
}

namespace {

template <typename To, typename From>
INTAGLIO_INLINE void convert_dense_body(const From* in, To* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = number_as<To>(in[i]);
}
#if defined(__x86_64__)
template <typename To, typename From>
INTAGLIO_AVX2 void convert_dense_avx2(const From* in, To* out, int64_t count) {
  convert_dense_body(in, out, count);
}
template <typename To, typename From>
INTAGLIO_AVX512 void convert_dense_avx512(const From* in, To* out, int64_t count) {
  convert_dense_body(in, out, count);
}
#endif
template <typename To, typename From>
void convert_dense(const From* in, To* out, int64_t count) {
#if defined(__x86_64__)
  if (instruction_set() == InstructionSet::avx512) return convert_dense_avx512(in, out, count);
  if (instruction_set() == InstructionSet::avx2) return convert_dense_avx2(in, out, count);
#endif
  convert_dense_body(in, out, count);
}

template <typename To, typename From>
void convert_run(const From* in, int64_t in_step, To* out, int64_t out_step, int64_t count) {
  if (in_step == 1 && out_step == 1) {
    convert_dense<To, From>(in, out, count);
  } else if (in_step == 0) {
    const To value = number_as<To>(in[0]);
    for (int64_t i = 0; i < count; ++i) out[i * out_step] = value;
  } else {
    for (int64_t i = 0; i < count; ++i) out[i * out_step] = number_as<To>(in[i * in_step]);
  }
}

template <typename Body>
void with_block_type(DType dtype, Body body) {
  if (dtype == DType::uint64 || !with_element_type(dtype, body)) throw_unsupported(fmt::format("no arithmetic on {} tensors", name(dtype)));
}

}  // namespace

template <typename T>
void load_block(DType dtype, const std::byte* base, int64_t offset, int64_t step, int64_t count, T* out) {
  with_block_type(dtype, [&]<typename E>(E) {
    const auto* in = reinterpret_cast<const Stored<E>*>(base) + offset;
    if constexpr (std::is_same_v<E, bool>) {
      for (int64_t i = 0; i < count; ++i) out[i] = static_cast<T>(in[i * step] != 0);
    } else {
      convert_run<T>(in, step, out, 1, count);
    }
  });
}

template <typename T>
void store_block(DType dtype, std::byte* base, int64_t offset, int64_t step, int64_t count, const T* in) {
  with_block_type(dtype, [&]<typename E>(E) { convert_run<E>(in, 1, reinterpret_cast<E*>(base) + offset, step, count); });
}

template void load_block<float>(DType, const std::byte*, int64_t, int64_t, int64_t, float*);
template void load_block<double>(DType, const std::byte*, int64_t, int64_t, int64_t, double*);
template void load_block<int64_t>(DType, const std::byte*, int64_t, int64_t, int64_t, int64_t*);
template void store_block<float>(DType, std::byte*, int64_t, int64_t, int64_t, const float*);
template void store_block<double>(DType, std::byte*, int64_t, int64_t, int64_t, const double*);
template void store_block<int64_t>(DType, std::byte*, int64_t, int64_t, int64_t, const int64_t*);

namespace {

template <typename T>
void copy_run(T* out, int64_t out_step, const T* in, int64_t in_step, int64_t count) {
  if (out_step == 1 && in_step == 1) std::memcpy(out, in, static_cast<size_t>(count) * sizeof(T));
  else if (out_step == 1 && in_step == 0) std::fill_n(out, count, *in);
  else
    for (int64_t i = 0; i < count; ++i) out[i * out_step] = in[i * in_step];
}

struct Wide {
  uint64_t words[2];
};

// A two-dimensional transposition reads and writes whole cache lines when it goes by tiles.
template <typename T>
void transpose_run(T* out, int64_t out_row, const T* in, int64_t in_column, int64_t rows, int64_t columns) {
  constexpr int64_t tile = 16;
  for (int64_t r = 0; r < rows; r += tile)
    for (int64_t c = 0; c < columns; c += tile) {
      const int64_t r_end = std::min(rows, r + tile), c_end = std::min(columns, c + tile);
      for (int64_t i = r; i < r_end; ++i)
        for (int64_t j = c; j < c_end; ++j) out[i * out_row + j] = in[j * in_column + i];
    }
}

// The innermost two dimensions of the loop form a transposition: rows of the result are columns of the source.
bool is_transposition(const RowLoop& loop) {
  return !loop.outer.empty() && loop.steps[0] == 1 && loop.strides[1].back() == 1 && loop.steps[1] > 1 && loop.outer.back() > 3;
}

template <typename T>
void copy_elements(RowLoop loop, const Tensor& destination, const Tensor& source, int threads) {
  T* out = reinterpret_cast<T*>(writable_bytes(destination));
  const T* in = static_cast<const T*>(source.raw());
  if (is_transposition(loop)) {
    const int64_t rows = loop.outer.back(), out_row = loop.strides[0].back(), columns = loop.length, in_column = loop.steps[1];
    RowLoop planes = loop;
    planes.outer.pop_back();
    for (Sizes& s : planes.strides) s.pop_back();
    planes.rows = loop.rows / rows;
    planes.length = 1;
    for_blocks(planes, 1, threads, [&](const int64_t* offset, const int64_t*, int64_t) {
      transpose_run(out + offset[0], out_row, in + offset[1], in_column, rows, columns);
    });
    return;
  }
  for_blocks(loop, 1 << 16, threads, [&](const int64_t* offset, const int64_t* step, int64_t count) {
    copy_run(out + offset[0], step[0], in + offset[1], step[1], count);
  });
}

}  // namespace

void copy_into(const Tensor& destination, const Tensor& source, int threads) {
  if (destination.numel() == 0) return;
  const RowLoop loop = make_row_loop(destination.sizes(), {destination.strides(), broadcast_strides(source, destination.sizes())});
  if (destination.dtype() == source.dtype()) {
    switch (item_size(source.dtype())) {
      case 1: return copy_elements<uint8_t>(loop, destination, source, threads);
      case 2: return copy_elements<uint16_t>(loop, destination, source, threads);
      case 4: return copy_elements<uint32_t>(loop, destination, source, threads);
      case 8: return copy_elements<uint64_t>(loop, destination, source, threads);
      default: return copy_elements<Wide>(loop, destination, source, threads);
    }
  }
  std::byte* out = writable_bytes(destination);
  const std::byte* in = static_cast<const std::byte*>(source.raw());
  constexpr int64_t block_elements = 1024;
  const bool wide = source.dtype() == DType::float64;
  const bool floating = is_floating(source.dtype());
  // writable_bytes and raw point at the first element; offsets count from there.
  for_blocks(loop, block_elements, threads, [&](const int64_t* offset, const int64_t* step, int64_t count) {
    const auto run = [&]<typename T>(T) {
      T buffer[block_elements];
      load_block<T>(source.dtype(), in, offset[1], step[1], count, buffer);
      store_block<T>(destination.dtype(), out, offset[0], step[0], count, buffer);
    };
    if (wide) run(double{});
    else if (floating) run(float{});
    else run(int64_t{});
  });
}

}  // namespace intaglio::interp
