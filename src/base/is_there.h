// Whether a file is there.
#pragma once

#include <filesystem>

namespace intaglio {

// Whether something has this name, links followed. A bad-input error where the system does not say, so that nothing that is there is
// passed over.
bool is_there(const std::filesystem::path& path);

}  // namespace intaglio
