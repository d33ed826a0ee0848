#include <fmt/format.h>

#include <cmath>

#include <intaglio/data.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

// The shorter side becomes `side`; the longer keeps the ratio, rounded down.
std::pair<int64_t, int64_t> size_by_shorter_side(const Image& image, int64_t side) {
  const auto longer = [&](int64_t numerator, int64_t shorter) {
    return static_cast<int64_t>(static_cast<double>(side * numerator) / static_cast<double>(shorter));
  };
  if (image.width <= image.height) return {longer(image.height, image.width), side};
  return {side, longer(image.width, image.height)};
}

Image shaped(const Image& image, const Preprocess& preprocess) {
  Image result = image;
  if (!preprocess.resize.empty()) {
    const auto [height, width] = preprocess.resize.size() == 1 ? size_by_shorter_side(image, preprocess.resize[0])
                                                               : std::pair(preprocess.resize[0], preprocess.resize[1]);
    if (height * width > 100'000'000)
      throw_bad_input(
          fmt::format("resizing {} x {} pixels makes {} x {}; the image is too narrow", image.width, image.height, width, height));
    result = resized(result, height, width, preprocess.interpolation);
  }
  if (!preprocess.crop.empty()) result = center_cropped(result, preprocess.crop.front(), preprocess.crop.back());
  return result;
}

// Pillow's luma, ITU-R 601-2 in 16 fractional bits.
Image grayed(const Image& image) {
  Image result{image.height, image.width, 1, {}};
  result.pixels.resize(image.pixels.size() / 3);
  for (size_t i = 0; i < result.pixels.size(); ++i) {
    const uint8_t* rgb = image.pixels.data() + 3 * i;
    result.pixels[i] = static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
  }
  return result;
}

float channel_value(const std::vector<double>& values, int64_t channel, double otherwise) {
  if (values.empty()) return static_cast<float>(otherwise);
  return static_cast<float>(values.size() == 1 ? values[0] : values[static_cast<size_t>(channel)]);
}

}  // namespace

Tensor to_tensor(const Image& image, const Preprocess& preprocess) {
  const bool gray = preprocess.color == Preprocess::Color::gray;
  const Image source = shaped(gray && image.channels == 3 ? grayed(image) : image, preprocess);
  const int64_t channels = source.channels, area = source.height * source.width;
  Tensor tensor = Tensor::empty(DType::float32, {1, channels, source.height, source.width});
  float* out = tensor.mutable_data<float>();
  // A pixel is divided where it can be, as ToTensor does: 1/255 is not a float.
  const double inverse = 1 / preprocess.scale;
  const bool divides = std::abs(inverse - std::nearbyint(inverse)) < 1e-9 && inverse >= 1;
  for (int64_t channel = 0; channel < channels; ++channel) {
    float table[256];
    const float mean = channel_value(preprocess.mean, channel, 0), std = channel_value(preprocess.std, channel, 1);
    for (int value = 0; value < 256; ++value) {
      const auto pixel = static_cast<float>(value);
      const float scaled = divides ? pixel / static_cast<float>(std::nearbyint(inverse)) : pixel * static_cast<float>(preprocess.scale);
      table[value] = (scaled - mean) / std;
    }
    const int64_t from = preprocess.color == Preprocess::Color::bgr ? channels - 1 - channel : channel;
    for (int64_t i = 0; i < area; ++i) out[channel * area + i] = table[source.pixels[static_cast<size_t>(i * channels + from)]];
  }
  return tensor;
}

}  // namespace intaglio
