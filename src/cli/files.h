// The files of a command line, before any of them is opened.
#pragma once

#include <string>
#include <vector>

namespace intaglio::cli {

// Usage error when an output is the same file as an input, as one that is read of an input folder, or as another output, through
// links too. Empty paths are options that were not given.
void require_distinct_files(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs);

}  // namespace intaglio::cli
