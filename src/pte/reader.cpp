#include "pte/reader.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "program_generated.h"

namespace intaglio::pte {
namespace {

namespace fb = executorch_flatbuffer;

constexpr uint32_t smallest_header = 24;  // older files: without the size of the segment data

template <typename T>
T number_at(std::span<const std::byte> bytes, uint64_t position) {
  T value;
  std::memcpy(&value, bytes.data() + position, sizeof value);
  return value;
}

bool text_at(std::span<const std::byte> bytes, uint64_t position, std::string_view text) {
  return std::memcmp(bytes.data() + position, text.data(), text.size()) == 0;
}

FileLayout read_layout(std::span<const std::byte> file) {
  if (file.size() < smallest_file)
    throw_bad_input(fmt::format("{} bytes are too few for an ExecuTorch program; give a complete .pte file", file.size()));
  if (!text_at(file, 4, "ET12")) throw_bad_input("not an ExecuTorch program: `ET12` expected at byte 4; give a .pte file");
  FileLayout layout{file.size(), 0, 0};
  if (!text_at(file, header_position, "eh00")) return layout;

  const uint32_t header = number_at<uint32_t>(file, 12);
  if (header < smallest_header || header > smallest_file - header_position)
    throw_bad_input(fmt::format("the extended header says it has {} bytes; {} are expected", header, header_size));
  layout.program_size = number_at<uint64_t>(file, 16);
  layout.segment_base_offset = number_at<uint64_t>(file, 24);
  if (layout.program_size < header_position + header || layout.program_size > file.size())
    throw_bad_input(
        fmt::format("the header states a program of {} bytes, the file has {}; copy the file again", layout.program_size, file.size()));
  if (layout.segment_base_offset == 0) return layout;
  if (layout.segment_base_offset < layout.program_size || layout.segment_base_offset > file.size())
    throw_bad_input(fmt::format("segments start at byte {}, outside {} to {}; copy the file again", layout.segment_base_offset,
                                layout.program_size, file.size()));
  const uint64_t behind = file.size() - layout.segment_base_offset;
  layout.segment_data_size = header >= header_size ? number_at<uint64_t>(file, 32) : behind;
  if (layout.segment_data_size > behind)
    throw_bad_input(
        fmt::format("{} bytes of segments expected, {} are there; the file is cut, copy it again", layout.segment_data_size, behind));
  return layout;
}

// Values out of a verified flatbuffer. Tables may share vectors, so what is copied is bounded by the buffer's size.
class Parser {
 public:
  explicit Parser(std::span<const std::byte> flatbuffer) : base_(flatbuffer.data()), budget_(4 * flatbuffer.size() + 65536) {}

  Program program(const fb::Program& in) {
    Program out;
    out.version = in.version();
    each(in.execution_plan(), out.execution_plan, "execution_plan", [&](const fb::ExecutionPlan& p) { return plan(p); });
    if (in.constant_buffer())
      each(in.constant_buffer(), out.constant_buffer, "constant_buffer", [&](const fb::Buffer& b) { return inline_data(b.storage()); });
    if (in.backend_delegate_data())
      each(in.backend_delegate_data(), out.backend_delegate_data, "backend_delegate_data",
           [&](const fb::BackendDelegateInlineData& d) { return inline_data(d.data()); });
    if (in.segments())
      each(in.segments(), out.segments, "segments", [&](const fb::DataSegment& s) { return DataSegment{s.offset(), s.size()}; });
    if (in.constant_segment()) out.constant_segment = subsegment(*in.constant_segment());
    if (in.mutable_data_segments())
      each(in.mutable_data_segments(), out.mutable_data_segments, "mutable_data_segments",
           [&](const fb::SubsegmentOffsets& s) { return subsegment(s); });
    if (in.named_data())
      each(in.named_data(), out.named_data, "named_data",
           [&](const fb::NamedData& n) { return NamedData{text(n.key(), "the key of named data"), n.segment_index()}; });
    return out;
  }

 private:
  void spend(uint64_t bytes) {
    if (bytes > budget_) throw_bad_input("the program's lists share their bytes too often to be a real program");
    budget_ -= bytes;
  }

  template <typename In, typename Out, typename F>
  void each(const In* in, std::vector<Out>& out, const char* what, F make) {
    if (in == nullptr) throw_bad_input(fmt::format("the program has no list '{}'", what));
    spend(in->size() * 4);
    out.reserve(in->size());
    for (const auto* item : *in) {
      if (item == nullptr) throw_bad_input(fmt::format("an entry of '{}' is missing", what));
      out.push_back(make(*item));
    }
  }
  template <typename T, typename In>
  std::vector<T> numbers(const In* in, const char* what) {
    if (in == nullptr) throw_bad_input(fmt::format("the list '{}' is missing", what));
    spend(uint64_t{in->size()} * sizeof(T));
    // The verifier aligns a vector's length, not its 64-bit elements; an empty list has none.
    if (in->size() > 0 && reinterpret_cast<uintptr_t>(in->Data()) % sizeof(typename In::return_type) != 0)
      throw_bad_input(fmt::format("the list '{}' is not aligned", what));
    return {in->begin(), in->end()};
  }
  std::string text(const flatbuffers::String* in, const char* what) {
    if (in == nullptr) throw_bad_input(fmt::format("{} is missing", what));
    spend(in->size());
    return in->str();
  }
  std::string optional_text(const flatbuffers::String* in) { return in == nullptr ? std::string() : text(in, ""); }

