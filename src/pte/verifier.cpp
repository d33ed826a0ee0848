#include "pte/verifier.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "pte/kernel_table.h"

namespace intaglio::pte {
namespace {

// No machine has more; keeps sums of offsets and sizes from wrapping.
constexpr uint64_t largest_block = uint64_t{1} << 40;

template <typename... Args>
[[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) {
  throw_bad_input(fmt::format(format, std::forward<Args>(args)...) + "; the file is damaged, build it again");
}

uint64_t bytes_of(const TensorValue& tensor, size_t index) {
  const std::optional<DType> dtype = dtype_of_scalar_type(tensor.scalar_type);
  uint64_t bytes = dtype ? item_size(*dtype) : 4;  // quantized types: at most 4
  const bool is_empty = std::ranges::find(tensor.sizes, 0) != tensor.sizes.end();
  for (const int32_t size : tensor.sizes) {
    if (size < 0) bad("value {} is a tensor with the negative size {}", index, size);
    if (is_empty) continue;
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes) || bytes > largest_block)
      bad("value {} is a tensor of more than 2^40 bytes", index);
  }
  return is_empty ? 0 : bytes;
}

class ContainerCheck {
 public:
  ContainerCheck(const ParsedProgram& parsed) : program_(parsed.program), layout_(parsed.layout) {}

  void run() const {
    if (program_.version != 0) throw_bad_input(fmt::format("program version {}, 0 expected; update Intaglio", program_.version));
    if (program_.execution_plan.empty()) bad("the program has no method");
    for (size_t i = 0; i < program_.segments.size(); ++i) {
      const DataSegment& segment = program_.segments[i];
      if (segment.offset > layout_.segment_data_size || segment.size > layout_.segment_data_size - segment.offset)
        throw_bad_input(fmt::format("segment {}: {} bytes at {} leave the file's {}; it is cut, copy it again", i, segment.size,
                                    segment.offset, layout_.segment_data_size));
    }
    if (program_.constant_segment) constants(*program_.constant_segment);
    for (const SubsegmentOffsets& state : program_.mutable_data_segments) subsegment(state, "a mutable data segment");
    std::set<std::string_view> keys;
    for (const NamedData& named : program_.named_data) {
      segment_size(named.segment_index, "named data");
      if (!keys.insert(named.key).second) bad("the named data key '{}' occurs twice", escaped(named.key));
    }
    std::set<std::string_view> names;
    for (const ExecutionPlan& plan : program_.execution_plan) {
      if (plan.name.empty()) bad("a method has no name");
      if (!names.insert(plan.name).second) bad("the method '{}' occurs twice", escaped(plan.name));
    }
  }

  uint64_t segment_size(uint32_t index, const char* what) const {
    if (index >= program_.segments.size()) bad("{} names segment {} of {}", what, index, program_.segments.size());
    return program_.segments[index].size;
  }

 private:
  void constants(const SubsegmentOffsets& segment) const {
    const bool inside = !program_.constant_buffer.empty();
    if (inside && segment.offsets.empty()) return;  // old files: no segment is meant
    subsegment(segment, "the constant segment");
    if (inside && segment.offsets.size() > 1) bad("constants stand both in a segment and inside the program");
  }
  void subsegment(const SubsegmentOffsets& offsets, const char* what) const {
    // A program without any data has no segments to point to.
    if (program_.segments.empty() && offsets.segment_index == 0 && offsets.offsets.size() <= 1) return;
    const uint64_t size = segment_size(offsets.segment_index, what);
    if (offsets.offsets.empty()) bad("{} lists no offsets; the first is always 0", what);
    for (const uint64_t offset : offsets.offsets)
      if (offset > size) bad("{} has an entry at {} behind its {} bytes", what, offset, size);
  }

  const Program& program_;
  const FileLayout& layout_;
};

// What the tensors of each planned memory block need when no two of them share a byte: a runner allocates blocks before it
// knows a tensor. Methods may share a block in which some of them have no tensor.
class BlockNeeds {
 public:
  explicit BlockNeeds(const Program& program) {
    for (const ExecutionPlan& plan : program.execution_plan)
      for (const EValue& value : plan.values)
        if (const auto* tensor = std::get_if<TensorValue>(&value); tensor != nullptr && tensor->allocation)
          blocks_[tensor->allocation->memory_id].places |= tensor->allocation->offset;
    for (const ExecutionPlan& plan : program.execution_plan)
      for (size_t i = 0; i < plan.values.size(); ++i)
        if (const auto* tensor = std::get_if<TensorValue>(&plan.values[i]); tensor != nullptr && tensor->allocation)
          add(blocks_[tensor->allocation->memory_id], bytes_of(*tensor, i));
  }

