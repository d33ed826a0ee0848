// Ops that treat real and imaginary parts alike: those that move elements, and sums. They run once for each part, or once on
// both where a last dimension of two more does not disturb them.
#include <algorithm>

#include <fmt/format.h>

#include "decompose/complex/parts.h"

namespace intaglio::decompose::complex_parts {
namespace {

// How an op's arguments change when its operands have a last dimension more.
enum class Packing : uint8_t {
  parts,        // not at all: the op runs on each part
  same,         // it names no dimension
  dimensions,   // those counted from the end are counted from the start
  one_more,     // the same, for a result that has a dimension more than its operands
  sizes,        // the sizes get a two
  permutation,  // the last dimension stays the last
};

struct LinearRow {
  std::string_view op;
  Packing packing;
  std::vector<std::string_view> operands = {"self"};  // arguments that hold elements
};

const LinearRow linear_rows[] = {
    {"aten.clone.default", Packing::same},
    {"aten.alias.default", Packing::same},
    {"aten.detach.default", Packing::same},
    {"aten.contiguous.default", Packing::same},
    {"aten.lift_fresh_copy.default", Packing::same},
    {"aten.lift_fresh.default", Packing::same},
    {"aten.positive.default", Packing::same},
    {"aten.neg.default", Packing::same},
    {"aten._neg_view.default", Packing::same},
    {"aten.resolve_conj.default", Packing::same},
    {"aten.resolve_neg.default", Packing::same},
    {"aten.dropout.default", Packing::parts, {"input"}},
    {"aten.view.default", Packing::sizes},
    {"aten.reshape.default", Packing::sizes},
    {"aten._unsafe_view.default", Packing::sizes},
    {"aten.expand.default", Packing::sizes},
    {"aten.permute.default", Packing::permutation},
    {"aten.transpose.int", Packing::dimensions},
    {"aten.swapaxes.default", Packing::dimensions},
    {"aten.swapdims.default", Packing::dimensions},
    {"aten.t.default", Packing::parts},
    {"aten.numpy_T.default", Packing::parts},
    {"aten.mT.default", Packing::parts},
    {"aten.movedim.int", Packing::parts},
    {"aten.movedim.intlist", Packing::parts},
    {"aten.flatten.using_ints", Packing::dimensions},
    {"aten.unflatten.int", Packing::dimensions},
    {"aten.unsqueeze.default", Packing::one_more},
    {"aten.squeeze.default", Packing::parts},
    {"aten.squeeze.dim", Packing::dimensions},
    {"aten.squeeze.dims", Packing::dimensions},
    {"aten.view_as.default", Packing::parts},
    {"aten.reshape_as.default", Packing::parts},
    {"aten.expand_as.default", Packing::parts},
    {"aten.slice.Tensor", Packing::dimensions},
    {"aten.select.int", Packing::dimensions},
    {"aten.narrow.default", Packing::dimensions},
    {"aten.split.Tensor", Packing::dimensions},
    {"aten.split_with_sizes.default", Packing::dimensions},
    {"aten.chunk.default", Packing::dimensions},
    {"aten.unbind.int", Packing::dimensions},
    {"aten.diagonal.default", Packing::parts},
    {"aten.unfold.default", Packing::parts},
    {"aten.cat.default", Packing::dimensions, {"tensors"}},
    {"aten.concat.default", Packing::dimensions, {"tensors"}},
    {"aten.stack.default", Packing::one_more, {"tensors"}},
    {"aten.hstack.default", Packing::parts, {"tensors"}},
    {"aten.vstack.default", Packing::parts, {"tensors"}},
    {"aten.repeat.default", Packing::parts},
    {"aten.tile.default", Packing::parts},
    {"aten.repeat_interleave.self_int", Packing::parts},
    {"aten.index.Tensor", Packing::parts},
    {"aten.index_select.default", Packing::dimensions},
    {"aten.gather.default", Packing::parts},
    {"aten.take_along_dim.default", Packing::parts},
    {"aten.flip.default", Packing::dimensions, {"self"}},
    {"aten.roll.default", Packing::parts},
    {"aten.fft_fftshift.default", Packing::parts},
    {"aten.fft_ifftshift.default", Packing::parts},
    {"aten.tril.default", Packing::parts},
    {"aten.triu.default", Packing::parts},
    {"aten.constant_pad_nd.default", Packing::parts, {"self", "value"}},
    {"aten.pad.default", Packing::parts, {"self", "value"}},
    {"aten.index_put.default", Packing::parts, {"self", "values"}},
    {"aten.slice_scatter.default", Packing::dimensions, {"self", "src"}},
    {"aten.select_scatter.default", Packing::dimensions, {"self", "src"}},
    {"aten.scatter.src", Packing::parts, {"self", "src"}},
    {"aten.scatter_add.default", Packing::parts, {"self", "src"}},
    {"aten.index_add.default", Packing::parts, {"self", "source"}},
    {"aten.index_copy.default", Packing::parts, {"self", "source"}},
    {"aten.lerp.Scalar", Packing::parts, {"self", "end"}},
    {"aten.where.self", Packing::parts, {"self", "other"}},
    {"aten.where.ScalarOther", Packing::parts, {"self", "other"}},
    {"aten.where.ScalarSelf", Packing::parts, {"self", "other"}},
    {"aten.masked_fill.Scalar", Packing::parts, {"self", "value"}},
    {"aten.masked_fill.Tensor", Packing::parts, {"self", "value"}},
    {"aten.sum.default", Packing::parts},
    {"aten.sum.dim_IntList", Packing::dimensions},
    {"aten.mean.default", Packing::parts},
    {"aten.mean.dim", Packing::dimensions},
    {"aten.cumsum.default", Packing::dimensions},
    {"aten.zeros.default", Packing::parts, {}},
    {"aten.zeros_like.default", Packing::parts, {"self"}},
    {"aten.new_zeros.default", Packing::parts, {"self"}},
    {"aten.empty.memory_format", Packing::parts, {}},
    {"aten.empty_like.default", Packing::parts, {"self"}},
    {"aten.new_empty.default", Packing::parts, {"self"}},
    {"aten.full.default", Packing::parts, {"fill_value"}},
    {"aten.fill.Scalar", Packing::parts, {"self", "value"}},
    {"aten.fill.Tensor", Packing::parts, {"self", "value"}},
    {"aten.full_like.default", Packing::parts, {"self", "fill_value"}},
    {"aten.new_full.default", Packing::parts, {"self", "fill_value"}},
    {"aten.scalar_tensor.default", Packing::parts, {"s"}},
};

const LinearRow& row_of(Op op) {
  // Functional copies of views take the same arguments.
  std::string_view base = op.base();
  if (base.ends_with("_copy") && base != "lift_fresh_copy") base.remove_suffix(5);
  const std::string name = fmt::format("{}.{}.{}", op.name_space(), base, op.overload());
  return *std::ranges::find(linear_rows, std::string_view(name), &LinearRow::op);
}

bool names_dimensions(std::string_view argument) {
  constexpr std::string_view names[] = {"dim", "dims", "dim0", "dim1", "start_dim", "end_dim", "axis0", "axis1"};
  return std::ranges::find(names, argument) != std::end(names);
}

Argument from_the_start(const Argument& written, int64_t rank) {
  if (const auto* dim = written.get_if<int64_t>()) return *dim < 0 ? *dim + rank : *dim;
  const auto* dims = written.get_if<Ints>();
  if (!dims) return written;
  Ints result = *dims;
  for (int64_t& dim : result) dim += dim < 0 ? rank : 0;
  return result;
}

Argument with_two(const Argument& written) {
  if (const auto* numbers = written.get_if<Ints>()) {
    Ints result = *numbers;
    result.push_back(2);
    return result;
  }
  std::vector<SymArg> result;
  if (const auto* values = written.get_if<std::vector<Value*>>()) result.assign(values->begin(), values->end());
  if (const auto* symbols = written.get_if<std::vector<SymArg>>()) result = *symbols;
  result.emplace_back(int64_t{2});
  return result;
}

// The node's results when its operands are packed.
Results on_pairs(PartsBuilder& b, const LinearRow& row, int64_t rank) {
  const auto changed = [&](const NamedArgument& argument) -> Argument {
    if (Value* const* value = argument.value.get_if<Value*>(); value && is_complex_tensor(*value)) return b.parts(*value).packed;
    if (const auto* list = argument.value.get_if<std::vector<Value*>>(); list && argument.name == "tensors") {
      std::vector<Value*> pairs;
      for (Value* value : *list) pairs.push_back(b.parts(value).packed);
      return pairs;
    }
    const bool names = names_dimensions(argument.name);
    if (row.packing == Packing::dimensions && names) return from_the_start(argument.value, rank);
    if (row.packing == Packing::one_more && names) return from_the_start(argument.value, rank + 1);
    if (row.packing == Packing::permutation && names) {
      Ints dims = b.node.integers(argument.name);
      for (int64_t& dim : dims) dim += dim < 0 ? rank : 0;
      dims.push_back(rank);
      return dims;
    }
    if (row.packing == Packing::sizes && (argument.name == "size" || argument.name == "shape")) return with_two(argument.value);
    return argument.value;
  };
  Results results;
  for (Value* output : b.again(changed, true)) results.push_back(Parts::pair(output));
  return results;
}

// Dimensions left to their default are counted from the end by some ops: then each part is what the op runs on.
bool all_named(const Node& node) {
  for (const ArgSchema& argument : node.op().schema()->arguments)
    if (names_dimensions(argument.name) && !node.find(argument.name)) {
      const Argument implied = node.argument(argument.name);
      const auto* dim = implied.get_if<int64_t>();
      if (!dim || *dim < 0) return false;
    }
  return true;
}

bool can_stay_packed(PartsBuilder& b, const LinearRow& row) {
  if (row.packing == Packing::parts || !all_named(b.node)) return false;
  std::vector<Value*> operands;
  for (const std::string_view name : row.operands)
    for (Value* value : values_in(b.node.argument(name))) operands.push_back(value);
  const DType dtype = b.node.output()->dtype();
  return !operands.empty() && std::ranges::all_of(operands, [&](Value* value) {
    return is_complex_tensor(value) && value->dtype() == dtype && value->meta().rank() > 0 && b.parts(value).packed;
  });
}

std::vector<Value*> on_part(PartsBuilder& b, const LinearRow& row, Part which) {
  return b.again([&](const NamedArgument& argument) -> Argument {
    if (std::ranges::find(row.operands, argument.name) == row.operands.end()) {
      // A tensor that only lends its sizes or its type.
      Value* const* value = argument.value.get_if<Value*>();
      return value && is_complex_tensor(*value) ? b.real_or_zeros(b.parts(*value)) : argument.value;
    }
    if (argument.value.is_none()) return argument.value;
    if (auto part = b.part(argument.value, which)) return *part;
    // A tensor that is real: zeros like its real part, or the number.
    if (Value* const* value = argument.value.get_if<Value*>()) {
      const Parts z = b.parts(*value);
      return b.build.cast(which == Part::real ? b.real_or_zeros(z) : b.imag_or_zeros(z), b.real_type());
    }
    return 0.0;
  });
}

Results linear(PartsBuilder& b) {
  const LinearRow& row = row_of(b.node.op());
  if (can_stay_packed(b, row)) return on_pairs(b, row, values_in(b.node.argument(row.operands[0]))[0]->meta().rank());
  // Real numbers in complex clothes need no second run.
  bool any_imag = false;
  for (const std::string_view name : row.operands) {
    const Argument written = b.node.argument(name);
    for (Value* value : values_in(written)) any_imag |= !b.parts(value).is_real();
    if (const auto* number = written.get_if<std::complex<double>>()) any_imag |= number->imag() != 0;
  }
  const std::vector<Value*> real = on_part(b, row, Part::real);
  const std::vector<Value*> imag = any_imag ? on_part(b, row, Part::imag) : std::vector<Value*>(real.size());
  Results results;
  for (size_t i = 0; i < real.size(); ++i) results.push_back(Parts::of(real[i], imag[i]));
  return results;
}

}  // namespace

std::span<const RuleRow> linear_rules() {
  static const std::vector<RuleRow> rows = [] {
    std::vector<RuleRow> result;
    for (const LinearRow& row : linear_rows) result.push_back({row.op, linear});
    return result;
  }();
  return rows;
}

}  // namespace intaglio::decompose::complex_parts
