#include "backends/exynos/handover/import_graph.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "decompose/builder.h"
#include "qdq/writer.h"

namespace intaglio::exynos {
namespace {

using IntList = std::vector<int64_t>;

// An operator, its operands as floats (integers stay), and its parameters.
struct Operation {
  decompose::GraphBuilder& b;
  const EnnGraph& graph;
  const EnnOp& op;
  std::vector<Value*> x;

  template <typename T>
  const T& param(std::string_view name) const {
    const EnnParam* found = op.find(name);
    const T* value = found == nullptr ? nullptr : std::get_if<T>(&found->value);
    if (value == nullptr) throw_bad_input(fmt::format("has no parameter '{}', or one of another type", name));
    return *value;
  }
  int64_t integer(std::string_view name) const { return param<int64_t>(name); }
  const IntList& integers(std::string_view name) const { return param<IntList>(name); }
  double number(std::string_view name) const {
    const EnnParam* found = op.find(name);
    const auto* whole = found == nullptr ? nullptr : std::get_if<int64_t>(&found->value);
    return whole == nullptr ? param<double>(name) : static_cast<double>(*whole);
  }
  IntList pair(std::string_view stem) const { return {integer(fmt::format("{}_h", stem)), integer(fmt::format("{}_w", stem))}; }
  const Sizes& dims(size_t output = 0) const { return graph.tensors[op.outputs.at(output)].dims; }
  Value* at(size_t operand) const {
    if (operand >= x.size()) throw_bad_input(fmt::format("has {} inputs, which is too few", x.size()));
    return x[operand];
  }
  Argument bias(size_t operand) const { return operand < x.size() ? Argument(x[operand]) : Argument(); }
};
using Results = std::vector<Value*>;

// ---- rows that differ in the operator alone

struct Plain {
  std::string_view type, op;
  size_t operands;
};
constexpr Plain plain_rows[] = {
    {"ELTSUM", "aten.add.Tensor", 2},
    {"SUB", "aten.sub.Tensor", 2},
    {"ELTMUL", "aten.mul.Tensor", 2},
    {"ELTDIV", "aten.div.Tensor", 2},
    {"MAXIMUM", "aten.maximum.default", 2},
    {"MIN", "aten.minimum.default", 2},
    {"POW", "aten.pow.Tensor_Tensor", 2},
    {"BATCH_MATMUL", "aten.bmm.default", 2},
    {"RELU", "aten.relu.default", 1},
    {"GELU", "aten.gelu.default", 1},
    {"HARDSWISH", "aten.hardswish.default", 1},
    {"HardSigmoid", "aten.hardsigmoid.default", 1},
    {"SIGMOID", "aten.sigmoid.default", 1},
    {"TANH", "aten.tanh.default", 1},
    {"SQRT", "aten.sqrt.default", 1},
    {"RSQRT", "aten.rsqrt.default", 1},
    {"LOG", "aten.log.default", 1},
    {"Sin", "aten.sin.default", 1},
    {"Cos", "aten.cos.default", 1},
};

// ---- the others

namespace results {

Value* activated(Operation& o, Value* value) {
  const EnnParam* activation = o.op.find("activation");
  if (activation == nullptr) return value;
  const auto& name = o.param<std::string>("activation");
  if (name == "RELU") return o.b("aten.relu.default", value);
  if (name == "RELU6") return o.b("aten.hardtanh.default", value, 0.0, 6.0);
  throw_bad_input(fmt::format("has the activation '{}', which does not exist", escaped(name)));
}

Results convolution(Operation& o) {
  const bool is_transposed = o.op.type.find("DECONV") != std::string::npos;
  if (o.integer("groups") < 1) throw_bad_input("has fewer than one group");
  Value* weight = is_transposed ? o.b.permute(o.at(1), {1, 0, 2, 3}) : o.at(1);
  const IntList& padding = o.integers("explicit_padding");
  if (padding.size() != 4 || padding[0] != padding[2] || padding[1] != padding[3])
    throw_bad_input("has a padding that differs between the sides");
  return {activated(o, o.b("aten.convolution.default", o.at(0), weight, o.bias(2), o.pair("stride"), IntList{padding[0], padding[1]},
                           o.pair("dilation"), is_transposed, IntList{0, 0}, o.integer("groups")))};
}

Results linear(Operation& o) { return {o.b("aten.linear.default", o.at(0), o.at(1), o.bias(2))}; }

IntList window_padding(const Operation& o) {
  const IntList& padding = o.integers("explicit_padding");
  if (padding.size() != 4) throw_bad_input("has no padding for four sides");
  return {padding[0], padding[1]};
}
Results average_pool(Operation& o) {
  return {o.b("aten.avg_pool2d.default", o.at(0), o.pair("kernel"), o.pair("stride"), window_padding(o), false,
              o.param<bool>("count_include_pad"))};
}
Results max_pool(Operation& o) {
  return {o.b("aten.max_pool2d.default", o.at(0), o.pair("kernel"), o.pair("stride"), window_padding(o), o.pair("dilation"))};
}

Results mean(Operation& o) { return {o.b("aten.mean.dim", o.at(0), o.integers("axis"), o.param<bool>("keep_dims"))}; }
Results sum(Operation& o) { return {o.b("aten.sum.dim_IntList", o.at(0), o.integers("axis"), o.param<bool>("keep_dims"))}; }
Results clip(Operation& o) { return {o.b("aten.clamp.default", o.at(0), o.number("minimum"), o.number("maximum"))}; }

Results prelu(Operation& o) {
  Value* slope = o.at(1)->meta().rank() == 0 ? o.b.view(o.at(1), {SymInt(1)}) : o.at(1);
  return {o.b("aten.prelu.default", o.at(0), slope)};
}

// Of rows whose scores are all minus infinity nothing is said; what models hand over as attention gives zeros.
Results softmax(Operation& o) { return {o.b("aten._safe_softmax.default", o.at(0), o.integer("axis"))}; }
Results log_softmax(Operation& o) { return {o.b("aten._log_softmax.default", o.at(0), o.integer("axis"), false)}; }
Results concat(Operation& o) {
  o.at(0);
  return {o.b("aten.cat.default", o.x, o.integer("axis"))};
}
Results reshape(Operation& o) { return {o.b("aten.view.default", o.at(0), o.integers("new_shape"))}; }
Results transpose(Operation& o) { return {o.b("aten.permute.default", o.at(0), o.integers("perm"))}; }

Results strided_slice(Operation& o) {
  const IntList &begin = o.integers("begin"), &end = o.integers("end"), &strides = o.integers("strides");
  const auto rank = static_cast<size_t>(o.at(0)->meta().rank());
  if (begin.size() != rank || end.size() != rank || strides.size() != rank) throw_bad_input("has not a begin and end for each dimension");
  Value* value = o.at(0);
  const Sizes sizes = value->meta().static_sizes();
  for (size_t i = 0; i < rank; ++i)
    if (begin[i] != 0 || end[i] != sizes[i] || strides[i] != 1)
      value = o.b("aten.slice.Tensor", value, static_cast<int64_t>(i), begin[i], end[i], strides[i]);
  return {o.op.find("shrink_axis_mask") == nullptr ? value : o.b("aten.view.default", value, o.dims())};
}

Results split(Operation& o) {
  return o.b.node("aten.split_with_sizes.default", {o.at(0), o.integers("point"), o.integer("axis")}).outputs();
}

Results pad(Operation& o) {
  const IntList& padding = o.integers("explicit_padding");
  const size_t rank = padding.size() / 2;
  if (static_cast<int64_t>(rank) != o.at(0)->meta().rank()) throw_bad_input("has not a padding for each dimension");
  IntList both;
  for (size_t i = rank; i-- > 0;) both.insert(both.end(), {padding[i], padding[rank + i]});
  return {o.b("aten.constant_pad_nd.default", o.at(0), both, 0.0)};
}

Results gather(Operation& o) {
  const int64_t axis = o.integer("axis");
  if (axis < 0 || axis >= o.at(0)->meta().rank()) throw_bad_input("gathers along a dimension that does not exist");
  std::vector<Value*> indices(static_cast<size_t>(axis), nullptr);
  indices.push_back(o.at(1));
  return {o.b("aten.index.Tensor", o.at(0), indices)};
}

Results layer_norm(Operation& o) {
  const Sizes sizes = o.at(0)->meta().static_sizes();
  if (sizes.empty()) throw_bad_input("normalizes a scalar");
  return {o.b("aten.layer_norm.default", o.at(0), IntList{sizes.back()}, o.at(1), o.at(2), o.number("epsilon"))};
}
Results batch_norm(Operation& o) {
  return {o.b("aten._native_batch_norm_legit_no_training.default", o.at(0), o.at(1), o.at(2), o.at(3), o.at(4), 0.1, o.number("epsilon"))};
}
Results group_norm(Operation& o) {
  return {o.b("aten.group_norm.default", o.at(0), o.integer("num_groups"), o.at(1), o.at(2), o.number("epsilon"))};
}
Results rms_norm(Operation& o) {
  return {o.b("aten.rms_norm.default", o.at(0), o.integers("normalize_shape"), o.at(1), o.number("epsilon"))};
}
Results depth_to_space(Operation& o) { return {o.b("aten.pixel_shuffle.default", o.at(0), o.integer("block_size"))}; }

// Where the factors give the sizes they say where samples lie.
std::pair<Argument, Argument> size_or_factors(const Operation& o) {
  const auto& factors = o.param<std::vector<double>>("upsampling_factor");
  const Sizes from = o.at(0)->meta().static_sizes(), to = o.dims();
  if (factors.size() != 2 || from.size() != 4 || to.size() != 4) throw_bad_input("resizes what is no image");
  const auto gives = [&](size_t i) { return std::floor(static_cast<double>(from[i + 2]) * factors[i]) == static_cast<double>(to[i + 2]); };
  if (gives(0) && gives(1)) return {Argument(), factors};
  return {IntList{to[2], to[3]}, Argument()};
}
Results bilinear(Operation& o) {
  const auto [size, factors] = size_or_factors(o);
  return {o.b("aten.upsample_bilinear2d.vec", o.at(0), size, o.param<bool>("align_corners"), factors)};
}
Results nearest(Operation& o) {
  const auto [size, factors] = size_or_factors(o);
  return {o.b("aten.upsample_nearest2d.vec", o.at(0), size, factors)};
}

Results topk(Operation& o) { return o.b.node("aten.topk.default", {o.at(0), o.integer("k_dims")}).outputs(); }
Results cast(Operation& o) { return {o.b.cast(o.at(0), *data_type_of(o.graph.tensors[o.op.outputs.at(0)].data_type))}; }
Results same(Operation& o) { return {o.at(0)}; }

}  // namespace results

struct ImportRow {
  std::string_view type;
  Results (*write)(Operation&);
};
constexpr ImportRow import_rows[] = {
    {"CONV2D", results::convolution},
    {"DWCONV2D", results::convolution},
    {"DECONV2D", results::convolution},
    {"DWDECONV2D", results::convolution},
    {"FC", results::linear},
    {"AVGPOOL2D", results::average_pool},
    {"MAXPOOL2D", results::max_pool},
    {"REDUCEMEAN", results::mean},
    {"REDUCESUM", results::sum},
    {"CLIP", results::clip},
    {"PRELU", results::prelu},
    {"SOFTMAX", results::softmax},
    {"LOGSOFTMAX", results::log_softmax},
    {"CONCAT", results::concat},
    {"RESHAPE", results::reshape},
    {"TRANSPOSE", results::transpose},
    {"STRIDEDSLICE", results::strided_slice},
    {"SPLIT", results::split},
    {"PAD", results::pad},
    {"GATHER", results::gather},
    {"LAYERNORM", results::layer_norm},
    {"BatchNormalization", results::batch_norm},
    {"GROUPNORM", results::group_norm},
    {"RMSNORM", results::rms_norm},
    {"DEPTH_TO_SPACE", results::depth_to_space},
    {"RESIZE_BILINEAR", results::bilinear},
    {"RESIZE_NEAREST_NEIGHBOR", results::nearest},
    {"TopK", results::topk},
    {"CAST", results::cast},
    {"QUANTIZE", results::same},
    {"DEQUANTIZE", results::same},
};

Results results_of(Operation& o) {
  const auto plain = std::ranges::find(plain_rows, o.op.type, &Plain::type);
  if (plain != std::end(plain_rows))
    return {o.b.call(plain->op, plain->operands == 1 ? std::vector<Argument>{o.at(0)} : std::vector<Argument>{o.at(0), o.at(1)})};
  const auto row = std::ranges::find(import_rows, o.op.type, &ImportRow::type);
  if (row == std::end(import_rows)) throw_bad_input("is of a type that does not exist");
  return row->write(o);
}

class Importer {
 public:
  Importer(ExportedProgram& program, Node& call, const EnnGraph& graph)
      : program_(program), call_(call), graph_(graph), b_(program, call), values_(graph.tensors.size()) {}

