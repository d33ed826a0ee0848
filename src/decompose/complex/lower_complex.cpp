#include "decompose/decompose.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/complex_view.h"
#include "decompose/complex/parts.h"
#include "decompose/regions.h"
#include "decompose/rewrite.h"
#include "ir/at_node.h"
#include "ir/infer.h"
#include "ir/mutations.h"
#include "ir/operator_names.h"

namespace intaglio::decompose {

using namespace complex_parts;

namespace {

const std::unordered_map<std::string, Rule>& rule_map() {
  static const std::unordered_map<std::string, Rule> rules = [] {
    std::unordered_map<std::string, Rule> map;
    const std::vector<RuleRow> arithmetic = arithmetic_rules(), linear = linear_rules();
    for (const auto& family :
         {std::span<const RuleRow>(arithmetic), function_rules(), fourier_rules(), std::span<const RuleRow>(linear), frame_rules()})
      for (const RuleRow& row : family)
        for (const std::string_view op : row.ops) map.emplace(op, row.function);
    return map;
  }();
  return rules;
}

// Functional copies of views follow the rules of the views.
Rule find_rule(Op op) {
  const std::unordered_map<std::string, Rule>& rules = rule_map();
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

bool has_complex(const Graph& graph, int depth = 0) {
  constexpr int deepest = 32;
  const std::vector<Node*> nodes = graph.node_list();
  return std::ranges::any_of(graph.inputs(), is_complex_tensor) || std::ranges::any_of(nodes, [&](const Node* node) {
           const std::vector<const Graph*> inside = depth < deepest ? subgraphs_of(*node) : std::vector<const Graph*>();
           return touches_complex(*node) || is_transform(*node) ||
                  std::ranges::any_of(inside, [&](const Graph* body) { return has_complex(*body, depth + 1); });
         });
}

// A condition or a loop that complex numbers go through or stand in.
bool has_complex_body(const Node& node) {
  const std::vector<const Graph*> bodies = subgraphs_of(node);
  return !bodies.empty() && (touches_complex(node) || std::ranges::any_of(bodies, [](const Graph* body) { return has_complex(*body); }));
}

class ComplexLowering {
 public:
  explicit ComplexLowering(ExportedProgram& program) : program_(program), graph_(program.graph()), mutated_(mutated_inputs(program)) {
    for (size_t i = 0; i < program_.output_specs.size(); ++i) {
      const OutputSpec& output = program_.output_specs[i];
      if (output.kind == OutputSpec::Kind::buffer_mutation || output.kind == OutputSpec::Kind::parameter_mutation)
        mutations_[output.target].push_back(i);
    }
  }

  void run() {
    const std::vector<Node*> nodes = graph_.node_list();
    known_.is_written = graph_.has_in_place_nodes();
    take_inputs(nodes.empty() ? nullptr : nodes.front());
    for (Node* node : nodes)
      if (touches_complex(*node) || is_transform(*node) || has_complex_body(*node)) rewrite(*node);
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
      if (!is_complex_tensor(spec.value)) continue;
      const bool is_written = spec.kind != InputSpec::Kind::user_input && mutated_.contains(spec.value);
      if (spec.value->users().empty() && !is_written) continue;
      if (spec.kind == InputSpec::Kind::user_input) {
        if (first) take_user_input(*spec.value, *first);
        continue;
      }
      const Tensor* tensor = program_.constant(spec.value);
      if (!tensor) throw_bad_input(fmt::format("the tensor '{}' is not in the program's state", escaped(spec.target)));
      if (is_written) {
        take_written_buffer(spec, *tensor);
        continue;
      }
      known_.parts[spec.value] = Parts::pair(program_.add_constant(spec.value->name() + "_parts", as_pairs(*tensor).contiguous()));
    }
  }

  // No runtime keeps complex numbers: their pairs are what the program writes to.
  void take_written_buffer(const InputSpec& spec, const Tensor& tensor) {
    Value* pairs = program_.add_buffer(spec.target + "_parts", as_pairs(tensor).contiguous());
    known_.buffers.insert(pairs);
    known_.parts[spec.value] = Parts::pair(pairs);
    for (const size_t place : mutations_[spec.target])
      program_.output_specs[place] = {OutputSpec::Kind::buffer_mutation, *program_.target_of(pairs)};
  }

  void take_user_input(Value& input, Node& first) {
    const bool is_written = known_.is_written && mutated_.contains(&input);
    GraphBuilder build(program_, first);
    Value* pairs = build("aten.view_as_real.default", &input);
    if (known_.is_written) pairs = build("aten.clone.default", pairs);
    known_.parts[&input] = Parts::pair(pairs);
    if (!is_written) return;
    known_.buffers.insert(pairs);
    written_inputs_.push_back(&input);
  }

  void give_outputs() {
    std::vector<Argument> outputs = graph_.outputs();
    std::unordered_map<const Value*, Value*> assembled;
    for (size_t i = 0; i < outputs.size(); ++i) {
      Value* const* value = outputs[i].get_if<Value*>();
      const auto parts = value ? known_.parts.find(*value) : known_.parts.end();
      if (parts == known_.parts.end()) continue;
      const bool is_input = !(*value)->producer();
      PartsBuilder build(program_, known_, nullptr, is_input ? graph_.output_node() : *(*value)->producer());
      if (program_.output_specs[i].kind == OutputSpec::Kind::buffer_mutation) {
        outputs[i] = build.packed(parts->second);
      } else if (!is_input || known_.buffers.contains(parts->second.packed)) {  // another input is returned as it is
        Value*& whole = assembled[*value];
        if (!whole) {
          whole = build.assembled(parts->second);
          const std::string name = (*value)->name();
          graph_.rename(*value, name + "_replaced");
          graph_.rename(whole, name);
        }
        outputs[i] = whole;
      }
    }
    for (Value* input : written_inputs_) {
      PartsBuilder build(program_, known_, nullptr, graph_.output_node());
      build.build("aten.copy_.default", input, build.assembled(known_.parts.at(input)));
    }
    graph_.set_outputs(std::move(outputs));
  }

  // ---- nodes
  void rewrite(Node& node) {
    if (is_size(node)) return ask_a_part(node);
    replaced_.push_back(&node);
    if (node.outputs().empty()) return;  // an assertion about its type
    PartsBuilder build(program_, known_, &node, node);
    if (const ArgSchema* written = written_operand(node)) return write(build, node, node.tensor(written->name));
    const Rule rule = subgraphs_of(node).empty() ? find_rule(node.op()) : with_lowered_bodies;
    if (!rule) refuse_node(node);
    const Results results = at_node(node, [&] { return rule(build); });
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
  static bool is_smaller(const SymSizes& given, const SymSizes& wanted) {
    if (given.size() != wanted.size()) return true;
    for (size_t i = 0; i < given.size(); ++i)
      if (given[i].is_static() && given[i].value() == 1 && given[i] != wanted[i]) return true;
    return false;
  }

  // Sizes of transforms follow from arguments that nothing else looks at; only files that were changed say others.
  static void check_sizes(const Value& old, const SymSizes& declared, const SymSizes& made) {
    const auto text = [](const SymSizes& sizes) {
      std::string joined;
      for (const SymInt& size : sizes) joined += (joined.empty() ? "" : ", ") + to_string(size);
      return joined;
    };
    const auto differ = [](const SymInt& a, const SymInt& b) { return a.is_static() && b.is_static() && a != b; };
    bool fits = made.size() == declared.size();
    for (size_t i = 0; fits && i < declared.size(); ++i) fits = !differ(made[i], declared[i]);
    if (!fits)
      throw_bad_input(fmt::format("{}: its result is [{}] by its arguments, and the program says [{}]; export the model again",
                                  describe(*old.producer()), text(made), text(declared)));
  }
  static SymSizes together(const Value& old, const Parts& parts) {
    if (parts.packed) return parts.packed->sizes();
    if (!parts.real || !parts.imag) return parts.real ? parts.real->sizes() : parts.imag ? parts.imag->sizes() : old.sizes();
    const auto sizes = broadcast_sizes(parts.real->sizes(), parts.imag->sizes());
    if (!sizes) throw_bug(fmt::format("the parts of {} do not broadcast", describe(*old.producer())));
    return *sizes;
  }

  void put(PartsBuilder& build, Value* old, Parts parts) {
    if (!is_complex_tensor(old)) {
      if (!parts.real && old->is_tensor())
        throw_bad_input(
            fmt::format("{}: the program says that its result is real, and its operands make it complex", describe(*old->producer())));
      if (old->is_tensor()) check_sizes(*old, old->sizes(), parts.real->sizes());
      return replace_result(graph_, old, parts.real);
    }
    SymSizes sizes = old->sizes();
    if (parts.packed) sizes.emplace_back(2);
    check_sizes(*old, sizes, together(*old, parts));
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
    refuse(node, "this operator is not supported on complex numbers; compute with real and imaginary parts");
  }

  ExportedProgram& program_;
  Graph& graph_;
  std::unordered_set<const Value*> mutated_;                        // as the program comes in
  std::unordered_map<std::string, std::vector<size_t>> mutations_;  // of states by their names: which results
  Known known_;
  std::vector<Value*> written_inputs_;  // in place: their pairs were, and they are at the end
  std::vector<Node*> replaced_;
};

}  // namespace

std::vector<std::string_view> complex_operators() { return operator_names(rule_map()); }

bool has_complex(const ExportedProgram& program) { return has_complex(program.graph()); }

void lower_complex(ExportedProgram& program) {
  if (has_complex(program)) ComplexLowering(program).run();
}

}  // namespace intaglio::decompose