  template <typename T>
  InlineData inline_data(const flatbuffers::Vector<T>* bytes) {
    if (bytes == nullptr) return {};
    return {static_cast<uint64_t>(reinterpret_cast<const std::byte*>(bytes->data()) - base_), bytes->size()};
  }
  SubsegmentOffsets subsegment(const fb::SubsegmentOffsets& in) {
    return {in.segment_index(), numbers<uint64_t>(in.offsets(), "offsets of a segment")};
  }

  TensorValue tensor(const fb::Tensor& in) {
    TensorValue out;
    out.scalar_type = static_cast<int8_t>(in.scalar_type());
    out.storage_offset = in.storage_offset();
    out.sizes = numbers<int32_t>(in.sizes(), "sizes of a tensor");
    out.dim_order = numbers<uint8_t>(in.dim_order(), "dim_order of a tensor");
    out.requires_grad = in.requires_grad();
    out.data_buffer_idx = in.data_buffer_idx();
    out.layout = in.layout();
    if (const auto* allocation = in.allocation_info())
      out.allocation =
          Allocation{allocation->memory_id(), uint64_t{allocation->memory_offset_high()} << 32 | allocation->memory_offset_low()};
    const int dynamism = static_cast<int>(in.shape_dynamism());
    if (dynamism < 0 || dynamism > 2) throw_bad_input(fmt::format("a tensor has the shape dynamism {}, which does not exist", dynamism));
    out.shape_dynamism = static_cast<ShapeDynamism>(dynamism);
    if (const auto* extra = in.extra_tensor_info())
      out.extra = TensorValue::Extra{extra->mutable_data_segments_idx(), optional_text(extra->fully_qualified_name()),
                                     extra->location() == fb::TensorDataLocation::EXTERNAL};
    return out;
  }

  EValue value(const fb::EValue& in) {
    if (in.val() == nullptr) throw_bad_input("a value of the program is missing");
    switch (in.val_type()) {
      case fb::KernelTypes::Null: return Null{};
      case fb::KernelTypes::Int: return int64_t{in.val_as_Int()->int_val()};
      case fb::KernelTypes::Bool: return in.val_as_Bool()->bool_val();
      case fb::KernelTypes::Double: return in.val_as_Double()->double_val();
      case fb::KernelTypes::Tensor: return tensor(*in.val_as_Tensor());
      case fb::KernelTypes::String: return text(in.val_as_String()->string_val(), "the text of a value");
      case fb::KernelTypes::IntList: return IntList{numbers<int64_t>(in.val_as_IntList()->items(), "items of an IntList")};
      case fb::KernelTypes::DoubleList: return DoubleList{numbers<double>(in.val_as_DoubleList()->items(), "items of a DoubleList")};
      case fb::KernelTypes::BoolList: return BoolList{numbers<uint8_t>(in.val_as_BoolList()->items(), "items of a BoolList")};
      case fb::KernelTypes::TensorList: return TensorList{numbers<int32_t>(in.val_as_TensorList()->items(), "items of a TensorList")};
      case fb::KernelTypes::OptionalTensorList:
        return OptionalTensorList{numbers<int32_t>(in.val_as_OptionalTensorList()->items(), "items of an OptionalTensorList")};
      default: throw_bad_input(fmt::format("a value has the unknown kind {}", static_cast<int>(in.val_type())));
    }
  }

  Instruction instruction(const fb::Instruction& in) {
    if (in.instr_args() == nullptr) throw_bad_input("an instruction is missing");
    switch (in.instr_args_type()) {
      case fb::InstructionArguments::KernelCall: {
        const auto* call = in.instr_args_as_KernelCall();
        return KernelCall{call->op_index(), numbers<int32_t>(call->args(), "arguments of a kernel call")};
      }
      case fb::InstructionArguments::DelegateCall: {
        const auto* call = in.instr_args_as_DelegateCall();
        return DelegateCall{call->delegate_index(), numbers<int32_t>(call->args(), "arguments of a delegate call")};
      }
      case fb::InstructionArguments::MoveCall: {
        const auto* call = in.instr_args_as_MoveCall();
        return MoveCall{call->move_from(), call->move_to()};
      }
      case fb::InstructionArguments::JumpFalseCall: {
        const auto* call = in.instr_args_as_JumpFalseCall();
        return JumpFalseCall{call->cond_value_index(), call->destination_instruction()};
      }
      case fb::InstructionArguments::FreeCall: return FreeCall{in.instr_args_as_FreeCall()->value_index()};
      default: throw_bad_input(fmt::format("an instruction has the unknown kind {}", static_cast<int>(in.instr_args_type())));
    }
  }

