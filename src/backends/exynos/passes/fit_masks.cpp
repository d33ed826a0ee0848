// `scores + (1 - mask) * large` becomes `scores * mask + (1 - mask) * lowest`, all of it in the integers of the scores.
#include <algorithm>
#include <string_view>
#include <vector>

#include "backends/exynos/passes/passes.h"
#include "backends/exynos/stored_values.h"
#include "decompose/builder.h"
#include "qdq/patterns.h"
#include "qdq/writer.h"

namespace intaglio::exynos {
namespace {

constexpr std::string_view mask_input = "attention_mask", product_op = "aten.mul.Tensor", difference_op = "aten.sub.Tensor";
constexpr std::string_view on_the_way[] = {product_op,
                                           difference_op,
                                           "aten.unsqueeze_copy.default",
                                           "aten.view_copy.default",
                                           "aten._to_copy.default",
                                           "dim_order_ops._to_dim_order_copy.default"};
constexpr int most_steps = 6;

bool is_quantization(const Node& node) { return qdq::is_tensor_or_channel_quantize(node) || qdq::is_tensor_or_channel_dequantize(node); }

// The value, and what quantize and dequantize nodes make of it.
std::vector<Value*> forms_of(Value* value) {
  std::vector<Value*> forms = {value};
  for (size_t i = 0; i < forms.size(); ++i)
    for (const Node* user : forms[i]->users())
      if (is_quantization(*user)) forms.push_back(user->output());
  return forms;
}

std::vector<Node*> readers_of(Value* value) {
  std::vector<Node*> readers;
  for (const Value* form : forms_of(value))
    for (Node* user : form->users())
      if (!is_quantization(*user) && !user->outputs().empty()) readers.push_back(user);
  return readers;
}

Node* find_product(const ExportedProgram& program) {
  const auto input = std::ranges::find_if(program.input_specs, [](const InputSpec& spec) {
    return spec.kind == InputSpec::Kind::user_input && spec.value->name() == mask_input;
  });
  if (input == program.input_specs.end()) return nullptr;
  Value* value = input->value;
  for (int step = 0; step < most_steps; ++step) {
    const std::vector<Node*> readers = readers_of(value);
    const auto next =
        std::ranges::find_if(readers, [](const Node* node) { return std::ranges::count(on_the_way, node->op().name()) != 0; });
    if (next == readers.end()) return nullptr;
    if ((*next)->is(product_op)) return *next;
    value = (*next)->output();
  }
  return nullptr;
}

Value* quantized(const decompose::GraphBuilder& builder, Value* value, const QuantParams& params) {
  decompose::GraphBuilder b = builder;
  const qdq::Form form = qdq::static_form(b.program(), params);
  decompose::GraphBuilder::Keywords keywords;
  for (const NamedArgument& argument : form.arguments) keywords.emplace_back(argument.name, argument.value);
  for (const Op op : {form.quantize, form.dequantize}) value = b.node(op.name(), {value}, keywords).output();
  return value;
}

}  // namespace

void fit_masks(ExportedProgram& program) {
  Graph& graph = program.graph();
  Node* product = find_product(program);
  if (product == nullptr) return;
  const StoredValues stored(program, Compat::torchao);
  Value* hidden = product->tensor("self");
  const Node* difference = stored.reading_of(hidden).source->producer();
  if (difference == nullptr || !difference->is(difference_op)) return;
  Value* mask = difference->tensor("other");

  Node* position = product;
  for (Node* reader : readers_of(product->output())) {
    Value* scores = reader->inputs().front();
    Value* source = stored.reading_of(scores).source;
    const QuantParams* params = stored.params_of(source);
    if (params == nullptr || !is_floating(reader->output()->dtype())) return;
    const auto lowest = static_cast<float>(static_cast<double>(params->quant_min - params->zero_point[0]) * params->scale[0]);

    decompose::GraphBuilder first(program, position, *product);
    Value* floor = first("aten.mul.Tensor", hidden, first.constant(Tensor::scalar(lowest)));
    position = floor->producer();
    floor = quantized({program, product, *product}, floor, *params);
    decompose::GraphBuilder before(program, *reader);
    Value* shown = source == product->output() ? nullptr : quantized(before, before("aten.mul.Tensor", scores, mask), *params);
    for (Value* form : forms_of(product->output())) graph.replace_uses_in(*reader, form, floor);
    if (shown != nullptr) graph.replace_uses_in(*reader, scores, shown);

    const std::vector<Value*> old = forms_of(reader->output());
    Value* result = quantized({program, graph.next(reader), *reader}, reader->output(), *params);
    for (Value* form : old) graph.replace_uses_if(form, result, [](const Node& user) { return !is_quantization(user); });
  }
  graph.eliminate_dead_code();
}

}  // namespace intaglio::exynos