  void check(const ExecutionPlan& plan) const {
    for (size_t id = 1; id < plan.non_const_buffer_sizes.size(); ++id) {
      const auto block = blocks_.find(id);
      const uint64_t bytes = block == blocks_.end() ? 0 : block->second.bytes;
      // ExecuTorch also plans what it then does not write: of each mutated buffer a copy.
      if (static_cast<uint64_t>(plan.non_const_buffer_sizes[id]) > 2 * bytes + slack)
        bad("planned memory block {} has {} bytes, and its tensors need {} together", id, plan.non_const_buffer_sizes[id], bytes);
    }
  }

 private:
  static constexpr uint64_t slack = 4096;  // behind the last tensor, for kernels that read whole vectors
  struct Block {
    uint64_t places = 0;  // their bits together: what they are aligned to shows in the lowest
    uint64_t bytes = 0;
  };

  static void add(Block& block, uint64_t bytes) {
    const uint64_t alignment = std::clamp<uint64_t>(block.places & -block.places, 16, 1 << 16);
    block.bytes = std::min(largest_block, block.bytes + (bytes + alignment - 1) / alignment * alignment);
  }

  std::map<uint64_t, Block> blocks_;  // by memory id
};

class PlanCheck {
 public:
  PlanCheck(const ParsedProgram& parsed, const ExecutionPlan& plan, const PteVerifyOptions& options)
      : program_(parsed.program), container_(parsed), plan_(plan), options_(options) {}

  void run() {
    buffer_sizes();
    for (size_t i = 0; i < plan_.values.size(); ++i) value(i);
    for (const int32_t input : plan_.inputs) value_index(input, "an input");
    for (const int32_t output : plan_.outputs) value_index(output, "an output");
    for (const Operator& op : plan_.operators) operators_.push_back(known_operator(op));
    for (const BackendDelegate& d : plan_.delegates) delegate(d);
    if (plan_.chains.empty()) bad("the method has no chain of instructions");
    mark_written();
    for (const auto& chain : plan_.chains)
      for (size_t i = 0; i < chain.size(); ++i) std::visit([&](const auto& instruction) { check(instruction, i, chain.size()); }, chain[i]);
  }

 private:
  void buffer_sizes() const {
    if (plan_.non_const_buffer_sizes.empty()) bad("non_const_buffer_sizes is empty; its first entry is always there");
    uint64_t together = 0;
    for (const int64_t size : plan_.non_const_buffer_sizes) {
      if (size < 0 || static_cast<uint64_t>(size) > largest_block) bad("a planned memory block has {} bytes", size);
      together += static_cast<uint64_t>(size);
      if (together > largest_block) bad("the planned memory blocks have more than 2^40 bytes together");
    }
  }

  size_t value_index(int64_t index, const char* what) const {
    if (index < 0 || static_cast<uint64_t>(index) >= plan_.values.size()) bad("{} is value {} of {}", what, index, plan_.values.size());
    return static_cast<size_t>(index);
  }

  void value(size_t index) const {
    const EValue& value = plan_.values[index];
    if (const auto* t = std::get_if<TensorValue>(&value)) tensor(*t, index);
    if (const auto* list = std::get_if<IntList>(&value))
      for (const int64_t item : list->items)
        if (!std::holds_alternative<int64_t>(plan_.values[value_index(item, "an item of an IntList")]))
          bad("value {} is an IntList whose item is value {}, not an int", index, item);
    if (const auto* list = std::get_if<TensorList>(&value))
      for (const int32_t item : list->items) list_member(item, index, false);
    if (const auto* list = std::get_if<OptionalTensorList>(&value))
      for (const int32_t item : list->items)
        if (item != -1) list_member(item, index, true);
  }
  void list_member(int32_t item, size_t list, bool none_allowed) const {
    const size_t member = value_index(item, "an item of a tensor list");
    if (member >= list) bad("value {} is a tensor list that holds value {}, which stands behind it", list, member);
    const bool none = none_allowed && std::holds_alternative<Null>(plan_.values[member]);
    if (!none && !std::holds_alternative<TensorValue>(plan_.values[member]))
      bad("value {} is a tensor list that holds value {}, which is no tensor", list, member);
  }

