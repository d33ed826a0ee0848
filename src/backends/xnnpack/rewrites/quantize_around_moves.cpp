#include <algorithm>

#include "backends/common/gemm_operands.h"
#include "backends/xnnpack/int8_chains.h"
#include "backends/xnnpack/rewrites/rewrites.h"

namespace intaglio::xnnpack {
namespace {

constexpr std::string_view reshapes[] = {"aten.view_copy.default", "aten.unsqueeze_copy.default", "aten.squeeze_copy.dim",
                                         "aten.squeeze_copy.dims"};

bool is_reshape(const Node& node) { return std::ranges::find(reshapes, node.op().name()) != std::end(reshapes); }
// Every range holds zero, so zeros do not change one.
bool adds_zeros(const Node& node) {
  return node.is("aten.constant_pad_nd.default") && node.number("value") == 0 &&
         std::ranges::all_of(node.integers("pad"), [](int64_t pad) { return pad >= 0; });
}
bool moves_values(const Node& node) { return is_reshape(node) || adds_zeros(node); }

Node* only_reader(const Value* value) { return value->has_one_user() ? value->users().front() : nullptr; }

class Moves {
 public:
  Moves(ExportedProgram& program, const Features& features) : program_(program), graph_(program.graph()), features_(features) {}

  // What to do is found first: nodes go meanwhile.
  void run() {
    std::vector<qdq::Dynamic> found_at_run_time;
    for (Node* node : graph_.node_list())
      if (const auto dynamic = node->outputs().size() == 1 ? qdq::dynamic_of(node->output()) : std::nullopt)
        found_at_run_time.push_back(*dynamic);
    for (const qdq::Dynamic& dynamic : found_at_run_time) find_range_behind(dynamic);
    std::vector<Around> operators;
    {
      const common::ProgramFacts facts(program_);
      const RuleRefusals refused = find_rule_refusals(facts, features_);
      const auto stays_outside = [&](const Node* node) { return refused.contains(node); };
      for (Node* node : graph_.node_list())
        if (auto around = path_around(facts, *node); around && !any_node(*around, stays_outside)) operators.push_back(*std::move(around));
    }
    for (const Around& around : operators) quantize(around);
    graph_.eliminate_dead_code();
  }

 private:
  // An operator with everything between the dequantize nodes in front and the quantize node behind.
  struct Path {
    std::vector<Node*> moves;  // the last one first
    Node* dequantize = nullptr;
    QuantParams params;
    bool of_constant = false;
  };
  struct Around {
    Node* op = nullptr;
    std::vector<Path> in_front;  // one for each operand
    std::vector<Node*> behind;   // activations and reshapes, in order
    QuantParams params;          // behind them
  };

  // source -> choose, quantize, dequantize -> moves: the moves go in front.
  void find_range_behind(const qdq::Dynamic& dynamic) {
    if (dynamic.per_token || !qdq::has_one_reader(dynamic)) return;
    Value* source = dynamic.source;
    for (Node* move = only_reader(dynamic.dequantize->output()); move && moves_values(*move);
         move = only_reader(dynamic.dequantize->output())) {
      if (move->output()->dtype() != source->dtype()) return;
      const Node& moved = copy_of(*move, dynamic.choose, dynamic.dequantize->output(), source, move->output()->sizes());
      for (Node* reader : {dynamic.choose, dynamic.quantize})  // they may have copies of one dequantize node
        graph_.replace_uses_in(*reader, reader->tensor("input"), moved.output());
      for (Value* value : {dynamic.quantize->output(), dynamic.dequantize->output()})
        value->meta() = TensorMeta::contiguous(value->dtype(), moved.output()->sizes());
      graph_.replace_all_uses(move->output(), dynamic.dequantize->output());
      graph_.erase(move);
      source = moved.output();
    }
  }

  // The node once more before `position`, on another operand.
  Node& copy_of(const Node& node, Node* position, Value* from, Value* to, const SymSizes& sizes, std::optional<DType> dtype = {}) {
    Node& copy = graph_.insert_before(position, node.op(), node.arguments(),
                                      {{.meta = TensorMeta::contiguous(dtype.value_or(to->dtype()), sizes)}}, node.output()->name());
    copy.metadata = node.metadata;
    graph_.replace_uses_in(copy, from, to);
    return copy;
  }

  template <typename Holds>
  static bool any_node(const Around& around, const Holds& holds) {
    return holds(around.op) || std::ranges::any_of(around.behind, holds) ||
           std::ranges::any_of(around.in_front, [&](const Path& path) { return std::ranges::any_of(path.moves, holds); });
  }

