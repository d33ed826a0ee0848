#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/coreml/payload/model_bytes.h"
#include "backends/coreml/payload/weight_file.h"
#include "base/unchecked_code.h"
#include "coreml_proto/coreml_model.pb.h"

namespace intaglio::coreml {
namespace {

constexpr int64_t max_rank = 64;

[[noreturn]] void refuse_model(const std::string& message) { throw_bad_input("a Core ML model: " + message); }

ValueType read_type(const proto::ValueType& from, const std::string& name) {
  const bool is_state = from.has_state();
  const proto::ValueType& value = is_state ? from.state().wrapped() : from;
  if (!value.has_tensor()) refuse_model(fmt::format("'{}' is no tensor", escaped(name)));
  const proto::TensorType& tensor = value.tensor();
  const DataTypeRow* row = find_data_type(tensor.data_type());
  if (row == nullptr) refuse_model(fmt::format("'{}' has elements of the type {}, which is not known", escaped(name), tensor.data_type()));
  if (tensor.rank() != tensor.dimensions_size() || tensor.rank() > max_rank)
    refuse_model(fmt::format("'{}' has {} sizes for rank {}", escaped(name), tensor.dimensions_size(), tensor.rank()));
  ValueType type{row->type, {}, is_state};
  for (const proto::Dimension& dimension : tensor.dimensions()) {
    const uint64_t size = dimension.constant().size();
    if (size > INT64_MAX) refuse_model(fmt::format("'{}' has the size {}", escaped(name), size));
    type.dims.push_back(dimension.has_unknown() ? unknown_size : static_cast<int64_t>(size));
  }
  return type;
}

template <typename T, typename Values>
Blob blob_of(const Values& values) {
  std::vector<std::byte> bytes;
  for (const auto value : values) {
    const T narrow = static_cast<T>(value);
    const std::span<const std::byte> element = std::as_bytes(std::span(&narrow, 1));
    bytes.insert(bytes.end(), element.begin(), element.end());
  }
  return bytes;
}

Blob immediate_bytes(const proto::TensorValue& value, const DataTypeRow& row) {
  switch (row.immediate) {
    case Immediate::floats: return blob_of<float>(value.floats().values());
    case Immediate::bools: return blob_of<uint8_t>(value.bools().values());
    case Immediate::long_ints: return blob_of<int64_t>(value.long_ints().values());
    case Immediate::ints: return row.bits == 16 ? blob_of<int16_t>(value.ints().values()) : blob_of<int32_t>(value.ints().values());
    case Immediate::bytes: return Blob(std::string_view(value.bytes().values()));
    case Immediate::strings: return {};
  }
  return {};
}

class ModelReader {
 public:
  explicit ModelReader(std::span<const std::byte> weights) : weights_(weights) {}

  Program read(const proto::Model& model) {
    Program program;
    const auto row =
        std::ranges::find(versions, model.specification_version(), [](const VersionRow& r) { return static_cast<int32_t>(r.version); });
    if (row == std::end(versions))
      refuse_model(fmt::format("specification version {} has no ML program that is known", model.specification_version()));
    program.version = row->version;
    // By name: the map's own order is any.
    std::vector<std::string> names;
    for (const auto& [name, function] : model.ml_program().functions()) names.push_back(name);
    if (names.empty()) refuse_model("no function is in it");
    const std::string& first = model.description().default_function_name();
    std::ranges::sort(names, {}, [&](const std::string& name) { return std::pair(name != first, name); });
    for (const std::string& name : names)
      program.functions.push_back(read_function(name, model.ml_program().functions().at(name), model.description()));
    return program;
  }

 private:
  Literal read_literal(const proto::Value& from, const std::string& name) {
    const ValueType type = read_type(from.type(), name);
    if (std::ranges::find(type.dims, unknown_size) != type.dims.end())
      refuse_model(fmt::format("the constant '{}' is of no known size", escaped(name)));
    const int64_t count = element_count(type.dims);
    if (from.has_blob_file()) return read_weight(weights_, from.blob_file().offset(), type);
    const DataTypeRow& row = row_of(type.type);
    const proto::TensorValue& value = from.immediate().tensor();
    Literal literal{type.type, type.dims, immediate_bytes(value, row), {value.strings().values().begin(), value.strings().values().end()}};
    const bool is_whole =
        row.bits == 0 ? std::ssize(literal.strings) == count
                      : static_cast<uint64_t>(count) <= literal.data.size() * 8 && packed_size(type.type, count) == literal.data.size();
    if (!is_whole) refuse_model(fmt::format("the constant '{}' does not have the elements of {}", escaped(name), to_string(type)));
    return literal;
  }

