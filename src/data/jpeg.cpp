#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <intaglio/error.h>

#include "data/image.h"

namespace intaglio::data {
namespace {

// libjpeg calls error_exit on damage and expects it not to return. A long jump may not skip destructors, so the code
// between setjmp and the jump owns nothing.
struct JpegDecoder {
  jpeg_decompress_struct info;
  jpeg_error_mgr errors;
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
};

void leave(j_common_ptr info) {
  auto* decoder = static_cast<JpegDecoder*>(info->client_data);
  info->err->format_message(info, decoder->message);
  std::longjmp(decoder->escape, 1);
}

// A file cut short only warns and leaves gray behind; calibrating on that would be silently wrong.
void refuse_warning(j_common_ptr info, int level) {
  if (level < 0) leave(info);
}

void say_nothing(j_common_ptr) {}

void prepare(JpegDecoder& decoder) {
  decoder.info.err = jpeg_std_error(&decoder.errors);
  decoder.info.client_data = &decoder;
  decoder.errors.error_exit = leave;
  decoder.errors.emit_message = refuse_warning;
  decoder.errors.output_message = say_nothing;
  jpeg_create_decompress(&decoder.info);
  decoder.info.client_data = &decoder;
}

bool read_header(JpegDecoder& decoder, std::span<const std::byte> bytes) {
  if (setjmp(decoder.escape)) return false;
  jpeg_mem_src(&decoder.info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&decoder.info, TRUE);
  if (decoder.info.jpeg_color_space != JCS_CMYK && decoder.info.jpeg_color_space != JCS_YCCK) decoder.info.out_color_space = JCS_RGB;
  return true;
}

bool read_rows(JpegDecoder& decoder, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(decoder.escape)) return false;
  jpeg_start_decompress(&decoder.info);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + decoder.info.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);
  return true;
}

struct JpegDecoderOwner {
  JpegDecoder decoder{};
  JpegDecoderOwner() { prepare(decoder); }
  ~JpegDecoderOwner() { jpeg_destroy_decompress(&decoder.info); }
};

}  // namespace

Image decode_jpeg(std::span<const std::byte> bytes) {
  JpegDecoderOwner owner;
  JpegDecoder& decoder = owner.decoder;
  const auto fail = [&] { throw_bad_input(std::string("damaged JPEG: ") + escaped(decoder.message)); };
  if (!read_header(decoder, bytes)) fail();
  require_image_size(decoder.info.image_height, decoder.info.image_width);
  // A block of 64 pixels takes at least a bit; a file that promises more is refused before memory is taken.
  const uint64_t pixels = uint64_t{decoder.info.image_height} * decoder.info.image_width;
  if (pixels / 1024 > bytes.size()) throw_bad_input("damaged JPEG: too short for its size");
  if (decoder.info.out_color_space != JCS_RGB) throw_unsupported("a CMYK JPEG; convert it to RGB");
  Image image{decoder.info.image_height, decoder.info.image_width, 3, {}};
  image.pixels.resize(static_cast<size_t>(image.height * image.width * 3));
  if (!read_rows(decoder, image.pixels.data(), static_cast<size_t>(image.width * 3))) fail();
  return image;
}

}  // namespace intaglio::data
