#include <gtest/gtest.h>

#include <cstring>

#include <intaglio/data.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

Image gray_ramp(int64_t height, int64_t width) {
  Image image{height, width, 1, {}};
  for (int64_t i = 0; i < height * width; ++i) image.pixels.push_back(static_cast<uint8_t>(i));
  return image;
}

std::string message_about(const std::string& text) {
  try {
    parse_preprocess(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "accepted";
}

TEST(Preprocess, Parses) {
  const auto p = parse_preprocess(
      "resize=256,crop=224x192,mean=0.485:0.456:0.406,std=0.5,scale=1/128,color=bgr,"
      "interpolation=bicubic");
  EXPECT_EQ(p.resize, (std::vector<int64_t>{256}));
  EXPECT_EQ(p.crop, (std::vector<int64_t>{224, 192}));
  EXPECT_EQ(p.mean, (std::vector<double>{0.485, 0.456, 0.406}));
  EXPECT_EQ(p.std, (std::vector<double>{0.5}));
  EXPECT_EQ(p.scale, 1.0 / 128);
  EXPECT_EQ(p.color, Preprocess::Color::bgr);
  EXPECT_EQ(p.interpolation, Preprocess::Interpolation::bicubic);
}

TEST(Preprocess, RefusesWithTheKey) {
  const std::pair<const char*, const char*> cases[] = {
      {"size=3", "one of resize, crop, mean"},
      {"resize=0", "--preprocess resize=0: a side"},
      {"resize=1x2x3", "HEIGHTxWIDTH"},
      {"mean=1:2", "one number, or three"},
      {"std=0", "positive numbers"},
      {"mean=nan", "a number"},
      {"scale=1/0", "a number"},
      {"crop", "KEY=VALUE"},
      {"crop=2,crop=3", "each key once"},
      {"color=cmyk", "rgb, bgr, gray"},
      {"color=gray,mean=1:2:3", "a single mean"},
      {"resize=99999999999", "a side"},
  };
  for (const auto& [text, part] : cases) EXPECT_NE(message_about(text).find(part), std::string::npos) << message_about(text);
}

TEST(Resize, HalvesAsPillowDoes) {
  // Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)).resize((2, 2), Image.BILINEAR)
  const Image small = resized(gray_ramp(4, 4), 2, 2, Preprocess::Interpolation::bilinear);
  EXPECT_EQ(small.pixels, (std::vector<uint8_t>{4, 5, 10, 11}));
  const Image same = resized(gray_ramp(4, 4), 4, 4, Preprocess::Interpolation::bicubic);
  EXPECT_EQ(same.pixels, gray_ramp(4, 4).pixels);
}

TEST(CenterCrop, RoundsHalfToEvenAndPads) {
  EXPECT_EQ(center_cropped(gray_ramp(1, 5), 1, 2).pixels, (std::vector<uint8_t>{2, 3}));  // 1.5 becomes 2
  EXPECT_EQ(center_cropped(gray_ramp(1, 3), 1, 2).pixels, (std::vector<uint8_t>{0, 1}));  // 0.5 becomes 0
  Image image{1, 2, 1, {7, 9}};
  EXPECT_EQ(center_cropped(image, 1, 5).pixels, (std::vector<uint8_t>{0, 7, 9, 0, 0}));
}

TEST(ToTensor, ScalesAndNormalizes) {
  Image image{1, 2, 3, {0, 51, 255, 255, 102, 0}};
  const Tensor plain = to_tensor(image, Preprocess{});
  EXPECT_EQ(plain.sizes(), (Sizes{1, 3, 1, 2}));
  EXPECT_TRUE(bit_equal(plain, Tensor::of<float>({0, 1, 51 / 255.0f, 102 / 255.0f, 1, 0}, {1, 3, 1, 2})));
  const Tensor lite = to_tensor(image, parse_preprocess("scale=1,mean=127,std=128"));
  EXPECT_EQ(lite.span<float>()[0], -127.0f / 128);
  EXPECT_EQ(lite.span<float>()[1], 1.0f);
  const Tensor bgr = to_tensor(image, parse_preprocess("color=bgr,scale=1"));
  EXPECT_TRUE(bit_equal(bgr, Tensor::of<float>({255, 0, 51, 102, 0, 255}, {1, 3, 1, 2})));
  EXPECT_EQ(to_tensor(image, parse_preprocess("color=gray,scale=1")).sizes(), (Sizes{1, 1, 1, 2}));
}

TEST(ToTensor, ResizesTheShorterSide) {
  Image image{10, 25, 3, std::vector<uint8_t>(750, 100)};
  const Tensor tensor = to_tensor(image, parse_preprocess("resize=4"));
  EXPECT_EQ(tensor.sizes(), (Sizes{1, 3, 4, 10}));
  for (float value : tensor.span<float>()) EXPECT_EQ(value, 100 / 255.0f);
}

}  // namespace
}  // namespace intaglio
