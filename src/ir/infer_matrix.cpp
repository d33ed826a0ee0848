// Matrix products, linear layers and attention.
#include <algorithm>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

void require_rank(const Inference& in, const SymSizes& sizes, size_t rank) {
  in.require(sizes.size() == rank, "an operand has the wrong number of dimensions");
}
void require_inner(const Inference& in, const SymInt& a, const SymInt& b) {
  in.require(!surely_differ(a, b), "the inner sizes of the product differ");
}

void mm(Inference& in) {
  const SymSizes &a = in.sizes("self"), &b = in.sizes("mat2");
  require_rank(in, a, 2);
  require_rank(in, b, 2);
  require_inner(in, a[1], b[0]);
  in.result(in.operand("self").dtype, {a[0], b[1]});
}

void mv(Inference& in) {
  const SymSizes &a = in.sizes("self"), &b = in.sizes("vec");
  require_rank(in, a, 2);
  require_rank(in, b, 1);
  require_inner(in, a[1], b[0]);
  in.result(in.operand("self").dtype, {a[0]});
}

void dot(Inference& in) { in.result(in.operand("self").dtype, {}); }

void bmm(Inference& in) {
  const SymSizes &a = in.sizes("self"), &b = in.sizes("mat2");
  require_rank(in, a, 3);
  require_rank(in, b, 3);
  require_inner(in, a[2], b[1]);
  in.require(!surely_differ(a[0], b[0]), "the batch sizes differ");
  in.result(in.operand("self").dtype, {a[0], a[1], b[2]});
}

// A matrix of bytes with a scale for each row of it; only half and single precision are computed.
void mixed_mm(Inference& in) {
  const bool is_linear = in.node.op().base() == "mixed_linear";
  const SymSizes &a = in.sizes("input"), &weight = in.sizes("weight"), &scales = in.sizes("weight_scales");
  in.require(is_linear ? !a.empty() : a.size() == 2, "an operand has the wrong number of dimensions");
  require_rank(in, weight, 2);
  require_inner(in, a.back(), weight[is_linear ? 1 : 0]);
  in.require(!scales.empty() && !surely_differ(scales[0], weight[0]), "the scales do not fit the weight's rows");
  SymSizes sizes = a;
  sizes.back() = weight[is_linear ? 0 : 1];
  in.result(is_linear ? written_dtype(in, in.operand("input").dtype) : in.operand("input").dtype, std::move(sizes));
}

// Of the last dimensions; with a scalar, a product of elements.
void inner(Inference& in) {
  const SymSizes &a = in.sizes("self"), &b = in.sizes("other");
  if (a.empty() || b.empty()) return in.result(in.operand("self").dtype, a.empty() ? b : a);
  require_inner(in, a.back(), b.back());
  SymSizes sizes = a.all_but_last(1);
  for (const SymInt& size : b.all_but_last(1)) sizes.push_back(size);
  in.result(in.operand("self").dtype, std::move(sizes));
}

// Distances between the rows of two matrices, and between those of one.
void distances(Inference& in) {
  const SymSizes &a = in.sizes("x1"), &b = in.sizes("x2");
  in.require(a.size() >= 2 && b.size() >= 2, "an operand is not a matrix");
  require_inner(in, a.back(), b.back());
  SymSizes sizes = in.broadcast(a.all_but_last(2), b.all_but_last(2));
  sizes.push_back(a[a.size() - 2]);
  sizes.push_back(b[b.size() - 2]);
  in.result(in.operand("x1").dtype, std::move(sizes));
}
void distances_within(Inference& in) {
  const SymSizes& rows = in.sizes("self");
  require_rank(in, rows, 2);
  in.result(in.operand("self").dtype, {floor_div(rows[0] * (rows[0] - SymInt(1)), 2)});
}

void addmm(Inference& in) {
  const SymSizes &a = in.sizes("mat1"), &b = in.sizes("mat2");
  require_rank(in, a, 2);
  require_rank(in, b, 2);
  require_inner(in, a[1], b[0]);
  in.broadcast(in.sizes("self"), {a[0], b[1]});
  in.result(in.operand("mat1").dtype, {a[0], b[1]});
}

