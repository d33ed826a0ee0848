// Any bytes: a graph that becomes operators, or a bad-input error.
#include <intaglio/error.h>

#include "backends/exynos/handover/graph_bytes.h"
#include "backends/exynos/handover/import_graph.h"

namespace intaglio::exynos {
namespace {

TensorMeta meta_of(const EnnTensor& tensor) {
  return TensorMeta::contiguous(*data_type_of(tensor.data_type), {tensor.dims.begin(), tensor.dims.end()});
}

// A program that is nothing but the graph.
void import(const EnnGraph& graph) {
  ExportedProgram program;
  std::vector<NamedArgument> arguments;
  std::vector<OutputSpecification> results;
  for (const uint32_t input : graph.inputs) {
    Value* value = program.graph().add_input(program.graph().inputs().size(), {.meta = meta_of(graph.tensors[input]), .name = "x"});
    program.input_specs.push_back({.value = value});
    arguments.push_back({"", value});
  }
  for (const uint32_t output : graph.outputs) results.push_back({.meta = meta_of(graph.tensors[output]), .name = "y"});
  Node& call = program.graph().insert_before(nullptr, Op::get("intaglio.enn_graph.default"), std::move(arguments), std::move(results));
  program.graph().set_outputs({call.outputs().begin(), call.outputs().end()});
  import_graph(program, call, graph);
}

}  // namespace
}  // namespace intaglio::exynos

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    intaglio::exynos::import(intaglio::exynos::read_graph({reinterpret_cast<const std::byte*>(data), size}, nullptr));
  } catch (const intaglio::Error& error) {
    if (error.kind() != intaglio::ErrorKind::bad_input && error.kind() != intaglio::ErrorKind::unsupported) __builtin_trap();
  }
  return 0;
}
