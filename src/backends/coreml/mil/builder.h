// Builds one function of an ML program.
#pragma once

#include <initializer_list>
#include <unordered_set>

#include "backends/coreml/mil/program.h"

namespace intaglio::coreml {

class FunctionBuilder {
 public:
  FunctionBuilder(Version version, std::string name) : version_(version), function_{std::move(name)} {}

  Version version() const { return version_; }

  // Names that are asked for become names that MIL takes, each once in the function.
  NamedType input(std::string_view name, ValueType type, std::vector<SizeRange> ranges = {});

  // What an operation is given: a value; a literal, for which a `const` is written; a list of values.
  using Given = std::variant<NamedType, Literal, std::vector<NamedType>>;
  using Parameter = std::pair<std::string_view, Given>;
  NamedType op(std::string_view type, std::string_view name, std::vector<Parameter> parameters, ValueType result);
  std::vector<NamedType> op(std::string_view type, std::string_view name, std::vector<Parameter> parameters,
                            std::vector<ValueType> results);
  NamedType constant(std::string_view name, Literal value);

  // Weights that are decompressed when the model is loaded; the sizes are those of `data` or `indices`, the type that of `scale` or
  // `table`. An unsupported error, with the target to ask for, where the function's version has no such form.

  // scale * (data - zero_point): `data` is int8 or uint8; `scale` and `zero_point` (of data's type) are scalars, or as long as the
  // dimension `axis`.
  NamedType affine_dequantize(std::string_view name, Literal data, Literal scale, Literal zero_point, int32_t axis);
  // scale * (data - offset): `scale`, and `offset` (of data's type) when there is one, have data's rank and sizes that divide data's.
  NamedType blockwise_shift_scale(std::string_view name, Literal data, Literal scale, std::optional<Literal> offset);
  // Entries of tables: `indices` is uint8 with values below 2^bits; `table` has the sizes [numbers of blocks along the dimensions of
  // indices..., 2^bits, 1], each dividing. Bits that no type has (5, 7; before iOS 18 also 3) are written as one more, with entries of
  // zero that nothing points to. Before iOS 18 all weights share one table.
  NamedType lut_to_dense(std::string_view name, const Tensor& indices, const Tensor& table, int bits);

  // Equal operations become one, and those whose results are not read are left out.
  Function finish(const std::vector<NamedType>& outputs);

 private:
  std::string unique_name(std::string_view wanted);
  void require(Version needed, std::string_view what) const;
  NamedType decompressed(std::string_view type, std::string_view name, std::vector<std::pair<std::string_view, Literal>> parameters,
                         ValueType result);

  Version version_;
  Function function_;
  std::unordered_set<std::string> names_;
};

// The name that MIL takes for one that is wanted: letters, digits and underscores, no digit in front, no word of its own.
std::string mil_name(std::string_view wanted);

}  // namespace intaglio::coreml
