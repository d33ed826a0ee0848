// torchao's quantize, dequantize and choose-qparams ops by blocks, for what no backend takes: arithmetic on a view in which every
// dimension that is cut into blocks is two. Each op rounds where torchao does.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "decompose/limits.h"
#include "decompose/tables.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

struct Blocks {
  SymSizes sizes;  // of the view
  SymSizes scale;  // of a scale beside it: 1 inside blocks
  Ints inside;     // dimensions of the view
};

Blocks blocks_of(const Node& n, const SymSizes& sizes, const Ints& block) {
  if (block.size() != sizes.size()) refuse(n, "its block size has another number of dimensions than its operand");
  Blocks blocks;
  for (size_t i = 0; i < sizes.size(); ++i) {
    const bool is_cut = block[i] != -1 && block[i] != 1 && !(sizes[i] == SymInt(block[i]));
    if (is_cut && (!sizes[i].is_static() || block[i] < 1 || sizes[i].value() % block[i] != 0))
      refuse(n, "its block size does not divide its operand");
    if (block[i] == 1 || is_cut) {
      blocks.sizes.push_back(is_cut ? SymInt(sizes[i].value() / block[i]) : sizes[i]);
      blocks.scale.push_back(blocks.sizes.back());
    }
    if (block[i] == 1) continue;
    blocks.inside.push_back(static_cast<int64_t>(blocks.sizes.size()));
    blocks.sizes.push_back(is_cut ? SymInt(block[i]) : sizes[i]);
    blocks.scale.emplace_back(1);
  }
  return blocks;
}

struct Range {
  double min, max;
};
Range range_of(const Node& n, std::string_view dtype) {
  const DType held = *n.optional_dtype(dtype);
  if (!is_integral(held)) refuse(n, "it quantizes to a type that does not hold integers");
  const double values = std::ldexp(1.0, static_cast<int>(8 * item_size(held))), below = is_signed(held) ? values / 2 : 0;
  const auto bound = [&](std::string_view name, double own) { return n.argument(name).is_none() ? own : n.number(name); };
  return {bound("quant_min", -below), bound("quant_max", values - below - 1)};
}

Value* clamped(GraphBuilder& b, Value* x, Range range) { return b("aten.clamp.default", x, range.min, range.max); }

double smallest_normal(DType dtype) { return dtype == DType::float16 ? 0x1p-14 : std::numeric_limits<float>::min(); }

Values choose_qparams(GraphBuilder& b, const Node& n) {
  Value* x = n.tensor("input");
  const Range range = range_of(n, "target_dtype");
  const Blocks blocks = blocks_of(n, x->sizes(), n.integers("block_size"));
  if (blocks.inside.empty()) refuse(n, "blocks of one element");
  Value* view = b.view(x, blocks.sizes);
  Value* low = b("aten.clamp.default", b("aten.amin.default", view, blocks.inside, true), Argument(), 0.0);
  Value* high = b("aten.clamp.default", b("aten.amax.default", view, blocks.inside, true), 0.0);
  const std::string mapping = n.string("mapping_type");
  const bool is_asymmetric = mapping == "ASYMMETRIC";
  Value* scale = nullptr;
  if (is_asymmetric) scale = b("aten.div.Tensor", b("aten.sub.Tensor", high, low), range.max - range.min);
  else if (mapping == "SYMMETRIC")
    scale = b("aten.div.Tensor", b("aten.maximum.default", b("aten.neg.default", low), high), (range.max - range.min) / 2);
  else if (mapping == "SYMMETRIC_NO_CLIPPING_ERR") {
    Value* of_low = b("aten.div.Tensor", low, range.min);
    scale = b("aten.maximum.default", of_low, b("aten.div.Tensor", high, range.max));
  } else refuse(n, "an unknown mapping type");
  scale = b("aten.clamp.default", scale, n.optional_number("eps").value_or(smallest_normal(x->dtype())));
  const TensorMeta &scale_meta = n.output(0)->meta(), &zero_meta = n.output(1)->meta();
  Value* zero = nullptr;
  if (is_asymmetric) {
    Value* steps = b("aten.round.default", b("aten.div.Tensor", low, scale));
    zero = b.cast(clamped(b, b("aten.add.Tensor", b("aten.neg.default", steps), range.min), range), zero_meta.dtype);
  } else {
    zero = b.full(blocks.scale, static_cast<int64_t>((range.max + range.min + 1) / 2), zero_meta.dtype, view);
  }
  return {b.view(b.cast(scale, scale_meta.dtype), scale_meta.sizes), b.view(zero, zero_meta.sizes)};
}

Values quantize(GraphBuilder& b, const Node& n) {
  Value *x = n.tensor("input"), *zero = n.optional_tensor("zero_point");
  const Blocks blocks = blocks_of(n, x->sizes(), n.integers("block_size"));
  Value* inverse = b("aten.reciprocal.default", b.view(n.tensor("scale"), blocks.scale));
  Value* steps = b("aten.round.default", b("aten.mul.Tensor", b.view(x, blocks.sizes), inverse));
  if (zero) steps = b("aten.add.Tensor", steps, b.cast(b.view(zero, blocks.scale), steps->dtype()));
  return {b.view(b.cast(clamped(b, steps, range_of(n, "output_dtype")), n.output()->dtype()), x->sizes())};
}

