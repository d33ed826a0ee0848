// A quantizer of one's own (docs/custom_quantizer.md): which tensors become integers, and how, is decided here.
//
//   custom_quantizer MODEL.pt2 CALIBRATION OUT.pt2 OUT.pte [MODULE ...]
//
// Convolutions and linear layers become int8 with an int32 bias, what moves or clips values shares parameters, a sigmoid has
// the range that its formula gives it. The modules named at the end, and everything inside them, stay in float.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <intaglio/intaglio.h>

namespace {

using namespace intaglio;

// ---- how a tensor is quantized: one function for each kind of spec

// From its values: an observer watches them while samples run.
QuantizationSpec observed_activation() {
  QuantizationSpec spec;
  spec.dtype = DType::int8;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.qscheme = QScheme::per_tensor_affine;
  spec.observer = histogram_observer();
  return spec;
}

QuantizationSpec observed_weight() {
  QuantizationSpec spec;
  spec.dtype = DType::int8;
  spec.quant_min = -127;
  spec.quant_max = 127;
  spec.qscheme = QScheme::per_channel_symmetric;
  spec.ch_axis = 0;
  spec.observer = per_channel_min_max_observer();
  return spec;
}

// From the parameters of other tensors: a bias is added to sums of input times weight, so it has their scale.
DerivedQuantizationSpec bias_of(Node& node) {
  DerivedQuantizationSpec spec;
  spec.derived_from = {QuantEdge{node.tensor("input"), &node}, QuantEdge{node.tensor("weight"), &node}};
  spec.derive_qparams = [](const std::vector<QuantParams>& sources) {
    QuantParams params;
    for (const double weight_scale : sources[1].scale) params.scale.push_back(weight_scale * sources[0].scale[0]);
    params.zero_point.assign(params.scale.size(), 0);
    return params;
  };
  spec.dtype = DType::int32;
  spec.quant_min = std::numeric_limits<int32_t>::min();
  spec.quant_max = std::numeric_limits<int32_t>::max();
  spec.qscheme = QScheme::per_channel_symmetric;
  spec.ch_axis = 0;
  return spec;
}

// Known beforehand: a sigmoid's results lie between 0 and 1.
FixedQParamsQuantizationSpec between_zero_and_one() {
  FixedQParamsQuantizationSpec spec;
  spec.dtype = DType::int8;
  spec.scale = 1.0 / 256;
  spec.zero_point = -128;
  spec.quant_min = -128;
  spec.quant_max = 127;
  spec.qscheme = QScheme::per_tensor_affine;
  return spec;
}

// ---- which tensors

bool is_any_of(const Node& node, std::initializer_list<const char*> ops) {
  return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.is(op); });
}

class ExampleQuantizer : public Quantizer {
 public:
  explicit ExampleQuantizer(std::vector<std::string> float_modules) : float_modules_(std::move(float_modules)) {}

  // Nodes come in the order in which they run: what a node reads is annotated before it.
  void annotate(const ExportedProgram& program, Annotations& annotations) const override {
    for (Node* node : program.graph().node_list()) {
      if (stays_float(*node)) {
        annotations.refuse(node, "the user keeps its module in float");
      } else if (is_any_of(*node, {"aten.conv2d.default", "aten.linear.default"})) {
        annotate_weighted(program, *node, annotations);
      } else if (node->is("aten.add.Tensor")) {
        annotate_add(*node, annotations);
      } else if (node->is("aten.sigmoid.default")) {
        annotate_sigmoid(*node, annotations);
      } else if (is_any_of(*node, {"aten.relu.default", "aten.max_pool2d.default", "aten.adaptive_avg_pool2d.default",
                                   "aten.flatten.using_ints"})) {
        annotate_sharing(*node, annotations);
      }
    }
  }

 private:
  // By module: the node's own module, or one around it.
  bool stays_float(const Node& node) const {
    const std::vector<ModuleScope> stack = module_stack(node);
    return std::any_of(stack.begin(), stack.end(), [&](const ModuleScope& scope) {
      return std::find(float_modules_.begin(), float_modules_.end(), scope.path) != float_modules_.end();
    });
  }

