#include "backends/xnnpack/rewrites/flat_form.h"

#include <algorithm>
#include <string_view>

#include "backends/common/constraints.h"
#include "backends/xnnpack/lower/pieces.h"
#include "backends/xnnpack/payload/payload.h"
#include "decompose/permutation.h"
#include "qdq/op_table.h"

namespace intaglio::xnnpack {
namespace {

enum class Family : uint8_t {
  elementwise,
  quantized_rows,
  linear,
  norm,
  along_dim,
  softmax,
  reduction,
  pad,
  expansion,
  permutation,
  renaming
};

struct FamilyRow {
  std::string_view base;  // without the `_` of an in-place form and the `_copy` of a view's
  Family family;
};
constexpr FamilyRow families[] = {
    {"add", Family::elementwise},        {"sub", Family::elementwise},       {"mul", Family::elementwise},
    {"div", Family::elementwise},        {"minimum", Family::elementwise},   {"maximum", Family::elementwise},
    {"relu", Family::elementwise},       {"relu6", Family::elementwise},     {"hardtanh", Family::elementwise},
    {"clamp", Family::elementwise},      {"hardswish", Family::elementwise}, {"sigmoid", Family::elementwise},
    {"tanh", Family::elementwise},       {"gelu", Family::elementwise},      {"exp", Family::elementwise},
    {"abs", Family::elementwise},        {"pow", Family::elementwise},       {"elu", Family::elementwise},
    {"leaky_relu", Family::elementwise}, {"ceil", Family::elementwise},      {"cos", Family::elementwise},
    {"floor", Family::elementwise},      {"log", Family::elementwise},       {"neg", Family::elementwise},
    {"rsqrt", Family::elementwise},      {"sin", Family::elementwise},       {"sqrt", Family::elementwise},
    {"reciprocal", Family::elementwise}, {"dropout", Family::elementwise},   {"linear", Family::linear},
    {"cat", Family::along_dim},          {"slice", Family::along_dim},       {"permute", Family::permutation},
    {"transpose", Family::permutation},  {"view", Family::renaming},         {"reshape", Family::renaming},
    {"flatten", Family::renaming},       {"squeeze", Family::renaming},      {"unsqueeze", Family::renaming},
    {"softmax", Family::softmax},        {"_softmax", Family::softmax},      {"mean", Family::reduction},
    {"sum", Family::reduction},          {"constant_pad_nd", Family::pad},   {"expand", Family::expansion},
    {"native_layer_norm", Family::norm},
};

std::optional<Family> family_of(const Node& node) {
  if (const qdq::OpRow* row = qdq::find(node)) {
    if (row->granularity == qdq::Granularity::tensor) return Family::elementwise;
    const bool may_be_rows = row->granularity == qdq::Granularity::token || row->granularity == qdq::Granularity::block;
    return may_be_rows ? std::optional(Family::quantized_rows) : std::nullopt;
  }
  if (node.op().name_space() != "aten") return std::nullopt;
  std::string_view base = node.op().base();
  if (base.ends_with("_copy")) base.remove_suffix(5);
  else if (base.ends_with('_')) base.remove_suffix(1);
  const auto found = std::ranges::find(families, base, &FamilyRow::base);
  return found == std::end(families) ? std::nullopt : std::optional(found->family);
}

size_t symbolic_count(const SymSizes& sizes) {
  return static_cast<size_t>(std::ranges::count_if(sizes, [](const SymInt& size) { return !size.is_static(); }));
}

bool is_one(const SymInt& size) { return size == SymInt(1); }

SymInt product(const SymSizes& sizes, size_t first, size_t end) {
  SymInt result = 1;
  for (size_t i = first; i < end; ++i) result = result * sizes[i];
  return result;
}

// Runs of neighbouring dimensions, as the index where each begins.
using Runs = std::vector<size_t>;

SymSizes joined(const SymSizes& sizes, const Runs& runs) {
  SymSizes result;
  for (size_t i = 0; i < runs.size(); ++i) result.push_back(product(sizes, runs[i], i + 1 < runs.size() ? runs[i + 1] : sizes.size()));
  return result;
}

SymSizes without_leading_ones(const SymSizes& sizes) {
  const auto first = std::ranges::find_if_not(sizes, is_one);
  return {first, sizes.end()};
}

// Sizes with ones in front.
SymSizes aligned(const SymSizes& sizes, size_t rank) {
  SymSizes result(rank - sizes.size(), SymInt(1));
  result.insert(result.end(), sizes.begin(), sizes.end());
  return result;
}

// Dimensions join where every operand either has both or repeats both; `alone` joins nothing.
Runs runs_of(const std::vector<SymSizes>& operands, const SymSizes& result, std::optional<size_t> alone) {
  const auto repeats = [&](size_t dim) {
    std::vector<bool> pattern;
    for (const SymSizes& sizes : operands) pattern.push_back(is_one(sizes[dim]) && !is_one(result[dim]));
    return pattern;
  };
  Runs runs;
  std::optional<std::vector<bool>> current;  // of the run's first dimension that is not one
  for (size_t dim = 0; dim < result.size(); ++dim) {
    const bool is_neutral = is_one(result[dim]) && dim != alone;
    const bool joins = dim > 0 && dim != alone && dim - 1 != alone && (is_neutral || !current || *current == repeats(dim));
    if (!joins) {
      runs.push_back(dim);
      current.reset();
    }
    if (!is_neutral && !current) current = repeats(dim);
  }
  return runs;
}

void add_operand(FlatForm& form, Value* value, SymSizes flat) {
  const bool fits = value->meta().rank() <= static_cast<int64_t>(max_rank);
  if (fits && without_leading_ones(flat) == without_leading_ones(value->sizes())) return;
  form.operands.emplace_back(value, std::move(flat));
}

std::vector<Value*> tensor_inputs(const Node& node) {
  std::vector<Value*> tensors;
  if (qdq::find(node)) return {node.tensor("input")};  // beside it stand its parameters
  for (Value* input : node.inputs())
    if (input->is_tensor()) tensors.push_back(input);
  return tensors;
}

// Runs that begin at these dimensions, and at the first.
Runs runs_at(std::vector<size_t> begins, size_t rank) {
  begins.push_back(0);
  std::ranges::sort(begins);
  Runs runs(begins.begin(), std::ranges::unique(begins).begin());
  while (!runs.empty() && runs.back() >= rank) runs.pop_back();
  return runs;
}
int64_t run_of(const Runs& runs, size_t dim) { return std::ranges::upper_bound(runs, dim) - runs.begin() - 1; }

// The last dimension stays by itself where there is room, so that neighbours in a chain have equal sizes.
std::optional<FlatForm> elementwise(const Node& node) {
  const std::vector<Value*> inputs = tensor_inputs(node);
  const qdq::OpRow* row = qdq::find(node);
  const bool chooses = row && row->role == qdq::Role::choose;
  const SymSizes& result = chooses ? inputs.front()->sizes() : node.output()->sizes();
  std::vector<SymSizes> operands;
  for (const Value* input : inputs) operands.push_back(aligned(input->sizes(), result.size()));
  Runs runs = runs_of(operands, result, result.size() - 1);
  if (runs.size() > max_rank) runs = runs_of(operands, result, std::nullopt);
  if (runs.size() > max_rank) return std::nullopt;
  FlatForm form;
  for (size_t i = 0; i < inputs.size(); ++i) add_operand(form, inputs[i], joined(operands[i], runs));
  form.result = joined(result, runs);
  return form;
}

// Whether what a node quantizes, dequantizes or chooses for is a row of the last dimension.
bool serves_rows(const Node& node) {
  const qdq::OpRow* row = qdq::find(node);
  if (row == nullptr || row->granularity != qdq::Granularity::block) return row != nullptr && row->granularity == qdq::Granularity::token;
  const SymSizes& sizes = node.tensor(row->places.input)->sizes();
  const std::vector<int64_t> block = node.integers("block_size");
  const auto is_single = [](int64_t size) { return size == 1; };
  return !sizes.empty() && block.size() == sizes.size() && sizes.back() == SymInt(block.back()) &&
         std::all_of(block.begin(), block.end() - 1, is_single);
}

// Values by rows with parameters that a node before them finds for each row. Those lose the same dimensions: nothing else may read them.
std::optional<FlatForm> quantized_rows(const Node& node) {
  if (!serves_rows(node)) return std::nullopt;
  const qdq::OpRow& row = *qdq::find(node);
  const bool in_blocks = row.granularity == qdq::Granularity::block;
  if (row.role == qdq::Role::choose) {
    if (in_blocks && node.boolean("keepdim")) return std::nullopt;
    for (const Value* parameter : node.outputs())
      for (const Node* user : parameter->users())
        if (!serves_rows(*user) || user->tensor(qdq::find(*user)->places.input) == parameter) return std::nullopt;
  } else if (node.tensor(row.places.scale)->meta().rank() != (in_blocks ? 1 : 2)) {
    return std::nullopt;
  }
  Value* input = node.tensor(row.places.input);
  const SymSizes rows = joined(input->sizes(), {0, input->sizes().size() - 1});
  FlatForm form{{{input, rows}}, rows, {}};
  if (in_blocks) form.arguments = {{"block_size", std::vector<int64_t>{1, node.integers("block_size").back()}}};
  return form;
}

std::optional<FlatForm> over_rows(const Node& node, size_t dims_behind) {
  Value* input = node.inputs().front();
  const SymSizes &sizes = input->sizes(), &result = node.output()->sizes();
  Runs runs = {0};
  for (size_t dim = result.size() - dims_behind; dim < result.size(); ++dim)
    if (dim > 0) runs.push_back(dim);
  if (runs.size() > max_rank) return std::nullopt;
  return FlatForm{{{input, joined(sizes, runs)}}, joined(result, runs), {}};
}

// The dimension, and the last one, stay by themselves.
std::optional<FlatForm> along_dim(const Node& node) {
  const SymSizes& result = node.output()->sizes();
  const size_t dim = lower::normalized(node.integer("dim"), result.size());
  const Runs runs = runs_at({dim, dim + 1, result.size() - 1}, result.size());
  FlatForm form;
  for (Value* input : tensor_inputs(node)) {
    if (input->sizes().size() != result.size()) return std::nullopt;  // cat also takes empty vectors
    form.operands.emplace_back(input, joined(input->sizes(), runs));
  }
  form.result = joined(result, runs);
  form.arguments = {{"dim", run_of(runs, dim)}};
  return form;
}

std::optional<FlatForm> softmax_of_rows(const Node& node) {
  const size_t rank = node.output()->sizes().size();
  return lower::normalized(node.integer("dim"), rank) + 1 == rank ? along_dim(node) : std::nullopt;
}

// Dimensions that are summed, and those that are not, join their likes.
std::optional<FlatForm> reduction(const Node& node) {
  Value* input = node.tensor("self");
  const SymSizes& sizes = input->sizes();
  if (node.find("dim") == nullptr) return std::nullopt;
  const std::vector<int64_t> written = node.argument("dim").is_none() ? std::vector<int64_t>() : node.integers("dim");
  std::vector<bool> is_summed(sizes.size(), written.empty());  // none named: all
  for (const int64_t dim : written) is_summed[lower::normalized(dim, sizes.size())] = true;
  Runs runs = {0};
  for (size_t dim = 1; dim < sizes.size(); ++dim)
    if (is_summed[dim] != is_summed[dim - 1]) runs.push_back(dim);
  if (runs.size() > max_rank) return std::nullopt;
  FlatForm form;
  form.operands = {{input, joined(sizes, runs)}};
  std::vector<int64_t> dims;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (!is_summed[runs[i]]) form.result.push_back(form.operands.front().second[i]);
    else if (node.boolean("keepdim")) form.result.emplace_back(1);
    if (is_summed[runs[i]]) dims.push_back(static_cast<int64_t>(i));
  }
  form.arguments = {{"dim", std::move(dims)}};
  return form;
}

// Dimensions that are padded stay by themselves.
std::optional<FlatForm> padding(const Node& node) {
  Value* input = node.tensor("self");
  const SymSizes& sizes = input->sizes();
  const std::vector<int64_t> amounts = node.integers("pad");  // the last dimension's first
  const auto amount = [&](size_t dim, size_t side) {
    const size_t place = 2 * (sizes.size() - 1 - dim) + side;
    return place < amounts.size() ? amounts[place] : 0;
  };
  std::vector<size_t> begins;
  for (size_t dim = 0; dim < sizes.size(); ++dim)
    if (amount(dim, 0) != 0 || amount(dim, 1) != 0) begins.insert(begins.end(), {dim, dim + 1});
  const Runs runs = runs_at(std::move(begins), sizes.size());
  if (runs.size() > max_rank) return std::nullopt;
  std::vector<int64_t> written;
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) written.insert(written.end(), {amount(*run, 0), amount(*run, 1)});
  return FlatForm{{{input, joined(sizes, runs)}}, joined(node.output()->sizes(), runs), {{"pad", std::move(written)}}};
}

