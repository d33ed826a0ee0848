// The pre-flight against the runtime itself: what check_payload lets pass loads and runs, what the runtime refuses it refuses.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cfloat>
#include <filesystem>
#include <functional>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/xnnpack/payload/payload_bytes.h"
#include "edge/edge_programs_for_tests.h"
#include "runtime/runtime.h"

namespace intaglio::xnnpack {
namespace {

using Role = PayloadValue::Role;
using Dims = std::vector<int64_t>;

DType dtype_of(DataType type) {
  switch (type) {
    case DataType::fp16: return DType::float16;
    case DataType::qint8: return DType::int8;
    default: return DType::float32;
  }
}

Quantization parameters_of(DataType type) {
  if (type == DataType::qint8) return PerTensor{0.05f, 3};
  if (type == DataType::qint32) return PerTensor{0.05f, 0};
  return {};
}

// Graphs in which every operand comes from outside and the result of the one node leaves.
class GraphMaker {
 public:
  ValueId input(DataType type, Dims dims) { return add(type, std::move(dims), Role::input); }
  ValueId output(DataType type, Dims dims) { return add(type, std::move(dims), Role::output); }
  ValueId constant(DataType type, Dims dims, Quantization quantization = {}) {
    const DType stored = type == DataType::fp32                                  ? DType::float32
                         : type == DataType::fp16                                ? DType::float16
                         : type == DataType::qint32 || type == DataType::qcint32 ? DType::int32
                                                                                 : DType::int8;
    const ValueId id = add(type, dims, Role::constant);
    graph.values[id].data = Tensor::zeros(stored, dims);
    if (!std::holds_alternative<std::monostate>(quantization)) graph.values[id].quantization = std::move(quantization);
    return id;
  }
  PayloadNode& node(NodeKind kind, std::vector<ValueId> inputs, ValueId result, Attributes attributes = {}, uint32_t flags = 0) {
    PayloadNode node;
    node.kind = kind;
    node.inputs = std::move(inputs);
    node.output = result;
    node.attributes = std::move(attributes);
    node.flags = flags;
    node.origin = "a test";
    return graph.add_node(std::move(node));
  }
  PayloadGraph finish() {
    uint32_t next = 0;
    for (const auto& [list, role] : {std::pair(&graph.inputs, Role::input), {&graph.outputs, Role::output}})
      for (ValueId id = 0; id < graph.values.size(); ++id) {
        if (graph.values[id].role != role) continue;
        graph.values[id].external_id = next++;
        list->push_back(id);
      }
    return std::move(graph);
  }
  PayloadGraph graph;

