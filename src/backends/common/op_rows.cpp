#include "backends/common/op_rows.h"

namespace intaglio::common {

bool has(Types types, DType type) {
  const auto contains = [&](Types one) { return (static_cast<uint8_t>(types) & static_cast<uint8_t>(one)) != 0; };
  switch (type) {
    case DType::float16:
    case DType::float32: return contains(Types::floats);
    case DType::int32:
    case DType::int64: return contains(Types::integers);
    case DType::boolean: return contains(Types::booleans);
    default: return false;
  }
}

std::string full_op_name(std::string_view short_name) {
  const auto dots = std::ranges::count(short_name, '.');
  const std::string name(short_name);
  return dots >= 2 ? name : dots == 1 ? "aten." + name : "aten." + name + ".default";
}

}  // namespace intaglio::common
