// Quantization: PyTorch's quantized_decomposed and torchao's affine and code book ops.
#include <fmt/format.h>

#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

void quantize(Inference& in) { in.result(written_dtype(in, DType::int8), in.sizes("input")); }

DType output_dtype(const Inference& in) {
  const OpSchema& schema = *in.node.op().schema();
  const char* argument = schema.find("out_dtype") ? "out_dtype" : schema.find("output_dtype") ? "output_dtype" : nullptr;
  return (argument ? in.node.optional_dtype(argument) : std::nullopt).value_or(DType::float32);
}
void dequantize(Inference& in) { in.result(output_dtype(in), in.sizes("input")); }

// A scale and a zero point: of the tensor, or of each row of the last dimension.
void choose_qparams(Inference& in) {
  in.result(DType::float64, {1});
  in.result(DType::int64, {1});
}
void choose_qparams_per_token(Inference& in) {
  SymSizes sizes = in.sizes("input");
  in.require(!sizes.empty(), "a scalar has no rows");
  sizes.back() = 1;
  in.result(DType::float64, sizes);
  in.result(DType::int64, sizes);
}

// The block of each dimension; entries of -1 are whole ones.
List<int64_t> block_size(const Inference& in, const SymSizes& sizes) {
  List<int64_t> block = in.node.integers("block_size");
  in.require(block.size() == sizes.size(), "block_size and the tensor differ in rank");
  for (size_t dim = 0; dim < block.size(); ++dim) {
    const SymInt& size = sizes[dim];
    in.require(block[dim] > 0 || block[dim] == -1, "a block size is not positive");
    if (block[dim] > 1 && size.is_static() && size.value() % block[dim] != 0)
      in.fail(fmt::format("a block size of {} does not divide dimension {} of size {}", block[dim], dim, size.value()));
  }
  return block;
}

// Scales of blocks that cover a dimension have no such dimension, unless keepdim says so.
void choose_qparams_affine(Inference& in) {
  const TensorMeta& input = in.operand("input");
  const List<int64_t> block = block_size(in, input.sizes);
  SymSizes sizes;
  for (size_t dim = 0; dim < block.size(); ++dim) {
    const SymInt& size = input.sizes[dim];
    const bool is_covered = block[dim] != 1 && (block[dim] == -1 || !size.is_static() || block[dim] == size.value());
    if (is_covered && !in.node.boolean("keepdim")) continue;
    sizes.push_back(is_covered ? SymInt(1) : block[dim] == 1 ? size : SymInt(size.value() / block[dim]));
  }
  in.result(in.node.optional_dtype("scale_dtype").value_or(input.dtype), sizes);
  in.result(in.node.optional_dtype("zero_point_dtype").value_or(DType::int32), sizes);
}

void quantize_affine(Inference& in) {
  block_size(in, in.sizes("input"));
  in.result(output_dtype(in), in.sizes("input"));
}
void dequantize_affine(Inference& in) {
  block_size(in, in.sizes("input"));
  dequantize(in);
}
void dequantize_codebook(Inference& in) {
  block_size(in, in.sizes("codes"));
  in.result(output_dtype(in), in.sizes("codes"));
}

const Rule quantization_table[] = {
    {choose_qparams, {"quantized_decomposed.choose_qparams.tensor", "quantized_decomposed.choose_qparams_symmetric.tensor"}},
    {choose_qparams_per_token,
     {"quantized_decomposed.choose_qparams_per_token_asymmetric.default", "quantized_decomposed.choose_qparams_per_token.default"}},
    {quantize,
     {"quantized_decomposed.quantize_per_token.default", "quantized_decomposed.quantize_per_tensor.default",
      "quantized_decomposed.quantize_per_tensor.tensor", "quantized_decomposed.quantize_per_channel.default",
      "quantized_decomposed.quantize_per_channel_group.default"}},
    {dequantize,
     {"quantized_decomposed.dequantize_per_token.default", "quantized_decomposed.dequantize_per_tensor.default",
      "quantized_decomposed.dequantize_per_tensor.tensor", "quantized_decomposed.dequantize_per_channel.default",
      "quantized_decomposed.dequantize_per_channel_group.default"}},
    {choose_qparams_affine, {"torchao.choose_qparams_affine.default"}},
    {quantize_affine, {"torchao.quantize_affine.default"}},
    {dequantize_affine, {"torchao.dequantize_affine.default"}},
    {dequantize_codebook, {"quant.dequantize_codebook.default"}},
};

}  // namespace

std::span<const Rule> quantization_rules() { return quantization_table; }

}  // namespace intaglio::infer
