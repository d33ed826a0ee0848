#include "edge/passes/passes.h"

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

// The cache with the rows written, as a value of its own.
Value* updated(GraphBuilder& b, const Node& n, Value* cache, bool keep) {
  if (!keep) return b.call("aten.index_put.default", {cache, indices(b, n), n.tensor("value")});
  Node& node = b.graph().insert_before(const_cast<Node*>(&n), Op::get(updated_cache),
                                       {{"value", n.tensor("value")}, {"cache", cache}, {"start_pos", n.argument("start_pos")}},
                                       {{.meta = cache->meta()}});
  node.metadata = decompose::inherited_metadata(n);
  return node.output();
}

void write_rows(ExportedProgram& program, Node& n, bool keep) {
  GraphBuilder b(program, n);
  Value* cache = n.tensor("cache");
  if (keep) b.call("aten.copy_.default", {cache, updated(b, n, cache, true)});
  else b.call("aten.index_put_.default", {cache, indices(b, n), n.tensor("value")});
  if (!n.output()->users().empty()) throw_unsupported(fmt::format("{}: its result says nothing of the cache; read the cache", describe(n)));
  program.graph().erase(&n);
}

bool is_functional_update(const Node& n) {
  if (!n.is("higher_order.auto_functionalized_v2") || n.arguments().empty()) return false;
  const auto* op = n.arguments().front().value.get_if<OpName>();
  return op && op->target.ends_with(update_cache) && n.find("_all_bases") && n.tensors("_all_bases").size() == 1 && n.outputs().size() == 2;
}

Node& write_rows_of_copy(ExportedProgram& program, Node& n) {
  GraphBuilder b(program, n);
  Value* written = updated(b, n, n.tensors("_all_bases").front(), true);
  decompose::replace_result(program.graph(), n.output(1), written);
  if (n.output(0)->users().empty()) program.graph().erase(&n);
  return *written->producer();
}

// An argument that has its default may not be written.
bool is_causal(const Node& n) { return n.find("is_causal") && n.boolean("is_causal"); }

// The mask that is given, of all keys; else those that a query may read: up to its own position, or all that are written.
Value* mask(GraphBuilder& b, const Node& n, Value* given) {
  if (given) return given;
  Value *query = n.tensor("query"), *key = n.tensor("key");
  Value* keys = b.call("aten.arange.default", {b.size(key, 1)}, {{"dtype", DType::int64}});
  Value* last = b.unsqueeze(positions(b, query, n.argument("start_pos")), 1);
  if (!is_causal(n)) last = b("aten.amax.default", last, std::vector<int64_t>{0}, true);
  return b("aten.le.Tensor", keys, last);
}

void attend(ExportedProgram& program, Node& n) {
  const auto refuse = [&](std::string_view what) {
    throw_unsupported(fmt::format("{}: attention {} has no form in the runtime's own kernels; export the model without custom operators",
                                  describe(n), what));
  };
  Value* given = n.find("attn_mask") ? n.optional_tensor("attn_mask") : nullptr;
  if (given && is_causal(n)) refuse("that is causal and has a mask besides");
  if (n.find("drpout_p") && n.number("drpout_p") != 0) refuse("with dropout");
  GraphBuilder b(program, n);
  const std::vector<int64_t> heads_first = {0, 2, 1, 3};
  const auto turned = [&](std::string_view name) { return b.permute(n.tensor(name), heads_first); };
  GraphBuilder::Keywords keywords = {{"enable_gqa", true}};
  if (n.find("scale") && n.optional_number("scale")) keywords.emplace_back("scale", n.number("scale"));
  Value* mixed = b.call("aten.scaled_dot_product_attention.default",
                        {turned("query"), turned("key"), turned("value"), mask(b, n, given), 0.0, false}, std::move(keywords));
  decompose::replace_result(program.graph(), n.output(), b.permute(mixed, heads_first));
  program.graph().erase(&n);
}

// One that was kept, and that no backend took.
void expand_kept(ExportedProgram& program, Node& n) {
  GraphBuilder b(program, n);
  decompose::replace_result(program.graph(), n.output(), updated(b, n, n.tensor("cache"), false));
  program.graph().erase(&n);
}

// Writes into both caches, and attention over them.
void split_attention(ExportedProgram& program, Node& n) {
  Graph& graph = program.graph();
  const auto insert = [&](std::string_view op, std::vector<NamedArgument> arguments, TensorMeta meta) {
    Node& node = graph.insert_before(&n, Op::get(op), std::move(arguments), {{.meta = std::move(meta)}});
    node.metadata = decompose::inherited_metadata(n);
    return node.output();
  };
  const Argument start = n.argument("start_pos");
  for (const auto& [value, cache] : {std::pair{"key", "key_cache"}, std::pair{"value", "value_cache"}})
    insert(update_cache, {{"value", n.tensor(value)}, {"cache", n.tensor(cache)}, {"start_pos", start}},
           TensorMeta::contiguous(n.tensor(value)->dtype(), {1}));
  std::vector<NamedArgument> arguments = {
      {"query", n.tensor("query")}, {"key", n.tensor("key_cache")}, {"value", n.tensor("value_cache")}, {"start_pos", start}};
  for (const char* option : {"attn_mask", "drpout_p", "is_causal", "scale"})
    if (const Argument* given = n.find(option)) arguments.push_back({option, *given});
  graph.replace_all_uses(n.output(), insert("llama.custom_sdpa.default", std::move(arguments), n.output()->meta()));
  graph.erase(&n);
}

}  // namespace

void expand_llama_ops(ExportedProgram& program, const std::function<bool(const Node&)>& keeps) {
  for (Node* node : program.graph().node_list())
    if (node->is("llama.sdpa_with_kv_cache.default")) split_attention(program, *node);
  const auto is_kept = [&](const Node& node) { return keeps && keeps(node); };
  for (Node* node : program.graph().node_list()) {
    if (is_functional_update(*node)) node = &write_rows_of_copy(program, *node);
    if (node->is(update_cache)) write_rows(program, *node, is_kept(*node));
    else if (node->is(updated_cache) && !is_kept(*node)) expand_kept(program, *node);
    else if (node->is("llama.custom_sdpa.default") && !is_kept(*node)) attend(program, *node);
  }
}

}  // namespace intaglio::edge
