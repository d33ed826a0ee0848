// What the system says when it refuses something, as the end of a message.
#pragma once

#include <string>

namespace intaglio {

// The cause by its number (errno) and, where that alone tells it, what to do.
std::string cause_text(int cause);

}  // namespace intaglio
