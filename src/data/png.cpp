#include <png.h>

#include <csetjmp>
#include <cstring>
#include <vector>

#include <intaglio/error.h>

#include "data/image.h"

namespace intaglio::data {
namespace {

struct PngDecoder {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> left;
  std::jmp_buf escape;
  char message[128] = "";
};

void leave_png(png_structp png, png_const_charp message) {
  auto* decoder = static_cast<PngDecoder*>(png_get_error_ptr(png));
  std::strncpy(decoder->message, message, sizeof decoder->message - 1);
  std::longjmp(decoder->escape, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

void read_bytes(png_structp png, png_bytep into, size_t size) {
  auto* decoder = static_cast<PngDecoder*>(png_get_io_ptr(png));
  if (size > decoder->left.size()) png_error(png, "the file is cut short");
  std::memcpy(into, decoder->left.data(), size);
  decoder->left = decoder->left.subspan(size);
}

// As in jpeg.cpp: nothing that owns memory lives between setjmp and the jump.
bool read_header(PngDecoder& decoder) {
  if (setjmp(decoder.escape)) return false;
  png_set_read_fn(decoder.png, &decoder, read_bytes);
  png_set_user_limits(decoder.png, 65535, 65535);
  png_set_chunk_malloc_max(decoder.png, 8 << 20);
  png_read_info(decoder.png, decoder.info);
  return true;
}

bool set_transforms(PngDecoder& decoder) {
  if (setjmp(decoder.escape)) return false;
  png_set_strip_16(decoder.png);
  png_set_strip_alpha(decoder.png);
  png_set_expand(decoder.png);
  png_set_gray_to_rgb(decoder.png);
  png_set_interlace_handling(decoder.png);
  png_read_update_info(decoder.png, decoder.info);
  return true;
}

bool read_rows(PngDecoder& decoder, png_bytepp rows) {
  if (setjmp(decoder.escape)) return false;
  png_read_image(decoder.png, rows);
  png_read_end(decoder.png, nullptr);
  return true;
}

struct PngDecoderOwner {
  PngDecoder decoder;
  PngDecoderOwner() {
    decoder.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, leave_png, ignore_warning);
    if (decoder.png) decoder.info = png_create_info_struct(decoder.png);
    if (!decoder.info) throw_bad_input("no memory for a PNG decoder");
  }
  ~PngDecoderOwner() { png_destroy_read_struct(&decoder.png, &decoder.info, nullptr); }
};

}  // namespace

Image decode_png(std::span<const std::byte> bytes) {
  PngDecoderOwner owner;
  PngDecoder& decoder = owner.decoder;
  decoder.left = bytes;
  const auto fail = [&] { throw_bad_input(std::string("damaged PNG: ") + escaped(decoder.message)); };
  if (!read_header(decoder)) fail();
  const uint64_t height = png_get_image_height(decoder.png, decoder.info);
  const uint64_t width = png_get_image_width(decoder.png, decoder.info);
  require_image_size(height, width);
  // Deflate shrinks at most 1032 times; a file that promises more is refused before memory is taken.
  const uint64_t stored_bits = height * width * png_get_bit_depth(decoder.png, decoder.info);
  if (stored_bits / 8 / 1032 > bytes.size()) throw_bad_input("damaged PNG: too short for its size");
  if (!set_transforms(decoder)) fail();
  Image image{static_cast<int64_t>(height), static_cast<int64_t>(width), 3, {}};
  if (png_get_rowbytes(decoder.png, decoder.info) != width * 3) throw_unsupported("an unusual PNG; convert it to RGB");
  image.pixels.resize(height * width * 3);
  std::vector<png_bytep> rows(height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * width * 3;
  if (!read_rows(decoder, rows.data())) fail();
  return image;
}

}  // namespace intaglio::data
