#include "edge/emit/emitter.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "edge/branches.h"
#include "edge/emit/kernel_arguments.h"
#include "edge/emit/tensor_values.h"
#include "edge/lower_checks.h"
#include "edge/views.h"
#include "ir/mutations.h"

namespace intaglio::edge {
namespace {

bool all_zero(const Tensor& tensor) {
  const Tensor dense = tensor.as_it_lies().contiguous();
  if (dense.numel() == 0) return true;
  const auto* bytes = static_cast<const unsigned char*>(dense.raw());
  return std::all_of(bytes, bytes + dense.nbytes(), [](unsigned char byte) { return byte == 0; });
}

class Emitter {
 public:
  Emitter(const EdgeMethod& method, const ExecutorchOptions& options, EmissionPools& pools)
      : method_(method), program_(method.program), mutated_(mutated_inputs(program_)), options_(options), pools_(pools) {}

  pte::ExecutionPlan run() {
    find_outputs();
    emit_inputs();
    emit_nodes(program_.graph());
    for (const Argument& output : program_.graph().outputs()) builder_.add_output(emit_output(output));
    uint64_t slack = 0;
    for (const Delegate& delegate : method_.delegates) slack = std::max(slack, delegate.input_slack);
    pte::ExecutionPlan plan = builder_.finish(slack);
    plan.name = method_.name;
    plan.encoded_inp_str = to_json(program_.in_spec);
    plan.encoded_out_str = to_json(program_.out_spec);
    return plan;
  }

 private:
  // ---- inputs
  void find_outputs() {
    for (const Argument& output : program_.graph().outputs())
      for (Value* value : values_in(output)) returned_.insert(value);
  }

  void emit_inputs() {
    for (const InputSpec& spec : program_.input_specs) {
      switch (spec.kind) {
        case InputSpec::Kind::parameter:
        case InputSpec::Kind::buffer:
        case InputSpec::Kind::tensor_constant: emit_state(spec); break;
        case InputSpec::Kind::user_input:
        case InputSpec::Kind::literal_input: emit_user_input(*spec.value); break;
        case InputSpec::Kind::token: ids_[spec.value] = builder_.none(); break;
        case InputSpec::Kind::custom_object:
          if (!spec.value->users().empty())
            throw_unsupported(fmt::format("the custom object '{}' is still used by {}; no kernel takes custom objects",
                                          escaped(spec.target), describe(*spec.value->users().front())));
          break;
      }
    }
  }

  void emit_state(const InputSpec& spec) {
    if (spec.value->users().empty()) return;
    const Tensor* data = program_.constant(spec.value);
    if (data == nullptr) throw_bad_input(fmt::format("the tensor '{}' is not in the program's state", escaped(spec.target)));
    if (!mutated_.contains(spec.value)) {
      ids_[spec.value] = emit_constant(*data);
      return;
    }
    pte::TensorValue tensor = tensor_value(spec.value->meta(), program_.range_constraints, spec.target);
    const size_t storage = builder_.new_storage(planned_bytes(tensor));
    builder_.keep_from_start(storage);
    builder_.keep_to_end(storage);
    // Memory holds nothing in particular at the start, in most runners zeros: other values have to travel along.
    if (!all_zero(*data)) {
      tensor.data_buffer_idx = pools_.mutable_state.add(in_order(*data, tensor.dim_order)).index + 1;
      tensor.extra = pte::TensorValue::Extra{};
    }
    builder_.add_phantom(planned_bytes(tensor));
    ids_[spec.value] = builder_.tensor(std::move(tensor), storage);
  }

  // The bytes laid out in the given order of dimensions.
  static Tensor in_order(const Tensor& tensor, const std::vector<uint8_t>& dim_order) {
    std::vector<int64_t> permutation(dim_order.begin(), dim_order.end());
    return tensor.permuted(permutation).contiguous();
  }

  int32_t emit_constant(const Tensor& data) {
    ConstantPool::Entry entry = pools_.constants.add(data);
    pte::TensorValue tensor;
    tensor.scalar_type = pte::scalar_type_of(data.dtype());
    tensor.sizes = sizes32(data.sizes(), "a constant");
    tensor.dim_order = std::move(entry.dim_order);
    tensor.data_buffer_idx = entry.index + 1;
    return builder_.tensor(std::move(tensor), PlanBuilder::no_storage);
  }

