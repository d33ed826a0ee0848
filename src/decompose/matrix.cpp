// Matrix products. A linear layer stays one op: its kernel is many times faster than a transposed addmm.
#include "decompose/recognize_linear.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

SymSizes batch_of(Value* x) { return x->sizes().all_but_last(2); }

SymSizes joined(SymSizes front, std::initializer_list<SymInt> back) {
  front.insert(front.end(), back);
  return front;
}

Values linear(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("input"), *weight = n.tensor("weight"), *bias = n.optional_tensor("bias");
  if (weight->meta().rank() == 2 && has_linear_kernel(x->dtype())) return {};
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
    Value* rows = b.view(x, {size_quotient(x->sizes().all_but_last(1), {}), inner});
    SymSizes sizes = x->sizes();
    sizes.back() = y->sizes().back();
    return {b.view(b("aten.mm.default", rows, y), sizes)};
  }
  return {batched(b, n, x, y)};
}

Values dot_product(GraphBuilder& b, const Node& n) {
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

// beta * self + alpha * product
Value* added(GraphBuilder& b, const Node& n, Value* product) {
  product = times(b, product, n, "alpha");
  return n.number("beta") == 0 ? b.expand(product, n.output()->sizes())
                               : b("aten.add.Tensor", times(b, n.tensor("self"), n, "beta"), product);
}
Values addmv(GraphBuilder& b, const Node& n) { return {added(b, n, b("aten.matmul.default", n.tensor("mat"), n.tensor("vec")))}; }
Values addr(GraphBuilder& b, const Node& n) { return {added(b, n, b("aten.outer.default", n.tensor("vec1"), n.tensor("vec2")))}; }
Values addbmm(GraphBuilder& b, const Node& n) {
  return {added(b, n, b("aten.sum.dim_IntList", b("aten.bmm.default", n.tensor("batch1"), n.tensor("batch2")), Ints{0}))};
}

// Sums over the last dimensions of both.
Values inner(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("self"), *y = n.tensor("other");
  const int64_t left = x->meta().rank(), right = y->meta().rank();
  if (left == 0 || right == 0) return {b("aten.mul.Tensor", x, y)};
  if (right == 1) return {b("aten.matmul.default", x, y)};
  if (right > 2) return {b("aten.tensordot.default", x, y, Ints{left - 1}, Ints{right - 1})};
  return {b("aten.matmul.default", x, b.permute(y, {1, 0}))};
}
Values chain_of_products(GraphBuilder& b, const Node& n) {
  const Values tensors = n.tensors("tensors");
  Value* result = tensors[0];
  for (size_t i = 1; i < tensors.size(); ++i) result = b("aten.matmul.default", result, tensors[i]);
  return {result};
}
Values matrix_power(GraphBuilder& b, const Node& n) {
  constexpr int64_t highest = 64;
  const int64_t power = n.integer("n");
  if (power < 1 || power > highest) refuse(n, "there is no kernel for this power of a matrix; powers from 1 to 64 have one");
  Value *result = nullptr, *square = n.tensor("self");
  for (int64_t rest = power; rest > 0; rest /= 2) {
    if (rest % 2) result = result ? b("aten.matmul.default", result, square) : square;
    if (rest > 1) square = b("aten.matmul.default", square, square);
  }
  return {result};
}
// Every element of the first times all of the second.
Values kronecker(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("self"), *y = n.tensor("other");
  while (x->meta().rank() < y->meta().rank()) x = b.unsqueeze(x, 0);
  while (y->meta().rank() < x->meta().rank()) y = b.unsqueeze(y, 0);
  SymSizes outer_sizes, inner_sizes;
  for (size_t i = 0; i < x->sizes().size(); ++i) {
    outer_sizes.insert(outer_sizes.end(), {x->sizes()[i], 1});
    inner_sizes.insert(inner_sizes.end(), {1, y->sizes()[i]});
  }
  Value *outer = b.view(x, outer_sizes), *inner = b.view(y, inner_sizes);
  return {b.view(b("aten.mul.Tensor", outer, inner), n.output()->sizes())};
}
// x[i+1] y[i+2] - x[i+2] y[i+1]
Values cross(GraphBuilder& b, const Node& n) {
  const Argument written = n.argument("dim");
  if (written.is_none()) refuse(n, "the dimension must be given");
  Value *x = n.tensor("self"), *y = n.tensor("other");
  const Ints dim = {dim_of(n, "dim", n.output()->meta().rank()) - n.output()->meta().rank()};
  const auto turned = [&](Value* v, int64_t by) { return b("aten.roll.default", v, Ints{-by}, Ints{dim[0] + v->meta().rank()}); };
  const auto product = [&](int64_t of_x, int64_t of_y) {
    Value* right = turned(y, of_y);
    return b("aten.mul.Tensor", turned(x, of_x), right);
  };
  Value* first = product(1, 2);
  return {b("aten.sub.Tensor", first, product(2, 1))};
}

const DecompositionRow matrix_rows[] = {
    {addmv, {"aten.addmv.default"}},
    {addr, {"aten.addr.default"}},
    {addbmm, {"aten.addbmm.default"}},
    {inner, {"aten.inner.default"}},
    {chain_of_products, {"aten.linalg_multi_dot.default"}},
    {matrix_power, {"aten.matrix_power.default", "aten.linalg_matrix_power.default"}},
    {kronecker, {"aten.kron.default"}},
    {cross, {"aten.linalg_cross.default", "aten.cross.default"}},
    {linear, {"aten.linear.default"}},
    {matmul, {"aten.matmul.default"}},
    {dot_product, {"aten.dot.default"}},
    {mv, {"aten.mv.default"}},
    {baddbmm, {"aten.baddbmm.default"}},
    {outer, {"aten.outer.default", "aten.ger.default"}},
};

}  // namespace

std::span<const DecompositionRow> matrix_decompositions() { return matrix_rows; }

}  // namespace intaglio::decompose
