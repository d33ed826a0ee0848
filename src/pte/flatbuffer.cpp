#include "pte/flatbuffer.h"

#include <fmt/format.h>
#include <intaglio/error.h>

#include "program_generated.h"

namespace intaglio::pte {
namespace {

namespace fb = executorch_flatbuffer;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

// flatbuffers::Verifier's default, which the runtime uses.
constexpr size_t most_tables = 1'000'000;
constexpr size_t most_bytes = (size_t{1} << 31) - (size_t{1} << 20);

class Builder {
 public:
  std::vector<std::byte> build(const Program& program, const std::vector<Blob>& payloads) {
    const auto root = program_of(program, payloads);
    fbb_.Finish(root, fb::ProgramIdentifier());
    if (tables_ > most_tables)
      throw_unsupported(
          fmt::format("the program needs {} flatbuffer tables and the runtime reads at most {}; delegate more of it or split it", tables_,
                      most_tables));
    const auto* data = reinterpret_cast<const std::byte*>(fbb_.GetBufferPointer());
    return {data, data + fbb_.GetSize()};
  }

 private:
  // Every table passes here, so that they are counted; so does the size check, before the builder asserts.
  template <typename T>
  Offset<T> table(Offset<T> offset) {
    ++tables_;
    if (fbb_.GetSize() > most_bytes) throw_unsupported("the program's flatbuffer would exceed 2 GiB; delegate more of it or split it");
    return offset;
  }
  template <typename Out, typename In, typename F>
  auto each(const std::vector<In>& items, F make) {
    std::vector<Out> offsets;
    offsets.reserve(items.size());
    for (const In& item : items) offsets.push_back(make(item));
    return fbb_.CreateVector(offsets);
  }

  Offset<fb::Tensor> tensor(const TensorValue& t) {
    Offset<fb::ExtraTensorInfo> extra = 0;
    if (t.extra)
      extra = table(fb::CreateExtraTensorInfo(fbb_, t.extra->mutable_data_segments_idx,
                                              t.extra->fully_qualified_name.empty() ? 0 : fbb_.CreateString(t.extra->fully_qualified_name),
                                              t.extra->external ? fb::TensorDataLocation::EXTERNAL : fb::TensorDataLocation::SEGMENT));
    Offset<fb::AllocationDetails> allocation = 0;
    if (t.allocation)
      allocation = table(fb::CreateAllocationDetails(fbb_, t.allocation->memory_id, static_cast<uint32_t>(t.allocation->offset),
                                                     static_cast<uint32_t>(t.allocation->offset >> 32)));
    const auto sizes = fbb_.CreateVector(t.sizes);
    const auto dim_order = fbb_.CreateVector(t.dim_order);
    return table(fb::CreateTensor(fbb_, static_cast<fb::ScalarType>(t.scalar_type), t.storage_offset, sizes, dim_order, t.requires_grad,
                                  t.data_buffer_idx, allocation, t.layout, static_cast<fb::TensorShapeDynamism>(t.shape_dynamism), extra));
  }

  // One overload for each alternative, giving the union's tag and value.
  using Union = std::pair<fb::KernelTypes, Offset<void>>;
  Union value(const Null&) { return {fb::KernelTypes::Null, table(fb::CreateNull(fbb_)).Union()}; }
  Union value(int64_t v) { return {fb::KernelTypes::Int, table(fb::CreateInt(fbb_, v)).Union()}; }
  Union value(bool v) { return {fb::KernelTypes::Bool, table(fb::CreateBool(fbb_, v)).Union()}; }
  Union value(double v) { return {fb::KernelTypes::Double, table(fb::CreateDouble(fbb_, v)).Union()}; }
  Union value(const TensorValue& v) { return {fb::KernelTypes::Tensor, tensor(v).Union()}; }
  Union value(const std::string& v) { return {fb::KernelTypes::String, table(fb::CreateString(fbb_, fbb_.CreateString(v))).Union()}; }
  Union value(const IntList& v) { return {fb::KernelTypes::IntList, table(fb::CreateIntList(fbb_, fbb_.CreateVector(v.items))).Union()}; }
  Union value(const DoubleList& v) {
    return {fb::KernelTypes::DoubleList, table(fb::CreateDoubleList(fbb_, fbb_.CreateVector(v.items))).Union()};
  }
  Union value(const BoolList& v) {
    return {fb::KernelTypes::BoolList, table(fb::CreateBoolList(fbb_, fbb_.CreateVector(v.items))).Union()};
  }
  Union value(const TensorList& v) {
    return {fb::KernelTypes::TensorList, table(fb::CreateTensorList(fbb_, fbb_.CreateVector(v.items))).Union()};
  }
  Union value(const OptionalTensorList& v) {
    return {fb::KernelTypes::OptionalTensorList, table(fb::CreateOptionalTensorList(fbb_, fbb_.CreateVector(v.items))).Union()};
  }
  Offset<fb::EValue> evalue(const EValue& v) {
    const Union made = std::visit([&](const auto& alternative) { return value(alternative); }, v);
    return table(fb::CreateEValue(fbb_, made.first, made.second));
  }