  void emit_user_input(Value& value) {
    int32_t id = -1;
    if (value.is_tensor()) {
      pte::TensorValue tensor = tensor_value(value.meta(), program_.range_constraints, value.name());
      const size_t storage = options_.plan_inputs ? builder_.new_storage(planned_bytes(tensor)) : PlanBuilder::no_storage;
      if (options_.plan_inputs) builder_.keep_from_start(storage);
      id = builder_.tensor(std::move(tensor), storage);
    } else if (const Argument* literal = program_.graph().literal_of(&value)) {
      id = emit_fresh(*literal, value.name());
    } else {
      id = new_symbol(value);
    }
    ids_[&value] = id;
    builder_.add_input(id);
  }

  // A value that a caller or an instruction sets.
  int32_t new_symbol(const Value& value) {
    switch (value.kind()) {
      case ValueKind::sym_int: return builder_.add(value.sym ? value.sym->hint().value_or(0) : int64_t{0});
      case ValueKind::sym_float: return builder_.add(0.0);
      case ValueKind::sym_bool: return builder_.add(false);
      case ValueKind::none: return builder_.add(pte::Null{});
      default: throw_unsupported(fmt::format("the value '{}' is of a kind that programs cannot hold", value.name()));
    }
  }

  // Not shared with other uses of the same number: callers may set it.
  int32_t emit_fresh(const Argument& value, std::string_view what) {
    if (value.is_none()) return builder_.add(pte::Null{});
    if (const auto* v = value.get_if<int64_t>()) return builder_.add(*v);
    if (const auto* v = value.get_if<double>()) return builder_.add(*v);
    if (const auto* v = value.get_if<bool>()) return builder_.add(*v);
    if (const auto* v = value.get_if<std::string>()) return builder_.add(*v);
    if (const auto* v = value.get_if<DType>()) return builder_.add(int64_t{pte::scalar_type_of(*v)});
    throw_unsupported(fmt::format("the constant '{}' is of a kind that programs cannot hold", what));
  }

  int32_t emit_output(const Argument& output) {
    if (Value* const* value = output.get_if<Value*>()) return id_of(*value);
    return emit_fresh(output, "an output");
  }

  // ---- nodes
  void emit_nodes(const Graph& graph) {
    for (const Node* node : graph.node_list()) {
      try {
        emit_node(*node);
      } catch (const Error& error) {
        if (std::string_view(error.what()).find(node->op().name()) != std::string_view::npos) throw;
        throw error.with_context(describe(*node));
      }
    }
  }

  void emit_node(const Node& node) {
    if (is_erased(node)) return;
    if (is_delegate_call(node)) return emit_delegate(node);
    if (is_control_flow(node)) return emit_control_flow(node);
    if (is_symbolic_op(node)) return emit_symbolic(node);
    if (emit_view(node)) return;
    if (node.is("aten.view_as_complex_copy.default")) return emit_complex(node);
    emit_kernel(node);
  }

  bool is_planned_output(const Value* value) const { return options_.plan_outputs || !returned_.contains(value); }

  int32_t emit_result(const Value& value) {
    int32_t id = -1;
    if (value.is_tensor()) {
      TensorMeta meta = value.meta();
      // Kernels of norms want their statistics in the type of what they normalize, where PyTorch has float32.
      if (value.producer() && value.output_index() > 0 && value.users().empty() && is_floating(meta.dtype))
        meta.dtype = value.producer()->output(0)->dtype();
      pte::TensorValue tensor = tensor_value(meta, program_.range_constraints, value.name());
      const size_t storage = is_planned_output(&value) ? builder_.new_storage(planned_bytes(tensor)) : PlanBuilder::no_storage;
      id = builder_.tensor(std::move(tensor), storage);
    } else {
      id = new_symbol(value);
    }
    ids_[&value] = id;
    return id;
  }

  // True when the result is one more name for memory that exists.
  bool emit_view(const Node& node) {
    if (node.outputs().size() != 1 || returned_.contains(node.output()) || copies_.contains(node.output())) return false;
    if (Value* base = same_bytes_as(node)) return emit_static_view(node, *base);
    if (node.is("aten.view_copy.default") && !node.output()->meta().is_static()) return emit_dynamic_view(node);
    return false;
  }

