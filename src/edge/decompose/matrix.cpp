// Matrix products. A linear layer stays one op: its kernel is many times faster than a transposed addmm.
#include "edge/decompose/tables.h"
#include "ir/infer.h"

namespace intaglio {
namespace {

std::vector<SymInt> batch_of(Value* x) { return {x->sizes().begin(), x->sizes().end() - 2}; }

std::vector<SymInt> joined(std::vector<SymInt> front, std::initializer_list<SymInt> back) {
  front.insert(front.end(), back);
  return front;
}

Values linear(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("input"), *weight = n.tensor("weight"), *bias = n.optional_tensor("bias");
  const DType dtype = x->dtype();
  const bool has_kernel = weight->meta().rank() == 2 && (dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16);
  if (has_kernel) return {};
  Value* transposed = weight->meta().rank() == 2 ? b.permute(weight, {1, 0}) : weight;
  Value* product = b("aten.matmul.default", x, transposed);
  return {bias ? b("aten.add.Tensor", product, bias) : product};
}

// Batches become one dimension; operands are expanded to each other first.
Value* batched(GraphBuilder& b, const Node& n, Value* x, Value* y) {
  const auto batch = broadcast_sizes(batch_of(x), batch_of(y));
  if (!batch) refuse(n, "the batch dimensions do not fit");
  const SymInt rows = x->sizes()[x->sizes().size() - 2], inner = x->sizes().back(), columns = y->sizes().back();
  const SymInt count = size_quotient(*batch, {});
  Value* left = b.view(b.expand(x, joined(*batch, {rows, inner})), {count, rows, inner});
  Value* right = b.view(b.expand(y, joined(*batch, {inner, columns})), {count, inner, columns});
  Value* product = b("aten.bmm.default", left, right);
  return b.view(product, joined(*batch, {rows, columns}));
}

Values matmul(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("self"), *y = n.tensor("other");
  const int64_t left = x->meta().rank(), right = y->meta().rank();
  if (left == 1 && right == 1) return {b("aten.dot.default", x, y)};
  if (left == 1) return {b.squeeze(b("aten.matmul.default", b.unsqueeze(x, 0), y), -2)};
  if (right == 1) {  // a product and a sum, row by row
    return {b("aten.sum.dim_IntList", b("aten.mul.Tensor", x, y), Ints{-1})};
  }
  if (left == 2 && right == 2) return {b("aten.mm.default", x, y)};
  if (left > 2 && right == 2) {
    const SymInt inner = x->sizes().back();
    Value* rows = b.view(x, {size_quotient(std::vector<SymInt>(x->sizes().begin(), x->sizes().end() - 1), {}), inner});
    std::vector<SymInt> sizes = x->sizes();
    sizes.back() = y->sizes().back();
    return {b.view(b("aten.mm.default", rows, y), sizes)};
  }
  return {batched(b, n, x, y)};
}

Values dot(GraphBuilder& b, const Node& n) {
  Value* product = b("aten.mul.Tensor", n.tensor("self"), n.tensor("tensor"));
  return {b("aten.sum.dim_IntList", product, Ints{})};
}
Values mv(GraphBuilder& b, const Node& n) { return {b("aten.matmul.default", n.tensor("self"), n.tensor("vec"))}; }

Value* times(GraphBuilder& b, Value* x, const Node& n, std::string_view factor) {
  return n.number(factor) == 1 ? x : b("aten.mul.Tensor", x, n.argument(factor));
}
Values baddbmm(GraphBuilder& b, const Node& n) {
  Value* product = times(b, b("aten.bmm.default", n.tensor("batch1"), n.tensor("batch2")), n, "alpha");
  if (n.number("beta") == 0) return {product};
  return {b("aten.add.Tensor", product, times(b, n.tensor("self"), n, "beta"))};
}

Values outer(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("self"), *y = n.tensor(n.op().schema()->arguments[1].name);
  return {b("aten.mul.Tensor", b.view(x, {x->sizes()[0], 1}), y)};
}

constexpr DecompositionRow rows[] = {
    {"aten.linear.default", linear},
    {"aten.matmul.default", matmul},
    {"aten.dot.default", dot},
    {"aten.mv.default", mv},
    {"aten.baddbmm.default", baddbmm},
    {"aten.outer.default", outer},
    {"aten.ger.default", outer},
};

}  // namespace

std::span<const DecompositionRow> matrix_decompositions() { return rows; }

}  // namespace intaglio