std::optional<FlatForm> expansion(const Node& node) {
  std::optional<FlatForm> form = elementwise(node);
  if (!form) return std::nullopt;
  std::vector<int64_t> sizes;
  for (const SymInt& size : form->result) sizes.push_back(size.is_static() ? size.value() : -1);
  form->arguments = {{"size", std::move(sizes)}};
  return form;
}

std::optional<FlatForm> permutation(const Node& node) {
  const auto order = decompose::permutation_of(node);
  if (!order) return std::nullopt;
  Value* input = node.inputs().front();
  std::vector<size_t> moved;  // without ones
  for (const int64_t dim : *order)
    if (!is_one(input->sizes()[static_cast<size_t>(dim)])) moved.push_back(static_cast<size_t>(dim));
  std::vector<size_t> kept = moved;
  std::ranges::sort(kept);
  const auto position = [&](size_t dim) { return std::ranges::find(kept, dim) - kept.begin(); };
  // Runs of the result that are runs of the input, each by the position of its first dimension.
  std::vector<std::pair<int64_t, SymInt>> runs;
  for (size_t i = 0; i < moved.size(); ++i) {
    const SymInt& size = input->sizes()[moved[i]];
    if (i > 0 && position(moved[i]) == position(moved[i - 1]) + 1) runs.back().second = runs.back().second * size;
    else runs.emplace_back(position(moved[i]), size);
  }
  if (runs.empty() || runs.size() > max_rank) return std::nullopt;
  auto in_input = runs;
  std::ranges::sort(in_input, {}, [](const auto& run) { return run.first; });
  FlatForm form;
  SymSizes sizes;
  std::vector<int64_t> dims;
  for (const auto& run : in_input) sizes.push_back(run.second);
  for (const auto& [first, size] : runs) {
    form.result.push_back(size);
    dims.push_back(std::ranges::find(in_input, first, [](const auto& run) { return run.first; }) - in_input.begin());
  }
  form.arguments = {{"dims", std::move(dims)}};
  form.operands.emplace_back(input, std::move(sizes));
  return form;
}

