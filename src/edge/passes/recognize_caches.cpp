#include "edge/passes/passes.h"

#include <algorithm>
#include <map>
#include <optional>
#include <ranges>
#include <unordered_map>

#include <fmt/format.h>

#include "decompose/builder.h"
#include "edge/passes/cache_positions.h"
#include "ir/result_places.h"

namespace intaglio::edge {
namespace {

using decompose::GraphBuilder;

// Rows that replace those of a cache [1, heads, positions, size] from a position on.
struct Write {
  Node* node;
  Value* cache;
  Value* rows;
  Start start;
};

struct Attention {
  Node* node;
  Write key, value;
};

// What is asked of the program for each attention, found once.
struct Surroundings {
  explicit Surroundings(const ExportedProgram& of) : program(of), results(of), masks(of) {}

  const ExportedProgram& program;
  ResultPlaces results;
  CausalMasks masks;
};

// A buffer that the program keeps as `written` has it.
bool is_kept_in(const Surroundings& around, const Value* cache, const Value* written) {
  const InputSpec* spec = around.program.spec_of(cache);
  return spec && spec->kind == InputSpec::Kind::buffer && cache->has_one_user() && cache->meta().is_static() &&
         around.results.only_keeps(written, spec->target);
}

// The tensor of which the batch of one was dropped; null where there is none.
Value* with_batch(Value* rows) {
  const Node* view = rows->producer();
  if (!is_one_of(view, {"aten.view.default", "aten.reshape.default", "aten.squeeze.dim", "aten.select.int"})) return nullptr;
  Value* whole = view->tensor("self");
  const bool drops = whole->meta().rank() == 4 && whole->sizes()[0] == SymInt(1) &&
                     std::ranges::equal(whole->sizes() | std::views::drop(1), rows->sizes());
  return drops ? whole : nullptr;
}

std::optional<Write> find_write(const Surroundings& around, const Value* written) {
  Node* node = written->producer();
  if (!is_one_of(node, {"aten.index_copy.default", "aten.index_put.default", "aten.slice_scatter.default"})) return std::nullopt;
  constexpr int64_t row_dim = 2;
  Value *cache = node->tensor("self"), *rows = nullptr;
  std::optional<Start> start;
  if (node->is("aten.index_put.default")) {
    const List<Value*> indices = node->tensors("indices");
    if (indices.size() != 3 || indices[0] || indices[1] || node->boolean("accumulate")) return std::nullopt;
    rows = node->tensor("values");
    if (rows->meta().rank() == 3) rows = with_batch(rows);  // as PyTorch indexes
    if (rows && rows->meta().rank() == 4 && indices[2]->meta().rank() == 1 && rows->sizes()[2] == indices[2]->sizes()[0])
      start = consecutive_from(indices[2]);
  } else if (node->is("aten.index_copy.default")) {
    rows = node->tensor("source");
    if (node->integer("dim") == row_dim) start = consecutive_from(node->tensor("index"));
  } else {
    rows = node->tensor("src");
    const Argument from = node->argument("start");
    if (node->integer("dim") == row_dim && node->integer("step") == 1 && from.is<Value*>()) start = start_at(*from.get_if<Value*>());
  }
  if (!start || cache->meta().rank() != 4 || !rows || rows->meta().rank() != 4 || !is_kept_in(around, cache, written)) return std::nullopt;
  return Write{node, cache, rows, *start};
}

// The cache behind heads that are repeated for the queries that share them.
Value* behind_repetition(Value* heads) {
  const Node* node = heads->producer();
  if (is_one_of(node, {"aten.repeat_interleave.self_int"}))
    return node->optional_integer("dim") == 1 ? behind_views(node->tensor("self")) : heads;
  const Node* expand = is_one_of(node, {"aten.view.default", "aten.reshape.default"}) ? node->inputs()[0]->producer() : nullptr;
  if (!is_one_of(expand, {"aten.expand.default"})) return behind_views(heads);
  const Node* unsqueeze = expand->tensor("self")->producer();
  const SymSizes& spread = expand->output()->sizes();
  if (!is_one_of(unsqueeze, {"aten.unsqueeze.default"}) || unsqueeze->integer("dim") != 2 || spread.size() != 5 ||
      heads->sizes().size() != 4 || !(spread[3] == heads->sizes()[2]) || !(spread[4] == heads->sizes()[3]))
    return behind_views(heads);
  return behind_views(unsqueeze->tensor("self"));
}

std::optional<Attention> match_attention(Surroundings& around, Node& node) {
  if (!node.is("aten.scaled_dot_product_attention.default")) return std::nullopt;
  Value *query = node.tensor("query"), *mask = node.optional_tensor("attn_mask");
  if (!mask || node.boolean("is_causal") || node.number("dropout_p") != 0 || query->meta().rank() != 4) return std::nullopt;
  const auto key = find_write(around, behind_repetition(node.tensor("key")));
  const auto value = find_write(around, behind_repetition(node.tensor("value")));
  if (!key || !value || key->node == value->node || !(key->start == value->start) || key->cache->sizes() != value->cache->sizes() ||
      !(key->rows->sizes()[2] == query->sizes()[2]))
    return std::nullopt;
  if (!around.masks.is_causal(mask, key->start, query->sizes()[2], key->cache->sizes()[2].value())) return std::nullopt;
  return Attention{&node, *key, *value};
}

const std::vector<int64_t> turned = {0, 2, 1, 3};  // heads behind rows, and back

bool turns(const Node* node) {
  if (is_one_of(node, {"aten.permute.default"})) return node->integers("dims") == turned;
  if (!is_one_of(node, {"aten.transpose.int"})) return false;
  const int64_t rank = node->output()->meta().rank(), a = node->integer("dim0"), b = node->integer("dim1");
  return rank == 4 && std::minmax((a + 4) % 4, (b + 4) % 4) == std::minmax<int64_t>(1, 2);
}

Value* heads_behind_rows(GraphBuilder& b, Value* value) {
  const Node* node = value->producer();
  return turns(node) ? node->inputs().front() : b.permute(value, turned);
}

class Rewriter {
 public:
  Rewriter(ExportedProgram& program, const std::function<bool(const Node&)>& keeps) : program_(program), keeps_(keeps) {}

