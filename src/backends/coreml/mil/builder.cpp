#include "backends/coreml/mil/builder.h"

#include <algorithm>
#include <unordered_map>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio::coreml {
namespace {

constexpr std::string_view type_words[] = {"any",  "bool",  "program", "func",  "tensor", "list",   "dict",   "tuple",
                                           "true", "false", "string",  "state", "bf16",   "fp16",   "fp32",   "fp64",
                                           "int8", "int16", "int32",   "int64", "uint8",  "uint16", "uint32", "uint64"};

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

Attribute name_attribute(const std::string& name) { return {"name", text_literal(name)}; }

// Whether sizes divide data's, each one of `sizes` from the front.
bool divides(std::span<const int64_t> sizes, const Sizes& data) {
  return sizes.size() == data.size() &&
         std::ranges::equal(sizes, data, [](int64_t part, int64_t whole) { return part > 0 && whole % part == 0; });
}

// The table with entries of zero behind those there are.
Tensor lengthened(const Tensor& table, int64_t entries) {
  Sizes sizes = table.sizes();
  sizes[sizes.size() - 2] = entries;
  Tensor result = Tensor::zeros(table.dtype(), std::move(sizes));
  const Tensor source = table.contiguous();
  const size_t row = static_cast<size_t>(table.size(-2)) * item_size(table.dtype());
  const size_t long_row = static_cast<size_t>(entries) * item_size(table.dtype());
  auto* to = static_cast<std::byte*>(result.mutable_raw());
  const auto* from = static_cast<const std::byte*>(source.raw());
  for (size_t at = 0; at < source.nbytes(); at += row, to += long_row) std::copy_n(from + at, row, to);
  return result;
}

// Operations whose results nobody reads; those without results write states.
void remove_unread(Block& block) {
  std::unordered_set<std::string_view> read(block.outputs.begin(), block.outputs.end());
  std::vector<bool> stays(block.operations.size());
  for (size_t i = block.operations.size(); i-- > 0;) {
    const Operation& operation = block.operations[i];
    stays[i] = operation.outputs.empty() ||
               std::ranges::any_of(operation.outputs, [&](const NamedType& output) { return read.contains(output.name); });
    if (!stays[i]) continue;
    for (const BoundInput& input : operation.inputs)
      for (const Binding& binding : input.bindings)
        if (const auto* name = std::get_if<std::string>(&binding)) read.insert(*name);
  }
  size_t kept = 0;
  for (size_t i = 0; i < block.operations.size(); ++i)
    if (stays[i]) {
      if (kept != i) block.operations[kept] = std::move(block.operations[i]);
      ++kept;
    }
  block.operations.resize(kept);
}

// All that an operation computes from, but for its name; "" for one that reads or writes a state.
std::string identity_of(const Operation& operation) {
  if (operation.outputs.empty() || operation.type == "read_state" || !operation.blocks.empty()) return "";
  std::string text = operation.type;
  const auto add = [&](const std::string& parameter, const Literal& literal) {
    const Sha256& digest = literal.data.digest();
    text += fmt::format("|{}:{}:", parameter, to_string(ValueType{literal.type, literal.dims}));
    text.append(reinterpret_cast<const char*>(digest.data()), digest.size());
    for (const std::string& one : literal.strings) text += one;
  };
  for (const BoundInput& input : operation.inputs)
    for (const Binding& binding : input.bindings)
      if (const auto* name = std::get_if<std::string>(&binding)) text += fmt::format("|{}={}", input.parameter, *name);
      else add(input.parameter, std::get<Literal>(binding));
  for (const Attribute& attribute : operation.attributes)
    if (attribute.name != "name") add(attribute.name, attribute.value);
  return text;
}

// Equal operations become one; what the block gives keeps its name.
void merge_equal(Block& block) {
  const std::unordered_set<std::string_view> given(block.outputs.begin(), block.outputs.end());
  std::unordered_map<std::string, const Operation*> known;
  std::unordered_map<std::string, std::string> renamed;
  for (Operation& operation : block.operations) {
    for (BoundInput& input : operation.inputs)
      for (Binding& binding : input.bindings)
        if (auto* name = std::get_if<std::string>(&binding))
          if (const auto other = renamed.find(*name); other != renamed.end()) *name = other->second;
    const std::string identity = identity_of(operation);
    if (identity.empty() || std::ranges::any_of(operation.outputs, [&](const NamedType& output) { return given.contains(output.name); }))
      continue;
    const auto [first, is_new] = known.try_emplace(identity, &operation);
    if (is_new) continue;
    for (size_t i = 0; i < operation.outputs.size(); ++i) renamed[operation.outputs[i].name] = first->second->outputs[i].name;
  }
}

}  // namespace

