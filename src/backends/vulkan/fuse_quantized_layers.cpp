// The rewrite of quantized_patterns.h.
#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "backends/vulkan/quantized_layer.h"
#include "backends/vulkan/quantized_patterns.h"
#include "base/computed.h"
#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "ir/infer.h"
#include "quant/packing.h"

namespace intaglio::vulkan {
namespace {

constexpr int64_t columns_of_a_word = 8;  // shaders read rows of half bytes by words of 32 bits

int64_t in_words(int64_t columns) { return (columns + columns_of_a_word - 1) / columns_of_a_word * columns_of_a_word; }

std::vector<int64_t> written_sizes(const SymSizes& sizes) {
  std::vector<int64_t> written;
  for (const SymInt& size : sizes) written.push_back(size.is_static() ? size.value() : -1);
  return written;
}

SymSizes with_last(SymSizes sizes, int64_t last) {
  sizes.back() = last;
  return sizes;
}

// Of each byte, the two halves.
Tensor with_halves_swapped(const Tensor& bytes) {
  return computed_from(bytes, DType::uint8, bytes.sizes(), [](const Tensor& source) {
    Tensor swapped = source.for_one_use().clone();
    auto* byte = swapped.mutable_data<uint8_t>();
    std::transform(byte, byte + swapped.numel(), byte, [](uint8_t b) { return static_cast<uint8_t>(b << 4 | b >> 4); });
    return swapped;
  });
}

// Rewrites the layers of a partition one after the other, in the graph's order; what several of them read is made once.
class Fusion {
 public:
  explicit Fusion(ExportedProgram& program) : program_(program), graph_(program.graph()) {}

  void fuse(QuantizedLayer& layer) {
    layer_ = &layer;
    Value* result = layer.kernel >= Kernel::int4_table ? looked_up() : product();
    decompose::replace_result(graph_, layer.node->output(), reshaped(result, layer.node->output()->sizes()));
    graph_.erase(layer.node);
  }

 private:
  const IntegerRows& weight() const { return layer_->weight; }

  Node& insert(std::string_view op, std::vector<Argument> arguments, std::vector<TensorMeta> results) {
    const OpSchema& schema = *Op::get(op).schema();
    std::vector<NamedArgument> named;
    for (size_t i = 0; i < arguments.size(); ++i) named.push_back({schema.arguments.at(i).name, std::move(arguments[i])});
    std::vector<OutputSpecification> outputs;
    for (TensorMeta& meta : results) outputs.push_back({.meta = std::move(meta)});
    Node& node = graph_.insert_before(layer_->node, Op::get(op), std::move(named), std::move(outputs));
    node.metadata = decompose::inherited_metadata(*layer_->node);
    return node;
  }
  Value* call(std::string_view op, std::vector<Argument> arguments, SymSizes sizes) {
    return insert(op, std::move(arguments), {TensorMeta::contiguous(layer_->node->output()->dtype(), std::move(sizes))}).output();
  }

  // A view has the type of what it is a view of.
  Value* reshaped(Value* x, const SymSizes& sizes) {
    if (x->sizes() == sizes) return x;
    return insert("aten.view_copy.default", {x, written_sizes(sizes)}, {TensorMeta::contiguous(x->dtype(), sizes)}).output();
  }
  template <typename Make>
  Value* once(std::map<std::pair<const Value*, int64_t>, Value*>& made, Value* of, int64_t size, Make make) {
    Value*& known = made[{of, size}];
    return known ? known : known = make();
  }

  // ---- linears