Value* dequantized(GraphBuilder& b, const Node& n, Value* zero, Value* scale, const Ints& block) {
  Value* q = n.tensor("input");
  const Blocks blocks = blocks_of(n, q->sizes(), block);
  const DType dtype = n.output()->dtype();
  Value* steps = b.view(b.cast(q, dtype), blocks.sizes);
  if (zero) steps = b("aten.sub.Tensor", steps, b.view(b.cast(zero, dtype), blocks.scale));
  return b.view(b.cast(b("aten.mul.Tensor", steps, b.view(scale, blocks.scale)), dtype), q->sizes());
}
Values dequantize(GraphBuilder& b, const Node& n) {
  return {dequantized(b, n, n.optional_tensor("zero_point"), n.tensor("scale"), n.integers("block_size"))};
}
Values dequantize_groups(GraphBuilder& b, const Node& n) {
  return {dequantized(b, n, n.optional_tensor("zero_points"), n.tensor("scales"), {1, n.integer("group_size")})};
}

// Looked up in all code books behind one another.
Values look_up_codes(GraphBuilder& b, const Node& n) {
  Value *codes = n.tensor("codes"), *book = n.tensor("codebook");
  const Ints block = n.integers("block_size");
  const SymSizes& sizes = codes->sizes();
  if (sizes.size() != 2 || block.size() != 2 || !codes->meta().is_static())
    refuse(n, "codes are a matrix, cut into blocks of rows and columns");
  const auto blocks_along = [&](size_t dim) { return block[dim] < 1 ? 1 : sizes[dim].value() / block[dim]; };
  const int64_t bits = n.integer("nbits");
  if (bits < 1 || bits > 8) refuse(n, "a code book has 1 to 8 bits");
  const int64_t values = int64_t{1} << bits;
  Value* places = b.cast(codes, DType::int64);
  for (const size_t dim : {0, 1}) {
    const int64_t count = blocks_along(dim), step = values * (dim == 0 ? blocks_along(1) : 1);
    if (count == 1) continue;
    Ints first(static_cast<size_t>(written_out(n, DType::int64, {sizes[dim].value()})));
    for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<int64_t>(i) / block[dim] * step;
    const auto length = static_cast<int64_t>(first.size());
    places = b("aten.add.Tensor", places, b.constant(Tensor::of<int64_t>(first, dim == 0 ? Sizes{length, 1} : Sizes{1, length})));
  }
  Value* table = b.view(b.cast(book, n.output()->dtype()), {blocks_along(0) * blocks_along(1) * values, 1});
  return {b.view(b("aten.embedding.default", table, places), sizes)};
}

// An operator on operands cast to the type that they and the result promote to, its result cast.
Values out_dtype(GraphBuilder& b, const Node& n) {
  const auto& given = n.arguments();
  const auto* op = given.empty() ? nullptr : given[0].value.get_if<OpName>();
  const auto* dtype = given.size() < 2 ? nullptr : given[1].value.get_if<DType>();
  constexpr std::string_view prefix = "torch.ops.";
  if (op == nullptr || dtype == nullptr || !op->target.starts_with(prefix)) refuse(n, "it names no operator and type");
  constexpr std::array known = {"aten.linear.default", "aten.convolution.default", "aten.mul.Tensor", "aten.div.Tensor"};
  const std::string name = op->target.substr(prefix.size());
  if (std::ranges::find(known, name) == known.end()) refuse(n, "of operators in another type it takes linear, convolution, mul and div");
  if (given.size() - 2 > Op::get(name).schema()->arguments.size()) refuse(n, "its operator has fewer arguments");
  std::vector<PromotionOperand> operands = {{*dtype, PromotionRank::tensor}};
  for (const Value* value : n.inputs())
    if (value->is_tensor()) operands.push_back({value->dtype(), value->sizes().empty() ? PromotionRank::zero_dim : PromotionRank::tensor});
  const DType compute = result_type(operands);
  std::vector<Argument> arguments;
  for (size_t i = 2; i < given.size(); ++i) {
    Value* const* tensor = given[i].value.get_if<Value*>();
    arguments.push_back(tensor && (*tensor)->is_tensor() ? Argument(b.cast(*tensor, compute)) : given[i].value);
  }
  return {b.cast(b.call(name, std::move(arguments)), *dtype)};
}

const DecompositionRow quantized_rows[] = {
    {out_dtype, {"higher_order.out_dtype"}},
    {look_up_codes, {"quant.dequantize_codebook.default"}},
    {choose_qparams, {"torchao.choose_qparams_affine.default"}},
    {quantize, {"torchao.quantize_affine.default"}},
    {dequantize, {"torchao.dequantize_affine.default"}},
    {dequantize_groups, {"quantized_decomposed.dequantize_per_channel_group.default"}},
};

}  // namespace

std::span<const DecompositionRow> quantized_decompositions() { return quantized_rows; }

}  // namespace intaglio::decompose