  void rewrite(const Attention& found) {
    GraphBuilder b(program_, *found.node);
    Value* start = number_at(found.key.start, found.key.cache->sizes()[2].value(), *found.node);
    Node& attention = insert(*found.node, "llama.custom_sdpa.default",
                             {{"query", heads_behind_rows(b, found.node->tensor("query"))},
                              {"key", readable(b, found.key)},
                              {"value", readable(b, found.value)},
                              {"start_pos", start},
                              {"attn_mask", {}},
                              {"drpout_p", 0.0},
                              {"is_causal", true}},
                             {});
    TensorMeta mixed = found.node->output()->meta();
    std::swap(mixed.sizes[1], mixed.sizes[2]);
    attention.output()->meta() = TensorMeta::contiguous(mixed.dtype, mixed.sizes);
    if (const auto scale = found.node->optional_number("scale")) program_.graph().set_argument(attention, "scale", *scale);
    if (!keeps_(attention)) return program_.graph().erase(&attention);
    for (const Write* write : {&found.key, &found.value}) lay_out(*write, start);
    put(found.node->output(), attention.output());
    program_.graph().replace_all_uses(found.node->output(), GraphBuilder(program_, *found.node).permute(attention.output(), turned));
  }

  // What was made for attention that is not kept goes.
  void finish() {
    for (const auto& [element, number] : numbers_)
      if (number->users().empty()) program_.range_constraints.erase(number->sym->text());
    program_.graph().eliminate_dead_code();
  }

