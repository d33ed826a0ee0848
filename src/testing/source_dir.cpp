#include "testing/source_dir.h"

namespace intaglio::test {

const std::filesystem::path& source_dir() {
  static const std::filesystem::path folder = INTAGLIO_SOURCE_DIR;
  return folder;
}

}  // namespace intaglio::test
