#include "edge/views.h"

#include <algorithm>

namespace intaglio::edge {
namespace {

constexpr std::string_view reshapes[] = {
    "aten.view_copy.default", "aten.unsqueeze_copy.default", "aten.squeeze_copy.dim",
    "aten.squeeze_copy.dims", "aten.squeeze_copy.default",   "aten._unsafe_view.default",
};
// A complex number is two real ones in a row.
constexpr std::string_view pairs[] = {"aten.view_as_real_copy.default", "aten.view_as_complex_copy.default"};
// Their results may differ from the argument; when sizes, type and order agree they do not.
constexpr std::string_view copies[] = {
    "aten.alias_copy.default",  "aten.detach_copy.default", "dim_order_ops._clone_dim_order.default",
    "aten.expand_copy.default", "aten.clone.default",       "dim_order_ops._to_dim_order_copy.default",
    "aten._to_copy.default",
};

template <size_t N>
bool is_one_of(const std::string_view (&names)[N], const Node& node) {
  return std::find(std::begin(names), std::end(names), node.op().name()) != std::end(names);
}

bool is_contiguous(const TensorMeta& meta) {
  const std::vector<uint8_t> order = meta.dim_order();
  return std::is_sorted(order.begin(), order.end());
}

}  // namespace

Value* same_bytes_as(const Node& node) {
  const bool reshape = is_one_of(reshapes, node);
  const bool pair = is_one_of(pairs, node);
  if (!reshape && !pair && !is_one_of(copies, node)) return nullptr;
  if (node.outputs().size() != 1 || !node.output()->is_tensor()) return nullptr;
  Value* self = node.tensor("self");
  const TensorMeta& in = self->meta();
  const TensorMeta& out = node.output()->meta();
  if (!in.is_static() || !out.is_static()) return nullptr;
  if (pair) return is_contiguous(in) && is_contiguous(out) ? self : nullptr;
  if (in.dtype != out.dtype) return nullptr;
  if (element_count(in.static_sizes()) != element_count(out.static_sizes())) return nullptr;
  if (in.static_sizes() == out.static_sizes()) return in.dim_order() == out.dim_order() ? self : nullptr;
  return reshape && is_contiguous(in) && is_contiguous(out) ? self : nullptr;
}

Value* origin(Value* value) {
  while (value->producer() != nullptr) {
    Value* base = same_bytes_as(*value->producer());
    if (base == nullptr) break;
    value = base;
  }
  return value;
}

}  // namespace intaglio::edge
