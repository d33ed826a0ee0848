#include "qdq/writer.h"

#include <intaglio/error.h>

namespace intaglio::qdq {
namespace {

template <typename T>
Value* add_list(ExportedProgram& program, const char* prefix, const std::vector<T>& values) {
  return program.add_buffer(program.free_target(prefix), Tensor::of<T>(std::span<const T>(values), {static_cast<int64_t>(values.size())}));
}

Form form(Granularity granularity, Variant variant, std::vector<NamedArgument> arguments, int64_t quant_min, int64_t quant_max,
          DType dtype) {
  arguments.push_back({"quant_min", quant_min});
  arguments.push_back({"quant_max", quant_max});
  arguments.push_back({"dtype", dtype});
  return {Op::get(op_of(Role::quantize, granularity, variant)), Op::get(op_of(Role::dequantize, granularity, variant)),
          std::move(arguments), dtype};
}

}  // namespace

Form static_form(ExportedProgram& program, const QuantParams& params) {
  const auto with_range = [&](Granularity granularity, Variant variant, std::vector<NamedArgument> arguments) {
    return form(granularity, variant, std::move(arguments), params.quant_min, params.quant_max, params.dtype);
  };
  if (params.is_per_tensor())
    return with_range(Granularity::tensor, Variant::literals, {{"scale", params.scale.at(0)}, {"zero_point", params.zero_point.at(0)}});
  const auto axis = params.axis();
  if (!axis) throw_unsupported("quantized by blocks: nodes are written for one scale per tensor or per channel");
  Value* scales = add_list<float>(program, "_scale_", {params.scale.begin(), params.scale.end()});
  Value* zero_points = add_list<int64_t>(program, "_zero_point_", params.zero_point);
  return with_range(Granularity::channel, Variant::plain, {{"scales", scales}, {"zero_points", zero_points}, {"axis", *axis}});
}

Form dynamic_form(const Node& choose) {
  return form(Granularity::tensor, Variant::plain, {{"scale", choose.output(0)}, {"zero_point", choose.output(1)}},
              choose.integer("quant_min"), choose.integer("quant_max"), *choose.optional_dtype("dtype"));
}

}  // namespace intaglio::qdq
