// Sums, means, extremes, and what works along one dimension.
#include <algorithm>

#include "base/complex_types.h"
#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

SymSizes without(const SymSizes& sizes, const List<size_t>& dims, bool keep) {
  SymSizes result;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (std::find(dims.begin(), dims.end(), i) == dims.end()) result.push_back(sizes[i]);
    else if (keep) result.push_back(1);
  }
  return result;
}

// The `dim` argument; absent, None and [] mean all dimensions.
SymSizes reduced(const Inference& in) {
  const SymSizes& sizes = in.sizes("self");
  const OpSchema& schema = *in.node.op().schema();
  const bool keep = schema.find("keepdim") && in.node.boolean("keepdim");
  List<int64_t> written;
  if (schema.find("dim") && in.has("dim")) {
    const Argument dim = in.node.argument("dim");
    written = dim.is<int64_t>() ? List<int64_t>{in.node.integer("dim")} : in.node.integers("dim");
  }
  List<size_t> dims = in.dims(written, sizes.size());
  if (dims.empty())
    for (size_t i = 0; i < sizes.size(); ++i) dims.push_back(i);
  return without(sizes, dims, keep);
}

DType self_dtype(const Inference& in) { return in.operand("self").dtype; }
DType sum_dtype(const Inference& in) {
  const DType dtype = self_dtype(in);
  return written_dtype(in, is_integral(dtype) || dtype == DType::boolean ? DType::int64 : dtype);
}

void sum(Inference& in) { in.result(sum_dtype(in), reduced(in)); }
void same_type(Inference& in) { in.result(written_dtype(in, self_dtype(in)), reduced(in)); }
void real_type(Inference& in) { in.result(written_dtype(in, real_type_of(self_dtype(in))), reduced(in)); }
void boolean(Inference& in) { in.result(self_dtype(in) == DType::uint8 ? DType::uint8 : DType::boolean, reduced(in)); }
void position(Inference& in) { in.result(DType::int64, reduced(in)); }
void value_and_index(Inference& in) {
  same_type(in);
  position(in);
}
void both_same(Inference& in) {
  same_type(in);
  same_type(in);
}
void cumulative(Inference& in) { in.result(sum_dtype(in), in.sizes("self")); }
void same_sizes(Inference& in) {
  in.dim(in.node.integer("dim"), in.sizes("self").size());
  in.result(written_dtype(in, self_dtype(in)), in.sizes("self"));
}
void half_to_float_sizes(Inference& in) {
  in.dim(in.node.integer("dim"), in.sizes("self").size());
  in.result(in.node.boolean("half_to_float") ? DType::float32 : self_dtype(in), in.sizes("self"));
}

void topk(Inference& in) {
  SymSizes sizes = in.sizes("self");
  const auto k = in.symbol("k");
  if (!k) return in.unknown();
  if (!sizes.empty()) {
    SymInt& size = sizes[in.dim(in.node.integer("dim"), sizes.size())];
    in.require(!k->is_static() || (k->value() >= 0 && (!size.is_static() || k->value() <= size.value())), "k is out of range");
    size = *k;
  }
  in.result(self_dtype(in), sizes);
  in.result(DType::int64, sizes);
}
void sort(Inference& in) {
  in.result(self_dtype(in), in.sizes("self"));
  in.result(DType::int64, in.sizes("self"));
}

void glu(Inference& in) {
  SymSizes sizes = in.sizes("self");
  in.require(!sizes.empty(), "a 0-d tensor has no halves");
  SymInt& size = sizes[in.dim(in.node.integer("dim"), sizes.size())];
  in.require(!size.is_static() || size.value() % 2 == 0, "the dimension is odd");
  size = size_quotient({size}, {2});
  in.result(self_dtype(in), std::move(sizes));
}

const Rule reduction_table[] = {
    {sum, {"aten.sum.default", "aten.sum.dim_IntList", "aten.prod.default", "aten.prod.dim_int"}},
    {same_type,
     {"aten.mean.default", "aten.mean.dim", "aten.amax.default", "aten.amin.default", "aten.max.default", "aten.min.default",
      "aten.logsumexp.default"}},
    {value_and_index, {"aten.max.dim", "aten.min.dim"}},
    {real_type,
     {"aten.linalg_vector_norm.default", "aten.norm.ScalarOpt_dim", "aten.norm.Scalar", "aten.var.default", "aten.var.dim",
      "aten.var.correction", "aten.std.default", "aten.std.dim", "aten.std.correction"}},
    {both_same, {"aten.var_mean.correction"}},
    {boolean, {"aten.any.default", "aten.any.dim", "aten.any.dims", "aten.all.default", "aten.all.dim"}},
    {position, {"aten.argmax.default", "aten.argmin.default", "aten.count_nonzero.default", "aten.count_nonzero.dim_IntList"}},
    {cumulative, {"aten.cumsum.default", "aten.cumprod.default"}},
    {same_sizes, {"aten.softmax.int", "aten.log_softmax.int", "aten._safe_softmax.default"}},
    {half_to_float_sizes, {"aten._softmax.default", "aten._log_softmax.default"}},
    {topk, {"aten.topk.default"}},
    {sort, {"aten.sort.default", "aten.sort.stable"}},
    {glu, {"aten.glu.default"}},
};

}  // namespace

std::span<const Rule> reduction_rules() { return reduction_table; }

}  // namespace intaglio::infer
