#include "decompose/decompose.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "decompose/builder.h"
#include "decompose/limits.h"
#include "decompose/permutation.h"
#include "decompose/rewrite.h"
#include "decompose/split.h"
#include "ir/infer.h"

namespace intaglio::decompose {
namespace {

// Where a view's elements live.
struct View {
  Value* parent = nullptr;  // of reshapes of reshapes the tensor before all of them
  Value* base = nullptr;    // at the end of the chain
  Node* node = nullptr;
  size_t output = 0;
};

constexpr std::string_view reshapes[] = {"view",    "reshape",   "_unsafe_view", "flatten",    "ravel",      "unflatten",
                                         "squeeze", "unsqueeze", "view_as",      "reshape_as", "contiguous", "alias",
                                         "detach",  "to",        "type_as",      "lift_fresh"};
constexpr std::string_view splits[] = {"split", "chunk", "split_with_sizes", "tensor_split", "hsplit", "vsplit", "dsplit"};

const ArgSchema* mutated_argument(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (!schema) return nullptr;
  // It writes its statistics in training alone.
  if (node.is("aten._native_batch_norm_legit.default") && !node.boolean("training")) return nullptr;
  for (const ArgSchema& argument : schema->arguments)
    if (argument.mutated) return &argument;
  return nullptr;
}

const ArgSchema* viewed_argument(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (!schema || !schema->is_view()) return nullptr;
  for (const ArgSchema& argument : schema->arguments)
    if (argument.aliased && !argument.mutated) return &argument;
  return nullptr;
}

bool is_one_of(Op op, std::span<const std::string_view> bases) { return std::ranges::find(bases, op.base()) != bases.end(); }
bool is_one_of(Op op, std::initializer_list<std::string_view> bases) { return is_one_of(op, std::span(bases.begin(), bases.size())); }

// Casts and re-layouts share elements only when they have nothing to do.
bool makes_a_copy(const Node& node, const Value* operand) {
  if (is_one_of(node.op(), {"to", "type_as", "_to_copy"})) return node.output()->dtype() != operand->dtype();
  return false;
}

// Writes that somebody sees under another name: through a view taken before, or in what the written tensor is a view of. All
// writes to such memory belong together. Memory of inputs is left out: it is the caller's or the program's state.
class SharedWrites {
 public:
  explicit SharedWrites(const Graph& graph) {
    for (const Node* node : graph.node_list()) visit(*node);
    for (const Value* output : graph.output_node().inputs()) read(output);
  }

  std::unordered_set<const Node*> nodes() const {
    std::unordered_set<const Node*> found;
    for (const Write& write : writes_)
      if (shared_.contains(write.base) && write.base->producer()) found.insert(write.node);
    return found;
  }

 private:
  struct Write {
    const Node* node;
    const Value* base;
  };
  struct Place {
    const Value *base, *tensor;  // whose memory, and which view of it
    size_t taken = 0;            // at this node
  };

  Place place_of(const Value* value) const {
    const auto found = places_.find(value);
    return found == places_.end() ? Place{value, value} : found->second;
  }

  // When memory was last written by the name that wrote it last, and by any other.
  struct LastWrites {
    const Value* tensor = nullptr;
    size_t position = 0, by_others = 0;
  };

  void read(const Value* value) {
    const Place place = place_of(value);
    const auto last = last_writes_.find(place.base);
    if (last == last_writes_.end()) return;
    const size_t by_another_name = last->second.tensor != place.tensor ? last->second.position : last->second.by_others;
    if (place.taken < by_another_name) shared_.insert(place.base);
  }

  void note_write(const Node& node, const Place& place) {
    writes_.push_back({&node, place.base});
    LastWrites& last = last_writes_[place.base];
    if (last.tensor != place.tensor) last.by_others = last.position;
    last.tensor = place.tensor;
    last.position = position_;
  }

  void visit(const Node& node) {
    ++position_;
    for (const Value* input : node.inputs()) read(input);
    const ArgSchema *written = mutated_argument(node), *viewed = viewed_argument(node);
    const ArgSchema* operand = written ? written : viewed;
    Value* const* value = operand && node.find(operand->name) ? node.find(operand->name)->get_if<Value*>() : nullptr;
    if (!value || !*value || (!written && makes_a_copy(node, *value))) return;
    const Place place = place_of(*value);
    for (const Value* output : node.outputs()) places_[output] = written ? place : Place{place.base, output, position_};
    if (written) note_write(node, place);
  }

  size_t position_ = 0;
  std::vector<Write> writes_;
  std::unordered_map<const Value*, LastWrites> last_writes_;  // by base
  std::unordered_map<const Value*, Place> places_;
  std::unordered_set<const Value*> shared_;
};

class Functionalizer {
 public:
  // `only`: the writes that become functional, null for all.
  Functionalizer(ExportedProgram& program, const std::unordered_set<const Node*>* only)
      : program_(program), graph_(program.graph()), only_(only) {}