  Value* product() {
    const bool is_padded = layer_->kernel == Kernel::int4_groups || layer_->kernel == Kernel::int4_groups_dynamic;
    Value* x = flat_input(is_padded ? in_fours(weight().columns()) : weight().columns());
    const int64_t rows = weight().rows(), written_rows = is_padded ? in_fours(rows) : rows;
    Value* bias = layer_->node->optional_tensor("bias");
    Value* fused_bias = is_padded && bias && program_.constant(bias) ? padded_bias(bias, written_rows) : nullptr;
    Value* result = call_kernel(x, fused_bias, with_last(x->sizes(), written_rows));
    if (written_rows != rows) {
      const auto last = static_cast<int64_t>(x->sizes().size()) - 1;
      result = call("aten.slice_copy.Tensor", {result, last, int64_t{0}, rows}, with_last(x->sizes(), rows));
    }
    return bias && !fused_bias ? call("aten.add.Tensor", {result, bias}, result->sizes()) : result;
  }

  Value* call_kernel(Value* x, Value* bias, SymSizes sizes) {
    const int64_t group_size = weight().groups() == 1 ? x->sizes().back().value() : weight().group_size;
    const Argument bias_or_none = bias ? Argument(bias) : Argument();
    switch (layer_->kernel) {
      case Kernel::int8: return call("aten._weight_int8pack_mm.default", {x, integers(), row_scale(x->dtype())}, std::move(sizes));
      case Kernel::int4_rows:
        return call("et_vk.linear_qcs4w.default",
                    {x, constant("packed", quant::packed(weight().integers, 4, quant::First::high_bits)), row_scale(x->dtype())},
                    std::move(sizes));
      case Kernel::int4_groups_dynamic: {
        const auto [packed, sums] =
            quant::packed_with_sums(weight().integers, 4, quant::First::low_bits, packed_sizes(), weight().group_size);
        Value* const packed_value = packed_weight(packed);
        Value* const sums_value = constant("sums", sums);
        const auto [scale, zero_point] = row_parameters(x);
        return call("et_vk.linear_dq8ca_q4gsw.default",
                    {x, scale, zero_point, packed_value, sums_value, group_scale(x->dtype()), group_size, bias_or_none}, std::move(sizes));
      }
      default: {
        Value* const packed_value = packed_weight(quant::packed(weight().integers, 4, quant::First::low_bits, packed_sizes()));
        return call("et_vk.linear_q4gsw.default", {x, packed_value, group_scale(x->dtype()), group_size, bias_or_none}, std::move(sizes));
      }
    }
  }

  // In two dimensions, or as one image; zeros behind each row meet zeros of the weight and widen no range.
  Value* flat_input(int64_t columns) {
    Value* input = layer_->input();
    Value* flat = once(flat_, input, 0, [&] {
      if (is_flat(input->sizes())) return input;
      const std::span<const SymInt> sizes = input->sizes();
      return reshaped(input, {size_product(sizes.first(sizes.size() - 1)), sizes.back()});
    });
    const int64_t missing = columns - flat->sizes().back().value();
    if (missing == 0) return flat;
    return once(padded_, flat, columns, [&] {
      return insert("aten.constant_pad_nd.default", {flat, std::vector<int64_t>{0, missing}, 0.0},
                    {TensorMeta::contiguous(flat->dtype(), with_last(flat->sizes(), columns))})
          .output();
    });
  }

  // Scale and zero point of each row.
  std::pair<Value*, Value*> row_parameters(Value* x) {
    Value* scale = once(scales_, x, 0, [&] {
      std::vector<int64_t> block(x->sizes().size(), 1);
      block.back() = x->sizes().back().value();
      SymSizes rows = x->sizes();
      rows.pop_back();
      return insert("torchao.choose_qparams_affine.default",
                    {x, "ASYMMETRIC", block, DType::int8, int64_t{-128}, int64_t{127}, Argument(), Argument(), DType::int8},
                    {TensorMeta::contiguous(x->dtype(), rows), TensorMeta::contiguous(DType::int8, rows)})
          .output(0);
    });
    return {scale, scale->producer()->output(1)};
  }

  Value* padded_bias(Value* bias, int64_t size) {
    if (bias->sizes().back() == SymInt(size)) return bias;
    const Tensor row = program_.constant(bias)->contiguous().reshaped({1, bias->sizes().back().value()});
    return program_.add_constant(program_.free_target(bias->name() + "_padded"), quant::padded_matrix(row, {1, size}).reshaped({size}));
  }