  void import() {
    std::vector<Value*> inputs;
    for (const NamedArgument& argument : call_.arguments())
      for (Value* value : values_in(argument.value)) inputs.push_back(value);
    if (inputs.size() != graph_.inputs.size() || call_.outputs().size() != graph_.outputs.size())
      throw_bad_input(fmt::format("the graph has {} inputs and {} outputs, its place in the program {} and {}", graph_.inputs.size(),
                                  graph_.outputs.size(), inputs.size(), call_.outputs().size()));
    for (size_t i = 0; i < inputs.size(); ++i) define(graph_.inputs[i], inputs[i]);
    for (uint32_t i = 0; i < graph_.tensors.size(); ++i)
      if (graph_.tensors[i].data.defined()) values_[i] = b_.constant(graph_.tensors[i].data);
    for (const EnnOp& op : graph_.ops) try {
        write(op);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::bug)
          throw_bad_input(fmt::format("{} '{}': its tensors do not fit it", escaped(op.type), escaped(op.name)));
        throw error.with_context(fmt::format("{} '{}'", escaped(op.type), escaped(op.name)));
      }
    for (size_t i = 0; i < graph_.outputs.size(); ++i) replace(call_.output(i), values_[graph_.outputs[i]]);
    program_.graph().erase(&call_);
  }

