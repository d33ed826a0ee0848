#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/stubs/logging.h>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/coreml/payload/model_bytes.h"
#include "backends/coreml/payload/weight_file.h"
#include "base/unchecked_code.h"
#include "coreml_proto/coreml_model.pb.h"

namespace intaglio::coreml {
namespace {

constexpr const char* weights_reference = "@model_path/weights/weight.bin";

void write_type(const ValueType& type, proto::ValueType& to) {
  proto::TensorType& tensor = type.is_state ? *to.mutable_state()->mutable_wrapped()->mutable_tensor() : *to.mutable_tensor();
  tensor.set_data_type(static_cast<int32_t>(type.type));
  tensor.set_rank(std::ssize(type.dims));
  for (const int64_t size : type.dims) {
    proto::Dimension& dimension = *tensor.add_dimensions();
    if (size == unknown_size) dimension.mutable_unknown();
    else dimension.mutable_constant()->set_size(static_cast<uint64_t>(size));
  }
}

void write_named(const std::string& name, const ValueType& type, proto::NamedValueType& to) {
  to.set_name(name);
  write_type(type, *to.mutable_type());
}

template <typename Values>
void write_elements(const Tensor& elements, Values& to) {
  const Tensor whole = converted(elements, DType::int64);
  for (const int64_t value : whole.span<int64_t>()) to.add_values(static_cast<std::decay_t<decltype(to.values(0))>>(value));
}

void write_immediate(const Literal& literal, proto::TensorValue& to) {
  switch (row_of(literal.type).immediate) {
    case Immediate::strings:
      for (const std::string& text : literal.strings) to.mutable_strings()->add_values(text);
      return;
    case Immediate::bytes: {
      const std::vector<std::byte> bytes = literal.data.bytes();
      to.mutable_bytes()->set_values(bytes.data(), bytes.size());
      return;
    }
    case Immediate::floats: {
      const Tensor elements = elements_of(literal);
      for (const float value : elements.span<float>()) to.mutable_floats()->add_values(value);
      return;
    }
    case Immediate::ints: return write_elements(elements_of(literal), *to.mutable_ints());
    case Immediate::long_ints: return write_elements(elements_of(literal), *to.mutable_long_ints());
    case Immediate::bools: return write_elements(elements_of(literal), *to.mutable_bools());
  }
}

class ModelWriter {
 public:
  explicit ModelWriter(const Program& program) : program_(program), weights_(program.version) {}

  ModelFiles write() {
    model_.set_specification_version(static_cast<int32_t>(program_.version));
    model_.mutable_ml_program()->set_version(1);
    for (const Function& function : program_.functions) write_function(function);
    describe();
    return {bytes(), weights_.blob()};
  }

 private:
  void write_literal(const Literal& literal, proto::Value& to) {
    write_type({literal.type, literal.dims}, *to.mutable_type());
    if (weights_.takes(literal)) {
      to.mutable_blob_file()->set_file_name(weights_reference);
      to.mutable_blob_file()->set_offset(weights_.add(literal));
    } else write_immediate(literal, *to.mutable_immediate()->mutable_tensor());
  }

  void write_operation(const Operation& operation, proto::Operation& to) {
    to.set_type(operation.type);
    for (const BoundInput& input : operation.inputs)
      for (const Binding& binding : input.bindings) {
        proto::Binding& bound = *(*to.mutable_inputs())[input.parameter].add_arguments();
        if (const auto* name = std::get_if<std::string>(&binding)) bound.set_name(*name);
        else write_literal(std::get<Literal>(binding), *bound.mutable_value());
      }
    for (const NamedType& output : operation.outputs) write_named(output.name, output.type, *to.add_outputs());
    for (const Attribute& attribute : operation.attributes) write_literal(attribute.value, (*to.mutable_attributes())[attribute.name]);
    for (const Block& block : operation.blocks) write_block(block, *to.add_blocks());
  }

