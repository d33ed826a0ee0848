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
  explicit Moves(ExportedProgram& program) : program_(program), graph_(program.graph()) {}

  // What to do is found first: nodes go meanwhile.
  void run() {
    std::vector<qdq::Dynamic> found_at_run_time;
    for (Node* node : graph_.node_list())
      if (const auto dynamic = node->outputs().size() == 1 ? qdq::dynamic_of(node->output()) : std::nullopt)
        found_at_run_time.push_back(*dynamic);
    for (const qdq::Dynamic& dynamic : found_at_run_time) find_range_behind(dynamic);
    std::vector<Around> operators;
    for (Node* node : graph_.node_list())
      if (auto around = path_around(*node)) operators.push_back(*std::move(around));
    for (const Around& around : operators) quantize(around);
  }

 private:
  // An operator with everything between the dequantize nodes in front and the quantize node behind.
  struct Path {
    std::vector<Node*> moves;
    QuantParams params;
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
      for (Node* reader : {dynamic.choose, dynamic.quantize}) graph_.replace_uses_in(*reader, source, moved.output());
      for (Value* value : {dynamic.quantize->output(), dynamic.dequantize->output()})
        value->meta() = TensorMeta::contiguous(value->dtype(), moved.output()->sizes());
      graph_.replace_all_uses(move->output(), dynamic.dequantize->output());
      graph_.erase(move);
      source = moved.output();
    }
  }

  // The node once more before `position`, on another operand.
  Node& copy_of(const Node& node, Node* position, Value* from, Value* to, const std::vector<SymInt>& sizes) {
    Node& copy = graph_.insert_before(position, node.op(), node.arguments(), {{.meta = TensorMeta::contiguous(to->dtype(), sizes)}},
                                      node.output()->name());
    copy.metadata = node.metadata;
    graph_.replace_uses_in(copy, from, to);
    return copy;
  }

  std::optional<Around> path_around(Node& op) const {
    const OpRule* rule = find_rule(op);
    if (!rule || moves_values(op) || (rule->int8 != Int8::gemm && rule->int8 != Int8::compute)) return std::nullopt;
    Around around{.op = &op};
    const auto gemm = common::gemm_operands(op);
    for (const Value* operand : gemm ? std::vector<Value*>{gemm->input} : op.inputs()) {
      Path path;
      for (; operand->producer() && moves_values(*operand->producer()) && operand->has_one_user();
           operand = operand->producer()->inputs().front())
        path.moves.push_back(operand->producer());
      const auto dequantized = qdq::dequantized(program_, operand);
      if (!dequantized || operand->dtype() != DType::float32 || !is_int8_activation(dequantized->params)) return std::nullopt;
      path.params = dequantized->params;
      around.in_front.push_back(std::move(path));
    }
    Node* reader = only_reader(op.output());
    for (; reader && (is_reshape(*reader) || clamp_bounds(*reader)); reader = only_reader(reader->output()))
      around.behind.push_back(reader);
    const auto params = reader && qdq::is_tensor_or_channel_quantize(*reader) ? qdq::params_of(program_, *reader) : std::nullopt;
    if (!params || !is_int8_activation(*params)) return std::nullopt;
    around.params = *params;
    const bool has_moves = std::ranges::any_of(around.behind, [](const Node* node) { return is_reshape(*node); }) ||
                           std::ranges::any_of(around.in_front, [](const Path& path) { return !path.moves.empty(); });
    return has_moves ? std::optional(std::move(around)) : std::nullopt;
  }

  void quantize(const Around& around) {
    for (const Path& path : around.in_front)
      for (Node* move : path.moves) requantize(move->output(), path.params);
    // Activations first: they stay with the operator.
    std::vector<Node*> behind = around.behind;
    for (size_t i = 1; i < behind.size(); ++i)
      for (size_t j = i; j > 0 && clamp_bounds(*behind[j]) && is_reshape(*behind[j - 1]); --j) swap(behind[j - 1], behind[j]);
    Value* result = around.op->output();
    for (Node* node : behind) {
      if (is_reshape(*node)) requantize(result, around.params);
      result = node->output();
    }
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
};

}  // namespace

void quantize_around_moves(ExportedProgram& program) { Moves(program).run(); }

}  // namespace intaglio::xnnpack
