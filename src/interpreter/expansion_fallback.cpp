#include "interpreter/fallbacks.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>

#include "decompose/decompose.h"
#include "ir/infer.h"

namespace intaglio::interp {
namespace {

bool has_kernel(const Node& node) { return find_kernel(node.op()).kernel != nullptr || registry_kernel(node) != nullptr; }
// Decomposed where that gives something else: the runtime's kernels are slower than our own.
bool is_kept(const Node& node) {
  return find_kernel(node.op()).kernel != nullptr || (!decompose::has_decomposition(node.op()) && registry_kernel(node) != nullptr);
}

// What stays itself when it is decomposed: on the runtime's kernel, if that takes it.
void run_registered(Call& call) {
  const Kernel* kernel = registry_kernel(call.node());
  if (kernel == nullptr) call.unsupported(fmt::format("no kernel for this form of {}", call.node().op().name()));
  kernel->run(call);
}

// The node alone in a program, its operands' sizes and numbers those of one call.
class Expansion {
 public:
  explicit Expansion(Call& call) : call_(call) {
    const Node& node = call.node();
    std::vector<NamedArgument> arguments;
    const Op op = decompose::functional_form(node.op()).value_or(node.op());
    const std::vector<NamedArgument> written = op == node.op() ? node.arguments() : decompose::functional_arguments(node, op);
    for (const NamedArgument& argument : written) arguments.push_back({argument.name, actual(argument), argument.kind});
    std::vector<OutputSpecification> outputs;
    for (const Value* output : node.outputs()) outputs.push_back({output->is_tensor() ? output->meta() : TensorMeta(), "", output->kind()});
    Node& copy = program.graph().insert_before(nullptr, op, std::move(arguments), std::move(outputs), "", node.output_groups());
    copy.metadata = node.metadata;
    refresh_metadata(copy);
    std::vector<Argument> results;
    for (size_t i = 0; i < node.outputs().size(); ++i)
      if (is_wanted(node, i)) results.emplace_back(copy.output(i));
    program.output_specs.assign(results.size(), {OutputSpec::Kind::user_output, ""});
    program.graph().set_outputs(std::move(results));
  }

  static bool is_wanted(const Node& node, size_t output) {
    const bool any = std::any_of(node.outputs().begin(), node.outputs().end(), [](const Value* value) { return !value->users().empty(); });
    return !any || !node.output(output)->users().empty();
  }

  ExportedProgram program;
  std::vector<Tensor> inputs;
  std::vector<int64_t> key;  // what the program depends on

 private:
  Argument actual(const NamedArgument& argument) {
    if (Value* const* value = argument.value.get_if<Value*>(); value && *value) {
      const auto given = call_.tensor_or_number(argument.name);
      if (const auto* tensor = std::get_if<Tensor>(&given)) return operand(*tensor, call_.is_constant(argument.name));
      return number(std::get<Number>(given));
    }
    if (argument.value.is<std::vector<Value*>>()) {
      std::vector<Value*> values;
      for (const Tensor* tensor : call_.tensors(argument.name))
        values.push_back(tensor ? operand(*tensor, call_.is_constant(argument.name)) : nullptr);
      return values;
    }
    if (!argument.value.is<std::vector<SymArg>>()) return argument.value;
    const std::vector<int64_t> integers = call_.integers(argument.name);
    key.insert(key.end(), integers.begin(), integers.end());
    return integers;
  }

  Value* operand(const Tensor& tensor, bool constant) {
    key.push_back(static_cast<int64_t>(tensor.dtype()));
    key.insert(key.end(), tensor.sizes().begin(), tensor.sizes().end());
    const std::string name = fmt::format("x{}", program.graph().inputs().size());
    if (constant) return program.add_constant(name, tensor.contiguous());
    inputs.push_back(tensor.contiguous());
    const size_t position = program.graph().inputs().size();
    Value* value =
        program.graph().add_input(position, {TensorMeta::contiguous(tensor.dtype(), {tensor.sizes().begin(), tensor.sizes().end()}), name});
    program.input_specs.push_back({InputSpec::Kind::user_input, value, "", true});
    return value;
  }

  Argument number(const Number& given) {
    key.push_back(given.kind() == Number::Kind::floating ? std::bit_cast<int64_t>(given.as_double()) : given.as_int());
    if (given.kind() == Number::Kind::floating) return given.as_double();
    if (given.kind() == Number::Kind::boolean) return given.as_int() != 0;
    return given.as_int();
  }

  Call& call_;
};

struct Expanded : NodeState {
  std::vector<int64_t> key;
  ExportedProgram program;
  std::optional<Interpreter> interpreter;
};

}  // namespace

void run_expanded(Call& call) {
  const Node& node = call.node();
  const OpSchema* schema = node.op().schema();
  if (schema != nullptr && schema->is_view() && call.context().has_in_place)
    call.unsupported("the program writes in place, and what this view shares is lost when it is computed from other operators");
  Expansion expansion(call);
  auto& expanded = call.state<Expanded>();
  if (!expanded.interpreter || expanded.key != expansion.key) {
    expanded.interpreter.reset();
    expanded.program = std::move(expansion.program);
    const Op op = decompose::functional_form(node.op()).value_or(node.op());
    decompose::decompose(expanded.program, [op](const Node& part) { return part.op() != op && is_kept(part); });
    if (expanded.program.graph().size() == 1 && expanded.program.graph().node_list().front()->op() == op) return run_registered(call);
    for (const Node* part : expanded.program.graph().node_list())
      if (!has_kernel(*part)) call.unsupported(fmt::format("no kernel for {}, which it is made of", part->op().name()));
    expanded.interpreter.emplace(expanded.program, InterpreterOptions{.threads = call.threads()});
    expanded.key = std::move(expansion.key);
  }
  std::vector<Tensor> results = expanded.interpreter->run(expansion.inputs);
  size_t next = 0;
  for (size_t i = 0; i < node.outputs().size(); ++i)
    if (Expansion::is_wanted(node, i)) call.set(std::move(results.at(next++)), i);
}

void run_elsewhere(Call& call) { decompose::has_decomposition(call.node().op()) ? run_expanded(call) : run_registered(call); }

const Kernel* expansion_kernel(const Node& node) {
  static const Kernel kernel = {"", run_expanded};
  return decompose::has_decomposition(decompose::functional_form(node.op()).value_or(node.op())) ? &kernel : nullptr;
}

}  // namespace intaglio::interp
