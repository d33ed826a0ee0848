#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "backends/vulkan/passes/passes.h"
#include "decompose/builder.h"

namespace intaglio::vulkan {
namespace {

constexpr int64_t texel_pair = 8;  // halves of a head fill texels of four elements

// x * cos + cat(-x[half:], x[:half]) * sin, for heads [1, heads, rows, size] or, turned, [1, rows, heads, size].
struct Rotation {
  Node* node;
  Value *x, *cos, *sin;
  bool heads_first;
};

Node* maker(const Value* value, std::string_view op) {
  Node* producer = value->producer();
  return producer && producer->is(op) ? producer : nullptr;
}

std::array<std::pair<Value*, Value*>, 2> orders(const Node& node) {
  Value *a = node.tensor("self"), *b = node.tensor("other");
  return {{{a, b}, {b, a}}};
}

bool is_slice(const Node* node, const Value* of, int64_t start, int64_t end, int64_t size) {
  if (!node || node->tensor("self") != of || !node->find("start") || !node->find("end")) return false;
  const Argument from = node->argument("start"), to = node->argument("end"), step = node->argument("step");
  const auto is = [](const Argument& argument, int64_t number) { return argument.is<int64_t>() && *argument.get_if<int64_t>() == number; };
  const int64_t dim = node->integer("dim");
  const bool ends = is(to, end) || (end == size && to.is<int64_t>() && *to.get_if<int64_t>() >= size);
  return (dim == -1 || dim == 3) && (start == 0 ? from.is_none() || is(from, 0) : is(from, start)) && ends && is(step, 1);
}

// The tensor whose halves are swapped, the second one negated.
Value* behind_swap(const Value* swapped) {
  const Node* cat = maker(swapped, "aten.cat.default");
  if (!cat || cat->tensors("tensors").size() != 2 || swapped->meta().rank() != 4 || !swapped->sizes()[3].is_static()) return nullptr;
  const int64_t dim = cat->integer("dim"), size = swapped->sizes()[3].value();
  const Node* negated = maker(cat->tensors("tensors")[0], "aten.neg.default");
  const Node* first = maker(cat->tensors("tensors")[1], "aten.slice_copy.Tensor");
  if ((dim != -1 && dim != 3) || size % texel_pair != 0 || !negated || !first) return nullptr;
  Value* x = first->tensor("self");
  const Node* second = maker(negated->tensor("self"), "aten.slice_copy.Tensor");
  return is_slice(first, x, 0, size / 2, size) && is_slice(second, x, size / 2, size, size) ? x : nullptr;
}

// A table of [rows, size], spread over heads and, where there is one, the batch.
bool is_table(const Value* table, const Value* x, size_t row_dim) {
  const std::vector<SymInt>&sizes = table->sizes(), &wanted = x->sizes();
  if (sizes.size() < 2 || sizes.size() > 4 || table->dtype() != x->dtype()) return false;
  const size_t missing = 4 - sizes.size();
  for (size_t dim = 0; dim < 4; ++dim) {
    const SymInt size = dim < missing ? SymInt(1) : sizes[dim - missing];
    if (!(size == (dim == row_dim || dim == 3 ? wanted[dim] : SymInt(1)))) return false;
  }
  return true;
}

std::optional<Rotation> match_rotation(Node& node) {
  if (!node.is("aten.add.Tensor") || node.number("alpha") != 1 || node.output()->meta().rank() != 4) return std::nullopt;
  if (const DType dtype = node.output()->dtype(); dtype != DType::float32 && dtype != DType::float16) return std::nullopt;
  for (const auto& [plain, swapped] : orders(node)) {
    const Node *with_cos = maker(plain, "aten.mul.Tensor"), *with_sin = maker(swapped, "aten.mul.Tensor");
    if (!with_cos || !with_sin) continue;
    for (const auto& [halves, sin] : orders(*with_sin)) {
      Value* x = behind_swap(halves);
      if (!x || !(x->sizes()[0] == SymInt(1))) continue;
      for (const auto& [same, cos] : orders(*with_cos))
        for (const bool heads_first : {true, false})
          if (same == x && is_table(cos, x, heads_first ? 2 : 1) && is_table(sin, x, heads_first ? 2 : 1))
            return Rotation{&node, x, cos, sin, heads_first};
    }
  }
  return std::nullopt;
}

bool turns(const Node& node) { return node.is("aten.permute_copy.default") && node.integers("dims") == std::vector<int64_t>{0, 2, 1, 3}; }

Value* behind_turn(decompose::GraphBuilder& b, const Rotation& rotation) {
  if (!rotation.heads_first) return rotation.x;
  const Node* producer = rotation.x->producer();
  if (producer && turns(*producer)) return producer->tensor("self");
  return b("aten.permute_copy.default", rotation.x, std::vector<int64_t>{0, 2, 1, 3});
}

Value* table_of(decompose::GraphBuilder& b, Value* table, const Value* x, size_t row_dim) {
  const SymInt &rows = x->sizes()[row_dim], &size = x->sizes()[3];
  if (table->meta().rank() == 2) return table;
  Value* flat = b("aten.view_copy.default", table, std::vector<int64_t>{rows.is_static() ? rows.value() : -1, size.value()});
  flat->meta() = TensorMeta::contiguous(table->dtype(), {rows, size});
  return flat;
}

// Queries and keys by one call: the runtime has no operator for one of them.
void turn_both(ExportedProgram& program, const Rotation& query, const Rotation& key) {
  Graph& graph = program.graph();
  decompose::GraphBuilder b(program, *query.node);
  const size_t row_dim = query.heads_first ? 2 : 1;
  Value *x = behind_turn(b, query), *y = behind_turn(b, key);
  std::vector<NamedArgument> arguments = {{"xq", x},
                                          {"xk", y},
                                          {"freqs_cos", table_of(b, query.cos, query.x, row_dim)},
                                          {"freqs_sin", table_of(b, query.sin, query.x, row_dim)},
                                          {"start_pos", int64_t{0}}};
  Node& rotary = graph.insert_before(query.node, Op::get("et_vk.apply_rotary_emb_hf.default"), std::move(arguments),
                                     {{.meta = x->meta()}, {.meta = y->meta()}});
  rotary.metadata = decompose::inherited_metadata(*query.node);
  for (const auto& [rotation, place] : {std::pair(&query, size_t{0}), std::pair(&key, size_t{1})}) {
    Value *turned = rotation->node->output(), *result = rotary.output(place);
    if (!rotation->heads_first) {
      graph.replace_all_uses(turned, result);
      continue;
    }
    for (Node* reader : std::vector<Node*>(turned->users()))
      if (turns(*reader)) graph.replace_all_uses(reader->output(), result);
    const bool is_read = std::ranges::any_of(
        turned->users(), [&](const Node* reader) { return reader == &graph.output_node() || !reader->outputs().front()->users().empty(); });
    if (is_read) graph.replace_all_uses(turned, b("aten.permute_copy.default", result, std::vector<int64_t>{0, 2, 1, 3}));
  }
}

}  // namespace

void fuse_rotary(ExportedProgram& program) {
  std::unordered_map<const Node*, size_t> places;
  std::vector<Rotation> rotations;
  for (Node* node : program.graph().node_list()) {
    places[node] = places.size();
    if (auto rotation = match_rotation(*node)) rotations.push_back(*rotation);
  }
  // Neighbours of one pair of tables, of which the second is there before the first is turned.
  for (size_t i = 0; i + 1 < rotations.size(); ++i) {
    const Rotation &query = rotations[i], &key = rotations[i + 1];
    const Node* before = key.x->producer();
    if (query.cos != key.cos || query.sin != key.sin || query.heads_first != key.heads_first) continue;
    if (before && places.at(before) > places.at(query.node)) continue;
    turn_both(program, query, key);
    ++i;
  }
  program.graph().eliminate_dead_code();
}

}  // namespace intaglio::vulkan
