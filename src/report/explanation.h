// Why operators stay outside delegates, or in float, and what share of the model's work they are.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <intaglio/edge.h>
#include <intaglio/pt2e.h>
#include <intaglio/recipes.h>

#include "ir/work.h"

namespace intaglio::report {

// An operator that a backend or quantizer left alone.
struct ExplainedOp {
  std::string op;
  std::string layer;   // module path
  std::string source;  // line of the user's model
  std::string rule;    // what refused it
  Work work;
  double share = 0;  // of the whole program's work, 0 to 1
};

struct DelegateShare {
  std::string backend;
  size_t nodes = 0;
  double share = 0;
};

struct DelegationExplanation {
  std::string method;
  uint64_t work = 0;  // of all operators
  std::vector<DelegateShare> delegates;
  std::vector<ExplainedOp> outside;  // largest share first
};
// Inside a delegate, quantize and dequantize count nothing: they say how numbers are stored.
DelegationExplanation explain_delegation(const EdgeMethod& method);

struct QuantizationExplanation {
  uint64_t work = 0;                  // of all operators that compute on floats or would
  double quantized_share = 0;         // of it
  std::vector<ExplainedOp> in_float;  // largest share first
};
// Of a program that was quantized already: what its quantize and dequantize nodes say.
QuantizationExplanation explain_quantization(const ExportedProgram& program);
// Of one that is about to be: what the quantizer annotated.
QuantizationExplanation explain_quantization(const PreparedProgram& prepared);

struct Explanation {
  std::optional<QuantizationExplanation> quantization;  // of the recipe's steps or, without any, of the program itself
  std::optional<DelegationExplanation> delegation;      // absent when the program cannot be lowered
  std::optional<RuntimeNeeds> needs;                    // of the `.pte`, when one can be written
  std::string error;                                    // why no `.pte` can be written; "": one can
};
// What would become of the program: the recipe's steps without samples, then the lowering to `partitioners`. Errors of the
// recipe are thrown, those of what it leaves are part of the answer.
Explanation explain(const ExportedProgram& program, const Recipe& recipe, const PartitionerList& partitioners, int threads,
                    RuntimeVersion runtime = newest_runtime);

// True for ops that compute on integers once deployed: every activation they read comes out of a dequantize node, and so
// does every constant of rank 2 or more (biases stay float in a converted program).
bool is_quantized(const ExportedProgram& program, const Node& node);
// True when the program has quantize or dequantize nodes.
bool has_quantization(const ExportedProgram& program);

}  // namespace intaglio::report
