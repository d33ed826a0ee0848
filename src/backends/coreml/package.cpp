#include "backends/coreml/package.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/coreml/payload/payload.h"

namespace intaglio::coreml {

std::vector<StoredFile> package_in(std::span<const std::byte> payload) {
  if (const auto reference = read_reference(payload))
    throw_unsupported(
        fmt::format("--emit mlpackage: function '{}' is one of a model that several methods share; give "
                    "--set multimethod_weight_sharing_strategy=disabled for packages of their own",
                    escaped(reference->function)));
  constexpr std::string_view folder = "model.mlpackage/";
  std::vector<StoredFile> files;
  for (StoredFile& file : read_file_system(payload))
    if (file.path.starts_with(folder)) files.push_back({file.path.substr(folder.size()), file.data});
  return files;
}

}  // namespace intaglio::coreml