bool has_many_dims(const Node& node) {
  return !common::every_tensor(node, [](const Value& value) { return value.meta().rank() <= static_cast<int64_t>(max_rank); });
}

}  // namespace

std::optional<FlatForm> flat_form(const Node& node) {
  const auto family = family_of(node);
  if (!family || node.outputs().empty() || !has_many_dims(node)) return std::nullopt;
  // The statistics of a norm have sizes of their own.
  if (*family == Family::norm &&
      std::ranges::any_of(node.outputs(), [&](const Value* value) { return value != node.output() && !value->users().empty(); }))
    return std::nullopt;
  // One size of a reshape can be inferred.
  if (!common::every_tensor(node, [](const Value& value) { return symbolic_count(value.sizes()) <= 1; })) return std::nullopt;
  switch (*family) {
    case Family::elementwise: return elementwise(node);
    case Family::quantized_rows: return quantized_rows(node);
    case Family::linear: return over_rows(node, 1);
    case Family::norm: return over_rows(node, node.integers("normalized_shape").size());
    case Family::along_dim: return along_dim(node);
    case Family::softmax: return softmax_of_rows(node);
    case Family::reduction: return reduction(node);
    case Family::pad: return padding(node);
    case Family::expansion: return expansion(node);
    case Family::permutation: return permutation(node);
    case Family::renaming: return FlatForm{{}, node.output()->sizes(), {}};
  }
  return std::nullopt;
}

}  // namespace intaglio::xnnpack
