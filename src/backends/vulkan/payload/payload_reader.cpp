#include "backends/vulkan/payload/payload_reader.h"

#include <cstring>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <vulkan_schema/schema_generated.h>

#include "backends/vulkan/payload/payload_names.h"

namespace intaglio::vulkan {
namespace {

namespace fb = ::vkgraph;

[[noreturn]] void damaged(const std::string& what) { throw_bad_input("a Vulkan payload: " + what); }

template <typename T>
const T& present(const T* table, std::string_view what) {
  if (!table) damaged(fmt::format("{} is missing", what));
  return *table;
}

// A vector that the schema lets be absent.
template <typename Result, typename T>
std::vector<Result> list(const flatbuffers::Vector<T>* vector) {
  return vector ? std::vector<Result>(vector->begin(), vector->end()) : std::vector<Result>{};
}

template <typename T, size_t N, typename Number>
T enumerated(const Named<T> (&names)[N], Number number, std::string_view what) {
  const T value = static_cast<T>(number);
  if (named(names, value).empty()) damaged(fmt::format("an unknown {} {}", what, static_cast<int>(number)));
  return value;
}

class Reader {
 public:
  explicit Reader(const fb::VkGraph& source) : source_(source) {}

  VkGraph read() {
    if (const auto* constants = source_.constants())
      for (const fb::VkBytes* bytes : *constants) read_constant(present(bytes, "a constant"));
    for (const fb::VkValue* value : present(source_.values(), "the value list")) graph_.add(read_value(present(value, "a value")));
    for (const VkValue& value : graph_.values)
      if (const auto* items = std::get_if<VkValueList>(&value))
        for (const ValueId id : items->items)
          if (std::holds_alternative<VkValueList>(graph_.values[static_cast<size_t>(checked(id))])) damaged("a list of lists of values");
    for (const fb::OperatorCall* call : present(source_.chain(), "the chain")) read_call(present(call, "a call"));
    graph_.inputs = checked(list<ValueId>(source_.input_ids()));
    graph_.outputs = checked(list<ValueId>(source_.output_ids()));
    return std::move(graph_);
  }

 private:
  ValueId checked(ValueId id) const {
    if (id < 0 || static_cast<size_t>(id) >= graph_.values.size()) damaged(fmt::format("value {} of {}", id, graph_.values.size()));
    return id;
  }
  std::vector<ValueId> checked(std::vector<ValueId> ids) const {
    for (const ValueId id : ids) checked(id);
    return ids;
  }

  void read_constant(const fb::VkBytes& source) {
    graph_.constants.push_back({source.named_key() ? source.named_key()->str() : "", source.length(), {}});
  }

  VkTensor read_tensor(const fb::VkTensor& t) const {
    VkTensor tensor;
    tensor.type = enumerated(data_type_names, t.datatype(), "data type");
    tensor.dims = list<int64_t>(t.dims());
    tensor.constant = t.constant_id();
    if (tensor.constant >= 0 && static_cast<size_t>(tensor.constant) >= graph_.constants.size())
      damaged(fmt::format("constant {} of {}", tensor.constant, graph_.constants.size()));
    tensor.memory_object = t.mem_obj_id();
    tensor.storage = enumerated(storage_names, t.storage_type(), "storage type");
    tensor.layout = enumerated(layout_names, t.memory_layout(), "memory layout");
    tensor.staging = enumerated(data_type_names, t.staging_datatype(), "data type");
    return tensor;
  }

  VkValue read_value(const fb::VkValue& source) const {
    if (!source.value()) damaged("a value has no content");
    switch (source.value_type()) {
      case fb::GraphTypes::Null: return VkNull{};
      case fb::GraphTypes::Int: return source.value_as_Int()->int_val();
      case fb::GraphTypes::Double: return source.value_as_Double()->double_val();
      case fb::GraphTypes::Bool: return source.value_as_Bool()->bool_val();
      case fb::GraphTypes::VkTensor: return read_tensor(*source.value_as_VkTensor());
      case fb::GraphTypes::IntList: return list<int64_t>(source.value_as_IntList()->items());
      case fb::GraphTypes::DoubleList: return list<double>(source.value_as_DoubleList()->items());
      case fb::GraphTypes::BoolList: return list<bool>(source.value_as_BoolList()->items());
      case fb::GraphTypes::ValueList: return VkValueList{list<ValueId>(source.value_as_ValueList()->items())};
      case fb::GraphTypes::String: return present(source.value_as_String()->string_val(), "a string").str();
      case fb::GraphTypes::SymInt: return VkSymInt{};
      default: damaged(fmt::format("a value of an unknown type {}", static_cast<int>(source.value_type())));
    }
  }

  void read_call(const fb::OperatorCall& source) {
    graph_.calls.push_back({present(source.name(), "an operator's name").str(), checked(list<ValueId>(source.args())), ""});
  }

  const fb::VkGraph& source_;
  VkGraph graph_;
};

// What the runtime checks before it trusts a payload. The verifier wants the buffer aligned as the schema does.
std::vector<uint64_t> verified_flatbuffer(std::span<const std::byte> payload) {
  common::check_payload_header(payload_format, payload);
  const auto flatbuffer = common::split_payload(payload_format, payload).flatbuffer;
  std::vector<uint64_t> aligned((flatbuffer.size() + 15) / 8);
  std::memcpy(aligned.data(), flatbuffer.data(), flatbuffer.size());
  flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t*>(aligned.data()), flatbuffer.size());
  if (!fb::VerifyVkGraphBuffer(verifier)) damaged("the flatbuffer inside is damaged");
  return aligned;
}

}  // namespace

void check_payload(std::span<const std::byte> payload) { verified_flatbuffer(payload); }

VkGraph read_payload(std::span<const std::byte> payload) {
  const std::vector<uint64_t> flatbuffer = verified_flatbuffer(payload);
  return Reader(*fb::GetVkGraph(flatbuffer.data())).read();
}

}  // namespace intaglio::vulkan
