// The registry's row of Exynos.
#pragma once

#include <intaglio/backend.h>

namespace intaglio::exynos {

Backend backend();

}  // namespace intaglio::exynos
