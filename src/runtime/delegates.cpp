#include "runtime/delegates.h"

#include <algorithm>
#include <iterator>

namespace intaglio {

bool runtime_has_delegate(std::string_view backend_id) {
  constexpr std::string_view delegates[] = {INTAGLIO_SDK_DELEGATES};
  return std::ranges::find(delegates, backend_id) != std::end(delegates);
}

}  // namespace intaglio
