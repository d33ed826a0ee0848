#include <fmt/format.h>

#include <charconv>
#include <string>

#include <intaglio/data.h>
#include <intaglio/error.h>

namespace intaglio {
namespace {

constexpr int64_t largest_side = 16384;

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

[[noreturn]] void fail(std::string_view key, std::string_view value, std::string_view expected) {
  throw_usage(fmt::format("--preprocess {}={}: {} expected", escaped(key, 40), escaped(value, 60), expected));
}

// A decimal number, or two of them as a fraction.
double parse_number(std::string_view key, std::string_view text) {
  double result = 0;
  const auto parts = split(text, '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    double value = 0;
    const auto [end, error] = std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), value);
    if (parts.size() > 2 || error != std::errc() || end != parts[i].data() + parts[i].size() || value - value != 0 ||
        (i == 1 && value == 0))
      fail(key, text, "a number, or a fraction such as 1/255,");
    result = i == 0 ? value : result / value;
  }
  return result;
}

std::vector<double> parse_channels(std::string_view key, std::string_view text) {
  std::vector<double> values;
  for (auto part : split(text, ':')) values.push_back(parse_number(key, part));
  if (values.size() != 1 && values.size() != 3) fail(key, text, "one number, or three with ':' between,");
  if (key == "std")
    for (double value : values)
      if (value <= 0) fail(key, text, "positive numbers");
  return values;
}

std::vector<int64_t> parse_sides(std::string_view key, std::string_view text) {
  std::vector<int64_t> sides;
  for (auto part : split(text, 'x')) {
    int64_t side = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), side);
    if (error != std::errc() || end != part.data() + part.size() || side < 1 || side > largest_side || sides.size() == 2)
      fail(key, text, "a side such as 224, or HEIGHTxWIDTH,");
    sides.push_back(side);
  }
  return sides;
}

template <typename Choice>
Choice parse_choice(std::string_view key, std::string_view text, std::initializer_list<std::pair<std::string_view, Choice>> choices) {
  std::string known;
  for (const auto& [word, choice] : choices) {
    if (word == text) return choice;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  fail(key, text, known);
}

}  // namespace

Preprocess parse_preprocess(std::string_view text) {
  using Interpolation = Preprocess::Interpolation;
  using Color = Preprocess::Color;
  Preprocess result;
  std::vector<std::string_view> seen;
  for (auto item : split(text, ',')) {
    const size_t equals = item.find('=');
    const auto key = item.substr(0, equals);
    if (equals == std::string_view::npos) fail(key, "", "KEY=VALUE with ',' between");
    const auto value = item.substr(equals + 1);
    for (auto earlier : seen)
      if (earlier == key) fail(key, value, "each key once");
    seen.push_back(key);
    if (key == "resize") result.resize = parse_sides(key, value);
    else if (key == "crop") result.crop = parse_sides(key, value);
    else if (key == "mean") result.mean = parse_channels(key, value);
    else if (key == "std") result.std = parse_channels(key, value);
    else if (key == "scale") result.scale = parse_number(key, value);
    else if (key == "interpolation")
      result.interpolation =
          parse_choice<Interpolation>(key, value, {{"bilinear", Interpolation::bilinear}, {"bicubic", Interpolation::bicubic}});
    else if (key == "color")
      result.color = parse_choice<Color>(key, value, {{"rgb", Color::rgb}, {"bgr", Color::bgr}, {"gray", Color::gray}});
    else fail(key, value, "one of resize, crop, mean, std, scale, interpolation, color");
  }
  const size_t channels = result.color == Color::gray ? 1 : 3;
  for (const auto* values : {&result.mean, &result.std})
    if (values->size() > channels) fail("color", "gray", "a single mean and std");
  return result;
}

}  // namespace intaglio
