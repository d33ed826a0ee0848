// Scaled dot-product attention: softmax(scale * q k^T + mask) v, head by head.
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/threads.h"
#include "interpreter/fallbacks.h"
#include "interpreter/gemm.h"
#include "interpreter/kernel_table.h"
#include "interpreter/row_math.h"
#include "interpreter/strided.h"
#include "quant/narrow.h"

namespace intaglio::interp {
namespace {

struct AttentionState : NodeState {
  GemmState scores, values;
};

// Grows to the largest need of this thread.
std::vector<float>& thread_scores() {
  const UncheckedCode unchecked;
  thread_local std::vector<float> scores;
  return scores;
}

// A mask of any broadcastable shape as additive floats, or none.
Tensor additive_mask(Call& call, const Tensor& mask, const Sizes& shape) {
  const Tensor spread = mask.view_as(shape, broadcast_strides(mask, shape), mask.storage_offset());
  if (mask.dtype() != DType::boolean) return mask.dtype() == DType::float32 ? spread : converted(spread, DType::float32);
  const Tensor keep = spread.contiguous(), out = call.empty(DType::float32, shape);
  const auto* flags = static_cast<const uint8_t*>(keep.raw());
  float* to = writable<float>(out);
  for (int64_t i = 0; i < keep.numel(); ++i) to[i] = flags[i] != 0 ? 0.0f : -std::numeric_limits<float>::infinity();
  return out;
}

// [lead..., rows, columns] as [batch, rows, columns], heads of keys and values repeated for grouped queries.
Tensor as_heads(Call& call, const Tensor& x, const Sizes& lead) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  Tensor source = x;
  Sizes own(x.sizes().begin(), x.sizes().end() - 2);
  if (own.size() == lead.size() && !own.empty() && own.back() != lead.back() && own.back() > 0 && lead.back() % own.back() == 0 &&
      own.back() != 1) {
    // [.., h, ..] -> [.., h, repeats, ..]
    const int64_t repeats = lead.back() / own.back();
    Sizes sizes = own, strides(x.strides().begin(), x.strides().end() - 2);
    sizes.push_back(repeats);
    strides.push_back(0);
    sizes.insert(sizes.end(), {rows, columns});
    strides.insert(strides.end(), x.strides().end() - 2, x.strides().end());
    return own_copy(call, x.view_as(sizes, strides, x.storage_offset())).reshaped({element_count(lead), rows, columns});
  }
  Sizes full = lead;
  full.insert(full.end(), {rows, columns});
  source = x.view_as(full, broadcast_strides(x, full), x.storage_offset());
  if (lead.size() == 1) return source;
  return (source.is_contiguous() ? source : own_copy(call, source)).reshaped({element_count(lead), rows, columns});
}

// PyTorch's fused kernel on float16 and bfloat16 rounds the exponentials to that type before their product with the values, and divides
// that by the sum of the unrounded ones. It takes heads that are alike; others are computed in float32 and rounded once.
bool rounds_weights(const Tensor& query, const Tensor& key, const Tensor& value) {
  if ((query.dtype() != DType::float16 && query.dtype() != DType::bfloat16) || query.rank() != 4) return false;
  const auto alike = [&](const Tensor& x) {
    return x.size(0) == query.size(0) && x.size(1) == query.size(1) && x.size(3) == query.size(3);
  };
  return alike(key) && alike(value);
}

// Weights of the values, row by row. `rounded` to a type they are exponentials alone, and `factors` receives what a row of their products
// is to be multiplied by.
void attend(float* scores, int64_t rows, int64_t columns, float scale, const float* mask, int64_t mask_row, int64_t mask_column,
            bool causal, DType rounded, float* factors) {
  for (int64_t r = 0; r < rows; ++r) {
    float* x = scores + r * columns;
    const int64_t visible = causal ? std::min(columns, r + 1) : columns;
    for (int64_t c = 0; c < visible; ++c) x[c] *= scale;
    if (mask != nullptr)
      for (int64_t c = 0; c < visible; ++c) x[c] += mask[r * mask_row + c * mask_column];
    // A row that sees nothing is zero.
    const float top = row_maximum(x, visible);
    if (factors != nullptr) factors[r] = 1;
    if (top == -std::numeric_limits<float>::infinity()) {
      std::fill_n(x, columns, 0.0f);
      continue;
    }
    if (factors != nullptr) {
      factors[r] = static_cast<float>(1.0 / row_exponentials(x, top, visible, x));
      for (int64_t c = 0; c < visible; ++c) x[c] = quant::rounded_to(rounded, x[c]);
    } else {
      row_softmax(x, visible, false, x);
    }
    std::fill(x + visible, x + columns, 0.0f);
  }
}

void attention(Call& call) {
  const Tensor query = call.tensor("query"), key = call.tensor("key"), value = call.tensor("value");
  const DType dtype = query.dtype();
  const bool half = dtype == DType::float16 || dtype == DType::bfloat16;
  if (dtype == DType::float64) return run_elsewhere(call);
  if (!half && dtype != DType::float32) call.unsupported(fmt::format("attention on {} tensors", name(dtype)));
  call.require(key.dtype() == dtype && value.dtype() == dtype, "query, key and value differ in type");
  call.require(query.rank() >= 2 && key.rank() == query.rank() && value.rank() == query.rank(), "query, key and value differ in rank");
  if (call.floating("dropout_p") != 0) call.unsupported("attention with dropout: export the model in evaluation mode");
  const int64_t rows = query.size(-2), depth = query.size(-1), columns = key.size(-2), width = value.size(-1);
  if (key.size(-1) != depth || value.size(-2) != columns)
    call.fail(fmt::format("query [{}], key [{}] and value [{}] do not fit", fmt::join(query.sizes(), ", "), fmt::join(key.sizes(), ", "),
                          fmt::join(value.sizes(), ", ")));

  Sizes lead(query.sizes().begin(), query.sizes().end() - 2);
  const bool grouped = call.has("enable_gqa") && call.boolean("enable_gqa");
  if (!grouped) {
    const Sizes key_lead(key.sizes().begin(), key.sizes().end() - 2), value_lead(value.sizes().begin(), value.sizes().end() - 2);
    const Sizes* const shapes[] = {&lead, &key_lead, &value_lead};
    const auto common = broadcast_shape(shapes);
    call.require(common.has_value(), "query, key and value do not broadcast");
    lead = *common;
  }
  Sizes sizes = lead;
  sizes.insert(sizes.end(), {rows, width});
  const int64_t heads = element_count(lead);
  const Tensor out = call.empty(DType::float32, {heads, rows, width});
  if (out.numel() == 0 || columns == 0 || depth == 0) {
    std::fill_n(writable<float>(out), out.numel(), 0.0f);
    return call.set(converted(out.reshaped(sizes), dtype));
  }

  const auto prepared = [&](const Tensor& x) {
    return readable_matrix(call, as_heads(call, half ? converted(x, DType::float32) : x, lead));
  };
  const Tensor q = prepared(query), k = prepared(key), v = prepared(value);
  const int64_t transposition[] = {0, 2, 1};
  const Tensor keys = k.permuted(transposition);
  const Tensor* given_mask = call.optional_tensor("attn_mask");
  Tensor mask;
  if (given_mask != nullptr) {
    Sizes mask_shape = lead;
    mask_shape.insert(mask_shape.end(), {rows, columns});
    mask = additive_mask(call, *given_mask, mask_shape);
  }
  const bool causal = call.boolean("is_causal");
  const auto scale_given = call.optional_number("scale");
  const float scale = static_cast<float>(scale_given ? scale_given->as_double() : 1.0 / std::sqrt(static_cast<double>(depth)));

  const bool rounds = rounds_weights(query, key, value);
  AttentionState& state = call.state<AttentionState>();
  const auto scores_entry = gemm_entry(state.scores, matrix_of(q), matrix_of(keys), false, false, nullptr);
  const Matrix weights = {nullptr, rows, columns, columns, 1};
  const auto values_entry = gemm_entry(state.values, weights, matrix_of(v), false, false, nullptr);
  float* to = writable<float>(out);
  const auto run_head = [&](size_t index) {
    const int64_t h = static_cast<int64_t>(index);
    std::vector<float>& scores = thread_scores();
    scores.resize(static_cast<size_t>(rows * columns));
    gemm_run(*scores_entry, q.data<float>() + h * q.strides()[0], dnnl_memory(scores_entry->b, keys.data<float>() + h * keys.strides()[0]),
             nullptr, scores.data());
    const float* mask_head = nullptr;
    int64_t mask_row = 0, mask_column = 0;
    if (mask.defined()) {
      int64_t offset = 0, rest = h;
      for (size_t d = lead.size(); d-- > 0;) {
        offset += rest % lead[d] * mask.strides()[d];
        rest /= lead[d];
      }
      mask_head = mask.data<float>() + offset;
      mask_row = mask.strides()[lead.size()];
      mask_column = mask.strides()[lead.size() + 1];
    }
    std::vector<float> factors(rounds ? static_cast<size_t>(rows) : 0);
    attend(scores.data(), rows, columns, scale, mask_head, mask_row, mask_column, causal, dtype, rounds ? factors.data() : nullptr);
    float* const mixed = to + h * rows * width;
    gemm_run(*values_entry, scores.data(), dnnl_memory(values_entry->b, v.data<float>() + h * v.strides()[0]), nullptr, mixed);
    for (size_t r = 0; r < factors.size(); ++r) {
      float* const row = mixed + static_cast<int64_t>(r) * width;
      row_affine(row, 0, factors[r], nullptr, nullptr, width, row);
    }
  };
  parallel_for(static_cast<size_t>(heads), rows * columns * depth * heads < (1 << 22) ? 1 : call.threads(), run_head);
  call.set(converted(out.reshaped(sizes), dtype));
}

}  // namespace

std::span<const Kernel> attention_kernels() {
  static const Kernel table[] = {{"aten.scaled_dot_product_attention.default", attention}};
  return table;
}

}  // namespace intaglio::interp