 private:
  static std::string text(const Sizes& sizes) { return fmt::format("[{}]", fmt::join(sizes, ", ")); }

  // Sizes and type as the tensor states them.
  void define(uint32_t id, Value* value) {
    const EnnTensor& tensor = graph_.tensors[id];
    if (!value->is_tensor() || !value->meta().is_static())
      throw_bad_input(fmt::format("tensor '{}' has no known sizes", escaped(tensor.name)));
    const Sizes sizes = value->meta().static_sizes();
    if (sizes.empty() && tensor.dims == Sizes{1}) value = b_.view(value, {SymInt(1)});
    else if (sizes != tensor.dims)
      throw_bad_input(fmt::format("tensor '{}' is {}, and what makes it {}", escaped(tensor.name), text(tensor.dims), text(sizes)));
    if (value->dtype() != *data_type_of(tensor.data_type))
      throw_bad_input(fmt::format("tensor '{}' is {}, and what makes it {}", escaped(tensor.name), tensor.data_type, name(value->dtype())));
    values_[id] = value;
  }

  Value* convert(Op op, const qdq::Form& form, Value* input, DType result) {
    std::vector<NamedArgument> arguments = {{"input", input}};
    arguments.insert(arguments.end(), form.arguments.begin(), form.arguments.end());
    TensorMeta meta = input->meta();
    meta.dtype = result;
    return b_.graph().insert_before(&call_, op, std::move(arguments), {{.meta = std::move(meta)}}).output();
  }

