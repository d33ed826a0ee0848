// softmax(q k^T * scale + mask) v.
//
// A row whose keys are all masked out gives zeros in PyTorch and NaN in a plain softmax. Such rows cannot occur without
// a mask or under a causal one; they are guarded against only for masks that are computed or given at run time, or that
// are known to have such a row: they attend to all keys, and their results are multiplied by zero. That asks the mask alone,
// so all layers share the answer, and what is computed from the scores stays arithmetic.
#include <algorithm>
#include <cmath>
#include <limits>

#include "decompose/limits.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

// Grouped-query attention: each key and value head serves several query heads.
Value* repeat_heads(GraphBuilder& b, const Node& n, Value* x, const SymInt& heads) {
  const SymSizes& sizes = x->sizes();
  if (sizes.size() < 3 || sizes[sizes.size() - 3] == heads) return x;
  if (!heads.is_static() || !sizes[sizes.size() - 3].is_static() || sizes[sizes.size() - 3].value() < 1 ||
      heads.value() % sizes[sizes.size() - 3].value() != 0)
    refuse(n, "the query heads are no multiple of the key heads");
  SymSizes grouped = sizes, merged = sizes;
  grouped.insert_at(grouped.size() - 2, heads.value() / sizes[sizes.size() - 3].value());
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
  Value* own = b.unsqueeze(positions(query), 1);
  Value* ahead = b("aten.sub.Tensor", positions(key), own);
  return b("aten.mul.Tensor", b.cast(b("aten.clamp.default", ahead, 0, 1), dtype), lowest(dtype));
}

