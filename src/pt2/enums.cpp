#include "pt2/model_json.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pt2 {
namespace {

template <typename T>
struct Row {
  int64_t number;
  T value;
};

constexpr Row<DType> dtypes[] = {
    {1, DType::uint8},
    {2, DType::int8},
    {3, DType::int16},
    {4, DType::int32},
    {5, DType::int64},
    {6, DType::float16},
    {7, DType::float32},
    {8, DType::float64},
    {9, DType::complex32},
    {10, DType::complex64},
    {11, DType::complex128},
    {12, DType::boolean},
    {13, DType::bfloat16},
    {28, DType::uint16},
    {29, DType::float8_e4m3fn},
    {30, DType::float8_e5m2},
    {31, DType::float8_e4m3fnuz},
    {32, DType::float8_e5m2fnuz},
    {33, DType::float8_e8m0fnu},
    {34, DType::uint32},
    {35, DType::uint64},
};
constexpr Row<Layout> layouts[] = {
    {0, Layout::unknown},    {1, Layout::sparse_coo}, {2, Layout::sparse_csr}, {3, Layout::sparse_csc},
    {4, Layout::sparse_bsr}, {5, Layout::sparse_bsc}, {6, Layout::mkldnn},     {7, Layout::strided},
};
constexpr Row<MemoryFormat> memory_formats[] = {
    {0, MemoryFormat::unknown},          {1, MemoryFormat::contiguous}, {2, MemoryFormat::channels_last},
    {3, MemoryFormat::channels_last_3d}, {4, MemoryFormat::preserve},
};

template <typename Rows>
auto value_of(const Rows& rows, int64_t number, const char* what) {
  for (const auto& row : rows)
    if (row.number == number) return row.value;
  throw_bad_input(fmt::format("{} number {} is not known; the file is damaged or of a newer PyTorch", what, number));
}
template <typename Rows, typename T>
int64_t number_in(const Rows& rows, T value) {
  for (const auto& row : rows)
    if (row.value == value) return row.number;
  throw_bug("an element type, layout or memory format has no number in the archive's table");
}

}  // namespace

DType dtype_of_number(int64_t number) { return value_of(dtypes, number, "element type"); }
Layout layout_of_number(int64_t number) { return value_of(layouts, number, "layout"); }
MemoryFormat memory_format_of_number(int64_t number) { return value_of(memory_formats, number, "memory format"); }

int64_t number_of(DType dtype) { return number_in(dtypes, dtype); }
int64_t number_of(Layout layout) { return number_in(layouts, layout); }
int64_t number_of(MemoryFormat format) { return number_in(memory_formats, format); }

}  // namespace intaglio::pt2
