#include "data/image.h"

#include <fmt/format.h>

#include <cstring>

#include <intaglio/error.h>

#include "base/mapped_file.h"

namespace intaglio {
namespace data {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic) {
  return bytes.size() >= magic.size() && std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

}  // namespace

bool is_jpeg(std::span<const std::byte> bytes) { return starts_with(bytes, "\xff\xd8\xff"); }
bool is_png(std::span<const std::byte> bytes) { return starts_with(bytes, "\x89PNG\r\n\x1a\n"); }

void require_image_size(uint64_t height, uint64_t width) {
  if (height == 0 || width == 0 || height > 65535 || width > 65535 || height * width > uint64_t{largest_pixels})
    throw_bad_input(
        fmt::format("an image of {} x {} pixels; from 1 up to {} million are taken, shrink it", width, height, largest_pixels / 1'000'000));
}

}  // namespace data

Image decode_image(std::span<const std::byte> bytes, const std::string& name) try {
  if (data::is_jpeg(bytes)) return data::decode_jpeg(bytes);
  if (data::is_png(bytes)) return data::decode_png(bytes);
  throw_bad_input("not a JPEG or PNG image; convert it");
} catch (const Error& error) { throw error.with_context(escaped(name)); }

Image read_image(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  return decode_image(file->bytes(), path.string());
}

}  // namespace intaglio
