#include "backends/vulkan/lower/make_graph.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/common/program_facts.h"
#include "backends/vulkan/caches.h"
#include "backends/vulkan/lower/constants.h"
#include "backends/vulkan/lower/memory_objects.h"
#include "backends/vulkan/op_representations.h"
#include "base/sha256.h"
#include "base/threads.h"

namespace intaglio::vulkan {
namespace {

class GraphMaker {
 public:
  GraphMaker(const ExportedProgram& program, const Assignments& assigned, const GraphOptions& options)
      : program_(program), assigned_(assigned), options_(options) {}

  VkGraph run() && {
    for (const Value* input : program_.graph().inputs())
      if (!input->users().empty()) add_input(*input);
    const std::vector<Node*> nodes = program_.graph().node_list();
    for (size_t i = 0; i < nodes.size(); ++i) add_call(*nodes[i], i + 1);
    for (const Value* result : results()) {
      const ValueId id = ids_.at(result);
      graph_.outputs.push_back(id);
      if (const auto lifetime = lifetimes_.find(id); lifetime != lifetimes_.end()) lifetime->second.last = nodes.size() + 1;
    }
    if (options_.plan_memory) plan_memory();
    name_constants();
    return std::move(graph_);
  }

 private:
  // ---- values

  DType narrow(DType type) const {
    if (options_.downcast_64_bit && type == DType::float64) return DType::float32;
    if (options_.downcast_64_bit && type == DType::int64) return DType::int32;
    return type;
  }
  DType on_device(DType type) const { return options_.force_fp16 && type == DType::float32 ? DType::float16 : narrow(type); }

  VkTensor tensor_of(const Value& value, bool is_constant) const {
    VkTensor tensor;
    tensor.type = data_type(on_device(value.dtype())).value();
    tensor.staging = is_constant ? tensor.type : data_type(narrow(value.dtype())).value();
    for (const SymInt& size : value.sizes()) tensor.dims.push_back(common::upper_bound(program_, size).value());
    return tensor;
  }

  ValueId add_device_tensor(const Value& value, bool is_constant = false) {
    VkTensor tensor = tensor_of(value, is_constant);
    if (const auto found = assigned_.find(&value); found != assigned_.end()) {
      tensor.storage = found->second.storage;
      tensor.layout = found->second.layout;
    }
    return graph_.add(std::move(tensor));
  }

  // Lives from this step on, for as long as it is read.
  ValueId add_computed(const Value& value, size_t step) {
    const ValueId id = add_device_tensor(value);
    const auto& dims = std::get<VkTensor>(graph_.values.back()).dims;
    constexpr uint64_t alignment = 16;
    const uint64_t bytes = static_cast<uint64_t>(element_count(dims)) * item_size(on_device(value.dtype()));
    lifetimes_[id] = {(bytes + alignment - 1) / alignment * alignment, step, step};
    return id;
  }

  void add_input(const Value& input) {
    if (const Tensor* tensor = program_.constant(&input)) return add_constant(input, *tensor);
    const ValueId id = input.is_tensor() ? add_computed(input, 0) : graph_.add(VkSymInt{});
    ids_[&input] = id;
    graph_.inputs.push_back(id);
  }

  // The bytes, and for readers that want a tensor of the device one that is made of them before the first run.
  void add_constant(const Value& value, const Tensor& data) {
    VkTensor tensor = tensor_of(value, true);
    tensor.constant = static_cast<int32_t>(graph_.constants.size());
    const uint64_t size = static_cast<uint64_t>(data.numel()) * item_size(on_device(value.dtype()));
    graph_.constants.push_back({"", size, constant_bytes(data, on_device(value.dtype()))});
    const ValueId bytes = graph_.add(std::move(tensor));
    bytes_[&value] = bytes;
    const bool is_computed_with = std::ranges::any_of(value.users(), [&](const Node* reader) {
      const OpRow* row = find_row(reader->op().name());
      return std::ranges::any_of(tensor_operands(*reader), [&](const Operand& operand) {
        return std::ranges::find(operand.values, &value) != operand.values.end() && !(row && reads_constant(*row, *reader, operand.place));
      });
    });
    if (!is_computed_with) return;
    const ValueId prepacked = add_device_tensor(value, true);
    ids_[&value] = prepacked;
    graph_.calls.push_back({"et_vk.prepack.default", {bytes, prepacked}, ""});
  }

  template <typename T>
  ValueId number(T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    const auto [found, is_new] = numbers_.try_emplace({VkValue(value).index(), bits});
    if (is_new) found->second = graph_.add(value);
    return found->second;
  }

  // ---- arguments

  ValueId id_of(const Value& value, const Node& node, size_t place) {
    if (const auto bytes = bytes_.find(&value); bytes != bytes_.end()) {
      const OpRow* row = find_row(node.op().name());
      if (row && reads_constant(*row, node, place)) return bytes->second;
    }
    const auto found = ids_.find(&value);
    if (found == ids_.end()) throw_bug(fmt::format("{}: '{}' is not in the Vulkan graph", describe(node), value.name()));
    if (const auto lifetime = lifetimes_.find(found->second); lifetime != lifetimes_.end()) lifetime->second.last = step_;
    return found->second;
  }

