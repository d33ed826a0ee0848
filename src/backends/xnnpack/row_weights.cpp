#include "backends/xnnpack/row_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <fmt/format.h>

#include "quant/int32_sums.h"

namespace intaglio::xnnpack {
namespace {

constexpr int64_t group_multiple = 32;

bool is_normal_positive(float number) { return (number >= std::numeric_limits<float>::min()) & std::isfinite(number); }

// There is a scale for every few weights: these loops look at all of them, so that the compiler makes vectors of them.
bool are_usable(const Tensor& scale) {
  const Tensor numbers = converted(scale.for_one_use(), DType::float32).contiguous();
  bool good = true;
  for (const float number : numbers.span<float>()) good &= is_normal_positive(number);
  return good;
}

bool are_zero(const Tensor& zero_point) {
  const Tensor once = zero_point.for_one_use().contiguous();
  const std::span bytes(static_cast<const std::byte*>(once.raw()), once.nbytes());
  std::byte any{0};
  for (const std::byte byte : bytes) any |= byte;
  if (any == std::byte{0}) return true;
  const Tensor numbers = converted(once, DType::float32).contiguous();  // -0 is zero too
  return std::ranges::all_of(numbers.span<float>(), [](float zero) { return zero == 0; });
}

bool sums_fit(const qdq::GroupedRows& rows) {
  const int64_t largest = std::max(-rows.quant_min, rows.quant_max), columns = rows.integers->sizes()[1].value();
  return columns <= std::numeric_limits<int32_t>::max() / (largest * quant::input_steps);
}

}  // namespace

bool is_usable_scale(double scale) { return is_normal_positive(static_cast<float>(scale)); }

std::string refused_numbers(const Tensor& scale, const Tensor* zero_point) {
  if (!are_usable(scale)) return "a scale of the weight is not a normal positive number";
  if (zero_point && !are_zero(*zero_point)) return "XNNPACK takes weights without zero points: choose a symmetric mapping type";
  return "";
}

std::optional<RowWeight> row_weight(const common::ProgramFacts& facts, const Features& features, const Value* operand) {
  const Node* dequantize = operand->producer();
  const auto rows = dequantize ? qdq::grouped_rows_of(*dequantize) : std::nullopt;
  if (!rows) return std::nullopt;
  const auto constant = [&](const Value* value) { return value ? facts.program().constant(value) : nullptr; };
  const Tensor *integers = constant(rows->integers), *scale = constant(rows->scale), *zero_point = constant(rows->zero_point);
  if (!integers || !scale || (rows->zero_point && !zero_point)) return std::nullopt;
  RowWeight weight{*rows, DataType::invalid, ""};
  if (integers->dtype() != DType::int8) weight.refusal = "XNNPACK takes weights of int8 and below";
  else if (!sums_fit(*rows)) weight.refusal = "sums over such long rows could leave int32";
  // Numbers that are computed when they are read are looked at when they are written.
  else if (!scale->storage()->is_computed()) weight.refusal = refused_numbers(*scale, zero_point);
  if (!weight.refusal.empty()) return weight;

  const int64_t columns = integers->size(1);
  const bool is_four_bits = rows->quant_min >= -8 && rows->quant_max <= 7;
  // One group a row is scales per channel: ExecuTorch makes them groups and rounds them to bfloat16.
  const bool in_groups = !rows->is_per_row() || (is_four_bits && !features.exact_row_scales);
  if (!in_groups) {
    // Kernels for half bytes go wrong behind the first row where a row ends in the middle of a byte (seen with executorch 1.5.1).
    weight.type = is_four_bits && columns % 2 == 0 ? DataType::qcint4 : DataType::qcint8;
  } else if (!is_four_bits) {
    weight.refusal = fmt::format("XNNPACK takes groups of weights with 4 bits or fewer, not [{}, {}]: choose PerAxis(0)", rows->quant_min,
                                 rows->quant_max);
  } else if (rows->group_size % group_multiple != 0) {
    weight.refusal = fmt::format("XNNPACK takes groups of a multiple of {}, not of {}", group_multiple, rows->group_size);
  } else {
    weight.type = DataType::qbint4;
  }
  return weight;
}

}  // namespace intaglio::xnnpack