 private:
  Node& insert(Node& before, std::string_view op, std::vector<NamedArgument> arguments, TensorMeta meta) {
    Node& node = program_.graph().insert_before(&before, Op::get(op), std::move(arguments), {{.meta = std::move(meta)}});
    node.metadata = decompose::inherited_metadata(before);
    return node;
  }

  // A number that is an element of a tensor, looked at once.
  Value* number_at(const Start& start, int64_t end, const Node& origin) {
    if (!start.index) return start.source;
    Value*& number = numbers_[{start.source, *start.index}];
    if (number) return number;
    Graph& graph = program_.graph();
    const Node* producer = start.source->producer();
    GraphBuilder b(program_, producer ? graph.next(producer) : graph.node_list().front(), origin);
    Value* element = b.select(start.source, 0, *start.index);
    const std::string symbol = free_symbol();
    program_.range_constraints[symbol] = {0, end - 1};
    auto expression = std::make_shared<SymExpr>(SymExpr{.kind = SymExpr::Kind::symbol, .name = symbol});
    OutputSpecification output{.kind = ValueKind::sym_int, .sym = SymInt(std::move(expression), symbol, std::nullopt)};
    Node& item =
        graph.insert_before(graph.next(element->producer()), Op::get("aten.item.default"), {{"self", element}}, {std::move(output)});
    item.metadata = decompose::inherited_metadata(origin);
    return number = item.output();
  }

  std::string free_symbol() {
    while (program_.range_constraints.contains(fmt::format("u{}", next_symbol_))) ++next_symbol_;
    return fmt::format("u{}", next_symbol_);
  }

  // As attention reads it; layers may share a cache.
  Value* readable(GraphBuilder& b, const Write& write) const {
    const auto known = written_.find(write.node);
    return known == written_.end() ? b.permute(write.node->output(), turned) : known->second;
  }

  // The cache becomes [1, positions, heads, size].
  void lay_out(const Write& write, Value* start) {
    if (written_.contains(write.node)) return;
    GraphBuilder b(program_, *write.node);
    Value* rows = heads_behind_rows(b, write.rows);
    program_.set_constant(write.cache, program_.constant(write.cache)->permuted(turned).contiguous());
    Value* written =
        insert(*write.node, updated_cache, {{"value", rows}, {"cache", write.cache}, {"start_pos", start}}, write.cache->meta()).output();
    written_[write.node] = written;
    Graph& graph = program_.graph();
    graph.replace_uses_in(graph.output_node(), write.node->output(), written);
    for (Node* reader : std::vector<Node*>(write.node->output()->users()))
      if (turns(reader)) graph.replace_all_uses(reader->output(), written);
    if (std::ranges::any_of(write.node->output()->users(), [](const Node* reader) { return !reader->output()->users().empty(); }))
      graph.replace_all_uses(write.node->output(), b.permute(written, turned));
  }

  // Where heads go behind rows again there is nothing to do.
  void put(Value* heads, Value* mixed) {
    for (Node* reader : std::vector<Node*>(heads->users()))
      if (turns(reader)) program_.graph().replace_all_uses(reader->output(), mixed);
      else if (is_one_of(reader, {"aten.reshape.default", "aten.view.default"}) && reader->output()->sizes() == heads->sizes())
        put(reader->output(), mixed);
  }

  ExportedProgram& program_;
  const std::function<bool(const Node&)>& keeps_;
  std::map<std::pair<const Value*, int64_t>, Value*> numbers_;  // by tensor and element
  size_t next_symbol_ = 0;
  std::unordered_map<const Node*, Value*> written_;  // by the node that wrote before
};

}  // namespace

void recognize_caches(ExportedProgram& program, const std::function<bool(const Node&)>& keeps) {
  std::vector<Attention> found;
  {
    Surroundings around(program);
    for (Node* node : program.graph().node_list())
      if (auto attention = match_attention(around, *node)) found.push_back(*attention);
  }
  Rewriter rewriter(program, keeps);
  for (const Attention& attention : found) rewriter.rewrite(attention);
  if (!found.empty()) rewriter.finish();
}

}  // namespace intaglio::edge
