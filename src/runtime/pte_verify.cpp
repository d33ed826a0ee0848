// The checks behind verify_pte. ExecuTorch's headers must not be included here: they and the flatbuffers library of
// this file disagree about its layout.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <unordered_set>

#include <intaglio/error.h>

#include "program_generated.h"
#include "runtime/runtime.h"
#include "runtime/scalar_type.h"

namespace intaglio::runtime {
namespace {

namespace fb = executorch_flatbuffer;

constexpr size_t kSmallestFile = 64;
constexpr size_t kShortestHeader = 24;  // without the size of the segment data
constexpr size_t kFullHeader = 32;
constexpr size_t kMaximumRank = 16;

struct Layout {
  uint64_t file_size = 0;
  uint64_t program_size = 0;
  uint64_t segment_base = 0;
  uint64_t segment_bytes = 0;  // that segments may occupy
};

template <typename T>
T read_at(std::span<const std::byte> bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

// `head` holds at least kSmallestFile bytes.
Layout parse_layout(std::span<const std::byte> head, uint64_t file_size) {
  if (std::memcmp(head.data() + 4, "ET12", 4) != 0)
    throw_bad_input("not an ExecuTorch program: `ET12` expected at byte 4; give a .pte file");
  Layout layout{file_size, file_size, 0, 0};
  if (std::memcmp(head.data() + 8, "eh00", 4) != 0) return layout;
  const auto header_size = read_at<uint32_t>(head, 12);
  if (header_size < kShortestHeader) throw_bad_input(fmt::format("extended header of {} bytes, 24 expected", header_size));
  layout.program_size = read_at<uint64_t>(head, 16);
  layout.segment_base = read_at<uint64_t>(head, 24);
  if (layout.program_size < kSmallestFile - 24 || layout.program_size > file_size)
    throw_bad_input(
        fmt::format("the header states a program of {} bytes, the file has {}; copy the file again", layout.program_size, file_size));
  if (layout.segment_base == 0) return layout;
  if (layout.segment_base < layout.program_size || layout.segment_base > file_size)
    throw_bad_input(fmt::format("segments start at byte {}, outside {} to {}; copy the file again", layout.segment_base,
                                layout.program_size, file_size));
  layout.segment_bytes = file_size - layout.segment_base;
  if (header_size < kFullHeader) return layout;
  const auto stated = read_at<uint64_t>(head, 32);
  if (stated > layout.segment_bytes)
    throw_bad_input(
        fmt::format("{} bytes of segments expected, {} are there; the file is cut, copy it again", stated, layout.segment_bytes));
  layout.segment_bytes = stated;
  return layout;
}

template <typename Vector>
size_t count(const Vector* vector) {
  return vector ? vector->size() : 0;
}

// Flatbuffer verification aligns a vector's length, not its 64-bit elements; an empty one has none.
template <typename T>
bool is_aligned(const flatbuffers::Vector<T>& vector) {
  return vector.size() == 0 || reinterpret_cast<uintptr_t>(vector.Data()) % sizeof(T) == 0;
}

// Checks one method; `where` leads every message.
class MethodChecker {
 public:
  // `work_left`: items that may still be looked at, over all methods.
  MethodChecker(const fb::Program& program, const fb::ExecutionPlan& plan, uint64_t& work_left)
      : program_(program), plan_(plan), work_left_(work_left) {}

  MethodInfo check() {
    info_.name = required(plan_.name(), "name")->str();
    where_ = fmt::format("method '{}'", escaped(info_.name));
    required(plan_.values(), "values");
    required(plan_.inputs(), "inputs");
    required(plan_.outputs(), "outputs");
    required(plan_.chains(), "chains");
    required(plan_.operators(), "operators");
    required(plan_.delegates(), "delegates");
    check_memory();
    count_work(plan_.values()->size());
    count_work(plan_.inputs()->size());
    count_work(plan_.outputs()->size());
    count_work(plan_.operators()->size());
    count_work(plan_.delegates()->size());
    count_work(plan_.chains()->size());
    for (size_t i = 0; i < plan_.values()->size(); ++i) check_value(i);
    for (int32_t index : *plan_.inputs()) info_.inputs.push_back(describe(index));
    for (int32_t index : *plan_.outputs()) info_.outputs.push_back(describe(index));
    for (const auto* entry : *plan_.operators()) add_operator(entry);
    for (const auto* entry : *plan_.delegates()) check_delegate(entry);
    for (const auto* chain : *plan_.chains()) check_chain(chain);
    return std::move(info_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw_bad_input(fmt::format("{}: {}; the file is damaged, build it again", where_, what));
  }
  template <typename T>
  const T* required(const T* field, const char* name) const {
    if (!field) fail(fmt::format("{} are missing", name));
    return field;
  }
  // Tables may share their lists, so few bytes can describe many items; honest files hardly do.
  void count_work(size_t items) {
    if (items > work_left_) fail("it refers to the same lists too often");
    work_left_ -= items;
  }
  void require_index(int64_t index, size_t size, const char* what) const {
    if (index < 0 || static_cast<uint64_t>(index) >= size) fail(fmt::format("{} {} of {}", what, index, size));
  }

  void check_memory() {
    const auto* sizes = required(plan_.non_const_buffer_sizes(), "memory sizes");
    if (!is_aligned(*sizes)) fail("the memory sizes are not aligned");
    for (size_t i = 0; i < sizes->size(); ++i) {
      const int64_t size = sizes->Get(i);
      if (size < 0 || __builtin_add_overflow(info_.planned_bytes, size, &info_.planned_bytes))
        fail(fmt::format("memory {} has a size of {}", i, size));
    }
  }

  void check_value(size_t index) {
    const auto* value = plan_.values()->Get(index);
    if (!value->val()) fail(fmt::format("value {} is empty", index));
    if (const auto* tensor = value->val_as_Tensor()) check_tensor(index, *tensor);
    if (const auto* list = value->val_as_IntList()) check_items(index, list->items(), 0);
    if (const auto* list = value->val_as_TensorList()) check_tensor_items(index, list->items(), 0);
    if (const auto* list = value->val_as_OptionalTensorList()) check_tensor_items(index, list->items(), -1);
  }

  template <typename Items>
  void check_items(size_t index, const Items* items, int64_t lowest) {
    if (!items || !is_aligned(*items)) fail(fmt::format("list {} has no items, or not aligned ones", index));
    count_work(items->size());
    for (int64_t item : *items)
      if (item < lowest || item >= static_cast<int64_t>(plan_.values()->size()))
        fail(fmt::format("list {} refers to value {}", index, item));
  }
  // The runtime reads values in order, so members come before their list.
  template <typename Items>
  void check_tensor_items(size_t index, const Items* items, int64_t lowest) {
    check_items(index, items, lowest);
    for (int64_t item : *items) {
      if (item < 0) continue;
      if (item >= static_cast<int64_t>(index)) fail(fmt::format("list {} stands before its tensor {}", index, item));
      const auto* member = plan_.values()->Get(static_cast<uint32_t>(item));
      if (!member->val_as_Tensor() && !(lowest < 0 && member->val_as_Null()))
        fail(fmt::format("list {} holds value {}, which is no tensor", index, item));
    }
  }

  void check_tensor(size_t index, const fb::Tensor& tensor) {
    const std::string what = fmt::format("tensor {}", index);
    const auto dtype = dtype_of_scalar_type(static_cast<int>(tensor.scalar_type()));
    if (!tensor.sizes() || tensor.sizes()->size() > kMaximumRank) fail(what + " has no sizes or more than 16");
    const int64_t bytes = element_bytes(what, tensor, dtype);
    check_dim_order(what, tensor);
    if (tensor.extra_tensor_info() && tensor.extra_tensor_info()->location() == fb::TensorDataLocation::EXTERNAL)
      throw_unsupported(fmt::format("{}: {} lives in another file (.ptd); build the program in one file", where_, what));
    if (tensor.allocation_info()) check_allocation(what, *tensor.allocation_info(), bytes);
    else if (tensor.data_buffer_idx() > 0) check_constant(what, tensor.data_buffer_idx(), bytes);
  }

  int64_t element_bytes(const std::string& what, const fb::Tensor& tensor, std::optional<DType> dtype) const {
    int64_t bytes = dtype ? static_cast<int64_t>(item_size(*dtype)) : 1;
    for (int32_t size : *tensor.sizes())
      if (size < 0 || __builtin_mul_overflow(bytes, static_cast<int64_t>(size), &bytes))
        fail(fmt::format("{} has a size of {}", what, size));
    return bytes;
  }

  void check_dim_order(const std::string& what, const fb::Tensor& tensor) const {
    const size_t rank = tensor.sizes()->size();
    if (count(tensor.dim_order()) != rank) fail(what + " has a dim order of another length than its sizes");
    uint32_t seen = 0;
    for (size_t i = 0; i < rank; ++i) {
      const uint8_t dim = tensor.dim_order()->Get(static_cast<uint32_t>(i));
      if (dim >= rank || (seen >> dim & 1) != 0) fail(what + " has a dim order that is no permutation");
      seen |= 1u << dim;
    }
  }

  void check_allocation(const std::string& what, const fb::AllocationDetails& place, int64_t bytes) const {
    const auto* sizes = plan_.non_const_buffer_sizes();
    require_index(place.memory_id(), sizes->size(), "a tensor lives in memory");
    if (place.memory_id() == 0) fail(what + " lives in memory 0, which does not exist");
    const uint64_t offset = uint64_t{place.memory_offset_high()} << 32 | place.memory_offset_low();
    const auto size = static_cast<uint64_t>(sizes->Get(place.memory_id()));
    if (offset > size || static_cast<uint64_t>(bytes) > size - offset)
      fail(fmt::format("{} needs bytes {} to {} of a memory of {}", what, offset, offset + static_cast<uint64_t>(bytes), size));
  }

  void check_constant(const std::string& what, uint32_t index, int64_t bytes) const {
    if (const size_t inline_buffers = count(program_.constant_buffer()); inline_buffers > 0) {
      require_index(index, inline_buffers, "constant");
      if (count(program_.constant_buffer()->Get(index)->storage()) < static_cast<uint64_t>(bytes))
        fail(fmt::format("{} is longer than its constant {}", what, index));
      return;
    }
    const auto* constants = program_.constant_segment();
    if (!constants) fail(what + " is a constant but the file has none");
    require_index(index, count(constants->offsets()), "constant");
    const uint64_t offset = constants->offsets()->Get(index);
    const uint64_t size = program_.segments()->Get(constants->segment_index())->size();
    if (offset > size || static_cast<uint64_t>(bytes) > size - offset)
      fail(fmt::format("{} needs {} bytes at {} of a constant segment of {}", what, bytes, offset, size));
  }

  ValueInfo describe(int32_t index) const {
    require_index(index, plan_.values()->size(), "an input or output is value");
    const auto* value = plan_.values()->Get(static_cast<uint32_t>(index));
    ValueInfo result;
    switch (value->val_type()) {
      case fb::KernelTypes::Null: result.kind = ValueKind::none; break;
      case fb::KernelTypes::Int: result.kind = ValueKind::integer; break;
      case fb::KernelTypes::Bool: result.kind = ValueKind::boolean; break;
      case fb::KernelTypes::Double: result.kind = ValueKind::floating; break;
      case fb::KernelTypes::String: result.kind = ValueKind::string; break;
      case fb::KernelTypes::Tensor: {
        const auto* tensor = value->val_as_Tensor();
        const auto dtype = dtype_of_scalar_type(static_cast<int>(tensor->scalar_type()));
        if (!dtype) fail(fmt::format("value {} has an unknown element type", index));
        result.kind = ValueKind::tensor;
        result.dtype = *dtype;
        result.sizes.assign(tensor->sizes()->begin(), tensor->sizes()->end());
        result.dynamic = tensor->shape_dynamism() != fb::TensorShapeDynamism::STATIC;
        break;
      }
      default: result.kind = ValueKind::other;
    }
    return result;
  }

  void add_operator(const fb::Operator* entry) {
    std::string full = required(entry->name(), "operator names")->str();
    if (count(entry->overload()) > 0) full += "." + entry->overload()->str();
    info_.operators.push_back(std::move(full));
  }

  void check_delegate(const fb::BackendDelegate* entry) {
    info_.delegates.push_back(required(entry->id(), "delegate ids")->str());
    const auto* processed = required(entry->processed(), "delegate payloads");
    const bool in_segment = processed->location() == fb::DataLocation::SEGMENT;
    require_index(processed->index(), in_segment ? count(program_.segments()) : count(program_.backend_delegate_data()),
                  "a delegate's payload is segment");
  }

  template <typename Arguments>
  void check_arguments(const Arguments* arguments, size_t at) {
    if (!arguments) fail(fmt::format("instruction {} has no arguments", at));
    count_work(arguments->size());
    for (int32_t index : *arguments) require_index(index, plan_.values()->size(), "an argument is value");
  }

  void check_chain(const fb::Chain* chain) {
    const auto* instructions = required(chain->instructions(), "instructions");
    count_work(instructions->size());
    for (size_t at = 0; at < instructions->size(); ++at) {
      const auto* instruction = instructions->Get(static_cast<uint32_t>(at));
      if (!instruction->instr_args()) fail(fmt::format("instruction {} is empty", at));
      check_instruction(*instruction, at, instructions->size());
    }
  }

  void check_instruction(const fb::Instruction& instruction, size_t at, size_t instructions) {
    const size_t values = plan_.values()->size();
    if (const auto* call = instruction.instr_args_as_KernelCall()) {
      require_index(call->op_index(), plan_.operators()->size(), "a call names operator");
      check_arguments(call->args(), at);
    } else if (const auto* delegate = instruction.instr_args_as_DelegateCall()) {
      require_index(delegate->delegate_index(), plan_.delegates()->size(), "a call names delegate");
      check_arguments(delegate->args(), at);
    } else if (const auto* move = instruction.instr_args_as_MoveCall()) {
      require_index(move->move_from(), values, "a move reads value");
      require_index(move->move_to(), values, "a move writes value");
    } else if (const auto* jump = instruction.instr_args_as_JumpFalseCall()) {
      require_index(jump->cond_value_index(), values, "a jump reads value");
      require_index(jump->destination_instruction(), instructions + 1, "a jump goes to instruction");
    } else if (const auto* release = instruction.instr_args_as_FreeCall()) {
      require_index(release->value_index(), values, "a release names value");
    } else {
      fail(fmt::format("instruction {} is of an unknown kind", at));
    }
  }

  const fb::Program& program_;
  const fb::ExecutionPlan& plan_;
  uint64_t& work_left_;
  std::string where_ = "a method";
  MethodInfo info_;
};

void check_subsegments(const fb::Program& program, const fb::SubsegmentOffsets* part, const char* what) {
  if (!part || count(part->offsets()) == 0) return;
  if (!is_aligned(*part->offsets())) throw_bad_input(fmt::format("{}: the list of offsets is not aligned; build the file again", what));
  // A program without constants may state [0] without any segment.
  if (count(part->offsets()) == 1 && count(program.segments()) == 0) return;
  if (part->segment_index() >= count(program.segments()))
    throw_bad_input(fmt::format("{}: segment {} of {}; build the file again", what, part->segment_index(), count(program.segments())));
}

void check_segments(const fb::Program& program, const Layout& layout) {
  for (size_t i = 0; i < count(program.segments()); ++i) {
    const auto* segment = program.segments()->Get(static_cast<uint32_t>(i));
    if (segment->offset() > layout.segment_bytes || segment->size() > layout.segment_bytes - segment->offset())
      throw_bad_input(fmt::format("segment {}: {} bytes at {} leave the file's {}; it is cut, copy it again", i, segment->size(),
                                  segment->offset(), layout.segment_bytes));
  }
  check_subsegments(program, program.constant_segment(), "constants");
  if (program.mutable_data_segments())
    for (const auto* part : *program.mutable_data_segments()) check_subsegments(program, part, "mutable data");
  if (program.named_data())
    for (const auto* entry : *program.named_data())
      if (!entry->key() || entry->segment_index() >= count(program.segments()))
        throw_bad_input("named data without a name or a segment; build the file again");
}

// `program` starts at an address aligned to 16.
ProgramInfo verify_program(std::span<const std::byte> program_bytes, const Layout& layout) {
  const auto* data = reinterpret_cast<const uint8_t*>(program_bytes.data());
  flatbuffers::Verifier verifier(data, program_bytes.size());
  if (!fb::VerifyProgramBuffer(verifier))
    throw_bad_input("the program's tables are damaged or too many (flatbuffer verification failed); build it again");
  const fb::Program& program = *fb::GetProgram(data);
  if (program.version() != 0) throw_unsupported(fmt::format("program version {}, 0 expected; update Intaglio", program.version()));
  check_segments(program, layout);
  if (count(program.execution_plan()) == 0) throw_bad_input("the program has no method; build it again");
  ProgramInfo info;
  uint64_t work_left = program_bytes.size();
  std::unordered_set<std::string> names;
  for (const auto* plan : *program.execution_plan()) {
    info.methods.push_back(MethodChecker(program, *plan, work_left).check());
    const std::string& name = info.methods.back().name;
    if (!names.insert(name).second) throw_bad_input(fmt::format("method '{}' is there twice; build the file again", escaped(name)));
  }
  return info;
}

struct AlignedBytes {
  std::unique_ptr<std::byte, decltype(&std::free)> data{nullptr, &std::free};
  size_t size = 0;
  explicit AlignedBytes(size_t bytes) : size(bytes) {
    data.reset(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    if (!data) throw_bad_input(fmt::format("no memory for a program of {} bytes", bytes));
  }
  std::span<std::byte> span() { return {data.get(), size}; }
};

void require_length(uint64_t size) {
  if (size < kSmallestFile) throw_bad_input(fmt::format("{} bytes are too few for an ExecuTorch program; give a complete .pte file", size));
}

ProgramInfo verify_stream(std::ifstream& file, uint64_t file_size) {
  require_length(file_size);
  std::byte head[kSmallestFile];
  if (!file.read(reinterpret_cast<char*>(head), sizeof head)) throw_bad_input("cannot be read");
  const Layout layout = parse_layout(head, file_size);
  AlignedBytes program(layout.program_size);
  file.seekg(0);
  if (!file.read(reinterpret_cast<char*>(program.data.get()), static_cast<std::streamsize>(program.size)))
    throw_bad_input("cannot be read to the end of its program");
  return verify_program(program.span(), layout);
}

}  // namespace

ProgramInfo verify_pte(std::span<const std::byte> bytes, const std::string& name) try {
  require_length(bytes.size());
  const Layout layout = parse_layout(bytes, bytes.size());
  const auto program_bytes = bytes.first(layout.program_size);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % 16 == 0) return verify_program(program_bytes, layout);
  AlignedBytes aligned(program_bytes.size());
  std::copy(program_bytes.begin(), program_bytes.end(), aligned.data.get());
  return verify_program(aligned.span(), layout);
} catch (const Error& error) { throw error.with_context(escaped(name)); }

ProgramInfo verify_pte(const std::filesystem::path& path) try {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (error || !std::filesystem::exists(status)) throw_bad_input("there is no such file");
  if (std::filesystem::is_directory(status)) throw_bad_input("this is a directory; give a .pte file");
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw_bad_input("its size cannot be read: " + error.message());
  std::ifstream file(path, std::ios::binary);
  if (!file) throw_bad_input("cannot be opened for reading");
  return verify_stream(file, size);
} catch (const Error& error) { throw error.with_context(escaped(path.string())); }

}  // namespace intaglio::runtime
