// The delegates that files can be run with here: those of the SDK's components that cmake/ExecuTorch.cmake names.
#pragma once

#include <algorithm>
#include <iterator>
#include <string_view>

namespace intaglio {

inline bool runtime_has_delegate(std::string_view backend_id) {
  constexpr std::string_view delegates[] = {"XnnpackBackend"};
  return std::ranges::find(delegates, backend_id) != std::end(delegates);
}

}  // namespace intaglio
