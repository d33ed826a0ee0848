// Tables of operators: rows that name several, and the types of elements that they take.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <ranges>
#include <string>
#include <string_view>

#include <intaglio/dtype.h>

namespace intaglio::common {

// Sets of element types: `floats` are of 16 and 32 bits, `integers` of 32 and 64.
enum class Types : uint8_t { unasked = 0, floats = 1, integers = 2, booleans = 4 };
constexpr Types operator|(Types a, Types b) { return static_cast<Types>(static_cast<uint8_t>(a) | static_cast<uint8_t>(b)); }
bool has(Types types, DType type);

// `add.Tensor` is `aten.add.Tensor`, `relu` is `aten.relu.default`.
std::string full_op_name(std::string_view short_name);

// Rows by operator; of each row `ops` names some, parted by spaces.
template <typename Row>
class RowsByOp {
 public:
  template <typename Rows>
  explicit RowsByOp(const Rows& rows) {
    for (const Row& row : rows)
      for (const auto name : std::views::split(std::string_view(row.ops), ' '))
        map_.emplace(full_op_name(std::string_view(name.begin(), name.end())), &row);
  }
  // Null for an operator that no row names.
  const Row* find(std::string_view op) const {
    const auto found = map_.find(op);
    return found == map_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::string, const Row*, std::less<>> map_;
};

}  // namespace intaglio::common
