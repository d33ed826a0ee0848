#include "backends/xnnpack/limits.h"

#include <algorithm>
#include <array>

#include "backends/common/constraints.h"
#include "backends/xnnpack/payload/payload.h"
#include "backends/xnnpack/rewrites/flat_form.h"

namespace intaglio::xnnpack {
namespace {

bool has_few_dims(const ExportedProgram&, const TensorMeta& tensor, bool) { return tensor.rank() <= max_rank; }
// The runtime shows a scalar to a delegate as one dimension, and the delegate's answer does not fit.
bool is_no_computed_scalar(const ExportedProgram&, const TensorMeta& tensor, bool is_constant) { return is_constant || tensor.rank() != 0; }
bool has_upper_bounds(const ExportedProgram& program, const TensorMeta& tensor, bool) {
  return std::ranges::all_of(tensor.sizes, [&](const SymInt& size) { return common::upper_bound(program, size).has_value(); });
}
bool has_small_sizes(const ExportedProgram& program, const TensorMeta& tensor, bool) {
  return std::ranges::all_of(tensor.sizes, [&](const SymInt& size) { return common::upper_bound(program, size).value_or(0) <= max_size; });
}
// Dimensions of fixed sizes are joined to fit the runtime's operators.
bool has_few_elements(const ExportedProgram&, const TensorMeta& tensor, bool) {
  int64_t count = 1;
  return std::ranges::all_of(tensor.sizes, [&](const SymInt& size) {
    return !size.is_static() || (!__builtin_mul_overflow(count, size.value(), &count) && count <= max_size);
  });
}
bool has_elements(const ExportedProgram& program, const TensorMeta& tensor, bool) {
  return std::ranges::all_of(tensor.sizes, [&](const SymInt& size) { return common::upper_bound(program, size).value_or(1) >= 1; });
}

constexpr Limit rows[] = {
    {"at most 6 dimensions", has_few_dims},
    {"at least one dimension", is_no_computed_scalar},
    {"every size has an upper bound (give the dynamic dimension a max)", has_upper_bounds},
    {"sizes end at 2^31 - 1 (give the dynamic dimension a smaller max)", has_small_sizes},
    {"no empty tensor", has_elements},
    {"at most 2^31 - 1 elements", has_few_elements},
};

using IsConstant = std::function<bool(const Value*)>;

template <typename Skip>
const Limit* first_broken(const ExportedProgram& program, const Node& node, const IsConstant& is_constant, Skip skip) {
  const std::vector<const Value*> tensors = common::tensors_of(node);
  for (const Limit& limit : rows) {
    if (skip(limit)) continue;
    for (const Value* value : tensors)
      if (!limit.holds(program, value->meta(), is_constant(value))) return &limit;
  }
  return nullptr;
}

}  // namespace

const Limit* first_broken_limit(const ExportedProgram& program, const Node& node, const IsConstant& is_constant) {
  return first_broken(program, node, is_constant, [](const Limit&) { return false; });
}

const Limit* first_broken_limit_of_layer(const ExportedProgram& program, const Node& node, const IsConstant& is_constant) {
  const bool is_flattened = flat_form(node).has_value();
  return first_broken(program, node, is_constant, [&](const Limit& limit) { return is_flattened && limit.holds == has_few_dims; });
}

bool reshapes_to_images(const TensorMeta& input, const TensorMeta& output) {
  return std::ranges::all_of(std::array{&input, &output}, [](const TensorMeta* meta) {
    return std::ranges::count_if(meta->sizes, [](const SymInt& size) { return !size.is_static(); }) <= 1;
  });
}

}  // namespace intaglio::xnnpack