  bool emit_static_view(const Node& node, Value& base) {
    const int32_t base_id = id_of(&base);
    const auto& base_tensor = std::get<pte::TensorValue>(builder_.value(base_id));
    const size_t storage = builder_.storage_of(base_id);
    const bool constant = base_tensor.data_buffer_idx > 0 && storage == PlanBuilder::no_storage;
    if (storage == PlanBuilder::no_storage && !constant) return false;
    // A clone that saves an old value from a write-back has to be one.
    for (const Node* user : node.output()->users())
      if (user->is("aten.copy_.default") && is_mutable_input(origins_.of(&base))) return false;
    pte::TensorValue tensor = tensor_value(node.output()->meta(), program_.range_constraints, node.output()->name());
    if (constant) tensor.data_buffer_idx = base_tensor.data_buffer_idx;
    ids_[node.output()] = builder_.tensor(std::move(tensor), storage);
    return true;
  }
  bool is_mutable_input(const Value* value) const { return mutated_.contains(value); }

  // The runtime's et_view points the result at the argument's memory once its sizes are known.
  bool emit_dynamic_view(const Node& node) {
    const int32_t self = id_of(node.tensor("self"));
    const size_t storage = builder_.storage_of(self);
    if (storage == PlanBuilder::no_storage || is_mutable_input(origins_.of(node.tensor("self")))) return false;
    pte::TensorValue tensor = tensor_value(node.output()->meta(), program_.range_constraints, node.output()->name());
    const int32_t size = emit_argument(node, {"size", ArgType::integer_list}, node.argument("size"));
    const int32_t out = builder_.tensor(std::move(tensor), storage);
    ids_[node.output()] = out;
    builder_.call_kernel("executorch_prim::et_view", "default", {self, size, out});
    return true;
  }

  // No kernel makes complex numbers of pairs: the bytes are read as such, and copied where they must stand elsewhere.
  void emit_complex(const Node& node) {
    Value& pairs = *node.tensor("self");
    int32_t from = id_of(&pairs);
    const auto& given = std::get<pte::TensorValue>(builder_.value(from));
    if (builder_.storage_of(from) == PlanBuilder::no_storage && given.data_buffer_idx == 0) {
      pte::TensorValue copy = tensor_value(pairs.meta(), program_.range_constraints, pairs.name());
      const size_t storage = builder_.new_storage(planned_bytes(copy));
      from = emit_clone(from, builder_.tensor(std::move(copy), storage));
    }
    pte::TensorValue whole = tensor_value(node.output()->meta(), program_.range_constraints, node.output()->name());
    whole.data_buffer_idx = std::get<pte::TensorValue>(builder_.value(from)).data_buffer_idx;
    const int32_t result = emit_result(*node.output());
    emit_clone(builder_.tensor(std::move(whole), builder_.storage_of(from)), result);
  }
  int32_t emit_clone(int32_t from, int32_t to) {
    builder_.call_kernel("dim_order_ops::_clone_dim_order", "out", {from, builder_.boolean(false), builder_.none(), to, to});
    return to;
  }

  void emit_kernel(const Node& node) {
    const pte::RuntimeKernel* kernel = kernel_of(node);
    if (kernel == nullptr) throw_bug(fmt::format("{}: no kernel, though kernels were checked", describe(node)));
    const OpSchema& schema = pte::schema_of(*kernel);
    std::vector<int32_t> results;
    for (const Value* output : node.outputs())
      if (!is_in_place(schema)) results.push_back(emit_result(*output));
    std::vector<int32_t> args;
    size_t next_result = 0;
    std::vector<int32_t> returns;
    for (const ArgSchema& argument : schema.arguments) {
      if (!pte::is_out(argument)) {
        args.push_back(emit_argument(node, argument, kernel_argument(node, argument)));
        if (argument.mutated && is_in_place(schema)) returns.push_back(args.back());
        continue;
      }
      if (argument.type == ArgType::tensor_list) {
        args.push_back(builder_.add(pte::TensorList{{results.begin() + next_result, results.end()}}));
        returns.assign(results.begin() + next_result, results.end());
        next_result = results.size();
      } else {
        if (next_result == results.size()) throw_bug(fmt::format("{}: fewer results than {} writes", describe(node), kernel->key));
        args.push_back(results[next_result++]);
        returns.push_back(args.back());
      }
    }
    if (is_in_place(schema)) ids_[node.output()] = returns.at(0);
    const bool list = returns.size() != 1 || schema.arguments.back().type == ArgType::tensor_list;
    args.push_back(list ? builder_.add(pte::TensorList{returns}) : returns[0]);
    builder_.call_kernel(kernel->name(), kernel->overload(), std::move(args));
  }