  // The relu behind a node when nobody else reads the node: the two run as one, and only the relu's result is quantized.
  Node* only_relu(const Node& node) const {
    if (!node.output()->has_one_user()) return nullptr;
    Node* user = node.output()->users().front();
    return user->is("aten.relu.default") && !stays_float(*user) ? user : nullptr;
  }

  void set_result(Node& node, AnyQuantizationSpec spec, const char* rule, Annotations& annotations) const {
    Node* relu = only_relu(node);
    annotations.of(relu != nullptr ? relu : &node).output_qspec = std::move(spec);
    for (Node* part : {&node, relu})
      if (part != nullptr) {
        annotations.of(part).annotated = true;
        annotations.of(part).rule = rule;
      }
  }

  // By pattern: a convolution or linear layer, alone or with a relu.
  void annotate_weighted(const ExportedProgram& program, Node& node, Annotations& annotations) const {
    Value* weight = node.tensor("weight");
    if (!program.is_constant(weight)) return annotations.refuse(&node, "the weight is a constant");
    QuantizationAnnotation& annotation = annotations.of(&node);
    annotation.input_qspec_map = {{node.tensor("input"), observed_activation()}, {weight, observed_weight()}};
    if (Value* bias = node.optional_tensor("bias")) annotation.input_qspec_map.emplace_back(bias, bias_of(node));
    set_result(node, observed_activation(), "example.weighted", annotations);
  }

  void annotate_add(Node& node, Annotations& annotations) const {
    const Argument* other = node.find("other");
    if (other == nullptr || !other->is<Value*>()) return annotations.refuse(&node, "both operands are tensors");
    QuantizationAnnotation& annotation = annotations.of(&node);
    for (Value* operand : node.inputs()) annotation.input_qspec_map.emplace_back(operand, observed_activation());
    set_result(node, observed_activation(), "example.add", annotations);
  }

  void annotate_sigmoid(Node& node, Annotations& annotations) const {
    annotations.of(&node).input_qspec_map = {{node.tensor("self"), observed_activation()}};
    set_result(node, between_zero_and_one(), "example.sigmoid", annotations);
  }

  // Same values in and out: one set of parameters for both, that of the node in front.
  void annotate_sharing(Node& node, Annotations& annotations) const {
    if (annotations.is_annotated(&node)) return;  // a relu that runs with the node in front
    Value* input = node.tensor("self");
    const QuantizationAnnotation* producer = annotations.find_producer(input);
    if (producer == nullptr || !producer->output_qspec) return annotations.refuse(&node, "what it reads is quantized");
    QuantizationAnnotation& annotation = annotations.of(&node);
    annotation.input_qspec_map = {{input, SharedQuantizationSpec{input}}};
    annotation.output_qspec = SharedQuantizationSpec{QuantEdge{input, &node}};
    annotation.annotated = true;
    annotation.rule = "example.sharing";
  }

  std::vector<std::string> float_modules_;
};

std::vector<std::filesystem::path> sample_files(const std::filesystem::path& data) {
  if (!std::filesystem::is_directory(data)) return {data};
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(data)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void run(const std::vector<std::string>& arguments) {
  const ExampleQuantizer quantizer({arguments.begin() + 4, arguments.end()});
  PreparedProgram prepared = prepare_pt2e(load_exported_program(arguments[0]), quantizer);
  for (const auto& file : sample_files(arguments[1])) prepared({read_arrays(file).at(0).tensor});
  ExportedProgram quantized = convert_pt2e(std::move(prepared));
  save_exported_program(quantized, arguments[2]);

  EdgeProgram edge = to_edge_transform_and_lower(std::move(quantized), {xnnpack::XnnpackPartitioner()});
  for (const LeftoverOp& op : edge.methods.at(0).leftovers)
    std::cout << "outside: " << op.op << " in '" << op.layer << "' (" << op.source << "): " << op.rule << "\n";
  std::move(edge).to_executorch().save(arguments[3]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: custom_quantizer MODEL.pt2 CALIBRATION OUT.pt2 OUT.pte [MODULE ...]\n";
    return 2;
  }
  try {
    run({argv + 1, argv + argc});
  } catch (const intaglio::Error& error) {
    std::cerr << "custom_quantizer: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
