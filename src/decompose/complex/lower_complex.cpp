#include "decompose/complex/lower_complex.h"

#include <algorithm>

#include <fmt/format.h>

#include <intaglio/error.h>

#include "base/complex_view.h"
#include "decompose/complex/parts.h"
#include "decompose/regions.h"
#include "decompose/rewrite.h"

namespace intaglio::decompose {

using namespace complex_parts;

namespace {

// Functional copies of views follow the rules of the views.
Rule find_rule(Op op) {
  static const std::unordered_map<std::string, Rule> rules = [] {
    std::unordered_map<std::string, Rule> map;
    for (const auto& family : {arithmetic_rules(), fourier_rules(), linear_rules(), frame_rules()})
      for (const RuleRow& row : family) map.emplace(row.op, row.function);
    return map;
  }();
  if (const auto found = rules.find(std::string(op.name())); found != rules.end()) return found->second;
  if (!op.base().ends_with("_copy")) return nullptr;
  const std::string_view view = op.base().substr(0, op.base().size() - std::string_view("_copy").size());
  const auto found = rules.find(fmt::format("{}.{}.{}", op.name_space(), view, op.overload()));
  return found == rules.end() ? nullptr : found->second;
}

bool is_transform(const Node& node) {
  const std::string_view base = node.op().base();
  const bool moves = base == "fft_fftshift" || base == "fft_ifftshift";
  return node.op().name_space() == "aten" && ((base.starts_with("fft_") && !moves) || base == "stft" || base == "istft");
}

bool touches_complex(const Node& node) {
  return std::ranges::any_of(node.inputs(), is_complex_tensor) || std::ranges::any_of(node.outputs(), is_complex_tensor);
}

const ArgSchema* written_operand(const Node& node) {
  const OpSchema* schema = node.op().schema();
  if (!schema || !schema->is_inplace()) return nullptr;
  for (const ArgSchema& argument : schema->arguments)
    if (const Argument* written = argument.mutated ? node.find(argument.name) : nullptr)
      if (Value* const* value = written->get_if<Value*>(); value && is_complex_tensor(*value)) return &argument;
  return nullptr;
}

class ComplexLowering {
 public:
  explicit ComplexLowering(ExportedProgram& program) : program_(program), graph_(program.graph()) {}

  void run() {
    const std::vector<Node*> nodes = graph_.node_list();
    known_.is_written =
        std::ranges::any_of(nodes, [](const Node* node) { return node->op().schema() && node->op().schema()->is_inplace(); });
    take_inputs(nodes.empty() ? nullptr : nodes.front());
    for (Node* node : nodes)
      if (touches_complex(*node) || is_transform(*node)) rewrite(*node);
    give_outputs();
    for (auto node = replaced_.rbegin(); node != replaced_.rend(); ++node) graph_.erase(*node);
    graph_.eliminate_dead_code();
    program_.remove_unused_constants();
  }

 private:
  // ---- the ends of the program
  void take_inputs(Node* first) {
    const std::vector<InputSpec> specs = program_.input_specs;
    for (const InputSpec& spec : specs) {
      if (!is_complex_tensor(spec.value) || spec.value->users().empty()) continue;
      if (spec.kind == InputSpec::Kind::user_input) {
        if (first) take_user_input(*spec.value, *first);
        continue;
      }
      const Tensor* tensor = program_.constant(spec.value);
      if (!tensor) throw_bad_input(fmt::format("the tensor '{}' is not in the program's state", escaped(spec.target)));
      if (program_.is_mutated(spec.value))
        throw_unsupported(
            fmt::format("the program writes to the complex buffer '{}', which no runtime keeps; keep it as real numbers "
                        "(torch.view_as_real)",
                        escaped(spec.target)));
      known_.parts[spec.value] = Parts::pair(program_.add_constant(spec.value->name() + "_parts", as_pairs(*tensor).contiguous()));
    }
  }

  void take_user_input(Value& input, Node& first) {
    if (program_.is_mutated(&input))
      throw_unsupported(fmt::format("the program writes to its complex input '{}'; let it write to a copy", escaped(input.name())));
    GraphBuilder build(program_, first);
    Value* pairs = build("aten.view_as_real.default", &input);
    known_.parts[&input] = Parts::pair(known_.is_written ? build("aten.clone.default", pairs) : pairs);
  }

  void give_outputs() {
    Node& end = graph_.output_node();
    for (Value* value : end.inputs()) {
      const auto parts = known_.parts.find(value);
      if (parts == known_.parts.end() || !value->producer()) continue;  // an input is returned as it is
      PartsBuilder build(program_, known_, nullptr, *value->producer());
      Value* whole = build.assembled(parts->second);
      const std::string name = value->name();
      graph_.rename(value, name + "_replaced");
      graph_.rename(whole, name);
      graph_.replace_uses_in(end, value, whole);
    }
  }

