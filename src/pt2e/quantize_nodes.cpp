#include "pt2e/quantize_nodes.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include <intaglio/error.h>

namespace intaglio {
namespace {

// Which operators stand for one kind of parameters.
struct QdqOps {
  std::string_view quantize;
  std::string_view dequantize;
};
constexpr QdqOps per_tensor = {"quantized_decomposed.quantize_per_tensor.default", "quantized_decomposed.dequantize_per_tensor.default"};
constexpr QdqOps per_channel = {"quantized_decomposed.quantize_per_channel.default", "quantized_decomposed.dequantize_per_channel.default"};
constexpr QdqOps from_tensors = {"quantized_decomposed.quantize_per_tensor.tensor", "quantized_decomposed.dequantize_per_tensor.tensor"};

constexpr std::array copied_metadata = {"stack_trace", "nn_module_stack"};

void copy_metadata(const Node* from, Node& to) {
  if (from == nullptr) return;
  for (const char* key : copied_metadata)
    if (const auto found = from->metadata.find(key); found != from->metadata.end()) to.metadata[key] = found->second;
}

bool is_valid(const QuantizationAnnotation* annotation) {
  return annotation != nullptr && (!annotation->input_qspec_map.empty() || annotation->output_qspec);
}

class Inserter {
 public:
  explicit Inserter(PreparedProgram::State& state) : state_(state), program_(state.program), graph_(program_.graph()) {}

  void run() {
    const std::vector<Node*> nodes = graph_.node_list();
    // What reads a graph input is quantized before the first node, in the order of the inputs.
    place_ = {nullptr, nodes.empty() ? nullptr : nodes.front()};
    for (Value* input : std::vector<Value*>(graph_.inputs())) insert_at(input);
    for (Node* node : nodes) {
      place_ = {node, nullptr};
      for (Value* output : node->outputs()) insert_at(output);
    }
  }

 private:
  // Where the next node goes: behind `after`, else before `before`.
  struct Place {
    Node* after = nullptr;
    Node* before = nullptr;
  };

  Node& append(Op op, std::vector<NamedArgument> arguments, std::vector<OutputSpecification> outputs, std::string name) {
    Node& node = place_.after != nullptr
                     ? graph_.insert_after(place_.after, op, std::move(arguments), std::move(outputs), std::move(name))
                     : graph_.insert_before(place_.before, op, std::move(arguments), std::move(outputs), std::move(name));
    place_ = {&node, nullptr};
    return node;
  }

  void insert_at(Value* value) {
    const std::vector<size_t>& here = state_.insertions.at(value);
    for (const size_t index : here)
      if (!state_.insertions.items[index].parent) insert(index, value);
  }

  std::vector<size_t> children_of(size_t parent) const {
    std::vector<size_t> children;
    for (const size_t index : state_.insertions.at(state_.insertions.items[parent].value))
      if (state_.insertions.items[index].parent == parent) children.push_back(index);
    return children;
  }

  // `source` is what the insertion reads: its value, or the result of the insertion below it.
  void insert(size_t index, Value* source) {
    const Insertion& insertion = state_.insertions.items[index];
    const std::optional<AnyQuantizationSpec>& spec = state_.specs.groups[insertion.group].spec;
    const auto* plain = spec ? std::get_if<QuantizationSpec>(&*spec) : nullptr;
    if (plain != nullptr && is_floating(plain->dtype)) {
      // A float spec (biases) observes and changes nothing.
      if (plain->dtype != DType::float32)
        throw_unsupported(fmt::format("{}: quantization to {}; use an integer type", place_of(insertion), name(plain->dtype)));
      for (const size_t child : children_of(index)) insert(child, source);
      return;
    }
    qparams_ = {};
    const bool dynamic = plain != nullptr && plain->is_dynamic;
    const QdqOps ops = dynamic ? choose_qparams(insertion, *plain, source) : static_qparams(insertion);
    Value* quantized = quantize(insertion, ops, source);
    dequantize(index, ops, quantized, source, dynamic);
  }

  QdqOps static_qparams(const Insertion& insertion) {
    const QuantParams params = qparams_of(state_, insertion.group);
    const bool channels = params.is_per_channel();
    if (channels) {
      const std::string scale = free_name("_scale_");
      Value* scales =
          program_.add_buffer(scale, Tensor::of<float>(std::span<const float>(params.scale), {static_cast<int64_t>(params.scale.size())}));
      const std::string zero_point = free_name("_zero_point_");
      Value* zero_points = program_.add_buffer(
          zero_point, Tensor::of<int64_t>(std::span<const int64_t>(params.zero_point), {static_cast<int64_t>(params.zero_point.size())}));
      qparams_ = {{"scales", scales}, {"zero_points", zero_points}, {"axis", *params.axis}};
    } else {
      // A double that holds the float exactly: every reader gets the same bits back.
      qparams_ = {{"scale", static_cast<double>(params.scale.at(0))}, {"zero_point", params.zero_point.at(0)}};
    }
    append_range(params.quant_min, params.quant_max, params.dtype);
    return channels ? per_channel : per_tensor;
  }