void baddbmm(Inference& in) {
  const SymSizes &a = in.sizes("batch1"), &b = in.sizes("batch2");
  require_rank(in, a, 3);
  require_rank(in, b, 3);
  require_inner(in, a[2], b[1]);
  in.result(in.operand("batch1").dtype, {a[0], a[1], b[2]});
}

void matmul(Inference& in) {
  SymSizes a = in.sizes("self"), b = in.sizes("other");
  in.require(!a.empty() && !b.empty(), "an operand is 0-d");
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  require_inner(in, a.back(), b[b.size() - 2]);
  SymSizes sizes = in.broadcast(a.all_but_last(2), b.all_but_last(2));
  if (!row) sizes.push_back(a[a.size() - 2]);
  if (!column) sizes.push_back(b.back());
  in.result(in.operand("self").dtype, std::move(sizes));
}

void linear(Inference& in) {
  SymSizes sizes = in.sizes("input");
  const SymSizes& weight = in.sizes("weight");
  in.require(!sizes.empty() && (weight.size() == 2 || weight.size() == 1), "the weight is not a matrix");
  require_inner(in, sizes.back(), weight.back());
  if (weight.size() == 2) sizes.back() = weight[0];
  else sizes.pop_back();
  if (const Value* bias = in.node.optional_tensor("bias")) in.broadcast(bias->sizes(), sizes);
  in.result(in.operand("input").dtype, std::move(sizes));
}

void outer(Inference& in) {
  const SymSizes &a = in.sizes("self"), &b = in.sizes(in.node.op().schema()->arguments[1].name);
  require_rank(in, a, 1);
  require_rank(in, b, 1);
  in.result(promote(in.operand("self").dtype, in.operand(in.node.op().schema()->arguments[1].name).dtype), {a[0], b[0]});
}

// The dimensions that are not contracted, those of the first operand in front.
void tensordot(Inference& in) {
  SymSizes sizes;
  const auto contracted = in.node.integers("dims_self"), other = in.node.integers("dims_other");
  in.require(contracted.size() == other.size(), "the lists of contracted dimensions differ in length");
  const auto append_free = [&](const SymSizes& of, const List<size_t>& gone) {
    for (size_t i = 0; i < of.size(); ++i)
      if (std::ranges::find(gone, i) == gone.end()) sizes.push_back(of[i]);
  };
  const SymSizes &a = in.sizes("self"), &b = in.sizes("other");
  const List<size_t> of_a = in.dims(contracted, a.size()), of_b = in.dims(other, b.size());
  for (size_t i = 0; i < of_a.size(); ++i) require_inner(in, a[of_a[i]], b[of_b[i]]);
  append_free(a, of_a);
  append_free(b, of_b);
  in.result(in.operand("self").dtype, std::move(sizes));
}

void attention(Inference& in) {
  SymSizes sizes = in.sizes("query");
  const SymSizes &key = in.sizes("key"), &value = in.sizes("value");
  in.require(sizes.size() >= 2 && key.size() >= 2 && value.size() >= 2, "query, key and value need two dimensions");
  require_inner(in, sizes.back(), key.back());
  require_inner(in, key[key.size() - 2], value[value.size() - 2]);
  sizes.back() = value.back();
  in.result(in.operand("query").dtype, std::move(sizes));
}

const Rule matrix_table[] = {
    {mm, {"aten.mm.default"}},
    {mixed_mm, {"quantized_decomposed.mixed_mm.default", "quantized_decomposed.mixed_linear.default"}},
    {distances, {"aten._cdist_forward.default", "aten.cdist.default"}},
    {distances_within, {"aten._pdist_forward.default", "aten.pdist.default"}},
    {mv, {"aten.mv.default"}},
    {inner, {"aten.inner.default"}},
    {dot, {"aten.dot.default"}},
    {bmm, {"aten.bmm.default"}},
    {addmm, {"aten.addmm.default"}},
    {baddbmm, {"aten.baddbmm.default"}},
    {matmul, {"aten.matmul.default"}},
    {linear, {"aten.linear.default"}},
    {outer, {"aten.outer.default"}},
    {tensordot, {"aten.tensordot.default"}},
    {attention, {"aten.scaled_dot_product_attention.default"}},
};

}  // namespace

std::span<const Rule> matrix_rules() { return matrix_table; }

}  // namespace intaglio::infer
