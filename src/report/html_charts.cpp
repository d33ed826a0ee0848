#include "report/html_charts.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/number_text.h"
#include "report/html_text.h"

namespace intaglio::report {
namespace {

constexpr double chart_width = 320, chart_height = 100;
constexpr size_t most_drawn_tensors = 1000;

// Roots of the counts: tails are what a range is chosen by, and they are thin.
std::string bars(const std::vector<double>& counts, double left, double width) {
  double highest = 0;
  for (const double count : counts) highest = std::max(highest, count);
  if (!(highest > 0) || !std::isfinite(highest)) return "";
  const double step = width / static_cast<double>(counts.size());
  std::string path;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (!(counts[i] > 0)) continue;
    const double height = std::max(1.0, chart_height * std::sqrt(counts[i] / highest));
    path += fmt::format("M{:.2f} {:.0f}v-{:.2f}h{:.2f}v{:.2f}z", left + step * static_cast<double>(i), chart_height, height, step, height);
  }
  return fmt::format("<path class=\"counts\" d=\"{}\"/>", path);
}

}  // namespace

std::string histogram_figure(const ValueHistogram& histogram) {
  double low = histogram.min, high = histogram.max;
  if (histogram.chosen) {
    low = std::min(low, histogram.chosen->first);
    high = std::max(high, histogram.chosen->second);
  }
  const double span = high - low;
  std::string drawing;
  if (std::isfinite(span) && span > 0) {
    const auto x = [&](double value) { return (value - low) / span * chart_width; };
    if (histogram.chosen)
      drawing += fmt::format("<rect class=\"chosen\" x=\"{:.2f}\" y=\"0\" width=\"{:.2f}\" height=\"{:.0f}\"/>", x(histogram.chosen->first),
                             x(histogram.chosen->second) - x(histogram.chosen->first), chart_height);
    const std::vector<double> seen = histogram.counts.empty() ? std::vector<double>{1} : histogram.counts;
    drawing += bars(seen, x(histogram.min), x(histogram.max) - x(histogram.min));
  }
  std::string caption = fmt::format("seen {:.4g} to {:.4g}", histogram.min, histogram.max);
  if (histogram.chosen) caption += fmt::format(", chosen {:.4g} to {:.4g}", histogram.chosen->first, histogram.chosen->second);
  if (histogram.counts.empty()) caption += "; how often each value was seen is not known";
  return fmt::format(
      "<figure class=\"item\"><figcaption><b>{}</b> {}<br><small>{}</small></figcaption><svg viewBox=\"0 0 {:.0f} {:.0f}\" "
      "preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">{}</svg><small>{}</small></figure>\n",
      html(histogram.tensor), html(histogram.layer), html(histogram.about), chart_width, chart_height, html(caption), drawing,
      html(caption));
}

std::string memory_chart(const MethodContents& method, const Arena& arena) {
  const double instructions = static_cast<double>(std::max<size_t>(method.instructions.size(), 1));
  const double bytes = static_cast<double>(std::max<uint64_t>(arena.bytes, 1));
  std::string drawing;
  size_t drawn = 0, left_out = 0;
  for (const PlannedTensor& tensor : method.tensors) {  // largest first
    if (tensor.arena != arena.id || tensor.bytes == 0) continue;
    if (drawn == most_drawn_tensors) {
      ++left_out;
      continue;
    }
    ++drawn;
    const double y = 1000 - 1000 * static_cast<double>(tensor.offset + tensor.bytes) / bytes;
    drawing += fmt::format("<rect class=\"{}\" x=\"{:.2f}\" y=\"{:.2f}\" width=\"{:.2f}\" height=\"{:.2f}\"><title>{}</title></rect>",
                           html(tensor.role), 1000 * static_cast<double>(tensor.first) / instructions, y,
                           1000 * static_cast<double>(tensor.last - tensor.first + 1) / instructions,
                           1000 * static_cast<double>(tensor.bytes) / bytes,
                           html(fmt::format("value {}: {} {} [{}], {}, instructions {} to {}", tensor.value, tensor.role, tensor.dtype,
                                            fmt::join(tensor.sizes, ", "), bytes_text(tensor.bytes), tensor.first, tensor.last)));
  }
  std::string text =
      fmt::format("<p>Arena {}: {} for {} tensors; at most {} at once, in instruction {} of {}.", arena.id, bytes_text(arena.bytes),
                  arena.tensors, bytes_text(arena.peak_bytes), arena.peak_instruction, method.instructions.size());
  if (left_out > 0) text += fmt::format(" Not drawn: the {} smallest.", left_out);
  return fmt::format(
      "{}</p>\n<svg class=\"memory\" viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"memory "
      "of arena {} over instructions\">{}</svg>\n<p class=\"dim\">Left to right: instructions 0 to {}. From below: addresses "
      "up to {}.</p>\n",
      text, arena.id, drawing, method.instructions.empty() ? 0 : method.instructions.size() - 1, bytes_text(arena.bytes));
}

}  // namespace intaglio::report