std::string mil_name(std::string_view wanted) {
  std::string name(wanted);
  for (char& c : name)
    if (!is_letter(c) && (c < '0' || c > '9')) c = '_';
  if (name.empty() || !is_letter(name[0])) name = "_" + name;
  if (std::ranges::find(type_words, name) != std::end(type_words)) name += "_value";
  return name;
}

std::string FunctionBuilder::unique_name(std::string_view wanted) {
  const std::string base = mil_name(wanted);
  std::string name = base;
  for (int64_t i = 1; !names_.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
  return name;
}

NamedType FunctionBuilder::input(std::string_view name, ValueType type, std::vector<SizeRange> ranges) {
  Input input{unique_name(name), std::move(type), std::move(ranges)};
  function_.inputs.push_back(input);
  return {input.name, input.type};
}

NamedType FunctionBuilder::constant(std::string_view name, Literal value) {
  const NamedType result{unique_name(name), {value.type, value.dims}};
  function_.body.operations.push_back({"const", {}, {result}, {name_attribute(result.name), {"val", std::move(value)}}, {}});
  return result;
}

std::vector<NamedType> FunctionBuilder::op(std::string_view type, std::string_view name, std::vector<Parameter> parameters,
                                           std::vector<ValueType> results) {
  Operation operation{std::string(type), {}, {}, {name_attribute(unique_name(name))}, {}};
  const std::string& own_name = operation.attributes[0].value.strings[0];
  std::ranges::sort(parameters, {}, &Parameter::first);
  for (auto& [parameter, given] : parameters) {
    BoundInput argument{std::string(parameter), {}};
    if (auto* value = std::get_if<Literal>(&given))
      argument.bindings.emplace_back(constant(fmt::format("{}_{}", own_name, parameter), std::move(*value)).name);
    else if (const auto* one = std::get_if<NamedType>(&given)) argument.bindings.emplace_back(one->name);
    else
      for (const NamedType& item : std::get<std::vector<NamedType>>(given)) argument.bindings.emplace_back(item.name);
    operation.inputs.push_back(std::move(argument));
  }
  for (size_t i = 0; i < results.size(); ++i)
    operation.outputs.push_back({results.size() == 1 ? own_name : unique_name(fmt::format("{}_{}", own_name, i)), std::move(results[i])});
  function_.body.operations.push_back(operation);
  return std::move(operation.outputs);
}

NamedType FunctionBuilder::op(std::string_view type, std::string_view name, std::vector<Parameter> parameters, ValueType result) {
  return op(type, name, std::move(parameters), std::vector{std::move(result)}).front();
}

void FunctionBuilder::require(Version needed, std::string_view what) const {
  if (version_ < needed)
    throw_unsupported(
        fmt::format("{} need minimum_deployment_target={}; {} was asked for", what, row_of(needed).target, row_of(version_).target));
}

// Their parameters were attributes before they could be bound in place.
NamedType FunctionBuilder::decompressed(std::string_view type, std::string_view name,
                                        std::vector<std::pair<std::string_view, Literal>> parameters, ValueType result) {
  const NamedType output{unique_name(name), std::move(result)};
  Operation operation{std::string(type), {}, {output}, {name_attribute(output.name)}, {}};
  std::ranges::sort(parameters, {}, &std::pair<std::string_view, Literal>::first);
  for (auto& [parameter, value] : parameters)
    if (version_ >= Version::ios18) operation.inputs.push_back({std::string(parameter), {Binding(std::move(value))}});
    else operation.attributes.push_back({std::string(parameter), std::move(value)});
  std::ranges::sort(operation.attributes, {}, &Attribute::name);
  function_.body.operations.push_back(std::move(operation));
  return output;
}

NamedType FunctionBuilder::affine_dequantize(std::string_view name, Literal data, Literal scale, Literal zero_point, int32_t axis) {
  require(Version::ios16, "8-bit weights");
  const bool fits =
      scale.dims.empty() || (axis >= 0 && axis < std::ssize(data.dims) && scale.dims == Sizes{data.dims[static_cast<size_t>(axis)]});
  if (!fits || (!zero_point.dims.empty() && zero_point.dims != scale.dims) || row_of(data.type).bits != 8 || zero_point.type != data.type)
    throw_bug(fmt::format("constexpr_affine_dequantize '{}' is given what does not fit together", name));
  ValueType result{scale.type, data.dims};
  return decompressed("constexpr_affine_dequantize", name,
                      {{"quantized_data", std::move(data)},
                       {"scale", std::move(scale)},
                       {"zero_point", std::move(zero_point)},
                       {"axis", scalar_literal(axis)}},
                      std::move(result));
}

NamedType FunctionBuilder::blockwise_shift_scale(std::string_view name, Literal data, Literal scale, std::optional<Literal> offset) {
  require(Version::ios18, "4-bit weights and scales of groups");
  if (!divides(scale.dims, data.dims) || (offset && (offset->dims != scale.dims || offset->type != data.type)))
    throw_bug(fmt::format("constexpr_blockwise_shift_scale '{}' is given what does not fit together", name));
  ValueType result{scale.type, data.dims};
  std::vector<std::pair<std::string_view, Literal>> parameters = {{"data", std::move(data)}, {"scale", std::move(scale)}};
  if (offset) parameters.emplace_back("offset", std::move(*offset));
  return decompressed("constexpr_blockwise_shift_scale", name, std::move(parameters), std::move(result));
}

NamedType FunctionBuilder::lut_to_dense(std::string_view name, const Tensor& indices, const Tensor& table, int bits) {
  const bool is_one_table = table.numel() == int64_t{1} << bits;
  require(is_one_table ? Version::ios16 : Version::ios18, "weights with a table for each block");
  const std::span<const int64_t> blocks = std::span(table.sizes()).first(table.rank() < 2 ? 0 : table.sizes().size() - 2);
  if (bits < 1 || bits > 8 || table.rank() < 2 || table.size(-1) != 1 || table.size(-2) != int64_t{1} << bits ||
      !divides(blocks, indices.sizes()))
    throw_bug(fmt::format("constexpr_lut_to_dense '{}' is given what does not fit together", name));
  const bool has_three_bits = version_ >= Version::ios18;
  const int stored = bits == 3 && !has_three_bits ? 4 : bits == 5 ? 6 : bits == 7 ? 8 : bits;
  const DataType type = *unsigned_type(stored);
  Literal packed = stored == 8 ? literal(indices) : packed_literal(indices, type);
  Literal entries = literal(lengthened(table, int64_t{1} << stored));
  const ValueType result{entries.type, indices.sizes()};
  if (version_ >= Version::ios18)
    return decompressed("constexpr_lut_to_dense", name, {{"indices", std::move(packed)}, {"lut", std::move(entries)}}, result);
  // One row of entries, and indices as the bytes that they are packed in.
  entries.dims = {int64_t{1} << stored};
  packed = {DataType::uint8, {static_cast<int64_t>(packed.data.size())}, packed.data};
  const std::vector<uint32_t> sizes(indices.sizes().begin(), indices.sizes().end());
  return decompressed("constexpr_lut_to_dense", name,
                      {{"indices", std::move(packed)},
                       {"lut", std::move(entries)},
                       {"shape", literal(Tensor::of<uint32_t>(std::span(sizes), {std::ssize(sizes)}))}},
                      result);
}

Function FunctionBuilder::finish(const std::vector<NamedType>& outputs) {
  for (const NamedType& output : outputs) function_.body.outputs.push_back(output.name);
  merge_equal(function_.body);
  remove_unread(function_.body);
  return std::move(function_);
}

}  // namespace intaglio::coreml
