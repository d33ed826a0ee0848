// softmax(q k^T * scale + mask) v.
//
// A row whose keys are all masked out gives zeros in PyTorch and NaN in a plain softmax. Such rows cannot occur without
// a mask or under a causal one; they are guarded against only for masks that are computed or given at run time, or that
// are known to have such a row.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

// Grouped-query attention: each key and value head serves several query heads.
Value* repeat_heads(GraphBuilder& b, const Node& n, Value* x, const SymInt& heads) {
  const std::vector<SymInt>& sizes = x->sizes();
  if (sizes.size() < 3 || sizes[sizes.size() - 3] == heads) return x;
  if (!heads.is_static() || !sizes[sizes.size() - 3].is_static() || heads.value() % sizes[sizes.size() - 3].value() != 0)
    refuse(n, "the query heads are no multiple of the key heads");
  std::vector<SymInt> grouped = sizes, merged = sizes;
  grouped.insert(grouped.end() - 2, heads.value() / sizes[sizes.size() - 3].value());
  merged[merged.size() - 3] = heads;
  return b.view(b.expand(b.unsqueeze(x, -3), grouped), merged);
}

double lowest(DType dtype) {
  switch (dtype) {
    case DType::float16: return -65504;
    case DType::bfloat16: return -0x1.fep127;
    case DType::float64: return std::numeric_limits<double>::lowest();
    default: return std::numeric_limits<float>::lowest();
  }
}

// A size that an input has too is read there: all layers then share what is made of it.
Argument length(GraphBuilder& b, Value* x, int64_t dim) {
  const SymInt& wanted = x->sizes()[static_cast<size_t>(dim)];
  for (Value* input : b.program().user_inputs())
    for (size_t i = 0; input->is_tensor() && i < input->sizes().size(); ++i)
      if (!wanted.is_static() && input->sizes()[i] == wanted) return b.size(input, static_cast<int64_t>(i));
  return b.size(x, dim);
}

// 0 where a key stands at or before the query's own position, else the lowest number, to be added to the scores. Made when
// the program runs, of arithmetic alone, which backends take: clamp(key - query, 0, 1) * lowest.
Value* causal_bias(GraphBuilder& b, Value* query, Value* key, DType dtype) {
  const auto positions = [&](Value* x) {
    return b.call("aten.arange.default", {length(b, x, x->meta().rank() - 2)}, {{"dtype", DType::float32}});
  };
  Value* ahead = b("aten.sub.Tensor", positions(key), b.unsqueeze(positions(query), 1));
  return b("aten.mul.Tensor", b.cast(b("aten.clamp.default", ahead, 0, 1), dtype), lowest(dtype));
}

// Keys at or before the query's own position.
Value* causal_mask(GraphBuilder& b, const Node& n, const SymInt& queries, const SymInt& keys) {
  constexpr int64_t largest = int64_t{1} << 26;
  if (queries.value() > largest / std::max<int64_t>(1, keys.value())) refuse(n, "the causal mask would be too large");
  Tensor mask = Tensor::empty(DType::boolean, {queries.value(), keys.value()});
  bool* data = mask.mutable_data<bool>();
  for (int64_t q = 0; q < queries.value(); ++q)
    for (int64_t k = 0; k < keys.value(); ++k) *data++ = k <= q;
  return b.constant(std::move(mask));
}

// True when some row of a constant mask lets nothing pass (false, or minus infinity), or when it is not known.
bool may_mask_whole_rows(const ExportedProgram& program, const Value* mask) {
  const Tensor* known = program.is_constant(mask) ? program.constant(mask) : nullptr;
  if (!known || known->rank() == 0 || known->size(-1) == 0) return true;
  const bool is_boolean = known->dtype() == DType::boolean;
  const Tensor dense = is_boolean ? known->contiguous() : converted(*known, DType::float32).contiguous();
  const auto passes = [&](int64_t i) { return is_boolean ? dense.data<bool>()[i] : dense.data<float>()[i] != minus_infinity; };
  for (int64_t row = 0; row < dense.numel(); row += dense.size(-1)) {
    bool any = false;
    for (int64_t k = 0; k < dense.size(-1); ++k) any = any || passes(row + k);
    if (!any) return true;
  }
  return false;
}

// Only constants are behind the value: folding will know it.
bool is_of_constants(const ExportedProgram& program, const Value* value, std::set<const Value*>& seen) {
  if (!seen.insert(value).second || program.is_constant(value)) return true;
  const Node* node = value->producer();
  if (!node) return false;
  return std::ranges::all_of(node->inputs(), [&](const Value* input) { return is_of_constants(program, input, seen); });
}

