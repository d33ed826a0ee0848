// The delegates that files can be run with here: those of the SDK's components that cmake/IntaglioSdk.cmake names.
#pragma once

#include <string_view>

namespace intaglio {

bool runtime_has_delegate(std::string_view backend_id);

}  // namespace intaglio
