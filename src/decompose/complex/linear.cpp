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
  Packing packing;
  std::initializer_list<std::string_view> operands;  // arguments that hold elements
  std::initializer_list<std::string_view> ops;
};

const LinearRow linear_rows[] = {
    {Packing::same,
     {"self"},
     {"aten.clone.default", "aten.alias.default", "aten.detach.default", "aten.contiguous.default", "aten.lift_fresh_copy.default",
      "aten.lift_fresh.default", "aten.positive.default", "aten.neg.default", "aten._neg_view.default", "aten.resolve_conj.default",
      "aten.resolve_neg.default", "aten.nan_to_num.default"}},
    {Packing::parts, {"input"}, {"aten.dropout.default"}},
    {Packing::sizes, {"self"}, {"aten.view.default", "aten.reshape.default", "aten._unsafe_view.default", "aten.expand.default"}},
    {Packing::permutation, {"self"}, {"aten.permute.default"}},
    {Packing::dimensions,
     {"self"},
     {"aten.transpose.int", "aten.swapaxes.default", "aten.swapdims.default", "aten.flatten.using_ints", "aten.unflatten.int",
      "aten.squeeze.dim", "aten.squeeze.dims", "aten.slice.Tensor", "aten.select.int", "aten.narrow.default"}},
    {Packing::dimensions,
     {"self"},
     {"aten.split.Tensor", "aten.split_with_sizes.default", "aten.chunk.default", "aten.unbind.int", "aten.index_select.default",
      "aten.flip.default", "aten.sum.dim_IntList", "aten.mean.dim", "aten.cumsum.default"}},
    {Packing::parts,
     {"self"},
     {"aten.t.default", "aten.numpy_T.default", "aten.mT.default", "aten.movedim.int", "aten.movedim.intlist", "aten.squeeze.default",
      "aten.view_as.default", "aten.reshape_as.default", "aten.expand_as.default", "aten.diagonal.default", "aten.unfold.default",
      "aten.repeat.default", "aten.tile.default", "aten.repeat_interleave.self_int", "aten.index.Tensor"}},
    {Packing::parts,
     {"self"},
     {"aten.gather.default", "aten.take_along_dim.default", "aten.roll.default", "aten.fft_fftshift.default", "aten.fft_ifftshift.default",
      "aten.tril.default", "aten.triu.default", "aten.trace.default", "aten.sum.default", "aten.mean.default", "aten.zeros_like.default",
      "aten.new_zeros.default", "aten.empty_like.default", "aten.new_empty.default"}},
    {Packing::one_more, {"self"}, {"aten.unsqueeze.default"}},
    {Packing::dimensions, {"tensors"}, {"aten.cat.default", "aten.concat.default"}},
    {Packing::one_more, {"tensors"}, {"aten.stack.default"}},
    {Packing::parts, {"tensors"}, {"aten.hstack.default", "aten.vstack.default"}},
    {Packing::parts,
     {"self", "value"},
     {"aten.constant_pad_nd.default", "aten.pad.default", "aten.masked_fill.Scalar", "aten.masked_fill.Tensor", "aten.fill.Scalar",
      "aten.fill.Tensor"}},
    {Packing::parts, {"self", "values"}, {"aten.index_put.default"}},
    {Packing::dimensions, {"self", "src"}, {"aten.slice_scatter.default", "aten.select_scatter.default"}},
    {Packing::parts, {"self", "src"}, {"aten.scatter.src", "aten.scatter_add.default"}},
    {Packing::parts, {"self", "source"}, {"aten.index_add.default", "aten.index_copy.default"}},
    {Packing::parts, {"self", "end"}, {"aten.lerp.Scalar"}},
    {Packing::parts, {"self", "other"}, {"aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf"}},
    {Packing::parts, {}, {"aten.zeros.default", "aten.empty.memory_format"}},
    {Packing::parts, {"fill_value"}, {"aten.full.default"}},
    {Packing::parts, {"self", "fill_value"}, {"aten.full_like.default", "aten.new_full.default"}},
    {Packing::parts, {"s"}, {"aten.scalar_tensor.default"}},
};

const LinearRow& row_of(Op op) {
  const auto row_named = [](std::string_view name) {
    return std::ranges::find_if(linear_rows, [&](const LinearRow& row) { return std::ranges::find(row.ops, name) != row.ops.end(); });
  };
  if (const auto* own = row_named(op.name()); own != std::end(linear_rows)) return *own;
  // Functional copies of views take the same arguments.
  std::string_view base = op.base();
  base.remove_suffix(std::string_view("_copy").size());
  return *row_named(fmt::format("{}.{}.{}", op.name_space(), base, op.overload()));
}

bool names_dimensions(std::string_view argument) {
  constexpr std::string_view names[] = {"dim", "dims", "dim0", "dim1", "start_dim", "end_dim", "axis0", "axis1"};
  return std::ranges::find(names, argument) != std::end(names);
}

Argument from_the_start(const Argument& written, int64_t rank) {
  if (const auto* dim = written.get_if<int64_t>()) return *dim < 0 ? *dim + rank : *dim;
  const auto* dims = written.get_if<std::vector<int64_t>>();
  if (!dims) return written;
  Ints result = *dims;
  for (int64_t& dim : result) dim += dim < 0 ? rank : 0;
  return result;
}

Argument with_two(const Argument& written) {
  if (const auto* numbers = written.get_if<std::vector<int64_t>>()) {
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
  if (can_stay_packed(b, row)) return on_pairs(b, row, values_in(b.node.argument(*row.operands.begin()))[0]->meta().rank());
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
  for (size_t i = 0; i < real.size(); ++i) results.push_back(Parts{real[i], imag[i]});
  return results;
}

}  // namespace

std::vector<RuleRow> linear_rules() {
  std::vector<RuleRow> rows;
  for (const LinearRow& row : linear_rows) rows.push_back({linear, row.ops});
  return rows;
}

}  // namespace intaglio::decompose::complex_parts