  void emit_symbolic(const Node& node) {
    const Value& result = *node.output();
    if (node.is("aten.sym_size.int")) {
      const int64_t dim = node.integer("dim"), rank = node.tensor("self")->meta().rank();
      return call_symbolic(pte::find_runtime_kernel("aten::sym_size.int"),
                           {id_of(node.tensor("self")), builder_.integer(dim < 0 ? dim + rank : dim)}, result);
    }
    if (node.is("aten.sym_numel.default"))
      return call_symbolic(pte::find_runtime_kernel("aten::sym_numel"), {id_of(node.tensor("self"))}, result);
    if (node.is("aten._local_scalar_dense.default") || node.is("aten.item.default"))
      return call_symbolic(pte::find_runtime_kernel("aten::_local_scalar_dense"), {id_of(node.tensor("self"))}, result);
    std::vector<int32_t> args;
    for (const NamedArgument& argument : node.arguments())
      args.push_back(emit_argument(node, {argument.name, ArgType::scalar}, argument.value));
    call_symbolic(pte::find_runtime_kernel(pte::primitive_for_symbolic_op(node.op().name())), std::move(args), result);
  }
  void call_symbolic(const pte::RuntimeKernel* kernel, std::vector<int32_t> args, const Value& result) {
    args.push_back(emit_result(result));
    builder_.call_kernel(kernel->name(), kernel->overload(), std::move(args));
  }

  void emit_delegate(const Node& node) {
    std::optional<size_t> index;
    std::vector<int32_t> args;
    for (const NamedArgument& argument : node.arguments()) {
      if (const auto* number = argument.value.get_if<int64_t>(); number != nullptr && !index) {
        index = static_cast<size_t>(*number);
        continue;
      }
      for (Value* value : values_in(argument.value)) args.push_back(id_of(value));
    }
    if (!index || *index >= method_.delegates.size())
      throw_bug(fmt::format("{}: no delegate {}", describe(node), index ? std::to_string(*index) : "index"));
    const Delegate& delegate = method_.delegates[*index];
    for (const Value* output : node.outputs()) args.push_back(emit_result(*output));
    pte::BackendDelegate entry;
    entry.id = delegate.backend_id;
    for (const CompileSpec& spec : delegate.compile_specs) {
      const auto* bytes = reinterpret_cast<const uint8_t*>(spec.value.data());
      entry.compile_specs.push_back({spec.key, {bytes, bytes + spec.value.size()}});
    }
    entry.in_segment = !delegate.inside_program;
    pools_.payloads.push_back(delegate.payload);
    builder_.call_delegate(builder_.add_delegate(std::move(entry)), std::move(args));
  }

  // ---- control flow: everything stands in the one chain, jumped over or back to
  void emit_control_flow(const Node& node) {
    const ControlFlow flow = control_flow_of(node);
    switch (flow.kind) {
      case ControlFlow::Kind::cond: return emit_cond(node, flow);
      case ControlFlow::Kind::while_loop: return emit_while(node, flow);
      default: return emit_scan(node, flow);
    }
  }

  std::vector<int32_t> emit_symbols(const std::vector<SymArg>& items) {
    std::vector<int32_t> ids;
    for (const SymArg& item : items) ids.push_back(emit_symbol(item));
    return ids;
  }

  void emit_cond(const Node& node, const ControlFlow& flow) {
    const int32_t condition = emit_argument(node, {"pred", ArgType::scalar}, flow.predicate);
    const std::vector<int32_t> operands = emit_symbols(flow.shared);
    std::vector<int32_t> results;
    for (const Value* output : node.outputs()) results.push_back(emit_result(*output));
    const size_t to_false = builder_.jump_if_false(condition);
    emit_branch(*flow.bodies[0], operands, results);
    const size_t to_end = builder_.jump_if_false(builder_.boolean(false));
    builder_.set_jump_target(to_false);
    emit_branch(*flow.bodies[1], operands, results);
    builder_.set_jump_target(to_end);
  }

