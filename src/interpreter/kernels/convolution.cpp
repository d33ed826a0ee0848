// Convolutions of one to three spatial dimensions, also transposed, on oneDNN.
//
// Activations are channels-last (strides on the logical N, C, ... sizes): measured as fast as oneDNN's own blocked
// layouts here, and every other kernel reads them as they are. A primitive computes a few samples on one thread;
// threads are given different samples. oneDNN reads no plain weight as fast as one it packed; a large weight is packed in
// panels of output channels, each of which goes when it was used, and threads are given different panels.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/threads.h"
#include "interpreter/dnnl_support.h"
#include "interpreter/fallbacks.h"
#include "interpreter/kernel_table.h"
#include "interpreter/strided.h"

namespace intaglio::interp {
namespace {

struct Geometry {
  Sizes stride, dilation, pad_before, pad_after, output_padding;
  int64_t groups = 1;
  bool transposed = false;
  friend bool operator==(const Geometry&, const Geometry&) = default;
};

struct Primitive {
  Sizes source;  // with its batch: what the primitive was built for
  Sizes weight;  // grouped
  Geometry geometry;
  dnnl::primitive run;
  dnnl::memory::desc source_desc, weight_desc, bias_desc, target_desc, scratchpad_desc;
  Sizes target;
};

struct Weights {
  PackedWeights weight;
  dnnl::memory bias;
  std::shared_ptr<Storage> folded;  // what `bias` points to
};

struct ConvolutionState : NodeState {
  std::vector<std::shared_ptr<const Primitive>> primitives;
  std::vector<std::pair<dnnl::memory::desc, Weights>> weights;
};

// -------------------------------------------------------------------------------------------------------- arguments

Sizes spatial_list(Call& call, std::string_view name, size_t dims, int64_t smallest) {
  Sizes list = call.integers(name);
  if (list.size() == 1) list.resize(dims, list[0]);
  if (list.size() != dims) call.fail(fmt::format("argument '{}' has {} entries for {} dimensions", name, list.size(), dims));
  for (const int64_t entry : list)
    if (entry < smallest || entry > INT32_MAX) call.fail(fmt::format("argument '{}' holds {}", name, entry));
  return list;
}

enum : int { kind_forward, kind_transposed, kind_general };

Geometry read_geometry(Call& call, const Sizes& kernel) {
  const size_t dims = kernel.size();
  Geometry geometry;
  geometry.stride = spatial_list(call, "stride", dims, 1);
  geometry.dilation = spatial_list(call, "dilation", dims, 1);
  geometry.groups = call.integer("groups");
  call.require(geometry.groups > 0, "groups must be positive");
  geometry.output_padding.assign(dims, 0);
  geometry.transposed = call.variant() == kind_transposed || (call.variant() == kind_general && call.boolean("transposed"));
  if (call.variant() != kind_forward) geometry.output_padding = spatial_list(call, "output_padding", dims, 0);
  if (call.node().op().overload() != "padding") {
    geometry.pad_before = geometry.pad_after = spatial_list(call, "padding", dims, 0);
    return geometry;
  }
  geometry.pad_before.assign(dims, 0);
  geometry.pad_after.assign(dims, 0);
  const std::string padding = call.string("padding");
  if (padding == "valid") return geometry;
  if (padding != "same") call.fail("padding '" + escaped(padding) + "' is neither 'same' nor 'valid'");
  for (size_t i = 0; i < dims; ++i) {
    const int64_t total = geometry.dilation[i] * (kernel[i] - 1);
    geometry.pad_before[i] = total / 2;
    geometry.pad_after[i] = total - total / 2;
  }
  return geometry;
}

int64_t target_size(Call& call, const Geometry& g, size_t i, int64_t size, int64_t kernel) {
  const int64_t reach = g.dilation[i] * (kernel - 1) + 1;
  if (g.transposed) {
    call.require(g.output_padding[i] < std::max(g.stride[i], g.dilation[i]), "output_padding must be smaller than stride or dilation");
    return (size - 1) * g.stride[i] - 2 * g.pad_before[i] + reach + g.output_padding[i];
  }
  const int64_t room = size + g.pad_before[i] + g.pad_after[i] - reach;
  return room < 0 ? 0 : room / g.stride[i] + 1;
}

Sizes target_sizes(Call& call, const Geometry& g, const Sizes& source, const Sizes& weight) {
  const int64_t channels_in = g.transposed ? weight[0] : weight[1] * g.groups;
  const int64_t channels_out = g.transposed ? weight[1] * g.groups : weight[0];
  if (source[1] != channels_in || weight[0] % g.groups != 0 || weight[0] == 0 || weight[1] == 0)
    call.fail(fmt::format("input [{}] does not fit weight [{}] in {} groups", fmt::join(source, ", "), fmt::join(weight, ", "), g.groups));
  Sizes result = {source[0], channels_out};
  for (size_t i = 0; i + 2 < source.size(); ++i) {
    result.push_back(weight[i + 2] > 0 ? target_size(call, g, i, source[i + 2], weight[i + 2]) : 0);
    if (result.back() <= 0)
      call.fail(fmt::format("input [{}] is too small for weight [{}]", fmt::join(source, ", "), fmt::join(weight, ", ")));
  }
  element_count(result);
  return result;
}

// -------------------------------------------------------------------------------------------------------- primitives

// The weight as oneDNN counts it: [groups,] out channels, in channels, spatial; strides into the plain tensor.
struct WeightView {
  Sizes sizes, strides;
};
WeightView weight_view(const Sizes& weight, const Sizes& strides, const Geometry& g) {
  WeightView view;
  const int64_t per_group = weight[0] / g.groups;
  if (g.groups > 1) {
    view.sizes = {g.groups};
    view.strides = {strides[0] * per_group};
  }
  const Sizes channels = g.transposed ? Sizes{weight[1], per_group} : Sizes{per_group, weight[1]};
  const Sizes channel_strides = g.transposed ? Sizes{strides[1], strides[0]} : Sizes{strides[0], strides[1]};
  view.sizes.insert(view.sizes.end(), channels.begin(), channels.end());
  view.strides.insert(view.strides.end(), channel_strides.begin(), channel_strides.end());
  view.sizes.insert(view.sizes.end(), weight.begin() + 2, weight.end());
  view.strides.insert(view.strides.end(), strides.begin() + 2, strides.end());
  return view;
}

std::shared_ptr<const Primitive> build_primitive(const Geometry& g, const Sizes& source, const Sizes& target, const WeightView& weight,
                                                 bool has_bias, const Epilogue* epilogue) {
  auto result = std::make_shared<Primitive>();
  result->source = source;
  result->weight = weight.sizes;
  result->geometry = g;
  result->target = target;
  result->source_desc = dnnl_desc(source, channels_last_strides(source));
  result->target_desc = dnnl_desc(target, channels_last_strides(target));
  if (has_bias) result->bias_desc = dnnl_desc({target[1]}, {1});
  const bool bounded = epilogue != nullptr && epilogue->bounded;
  const dnnl::primitive_attr attributes = dnnl_attributes(bounded, bounded ? epilogue->low : 0, bounded ? epilogue->high : 0);
  Sizes dilates = g.dilation, pad_after = g.pad_after;
  for (int64_t& d : dilates) --d;
  const auto finish = [&](const auto& descriptor, auto primitive) {
    result->weight_desc = descriptor.weights_desc();
    result->scratchpad_desc = descriptor.scratchpad_desc();
    result->run = std::move(primitive);
  };
  if (g.transposed) {
    for (size_t i = 0; i < pad_after.size(); ++i) pad_after[i] -= g.output_padding[i];
    using Deconvolution = dnnl::deconvolution_forward;
    const Deconvolution::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, result->source_desc,
                                   dnnl_any(weight.sizes), result->bias_desc, result->target_desc, g.stride, dilates, g.pad_before,
                                   pad_after);
    const Deconvolution::primitive_desc descriptor(desc, attributes, dnnl_engine());
    finish(descriptor, Deconvolution(descriptor));
  } else {
    using Convolution = dnnl::convolution_forward;
    const Convolution::desc desc(dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, result->source_desc,
                                 dnnl_any(weight.sizes), result->bias_desc, result->target_desc, g.stride, dilates, g.pad_before,
                                 pad_after);
    const Convolution::primitive_desc descriptor(desc, attributes, dnnl_engine());
    finish(descriptor, Convolution(descriptor));
  }
  return result;
}

constexpr size_t max_primitives = 16;  // for programs of ever new sizes

std::shared_ptr<const Primitive> primitive_for(ConvolutionState& state, const Geometry& g, const Sizes& source, Sizes target,
                                               const WeightView& weight, bool has_bias, const Epilogue* epilogue) {
  for (const auto& primitive : state.primitives)
    if (primitive->source == source && primitive->weight == weight.sizes && primitive->geometry == g) return primitive;
  if (state.primitives.size() == max_primitives) state.primitives.erase(state.primitives.begin());
  target[0] = source[0];
  state.primitives.push_back(dnnl_built([&] { return build_primitive(g, source, target, weight, has_bias, epilogue); }));
  return state.primitives.back();
}

// ----------------------------------------------------------------------------------------------------------- weights

// weight * scale and bias * scale + shift, a batch norm folded in; they begin at channel `first` of the batch norm.
void fold(const Epilogue& epilogue, size_t first, std::vector<float>& weight, std::vector<float>& bias) {
  const size_t per_channel = weight.size() / bias.size();
  for (size_t c = 0; c < bias.size(); ++c) {
    const float scale = epilogue.scale[first + c];
    for (size_t i = 0; i < per_channel; ++i) weight[c * per_channel + i] *= scale;
    bias[c] = bias[c] * scale + epilogue.shift[first + c];
  }
}

// `weight` and `bias` of the output channels from `first_channel` on that the primitive computes.
Weights prepare_weights(Call& call, const Geometry& g, const Primitive& primitive, const Tensor& weight, const Tensor* bias,
                        int64_t first_channel = 0) {
  Weights result;
  Tensor plain = weight, plain_bias = bias != nullptr ? bias->contiguous() : Tensor();
  const Epilogue* epilogue = call.epilogue();
  if (epilogue != nullptr && !epilogue->scale.empty()) {
    const size_t channels = static_cast<size_t>(primitive.target[1]);
    const Tensor dense = weight.for_one_use().contiguous();
    std::vector<float> values(dense.span<float>().begin(), dense.span<float>().end()), shifts(channels, 0.0f);
    if (bias != nullptr) std::copy_n(plain_bias.data<float>(), channels, shifts.begin());
    fold(*epilogue, static_cast<size_t>(first_channel), values, shifts);
    plain = Tensor::of<float>(values, weight.sizes());
    plain_bias = Tensor::of<float>(shifts, {primitive.target[1]});
  }
  const WeightView view = weight_view(plain.sizes(), plain.strides(), g);
  result.weight = dnnl_packed(primitive.weight_desc, dnnl_desc(view.sizes, view.strides), plain);
  if (plain_bias.defined()) {
    result.bias = dnnl_memory(primitive.bias_desc, plain_bias.raw());
    result.folded = plain_bias.storage();
  }
  return result;
}

Weights weights_for(Call& call, ConvolutionState& state, const Geometry& g, const Primitive& primitive, const Tensor& weight,
                    const Tensor* bias) {
  if (!call.is_constant("weight") || !call.is_constant("bias")) return prepare_weights(call, g, primitive, weight, bias);
  for (const auto& [desc, weights] : state.weights)
    if (desc == primitive.weight_desc) return weights;
  call.context().pool.trim();
  state.weights.emplace_back(primitive.weight_desc, prepare_weights(call, g, primitive, weight, bias));
  return state.weights.back().second;
}

// -------------------------------------------------------------------------------------------------------------- running

// Samples that one primitive takes: enough work to be worth a call, whatever the number of threads.
int64_t samples_per_call(const Sizes& target, const Sizes& weight, const Geometry& g) {
  double work = static_cast<double>(weight[1]) * (g.transposed ? static_cast<double>(weight[0]) : 1.0);
  for (size_t i = 1; i < target.size(); ++i) work *= static_cast<double>(target[i]);
  for (size_t i = 2; i < weight.size(); ++i) work *= static_cast<double>(weight[i]);
  constexpr double worthwhile = 4e6;  // multiply-adds
  return std::clamp<int64_t>(static_cast<int64_t>(worthwhile / std::max(work, 1.0)), 1, target[0]);
}

void run_primitive(const Primitive& primitive, const Weights& weights, const float* from, float* to) {
  DnnlArguments arguments = {{DNNL_ARG_SRC, dnnl_memory(primitive.source_desc, from)},
                             {DNNL_ARG_WEIGHTS, weights.weight.memory},
                             {DNNL_ARG_DST, dnnl_memory(primitive.target_desc, to)}};
  if (weights.folded != nullptr) arguments.emplace(DNNL_ARG_BIAS, weights.bias);
  dnnl_run(primitive.run, std::move(arguments), primitive.scratchpad_desc);
}

// Output channels of one group whose weights are packed together: as many as panel_bytes hold, in whole vectors.
struct Panel {
  int64_t group, first, channels;  // `first` within the group
  Tensor weight;
  std::shared_ptr<const Primitive> whole, rest;  // for a full chunk of samples and for the last one
};

constexpr int64_t panel_bytes = int64_t{4} << 20;  // each thread has one

int64_t panel_channels(const Tensor& weight, int64_t outputs) {
  const int64_t fitting = panel_bytes / (weight.numel() / outputs * static_cast<int64_t>(sizeof(float)));
  constexpr int64_t vector_floats = 16, block_elements = 64;  // floats of a vector; channels that oneDNN computes at once
  return fitting >= block_elements ? fitting / block_elements * block_elements
                                   : std::max(fitting / vector_floats * vector_floats, vector_floats);
}

void convolve_by_panels(Call& call, ConvolutionState& state, const Geometry& g, const Tensor& source, const Tensor& weight,
                        const Tensor* bias, const Tensor& out) {
  Geometry one_group = g;
  one_group.groups = 1;
  const int64_t batch = out.size(0), outputs = out.size(1) / g.groups, inputs = source.size(1) / g.groups;
  const int64_t step = panel_channels(weight, out.size(1)), positions = out.numel() / out.size(0) / out.size(1);
  const bool has_bias = bias != nullptr || (call.epilogue() != nullptr && !call.epilogue()->scale.empty());
  Sizes panel_target = out.sizes();
  panel_target[1] = std::min(step, outputs);
  const int64_t chunk = samples_per_call(panel_target, weight.sizes(), one_group);

  const Tensor once = weight.for_one_use();
  std::vector<Tensor> sources;
  std::vector<Panel> panels;
  for (int64_t group = 0; group < g.groups; ++group) {
    sources.push_back(call.channels_last(source.narrowed(1, group * inputs, inputs)));
    for (int64_t first = 0; first < outputs; first += step) {
      const int64_t channels = std::min(step, outputs - first);
      const Tensor part = g.transposed ? once.narrowed(0, group * inputs, inputs).narrowed(1, first, channels)
                                       : once.narrowed(0, group * outputs + first, channels);
      const WeightView view = weight_view(part.sizes(), part.strides(), one_group);
      const auto primitive_of = [&](int64_t samples) {
        Sizes from = sources.back().sizes();
        from[0] = samples;
        panel_target[1] = channels;
        return primitive_for(state, one_group, from, panel_target, view, has_bias, call.epilogue());
      };
      const auto whole = primitive_of(chunk);
      panels.push_back({group, first, channels, part, whole, batch % chunk != 0 ? primitive_of(batch % chunk) : whole});
    }
  }

  float* to = writable<float>(out);
  parallel_for(panels.size(), call.threads(), [&](size_t index) {
    const Panel& panel = panels[index];
    const int64_t channel = panel.group * outputs + panel.first;
    const Tensor panel_bias = bias != nullptr ? bias->narrowed(0, channel, panel.channels) : Tensor();
    const auto weights_of = [&](const Primitive& primitive) {
      return prepare_weights(call, one_group, primitive, panel.weight, bias != nullptr ? &panel_bias : nullptr, channel);
    };
    const Weights weights = weights_of(*panel.whole);
    const bool same = panel.rest->weight_desc == panel.whole->weight_desc;
    const auto results = std::make_unique_for_overwrite<float[]>(static_cast<size_t>(chunk * positions * panel.channels));
    const Tensor& from = sources[static_cast<size_t>(panel.group)];
    for (int64_t first = 0; first < batch; first += chunk) {
      const bool last = first + chunk > batch;
      const Primitive& primitive = last ? *panel.rest : *panel.whole;
      run_primitive(primitive, last && !same ? weights_of(primitive) : weights, from.data<float>() + first * (from.numel() / batch),
                    results.get());
      const int64_t rows = std::min(chunk, batch - first) * positions;
      for (int64_t row = 0; row < rows; ++row)
        std::copy_n(results.get() + row * panel.channels, panel.channels, to + (first * positions + row) * out.size(1) + channel);
    }
  });
}

Tensor convolve(Call& call, const Tensor& input, const Tensor& weight, const Tensor* bias) {
  const Geometry g = read_geometry(call, Sizes(weight.sizes().begin() + 2, weight.sizes().end()));
  const Sizes target = target_sizes(call, g, input.sizes(), weight.sizes());
  if (bias != nullptr && bias->sizes() != Sizes{target[1]}) call.fail(fmt::format("the bias must have {} entries", target[1]));
  const Epilogue* epilogue = call.epilogue();
  const bool scaled = epilogue != nullptr && !epilogue->scale.empty();
  if (scaled)
    call.require(!g.transposed && epilogue->scale.size() == static_cast<size_t>(target[1]),
                 "the batch norm behind it has another number of channels");
  const Tensor out = call.empty(DType::float32, target, channels_last_strides(target));
  if (out.numel() == 0) return out;

  const Tensor source = call.channels_last(input);
  ConvolutionState& state = call.state<ConvolutionState>();
  if (is_large_weight(weight)) {
    convolve_by_panels(call, state, g, source, weight, bias, out);
    return out;
  }
  const WeightView view = weight_view(weight.sizes(), weight.strides(), g);
  const bool has_bias = bias != nullptr || scaled;
  const int64_t chunk = samples_per_call(target, weight.sizes(), g), batch = target[0];
  const auto primitive_of = [&](int64_t samples) {
    Sizes sizes = source.sizes();
    sizes[0] = samples;
    return primitive_for(state, g, sizes, target, view, has_bias, epilogue);
  };
  const auto whole = primitive_of(chunk), rest = batch % chunk != 0 ? primitive_of(batch % chunk) : whole;
  const Weights whole_weights = weights_for(call, state, g, *whole, weight, bias);
  const Weights rest_weights = rest == whole ? whole_weights : weights_for(call, state, g, *rest, weight, bias);

  const int64_t source_step = source.numel() / batch, target_step = out.numel() / batch;
  const float* from = source.data<float>();
  float* to = writable<float>(out);
  const auto run_chunk = [&](size_t index) {
    const int64_t first = static_cast<int64_t>(index) * chunk;
    const bool last = first + chunk > batch;
    run_primitive(last ? *rest : *whole, last ? rest_weights : whole_weights, from + first * source_step, to + first * target_step);
  };
  parallel_for(static_cast<size_t>((batch + chunk - 1) / chunk), call.threads(), run_chunk);
  return out;
}

void convolution(Call& call) {
  Tensor input = call.tensor("input");
  const Tensor& weight = call.tensor("weight");
  const Tensor* bias = call.optional_tensor("bias");
  const DType dtype = input.dtype();
  call.require(weight.rank() >= 3 && weight.rank() <= 5, "the weight must have rank 3 to 5");
  const bool batched = input.rank() == weight.rank();
  call.require(batched || input.rank() + 1 == weight.rank(), "input and weight differ in rank");
  const bool half = dtype == DType::float16 || dtype == DType::bfloat16;
  if (dtype == DType::float64) return run_elsewhere(call);
  if (!half && dtype != DType::float32) call.unsupported(fmt::format("convolution of {} tensors", name(dtype)));
  call.require(weight.dtype() == dtype && (bias == nullptr || bias->dtype() == dtype), "input, weight and bias differ in element type");
  if (!batched) {
    Sizes sizes = input.sizes(), strides = input.strides();
    sizes.insert(sizes.begin(), 1);
    strides.insert(strides.begin(), 0);
    input = input.view_as(sizes, strides, input.storage_offset());
  }
  Tensor out;
  if (half) {
    const Tensor wide_bias = bias != nullptr ? converted(*bias, DType::float32) : Tensor();
    out =
        converted(convolve(call, converted(input, DType::float32), converted(weight, DType::float32), bias ? &wide_bias : nullptr), dtype);
  } else {
    out = convolve(call, input, weight, bias);
  }
  if (!batched)
    out = out.view_as(Sizes(out.sizes().begin() + 1, out.sizes().end()), Sizes(out.strides().begin() + 1, out.strides().end()),
                      out.storage_offset());
  call.set(out);
}

}  // namespace

std::span<const Kernel> convolution_kernels() {
  static const std::vector<Kernel> table = kernels_of({
      {convolution,
       {"aten.conv1d.default", "aten.conv1d.padding", "aten.conv2d.default", "aten.conv2d.padding", "aten.conv3d.default",
        "aten.conv3d.padding"},
       kind_forward},
      {convolution, {"aten.convolution.default", "aten._convolution.default"}, kind_general},
      {convolution, {"aten.conv_transpose1d.default", "aten.conv_transpose2d.input", "aten.conv_transpose3d.input"}, kind_transposed},
  });
  return table;
}

}  // namespace intaglio::interp