  void write_block(const Block& block, proto::Block& to) {
    for (const NamedType& input : block.inputs) write_named(input.name, input.type, *to.add_inputs());
    for (const Operation& operation : block.operations) write_operation(operation, *to.add_operations());
    for (const std::string& output : block.outputs) to.add_outputs(output);
  }

  void write_function(const Function& function) {
    const std::string opset(row_of(program_.version).opset);
    proto::Function& to = (*model_.mutable_ml_program()->mutable_functions())[function.name];
    to.set_opset(opset);
    for (const Input& input : function.inputs) write_named(input.name, input.type, *to.add_inputs());
    write_block(function.body, (*to.mutable_block_specializations())[opset]);
  }

  proto::ArrayFeature& describe_type(const NamedType& value, proto::FeatureDescription& to) {
    const DataTypeRow& row = row_of(value.type.type);
    if (row.feature == 0) throw_bug(fmt::format("'{}' of type {} goes in or out of a model", value.name, row.name));
    to.set_name(value.name);
    proto::FeatureType& type = *to.mutable_type();
    proto::ArrayFeature& array = value.type.is_state ? *type.mutable_state()->mutable_array() : *type.mutable_multi_array();
    array.set_data_type(row.feature);
    return array;
  }

  template <typename Description>
  void describe_function(const Function& function, Description& to) {
    for (const Input& input : function.inputs) {
      proto::ArrayFeature& array = describe_type({input.name, input.type}, input.type.is_state ? *to.add_state() : *to.add_input());
      for (size_t i = 0; i < input.type.dims.size(); ++i)
        array.add_shape(!input.shapes.empty()                ? input.shapes[0].at(i)
                        : input.type.dims[i] == unknown_size ? input.ranges.at(i).lower
                                                             : input.type.dims[i]);
      for (const Sizes& sizes : input.shapes) {
        proto::Shape& shape = *array.mutable_enumerated_shapes()->add_shapes();
        for (const int64_t size : sizes) shape.add_shape(size);
      }
      for (const SizeRange& range : input.ranges) {
        proto::SizeRange& sizes = *array.mutable_shape_range()->add_size_ranges();
        sizes.set_lower_bound(static_cast<uint64_t>(range.lower));
        sizes.set_upper_bound(range.upper.value_or(-1));
      }
    }
    for (const NamedType& output : outputs_of(function)) {
      proto::ArrayFeature& array = describe_type(output, *to.add_output());
      if (std::ranges::find(output.type.dims, unknown_size) == output.type.dims.end())
        for (const int64_t size : output.type.dims) array.add_shape(size);
    }
  }

  // One function is the model; several are described by name.
  void describe() {
    proto::ModelDescription& description = *model_.mutable_description();
    (*description.mutable_metadata()->mutable_user_defined())["producer"] = "intaglio";
    if (program_.functions.size() == 1) return describe_function(program_.functions[0], description);
    for (const Function& function : program_.functions) {
      proto::FunctionDescription& to = *description.add_functions();
      to.set_name(function.name);
      describe_function(function, to);
    }
    description.set_default_function_name(program_.functions.at(0).name);
  }

  // Maps by key, so that equal models are equal bytes.
  std::vector<std::byte> bytes() const {
    std::string text;
    {
      google::protobuf::io::StringOutputStream stream(&text);
      google::protobuf::io::CodedOutputStream coded(&stream);
      coded.SetSerializationDeterministic(true);
      if (!model_.SerializeToCodedStream(&coded)) throw_unsupported("the program is larger than the 2 GiB that a Core ML model may have");
    }
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }

  const Program& program_;
  proto::Model model_;
  WeightFileWriter weights_;
};

}  // namespace

ModelFiles write_model(const Program& program) {
  const UncheckedCode unchecked;             // the library's
  google::protobuf::SetLogHandler(nullptr);  // it has lines to say when it gets no memory
  return ModelWriter(program).write();
}

}  // namespace intaglio::coreml
