// Quantization: PyTorch's quantized_decomposed and torchao's affine and code book ops.
#include <fmt/format.h>

#include "base/integer_range.h"
#include "ir/infer_rules.h"

namespace intaglio::infer {
namespace {

// What PyTorch asserts of them, and the runtime's kernels too: values below each other, and within the element type.
void check_range(const Inference& in, DType dtype, const char* least = "quant_min", const char* greatest = "quant_max") {
  const Argument min_argument = in.node.argument(least), max_argument = in.node.argument(greatest);
  in.require(!min_argument.is<bool>() && !max_argument.is<bool>(), "a quantized value is true or false where an integer is needed");
  const auto *min = min_argument.get_if<int64_t>(), *max = max_argument.get_if<int64_t>();
  if (min && max && *min >= *max) in.fail(fmt::format("{} {} is not below {} {}", least, *min, greatest, *max));
  const auto limits = integer_range(dtype);
  if (!limits) return;
  for (const auto* value : {min, max})
    if (value && !limits->holds(*value)) in.fail(fmt::format("the quantized value {} does not fit {}", *value, to_string(dtype)));
}

// Kernels assert it of one for the whole tensor.
void check_zero_point(const Inference& in, DType dtype) {
  if (!in.node.op().schema()->find("zero_point")) return;
  const Argument written = in.node.argument("zero_point");
  const auto* zero_point = written.get_if<int64_t>();
  const auto limits = integer_range(dtype);
  if (zero_point && limits && !limits->holds(*zero_point))
    in.fail(fmt::format("the zero point {} does not fit {}", *zero_point, to_string(dtype)));
}

bool is_quantized_storage(DType dtype) { return integer_range(dtype) || is_floating(dtype); }

// One scale and zero point for each index of `axis`, or of each row, or of each group of a row.
void check_parameters(const Inference& in) {
  const OpSchema& schema = *in.node.op().schema();
  if (!schema.find("scales") || !schema.find("axis")) return;
  const SymSizes& sizes = in.sizes("input");
  in.require(!sizes.empty(), "a scalar has no channels");
  const SymInt& channels = sizes[in.dim(in.node.integer("axis"), sizes.size())];
  for (const char* parameter : {"scales", "zero_points"})
    if (in.has(parameter) && surely_differ(size_product(in.sizes(parameter)), channels))
      in.fail(fmt::format("{} of {} channels are given to a dimension of {}", to_string(size_product(in.sizes(parameter))), parameter,
                          to_string(channels)));
}

void quantize(Inference& in) {
  const DType dtype = written_dtype(in, DType::int8);
  in.require(is_floating(in.operand("input").dtype), "what is quantized is not of a floating type");
  in.require(is_quantized_storage(dtype), "quantized values are not of that element type");
  check_range(in, dtype);
  check_zero_point(in, dtype);
  check_parameters(in);
  in.result(dtype, in.sizes("input"));
}

DType output_dtype(const Inference& in) {
  const OpSchema& schema = *in.node.op().schema();
  const char* argument = schema.find("out_dtype") ? "out_dtype" : schema.find("output_dtype") ? "output_dtype" : nullptr;
  const DType dtype = (argument ? in.node.optional_dtype(argument) : std::nullopt).value_or(DType::float32);
  in.require(is_floating(dtype), "what is dequantized is not of a floating type");
  return dtype;
}

void dequantize(Inference& in) {
  const DType stored = in.operand("input").dtype, written = written_dtype(in, stored);
  if (stored != written) in.fail(fmt::format("the quantized values are {}, 'dtype' says {}", to_string(stored), to_string(written)));
  in.require(is_quantized_storage(stored), "quantized values are not of that element type");
  check_range(in, stored);
  check_zero_point(in, stored);
  check_parameters(in);
  in.result(output_dtype(in), in.sizes("input"));
}

// A scale and a zero point: of the tensor, or of each row of the last dimension.
void choose_qparams(Inference& in) {
  check_range(in, written_dtype(in, DType::int8));
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

// Rows of a table of bytes, each byte one value of 8 bits or several of fewer; scales of each row or of each group in it.
void quantized_embedding(Inference& in) {
  const TensorMeta &weight = in.operand("weight"), &scales = in.operand("weight_scales"), &indices = in.operand("indices");
  in.require(weight.dtype == DType::int8 || weight.dtype == DType::uint8, "the table is not of bytes");
  in.require(weight.sizes.size() == 2, "the table is not a matrix");
  in.require(is_floating(scales.dtype), "the scales are not of a floating type");
  in.require(indices.dtype == DType::int64 || indices.dtype == DType::int32, "the indices are not integers");
  const std::string_view name = in.node.op().base();
  const int64_t values_a_byte = name.ends_with("2bit") ? 4 : name.ends_with("4bit") ? 2 : 1;
  check_range(in, values_a_byte == 1 ? weight.dtype : DType::int8, "weight_quant_min", "weight_quant_max");
  const SymInt width = weight.sizes[1] * SymInt(values_a_byte);
  for (const char* parameter : {"weight_scales", "weight_zero_points"}) {
    if (!in.has(parameter)) continue;
    const SymSizes& sizes = in.sizes(parameter);
    if (sizes.empty() || sizes.size() > 2 || surely_differ(sizes[0], weight.sizes[0]))
      in.fail(fmt::format("{} do not fit the table's rows", parameter));
    if (sizes.size() == 2 && width.is_static() && sizes[1].is_static() && (sizes[1].value() <= 0 || width.value() % sizes[1].value() != 0))
      in.fail(fmt::format("{} of {} groups do not divide a row of {}", parameter, sizes[1].value(), width.value()));
  }
  SymSizes sizes = indices.sizes;
  sizes.push_back(width);
  in.result(written_dtype(in, scales.dtype), std::move(sizes));
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
  in.result(in.node.optional_dtype("output_dtype").value_or(DType::int8), in.sizes("input"));
}
void dequantize_affine(Inference& in) {
  block_size(in, in.sizes("input"));
  in.result(output_dtype(in), in.sizes("input"));
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
    {quantized_embedding,
     {"quantized_decomposed.embedding_byte.default", "quantized_decomposed.embedding_byte.dtype",
      "quantized_decomposed.embedding_4bit.default", "quantized_decomposed.embedding_4bit.dtype",
      "quantized_decomposed.embedding_2bit.default", "quantized_decomposed.embedding_2bit.dtype"}},
    {choose_qparams_affine, {"torchao.choose_qparams_affine.default"}},
    {quantize_affine, {"torchao.quantize_affine.default"}},
    {dequantize_affine, {"torchao.dequantize_affine.default"}},
    {dequantize_codebook, {"quant.dequantize_codebook.default"}},
};

}  // namespace

std::span<const Rule> quantization_rules() { return quantization_table; }

}  // namespace intaglio::infer