 private:
  ValueId add(DataType type, Dims dims, Role role) {
    return graph.add_value({.name = "v", .type = type, .dims = std::move(dims), .quantization = parameters_of(type), .role = role});
  }
};

bool passes_check(const PayloadGraph& graph) {
  try {
    check_payload(graph);
    return true;
  } catch (const Error&) { return false; }
}

// As a program of one delegate call, on zeros.
bool runs(runtime::PteRunner& runner, const PayloadGraph& graph) {
  WrittenPayload payload = write_payload(graph);
  test::ProgramBuilder b;
  std::vector<NamedArgument> arguments = {{"", int64_t{0}}};
  std::vector<runtime::RunValue> samples;
  for (const ValueId id : graph.inputs) {
    const PayloadValue& value = graph.values[id];
    arguments.push_back({"", b.input(fmt::format("x{}", id), value.dims, dtype_of(value.type))});
    samples.emplace_back(Tensor::zeros(dtype_of(value.type), value.dims));
  }
  std::vector<test::Meta> outputs;
  for (const ValueId id : graph.outputs) {
    const PayloadValue& value = graph.values[id];
    outputs.emplace_back(value.dims, dtype_of(value.type));
  }
  for (Value* output : b.raw("executorch_call_delegate", std::move(arguments), std::move(outputs)).outputs()) b.output(output);
  Delegate delegate;
  delegate.backend_id = "XnnpackBackend";
  delegate.payload = std::move(payload.bytes);
  delegate.named_data = std::move(payload.named_data);
  const std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("intaglio_preflight_{}.pte", getpid());
  bool result = true;
  try {
    test::edge_of(b, std::move(delegate)).to_executorch().save(path);
    runner.load(path);
    runner.run(samples);
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::bug) << error.what();
    result = false;
  }
  std::filesystem::remove(path);
  return result;
}

// A graph of one node with all its tensors of one type.
PayloadGraph graph_of(NodeKind kind, DataType type) {
  GraphMaker m;
  const Dims image = {1, 4, 4, 8};
  const auto unary = [&](Attributes attributes, Dims result, uint32_t flags = 0) {
    const ValueId x = m.input(type, image);
    m.node(kind, {x}, m.output(type, std::move(result)), std::move(attributes), flags);
  };
  switch (info(kind).form) {
    case NodeForm::binary: {
      const bool product = kind == NodeKind::BatchMatrixMultiply;
      const Dims dims = product ? Dims{2, 4, 4} : image;
      const ValueId a = m.input(type, dims);
      const ValueId b = kind == NodeKind::PReLU ? m.constant(type, {8}) : m.input(type, dims);
      m.node(kind, {a, b}, m.output(type, dims));
      break;
    }
    case NodeForm::concatenate: {
      std::vector<ValueId> inputs;
      for (int i = 0; i < info(kind).inputs; ++i) inputs.push_back(m.input(type, image));
      m.node(kind, std::move(inputs), m.output(type, {1, 4, 4, 8 * int64_t{info(kind).inputs}}), ConcatenateAttributes{3});
      break;
    }
    case NodeForm::pooling: {
      PoolingAttributes window;
      window.pooling_height = window.pooling_width = window.stride_height = window.stride_width = 2;
      if (kind == NodeKind::MaxPooling2d) window.dilation_height = window.dilation_width = 1;
      unary(window, {1, 2, 2, 8}, flags::keep_dims);
      break;
    }
    case NodeForm::transpose: unary(DimsAttributes{{0, 2, 1, 3}}, image); break;
    case NodeForm::reshape: unary(DimsAttributes{{1, 16, 8}}, {1, 16, 8}); break;
    case NodeForm::slice: unary(SliceAttributes{{0, 1, 0, 0}, {1, 2, 4, 8}}, {1, 2, 4, 8}); break;
    case NodeForm::pad: unary(PadAttributes{{0, 1, 0, 0}, {0, 1, 0, 0}, 0}, {1, 6, 4, 8}); break;
    case NodeForm::resize: unary(ResizeAttributes{8, 8}, {1, 8, 8, 8}); break;
    case NodeForm::elu:
    case NodeForm::leaky_relu: unary(ScalarAttributes{0.5f}, image); break;
    default:
      if (kind == NodeKind::GlobalAvgPooling2d) unary({}, {1, 1, 1, 8}, flags::keep_dims);
      else unary({}, image);
  }
  if (kind == NodeKind::Clamp) m.graph.nodes[0].output_min = 0, m.graph.nodes[0].output_max = 6;
  return m.finish();
}

// What the runtime takes and the pre-flight does not: forms that lowering never makes, so that nobody is held up and a bug
// that made one would be seen.
const std::set<std::string> stricter_than_the_runtime = {
    "Ceiling qint8",
    "Cos qint8",
    "Div qint8",
    "Floor qint8",
    "Log qint8",
    "Maximum qint8",
    "Minimum qint8",
    "Negate qint8",
    "PReLU qint8",
    "ReciprocalSquareRoot qint8",
    "Sin qint8",
    "SquareRoot qint8",
    "StaticResizeBilinear2D qint8",
    // Filters and biases are stored as float32 beside float activations, per-channel biases as per-channel integers.
    "linear fp16 fp16 fp32 fp16",
    "linear fp32 fp16 fp16 fp32",
    "linear fp32 fp16 fp32 fp32",
    "linear fp32 fp16 invalid fp32",
    "linear fp32 qcint8 fp32 fp32",
    "linear fp32 qcint8 invalid fp32",
    "linear qint8 qcint8 qint32 qint8",
};

void expect_agreement(runtime::PteRunner& runner, const std::string& name, const PayloadGraph& graph) {
  const bool passes = passes_check(graph), ran = runs(runner, graph);
  if (stricter_than_the_runtime.contains(name)) {
    EXPECT_TRUE(ran && !passes) << name;
    return;
  }
  EXPECT_EQ(passes, ran) << name << (ran ? " runs" : " is refused") << " on the runtime";
}

TEST(Preflight, EveryKindAndTypeIsWhatTheRuntimeTakes) {
  runtime::PteRunner runner({.threads = 1});
  for (int i = 1; i <= last_node_kind; ++i) {
    const auto kind = static_cast<NodeKind>(i);
    const NodeForm form = info(kind).form;
    if (form == NodeForm::unsupported || form == NodeForm::convolution || form == NodeForm::fully_connected || kind == NodeKind::Convert)
      continue;
    for (const DataType type : {DataType::fp32, DataType::fp16, DataType::qint8})
      expect_agreement(runner, fmt::format("{} {}", info(kind).name, name(type)), graph_of(kind, type));
  }
}

// Filter types with their parameters; the channel dimension is that of a Conv2d or linear.
Quantization filter_parameters(DataType type, int64_t channels, int32_t channel_dim = 0) {
  if (type == DataType::qint8 || type == DataType::qint32) return PerTensor{0.05f, 0};
  if (type == DataType::qcint8 || type == DataType::qcint32)
    return PerChannel{std::vector<float>(static_cast<size_t>(channels), 0.05f), channel_dim};
  return {};
}

TEST(Preflight, EveryCombinationOfALinearsTypesIsWhatTheRuntimeTakes) {
  runtime::PteRunner runner({.threads = 1});
  for (const DataType x : {DataType::fp32, DataType::fp16, DataType::qint8})
    for (const DataType y : {DataType::fp32, DataType::fp16, DataType::qint8})
      for (const DataType filter : {DataType::fp32, DataType::fp16, DataType::qint8, DataType::qcint8})
        for (const DataType bias : {DataType::invalid, DataType::fp32, DataType::fp16, DataType::qint32, DataType::qcint32}) {
          GraphMaker m;
          const ValueId input = m.input(x, {2, 8}), weight = m.constant(filter, {4, 8}, filter_parameters(filter, 4));
          // XNNPACK wants the product of the scales there.
          const float product = x == DataType::qint8 ? 0.05f * 0.05f : 0.05f;
          ValueId added = invalid_id;
          if (bias != DataType::invalid) {
            Quantization q = filter_parameters(bias, 4);
            if (auto* one = std::get_if<PerTensor>(&q)) one->scale = product;
            if (auto* each = std::get_if<PerChannel>(&q)) each->scale.assign(4, product);
            added = m.constant(bias, {4}, q);
          }
          m.node(NodeKind::FullyConnected, {input, weight, added}, m.output(y, {2, 4}));
          expect_agreement(runner, fmt::format("linear {} {} {} {}", name(x), name(filter), name(bias), name(y)), m.finish());
        }
}

struct Limit {
  const char* name;
  std::function<PayloadGraph(bool good)> graph;
  bool runtime_refuses = true;  // false: it runs, and what it computes is not what was meant
};

PayloadGraph unary_of(Dims dims, Quantization quantization = {}) {
  GraphMaker m;
  const bool is_float = std::holds_alternative<std::monostate>(quantization);
  const DataType type = is_float ? DataType::fp32 : DataType::qint8;
  const ValueId x = m.input(type, dims);
  m.node(NodeKind::Abs, {x}, m.output(type, dims));
  if (!is_float)
    for (PayloadValue& value : m.graph.values) value.quantization = quantization;
  return m.finish();
}

// A 3x3 convolution of 8 channels, quantized per channel; depthwise or not.
PayloadGraph convolution(NodeKind kind, const std::function<void(GraphMaker&, ConvolutionAttributes&)>& change) {
  GraphMaker m;
  const bool depthwise = kind == NodeKind::DepthwiseConv2d;
  const ValueId x = m.input(DataType::qint8, {1, 5, 5, 8});
  const ValueId w = m.constant(DataType::qcint8, depthwise ? Dims{1, 3, 3, 8} : Dims{8, 3, 3, 8},
                               filter_parameters(DataType::qcint8, 8, depthwise ? 3 : 0));
  ConvolutionAttributes a;
  a.kernel_height = a.kernel_width = 3;
  a.groups = depthwise ? 8 : 1;
  a.group_input_channels = a.group_output_channels = depthwise ? 1 : 8;
  change(m, a);
  m.node(kind, {x, w, invalid_id}, m.output(DataType::qint8, {1, 3, 3, 8}), a);
  return m.finish();
}

PayloadGraph changed(NodeKind kind, const std::function<void(PayloadGraph&)>& change) {
  PayloadGraph graph = graph_of(kind, DataType::fp32);
  change(graph);
  return graph;
}

const Limit limits[] = {
    {"rank", [](bool good) { return unary_of(Dims(good ? 6 : 7, 2)); }},
    {"scale", [](bool good) { return unary_of({4}, PerTensor{good ? FLT_MIN : FLT_MIN / 2, 0}); }},
    {"infinite scale", [](bool good) { return unary_of({4}, PerTensor{good ? FLT_MAX : INFINITY, 0}); }},
    {"zero point above", [](bool good) { return unary_of({4}, PerTensor{0.5f, good ? 127 : 128}); }},
    {"zero point below", [](bool good) { return unary_of({4}, PerTensor{0.5f, good ? -128 : -129}); }},
    {"window",
     [](bool good) {
       return changed(NodeKind::MaxPooling2d, [&](PayloadGraph& g) {
         auto& a = g.nodes[0].get<PoolingAttributes>();
         a.pooling_height = a.stride_height = a.stride_width = 1;
         a.pooling_width = good ? 2 : 1;
         g.values[g.outputs[0]].dims = {1, 4, good ? 3 : 4, 8};
       });
     },
     false},
    {"slice",
     [](bool good) {
       return changed(NodeKind::StaticSlice, [&](PayloadGraph& g) { g.nodes[0].get<SliceAttributes>().offsets[1] = good ? 2 : 3; });
     }},
    {"range",
     [](bool good) {
       return changed(NodeKind::Add, [&](PayloadGraph& g) { g.nodes[0].output_min = 0, g.nodes[0].output_max = good ? 1 : 0; });
     },
     false},
    {"inferred sizes",
     [](bool good) {
       return changed(NodeKind::StaticReshape, [&](PayloadGraph& g) {
         g.nodes[0].get<DimsAttributes>().dims = good ? std::vector<uint32_t>{0, 16, 8} : std::vector<uint32_t>{0, 0, 8};
       });
     }},
    {"permutation",
     [](bool good) {
       return changed(NodeKind::StaticTranspose, [&](PayloadGraph& g) { g.nodes[0].get<DimsAttributes>().dims[1] = good ? 2 : 1; });
     }},
    {"channel dimension of a convolution",
     [](bool good) {
       return convolution(NodeKind::Conv2d, [&](GraphMaker& m, ConvolutionAttributes&) {
         std::get<PerChannel>(m.graph.values[1].quantization).channel_dim = good ? 0 : 3;
       });
     }},
    {"channel dimension of a depthwise convolution",
     [](bool good) {
       return convolution(NodeKind::DepthwiseConv2d, [&](GraphMaker& m, ConvolutionAttributes&) {
         std::get<PerChannel>(m.graph.values[1].quantization).channel_dim = good ? 3 : 0;
       });
     }},
    {"channels of a group",
     [](bool good) {
       return convolution(NodeKind::Conv2d, [&](GraphMaker&, ConvolutionAttributes& a) { a.group_input_channels = good ? 8 : 4; });
     }},
    {"stride",
     [](bool good) {
       return convolution(NodeKind::Conv2d, [&](GraphMaker&, ConvolutionAttributes& a) { a.subsampling_height = good ? 1 : 0; });
     }},
    {"inputs and outputs",
     [](bool good) {
       GraphMaker m;
       for (uint32_t i = 0; i < max_externals / 2 + (good ? 0 : 1); ++i) {
         const ValueId x = m.input(DataType::fp32, {2});
         m.node(NodeKind::Abs, {x}, m.output(DataType::fp32, {2}));
       }
       return m.finish();
     }},
};

TEST(Preflight, EachLimitIsTheRuntimes) {
  runtime::PteRunner runner({.threads = 1});
  for (const Limit& limit : limits)
    for (const bool good : {true, false}) {
      const PayloadGraph graph = limit.graph(good);
      EXPECT_EQ(passes_check(graph), good) << limit.name;
      EXPECT_EQ(runs(runner, graph), good || !limit.runtime_refuses) << limit.name;
    }
}

}  // namespace
}  // namespace intaglio::xnnpack