  std::optional<Around> path_around(const common::ProgramFacts& facts, Node& op) const {
    const OpRule* rule = find_rule(op);
    if (!rule || moves_values(op) || (rule->int8 != Int8::gemm && rule->int8 != Int8::compute)) return std::nullopt;
    if (common::first_broken(rule->int8_constraints, RuleContext{facts, op, features_})) return std::nullopt;
    Around around{.op = &op};
    const auto gemm = common::gemm_operands(op);
    for (const Value* operand : gemm ? std::vector<Value*>{gemm->input} : op.inputs()) {
      Path path;
      for (; operand->producer() && moves_values(*operand->producer()) && operand->has_one_user();
           operand = operand->producer()->inputs().front())
        path.moves.push_back(operand->producer());
      const auto dequantized = qdq::dequantized(program_, operand);
      if (!dequantized || operand->dtype() != DType::float32 || !is_int8_activation(dequantized->params)) return std::nullopt;
      path.dequantize = dequantized->node;
      path.params = dequantized->params;
      path.of_constant = facts.is_constant(dequantized->source);
      if (path.of_constant && !std::ranges::all_of(path.moves, [](const Node* move) { return is_reshape(*move); })) return std::nullopt;
      around.in_front.push_back(std::move(path));
    }
    Node* reader = only_reader(op.output());
    for (; reader && (is_reshape(*reader) || qdq::clamp_bounds(*reader)); reader = only_reader(reader->output()))
      around.behind.push_back(reader);
    const auto params = reader && qdq::is_tensor_or_channel_quantize(*reader) ? qdq::params_of(program_, *reader) : std::nullopt;
    if (!params || !is_int8_activation(*params)) return std::nullopt;
    around.params = *params;
    const bool has_moves = std::ranges::any_of(around.behind, [](const Node* node) { return is_reshape(*node); }) ||
                           std::ranges::any_of(around.in_front, [](const Path& path) { return !path.moves.empty(); });
    return has_moves ? std::optional(std::move(around)) : std::nullopt;
  }

  void quantize(const Around& around) {
    for (const Path& path : around.in_front) {
      if (path.of_constant && !path.moves.empty()) dequantize_behind(path);
      else
        for (Node* move : path.moves) requantize(move->output(), path.params);
    }
    // Activations first: they stay with the operator.
    std::vector<Node*> behind = around.behind;
    for (size_t i = 1; i < behind.size(); ++i)
      for (size_t j = i; j > 0 && qdq::clamp_bounds(*behind[j]) && is_reshape(*behind[j - 1]); --j) swap(behind[j - 1], behind[j]);
    Value* result = around.op->output();
    for (Node* node : behind) {
      if (is_reshape(*node)) requantize(result, around.params);
      result = node->output();
    }
  }

  // A constant is known in its last sizes: the reshapes go in front of its dequantize node.
  void dequantize_behind(const Path& path) {
    Value *floats = path.dequantize->output(), *integers = path.dequantize->tensor("input");
    Node* last = path.moves.front();
    for (auto move = path.moves.rbegin(); move != path.moves.rend(); ++move) {
      integers = copy_of(**move, last, floats, integers, (*move)->output()->sizes()).output();
      floats = (*move)->output();
    }
    const Node& dequantize = copy_of(*path.dequantize, last, path.dequantize->tensor("input"), integers, integers->sizes(), DType::float32);
    graph_.replace_all_uses(floats, dequantize.output());
  }

  // reshape -> activation: the other way round.
  void swap(Node*& reshape, Node*& activation) {
    Value* input = reshape->inputs().front();
    Node& first = copy_of(*activation, reshape, reshape->output(), input, input->sizes());
    Node& second = copy_of(*reshape, reshape, input, first.output(), reshape->output()->sizes());
    graph_.replace_all_uses(activation->output(), second.output());
    graph_.erase(activation);
    graph_.erase(reshape);
    reshape = &first;
    activation = &second;
  }

  void requantize(Value* value, const QuantParams& params) {
    Node* producer = value->producer();
    const auto literals = [&](Value* input) -> std::vector<NamedArgument> {
      return {{"input", input},
              {"scale", params.scale[0]},
              {"zero_point", params.zero_point[0]},
              {"quant_min", params.quant_min},
              {"quant_max", params.quant_max},
              {"dtype", params.dtype}};
    };
    const auto insert = [&](qdq::Role role, Node* behind, Value* input, DType dtype) -> Node& {
      const Op op = Op::get(qdq::op_of(role, qdq::Granularity::tensor, qdq::Variant::literals));
      Node& node =
          graph_.insert_after(behind, op, literals(input), {{.meta = TensorMeta::contiguous(dtype, value->sizes())}}, value->name());
      node.metadata = producer->metadata;
      return node;
    };
    Node& quantize = insert(qdq::Role::quantize, producer, value, params.dtype);
    const Node& dequantize = insert(qdq::Role::dequantize, &quantize, quantize.output(), DType::float32);
    graph_.replace_uses_if(value, dequantize.output(), [&](const Node& reader) { return &reader != &quantize; });
  }

  ExportedProgram& program_;
  Graph& graph_;
  const Features& features_;
};

}  // namespace

void quantize_around_moves(ExportedProgram& program, const Features& features) { Moves(program, features).run(); }

}  // namespace intaglio::xnnpack
