// What a quantizer says about a graph: which tensors are quantized and how (torchao's annotation types).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <intaglio/program.h>
#include <intaglio/quantization.h>

#pragma GCC visibility push(default)

namespace intaglio {

// An edge is a value and one of its users; a value alone means the output of its producer (or a graph input).
struct QuantEdge {
  Value* value = nullptr;
  Node* user = nullptr;
  friend bool operator==(const QuantEdge&, const QuantEdge&) = default;
};
using EdgeOrValue = std::variant<QuantEdge, Value*>;

struct QuantizationSpec {
  DType dtype = DType::int8;
  ObserverFactory observer;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  std::optional<QScheme> qscheme;
  std::optional<int64_t> ch_axis;
  bool is_dynamic = false;
};

struct FixedQParamsQuantizationSpec {
  DType dtype = DType::int8;
  double scale = 1.0;
  int64_t zero_point = 0;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  std::optional<QScheme> qscheme;
};

// Uses the observer of another edge or value.
struct SharedQuantizationSpec {
  EdgeOrValue target;
};

// Parameters computed from those of other tensors, for example bias from activation and weight.
struct DerivedQuantizationSpec {
  std::vector<EdgeOrValue> derived_from;
  std::function<QuantParams(const std::vector<QuantParams>&)> derive_qparams;
  DType dtype = DType::int32;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  std::optional<QScheme> qscheme;
  std::optional<int64_t> ch_axis;
};

using AnyQuantizationSpec = std::variant<QuantizationSpec, FixedQParamsQuantizationSpec, SharedQuantizationSpec, DerivedQuantizationSpec>;

struct QuantizationAnnotation {
  // Ordered; an input listed without a spec stays float and is known to be so.
  std::vector<std::pair<Value*, std::optional<AnyQuantizationSpec>>> input_qspec_map;
  std::optional<AnyQuantizationSpec> output_qspec;
  bool allow_implicit_sharing = true;
  bool annotated = false;  // later patterns leave the node alone
  std::string rule;        // which pattern of which quantizer decided, for the plan and for `inspect`
};

// Annotations of nodes, of graph inputs (weights are marked so that two patterns do not both take them), and of the parts of a node's
// result, where it has several and is annotated itself.
class Annotations {
 public:
  QuantizationAnnotation& of(const Node* node) { return nodes_[node]; }
  const QuantizationAnnotation* find(const Node* node) const;
  QuantizationAnnotation* find(const Node* node);
  QuantizationAnnotation& of(const Value* input_or_part) { return values_[input_or_part]; }
  const QuantizationAnnotation* find(const Value* input_or_part) const;
  // Of the producer, or of the graph input or the part itself.
  const QuantizationAnnotation* find_producer(const Value* value) const;
  bool is_annotated(const Node* node) const;
  bool is_annotated(const Value* input_or_part) const;

  // Why a quantizer left a node in float ("linear: the weight is not a constant"), for `inspect`; the last one stands.
  void refuse(const Node* node, std::string reason) { refusals_[node] = std::move(reason); }
  // Null for nodes that are annotated, or that nobody gave a reason for.
  const std::string* refusal(const Node* node) const;

  // What a configuration means by name ("module 'encoder'"), and what it names: `prepare_pt2e` warns of a name that nothing in
  // the program has, and of layers that it names and that stay in float. The nodes may be those of sub-graphs.
  struct Request {
    std::string name;
    std::vector<const Node*> nodes;
    bool to_be_quantized = true;  // false: asked to stay in float
  };
  void ask(Request request) { requests_.push_back(std::move(request)); }
  const std::vector<Request>& requests() const { return requests_; }

 private:
  std::unordered_map<const Node*, QuantizationAnnotation> nodes_;
  std::unordered_map<const Node*, std::string> refusals_;
  std::unordered_map<const Value*, QuantizationAnnotation> values_;
  std::vector<Request> requests_;
};

// Specs of the operands of one operator; absent: stays float.
struct QuantizationConfig {
  std::optional<QuantizationSpec> input_activation;
  std::optional<QuantizationSpec> output_activation;
  std::optional<QuantizationSpec> weight;
  std::optional<QuantizationSpec> bias;
  bool is_qat = false;
};

class Quantizer {
 public:
  virtual ~Quantizer() = default;
  // Element types that what is quantized cannot compute in: the program is prepared in float32 instead, and its inputs and outputs
  // are cast.
  virtual std::vector<DType> widened_types() const { return {}; }
  // Graph changes that annotation needs (scalars to tensors, for example).
  virtual void transform_for_annotation(ExportedProgram&) const {}
  virtual void annotate(const ExportedProgram& program, Annotations& annotations) const = 0;
  virtual void validate(const ExportedProgram&, const Annotations&) const {}
};

}  // namespace intaglio

#pragma GCC visibility pop
