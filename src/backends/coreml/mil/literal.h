// Constants of an ML program and the types of their elements.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/blob.h>
#include <intaglio/dtype.h>
#include <intaglio/tensor.h>

namespace intaglio::coreml {

enum class DataType : uint8_t {
  boolean = 1,
  string = 2,
  float16 = 10,
  float32 = 11,
  int8 = 21,
  int16 = 22,
  int32 = 23,
  int64 = 24,
  int4 = 25,
  uint8 = 31,
  uint16 = 32,
  uint32 = 33,
  uint4 = 35,
  uint2 = 36,
  uint1 = 37,
  uint6 = 38,
  uint3 = 39,
};

// How a small constant stands inside the program.
enum class Immediate : uint8_t { floats, ints, bools, strings, long_ints, bytes };

struct DataTypeRow {
  DataType type;
  std::string_view name;
  int bits;          // of an element in weight.bin; 0: elements are texts
  uint32_t storage;  // the type's number in weight.bin; 0: never there
  int32_t feature;   // its number as a model's input or output; 0: never one
  Immediate immediate;
  std::optional<DType> dtype;  // whose elements lie in the same way
  bool is_signed = false;      // of those below a byte
};
inline constexpr DataTypeRow data_types[] = {
    {DataType::boolean, "bool", 8, 0, 0, Immediate::bools, DType::boolean},
    {DataType::string, "string", 0, 0, 0, Immediate::strings, std::nullopt},
    {DataType::float16, "fp16", 16, 1, 65552, Immediate::bytes, DType::float16},
    {DataType::float32, "fp32", 32, 2, 65568, Immediate::floats, DType::float32},
    {DataType::int8, "int8", 8, 4, 131080, Immediate::bytes, DType::int8},
    {DataType::int16, "int16", 16, 6, 0, Immediate::ints, DType::int16},
    {DataType::int32, "int32", 32, 14, 131104, Immediate::ints, DType::int32},
    {DataType::int64, "int64", 64, 0, 0, Immediate::long_ints, DType::int64},
    {DataType::int4, "int4", 4, 8, 0, Immediate::bytes, std::nullopt, true},
    {DataType::uint8, "uint8", 8, 3, 0, Immediate::bytes, DType::uint8},
    {DataType::uint16, "uint16", 16, 7, 0, Immediate::ints, DType::uint16},
    {DataType::uint32, "uint32", 32, 15, 0, Immediate::bytes, DType::uint32},
    {DataType::uint4, "uint4", 4, 11, 0, Immediate::bytes, std::nullopt},
    {DataType::uint2, "uint2", 2, 10, 0, Immediate::bytes, std::nullopt},
    {DataType::uint1, "uint1", 1, 9, 0, Immediate::bytes, std::nullopt},
    {DataType::uint6, "uint6", 6, 13, 0, Immediate::bytes, std::nullopt},
    {DataType::uint3, "uint3", 3, 12, 0, Immediate::bytes, std::nullopt},
};
// Null for a number that is no type here.
const DataTypeRow* find_data_type(int32_t number);
const DataTypeRow& row_of(DataType type);
// nullopt for one that MIL has not.
std::optional<DataType> data_type(DType dtype);
// The unsigned type of so many bits, of those that there are: 1, 2, 3, 4, 6, 8.
std::optional<DataType> unsigned_type(int bits);

// Elements as weight.bin holds them: little-endian, those below a byte one after the other from the lowest bit on, rows included.
struct Literal {
  DataType type = DataType::float32;
  Sizes dims;  // none: a scalar
  Blob data;
  std::vector<std::string> strings = {};  // the elements when they are texts

  int64_t count() const { return element_count(dims); }
};

// Of the bytes of `count` elements.
uint64_t packed_size(DataType type, int64_t count);

// A contiguous tensor of a type that MIL has (bug error otherwise); read when it is written.
Literal literal(Tensor tensor);
// `integers` is int8 or uint8 and holds values of `type`, which is below a byte; packed when it is written. A bug error then for a
// value that `type` has not.
Literal packed_literal(Tensor integers, DataType type);
Literal text_literal(std::string text);
template <typename T>
Literal scalar_literal(T value) {
  return literal(Tensor::scalar(value));
}
// One dimension.
Literal int32_literal(const std::vector<int64_t>& values);
// Round to nearest even.
Literal float16_literal(float value);

// The elements in new memory; those below a byte each in one, int8 or uint8. Not of texts.
Tensor elements_of(const Literal& literal);

}  // namespace intaglio::coreml
