#include <intaglio/backend.h>

#include <algorithm>

#include "backends/coreml/backend.h"
#include "backends/exynos/backend.h"
#include "backends/vulkan/backend.h"
#include "backends/xnnpack/backend.h"
#include "base/mapped_file.h"

namespace intaglio {
namespace {

// No delegates: the runtime's own kernels run everything. Rules quantize as XNNPACK's quantizer does.
Backend portable() {
  const Backend quantizing = xnnpack::backend();
  return {.name = "portable",
          .title = "portable kernels",
          .settings = {compat_setting(), runtime_setting()},
          .config_settings = quantizing.config_settings,
          .file_settings = quantizing.file_settings,
          .config = quantizing.config,
          .quantizer = quantizing.quantizer};
}

}  // namespace

std::span<const Backend> backends() {
  static const Backend rows[] = {xnnpack::backend(), vulkan::backend(), coreml::backend(), exynos::backend(), portable()};
  return rows;
}

const Backend* find_backend(std::span<const Backend> known, std::string_view name) {
  const auto found = std::ranges::find(known, name, &Backend::name);
  return found == known.end() ? nullptr : &*found;
}

const Backend* find_delegate_backend(std::span<const Backend> known, std::string_view delegate_id) {
  const auto found = std::ranges::find(known, delegate_id, &Backend::delegate_id);
  return found == known.end() || delegate_id.empty() ? nullptr : &*found;
}

const Backend* find_hand_over(const std::filesystem::path& file, std::span<const Backend> known) {
  const std::shared_ptr<MappedFile> mapped = MappedFile::open(file);
  const auto found = std::ranges::find_if(known, [&](const Backend& backend) {
    return backend.hand_over && (backend.hand_over->recognizes(mapped->bytes()) || file.extension() == backend.hand_over->extension);
  });
  return found == known.end() ? nullptr : &*found;
}

std::function<void(std::string_view, std::span<const std::byte>)> payload_check(std::span<const Backend> known) {
  return [known](std::string_view delegate_id, std::span<const std::byte> payload) {
    const Backend* backend = find_delegate_backend(known, delegate_id);
    if (backend != nullptr && backend->check) backend->check(payload);
  };
}

}  // namespace intaglio