  BackendDelegate delegate(const fb::BackendDelegate& in) {
    BackendDelegate out;
    out.id = text(in.id(), "the id of a delegate");
    if (in.processed() == nullptr) throw_bad_input(fmt::format("delegate '{}' has no payload", escaped(out.id)));
    out.in_segment = in.processed()->location() == fb::DataLocation::SEGMENT;
    out.index = in.processed()->index();
    if (in.compile_specs())
      each(in.compile_specs(), out.compile_specs, "compile_specs", [&](const fb::CompileSpec& spec) {
        CompileSpecEntry entry{text(spec.key(), "the key of a compile spec"), {}};
        if (spec.value()) entry.value = numbers<uint8_t>(spec.value(), "value of a compile spec");
        return entry;
      });
    return out;
  }

  ExecutionPlan plan(const fb::ExecutionPlan& in) {
    ExecutionPlan out;
    out.name = text(in.name(), "the name of a method");
    if (const auto* container = in.container_meta_type()) {
      out.encoded_inp_str = optional_text(container->encoded_inp_str());
      out.encoded_out_str = optional_text(container->encoded_out_str());
    }
    each(in.values(), out.values, "values", [&](const fb::EValue& v) { return value(v); });
    out.inputs = numbers<int32_t>(in.inputs(), "inputs");
    out.outputs = numbers<int32_t>(in.outputs(), "outputs");
    each(in.chains(), out.chains, "chains", [&](const fb::Chain& chain) {
      std::vector<Instruction> instructions;
      each(chain.instructions(), instructions, "instructions", [&](const fb::Instruction& i) { return instruction(i); });
      return instructions;
    });
    each(in.operators(), out.operators, "operators",
         [&](const fb::Operator& op) { return Operator{text(op.name(), "the name of an operator"), optional_text(op.overload())}; });
    each(in.delegates(), out.delegates, "delegates", [&](const fb::BackendDelegate& d) { return delegate(d); });
    out.non_const_buffer_sizes = numbers<int64_t>(in.non_const_buffer_sizes(), "non_const_buffer_sizes");
    return out;
  }

  const std::byte* base_;
  uint64_t budget_;
};

}  // namespace

ParsedProgram parse_pte(std::span<const std::byte> file) {
  ParsedProgram parsed;
  parsed.file_size = file.size();
  parsed.layout = read_layout(file);
  std::span<const std::byte> flatbuffer = file.first(parsed.layout.program_size);
  // Tables are read in place, so the buffer must be as aligned as in a mapped file.
  std::shared_ptr<std::byte[]> aligned;
  if (reinterpret_cast<uintptr_t>(flatbuffer.data()) % 16 != 0) {
    aligned = std::shared_ptr<std::byte[]>(static_cast<std::byte*>(::operator new[](flatbuffer.size(), std::align_val_t{16})),
                                           [](std::byte* p) { ::operator delete[](p, std::align_val_t{16}); });
    std::memcpy(aligned.get(), flatbuffer.data(), flatbuffer.size());
    flatbuffer = {aligned.get(), flatbuffer.size()};
  }
  const auto* data = reinterpret_cast<const uint8_t*>(flatbuffer.data());
  flatbuffers::Verifier verifier(data, flatbuffer.size());
  if (!fb::VerifyProgramBuffer(verifier))
    throw_bad_input("the program's tables are damaged or too many (flatbuffer verification failed); build it again");
  parsed.program = Parser(flatbuffer).program(*fb::GetProgram(data));
  const auto& named = parsed.program.named_data;
  for (size_t i = 0; i < named.size(); ++i) parsed.named_data.emplace(named[i].key, i);
  return parsed;
}

namespace {
std::span<const std::byte> segment_bytes(const ParsedProgram& parsed, uint32_t index, std::span<const std::byte> file) {
  const DataSegment& segment = parsed.program.segments[index];
  return file.subspan(parsed.layout.segment_base_offset + segment.offset, segment.size);
}
}  // namespace

std::span<const std::byte> payload_of(const ParsedProgram& parsed, const BackendDelegate& delegate, std::span<const std::byte> file) {
  if (delegate.in_segment) return segment_bytes(parsed, delegate.index, file);
  const InlineData& data = parsed.program.backend_delegate_data[delegate.index];
  return file.subspan(data.offset, data.size);
}

std::span<const std::byte> named_data_of(const ParsedProgram& parsed, std::string_view key, std::span<const std::byte> file) {
  const auto found = parsed.named_data.find(std::string(key));
  if (found == parsed.named_data.end())
    throw_bad_input(fmt::format("a delegate reads the named data '{}', which the file has not", escaped(key)));
  return segment_bytes(parsed, parsed.program.named_data[found->second].segment_index, file);
}

}  // namespace intaglio::pte
