// Pillow's resampling: separable, horizontal pass first, each pass in fixed point and rounded to 8 bits. Coefficients
// have 22 fractional bits, which is what fits beside 8-bit pixels and a margin of 2 bits in 32.
#include <algorithm>
#include <cmath>

#include <intaglio/data.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr int precision = 32 - 8 - 2;

struct Filter {
  double support;
  double (*weight)(double distance);
};

double triangle(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

// Keys' cubic with a = -1/2.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

Filter filter_of(Preprocess::Interpolation interpolation) {
  return interpolation == Preprocess::Interpolation::bilinear ? Filter{1, triangle} : Filter{2, cubic};
}

// Which input pixels an output pixel is made of.
struct Window {
  int64_t first = 0;
  std::vector<int32_t> weights;
};

std::vector<Window> make_windows(int64_t in_size, int64_t out_size, const Filter& filter) {
  const double scale = static_cast<double>(in_size) / static_cast<double>(out_size);
  const double stretch = std::max(scale, 1.0);  // antialias: a wider filter when shrinking
  const double support = filter.support * stretch;
  const double inverse = 1.0 / stretch;
  std::vector<Window> windows(static_cast<size_t>(out_size));
  std::vector<double> weights;
  for (int64_t out = 0; out < out_size; ++out) {
    const double center = (static_cast<double>(out) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min<int64_t>(static_cast<int64_t>(center + support + 0.5), in_size);
    weights.clear();
    double sum = 0;
    for (int64_t in = first; in < last; ++in) {
      weights.push_back(filter.weight((static_cast<double>(in) - center + 0.5) * inverse));
      sum += weights.back();
    }
    Window& window = windows[static_cast<size_t>(out)];
    window.first = first;
    for (double weight : weights) {
      const double fixed = (sum != 0 ? weight / sum : weight) * (1 << precision);
      window.weights.push_back(static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return windows;
}

uint8_t rounded(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> precision, 0, 255)); }

// One output line from input elements that stand `step` apart; `lines` neighbours are done alike, `line_step` apart.
struct Pass {
  int64_t lines, in_line_step, out_line_step;
  int64_t in_step, out_step;  // between pixels along the pass
  int64_t run;                // elements of a pixel (or of a whole row) that stand side by side
};

void resample(const uint8_t* in, uint8_t* out, const Pass& pass, const std::vector<Window>& windows) {
  std::vector<int32_t> sums(static_cast<size_t>(pass.run));
  for (int64_t line = 0; line < pass.lines; ++line)
    for (size_t at = 0; at < windows.size(); ++at) {
      std::fill(sums.begin(), sums.end(), 1 << (precision - 1));
      const uint8_t* source = in + line * pass.in_line_step + windows[at].first * pass.in_step;
      for (int32_t weight : windows[at].weights) {
        for (size_t i = 0; i < sums.size(); ++i) sums[i] += source[i] * weight;
        source += pass.in_step;
      }
      uint8_t* target = out + line * pass.out_line_step + static_cast<int64_t>(at) * pass.out_step;
      for (size_t i = 0; i < sums.size(); ++i) target[i] = rounded(sums[i]);
    }
}

Image blank(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, {}};
  image.pixels.resize(static_cast<size_t>(height * width * channels));
  return image;
}

}  // namespace

Image resized(const Image& image, int64_t height, int64_t width, Preprocess::Interpolation interpolation) {
  if (height < 1 || width < 1 || image.height < 1 || image.width < 1) throw_bug("resized: an empty image");
  const Filter filter = filter_of(interpolation);
  const int64_t channels = image.channels;
  Image across = image;
  if (width != image.width) {
    across = blank(image.height, width, channels);
    resample(image.pixels.data(), across.pixels.data(),
             {image.height, image.width * channels, width * channels, channels, channels, channels},
             make_windows(image.width, width, filter));
  }
  if (height == image.height) return across;
  Image down = blank(height, width, channels);
  const int64_t row = width * channels;
  resample(across.pixels.data(), down.pixels.data(), {1, 0, 0, row, row, row}, make_windows(image.height, height, filter));
  return down;
}

Image center_cropped(const Image& image, int64_t height, int64_t width) {
  // Half to even, as Python's round; negative when the image is smaller and is padded (the odd pixel goes behind).
  const auto start = [](int64_t have, int64_t want) {
    if (have < want) return -((want - have) / 2);
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(have - want) / 2));
  };
  const int64_t top = start(image.height, height), left = start(image.width, width);
  Image result = blank(height, width, image.channels);
  const int64_t first = std::max<int64_t>(left, 0), last = std::min(left + width, image.width);
  for (int64_t y = 0; y < height; ++y) {
    if (top + y < 0 || top + y >= image.height) continue;
    const auto* source = image.pixels.data() + ((top + y) * image.width + first) * image.channels;
    std::copy_n(source, (last - first) * image.channels, result.pixels.data() + (y * width + first - left) * image.channels);
  }
  return result;
}

}  // namespace intaglio
