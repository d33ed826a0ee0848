#include "pte/program.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::pte {
namespace {

struct Row {
  int8_t number;
  const char* name;
  std::optional<DType> dtype;
};
const Row kScalarTypes[] = {
    {0, "BYTE", DType::uint8},
    {1, "CHAR", DType::int8},
    {2, "SHORT", DType::int16},
    {3, "INT", DType::int32},
    {4, "LONG", DType::int64},
    {5, "HALF", DType::float16},
    {6, "FLOAT", DType::float32},
    {7, "DOUBLE", DType::float64},
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

}  // namespace

int8_t scalar_type_of(DType dtype) {
  for (const Row& row : kScalarTypes)
    if (row.dtype == dtype) return row.number;
  throw_unsupported(fmt::format("ExecuTorch programs cannot hold tensors of type {}", name(dtype)));
}

std::optional<DType> dtype_of_scalar_type(int scalar_type) {
  for (const Row& row : kScalarTypes)
    if (row.number == scalar_type) return row.dtype;
  return std::nullopt;
}

std::string scalar_type_name(int scalar_type) {
  for (const Row& row : kScalarTypes)
    if (row.number == scalar_type) return row.name;
  return fmt::format("type {}", scalar_type);
}

}  // namespace intaglio::pte