  const qdq::Form* form_of(uint32_t id) {
    const auto& quantize = graph_.tensors[id].quantize;
    if (!quantize || quantize->type.empty()) return nullptr;
    const auto [known, is_new] = forms_.try_emplace(id);
    if (is_new) {
      QuantParams params{.scale = {quantize->scales.begin(), quantize->scales.end()},
                         .zero_point = {quantize->zero_points.begin(), quantize->zero_points.end()}};
      if (params.scale.size() > 1) params.block_size = channel_blocks(0);
      known->second = qdq::static_form(program_, params);
    }
    return &*known->second;
  }

  Value* real(uint32_t id) {
    const qdq::Form* form = form_of(id);
    return form == nullptr ? values_[id] : convert(form->dequantize, *form, values_[id], DType::float32);
  }

  void write(const EnnOp& op) {
    Operation operation{.b = b_, .graph = graph_, .op = op};
    for (const uint32_t input : op.inputs) operation.x.push_back(real(input));
    const Results results = results_of(operation);
    if (results.size() < op.outputs.size()) throw_bad_input(fmt::format("makes {} tensors, of {}", results.size(), op.outputs.size()));
    for (size_t i = 0; i < op.outputs.size(); ++i) {
      const qdq::Form* form = form_of(op.outputs[i]);
      Value* result = results[i];
      if (form != nullptr && result->dtype() != DType::float32) throw_bad_input("quantizes what is no float tensor");
      define(op.outputs[i], form == nullptr ? result : convert(form->quantize, *form, result, DType::int8));
    }
  }

  void replace(Value* result, Value* value) {
    if (!result->meta().is_static() || result->dtype() != value->dtype())
      throw_bad_input(fmt::format("result '{}' is of another type than the graph's output", escaped(result->name())));
    if (result->sizes() != value->sizes()) value = b_.view(value, result->sizes());
    program_.graph().replace_all_uses(result, value);
  }

  ExportedProgram& program_;
  Node& call_;
  const EnnGraph& graph_;
  decompose::GraphBuilder b_;
  std::vector<Value*> values_;
  std::map<uint32_t, std::optional<qdq::Form>> forms_;
};

}  // namespace

void import_graph(ExportedProgram& program, Node& call, const EnnGraph& graph) { Importer(program, call, graph).import(); }

}  // namespace intaglio::exynos
