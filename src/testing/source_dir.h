// Where tests find what is committed: golden files, records, corpora.
#pragma once

#include <filesystem>

namespace intaglio::test {

// The top of the checkout that the tests were built from.
const std::filesystem::path& source_dir();

}  // namespace intaglio::test
