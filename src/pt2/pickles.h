// Pickles are code: whoever opens one runs it.
#pragma once

#include <string_view>

namespace intaglio::pt2 {

// True for a pickle of any protocol, and for what torch.save writes, which holds one.
bool holds_pickle(std::string_view bytes);

}  // namespace intaglio::pt2