  // ---- nodes
  void rewrite(Node& node) {
    if (is_size(node)) return ask_a_part(node);
    replaced_.push_back(&node);
    if (node.outputs().empty()) return;  // an assertion about its type
    PartsBuilder build(program_, known_, &node, node);
    if (const ArgSchema* written = written_operand(node)) return write(build, node, node.tensor(written->name));
    const Rule rule = find_rule(node.op());
    if (!rule) refuse_node(node);
    const Results results = rule(build);
    if (results.size() != node.outputs().size()) throw_bug(fmt::format("{} becomes {} results", describe(node), results.size()));
    for (size_t i = 0; i < results.size(); ++i) put(build, node.output(i), results[i]);
  }

  static bool is_size(const Node& node) { return node.is("aten.sym_size.int") || node.is("aten.sym_numel.default"); }

  void ask_a_part(Node& node) {
    PartsBuilder build(program_, known_, &node, node);
    const Parts z = build.operand("self");
    if (node.is("aten.sym_size.int")) graph_.set_argument(node, "dim", dim_of(node, "dim", node.tensor("self")->meta().rank()));
    graph_.set_argument(node, "self", build.real_or_zeros(z));
  }

  // Operands that broadcast to the result need not all have both parts. Symbolic sizes may be written in more than one way.
  static bool is_smaller(const std::vector<SymInt>& given, const std::vector<SymInt>& wanted) {
    if (given.size() != wanted.size()) return true;
    for (size_t i = 0; i < given.size(); ++i)
      if (given[i].is_static() && given[i].value() == 1 && given[i] != wanted[i]) return true;
    return false;
  }

  void put(PartsBuilder& build, Value* old, Parts parts) {
    if (!is_complex_tensor(old)) return replace_result(graph_, old, parts.real);
    std::vector<SymInt> sizes = old->sizes();
    if (parts.packed) sizes.emplace_back(2);
    parts = build.each(parts, [&](Value* x) { return is_smaller(x->sizes(), sizes) ? build.build.expand(x, sizes) : x; });
    if (!parts.packed && !parts.real) parts.real = build.real_or_zeros(parts);
    if (known_.is_written && parts.is_real()) parts.imag = build.imag_or_zeros(parts);
    known_.parts[old] = parts;
  }

  // What an in-place op leaves in its operand is computed first and copied then.
  void write(PartsBuilder& build, Node& node, Value* operand) {
    const std::string_view base = node.op().base();
    const Parts target = build.parts(operand);
    known_.parts[node.output()] = target;
    if (base == "detach_" || base == "requires_grad_") return;
    if (base == "copy_") return store(build, target, build.operand("src"));
    if (base == "zero_") return store(build, target, {});
    const Op functional = Op::get(fmt::format("{}.{}.{}", node.op().name_space(), base.substr(0, base.size() - 1), node.op().overload()));
    if (!functional.schema() || !find_rule(functional)) refuse_node(node);
    Node& computed = graph_.insert_before(&node, functional, node.arguments(), {{operand->meta(), ""}});
    computed.metadata = inherited_metadata(node);
    rewrite(computed);
    store(build, target, known_.parts.at(computed.output()));
  }

  static void store(PartsBuilder& b, const Parts& target, const Parts& fresh) {
    const auto copy = [&](Value* to, Value* from) {
      if (from) b.build("aten.copy_.default", to, from);
      else b.build("aten.zero_.default", to);
    };
    if (target.packed && fresh.packed) return copy(target.packed, fresh.packed);
    Value *real = b.real(fresh), *imag = b.imag(fresh);
    copy(b.real(target), real);
    copy(b.imag(target), imag);
  }

  [[noreturn]] static void refuse_node(const Node& node) {
    if (node.op().name_space() == "higher_order")
      refuse(node, "complex numbers cannot go into a sub-graph or out of it; pass real and imaginary parts (torch.view_as_real)");
    refuse(node, "this operator is not supported on complex numbers; compute with real and imaginary parts");
  }

  ExportedProgram& program_;
  Graph& graph_;
  Known known_;
  std::vector<Node*> replaced_;
};

}  // namespace

static bool has_complex(const Graph& graph, int depth) {
  constexpr int deepest = 32;
  const std::vector<Node*> nodes = graph.node_list();
  return std::ranges::any_of(graph.inputs(), is_complex_tensor) || std::ranges::any_of(nodes, [&](const Node* node) {
           const std::vector<const Graph*> inside = depth < deepest ? subgraphs_of(*node) : std::vector<const Graph*>();
           return touches_complex(*node) || is_transform(*node) ||
                  std::ranges::any_of(inside, [&](const Graph* body) { return has_complex(*body, depth + 1); });
         });
}

bool has_complex(const ExportedProgram& program) { return has_complex(program.graph(), 0); }

void lower_complex(ExportedProgram& program) {
  if (has_complex(program)) ComplexLowering(program).run();
}

}  // namespace intaglio::decompose
