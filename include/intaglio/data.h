// Samples: what a program is calibrated with and run on, from NumPy files and images.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <intaglio/tensor.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct NamedArray {
  std::string name;
  Tensor tensor;
};

// A `.npy` (one array, named arr_0) or a `.npz` (in the archive's order). Fortran order and big-endian numbers are
// converted; two-byte void elements are bfloat16; objects and text are refused: nothing is ever unpickled.
// Bad-input error naming file and array.
std::vector<NamedArray> read_arrays(const std::filesystem::path& path);
// The same from memory; `name` ends in .npy or .npz and is used in messages.
std::vector<NamedArray> read_arrays(std::span<const std::byte> bytes, const std::string& name);

// Same arrays, same bytes. The target is replaced only after everything is written. bfloat16 travels as |V2.
void write_npy(const std::filesystem::path& path, const Tensor& tensor);
void write_npz(const std::filesystem::path& path, std::span<const NamedArray> arrays);
// A program's outputs as arr_0, arr_1, ...; undefined tensors (None) are skipped without a gap.
void write_outputs(const std::filesystem::path& path, std::span<const Tensor> outputs);

// Class numbers, one for each sample: a one-dimensional `.npy` of integers.
std::vector<int64_t> read_labels(const std::filesystem::path& path);

// Interleaved 8-bit pixels, row by row.
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 3;
  std::vector<uint8_t> pixels;
};

// JPEG or PNG as RGB, told by its first bytes. Alpha is dropped, 16 bits become 8, no rotation by EXIF (as Pillow's
// `open().convert("RGB")`). Bad-input error naming the file.
Image read_image(const std::filesystem::path& path);
Image decode_image(std::span<const std::byte> bytes, const std::string& name);

// How an image becomes a tensor; torchvision's Resize, CenterCrop, ToTensor, Normalize.
struct Preprocess {
  enum class Interpolation { bilinear, bicubic };
  enum class Color { rgb, bgr, gray };
  std::vector<int64_t> resize;  // {} none, {shorter side} or {height, width}
  std::vector<int64_t> crop;    // {} none, {side} or {height, width}; smaller images are padded with 0
  Interpolation interpolation = Interpolation::bilinear;
  Color color = Color::rgb;
  double scale = 1.0 / 255;  // pixel * scale, then minus mean, then divided by std
  std::vector<double> mean;  // one for all channels or one per channel; {} is 0
  std::vector<double> std;   // {} is 1
};

// `resize=256,crop=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225`; further keys `interpolation`, `color`, `scale`.
// (x - 127) / 128 on 0..255 is `scale=1,mean=127,std=128`. Usage error naming the key.
Preprocess parse_preprocess(std::string_view text);

// Resampling with antialias in Pillow's fixed-point arithmetic, across first, then down: Pillow's bits up to version 12.
// (Version 13 goes down first for some sizes; then up to 1 pixel in 50 is one or two steps of 255 apart.)
Image resized(const Image& image, int64_t height, int64_t width, Preprocess::Interpolation interpolation);
Image center_cropped(const Image& image, int64_t height, int64_t width);
// float32 [1, channels, height, width].
Tensor to_tensor(const Image& image, const Preprocess& preprocess);

// What a program wants at one user input.
struct InputSlot {
  std::string name;     // of the placeholder
  bool scalar = false;  // a number, not a tensor: may be absent
  DType dtype = DType::float32;
  std::vector<std::pair<int64_t, int64_t>> sizes;  // smallest and largest of each dimension
};

struct Sample {
  std::filesystem::path file;
  std::vector<Tensor> inputs;  // one for each slot; undefined for an absent scalar
};

// Arrays bind by placeholder name, else arr_i is the i-th tensor slot (the i-th slot, numbers counted, where there are as many
// arrays arr_i as slots). Every array must bind, every tensor slot must be
// bound, dtype and sizes must fit, NaN is refused. Bad-input error with `file`, array, what was expected and found.
Sample bind_sample(const std::filesystem::path& file, std::vector<NamedArray> arrays, std::span<const InputSlot> slots);

// The samples of a file, or of a folder in byte order of their names. Only one is in memory at a time.
class SampleSource {
 public:
  // Bad-input error when there are none; usage error for images without `preprocess`.
  SampleSource(const std::filesystem::path& data, std::vector<InputSlot> slots, std::optional<Preprocess> preprocess = std::nullopt);
  size_t size() const { return files_.size(); }
  const std::filesystem::path& file(size_t index) const { return files_.at(index); }
  Sample load(size_t index) const;  // may be called from several threads

 private:
  std::vector<std::filesystem::path> files_;
  std::vector<InputSlot> slots_;
  std::optional<Preprocess> preprocess_;
};

}  // namespace intaglio

#pragma GCC visibility pop
