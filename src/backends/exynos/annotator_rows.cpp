#include <algorithm>

#include "backends/exynos/annotators.h"

namespace intaglio::exynos {
namespace {

using Annotation = std::optional<QuantizationAnnotation>;

bool is_float_result(const Node& node) { return node.outputs().size() == 1 && node.output()->is_tensor() && pt2e::has_float_output(node); }

SharedQuantizationSpec as_read_by(Value* value, Node& node) { return {QuantEdge{value, &node}}; }

// Operands with a spec each, a result with its own. The original gives weights of one dimension a scale per channel, which no observer of
// torchao's can find.
Annotation apart(AnnotatorRun& run, const AnnotatorRow& row, Node& node) {
  QuantizationAnnotation annotation;
  for (const AnnotatorOperand& operand : row.operands) {
    Value* value = run.float_operand(node, operand.place);
    if (value == nullptr && operand.place == 0) return std::nullopt;
    if (value != nullptr) put(annotation, value, operand.is_weight && run.is_original() ? run.weight() : run.activation_of(value));
  }
  if (is_float_result(node)) annotation.output_qspec = run.activation();
  return annotation;
}

// Two tensors and the result with one scale. A number beside a tensor has none.
Annotation together(AnnotatorRun& run, const AnnotatorRow& row, Node& node) {
  Value *first = run.float_operand(node, 0), *second = run.float_operand(node, 1);
  if (first == nullptr || second == nullptr || !is_float_result(node)) return apart(run, row, node);
  QuantizationAnnotation annotation;
  put(annotation, first, run.activation());
  if (second != first) put(annotation, second, as_read_by(first, node));
  annotation.output_qspec = as_read_by(first, node);
  return annotation;
}

constexpr std::string_view sums[] = {"aten.add.Tensor", "aten.add_.Tensor"};

Annotation sum(AnnotatorRun& run, const AnnotatorRow& row, Node& node) {
  const auto is_sum_or_dropout = [](const Value* value) {
    const Node* producer = value == nullptr ? nullptr : value->producer();
    return producer != nullptr && (pt2e::contains(sums, *producer) || producer->is("aten.dropout.default"));
  };
  Value *first = run.float_operand(node, 0), *second = run.float_operand(node, 1);
  if (is_sum_or_dropout(first) || is_sum_or_dropout(second)) return apart(run, row, node);
  const Argument* other = node.find("other");
  const bool with_number = other != nullptr && other->is<double>();
  if (first != nullptr && with_number && run.annotated_ancestor(first) == nullptr) return std::nullopt;
  return together(run, row, node);
}

// What moves values: the result has the scale of what it reads.
Annotation moved(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  Value* input = run.float_operand(node, 0);
  if (input == nullptr || !is_float_result(node)) return std::nullopt;
  QuantizationAnnotation annotation;
  Value* source = run.source_of(input);
  if (source != nullptr) put(annotation, source, SharedQuantizationSpec{source});
  else put(annotation, input, run.activation());
  annotation.output_qspec = as_read_by(source != nullptr ? source : input, node);
  return annotation;
}

// A sum in front of it adds a mask, whose large numbers leave no integers for the rest: it stays in float.
Annotation softmax(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  Value* input = run.float_operand(node, 0);
  if (input == nullptr) return std::nullopt;
  const Node* producer = input->producer();
  const bool others_read_it = !run.is_original() && !input->has_one_user();
  if (producer != nullptr && pt2e::contains(sums, *producer) && run.is_annotated(*producer) && !others_read_it) run.take_back(*producer);
  QuantizationAnnotation annotation;
  if (Value* source = run.source_of(input)) put(annotation, source, SharedQuantizationSpec{source});
  annotation.output_qspec = run.activation();
  return annotation;
}

Annotation indexed(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  Value* input = run.float_operand(node, 0);
  Value* source = input == nullptr ? nullptr : run.source_of(input);
  if (source == nullptr) return std::nullopt;
  QuantizationAnnotation annotation;
  put(annotation, input, run.activation_of(input));
  annotation.output_qspec = as_read_by(source, node);
  return annotation;
}

// One operand has parameters, and the result has the same.
Annotation as_operand(AnnotatorRun& run, const AnnotatorRow& row, Node& node) {
  Value* operand = run.float_operand(node, row.operands.front().place);
  if (operand == nullptr) return std::nullopt;
  QuantizationAnnotation annotation;
  put(annotation, operand, run.activation());
  annotation.output_qspec = as_read_by(operand, node);
  return annotation;
}

Annotation unbound(AnnotatorRun& run, const AnnotatorRow& row, Node& node) {
  Value* input = run.float_operand(node, 0);
  if (input == nullptr) return std::nullopt;
  QuantizationAnnotation annotation;
  put(annotation, input, run.activation_of(input));
  Value* source = run.source_of(input);
  for (const Value* part : node.outputs()) run.set_part(part, as_read_by(source != nullptr ? source : input, node), row.name);
  return annotation;
}

Annotation layer(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  Value *input = run.float_operand(node, 0), *weight = run.float_operand(node, 1);
  if (input == nullptr || weight == nullptr) return std::nullopt;
  QuantizationAnnotation annotation;
  Value* source = run.source_of(input);
  put(annotation, input, source != nullptr ? AnyQuantizationSpec(SharedQuantizationSpec{source}) : run.activation());
  put(annotation, weight, run.weight());
  annotation.output_qspec = run.activation();
  return annotation;
}

Annotation joined(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  const std::vector<Value*> inputs = node.tensors("tensors");
  const auto is_float = [](const Value* value) { return value->dtype() == DType::float32 || value->dtype() == DType::float16; };
  if (inputs.empty() || !std::ranges::all_of(inputs, is_float)) return std::nullopt;
  QuantizationAnnotation annotation;
  for (Value* input : inputs)
    put(annotation, input, input == inputs.front() ? run.activation() : AnyQuantizationSpec(as_read_by(inputs.front(), node)));
  annotation.output_qspec = as_read_by(inputs.front(), node);
  return annotation;
}

// The integers reach from -128 on, and so does a range that begins at 0. The original has 0 for 0, as unsigned integers would, and cuts
// every result at 127/256; and its observer is one that other tensors of the same type may come to share.
Annotation sigmoid(AnnotatorRun& run, const AnnotatorRow&, Node& node) {
  constexpr double scale = 1.0 / 256;
  Value* input = run.float_operand(node, 0);
  if (input == nullptr) return std::nullopt;
  QuantizationAnnotation annotation;
  put(annotation, input, run.activation_of(input));
  QuantizationSpec original = std::get<QuantizationSpec>(run.activation());
  original.observer = fixed_qparams_observer(scale, 0);
  if (run.is_original()) annotation.output_qspec = std::move(original);
  else
    annotation.output_qspec =
        FixedQParamsQuantizationSpec{original.dtype, scale, *original.quant_min, original.quant_min, original.quant_max, original.qscheme};
  return annotation;
}

constexpr AnnotatorOperand first[] = {{0}}, third_alone[] = {{2}}, two[] = {{0}, {1}}, first_and_third[] = {{0}, {2}},
                           first_and_weight[] = {{0}, {2, true}};

constexpr std::string_view two_in[] = {"aten.div.Tensor", "aten.divide.Tensor", "aten.matmul.default", "aten.bmm.default",
                                       "aten.sum.dim_IntList"};
constexpr std::string_view products[] = {"aten.sub.Tensor",  "aten.mul.Tensor",  "aten.sub_.Tensor",
                                         "aten.mul_.Tensor", "aten.rsub.Scalar", "aten.mul.Scalar"};
constexpr std::string_view one_in[] = {"aten.ceil.default",
                                       "aten.clamp.default",
                                       "aten.relu.default",
                                       "aten.relu_.default",
                                       "aten.relu6.default",
                                       "aten.relu6_.default",
                                       "aten.cos.default",
                                       "aten.sin.default",
                                       "aten.tanh.default",
                                       "aten.hardswish.default",
                                       "aten.hardswish_.default",
                                       "aten.hardsigmoid.default",
                                       "aten.hardsigmoid_.default",
                                       "aten.hardtanh.default",
                                       "aten.hardtanh_.default",
                                       "aten.mean.default",
                                       "aten.mean.dim",
                                       "aten.adaptive_avg_pool2d.default",
                                       "aten.avg_pool2d.default",
                                       "aten.leaky_relu.default",
                                       "aten.leaky_relu_.default",
                                       "aten.prelu.default",
                                       "aten.upsample_bilinear2d.vec",
                                       "aten.upsample_nearest2d.vec",
                                       "aten.sqrt.default",
                                       "aten.gelu.default",
                                       "aten.scaled_dot_product_attention.default",
                                       "aten.rsqrt.default",
                                       "aten.pow.Tensor_Scalar",
                                       "aten.topk.default"};
constexpr std::string_view moving[] = {
    "aten.permute.default", "aten.view.default",      "aten._unsafe_view.default", "aten.squeeze.default",
    "aten.squeeze.dim",     "aten.squeeze_copy.dims", "aten.unsqueeze.default",    "aten.unsqueeze_copy.default",
    "aten.transpose.int",   "aten.expand.default",    "aten.max_pool2d.default",   "aten.max_pool2d_with_indices.default",
    "aten.reshape.default", "aten.select.int",        "aten.flatten.using_ints",   "aten.pad.default",
    "aten.slice.Tensor",    "aten.to.dtype"};
constexpr std::string_view softmaxes[] = {"aten.softmax.int", "aten._softmax.default", "aten._safe_softmax.default",
                                          "aten.log_softmax.int"};
constexpr std::string_view index[] = {"aten.index.Tensor"};
constexpr std::string_view index_put[] = {"aten.index_put.default", "aten.index_put_.default"};
constexpr std::string_view unbind[] = {"aten.unbind.int"};
constexpr std::string_view embedding[] = {"aten.embedding.default"};
constexpr std::string_view cats[] = {"aten.cat.default", "aten.concat.default", "aten.stack.default"};
constexpr std::string_view norms[] = {"aten.rms_norm.default", "aten.layer_norm.default"};
constexpr std::string_view group_norm[] = {"aten.group_norm.default"};
constexpr std::string_view batch_norm[] = {"aten._native_batch_norm_legit_no_training.default"};
constexpr std::string_view sigmoids[] = {"aten.sigmoid.default"};

constexpr AnnotatorRow rows[] = {
    {"two_in", two_in, two, apart},
    {"shared_two_in", products, two, together},
    {"add", sums, two, sum},
    {"one_in", one_in, first, apart},
    {"shared_one_in", moving, first, moved},
    {"softmax", softmaxes, first, softmax},
    {"index", index, first, indexed},
    {"index_put", index_put, third_alone, as_operand},
    {"unbind", unbind, first, unbound},
    {"layer", layer_ops, two, layer},
    {"embedding", embedding, first, as_operand},
    {"cat", cats, {}, joined},
    {"norm", norms, first_and_third, apart},
    {"group_norm", group_norm, first_and_weight, apart},
    {"batch_norm", batch_norm, two, apart},
    {"sigmoid", sigmoids, first, sigmoid},
};

}  // namespace

const AnnotatorRow* find_row(const Node& node) {
  const auto found = std::ranges::find_if(rows, [&](const AnnotatorRow& row) { return pt2e::contains(row.ops, node); });
  return found == std::end(rows) ? nullptr : &*found;
}

}  // namespace intaglio::exynos