  using Call = std::pair<fb::InstructionArguments, Offset<void>>;
  Call call(const KernelCall& c) {
    const auto args = fbb_.CreateVector(c.args);
    return {fb::InstructionArguments::KernelCall, table(fb::CreateKernelCall(fbb_, c.op_index, args)).Union()};
  }
  Call call(const DelegateCall& c) {
    const auto args = fbb_.CreateVector(c.args);
    return {fb::InstructionArguments::DelegateCall, table(fb::CreateDelegateCall(fbb_, c.delegate_index, args)).Union()};
  }
  Call call(const MoveCall& c) {
    return {fb::InstructionArguments::MoveCall, table(fb::CreateMoveCall(fbb_, c.move_from, c.move_to)).Union()};
  }
  Call call(const JumpFalseCall& c) {
    return {fb::InstructionArguments::JumpFalseCall,
            table(fb::CreateJumpFalseCall(fbb_, c.cond_value_index, c.destination_instruction)).Union()};
  }
  Call call(const FreeCall& c) { return {fb::InstructionArguments::FreeCall, table(fb::CreateFreeCall(fbb_, c.value_index)).Union()}; }
  Offset<fb::Chain> chain(const std::vector<Instruction>& instructions) {
    const auto list = each<Offset<fb::Instruction>>(instructions, [&](const Instruction& instruction) {
      const Call made = std::visit([&](const auto& alternative) { return call(alternative); }, instruction);
      return table(fb::CreateInstruction(fbb_, made.first, made.second));
    });
    const std::vector<int32_t> none;
    const auto inputs = fbb_.CreateVector(none);
    const auto outputs = fbb_.CreateVector(none);
    return table(fb::CreateChain(fbb_, inputs, outputs, list));
  }

  Offset<fb::BackendDelegate> delegate(const BackendDelegate& d) {
    const auto id = fbb_.CreateString(d.id);
    const auto specs = each<Offset<fb::CompileSpec>>(d.compile_specs, [&](const CompileSpecEntry& spec) {
      const auto key = fbb_.CreateString(spec.key);
      const auto bytes = fbb_.CreateVector(spec.value);
      return table(fb::CreateCompileSpec(fbb_, key, bytes));
    });
    const auto processed =
        table(fb::CreateBackendDelegateDataReference(fbb_, d.in_segment ? fb::DataLocation::SEGMENT : fb::DataLocation::INLINE, d.index));
    return table(fb::CreateBackendDelegate(fbb_, id, processed, specs));
  }

  Offset<fb::ExecutionPlan> plan(const ExecutionPlan& p) {
    const auto name = fbb_.CreateString(p.name);
    const auto in_text = fbb_.CreateString(p.encoded_inp_str);
    const auto out_text = fbb_.CreateString(p.encoded_out_str);
    const auto container = table(fb::CreateContainerMetadata(fbb_, in_text, out_text));
    const auto values = each<Offset<fb::EValue>>(p.values, [&](const EValue& v) { return evalue(v); });
    const auto inputs = fbb_.CreateVector(p.inputs);
    const auto outputs = fbb_.CreateVector(p.outputs);
    const auto chains =
        each<Offset<fb::Chain>>(p.chains, [&](const std::vector<Instruction>& instructions) { return chain(instructions); });
    const auto operators = each<Offset<fb::Operator>>(p.operators, [&](const Operator& op) {
      const auto op_name = fbb_.CreateString(op.name);
      const auto overload = fbb_.CreateString(op.overload);
      return table(fb::CreateOperator(fbb_, op_name, overload));
    });
    const auto delegates = each<Offset<fb::BackendDelegate>>(p.delegates, [&](const BackendDelegate& d) { return delegate(d); });
    const auto sizes = fbb_.CreateVector(p.non_const_buffer_sizes);
    return table(fb::CreateExecutionPlan(fbb_, name, container, values, inputs, outputs, chains, operators, delegates, sizes));
  }

  Offset<fb::SubsegmentOffsets> subsegment(const SubsegmentOffsets& s) {
    const auto offsets = fbb_.CreateVector(s.offsets);
    return table(fb::CreateSubsegmentOffsets(fbb_, s.segment_index, offsets));
  }

  Offset<fb::BackendDelegateInlineData> payload(const Blob& blob) {
    constexpr size_t alignment = 16;  // as the schema says
    const std::vector<std::byte> bytes = blob.bytes();
    fbb_.ForceVectorAlignment(bytes.size(), 1, alignment);
    const auto data = fbb_.CreateVector(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    return table(fb::CreateBackendDelegateInlineData(fbb_, data));
  }

  Offset<fb::Program> program_of(const Program& program, const std::vector<Blob>& inside) {
    const auto plans = each<Offset<fb::ExecutionPlan>>(program.execution_plan, [&](const ExecutionPlan& p) { return plan(p); });
    const auto constants = fbb_.CreateVector(std::vector<Offset<fb::Buffer>>());
    const auto payloads = each<Offset<fb::BackendDelegateInlineData>>(inside, [&](const Blob& blob) { return payload(blob); });
    const auto segments = each<Offset<fb::DataSegment>>(
        program.segments, [&](const DataSegment& s) { return table(fb::CreateDataSegment(fbb_, s.offset, s.size)); });
    Offset<fb::SubsegmentOffsets> constant_segment = 0;
    if (program.constant_segment) constant_segment = subsegment(*program.constant_segment);
    const auto mutable_segments =
        each<Offset<fb::SubsegmentOffsets>>(program.mutable_data_segments, [&](const SubsegmentOffsets& s) { return subsegment(s); });
    const auto named = each<Offset<fb::NamedData>>(program.named_data, [&](const NamedData& n) {
      const auto key = fbb_.CreateString(n.key);
      return table(fb::CreateNamedData(fbb_, key, n.segment_index));
    });
    return table(fb::CreateProgram(fbb_, program.version, plans, constants, payloads, segments, constant_segment, mutable_segments, named));
  }

  FlatBufferBuilder fbb_{1 << 16};
  size_t tables_ = 0;
};

}  // namespace

std::vector<std::byte> build_flatbuffer(const Program& program, const std::vector<Blob>& payloads) {
  return Builder().build(program, payloads);
}

}  // namespace intaglio::pte
