#include "backends/xnnpack/lower/pieces.h"

#include <algorithm>

namespace intaglio::xnnpack::lower {
namespace {

// [outer, count, size, inner]: of every step `size` elements from `start` on. Zeros that no window sees are added where the last step is
// cut short.
ValueId columns(Lowering& lowering, ValueId input, const Windows& windows, int64_t start, int64_t size, std::optional<size_t> symbolic) {
  const std::vector<int64_t> dims = lowering.value(input).dims;
  const int64_t length = windows.count * windows.stride, past_last = start + length - windows.stride + size;
  const int64_t from = start + length <= dims[windows.dim] ? start : std::max<int64_t>(0, past_last - length);
  if (length > dims[windows.dim]) input = padded(lowering, input, windows.dim, 0, length - dims[windows.dim]);
  input = piece(lowering, input, windows.dim, from, length);
  const int64_t outer = product(dims, 0, windows.dim), inner = product(dims, windows.dim + 1, dims.size() - windows.dim - 1);
  std::optional<size_t> inferred;
  if (symbolic) inferred = *symbolic < windows.dim ? 0 : 3;
  const ValueId steps = lowering.reshaped(input, {outer, windows.count, windows.stride, inner}, inferred);
  return piece(lowering, steps, 2, start - from, size);
}

}  // namespace

ValueId piece(Lowering& lowering, ValueId input, size_t dim, int64_t start, int64_t size) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  if (dims[dim] == size) return input;
  SliceAttributes slice{std::vector<uint32_t>(dims.size(), 0), {dims.begin(), dims.end()}};
  if (lowering.value(input).dynamic) std::ranges::fill(slice.sizes, 0);  // whole, whatever it is
  slice.offsets[dim] = static_cast<uint32_t>(start);
  slice.sizes[dim] = static_cast<uint32_t>(size);
  dims[dim] = size;
  return lowering.compute(NodeKind::StaticSlice, {input}, std::move(slice), std::move(dims));
}

ValueId joined(Lowering& lowering, std::vector<ValueId> parts, size_t dim, bool as_result) {
  constexpr NodeKind by_count[] = {NodeKind::none,         NodeKind::none,         NodeKind::Concatenate2,
                                   NodeKind::Concatenate3, NodeKind::Concatenate4, NodeKind::Concatenate5};
  constexpr size_t most = 5;
  const ConcatenateAttributes axis{static_cast<uint32_t>(dim)};
  // Longer lists go on with the result so far in front.
  while (parts.size() > 1) {
    const size_t count = std::min(most, parts.size());
    const std::vector<ValueId> first(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
    std::vector<int64_t> dims = lowering.value(first[0]).dims;
    dims[dim] = 0;
    for (const ValueId id : first) dims[dim] += lowering.value(id).dims[dim];
    const bool is_last = as_result && count == parts.size();
    const ValueId together = is_last ? lowering.result() : lowering.intermediate(first[0], std::move(dims));
    lowering.emit_to(together, by_count[count], first, axis);
    parts.erase(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
    parts.insert(parts.begin(), together);
    if (is_last) return together;
  }
  if (as_result) lowering.alias(parts[0]);
  return parts[0];
}

std::vector<Run> runs_of(const std::vector<int64_t>& places) {
  std::vector<Run> runs;
  for (const int64_t place : places) {
    if (!runs.empty() && place == runs.back().start + runs.back().size) ++runs.back().size;
    else runs.push_back({place, 1});
  }
  return runs;
}

ValueId picked(Lowering& lowering, ValueId input, size_t dim, const std::vector<int64_t>& places, bool as_result) {
  const std::vector<Run> runs = runs_of(places);
  std::vector<ValueId> parts;
  for (size_t i = 0; i < runs.size(); ++i)
    parts.push_back(i > 0 && runs[i] == runs[i - 1] ? parts.back() : piece(lowering, input, dim, runs[i].start, runs[i].size));
  // What is small is joined first, so that the longest run is copied once.
  const auto longest = parts.begin() + (std::ranges::max_element(runs, {}, &Run::size) - runs.begin());
  std::vector<ValueId> whole;
  if (longest != parts.begin()) whole.push_back(joined(lowering, {parts.begin(), longest}, dim));
  whole.push_back(*longest);
  if (longest + 1 != parts.end()) whole.push_back(joined(lowering, {longest + 1, parts.end()}, dim));
  return joined(lowering, std::move(whole), dim, as_result);
}

ValueId padded(Lowering& lowering, ValueId input, size_t dim, int64_t before, int64_t after, float value) {
  if (before == 0 && after == 0) return input;
  std::vector<int64_t> dims = lowering.value(input).dims;
  PadAttributes pad{std::vector<uint32_t>(dims.size(), 0), std::vector<uint32_t>(dims.size(), 0), value};
  pad.pre[dim] = static_cast<uint32_t>(before);
  pad.post[dim] = static_cast<uint32_t>(after);
  dims[dim] += before + after;
  return lowering.compute(NodeKind::StaticConstantPad, {input}, std::move(pad), std::move(dims));
}

ValueId seen_by(Lowering& lowering, ValueId input, const Windows& windows, std::optional<size_t> symbolic) {
  std::vector<int64_t> dims = lowering.value(input).dims;
  std::vector<ValueId> taken;
  if (windows.dilation == 1) taken.push_back(columns(lowering, input, windows, windows.start, windows.size, symbolic));
  else
    for (int64_t i = 0; i < windows.size; ++i)
      taken.push_back(columns(lowering, input, windows, windows.start + i * windows.dilation, 1, symbolic));
  dims[windows.dim] = windows.count * windows.size;
  return lowering.reshaped(joined(lowering, std::move(taken), 2), dims, symbolic);
}

}  // namespace intaglio::xnnpack::lower