  void run() {
    const std::vector<Node*> nodes = graph_.node_list();
    most_nodes_ = most_nodes_of_one + 16 * nodes.size();
    for (Node* node : nodes) visit(*node);
    finish_outputs();
    for (auto node = replaced_.rbegin(); node != replaced_.rend(); ++node) graph_.erase(*node);
  }

 private:
  // The tensor a value stands for: results of in-place ops stand for what they wrote to.
  Value* identity(Value* value) const {
    auto found = identity_.find(value);
    return found == identity_.end() ? value : found->second;
  }
  Value* base(Value* value) const {
    const auto view = views_.find(value);
    return view == views_.end() ? value : view->second.base;
  }
  size_t writes_to(Value* base) const {
    auto found = writes_.find(base);
    return found == writes_.end() ? 0 : found->second;
  }

  // The value that holds this tensor's elements now; views that a write made stale are taken again before `at`.
  Value* current(Value* value, Node* at, const Node& origin) {
    // Views of views may be as many as the program has nodes.
    std::vector<Value*> stale;
    for (value = identity(value); is_stale(value); value = identity(views_.at(value).parent)) stale.push_back(value);
    const auto known = current_.find(value);
    Value* latest = known == current_.end() ? value : known->second;
    for (; !stale.empty(); stale.pop_back()) {
      value = stale.back();
      latest = taken_again(views_.at(value), value, latest, at, origin);
      current_[value] = latest;
      seen_[value] = writes_to(base(value));
    }
    return latest;
  }
  bool is_stale(Value* value) { return views_.contains(value) && seen_[value] < writes_to(base(value)); }

  Value* taken_again(const View& view, const Value* value, Value* parent, Node* at, const Node& origin) {
    check_size(origin);
    const Node& node = *view.node;
    const ArgSchema* operand = viewed_argument(node);
    if (view.parent != identity(node.tensor(operand->name))) return GraphBuilder(program_, at, origin).view(parent, value->sizes());
    if (const auto part = node.outputs().size() > 1 && is_one_of(node.op(), splits) ? part_of_split(view) : std::nullopt)
      return GraphBuilder(program_, at, origin).call("aten.slice.Tensor", {parent, part->dim, part->start, part->end, 1});
    if (node.outputs().size() > 1 && is_one_of(node.op(), {"unbind"}))
      return GraphBuilder(program_, at, origin).call("aten.select.int", {parent, node.integer("dim"), static_cast<int64_t>(view.output)});
    std::vector<NamedArgument> arguments = node.arguments();
    for (NamedArgument& argument : arguments)
      if (argument.name == operand->name) argument.value = parent;
    std::vector<OutputSpecification> outputs;
    for (const Value* output : node.outputs()) outputs.push_back({output->meta()});
    Node& again = graph_.insert_before(at, node.op(), std::move(arguments), std::move(outputs), "", node.output_groups());
    again.metadata = inherited_metadata(origin);
    return again.output(view.output);
  }

  // Each write goes through all views between the tensor and its memory.
  void check_size(const Node& node) const {
    if (graph_.size() > most_nodes_)
      decompose::refuse(
          node,
          fmt::format("its writes in place, through views of views, would become more than {} operators; write to a copy", most_nodes_));
  }

  void visit(Node& node) {
    const ArgSchema* written = only_ && !only_->contains(&node) ? nullptr : mutated_argument(node);
    const ArgSchema* viewed = viewed_argument(node);
    Value* target = written ? single(node, *written) : nullptr;
    Value* parent = viewed ? identity(node.tensor(viewed->name)) : nullptr;
    for (Value* input : node.inputs()) {
      Value* latest = current(input, &node, node);
      if (latest != input) graph_.replace_uses_in(node, input, latest);
    }
    if (target) return write(node, *written, identity(target));
    if (!parent || makes_a_copy(node, parent)) return;
    parent = before_reshapes(node, parent);
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      views_[node.output(i)] = {parent, base(parent), &node, i};
      seen_[node.output(i)] = writes_to(base(parent));
    }
  }

  // Reshapes in a row are one.
  Value* before_reshapes(const Node& node, Value* parent) const {
    const auto before = views_.find(parent);
    const auto is_plain = [](const Node& each) {
      return is_one_of(each.op(), reshapes) && each.op().overload() != "dtype_view" && each.output()->meta().is_static();
    };
    return before != views_.end() && is_plain(node) && is_plain(*before->second.node) ? before->second.parent : parent;
  }