// Keys at or before the query's own position.
Value* causal_mask(GraphBuilder& b, const Node& n, const SymInt& queries, const SymInt& keys) {
  Tensor mask = bounded_zeros(n, DType::boolean, {queries.value(), keys.value()});
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

// What is added to the scores, and a factor of each row's result: one, or zero where no key takes part; null when no row is so.
struct Guarded {
  Value* bias = nullptr;
  Value* alive = nullptr;
};

// Of a mask of booleans.
Guarded guarded_choice(GraphBuilder& b, Value* mask, int64_t dim, DType dtype) {
  Value* alive = b("aten.any.dim", mask, dim, true);
  Value* passes = b("aten.logical_or.default", mask, b("aten.logical_not.default", alive));
  Value* infinity = b.number(minus_infinity, dtype);
  Value* chosen = b("aten.where.self", passes, b.number(0, dtype), infinity);
  return {chosen, b.cast(alive, dtype)};
}

// Of numbers to be added, by arithmetic, which backends take: minus infinity is the one number that its nearest finite one does not
// cancel, and exp makes 0 of the difference, log minus infinity of 0.
Guarded guarded_sum(GraphBuilder& b, Value* mask, int64_t dim, DType dtype) {
  Value* largest = b("aten.amax.default", mask, Ints{dim}, true);
  Value* finite = b("aten.clamp.default", largest, lowest(mask->dtype()));
  Value* alive = b("aten.exp.default", b("aten.sub.Tensor", largest, finite));
  Value* dead = b("aten.add.Tensor", b("aten.neg.default", alive), 1);
  return {b("aten.maximum.default", mask, b("aten.log.default", dead)), b.cast(alive, dtype)};
}

Guarded guarded(GraphBuilder& b, Value* mask, int64_t dim, DType dtype) {
  return mask->dtype() == DType::boolean ? guarded_choice(b, mask, dim, dtype) : guarded_sum(b, mask, dim, dtype);
}

Values attention(GraphBuilder& b, const Node& n) {
  Value *query = n.tensor("query"), *key = n.tensor("key"), *value = n.tensor("value"), *mask = n.optional_tensor("attn_mask");
  if (n.number("dropout_p") != 0) refuse(n, "attention with dropout; call eval() before the export");
  const SymSizes& sizes = query->sizes();
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
  Value* alive = nullptr;
  if (mask && may_mask_whole_rows(b.program(), mask)) {
    const Guarded guard = guarded(b, mask, -1, scores->dtype());
    scores = b("aten.add.Tensor", scores, guard.bias);
    alive = guard.alive;
  } else if (mask && mask->dtype() == DType::boolean) {
    scores = b("aten.where.self", mask, scores, b.number(minus_infinity, scores->dtype()));
  } else if (mask) {
    scores = b("aten.add.Tensor", scores, mask);
  }
  Value* result = b("aten.matmul.default", b("aten._softmax.default", scores, -1, false), value);
  return {alive ? b("aten.mul.Tensor", result, alive) : result};
}

// Products are finite, so that minus infinity in their sum with a mask comes from the mask.
bool is_product(const Value* value) {
  constexpr std::string_view passed[] = {"aten.view.default", "aten.expand.default", "aten.permute.default", "aten.mul.Tensor",
                                         "aten.div.Tensor"};
  constexpr std::string_view products[] = {"aten.bmm.default", "aten.mm.default", "aten.matmul.default", "aten.linear.default"};
  const Node* node = value->producer();
  while (node && std::ranges::find(passed, node->op().name()) != std::end(passed)) node = node->inputs().front()->producer();
  return node && std::ranges::find(products, node->op().name()) != std::end(products);
}

Values guarded_softmax(GraphBuilder& b, Value* x, int64_t dim) {
  dim -= x->meta().rank();  // from behind: a mask may have fewer dimensions
  Value *scores = nullptr, *mask = x;
  if (const Node* sum = x->producer(); sum && sum->is("aten.add.Tensor") && sum->number("alpha") == 1)
    for (const auto& [product, added] : {std::pair("self", "other"), std::pair("other", "self")})
      if (is_product(sum->tensor(product)) && !is_product(sum->tensor(added)) && sum->tensor(added)->meta().rank() >= -dim) {
        scores = sum->tensor(product);
        mask = sum->tensor(added);
      }
  const Guarded guard = guarded(b, mask, dim, x->dtype());
  Value* weights = b("aten._softmax.default", scores ? b("aten.add.Tensor", scores, guard.bias) : guard.bias, dim, false);
  return {b("aten.mul.Tensor", weights, guard.alive)};
}

Values safe_softmax(GraphBuilder& b, const Node& n) {
  Value* x = b.cast(self(n), n.output()->dtype());
  return guarded_softmax(b, x, dim_of(n, "dim", x->meta().rank()));
}

const DecompositionRow attention_rows[] = {
    {safe_softmax, {"aten._safe_softmax.default"}},
    {attention, {"aten.scaled_dot_product_attention.default"}},
};

}  // namespace

Values written_safe_softmax(GraphBuilder& b, const Node& n) {
  const auto is = [](const Node* node, std::string_view op) { return node && node->is(op); };
  const auto behind = [&](const Node* node, std::string_view op) { return is(node, op) ? node->tensor("self")->producer() : nullptr; };
  const Node *softmax = n.tensor("other")->producer(), *zero = n.tensor("self")->producer(), *dead = n.tensor("condition")->producer();
  const Node* any = behind(dead, "aten.logical_not.default");
  const Node* masked = behind(behind(any, "aten.any.dim"), "aten.logical_not.default");
  if (!is(softmax, "aten._softmax.default") || !is(zero, "aten.full.default") || !is(masked, "aten.eq.Scalar")) return {};
  Value* x = softmax->tensor("self");
  const int64_t dim = dim_of(*softmax, "dim", x->meta().rank());
  const bool matches = masked->tensor("self") == x && masked->number("other") == minus_infinity && zero->number("fill_value") == 0 &&
                       any->boolean("keepdim") && dim_of(*any, "dim", x->meta().rank()) == dim && n.output()->sizes() == x->sizes() &&
                       n.output()->dtype() == x->dtype();
  return matches ? guarded_softmax(b, x, dim) : Values{};
}

std::span<const DecompositionRow> attention_decompositions() { return attention_rows; }

}  // namespace intaglio::decompose
