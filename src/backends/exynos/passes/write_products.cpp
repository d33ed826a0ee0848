// softmax(q k^T * scale + mask) v, and products of batches of matrices, in operators that the compiler has nodes for.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backends/exynos/passes/passes.h"
#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "ir/infer.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view attention_op = "aten.scaled_dot_product_attention.default", matmul_op = "aten.matmul.default",
                           matrices_op = "aten.mm.default", transpose_op = "aten.transpose_copy.int";

SymSizes joined(SymSizes front, std::initializer_list<SymInt> back) {
  front.insert(front.end(), back);
  return front;
}
SymSizes batch_of(const Value* x) { return {x->sizes().begin(), x->sizes().end() - 2}; }

std::vector<int64_t> swapped(int64_t rank, int64_t a, int64_t b) {
  std::vector<int64_t> order(static_cast<size_t>(rank));
  std::iota(order.begin(), order.end(), 0);
  std::swap(order[static_cast<size_t>(a < 0 ? a + rank : a)], order[static_cast<size_t>(b < 0 ? b + rank : b)]);
  return order;
}

double scale_of(const Node& attention) {
  const int64_t head = attention.tensor("query")->sizes().back().value();
  return attention.optional_number("scale").value_or(1 / std::sqrt(static_cast<double>(head)));
}

class Writer {
 public:
  Writer(ExportedProgram& program, Node& node, bool is_original) : b_(program, node), is_original_(is_original) {}

  Value* product(Value* x, Value* y) {
    const SymSizes batch = *broadcast_sizes(batch_of(x), batch_of(y));
    const SymInt rows = x->sizes()[x->sizes().size() - 2], inner = x->sizes().back(), columns = y->sizes().back();
    const SymInt count = size_quotient(batch, {});
    Value* left = reshaped(expanded(x, joined(batch, {rows, inner})), {count, rows, inner});
    Value* right = reshaped(expanded(y, joined(batch, {inner, columns})), {count, inner, columns});
    return reshaped(b_("aten.bmm.default", left, right), joined(batch, {rows, columns}));
  }

  Value* attention(const Node& n) {
    Value *query = n.tensor("query"), *key = n.tensor("key"), *value = n.tensor("value"), *mask = n.optional_tensor("attn_mask");
    const int64_t rank = query->meta().rank();
    // PyTorch's own parts share the scale out between both.
    const double scale = is_original_ ? std::sqrt(scale_of(n)) : scale_of(n);
    Value* scaled = b_("aten.mul.Scalar", query, scale);
    Value* turned = permuted(key, swapped(rank, -2, -1));
    if (is_original_) turned = b_("aten.mul.Scalar", turned, scale);
    Value* scores = product(scaled, turned);
    if (n.boolean("is_causal")) mask = causal_mask(*scores);
    if (mask) scores = b_("aten.add.Tensor", scores, mask);
    Value* result = product(b_("aten._safe_softmax.default", scores, int64_t{-1}), value);
    const bool is_flash = rank == 4 && query->sizes()[3] == value->sizes()[3];
    return is_original_ && is_flash ? permuted(permuted(result, {2, 0, 1, 3}), {1, 2, 0, 3}) : result;
  }

  Value* permuted(Value* x, const std::vector<int64_t>& order) { return b_("aten.permute_copy.default", x, order); }

 private:
  Value* expanded(Value* x, const SymSizes& sizes) {
    return x->sizes() == sizes && !is_original_ ? x : b_("aten.expand_copy.default", x, b_.sizes(sizes, {}, false));
  }
  Value* reshaped(Value* x, const SymSizes& sizes) {
    return x->sizes() == sizes && !is_original_ ? x : b_("aten.view_copy.default", x, b_.sizes(sizes, {}, false));
  }

  // To be added: 0 where a key stands at or before the query's own position.
  Value* causal_mask(const Value& scores) {
    const int64_t rows = scores.sizes()[scores.sizes().size() - 2].value(), columns = scores.sizes().back().value();
    Tensor mask = Tensor::empty(DType::float32, {rows, columns});
    float* data = mask.mutable_data<float>();
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t column = 0; column < columns; ++column) *data++ = column <= row ? 0 : -std::numeric_limits<float>::infinity();
    return b_.constant(converted(mask, scores.dtype()));
  }

  decompose::GraphBuilder b_;
  bool is_original_;
};

bool is_writable_attention(const Node& n, Compat compat) {
  constexpr int64_t largest = int64_t{1} << 26;  // elements of a mask
  const Value *query = n.tensor("query"), *key = n.tensor("key"), *value = n.tensor("value"), *mask = n.optional_tensor("attn_mask");
  const int64_t rank = query->meta().rank();
  if (rank < 3 || key->meta().rank() != rank || value->meta().rank() != rank) return false;
  if (batch_of(query) != batch_of(key) || batch_of(query) != batch_of(value)) return false;  // groups of heads
  if (n.number("dropout_p") != 0 || (mask && !is_floating(mask->dtype())) || scale_of(n) <= 0) return false;
  if (!n.boolean("is_causal")) return true;
  const size_t rows = static_cast<size_t>(rank) - 2;
  return compat == Compat::intaglio && query->sizes()[rows].value() * key->sizes()[rows].value() <= largest;
}

}  // namespace

bool is_written(const Node& node, Compat compat) {
  const bool is_attention = node.is(attention_op), is_product = node.is(matmul_op) && compat == Compat::torchao;
  const bool is_of_matrices = node.is(matrices_op) && compat == Compat::intaglio;
  if (!is_attention && !is_product && !is_of_matrices) return false;
  if (!std::ranges::all_of(node.inputs(), [](const Value* value) { return value->is_tensor() && value->meta().is_static(); })) return false;
  if (is_attention) return is_writable_attention(node, compat);
  return is_of_matrices || (node.tensor("self")->meta().rank() > 2 && node.tensor("other")->meta().rank() > 2);
}

void write_products(ExportedProgram& program, Compat compat) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    const bool is_transpose = node->is(transpose_op);
    if (!is_transpose && !is_written(*node, compat)) continue;
    Writer writer(program, *node, compat == Compat::torchao);
    Value* result = nullptr;
    if (is_transpose) {
      Value* x = node->tensor("self");
      result = writer.permuted(x, swapped(x->meta().rank(), node->integer("dim0"), node->integer("dim1")));
    } else if (node->is(attention_op)) {
      result = writer.attention(*node);
    } else {
      result = writer.product(node->tensor("self"), node->tensor(node->is(matmul_op) ? "other" : "mat2"));
    }
    decompose::replace_result(graph, node->output(), result);
    graph.erase(node);
  }
}

}  // namespace intaglio::exynos