  Value* single(const Node& node, const ArgSchema& written) const {
    size_t count = 0;
    for (const ArgSchema& argument : node.op().schema()->arguments) count += argument.mutated;
    if (count != 1) throw_unsupported(fmt::format("{} writes to several tensors in place; export the model in eval mode", describe(node)));
    return node.tensor(written.name);
  }

  void write(Node& node, const ArgSchema& written, Value* target) {
    for (Value* output : node.outputs()) identity_[output] = target;
    replaced_.push_back(&node);
    if (is_one_of(node.op(), {"detach_", "requires_grad_", "lift_fresh", "retain_grad", "record_stream"})) return;
    GraphBuilder build(program_, node);
    store(build, node, target, functional_result(build, node, node.tensor(written.name)));
  }

  // What the in-place op leaves in its operand.
  Value* functional_result(GraphBuilder& build, const Node& node, Value* operand) {
    const std::string_view base = node.op().base();
    if (node.is("aten.copy_.default")) return build.expand(build.cast(node.tensor("src"), operand->dtype()), operand->sizes());
    if (node.is("aten.copy_.Tensor")) return build.expand(build.cast(node.tensor("other"), operand->dtype()), operand->sizes());
    if (base == "copy_") return build.full(operand->sizes(), node.argument("other"), operand->dtype(), operand);
    if (base == "zero_" || base == "_no_grad_zero_") return build.full(operand->sizes(), 0, operand->dtype(), operand);
    if (base == "fill_" && node.op().overload() == "Scalar")
      return build.full(operand->sizes(), node.argument("value"), operand->dtype(), operand);
    if (base == "fill_diagonal_") return diagonal_filled(build, node, operand);
    const std::optional<Op> functional = functional_form(node.op());
    if (!functional || functional->schema()->is_view()) refuse_form(node);
    Node& created =
        graph_.insert_before(const_cast<Node*>(&node), *functional, functional_arguments(node, *functional), {{operand->meta()}});
    created.metadata = node.metadata;
    const DType wanted = operand->dtype();
    refresh_metadata(created);
    return build.cast(created.output(), wanted);
  }

  // Every (columns + 1)th element from the first one, in every block of columns * columns when it wraps.
  Value* diagonal_filled(GraphBuilder& build, const Node& node, Value* operand) {
    const SymSizes& sizes = operand->sizes();
    if (!operand->meta().is_static() || sizes.size() < 2) refuse_form(node);
    int64_t step = 0, elements = 1;
    for (auto size = sizes.rbegin(); size != sizes.rend(); ++size) {
      step += elements;
      elements *= size->value();
    }
    const int64_t columns = sizes.back().value();
    const int64_t end = sizes.size() > 2 || node.boolean("wrap") ? elements : std::min(elements, columns * columns);
    const int64_t count = end <= 0 ? 0 : (end - 1) / step + 1;
    Value* flat = build.view(operand, {elements});
    Value* filling = build.full({count}, node.argument("fill_value"), operand->dtype(), operand);
    return build.view(build.call("aten.slice_scatter.default", {flat, filling, 0, 0, end, step}), sizes);
  }

  // Makes `fresh` the content of `target` and of everything it is a view of.
  void store(GraphBuilder& build, Node& node, Value* target, Value* fresh) {
    std::vector<Value*> chain = {target};
    std::vector<Value*> contents = {fresh};
    while (views_.contains(chain.back())) {
      check_size(node);
      const View& view = views_.at(chain.back());
      Value* whole = current(view.parent, &node, node);
      contents.push_back(scatter(build, view, whole, contents.back()));
      chain.push_back(view.parent);
    }
    const size_t writes = ++writes_[chain.back()];
    for (size_t i = 0; i < chain.size(); ++i) {
      current_[chain[i]] = contents[i];
      seen_[chain[i]] = writes;
    }
  }

  // `whole` with the part that the view shows replaced by `part`.
  Value* scatter(GraphBuilder& build, const View& view, Value* whole, Value* part) {
    const Node& node = *view.node;
    if (is_one_of(node.op(), {"slice", "narrow"})) return scatter_slice(build, node, whole, part);
    if (is_one_of(node.op(), {"select"}))
      return build.call("aten.select_scatter.default", {whole, part, node.integer("dim"), node.argument("index")});
    if (is_one_of(node.op(), {"unbind"}))
      return build.call("aten.select_scatter.default", {whole, part, node.integer("dim"), static_cast<int64_t>(view.output)});
    if (is_one_of(node.op(), {"diagonal"}) && node.op().overload() == "default")
      return build.call("aten.diagonal_scatter.default", {whole, part, node.integer("offset"), node.integer("dim1"), node.integer("dim2")});
    if (is_one_of(node.op(), splits)) return scatter_split(build, view, whole, part);
    if (auto order = permutation_of(node)) return build.permute(part, inverse_permutation(*order));
    if (!is_one_of(node.op(), reshapes) || node.op().overload() == "dtype_view") refuse(node);
    return build.view(part, whole->sizes());
  }