  void tensor(const TensorValue& t, size_t index) const {
    if (!is_program_scalar_type(t.scalar_type)) bad("value {} has the unknown element type {}", index, t.scalar_type);
    if (t.sizes.size() > most_dimensions) bad("value {} has {} dimensions; the runtime takes {}", index, t.sizes.size(), most_dimensions);
    if (t.dim_order.size() != t.sizes.size())
      bad("value {} has {} sizes and {} entries of dim_order", index, t.sizes.size(), t.dim_order.size());
    uint32_t seen = 0;
    for (const uint8_t dim : t.dim_order) {
      if (dim >= t.sizes.size() || (seen >> dim & 1) != 0) bad("the dim_order of value {} is no permutation", index);
      seen |= uint32_t{1} << dim;
    }
    if (t.storage_offset != 0) bad("value {} has a storage offset", index);
    if (t.layout != 0) bad("value {} is not strided", index);
    if (t.shape_dynamism == ShapeDynamism::unbounded) bad("value {} has sizes without an upper bound", index);
    const uint64_t bytes = bytes_of(t, index);
    if (t.allocation) planned(t, bytes, index);
    else if (t.data_buffer_idx > 0 && !(t.extra && t.extra->external)) constant(t, bytes, index);
  }

  void planned(const TensorValue& t, uint64_t bytes, size_t index) const {
    const Allocation& a = *t.allocation;
    if (a.memory_id == 0 || a.memory_id >= plan_.non_const_buffer_sizes.size())
      bad("value {} lives in memory block {} of {}", index, a.memory_id, plan_.non_const_buffer_sizes.size() - 1);
    const uint64_t size = static_cast<uint64_t>(plan_.non_const_buffer_sizes[a.memory_id]);
    if (a.offset > size || bytes > size - a.offset)
      bad("value {} needs {} bytes at offset {} of a memory block of {}", index, bytes, a.offset, size);
    if (t.data_buffer_idx == 0) return;
    const uint64_t segment = t.extra ? t.extra->mutable_data_segments_idx : 0;
    if (segment >= program_.mutable_data_segments.size())
      bad("value {} has its initial state in mutable data segment {} of {}", index, segment, program_.mutable_data_segments.size());
    extent(program_.mutable_data_segments[segment], t.data_buffer_idx, bytes, index);
  }

  void constant(const TensorValue& t, uint64_t bytes, size_t index) const {
    if (!program_.constant_buffer.empty()) {
      if (t.data_buffer_idx >= program_.constant_buffer.size() || bytes > program_.constant_buffer[t.data_buffer_idx].size)
        bad("value {} is constant {} of {} bytes, which is not there", index, t.data_buffer_idx, bytes);
      return;
    }
    if (!program_.constant_segment) bad("value {} is constant {}, but the program has no constants", index, t.data_buffer_idx);
    extent(*program_.constant_segment, t.data_buffer_idx, bytes, index);
  }
  void extent(const SubsegmentOffsets& segment, uint32_t entry, uint64_t bytes, size_t index) const {
    if (entry >= segment.offsets.size()) bad("value {} is constant {} of {}", index, entry, segment.offsets.size() - 1);
    const uint64_t size = container_.segment_size(segment.segment_index, "a constant");
    const uint64_t offset = segment.offsets[entry];
    if (offset > size || bytes > size - offset) bad("value {} needs {} bytes at offset {} of a segment of {}", index, bytes, offset, size);
  }

  // The kernel of the stock runtime, or null for an operator that a user brings.
  const RuntimeKernel* known_operator(const Operator& op) const {
    const RuntimeKernel* kernel = find_runtime_kernel(op.key());
    if (kernel == nullptr && options_.require_known_operators)
      throw_bad_input(fmt::format("the runtime has no kernel '{}'", escaped(op.key())));
    return kernel;
  }

  void delegate(const BackendDelegate& d) const {
    if (d.id.empty()) bad("a delegate has no id");
    if (d.in_segment) container_.segment_size(d.index, "a delegate's payload");
    else if (d.index >= program_.backend_delegate_data.size())
      bad("the payload of delegate '{}' is entry {} of {}", escaped(d.id), d.index, program_.backend_delegate_data.size());
  }

  // Values that instructions replace: their kind at the start says nothing of later.
  void mark_written() {
    written_.assign(plan_.values.size(), false);
    const auto mark = [&](int32_t index) {
      if (index >= 0 && static_cast<size_t>(index) < written_.size()) written_[index] = true;
    };
    for (const auto& chain : plan_.chains)
      for (const Instruction& instruction : chain) {
        if (const auto* move = std::get_if<MoveCall>(&instruction)) mark(move->move_to);
        const auto* call = std::get_if<KernelCall>(&instruction);
        if (call == nullptr || call->args.empty()) continue;
        const bool known = call->op_index >= 0 && static_cast<size_t>(call->op_index) < operators_.size();
        const RuntimeKernel* kernel = known ? operators_[call->op_index] : nullptr;
        if (kernel != nullptr && kernel->group == KernelGroup::primitive) mark(call->args.back());
      }
  }