  struct ArgumentWriter {
    GraphMaker& maker;
    const Node& node;
    size_t place;

    ValueId operator()(Value* value) const { return maker.id_of(*value, node, place); }
    ValueId operator()(int64_t value) const { return maker.number(value); }
    ValueId operator()(double value) const { return maker.number(value); }
    ValueId operator()(bool value) const { return maker.number(value); }
    ValueId operator()(const std::string& text) const { return maker.graph_.add(text); }
    ValueId operator()(const std::vector<int64_t>& list) const { return maker.graph_.add(list); }
    ValueId operator()(const std::vector<double>& list) const { return maker.graph_.add(list); }
    ValueId operator()(const std::vector<bool>& list) const { return maker.graph_.add(list); }
    ValueId operator()(const std::vector<Value*>& values) const {
      VkValueList list;
      for (Value* value : values) list.items.push_back(value ? (*this)(value) : maker.graph_.add(VkNull{}));
      return maker.graph_.add(std::move(list));
    }
    ValueId operator()(const std::vector<SymArg>& list) const {
      VkValueList items;
      for (const SymArg& item : list) items.items.push_back(std::visit(*this, item));
      return maker.graph_.add(std::move(items));
    }
    // Absent ones, element types, devices, memory formats.
    template <typename Other>
    ValueId operator()(const Other&) const {
      return maker.graph_.add(VkNull{});
    }
  };

  void add_call(const Node& node, size_t step) {
    step_ = step;
    const OpSchema* schema = node.op().schema();
    VkCall call{name_of(node), {}, describe(node)};
    const size_t count = schema ? schema->arguments.size() : node.arguments().size();
    for (size_t place = 0; place < count; ++place) {
      const Argument argument = schema ? node.argument(schema->arguments[place].name) : node.arguments()[place].value;
      call.arguments.push_back(std::visit(ArgumentWriter{*this, node, place}, static_cast<const Argument::variant&>(argument)));
    }
    call.arguments.push_back(node.is(updated_cache_op) ? add_write(node) : add_results(node));
    graph_.calls.push_back(std::move(call));
  }

  // Operators of Python and sizes of tensors have short names.
  static std::string name_of(const Node& node) {
    if (node.op().name_space() == "_operator") return std::string(node.op().base());
    if (node.is(updated_cache_op)) return "update_cache.default";
    return node.is("aten.sym_size.int") ? "sym_size.int" : std::string(node.op().name());
  }

  ValueId add_results(const Node& node) {
    VkValueList list;
    for (const Value* result : node.outputs()) {
      const ValueId id = result->is_tensor() ? add_computed(*result, step_) : graph_.add(VkSymInt{});
      ids_[result] = id;
      list.items.push_back(id);
    }
    const bool is_list = std::ranges::any_of(node.output_groups(), [](const Node::OutputGroup& group) { return group.is_list; });
    return list.items.size() == 1 && !is_list ? list.items.front() : graph_.add(std::move(list));
  }

  // The rows are written where the cache lies; the operator's own result says nothing.
  ValueId add_write(const Node& node) {
    ids_[node.output()] = ids_.at(node.tensor("cache"));
    VkTensor nothing = tensor_of(*node.output(), false);
    nothing.dims = {1};
    return graph_.add(std::move(nothing));
  }

  std::vector<const Value*> results() const {
    std::vector<const Value*> values;
    std::unordered_set<const Value*> taken;
    for (const Argument& output : program_.user_outputs())
      for (const Value* value : values_in(output))
        if (taken.insert(value).second) values.push_back(value);
    return values;
  }

  // ---- at the end

  void plan_memory() {
    std::vector<Lifetime> lifetimes;
    for (const auto& [id, lifetime] : lifetimes_) lifetimes.push_back(lifetime);
    const std::vector<int32_t> objects = share_memory(lifetimes);
    size_t i = 0;
    for (const auto& [id, lifetime] : lifetimes_) std::get<VkTensor>(graph_.values[static_cast<size_t>(id)]).memory_object = objects[i++];
  }

  // Digests of all constants are computed on all threads.
  void name_constants() {
    parallel_for(graph_.constants.size(), 0, [&](size_t i) {
      VkConstant& constant = graph_.constants[i];
      if (constant.size > 0) constant.key = lowercase_hex(constant.data.digest());
    });
  }

  const ExportedProgram& program_;
  const Assignments& assigned_;
  const GraphOptions& options_;
  VkGraph graph_;
  std::unordered_map<const Value*, ValueId> ids_, bytes_;   // tensors of the device and numbers; constants as bytes
  std::map<std::pair<size_t, uint64_t>, ValueId> numbers_;  // by type and bits
  std::map<ValueId, Lifetime> lifetimes_;                   // of tensors that may share memory
  size_t step_ = 0;
};

}  // namespace

VkGraph make_graph(const ExportedProgram& program, const Assignments& assigned, const GraphOptions& options) {
  return GraphMaker(program, assigned, options).run();
}

}  // namespace intaglio::vulkan
