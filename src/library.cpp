// The shared library is the rooms together; this file gives the linker something to start from.
#include <intaglio/intaglio.h>

namespace intaglio {

const char* version() { return INTAGLIO_VERSION; }

}  // namespace intaglio
