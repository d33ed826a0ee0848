#include "base/is_there.h"

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {

bool is_there(const std::filesystem::path& path) {
  std::error_code problem;
  const bool found = std::filesystem::exists(path, problem);
  if (problem && problem != std::errc::too_many_symbolic_link_levels)  // a circle of links names nothing
    throw_bad_input(fmt::format("{}: {}", escaped(path.string()), problem.message()));
  return found;
}

}  // namespace intaglio
