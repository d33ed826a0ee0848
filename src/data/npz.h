// NumPy's `.npz`: a ZIP archive of NAME.npy files.
#pragma once

#include <span>
#include <vector>

#include <intaglio/data.h>

namespace intaglio::data {

// Stored and deflated entries, in the archive's order. Bad-input errors name the array, not the file.
std::vector<NamedArray> read_npz(std::span<const std::byte> bytes);

}  // namespace intaglio::data
