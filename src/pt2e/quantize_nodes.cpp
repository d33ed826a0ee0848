#include "pt2e/steps.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "qdq/writer.h"

namespace intaglio::pt2e {
namespace {

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
    for (const auto& [value, here] : state_.insertions.of_value)
      for (const size_t index : here)
        if (const auto parent = state_.insertions.items[index].parent) children_[*parent].push_back(index);
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

  const std::vector<size_t>& children_of(size_t parent) { return children_[parent]; }

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
    const bool dynamic = plain != nullptr && plain->is_dynamic;
    const qdq::Form form = dynamic ? qdq::dynamic_form(choose_qparams(insertion, *plain, source))
                                   : qdq::static_form(program_, qparams_of(state_, insertion.group));
    dequantize(index, form, quantize(insertion, form, source), source, dynamic);
  }

  const Node& choose_qparams(const Insertion& insertion, const QuantizationSpec& spec, Value* source) {
    if (spec.dtype != DType::int8 && spec.dtype != DType::uint8)
      throw_unsupported(fmt::format("{}: dynamic quantization to {}; use int8 or uint8", place_of(insertion), name(spec.dtype)));
    const bool is_signed_type = spec.dtype == DType::int8;
    const int64_t quant_min = spec.quant_min.value_or(is_signed_type ? -128 : 0);
    const int64_t quant_max = spec.quant_max.value_or(is_signed_type ? 127 : 255);
    const double eps = spec.observer.eps.value_or(ObserverSettings{}.eps);
    const auto variant = spec.qscheme == QScheme::per_tensor_symmetric ? qdq::Variant::symmetric : qdq::Variant::plain;
    Node& choose =
        append(Op::get(qdq::op_of(qdq::Role::choose, qdq::Granularity::tensor, variant)),
               {{"input", source}, {"quant_min", quant_min}, {"quant_max", quant_max}, {"eps", eps}, {"dtype", spec.dtype}},
               {{TensorMeta::contiguous(DType::float64, {1}), "getitem"}, {TensorMeta::contiguous(DType::int64, {1}), "getitem"}},
               "choose_qparams");
    copy_metadata(insertion.users.empty() ? nullptr : insertion.users.front(), choose);
    return choose;
  }

  Value* quantize(const Insertion& insertion, const qdq::Form& form, Value* source) {
    TensorMeta meta = source->meta();
    meta.dtype = form.dtype;
    meta.requires_grad = false;
    std::vector<NamedArgument> arguments = {{"input", source}};
    arguments.insert(arguments.end(), form.arguments.begin(), form.arguments.end());
    Node& node = append(form.quantize, std::move(arguments), {{std::move(meta)}}, std::string(form.quantize.base()));
    // An input that no node produces is named after its first user: every node should name a layer.
    const Node* origin = insertion.of_output ? insertion.value->producer() : nullptr;
    if (origin == nullptr && !insertion.users.empty()) origin = insertion.users.front();
    copy_metadata(origin, node);
    return node.output();
  }

  Value* dequantize_for(const qdq::Form& form, Value* quantized, const Value* source, const Node* user) {
    TensorMeta meta = source->meta();
    meta.requires_grad = false;
    std::vector<NamedArgument> arguments = {{"input", quantized}};
    arguments.insert(arguments.end(), form.arguments.begin(), form.arguments.end());
    if (source->dtype() != DType::float32) arguments.push_back({"out_dtype", source->dtype(), ArgKind::keyword});
    Node& node = append(form.dequantize, std::move(arguments), {{std::move(meta)}}, std::string(form.dequantize.base()));
    copy_metadata(user, node);
    return node.output();
  }

  void dequantize(size_t index, const qdq::Form& form, Value* quantized, Value* source, bool dynamic) {
    const std::vector<Node*> users = state_.insertions.items[index].users;
    const std::vector<size_t>& children = children_of(index);
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
      Value* shared = dequantize_for(form, quantized, source, common.empty() ? nullptr : common.front());
      for (Node* user : common) graph_.replace_uses_in(*user, value, shared);
      for (const size_t child : children) insert(child, shared);
    }
    for (auto user = own.rbegin(); user != own.rend(); ++user)
      graph_.replace_uses_in(**user, value, dequantize_for(form, quantized, source, *user));
  }

  PreparedProgram::State& state_;
  ExportedProgram& program_;
  Graph& graph_;
  std::unordered_map<size_t, std::vector<size_t>> children_;  // insertions that read another one's result
  Place place_;
};

}  // namespace

void insert_quantize_nodes(PreparedProgram::State& state) { Inserter(state).run(); }

}  // namespace intaglio::pt2e
