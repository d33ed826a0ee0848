#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "backends/common/symbolic_views.h"
#include "backends/vulkan/passes/passes.h"
#include "decompose/builder.h"
#include "ir/match.h"

namespace intaglio::vulkan {
namespace {

constexpr std::string_view view_copy_op = "aten.view_copy.default";
constexpr int64_t texel_pair = 8;  // halves of a head fill texels of four elements, and four pairs two of them

// Heads [1, heads, rows, size] or, turned, [1, rows, heads, size], by the angles of each row. The elements that turn together are
// halves, x * cos + cat(-x[half:], x[:half]) * sin, or neighbours, cat(even * cos - odd * sin, even * sin + odd * cos); those may come
// and go in other sizes of the same elements.
struct Rotation {
  Node* node;
  Value *x, *cos, *sin;
  SymSizes sizes;
  bool heads_first, neighbours;

  size_t row_dim() const { return heads_first ? 2 : 1; }
  int64_t heads() const { return sizes[3 - row_dim()].value(); }
  bool shares_tables(const Rotation& other) const {
    return cos == other.cos && sin == other.sin && heads_first == other.heads_first && neighbours == other.neighbours;
  }
};

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
  const Node* cat = made_by(swapped, "aten.cat.default");
  if (!cat || cat->tensors("tensors").size() != 2 || swapped->meta().rank() != 4 || !swapped->sizes()[3].is_static()) return nullptr;
  const int64_t dim = cat->integer("dim"), size = swapped->sizes()[3].value();
  const Node* negated = made_by(cat->tensors("tensors")[0], "aten.neg.default");
  const Node* first = made_by(cat->tensors("tensors")[1], "aten.slice_copy.Tensor");
  if ((dim != -1 && dim != 3) || size % texel_pair != 0 || !negated || !first) return nullptr;
  Value* x = first->tensor("self");
  const Node* second = made_by(negated->tensor("self"), "aten.slice_copy.Tensor");
  return is_slice(first, x, 0, size / 2, size) && is_slice(second, x, size / 2, size, size) ? x : nullptr;
}

// A table of [rows, columns], spread over heads and, where there is one, the batch.
bool is_table(const Value* table, const Rotation& rotation) {
  const SymSizes& sizes = table->sizes();
  if (sizes.size() < 2 || sizes.size() > 4 || table->dtype() != rotation.node->output()->dtype()) return false;
  const size_t missing = 4 - sizes.size();
  const SymInt columns = rotation.neighbours ? rotation.sizes[3].value() / 2 : rotation.sizes[3];
  for (size_t dim = 0; dim < 4; ++dim) {
    const SymInt size = dim < missing ? SymInt(1) : sizes[dim - missing];
    if (!(size == (dim == rotation.row_dim() ? rotation.sizes[dim] : dim == 3 ? columns : SymInt(1)))) return false;
  }
  return true;
}

// Of the rotation without its order of dimensions.
std::optional<Rotation> ordered(Rotation rotation) {
  const SymSizes& sizes = rotation.sizes;
  const DType dtype = rotation.node->output()->dtype();
  if ((dtype != DType::float32 && dtype != DType::float16) || rotation.x->dtype() != dtype) return std::nullopt;
  if (sizes.size() != 4 || !(sizes[0] == SymInt(1)) || !sizes[3].is_static() || sizes[3].value() % texel_pair != 0) return std::nullopt;
  for (const bool heads_first : {true, false}) {
    rotation.heads_first = heads_first;
    if (sizes[heads_first ? 1 : 2].is_static() && is_table(rotation.cos, rotation) && is_table(rotation.sin, rotation)) return rotation;
  }
  return std::nullopt;
}

std::optional<Rotation> match_halves(Node& node) {
  if (!node.is("aten.add.Tensor") || node.number("alpha") != 1) return std::nullopt;
  for (const auto& [plain, swapped] : both_ways(node)) {
    const Node *with_cos = made_by(plain, "aten.mul.Tensor"), *with_sin = made_by(swapped, "aten.mul.Tensor");
    if (!with_cos || !with_sin) continue;
    for (const auto& [halves, sin] : both_ways(*with_sin))
      for (const auto& [same, cos] : both_ways(*with_cos))
        if (Value* x = behind_swap(halves); x && same == x)
          if (auto found = ordered({&node, x, cos, sin, x->sizes(), false, false})) return found;
  }
  return std::nullopt;
}

Value* behind_views(Value* value) {
  while (const Node* view = made_by(value, view_copy_op)) value = view->tensor("self");
  return value;
}

// Every second element, from the first or the one behind it on.
struct Alternates {
  Value* of;
  int64_t first;
};

std::optional<Alternates> alternates(Value* value) {
  const Node* slice = made_by(behind_views(value), "aten.slice_copy.Tensor");
  if (!slice) return std::nullopt;
  Value* whole = slice->tensor("self");
  const int64_t dim = slice->integer("dim"), rank = whole->meta().rank();
  const SymInt &size = whole->sizes().back(), &taken = slice->output()->sizes().back();
  const Argument start = slice->argument("start");
  const int64_t* given = start.get_if<int64_t>();
  if ((dim != -1 && dim != rank - 1) || !size.is_static() || !(taken * 2 == size) || (!given && !start.is_none())) return std::nullopt;
  if (size.value() != 2 && slice->integer("step") != 2) return std::nullopt;
  const int64_t first = given ? *given : 0;
  return first == 0 || first == 1 ? std::optional(Alternates{behind_views(whole), first}) : std::nullopt;
}

// What the even and the odd elements of `x` are multiplied by in a sum or difference of the two products.
std::optional<std::array<Value*, 2>> factors(const Value* value, std::string_view op, const Value* x) {
  const Node* node = made_by(value, op);
  if (!node || node->number("alpha") != 1) return std::nullopt;
  std::array<Value*, 2> found = {};
  for (const std::string_view operand : {"self", "other"}) {
    const Node* product = made_by(node->tensor(operand), "aten.mul.Tensor");
    if (!product) return std::nullopt;
    for (const auto& [elements, table] : both_ways(*product)) {
      const auto part = alternates(elements);
      const bool is_of_x = part && part->of == x && elements->sizes() == value->sizes();
      if (is_of_x && (node->is("aten.add.Tensor") || (part->first == 0) == (operand == "self")))
        found[static_cast<size_t>(part->first)] = table;
    }
  }
  return found[0] && found[1] ? std::optional(found) : std::nullopt;
}

std::optional<Rotation> match_neighbours(Node& node) {
  if (!node.is("aten.cat.default") || node.tensors("tensors").size() != 2) return std::nullopt;
  const int64_t dim = node.integer("dim"), rank = node.output()->meta().rank();
  if ((dim != -1 && dim != rank - 1) || !(node.output()->sizes().back() == SymInt(2))) return std::nullopt;
  Value *difference = behind_views(node.tensors("tensors")[0]), *sum = behind_views(node.tensors("tensors")[1]);
  const Node* minus = made_by(difference, "aten.sub.Tensor");
  const Node* product = minus ? made_by(minus->tensor("self"), "aten.mul.Tensor") : nullptr;
  if (!product || difference->sizes() != sum->sizes() || sum->meta().rank() != 4) return std::nullopt;
  SymSizes sizes = sum->sizes();
  sizes.back() = sizes.back() * 2;
  for (const auto& [elements, table] : both_ways(*product)) {
    const auto even = alternates(elements);  // tables may be such elements too
    const auto to_even = even ? factors(difference, "aten.sub.Tensor", even->of) : std::nullopt;
    const auto to_odd = even ? factors(sum, "aten.add.Tensor", even->of) : std::nullopt;
    if (!to_even || !to_odd || (*to_even)[0] != (*to_odd)[1] || (*to_even)[1] != (*to_odd)[0]) continue;
    if (auto found = ordered({&node, even->of, (*to_even)[0], (*to_even)[1], sizes, false, true})) return found;
  }
  return std::nullopt;
}

const std::vector<int64_t> turned_dims = {0, 2, 1, 3};

bool turns(const Node& node) { return node.is("aten.permute_copy.default") && node.integers("dims") == turned_dims; }

Value* sized(decompose::GraphBuilder& b, Value* value, const SymSizes& sizes) {
  return value->sizes() == sizes ? value : common::view_copy(b, value, sizes);
}

Value* behind_turn(decompose::GraphBuilder& b, const Rotation& rotation) {
  Value* x = sized(b, rotation.x, rotation.sizes);
  if (!rotation.heads_first) return x;
  const Node* producer = x->producer();
  if (producer && turns(*producer)) return producer->tensor("self");
  return b("aten.permute_copy.default", x, turned_dims);
}

Value* table_of(decompose::GraphBuilder& b, Value* table, const Rotation& rotation) {
  return sized(b, table, {rotation.sizes[rotation.row_dim()], table->sizes().back()});
}

// Whoever reads the heads again with rows first reads `result`, others what they read in their sizes.
void hand_on(decompose::GraphBuilder& b, const Rotation& rotation, Value* result) {
  Graph& graph = b.graph();
  Value* heads = rotation.heads_first ? b("aten.permute_copy.default", result, turned_dims) : result;
  std::vector<Value*> same = {rotation.node->output()};
  for (size_t i = 0; i < same.size(); ++i) {
    const bool is_sized = same[i]->sizes() == rotation.sizes;
    for (Node* reader : std::vector<Node*>(same[i]->users()))
      if (reader->is(view_copy_op)) same.push_back(reader->output());
      else if (is_sized && rotation.heads_first && turns(*reader)) graph.replace_all_uses(reader->output(), result);
    if (is_sized) graph.replace_all_uses(same[i], heads);
  }
  graph.replace_all_uses(rotation.node->output(), sized(b, heads, rotation.node->output()->sizes()));
}

// Queries and keys by one call: the runtime has no operator for one of them. It starts a thread for each head of the first.
void turn_both(ExportedProgram& program, const Rotation& first, const Rotation& second) {
  decompose::GraphBuilder b(program, *first.node);
  const auto& [query, key] = second.heads() > first.heads() ? std::tie(second, first) : std::tie(first, second);
  Value *x = behind_turn(b, query), *y = behind_turn(b, key);
  std::vector<NamedArgument> arguments = {
      {"xq", x}, {"xk", y}, {"freqs_cos", table_of(b, query.cos, query)}, {"freqs_sin", table_of(b, query.sin, query)}};
  if (!query.neighbours) arguments.push_back({"start_pos", int64_t{0}});
  const Op op = Op::get(query.neighbours ? "et_vk.apply_rotary_emb.default" : "et_vk.apply_rotary_emb_hf.default");
  Node& rotary = program.graph().insert_before(first.node, op, std::move(arguments), {{.meta = x->meta()}, {.meta = y->meta()}});
  rotary.metadata = decompose::inherited_metadata(*first.node);
  hand_on(b, query, rotary.output(0));
  hand_on(b, key, rotary.output(1));
}

}  // namespace

void fuse_rotary(ExportedProgram& program) {
  std::unordered_map<const Node*, size_t> places;
  std::vector<Rotation> rotations;
  for (Node* node : program.graph().node_list()) {
    places[node] = places.size();
    auto rotation = match_halves(*node);
    if (rotation || (rotation = match_neighbours(*node))) rotations.push_back(*rotation);
  }
  // Neighbours of one pair of tables, of which the second is there before the first is turned.
  for (size_t i = 0; i + 1 < rotations.size(); ++i) {
    const Rotation &query = rotations[i], &key = rotations[i + 1];
    const Node* before = key.x->producer();
    if (!query.shares_tables(key)) continue;
    if (before && places.at(before) > places.at(query.node)) continue;
    turn_both(program, query, key);
    ++i;
  }
  program.graph().eliminate_dead_code();
}

}  // namespace intaglio::vulkan
