#include "edge/passes/passes.h"

#include "decompose/builder.h"
#include "decompose/permutation.h"
#include "decompose/rewrite.h"
#include "ir/match.h"

namespace intaglio::edge {
namespace {

// Matrices before they were repeated: [batch, groups, 1, rows, columns].
struct Repeated {
  Value* source = nullptr;
  int64_t times = 0;
  bool transposed = false;  // behind the repetition
};

Value* behind_copies(Value* value) {
  while (const Node* copy = made_by(value, "aten.clone.default")) value = copy->tensor("self");
  return value;
}

// What a view sees, when the view only joins the leading dimensions to `rank` dimensions in all.
Value* split_of(Value* value, size_t rank) {
  const Node* view = made_by(behind_copies(value), "aten.view.default");
  if (!view) return nullptr;
  Value* inner = behind_copies(view->tensor("self"));
  const SymSizes &joined = view->output()->sizes(), &split = inner->sizes();
  const bool same_matrices =
      split.size() == rank && joined.size() >= 3 && split.back() == joined.back() && split[rank - 2] == joined[joined.size() - 2];
  return same_matrices ? inner : nullptr;
}

std::optional<Repeated> repeated_of(Value* matrices) {
  Repeated found;
  Value* heads = split_of(matrices, 4);
  if (!heads) return std::nullopt;
  if (const Node* node = heads->producer(); node && decompose::permutation_of(*node) == std::vector<int64_t>{0, 1, 3, 2}) {
    found.transposed = true;
    heads = node->tensor("self");
  }
  Value* wide = split_of(heads, 5);
  const Node* expand = wide ? made_by(wide, "aten.expand.default") : nullptr;
  if (!expand || !wide->meta().is_static()) return std::nullopt;
  found.source = expand->tensor("self");
  const SymSizes &before = found.source->sizes(), &after = wide->sizes();
  if (before.size() != 5 || heads->sizes()[0] != after[0]) return std::nullopt;
  for (size_t i = 0; i < 5; ++i)
    if (i == 2 ? before[i] != 1 : before[i] != after[i]) return std::nullopt;
  found.times = after[2].value();
  return found;
}

}  // namespace

void share_repeated_heads(ExportedProgram& program) {
  Graph& graph = program.graph();
  for (Node* node : graph.node_list()) {
    if (!node->is("aten.bmm.default")) continue;
    // The number of rows may be symbolic: the text's length.
    const SymSizes& left = node->tensor("self")->sizes();
    if (!left[0].is_static() || !left[2].is_static()) continue;
    const auto repeated = repeated_of(node->tensor("mat2"));
    if (!repeated) continue;
    const SymSizes& source = repeated->source->sizes();
    decompose::GraphBuilder b(program, *node);
    const int64_t groups = source[0].value() * source[1].value();
    Value* matrices = b.view(repeated->source, {groups, source[3], source[4]});
    if (repeated->transposed) matrices = b.permute(matrices, {0, 2, 1});
    Value* rows = b.view(node->tensor("self"), {groups, SymInt(repeated->times) * left[1], left[2]});
    Value* product = b.view(b("aten.bmm.default", rows, matrices), node->output()->sizes());
    decompose::replace_result(graph, node->output(), product);
    graph.erase(node);
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::edge
