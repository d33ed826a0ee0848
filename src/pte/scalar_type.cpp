#include "pte/scalar_type.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pte {
namespace {

struct ScalarTypeRow {
  int number;
  const char* name;  // in the program's schema; null when only kernels know the type
  std::optional<DType> dtype;
};
const ScalarTypeRow scalar_types[] = {
    {0, "BYTE", DType::uint8},
    {1, "CHAR", DType::int8},
    {2, "SHORT", DType::int16},
    {3, "INT", DType::int32},
    {4, "LONG", DType::int64},
    {5, "HALF", DType::float16},
    {6, "FLOAT", DType::float32},
    {7, "DOUBLE", DType::float64},
    {8, "COMPLEX32", DType::complex32},
    {9, "COMPLEX64", DType::complex64},
    {10, "COMPLEX128", DType::complex128},
    {11, "BOOL", DType::boolean},
    {12, "QINT8", std::nullopt},
    {13, "QUINT8", std::nullopt},
    {14, "QINT32", std::nullopt},
    {15, "BFLOAT16", DType::bfloat16},
    {16, "QUINT4X2", std::nullopt},
    {17, "QUINT2X4", std::nullopt},
    {22, "BITS16", std::nullopt},
    {23, "FLOAT8E5M2", DType::float8_e5m2},
    {24, "FLOAT8E4M3FN", DType::float8_e4m3fn},
    {25, "FLOAT8E5M2FNUZ", DType::float8_e5m2fnuz},
    {26, "FLOAT8E4M3FNUZ", DType::float8_e4m3fnuz},
    {27, "UINT16", DType::uint16},
    {28, "UINT32", DType::uint32},
    {29, "UINT64", DType::uint64},
};

// The row whose `member` is `value`, or null.
template <typename T>
const ScalarTypeRow* row_with(T ScalarTypeRow::*member, const T& value) {
  for (const ScalarTypeRow& row : scalar_types)
    if (row.*member == value) return &row;
  return nullptr;
}
const ScalarTypeRow* row_of(int scalar_type) { return row_with<int>(&ScalarTypeRow::number, scalar_type); }
const ScalarTypeRow* row_of(DType dtype) { return row_with<std::optional<DType>>(&ScalarTypeRow::dtype, dtype); }

}  // namespace

int8_t scalar_type_of(DType dtype) {
  const ScalarTypeRow* row = row_of(dtype);
  if (row == nullptr || row->name == nullptr)
    throw_unsupported(fmt::format("ExecuTorch programs cannot hold tensors of type {}", name(dtype)));
  return static_cast<int8_t>(row->number);
}

std::optional<int8_t> kernel_scalar_type(DType dtype) {
  const ScalarTypeRow* row = row_of(dtype);
  return row == nullptr ? std::nullopt : std::optional(static_cast<int8_t>(row->number));
}

std::optional<DType> dtype_of_scalar_type(int scalar_type) {
  const ScalarTypeRow* row = row_of(scalar_type);
  return row == nullptr ? std::nullopt : row->dtype;
}

bool is_program_scalar_type(int scalar_type) {
  const ScalarTypeRow* row = row_of(scalar_type);
  return row != nullptr && row->name != nullptr;
}

std::string scalar_type_text(int scalar_type) {
  const ScalarTypeRow* row = row_of(scalar_type);
  if (row == nullptr) return fmt::format("type {}", scalar_type);
  return row->dtype ? std::string(name(*row->dtype)) : row->name;
}

}  // namespace intaglio::pte
