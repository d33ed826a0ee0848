// coreml_payload read FILE: a Core ML payload as text.
// coreml_payload write WEIGHT.npz FILE TARGET [BITS]: a payload of relu(linear(x, weight)) for an input of two rows. The weight is one
// of its arrays, or made of them when the model is loaded: `weight`; `data`, `scale` and `zero_point` (along dimension 0); `data`, `scale`
// and perhaps `offset` (by blocks); `indices` and `lut`. Integers are of BITS bits.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <intaglio/data.h>
#include <intaglio/error.h>

#include "backends/coreml/mil/builder.h"
#include "backends/coreml/payload/payload.h"
#include "base/atomic_file.h"
#include "base/mapped_file.h"

namespace {

using namespace intaglio;
using namespace intaglio::coreml;

const Tensor* find(const std::vector<NamedArray>& arrays, std::string_view name) {
  const auto found = std::ranges::find(arrays, name, &NamedArray::name);
  return found == arrays.end() ? nullptr : &found->tensor;
}

Literal integers(const Tensor& tensor, int bits) {
  if (bits == 8) return literal(tensor);
  return packed_literal(tensor, tensor.dtype() == DType::int8 ? DataType::int4 : *unsigned_type(bits));
}

NamedType weight_of(FunctionBuilder& builder, const std::vector<NamedArray>& arrays, int bits) {
  if (const Tensor* weight = find(arrays, "weight")) return builder.constant("weight", literal(*weight));
  if (const Tensor* indices = find(arrays, "indices")) return builder.lut_to_dense("weight", *indices, *find(arrays, "lut"), bits);
  const Tensor *data = find(arrays, "data"), *scale = find(arrays, "scale"), *offset = find(arrays, "offset");
  if (const Tensor* zero_point = find(arrays, "zero_point"))
    return builder.affine_dequantize("weight", literal(*data), literal(*scale), literal(*zero_point), 0);
  return builder.blockwise_shift_scale("weight", integers(*data, bits), literal(*scale),
                                       offset ? std::optional(integers(*offset, bits)) : std::nullopt);
}

Program program_of(const std::vector<NamedArray>& arrays, Version version, int bits) {
  FunctionBuilder builder(version, "main");
  const NamedType weight = weight_of(builder, arrays, bits);
  NamedType x = builder.input("x", {DataType::float32, {2, weight.type.dims.at(1)}});
  const DataType type = weight.type.type;
  if (type == DataType::float16) x = builder.op("cast", "x_to_fp16", {{"x", x}, {"dtype", text_literal("fp16")}}, {type, x.type.dims});
  const Sizes sizes = {2, weight.type.dims[0]};
  const Literal bias =
      literal(converted(Tensor::zeros(DType::float32, {sizes[1]}), type == DataType::float16 ? DType::float16 : DType::float32));
  const NamedType y = builder.op("linear", "y", {{"x", x}, {"weight", weight}, {"bias", bias}}, {type, sizes});
  return {version, {builder.finish({builder.op("relu", "z", {{"x", y}}, {type, sizes})})}};
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 3 && std::string(argv[1]) == "read") {
    const auto file = MappedFile::open(argv[2]);
    std::printf("%s", to_string(read_payload(file->bytes()).program).c_str());
    return 0;
  }
  if (argc < 5) return 2;
  const auto version = std::ranges::find(versions, std::string_view(argv[4]), &VersionRow::target);
  if (version == std::end(versions)) return 2;
  const Program program = program_of(read_arrays(std::filesystem::path(argv[2])), version->version, argc > 5 ? std::atoi(argv[5]) : 8);
  AtomicFile file(argv[3]);
  write_payload(program).write([&](std::span<const std::byte> piece) { file.write(piece); });
  file.commit();
  return 0;
} catch (const intaglio::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
