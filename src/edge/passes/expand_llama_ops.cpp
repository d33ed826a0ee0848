#include "edge/passes/expand_llama_ops.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/rewrite.h"

namespace intaglio::edge {
namespace {

using decompose::GraphBuilder;
using Values = std::vector<Value*>;

constexpr std::string_view update_cache = "llama.update_cache.default";

// Positions of the rows of `x` in the cache: int64[rows].
Value* positions(GraphBuilder& b, Value* x, const Argument& start) {
  Value* rows = b.call("aten.arange.default", {b.size(x, 1)}, {{"dtype", DType::int64}});
  return b.call("aten.add.Tensor", {rows, start});
}

Argument indices(GraphBuilder& b, const Node& n) { return Values{nullptr, positions(b, n.tensor("value"), n.argument("start_pos"))}; }

void write_rows(ExportedProgram& program, Node& n) {
  GraphBuilder b(program, n);
  b.call("aten.index_put_.default", {n.tensor("cache"), indices(b, n), n.tensor("value")});
  if (!n.output()->users().empty()) throw_unsupported(fmt::format("{}: its result says nothing of the cache; read the cache", describe(n)));
  program.graph().erase(&n);
}

bool is_functional_update(const Node& n) {
  if (!n.is("higher_order.auto_functionalized_v2") || n.arguments().empty()) return false;
  const auto* op = n.arguments().front().value.get_if<OpName>();
  return op && op->target.ends_with(update_cache) && n.find("_all_bases") && n.tensors("_all_bases").size() == 1 && n.outputs().size() == 2;
}

void write_rows_of_copy(ExportedProgram& program, Node& n) {
  GraphBuilder b(program, n);
  Value* written = b.call("aten.index_put.default", {n.tensors("_all_bases").front(), indices(b, n), n.tensor("value")});
  decompose::replace_result(program.graph(), n.output(1), written);
  if (n.output(0)->users().empty()) program.graph().erase(&n);
}

// Keys that a query may read: those up to its own position, or all that are written.
Value* mask(GraphBuilder& b, const Node& n) {
  Value *query = n.tensor("query"), *key = n.tensor("key");
  Value* keys = b.call("aten.arange.default", {b.size(key, 1)}, {{"dtype", DType::int64}});
  Value* last = b.unsqueeze(positions(b, query, n.argument("start_pos")), 1);
  if (!n.boolean("is_causal")) last = b("aten.amax.default", last, std::vector<int64_t>{0}, true);
  return b("aten.le.Tensor", keys, last);
}

void attend(ExportedProgram& program, Node& n) {
  const auto refuse = [&](std::string_view what) {
    throw_unsupported(fmt::format("{}: attention {} has no form in the runtime's own kernels; export the model without custom operators",
                                  describe(n), what));
  };
  if (n.find("attn_mask") && n.optional_tensor("attn_mask")) refuse("with a mask of its own");
  if (n.find("drpout_p") && n.number("drpout_p") != 0) refuse("with dropout");
  GraphBuilder b(program, n);
  const std::vector<int64_t> heads_first = {0, 2, 1, 3};
  const auto turned = [&](std::string_view name) { return b.permute(n.tensor(name), heads_first); };
  GraphBuilder::Keywords keywords = {{"enable_gqa", true}};
  if (n.find("scale") && n.optional_number("scale")) keywords.emplace_back("scale", n.number("scale"));
  Value* mixed = b.call("aten.scaled_dot_product_attention.default",
                        {turned("query"), turned("key"), turned("value"), mask(b, n), 0.0, false}, std::move(keywords));
  decompose::replace_result(program.graph(), n.output(), b.permute(mixed, heads_first));
  program.graph().erase(&n);
}

}  // namespace

void expand_llama_ops(ExportedProgram& program) {
  for (Node* node : program.graph().node_list()) {
    if (node->is(update_cache)) write_rows(program, *node);
    else if (is_functional_update(*node)) write_rows_of_copy(program, *node);
    else if (node->is("llama.custom_sdpa.default")) attend(program, *node);
  }
}

}  // namespace intaglio::edge