  void make(const std::string& name) {
    if (name.empty() || !made_.insert(name).second) refuse_model(fmt::format("the name '{}' is given twice, or empty", escaped(name)));
  }
  void require(const std::string& name) const {
    if (!made_.contains(name)) refuse_model(fmt::format("'{}' is used before anything makes it", escaped(name)));
  }

  NamedType read_named(const proto::NamedValueType& from) {
    make(from.name());
    return {from.name(), read_type(from.type(), from.name())};
  }

  Operation read_operation(const proto::Operation& from) {
    Operation operation{from.type(), {}, {}, {}, {}};
    for (const auto& [parameter, argument] : from.inputs()) {
      BoundInput& input = operation.inputs.emplace_back(BoundInput{parameter, {}});
      for (const proto::Binding& binding : argument.arguments()) {
        if (binding.has_value()) input.bindings.emplace_back(read_literal(binding.value(), parameter));
        else {
          require(binding.name());
          input.bindings.emplace_back(binding.name());
        }
      }
    }
    for (const auto& [name, value] : from.attributes()) operation.attributes.push_back({name, read_literal(value, name)});
    std::ranges::sort(operation.inputs, {}, &BoundInput::parameter);
    std::ranges::sort(operation.attributes, {}, &Attribute::name);
    for (const proto::Block& block : from.blocks()) operation.blocks.push_back(read_block(block));
    for (const proto::NamedValueType& output : from.outputs()) operation.outputs.push_back(read_named(output));
    return operation;
  }

  Block read_block(const proto::Block& from) {
    Block block;
    for (const proto::NamedValueType& input : from.inputs()) block.inputs.push_back(read_named(input));
    for (const proto::Operation& operation : from.operations()) block.operations.push_back(read_operation(operation));
    for (const std::string& output : from.outputs()) {
      require(output);
      block.outputs.push_back(output);
    }
    return block;
  }

  template <typename Description>
  static void read_ranges(const Description& description, std::vector<Input>& inputs) {
    std::unordered_map<std::string_view, Input*> by_name;
    for (Input& input : inputs) by_name[input.name] = &input;
    for (const proto::FeatureDescription& feature : description.input()) {
      const auto input = by_name.find(feature.name());
      if (input == by_name.end()) continue;
      for (const proto::Shape& shape : feature.type().multi_array().enumerated_shapes().shapes())
        input->second->shapes.emplace_back(shape.shape().begin(), shape.shape().end());
      for (const proto::SizeRange& range : feature.type().multi_array().shape_range().size_ranges()) {
        if (range.lower_bound() > INT64_MAX)
          refuse_model(fmt::format("input '{}' has sizes from {} on", escaped(feature.name()), range.lower_bound()));
        input->second->ranges.push_back({static_cast<int64_t>(range.lower_bound()),
                                         range.upper_bound() < 0 ? std::nullopt : std::optional<int64_t>(range.upper_bound())});
      }
    }
  }

  Function read_function(const std::string& name, const proto::Function& from, const proto::ModelDescription& description) {
    made_.clear();
    Function function{name, {}, {}};
    for (const proto::NamedValueType& input : from.inputs()) {
      NamedType read = read_named(input);
      function.inputs.push_back({std::move(read.name), std::move(read.type)});
    }
    read_ranges(description, function.inputs);
    for (const proto::FunctionDescription& one : description.functions())
      if (one.name() == name) read_ranges(one, function.inputs);
    const auto block = from.block_specializations().find(from.opset());
    if (block == from.block_specializations().end()) refuse_model(fmt::format("function '{}' has no block for its opset", escaped(name)));
    function.body = read_block(block->second);
    return function;
  }

  std::span<const std::byte> weights_;
  std::unordered_set<std::string> made_;  // names of the function so far
};

}  // namespace

Program read_model(std::span<const std::byte> model, std::span<const std::byte> weights) {
  const UncheckedCode unchecked;             // the library's
  google::protobuf::SetLogHandler(nullptr);  // it has lines to say, of texts that are no UTF-8 and when it gets no memory
  proto::Model parsed;
  if (model.size() > INT32_MAX || !parsed.ParseFromArray(model.data(), static_cast<int>(model.size())))
    refuse_model("its bytes are no protobuf message");
  return ModelReader(weights).read(parsed);
}

}  // namespace intaglio::coreml
