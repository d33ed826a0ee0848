// Bags of embeddings: rows of a table, summed, averaged or maximized bag by bag.
#include <limits>

#include "decompose/limits.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

enum Mode : int64_t { kind_sum = 0, kind_mean = 1, kind_max = 2 };

// The length of every bag when the offsets are a range, as they are for bags that come as rows of a matrix.
std::optional<int64_t> equal_length(const Node& n, int64_t indices) {
  const Node* range = n.tensor("offsets")->producer();
  const SymInt& bags = n.output()->sizes()[0];
  if (!range || !range->is("aten.arange.start_step") || !bags.is_static() || bags.value() == 0) return std::nullopt;
  const Argument start = range->argument("start"), step = range->argument("step");
  const auto *first = start.get_if<int64_t>(), *length = step.get_if<int64_t>();
  const bool equal =
      first && *first == 0 && length && *length > 0 && bags.value() * *length == indices && !n.boolean("include_last_offset");
  return equal ? std::optional(*length) : std::nullopt;
}

// [bags, indices]: which index is in which bag. The last bag may be said to end with the indices, whatever its last offset.
Value* membership(GraphBuilder& b, const Node& n, int64_t indices, bool to_the_end) {
  Value* starts = n.tensor("offsets");
  const SymInt& count = starts->sizes()[0];
  if (!count.is_static()) refuse(n, "the number of bags must be fixed");
  const int64_t bags = count.value() - n.boolean("include_last_offset");
  const bool given = bags < count.value() && !to_the_end;
  Value* end = b.constant(converted(Tensor::of<int64_t>({indices}, {1}), starts->dtype()));
  Value* ends = given      ? b.slice(starts, 0, 1, count.value())
                : bags < 2 ? end
                           : b("aten.cat.default", Values{b.slice(starts, 0, 1, bags), end}, 0);
  if (bags < count.value()) starts = b.slice(starts, 0, 0, bags);
  Value* positions = b.constant(converted(Tensor::of<int64_t>(counted_numbers(n, indices), {indices}), starts->dtype()));
  Value* after = b("aten.ge.Tensor", positions, b.unsqueeze(starts, 1));
  return b("aten.logical_and.default", after, b("aten.lt.Tensor", positions, b.unsqueeze(ends, 1)));
}

Values embedding_bag(GraphBuilder& b, const Node& n) {
  Value *weight = n.tensor("weight"), *indices = n.tensor("indices"), *factors = n.optional_tensor("per_sample_weights");
  const int64_t mode = n.integer("mode");
  const Argument padding = n.op().schema()->find("padding_idx") ? n.argument("padding_idx") : Argument();
  const auto* skipped = padding.get_if<int64_t>();
  const SymInt &count = indices->sizes()[0], &width = weight->sizes()[1];
  if (!count.is_static()) refuse(n, "the number of indices must be fixed");
  const DType dtype = weight->dtype();

  Value* rows = b("aten.embedding.default", weight, indices);
  if (factors) rows = b("aten.mul.Tensor", rows, b.unsqueeze(factors, 1));
  Value* valid = nullptr;
  if (skipped && *skipped >= 0) valid = b("aten.ne.Scalar", indices, *skipped);

  // [bags, length, width] and which of them count: [bags, length, 1]
  Value *bags = nullptr, *counted = nullptr;
  if (const auto length = equal_length(n, count.value())) {
    const SymInt number = count.value() / *length;
    bags = b.view(rows, {number, *length, width});
    counted = valid ? b.view(valid, {number, *length, 1}) : b.full({number, *length, 1}, true, DType::boolean);
  } else {
    // Where a last offset comes before the end of the indices, PyTorch stops there to add, and nowhere else.
    counted = membership(b, n, count.value(), mode == kind_max);
    if (valid) counted = b("aten.logical_and.default", counted, valid);
    if (mode != kind_max) {
      Value* chosen = b.cast(counted, dtype);
      Value* sum = b("aten.mm.default", chosen, rows);
      if (mode == kind_sum) return {sum, nullptr, nullptr, nullptr};
      if (n.boolean("include_last_offset") && !valid) chosen = b.cast(membership(b, n, count.value(), true), dtype);
      Value* size = b("aten.clamp.default", b("aten.sum.dim_IntList", chosen, Ints{1}, true), 1);
      return {b("aten.div.Tensor", sum, size), nullptr, nullptr, nullptr};
    }
    bags = rows;
    counted = b.unsqueeze(counted, 2);
  }
  const bool all_count = !valid && bags != rows;
  if (mode == kind_max) {
    Value* lowest = b.number(-std::numeric_limits<double>::infinity(), dtype);
    Value* largest = b("aten.amax.default", all_count ? bags : b("aten.where.self", counted, bags, lowest), Ints{1});
    if (all_count) return {largest, nullptr, nullptr, nullptr};
    Value* empty = b("aten.logical_not.default", b("aten.any.dim", counted, 1));
    return {b("aten.where.self", empty, b.number(0, dtype), largest), nullptr, nullptr, nullptr};
  }
  if (all_count && mode == kind_mean) return {b("aten.mean.dim", bags, Ints{1}), nullptr, nullptr, nullptr};
  if (all_count) return {b("aten.sum.dim_IntList", bags, Ints{1}), nullptr, nullptr, nullptr};
  Value* sum = b("aten.sum.dim_IntList", b("aten.where.self", counted, bags, b.number(0, dtype)), Ints{1});
  if (mode == kind_sum) return {sum, nullptr, nullptr, nullptr};
  Value* size = b("aten.clamp.default", b("aten.sum.dim_IntList", b.cast(counted, dtype), Ints{1}), 1);
  return {b("aten.div.Tensor", sum, size), nullptr, nullptr, nullptr};
}

const DecompositionRow embedding_rows[] = {
    {embedding_bag,
     {"aten.embedding_bag.default", "aten.embedding_bag.padding_idx", "aten._embedding_bag.default",
      "aten._embedding_bag_forward_only.default"}},
};

}  // namespace

std::span<const DecompositionRow> embedding_decompositions() { return embedding_rows; }

}  // namespace intaglio::decompose