  Value* scatter_slice(GraphBuilder& build, const Node& node, Value* whole, Value* part) {
    if (whole->sizes() == part->sizes()) return part;
    if (node.op().base() == "narrow") {
      const Argument start = node.argument("start");
      return build.call("aten.slice_scatter.default", {whole, part, node.integer("dim"), start, build.sum(start, node.argument("length"))});
    }
    return build.call("aten.slice_scatter.default",
                      {whole, part, node.integer("dim"), node.argument("start"), node.argument("end"), node.argument("step")});
  }

  Value* scatter_split(GraphBuilder& build, const View& view, Value* whole, Value* part) {
    const std::optional<Part> place = part_of_split(view);
    if (!place) refuse(*view.node);
    return build.call("aten.slice_scatter.default", {whole, part, place->dim, place->start, place->end});
  }

  // Which part of the tensor before it an output of a split is; nullopt where that depends on symbols.
  struct Part {
    int64_t dim, start, end;
  };
  std::optional<Part> part_of_split(const View& view) {
    const Node& node = *view.node;
    const auto dim = static_cast<size_t>(split_dim(node, node.output(view.output)->meta().rank()));
    std::vector<int64_t>& ends = ends_[&node];
    for (size_t i = ends.size(); i <= view.output; ++i) {
      const SymInt& size = node.output(i)->sizes()[dim];
      if (!size.is_static()) return std::nullopt;
      ends.push_back((i == 0 ? 0 : ends.back()) + size.value());
    }
    return Part{static_cast<int64_t>(dim), view.output == 0 ? 0 : ends[view.output - 1], ends[view.output]};
  }

  [[noreturn]] void refuse_form(const Node& node) const {
    throw_unsupported(
        fmt::format("{}: there is no functional form of this in-place op; use the out-of-place op in the model", describe(node)));
  }
  [[noreturn]] void refuse(const Node& node) const {
    throw_unsupported(
        fmt::format("{}: the model writes through this view in place, which cannot be expressed; write to a copy instead", describe(node)));
  }

  void finish_outputs() {
    Node& end = graph_.output_node();
    for (Value* input : end.inputs()) {
      Value* latest = current(input, nullptr, end);
      if (latest != input) graph_.replace_uses_in(end, input, latest);
    }
    std::vector<Argument> outputs;
    std::vector<OutputSpec> specs;
    for (const InputSpec& spec : program_.input_specs) {
      if (!writes_.contains(spec.value)) continue;
      outputs.emplace_back(current_.at(spec.value));
      specs.push_back(mutation_of(spec));
    }
    std::ranges::copy(graph_.outputs(), std::back_inserter(outputs));
    std::ranges::copy(program_.output_specs, std::back_inserter(specs));
    graph_.set_outputs(std::move(outputs));
    program_.output_specs = std::move(specs);
  }

  OutputSpec mutation_of(const InputSpec& spec) const {
    switch (spec.kind) {
      case InputSpec::Kind::buffer: return {OutputSpec::Kind::buffer_mutation, spec.target};
      case InputSpec::Kind::parameter: return {OutputSpec::Kind::parameter_mutation, spec.target};
      case InputSpec::Kind::user_input: return {OutputSpec::Kind::user_input_mutation, spec.value->name()};
      default: throw_unsupported(fmt::format("the program writes to the constant '{}' in place; make it a buffer", escaped(spec.target)));
    }
  }

  ExportedProgram& program_;
  Graph& graph_;
  const std::unordered_set<const Node*>* only_;
  std::unordered_map<Value*, Value*> identity_, current_;
  std::unordered_map<Value*, View> views_;
  std::unordered_map<Value*, size_t> writes_, seen_;            // writes by base; how many of them a view has seen
  std::unordered_map<const Node*, std::vector<int64_t>> ends_;  // of the parts of splits, as far as they were asked for
  std::vector<Node*> replaced_;
  size_t most_nodes_ = 0;
};

}  // namespace

void functionalize(ExportedProgram& program) {
  replace_in_place_views(program);
  const std::vector<Node*> nodes = program.graph().node_list();
  if (std::none_of(nodes.begin(), nodes.end(), [](const Node* node) { return mutated_argument(*node) != nullptr; })) return;
  Functionalizer(program, nullptr).run();
}

void functionalize_shared_writes(ExportedProgram& program) {
  const std::unordered_set<const Node*> shared = SharedWrites(program.graph()).nodes();
  if (!shared.empty()) Functionalizer(program, &shared).run();
}

}  // namespace intaglio::decompose
