// What a file claims about its tensors and sizes, beside what the operands imply.
#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/check_arguments.h"
#include "ir/infer.h"
#include "ir/infer_rules.h"

namespace intaglio {
namespace {

bool sizes_contradict(const SymInt& claimed, const SymInt& inferred) {
  const auto a = claimed.hint(), b = inferred.hint();
  return a && b && *a != *b;
}

// Of a norm. What type it has in half precision depends on the device that the program was exported for.
bool is_statistic(const Node& node, size_t output) { return output > 0 && node.op().name().find("_norm") != std::string_view::npos; }

[[noreturn]] void throw_lie(const Value& output, const std::string& claimed, const std::string& inferred) {
  throw_bad_input(fmt::format("{}: the file says '{}' is {}, but its operands make it {}; the file is damaged",
                              describe(*output.producer()), escaped(output.name()), escaped(claimed), escaped(inferred)));
}

void check_symbol(const Node& node) {
  if (node.outputs().size() != 1 || node.output()->is_tensor()) return;
  const auto inferred = infer::infer_symbol_at(node);
  const std::optional<SymInt>& claimed = node.output()->sym;
  if (inferred && claimed && sizes_contradict(*claimed, *inferred))
    throw_lie(*node.output(), std::to_string(*claimed->hint()), std::to_string(*inferred->hint()));
}

// `visit(output, inferred)` for every tensor of which something is known.
template <typename Visit>
void visit_inferred(const Node& node, const Visit& visit) {
  check_symbol(node);
  auto inferred = infer_outputs(node);
  if (!inferred) return;
  if (inferred->size() != node.outputs().size())
    throw_bad_input(
        fmt::format("{}: the file lists {} results where the op gives {}", describe(node), node.outputs().size(), inferred->size()));
  for (size_t i = 0; i < inferred->size(); ++i) {
    Value* output = node.output(i);
    if (!output->is_tensor()) continue;
    if (is_statistic(node, i) && is_floating(output->dtype())) (*inferred)[i].dtype = output->dtype();
    check_claim(*output, (*inferred)[i]);
    visit(*output, (*inferred)[i]);
  }
}

bool is_plain_symbol(const SymInt& size) { return !size.is_static() && size.expression()->kind == SymExpr::Kind::symbol; }

// Equal in the exported call, and one of the two in no other: a symbol beside a number, or beside another symbol.
bool differ_elsewhere(const SymInt& claimed, const SymInt& inferred) {
  if (claimed.is_static() || inferred.is_static()) return claimed.is_static() != inferred.is_static();
  return is_plain_symbol(claimed) && is_plain_symbol(inferred) && !(claimed == inferred);
}

}  // namespace

bool contradict(const TensorMeta& claimed, const TensorMeta& inferred) {
  return claimed.dtype != inferred.dtype ||
         !std::ranges::equal(claimed.sizes, inferred.sizes, [](const SymInt& a, const SymInt& b) { return !sizes_contradict(a, b); });
}

void check_claim(const Value& output, const TensorMeta& inferred) {
  if (contradict(output.meta(), inferred)) throw_lie(output, to_string(output.meta()), to_string(inferred));
}

void check_metadata(const Graph& graph) {
  for (const Node* node : graph.node_list()) visit_inferred(*node, [](const Value&, const TensorMeta&) {});
}

void settle_metadata(Graph& graph) {
  for (const Node* node : graph.node_list())
    visit_inferred(*node, [](Value& output, const TensorMeta& inferred) {
      TensorMeta& claimed = output.meta();
      for (size_t dim = 0; dim < claimed.sizes.size(); ++dim)
        if (differ_elsewhere(claimed.sizes[dim], inferred.sizes[dim])) claimed.sizes[dim] = inferred.sizes[dim];
    });
}

}  // namespace intaglio