  void check(const KernelCall& call, size_t position, size_t) const {
    if (call.op_index < 0 || static_cast<size_t>(call.op_index) >= plan_.operators.size())
      bad("instruction {} calls operator {} of {}", position, call.op_index, plan_.operators.size());
    for (const int32_t arg : call.args) value_index(arg, "an argument of a kernel call");
    const RuntimeKernel* kernel = operators_[call.op_index];
    if (kernel == nullptr || kernel->schema_text.empty()) return;
    const OpSchema& schema = schema_of(*kernel);
    if (call.args.size() != schema.arguments.size() + 1)
      bad("instruction {} calls {} with {} values; {} and the result are needed", position, kernel->key, call.args.size(),
          schema.arguments.size());
    for (size_t i = 0; i < schema.arguments.size(); ++i)
      if (!fits(schema.arguments[i], plan_.values[call.args[i]], written_[call.args[i]]))
        bad("instruction {} gives {} a value of the wrong kind for '{}'", position, kernel->key, schema.arguments[i].name);
  }
  // The runtime stops the process when a kernel finds another kind than it asks for.
  static bool fits(const ArgSchema& argument, const EValue& value, bool written) {
    if (written) return true;
    if (std::holds_alternative<Null>(value)) return argument.optional || argument.type == ArgType::optional_tensor;
    switch (argument.type) {
      case ArgType::tensor:
      case ArgType::optional_tensor: return std::holds_alternative<TensorValue>(value);
      case ArgType::tensor_list: return std::holds_alternative<TensorList>(value);
      case ArgType::optional_tensor_list: return std::holds_alternative<OptionalTensorList>(value);
      case ArgType::integer:
      case ArgType::scalar_type:
      case ArgType::memory_format:
      case ArgType::layout: return std::holds_alternative<int64_t>(value);
      case ArgType::floating: return std::holds_alternative<double>(value);
      case ArgType::boolean: return std::holds_alternative<bool>(value);
      case ArgType::scalar:
        return std::holds_alternative<int64_t>(value) || std::holds_alternative<double>(value) || std::holds_alternative<bool>(value);
      case ArgType::integer_list: return std::holds_alternative<IntList>(value);
      case ArgType::floating_list: return std::holds_alternative<DoubleList>(value);
      case ArgType::boolean_list: return std::holds_alternative<BoolList>(value);
      case ArgType::string: return std::holds_alternative<std::string>(value);
      default: return true;
    }
  }

  void check(const DelegateCall& call, size_t position, size_t) const {
    if (call.delegate_index < 0 || static_cast<size_t>(call.delegate_index) >= plan_.delegates.size())
      bad("instruction {} calls delegate {} of {}", position, call.delegate_index, plan_.delegates.size());
    for (const int32_t arg : call.args) value_index(arg, "an argument of a delegate call");
  }
  void check(const MoveCall& call, size_t, size_t) const {
    value_index(call.move_from, "the source of a move");
    value_index(call.move_to, "the target of a move");
  }
  void check(const JumpFalseCall& call, size_t position, size_t count) const {
    const EValue& condition = plan_.values[value_index(call.cond_value_index, "the condition of a jump")];
    if (!std::holds_alternative<bool>(condition) && !std::holds_alternative<TensorValue>(condition) && !written_[call.cond_value_index])
      bad("instruction {} jumps on value {}, which is neither a bool nor a tensor", position, call.cond_value_index);
    if (call.destination_instruction < 0 || static_cast<size_t>(call.destination_instruction) > count)
      bad("instruction {} jumps to instruction {} of {}", position, call.destination_instruction, count);
  }
  void check(const FreeCall& call, size_t, size_t) const { value_index(call.value_index, "a freed value"); }

  const Program& program_;
  ContainerCheck container_;
  const ExecutionPlan& plan_;
  const PteVerifyOptions& options_;
  std::vector<const RuntimeKernel*> operators_;
  std::vector<bool> written_;
};

}  // namespace

void verify_program(const ParsedProgram& parsed, std::span<const std::byte> file, const PteVerifyOptions& options) {
  ContainerCheck(parsed).run();
  for (const ExecutionPlan& plan : parsed.program.execution_plan) {
    try {
      PlanCheck(parsed, plan, options).run();
    } catch (const Error& error) { throw error.with_context(fmt::format("method '{}'", escaped(plan.name))); }
    if (!options.check_payload) continue;
    for (const BackendDelegate& delegate : plan.delegates) options.check_payload(delegate.id, payload_of(parsed, delegate, file));
  }
  const BlockNeeds needs(parsed.program);
  for (const ExecutionPlan& plan : parsed.program.execution_plan) {
    try {
      needs.check(plan);
    } catch (const Error& error) { throw error.with_context(fmt::format("method '{}'", escaped(plan.name))); }
  }
}

ParsedProgram verify_pte(std::span<const std::byte> file, const PteVerifyOptions& options) {
  ParsedProgram parsed = parse_pte(file);
  verify_program(parsed, file, options);
  return parsed;
}

}  // namespace intaglio::pte