  void append_range(int64_t quant_min, int64_t quant_max, DType dtype) {
    qparams_.push_back({"quant_min", quant_min});
    qparams_.push_back({"quant_max", quant_max});
    qparams_.push_back({"dtype", dtype});
    dtype_ = dtype;
  }

  QdqOps choose_qparams(const Insertion& insertion, const QuantizationSpec& spec, Value* source) {
    if (spec.dtype != DType::int8 && spec.dtype != DType::uint8)
      throw_unsupported(fmt::format("{}: dynamic quantization to {}; use int8 or uint8", place_of(insertion), name(spec.dtype)));
    const bool is_signed_type = spec.dtype == DType::int8;
    const int64_t quant_min = spec.quant_min.value_or(is_signed_type ? -128 : 0);
    const int64_t quant_max = spec.quant_max.value_or(is_signed_type ? 127 : 255);
    const double eps = spec.observer.eps.value_or(ObserverSettings{}.eps);
    const bool symmetric = spec.qscheme == QScheme::per_tensor_symmetric;
    Node& choose =
        append(Op::get(symmetric ? "quantized_decomposed.choose_qparams_symmetric.tensor" : "quantized_decomposed.choose_qparams.tensor"),
               {{"input", source}, {"quant_min", quant_min}, {"quant_max", quant_max}, {"eps", eps}, {"dtype", spec.dtype}},
               {{TensorMeta::contiguous(DType::float64, {1}), "getitem"}, {TensorMeta::contiguous(DType::int64, {1}), "getitem"}},
               "choose_qparams");
    copy_metadata(insertion.users.empty() ? nullptr : insertion.users.front(), choose);
    qparams_ = {{"scale", choose.output(0)}, {"zero_point", choose.output(1)}};
    append_range(quant_min, quant_max, spec.dtype);
    return from_tensors;
  }

  Value* quantize(const Insertion& insertion, const QdqOps& ops, Value* source) {
    TensorMeta meta = source->meta();
    meta.dtype = dtype_;
    meta.requires_grad = false;
    std::vector<NamedArgument> arguments = {{"input", source}};
    arguments.insert(arguments.end(), qparams_.begin(), qparams_.end());
    const Op op = Op::get(ops.quantize);
    Node& node = append(op, std::move(arguments), {{std::move(meta)}}, std::string(op.base()));
    // An input that no node produces is named after its first user: every node should name a layer.
    const Node* origin = insertion.of_output ? insertion.value->producer() : nullptr;
    if (origin == nullptr && !insertion.users.empty()) origin = insertion.users.front();
    copy_metadata(origin, node);
    return node.output();
  }

  Value* dequantize_for(const QdqOps& ops, Value* quantized, const Value* source, const Node* user) {
    TensorMeta meta = source->meta();
    meta.requires_grad = false;
    std::vector<NamedArgument> arguments = {{"input", quantized}};
    arguments.insert(arguments.end(), qparams_.begin(), qparams_.end());
    if (source->dtype() != DType::float32) arguments.push_back({"out_dtype", source->dtype(), ArgKind::keyword});
    const Op op = Op::get(ops.dequantize);
    Node& node = append(op, std::move(arguments), {{std::move(meta)}}, std::string(op.base()));
    copy_metadata(user, node);
    return node.output();
  }

  void dequantize(size_t index, const QdqOps& ops, Value* quantized, Value* source, bool dynamic) {
    const std::vector<Node*> users = state_.insertions.items[index].users;
    const std::vector<size_t> children = children_of(index);
    std::vector<Node*> own, common;  // users with a dequantize of their own, and the others
    for (Node* user : users) {
      const bool annotated = user != &graph_.output_node() && is_valid(state_.annotations.find(user));
      (annotated && !dynamic ? own : common).push_back(user);
    }
    const auto counts = [](const Node* user) { return !user->is("aten.sym_size.int"); };
    const size_t total = children.size() + static_cast<size_t>(std::count_if(users.begin(), users.end(), counts));
    if (total <= 1) common.insert(common.end(), own.begin(), own.end()), own.clear();

    Value* value = state_.insertions.items[index].value;
    if (!common.empty() || !children.empty()) {
      Value* shared = dequantize_for(ops, quantized, source, common.empty() ? nullptr : common.front());
      for (Node* user : common) graph_.replace_uses_in(*user, value, shared);
      const std::vector<NamedArgument> qparams = qparams_;
      for (const size_t child : children) insert(child, shared);
      qparams_ = qparams;
    }
    for (auto user = own.rbegin(); user != own.rend(); ++user)
      graph_.replace_uses_in(**user, value, dequantize_for(ops, quantized, source, *user));
  }

  std::string free_name(const std::string& prefix) const {
    for (size_t i = 0;; ++i) {
      std::string candidate = prefix + std::to_string(i);
      if (!program_.state.contains(candidate) && !program_.constants.contains(candidate)) return candidate;
    }
  }

  PreparedProgram::State& state_;
  ExportedProgram& program_;
  Graph& graph_;
  Place place_;
  std::vector<NamedArgument> qparams_;  // of the insertion at work: everything after the first argument of q and dq
  DType dtype_ = DType::int8;
};

}  // namespace

void insert_quantize_nodes(PreparedProgram::State& state) { Inserter(state).run(); }

}  // namespace intaglio