  void emit_branch(const Graph& branch, const std::vector<int32_t>& operands, const std::vector<int32_t>& results) {
    emit_body(branch, operands);
    const std::vector<Argument> outputs = branch.outputs();
    if (outputs.size() != results.size()) throw_unsupported("a branch of cond returns another number of values");
    for (size_t i = 0; i < outputs.size(); ++i) {
      const int32_t from = emit_output(outputs[i]);
      builder_.share(results[i], from);  // the result stands for the branch's memory from here on
      builder_.move(from, results[i]);
    }
  }

  void emit_body(const Graph& body, const std::vector<int32_t>& operands) {
    if (body.inputs().size() != operands.size()) throw_unsupported("what stands in control flow takes other values than are given");
    for (size_t i = 0; i < operands.size(); ++i) ids_[body.inputs()[i]] = operands[i];
    for (const Argument& output : body.outputs())
      for (Value* value : values_in(output))
        if (value->producer() && !origins_.of(value)->producer()) copies_.insert(value);
    emit_nodes(body);
  }

  void emit_while(const Node& node, const ControlFlow& flow) {
    const Loop loop = begin_loop(node, flow);
    std::vector<int32_t> operands = loop.carried;
    for (const SymArg& item : flow.shared) operands.push_back(emit_symbol(item));
    const size_t top = builder_.next_instruction();
    emit_body(*flow.bodies[0], operands);
    const size_t to_end = builder_.jump_if_false(emit_output(flow.bodies[0]->outputs()[0]));
    emit_body(*flow.bodies[1], operands);
    hand_on(*flow.bodies[1], loop.carried);
    builder_.set_jump_target(builder_.jump_if_false(builder_.boolean(false)), top);
    builder_.set_jump_target(to_end);
    builder_.end_loop();
  }

  // Scans and maps, which are scans that carry nothing.
  void emit_scan(const Node& node, const ControlFlow& flow) {
    const Loop loop = begin_loop(node, flow);
    const std::vector<int32_t> sliced = emit_symbols(flow.sliced), shared = emit_symbols(flow.shared);
    const int32_t index = builder_.add(int64_t{0}), length = builder_.add(int64_t{0}), done = builder_.add(false);
    const int32_t zero = builder_.integer(0);
    builder_.call_kernel("executorch_prim::sub", "Scalar", {index, index, index});  // programs run more than once
    builder_.call_kernel("aten::sym_size", "int", {sliced.at(0), zero, length});
    const size_t top = builder_.next_instruction();
    const Graph& body = *flow.bodies[0];
    std::vector<int32_t> operands = loop.carried;
    for (const int32_t whole : sliced) {
      const int32_t part = scratch(*body.inputs()[operands.size()]);
      builder_.call_kernel("aten::select_copy", "int_out", {whole, zero, index, part, part});
      operands.push_back(part);
    }
    operands.insert(operands.end(), shared.begin(), shared.end());
    emit_body(body, operands);
    const std::vector<Argument> outputs = body.outputs();
    for (size_t i = 0; i < loop.stacked.size(); ++i)  // before what is carried changes
      emit_row(loop.stacked[i], emit_output(outputs[loop.carried.size() + i]), index);
    hand_on(body, loop.carried);
    builder_.call_kernel("executorch_prim::add", "Scalar", {index, builder_.integer(1), index});
    builder_.call_kernel("executorch_prim::eq", "Scalar", {index, length, done});
    builder_.set_jump_target(builder_.jump_if_false(done), top);
    builder_.end_loop();
  }

  // et_copy_index grows the stack by its first dimension alone. Where the sizes of a row are not known before there is
  // one, the first row gives the stack its others.
  void emit_row(int32_t stacked, int32_t row, int32_t index) {
    if (std::get<pte::TensorValue>(builder_.value(row)).shape_dynamism != pte::ShapeDynamism::fixed) {
      const int32_t is_first = builder_.add(false);
      builder_.call_kernel("executorch_prim::eq", "Scalar", {index, builder_.integer(0), is_first});
      const size_t to_next = builder_.jump_if_false(is_first);
      builder_.call_kernel("aten::unsqueeze_copy", "out", {row, builder_.integer(0), stacked, stacked});
      builder_.set_jump_target(to_next);
    }
    builder_.call_kernel("executorch_prim::et_copy_index", "tensor", {stacked, row, index});
  }

