
#include <intaglio/error.h>

#include "ir/infer.h"

namespace intaglio {
namespace {

// A type of higher rank keeps its own width; a lower rank only lifts it to a higher kind (bool < integer < float < complex).
std::optional<DType> combine(std::optional<DType> higher, std::optional<DType> lower) {
  if (!higher) return lower;
  if (!lower || is_complex(*higher)) return higher;
  if (is_floating(*higher)) return is_complex(*lower) ? promote(*higher, *lower) : *higher;
  if (*higher == DType::boolean || is_floating(*lower) || is_complex(*lower)) return promote(*higher, *lower);
  return higher;
}

}  // namespace

DType result_type(std::span<const PromotionOperand> operands) {
  std::optional<DType> by_rank[3];
  for (const PromotionOperand& operand : operands) {
    std::optional<DType>& slot = by_rank[static_cast<size_t>(operand.rank)];
    slot = slot ? promote(*slot, operand.dtype) : operand.dtype;
  }
  const std::optional<DType> result = combine(by_rank[2], combine(by_rank[1], by_rank[0]));
  if (!result) throw_bug("result_type of no operands");
  return *result;
}

std::optional<PromotionOperand> promotion_operand(const Argument& argument) {
  if (Value* const* value = argument.get_if<Value*>(); value && *value) {
    switch ((*value)->kind()) {
      case ValueKind::tensor:
        return PromotionOperand{(*value)->dtype(), (*value)->sizes().empty() ? PromotionRank::zero_dim : PromotionRank::tensor};
      case ValueKind::sym_int: return PromotionOperand{DType::int64, PromotionRank::number};
      case ValueKind::sym_float: return PromotionOperand{DType::float32, PromotionRank::number};
      case ValueKind::sym_bool: return PromotionOperand{DType::boolean, PromotionRank::number};
      default: return std::nullopt;
    }
  }
  if (argument.is<int64_t>()) return PromotionOperand{DType::int64, PromotionRank::number};
  if (argument.is<double>()) return PromotionOperand{DType::float32, PromotionRank::number};
  if (argument.is<bool>()) return PromotionOperand{DType::boolean, PromotionRank::number};
  if (argument.is<std::complex<double>>()) return PromotionOperand{DType::complex64, PromotionRank::number};
  return std::nullopt;
}

}  // namespace intaglio
