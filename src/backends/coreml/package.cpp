#include "backends/coreml/package.h"

namespace intaglio::coreml {

std::vector<StoredFile> package_in(std::span<const std::byte> payload) {
  constexpr std::string_view folder = "model.mlpackage/";
  std::vector<StoredFile> files;
  for (StoredFile& file : read_file_system(payload))
    if (file.path.starts_with(folder)) files.push_back({file.path.substr(folder.size()), file.data});
  return files;
}

}  // namespace intaglio::coreml