  struct Loop {
    std::vector<int32_t> carried;  // hold their first values
    std::vector<int32_t> stacked;
  };
  Loop begin_loop(const Node& node, const ControlFlow& flow) {
    Loop loop;
    const std::vector<int32_t> first = emit_symbols(flow.carried);
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      const int32_t id = emit_result(*node.output(i));
      (i < first.size() ? loop.carried : loop.stacked).push_back(id);
    }
    // They grow by a row in each iteration.
    for (const int32_t id : loop.stacked) std::get<pte::TensorValue>(builder_.value(id)).shape_dynamism = pte::ShapeDynamism::bounded;
    builder_.begin_loop(loop.stacked);
    for (size_t i = 0; i < first.size(); ++i) copy_value(first[i], loop.carried[i]);
    return loop;
  }

  // A tensor for the length of an iteration.
  int32_t scratch(const Value& value) {
    pte::TensorValue tensor = tensor_value(value.meta(), program_.range_constraints, value.name());
    const size_t storage = builder_.new_storage(planned_bytes(tensor));
    return builder_.tensor(std::move(tensor), storage);
  }

  void copy_value(int32_t from, int32_t to) {
    if (std::holds_alternative<pte::TensorValue>(builder_.value(to)))
      builder_.call_kernel("aten::clone", "out", {from, builder_.none(), to, to});
    else builder_.move(from, to);
  }

  // What the body made becomes what the next iteration gets. Values that only change places are put aside first.
  void hand_on(const Graph& body, const std::vector<int32_t>& carried) {
    const std::vector<Argument> outputs = body.outputs();
    std::unordered_map<int32_t, size_t> places;
    for (size_t i = 0; i < carried.size(); ++i) places.emplace(carried[i], i);
    std::vector<int32_t> next;
    for (size_t i = 0; i < carried.size(); ++i) {
      Value* const* value = outputs[i].get_if<Value*>();
      const int32_t from = emit_output(outputs[i]);
      const auto other = places.find(from);
      const bool moves = other != places.end() && other->second != i;
      next.push_back(moves ? (*value)->is_tensor() ? scratch(**value) : new_symbol(**value) : from);
      if (moves) copy_value(from, next.back());
    }
    for (size_t i = 0; i < carried.size(); ++i)
      if (next[i] != carried[i]) copy_value(next[i], carried[i]);
  }

  // ---- arguments
  int32_t id_of(const Value* value) const {
    const auto found = ids_.find(value);
    if (found == ids_.end()) throw_bug(fmt::format("value '{}' is used before it is emitted", value->name()));
    return found->second;
  }

  int32_t emit_symbol(const SymArg& item) {
    if (const auto* number = std::get_if<int64_t>(&item)) return builder_.integer(*number);
    if (const auto* number = std::get_if<double>(&item)) return builder_.number(*number);
    if (const auto* flag = std::get_if<bool>(&item)) return builder_.boolean(*flag);
    return id_of(std::get<Value*>(item));
  }

  int32_t emit_argument(const Node& node, const ArgSchema& argument, const Argument& value) {
    ArgumentEmitter emitter{builder_, [this](const Value* v) { return id_of(v); }, node};
    return emitter.emit(argument, value);
  }

  const EdgeMethod& method_;
  const ExportedProgram& program_;
  std::unordered_set<const Value*> mutated_;
  Origins origins_;
  const ExecutorchOptions& options_;
  EmissionPools& pools_;
  PlanBuilder builder_;
  std::unordered_map<const Value*, int32_t> ids_;
  std::unordered_set<const Value*> returned_;
  // Copies of operands that leave a branch: the operand may be written to before they are read.
  std::unordered_set<const Value*> copies_;
};

}  // namespace

pte::ExecutionPlan emit_method(const EdgeMethod& method, const ExecutorchOptions& options, EmissionPools& pools) {
  return Emitter(method, options, pools).run();
}

}  // namespace intaglio::edge
