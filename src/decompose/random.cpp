// Random numbers from uniform and normal ones, which the runtime draws.
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

// As many as the result has. Integers and flags are made from float32.
Value* drawn(GraphBuilder& b, const Node& n, std::string_view op, DType dtype) {
  std::vector<Value*> sources;
  for (Value* input : n.inputs())
    if (input->is_tensor()) sources.push_back(input);
  const Argument size = n.find("size") ? n.argument("size") : b.sizes(n.output()->sizes(), sources, false);
  return b.call(op, {size}, {{"dtype", dtype}});
}
Value* uniform_numbers(GraphBuilder& b, const Node& n) {
  const DType dtype = n.output()->dtype();
  return drawn(b, n, "aten.rand.default", is_floating(dtype) ? dtype : DType::float32);
}
Value* normal_numbers(GraphBuilder& b, const Node& n) { return drawn(b, n, "aten.randn.default", n.output()->dtype()); }

Values uniform_like(GraphBuilder& b, const Node& n) { return {uniform_numbers(b, n)}; }
Values normal_like(GraphBuilder& b, const Node& n) { return {normal_numbers(b, n)}; }

Values uniform(GraphBuilder& b, const Node& n) {
  Value* wide = b("aten.mul.Tensor", uniform_numbers(b, n), n.number("to") - n.number("from"));
  return {b("aten.add.Tensor", wide, n.number("from"))};
}
Values normal(GraphBuilder& b, const Node& n) {
  Value* wide = b("aten.mul.Tensor", normal_numbers(b, n), n.argument("std"));
  return {b("aten.add.Tensor", wide, n.argument("mean"))};
}
// -log(1 - u) / rate
Values exponential(GraphBuilder& b, const Node& n) {
  Value* logarithm = b("aten.log1p.default", b("aten.neg.default", uniform_numbers(b, n)));
  return {b("aten.mul.Tensor", logarithm, -1 / n.number("lambd"))};
}
Values bernoulli(GraphBuilder& b, const Node& n) {
  const bool given = n.op().schema()->find("p") != nullptr;
  const Argument p = given ? n.argument("p") : Argument(n.tensor("self"));
  Value* u = uniform_numbers(b, n);
  Value* below = p.is<Value*>() ? b("aten.lt.Tensor", u, p) : b("aten.lt.Scalar", u, p);
  return {b.cast(below, n.output()->dtype())};
}

// From low to below high.
Values integers_between(GraphBuilder& b, const Node& n) {
  const Argument from = n.op().schema()->find("low") ? n.argument("low") : Argument(0), to = n.argument("high");
  const auto *low = from.get_if<int64_t>(), *high = to.get_if<int64_t>();
  if (!low || !high || *high <= *low) refuse(n, "the bounds must be fixed, the upper one above the lower");
  constexpr int64_t exact = 1 << 24;          // in float32
  constexpr int64_t most = int64_t{1} << 53;  // in float64
  int64_t count = 0;
  if (__builtin_sub_overflow(*high, *low, &count) || count > most)
    refuse(n, "the bounds are further apart than 2^53; draw from fewer integers");
  Value* u = drawn(b, n, "aten.rand.default", count > exact ? DType::float64 : DType::float32);
  Value* steps = b("aten.floor.default", b("aten.mul.Tensor", u, static_cast<double>(count)));
  steps = b.cast(b("aten.clamp.default", steps, 0, count - 1), DType::int64);  // the product may round up to the bound
  return {b.cast(b("aten.add.Tensor", steps, *low), n.output()->dtype())};
}
// The order of as many random numbers.
Values permutation(GraphBuilder& b, const Node& n) {
  const Argument count = n.argument("n");
  const auto* number = count.get_if<int64_t>();
  if (!number) refuse(n, "the number of elements must be fixed");
  Value* keys = b.call("aten.rand.default", {Ints{*number}}, {{"dtype", DType::float32}});
  return {b.cast(b.node("aten.topk.default", {keys, *number, 0, false, true}).output(1), n.output()->dtype())};
}

const DecompositionRow random_rows[] = {
    {uniform_like, {"aten.rand_like.default"}},
    {normal_like, {"aten.randn_like.default"}},
    {uniform, {"aten.uniform.default"}},
    {normal,
     {"aten.normal.float_float", "aten.normal.Tensor_float", "aten.normal.float_Tensor", "aten.normal.Tensor_Tensor",
      "aten.normal_functional.default"}},
    {exponential, {"aten.exponential.default"}},
    {bernoulli, {"aten.bernoulli.default", "aten.bernoulli.p", "aten.bernoulli.Tensor"}},
    {integers_between, {"aten.randint.default", "aten.randint.low", "aten.randint_like.default", "aten.randint_like.low_dtype"}},
    {permutation, {"aten.randperm.default"}},
};

}  // namespace

std::span<const DecompositionRow> random_decompositions() { return random_rows; }

}  // namespace intaglio::decompose