// Where nothing but minus infinity lies along a dimension.
Value* all_masked(GraphBuilder& b, Value* scores, int64_t dim) {
  Value* alive = b("aten.logical_not.default", b("aten.eq.Scalar", scores, minus_infinity));
  return b("aten.logical_not.default", b("aten.any.dim", alive, dim, true));
}

// A mask that is computed or given when the program runs: what is added to the scores, and 1 or 0 for each row of the weights. Both
// depend on the mask alone, so that all layers share them, and what is left in each layer is arithmetic, which backends take. What is
// masked out gets half the lowest number: a row of nothing else stays finite until it is multiplied by 0.
struct RunTimeMask {
  Value *bias, *alive;
};
RunTimeMask run_time_mask(GraphBuilder& b, Value* mask, DType dtype) {
  const bool is_boolean = mask->dtype() == DType::boolean;
  Value* passes = is_boolean ? mask : b("aten.ne.Scalar", mask, minus_infinity);
  const double low = lowest(dtype) / 2;
  Value* bias = is_boolean ? b("aten.mul.Tensor", b("aten.sub.Tensor", b.cast(mask, dtype), 1), -low) : b("aten.clamp.default", mask, low);
  return {bias, b.cast(b("aten.any.dim", passes, -1, true), dtype)};
}

Values attention(GraphBuilder& b, const Node& n) {
  Value *query = n.tensor("query"), *key = n.tensor("key"), *value = n.tensor("value"), *mask = n.optional_tensor("attn_mask");
  if (n.number("dropout_p") != 0) refuse(n, "attention with dropout; call eval() before the export");
  const std::vector<SymInt>& sizes = query->sizes();
  if (n.op().schema()->find("enable_gqa") && n.boolean("enable_gqa") && sizes.size() > 2) {
    key = repeat_heads(b, n, key, sizes[sizes.size() - 3]);
    value = repeat_heads(b, n, value, sizes[sizes.size() - 3]);
  }
  if (!sizes.back().is_static()) refuse(n, "the head size must be fixed");
  const double scale = n.optional_number("scale").value_or(1 / std::sqrt(static_cast<double>(sizes.back().value())));
  const SymInt &queries = sizes[sizes.size() - 2], &keys = key->sizes()[key->sizes().size() - 2];
  const bool any_length = n.boolean("is_causal") && (!queries.is_static() || !keys.is_static());
  if (n.boolean("is_causal") && !any_length) mask = causal_mask(b, n, queries, keys);

  Ints swapped(static_cast<size_t>(key->meta().rank()));
  for (size_t i = 0; i < swapped.size(); ++i) swapped[i] = static_cast<int64_t>(i);
  std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
  Value* scaled = b("aten.mul.Tensor", query, scale);
  Value* scores = b("aten.matmul.default", scaled, b.permute(key, swapped));
  if (any_length) scores = b("aten.add.Tensor", scores, causal_bias(b, query, key, scores->dtype()));
  Value *dead = nullptr, *alive = nullptr;
  std::set<const Value*> seen;
  if (mask && !is_of_constants(b.program(), mask, seen)) {
    const RunTimeMask known = run_time_mask(b, mask, scores->dtype());
    scores = b("aten.add.Tensor", scores, known.bias);
    alive = known.alive;
  } else if (mask && mask->dtype() == DType::boolean) {
    scores = b("aten.where.self", mask, scores, b.number(minus_infinity, scores->dtype()));
    if (may_mask_whole_rows(b.program(), mask)) dead = b("aten.logical_not.default", b("aten.any.dim", mask, -1, true));
  } else if (mask) {
    scores = b("aten.add.Tensor", scores, mask);
    if (may_mask_whole_rows(b.program(), mask)) dead = all_masked(b, mask, -1);
  }
  Value* weights = b("aten._softmax.default", scores, -1, false);
  if (dead) weights = b("aten.where.self", dead, b.number(0, weights->dtype()), weights);
  if (alive) weights = b("aten.mul.Tensor", weights, alive);
  return {b("aten.matmul.default", weights, value)};
}

Values safe_softmax(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  Value* weights = b("aten._softmax.default", x, n.integer("dim"), false);
  return {b("aten.where.self", all_masked(b, x, n.integer("dim")), b.number(0, weights->dtype()), weights)};
}

constexpr DecompositionRow attention_rows[] = {
    {"aten._safe_softmax.default", safe_softmax},
    {"aten.scaled_dot_product_attention.default", attention},
};

}  // namespace

std::span<const DecompositionRow> attention_decompositions() { return attention_rows; }

}  // namespace intaglio::decompose
