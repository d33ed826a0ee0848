// The operators of a table, for tests that go through all of them.
#pragma once

#include <algorithm>
#include <string_view>
#include <vector>

namespace intaglio {

// The keys of a map from names, in order; views of them.
template <typename Table>
std::vector<std::string_view> operator_names(const Table& table) {
  std::vector<std::string_view> names;
  for (const auto& [name, entry] : table) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

}  // namespace intaglio
