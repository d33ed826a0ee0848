#include "backends/registry/folders.h"

#include <intaglio/coreml.h>

#include "backends/coreml/package.h"

namespace intaglio {

std::span<const FolderFormat> folder_formats() {
  static const FolderFormat rows[] = {{"mlpackage", "what Core ML's delegates hold, for Xcode and coremltools", coreml::delegate_id,
                                       [](std::span<const std::byte> payload) {
                                         std::vector<FolderFile> files;
                                         for (const coreml::StoredFile& file : coreml::package_in(payload))
                                           files.push_back({file.path, file.data});
                                         return files;
                                       }}};
  return rows;
}

}  // namespace intaglio