  // ---- tables

  // The shader finds the indices in one row.
  Value* looked_up() {
    Value* indices = layer_->input();
    const SymSizes& sizes = indices->sizes();
    const bool is_row = sizes.size() == 1 || (sizes.size() == 2 && sizes[0].is_static() && sizes[0].value() == 1);
    if (!is_row) indices = once(flat_, indices, 0, [&] { return reshaped(indices, {size_product(sizes)}); });
    const int64_t columns = weight().scale.size(1) * weight().group_size;
    Value* table = layer_->kernel == Kernel::packed_table ? constant("packed", with_halves_swapped(weight().integers))
                                                          : packed_weight(quant::packed(weight().integers, 4, quant::First::low_bits));
    SymSizes result = indices->sizes();
    result.emplace_back(columns);
    return call("et_vk.embedding_q4gsw.default", {table, table_scale(), weight().group_size, indices, true}, std::move(result));
  }

  Value* table_scale() {
    const DType dtype = weight().scale.dtype();
    const bool is_as_is = (dtype == DType::float32 || dtype == DType::float16) && weight().scale_value->meta().rank() == 2;
    return is_as_is ? weight().scale_value
                    : constant("table_scale", converted(weight().scale, dtype == DType::float16 ? dtype : DType::float32));
  }

  // ---- constants

  Value* constant(std::string_view what, Tensor tensor) {
    const std::string name = weight().value ? weight().value->name() : layer_->node->name() + "_weight";
    return program_.add_constant(program_.free_target(fmt::format("{}_{}", name, what)), std::move(tensor));
  }
  // One for all layers that read the weight: those of tied weights are packed alike.
  Value* packed_weight(const Tensor& packed) {
    if (!weight().value) return constant("packed", packed);
    Value*& known = packed_[weight().value];
    if (!known || program_.constant(known)->sizes() != packed.sizes()) known = constant("packed", packed);
    return known;
  }
  Sizes packed_sizes() const { return {in_fours(weight().rows()), in_words(weight().columns())}; }

  Value* integers() { return weight().value ? weight().value : constant("integers", weight().integers.contiguous()); }

  // [rows], of the input's type.
  Value* row_scale(DType dtype) {
    const Value* as_is = weight().scale_value;
    if (as_is && as_is->dtype() == dtype && as_is->meta().rank() == 1) return weight().scale_value;
    return constant("scale", converted(weight().scale, dtype).contiguous().reshaped({weight().rows()}));
  }
  // [groups, rows], of the input's type.
  Value* group_scale(DType dtype) {
    const Sizes sizes = {weight().groups(), in_fours(weight().rows())};
    return constant("group_scale", computed_from(weight().scale, dtype, sizes, [=](const Tensor& source) {
                      static const std::vector<int64_t> swap = {1, 0};
                      return quant::padded_matrix(converted(source.for_one_use(), dtype).permuted(swap).contiguous(), sizes);
                    }));
  }

  ExportedProgram& program_;
  Graph& graph_;
  QuantizedLayer* layer_ = nullptr;
  std::map<std::pair<const Value*, int64_t>, Value*> flat_, padded_, scales_;
  std::map<const Value*, Value*> packed_;
};

}  // namespace

void fuse_quantized_layers(ExportedProgram& partition) {
  std::vector<QuantizedLayer> layers;
  {
    const common::ProgramFacts facts(partition);
    for (Node* node : partition.graph().node_list())
      if (auto layer = quantized_layer(facts, *node); layer && layer->refusal.empty()) layers.push_back(*std::move(layer));
  }
  if (layers.empty()) return;
  Fusion fusion(partition);
  for (QuantizedLayer& layer : layers) fusion.fuse(layer);
  partition.graph().eliminate_dead_code();
  partition.remove_unused_constants();
}

}  // namespace intaglio::vulkan
