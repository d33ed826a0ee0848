#include "edge/passes/passes.h"

#include <map>

#include "decompose/builder.h"
#include "ir/infer.h"

namespace intaglio::edge {
namespace {

bool is_tensor_slot(const ArgSchema& argument) { return argument.type == ArgType::tensor || argument.type == ArgType::optional_tensor; }

bool is_number(const Argument& argument) {
  if (Value* const* value = argument.get_if<Value*>()) return *value && !(*value)->is_tensor();
  return argument.is<int64_t>() || argument.is<double>() || argument.is<bool>();
}

// The type the op computes in: its tensor slots promoted together.
DType computed_dtype(const Node& node) {
  std::vector<PromotionOperand> operands;
  for (const ArgSchema& formal : node.op().schema()->arguments)
    if (is_tensor_slot(formal))
      if (const Argument* written = node.find(formal.name))
        if (auto operand = promotion_operand(*written)) operands.push_back(*operand);
  const DType dtype = result_type(operands);
  const bool divides = node.op().base() == "div" && (!node.find("rounding_mode") || node.find("rounding_mode")->is_none());
  return divides && !is_floating(dtype) && !is_complex(dtype) ? DType::float32 : dtype;
}

class Converter {
 public:
  explicit Converter(ExportedProgram& program) : program_(program) {}

  void convert(Node& node) {
    if (!node.op().schema()) return;
    for (const ArgSchema& formal : node.op().schema()->arguments) {
      const Argument* written = is_tensor_slot(formal) ? node.find(formal.name) : nullptr;
      if (!written || !is_number(*written)) continue;
      const Argument number = *written;
      program_.graph().set_argument(node, formal.name, tensor_of(node, number));
    }
  }

 private:
  Value* tensor_of(Node& node, const Argument& number) {
    const DType dtype = computed_dtype(node);
    decompose::GraphBuilder build(program_, node);
    if (Value* const* symbol = number.get_if<Value*>()) {
      // The kernel refuses what a narrow type does not hold, which a cast makes infinite as PyTorch does.
      const bool is_real = (*symbol)->kind() == ValueKind::sym_float && is_floating(dtype);
      return build.cast(build.call("aten.scalar_tensor.default", {number}, {{"dtype", is_real ? DType::float64 : dtype}}), dtype);
    }
    Value*& known = known_[{dtype, to_string(number)}];
    if (!known) known = build.number(number, dtype);
    return known;
  }

  ExportedProgram& program_;
  std::map<std::pair<DType, std::string>, Value*> known_;
};

}  // namespace

void scalars_to_tensors(ExportedProgram& program) {
  Converter converter(program);
  for (Node* node : program.graph().node_list()) converter.convert(*node);
}

}  // namespace intaglio::edge
