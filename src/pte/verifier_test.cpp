// Damage of every kind to a `.pte`: an error that names it, never a crash.
#include "pte/verifier.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "edge/edge_graphs_for_tests.h"
#include "pte/kernel_table.h"
#include "pte/writer.h"
#include "testing/source_dir.h"

namespace intaglio {
namespace {

using test::EdgeBuilder;

// One of everything: constants, state, lists, several results, a view, a delegate with named data.
std::vector<std::byte> sample_file() {
  EdgeBuilder b;
  Value* c = b.constant("c", Tensor::of<float>({1, 2, 3, 4}, {4}));
  Value* i = b.constant("i", Tensor::of<int64_t>({1, 0}, {2}));
  Value* state = b.buffer("state", Tensor::of<float>({1, 1, 1, 1}, {4}));
  Value* x = b.input("x", {4});
  Value* sum = b.op("aten.add.Tensor", {{"self", x}, {"other", c}}, {4});
  Value* next = b.op("aten.mul.Tensor", {{"self", sum}, {"other", state}}, {4});
  const std::vector<Value*> halves =
      b.list_op("aten.split_with_sizes_copy.default", {{"self", next}, {"split_sizes", std::vector<int64_t>{2, 2}}}, {{2}, {2}});
  Value* joined = b.op("aten.cat.default", {{"tensors", halves}}, {4});
  Value* picked = b.op("aten.index.Tensor", {{"self", joined}, {"indices", std::vector<Value*>{i}}}, {2});
  Value* norm =
      b.ops("aten.native_layer_norm.default",
            {{"input", picked}, {"normalized_shape", std::vector<int64_t>{2}}, {"weight", Argument()}, {"bias", Argument()}, {"eps", 1e-5}},
            {{2}, {1}, {1}})[0];
  Value* resized =
      b.op("aten.upsample_nearest2d.vec",
           {{"input", b.op("aten.view_copy.default", {{"self", norm}, {"size", std::vector<int64_t>{1, 1, 1, 2}}}, {1, 1, 1, 2})},
            {"output_size", Argument()},
            {"scale_factors", std::vector<double>{2.0, 2.0}}},
           {1, 1, 2, 4});
  Delegate delegate;
  delegate.backend_id = "XnnpackBackend";
  delegate.payload = test::xnnpack_like_payload();
  delegate.named_data.push_back({"w", std::vector<std::byte>(7, std::byte{1}), {}});
  delegate.compile_specs.push_back({"k", std::vector<std::byte>(3, std::byte{2})});
  b.mutation("state", next);
  b.output(b.delegate_call(std::move(delegate), {resized}, {{1, 1, 2, 4}})[0]);
  b.output(b.op("aten.gelu.default", {{"self", picked}, {"approximate", "tanh"}}, {2}));
  return std::move(b).lower({}).bytes();
}

// The sample's program with one thing changed, written again.
std::string rejected(const std::function<void(pte::Program&)>& change) {
  const std::vector<std::byte> original = sample_file();
  pte::ParsedProgram parsed = pte::parse_pte(original);
  change(parsed.program);
  try {
    pte::verify_program(parsed, original, {});
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "";
}

pte::TensorValue& first_tensor(pte::Program& program, const std::function<bool(const pte::TensorValue&)>& which) {
  for (pte::EValue& value : program.execution_plan[0].values)
    if (auto* tensor = std::get_if<pte::TensorValue>(&value); tensor != nullptr && which(*tensor)) return *tensor;
  throw_bug("no such tensor in the sample");
}
template <typename T>
T& first_value(pte::Program& program) {
  for (pte::EValue& value : program.execution_plan[0].values)
    if (T* found = std::get_if<T>(&value)) return *found;
  throw_bug("no such value in the sample");
}
template <typename T>
T& first_instruction(pte::Program& program) {
  for (pte::Instruction& instruction : program.execution_plan[0].chains[0])
    if (T* found = std::get_if<T>(&instruction)) return *found;
  throw_bug("no such instruction in the sample");
}
bool is_planned(const pte::TensorValue& t) { return t.allocation.has_value(); }
bool is_constant(const pte::TensorValue& t) { return !t.allocation && t.data_buffer_idx > 0; }
bool is_state(const pte::TensorValue& t) { return t.allocation && t.data_buffer_idx > 0; }

struct Damage {
  const char* expected;  // part of the message
  std::function<void(pte::Program&)> change;
};

TEST(PteVerifier, EveryKindOfWrongReferenceIsNamed) {
  const std::vector<Damage> damages = {
      {"version", [](pte::Program& p) { p.version = 3; }},
      {"no method", [](pte::Program& p) { p.execution_plan.clear(); }},
      {"has no name", [](pte::Program& p) { p.execution_plan[0].name.clear(); }},
      {"occurs twice", [](pte::Program& p) { p.execution_plan.push_back(p.execution_plan[0]); }},
      {"segment 0", [](pte::Program& p) { p.segments[0].size = 1 << 20; }},
      {"segment 1", [](pte::Program& p) { p.segments[1].offset = uint64_t{1} << 63; }},
      {"names segment", [](pte::Program& p) { p.constant_segment->segment_index = 99; }},
      {"behind its", [](pte::Program& p) { p.constant_segment->offsets[1] = 1 << 20; }},
      {"lists no offsets", [](pte::Program& p) { p.constant_segment->offsets.clear(); }},
      {"named data", [](pte::Program& p) { p.named_data[0].segment_index = 99; }},
      {"key 'w' occurs twice", [](pte::Program& p) { p.named_data.push_back(p.named_data[0]); }},
      {"element type", [](pte::Program& p) { first_tensor(p, is_planned).scalar_type = 9; }},
      {"negative size", [](pte::Program& p) { first_tensor(p, is_planned).sizes[0] = -4; }},
      {"entries of dim_order", [](pte::Program& p) { first_tensor(p, is_planned).dim_order.clear(); }},
      {"no permutation", [](pte::Program& p) { first_tensor(p, is_planned).dim_order[0] = 200; }},
      {"storage offset", [](pte::Program& p) { first_tensor(p, is_planned).storage_offset = 1; }},
      {"strided", [](pte::Program& p) { first_tensor(p, is_planned).layout = 2; }},
      {"upper bound", [](pte::Program& p) { first_tensor(p, is_planned).shape_dynamism = pte::ShapeDynamism::unbounded; }},
      {"memory block 0", [](pte::Program& p) { first_tensor(p, is_planned).allocation->memory_id = 0; }},
      {"memory block 9", [](pte::Program& p) { first_tensor(p, is_planned).allocation->memory_id = 9; }},
      {"of a memory block", [](pte::Program& p) { first_tensor(p, is_planned).allocation->offset = uint64_t{1} << 60; }},
      {"of a memory block", [](pte::Program& p) { p.execution_plan[0].non_const_buffer_sizes[1] = 8; }},
      {"non_const_buffer_sizes", [](pte::Program& p) { p.execution_plan[0].non_const_buffer_sizes.clear(); }},
      {"planned memory block", [](pte::Program& p) { p.execution_plan[0].non_const_buffer_sizes[1] = -1; }},
      {"is constant 77", [](pte::Program& p) { first_tensor(p, is_constant).data_buffer_idx = 77; }},
      {"of a segment", [](pte::Program& p) { first_tensor(p, is_constant).sizes[0] = 1000; }},
      {"2^40",
       [](pte::Program& p) {
         first_tensor(p, is_constant).sizes.assign(4, 2000000000);
         first_tensor(p, is_constant).dim_order = {0, 1, 2, 3};
       }},
      {"mutable data segment 5", [](pte::Program& p) { first_tensor(p, is_state).extra->mutable_data_segments_idx = 5; }},
      {"item of an IntList", [](pte::Program& p) { first_value<pte::IntList>(p).items[0] = 1 << 30; }},
      {"not an int", [](pte::Program& p) { first_value<pte::IntList>(p).items[0] = 0; }},
      {"stands behind it",
       [](pte::Program& p) { first_value<pte::TensorList>(p).items[0] = static_cast<int32_t>(p.execution_plan[0].values.size() - 1); }},
      {"stands behind it",
       [](pte::Program& p) {
         first_value<pte::OptionalTensorList>(p).items[0] = static_cast<int32_t>(p.execution_plan[0].values.size() - 1);
       }},
      {"an input is value", [](pte::Program& p) { p.execution_plan[0].inputs[0] = -1; }},
      {"an output is value", [](pte::Program& p) { p.execution_plan[0].outputs[0] = 4000; }},
      {"payload", [](pte::Program& p) { p.execution_plan[0].delegates[0].index = 50; }},
      {"has no id", [](pte::Program& p) { p.execution_plan[0].delegates[0].id.clear(); }},
      {"no chain", [](pte::Program& p) { p.execution_plan[0].chains.clear(); }},
      {"calls operator", [](pte::Program& p) { first_instruction<pte::KernelCall>(p).op_index = 99; }},
      {"argument of a kernel call", [](pte::Program& p) { first_instruction<pte::KernelCall>(p).args[0] = 9999; }},
      {"and the result are needed", [](pte::Program& p) { first_instruction<pte::KernelCall>(p).args.pop_back(); }},
      {"wrong kind for 'self'",
       [](pte::Program& p) {
         auto& args = first_instruction<pte::KernelCall>(p).args;
         args[0] = args[2];
       }},
      {"calls delegate", [](pte::Program& p) { first_instruction<pte::DelegateCall>(p).delegate_index = 1; }},
      {"argument of a delegate call", [](pte::Program& p) { first_instruction<pte::DelegateCall>(p).args[0] = -7; }},
      {"jumps to",
       [](pte::Program& p) {
         auto& plan = p.execution_plan[0];
         plan.chains[0].push_back(pte::JumpFalseCall{plan.inputs[0], 999});
       }},
      {"neither a bool",
       [](pte::Program& p) {
         p.execution_plan[0].chains[0].push_back(pte::JumpFalseCall{first_instruction<pte::KernelCall>(p).args[2], 0});
       }},
      {"source of a move", [](pte::Program& p) { p.execution_plan[0].chains[0].push_back(pte::MoveCall{-1, 0}); }},
      {"freed value", [](pte::Program& p) { p.execution_plan[0].chains[0].push_back(pte::FreeCall{12345}); }},
  };
  EXPECT_EQ(rejected([](pte::Program&) {}), "");
  for (size_t i = 0; i < damages.size(); ++i) {
    const std::string message = rejected(damages[i].change);
    EXPECT_NE(message.find(damages[i].expected), std::string::npos)
        << "damage " << i << ": expected '" << damages[i].expected << "', got '" << message << "'";
  }
}

TEST(PteVerifier, UnknownOperatorsOnlyWhereTheyMustBeKnown) {
  const std::vector<std::byte> file = sample_file();
  pte::ParsedProgram parsed = pte::parse_pte(file);
  parsed.program.execution_plan[0].operators[0] = {"mine::op", "out"};
  EXPECT_NO_THROW(pte::verify_program(parsed, file, {}));
  EXPECT_THROW(pte::verify_program(parsed, file, {.require_known_operators = true}), Error);
}

TEST(PteVerifier, TruncationIsAlwaysSeen) {
  const std::vector<std::byte> file = sample_file();
  ASSERT_LE(file.size(), 16384u);
  for (size_t size = 0; size < file.size(); ++size) EXPECT_THROW(verify_pte(std::span(file).first(size)), Error) << size;
}

// Every word, several values; every byte, every bit. What is still valid is summarised.
TEST(PteVerifier, MutationsNeverCrash) {
  const std::vector<std::byte> file = sample_file();
  size_t refused = 0, taken = 0;
  const auto attempt = [&](const std::vector<std::byte>& bytes) {
    try {
      pte::read_pte_summary(bytes);
      ++taken;
    } catch (const Error& error) {
      ASSERT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
      ++refused;
    }
  };
  std::vector<std::byte> bytes = file;
  for (size_t word = 0; word + 4 <= file.size(); word += 4) {
    uint32_t original = 0;
    std::memcpy(&original, file.data() + word, 4);
    for (const uint32_t value :
         {0u, 1u, 0xffffffffu, 0x80000000u, 0x7fffffffu, original + 1, original - 1, original + 4, original ^ 0x100u}) {
      std::memcpy(bytes.data() + word, &value, 4);
      attempt(bytes);
    }
    std::memcpy(bytes.data() + word, &original, 4);
  }
  for (size_t i = 0; i < file.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      bytes[i] = file[i] ^ std::byte{static_cast<uint8_t>(1 << bit)};
      attempt(bytes);
    }
    bytes[i] = file[i];
  }
  EXPECT_GT(refused, 1000u);
  EXPECT_GT(taken, 1000u);
}

// Flatbuffer verification lets this one pass.
TEST(PteVerifier, MisalignedListIsRefused) {
  const auto file = MappedFile::open(test::source_dir() / "tests/corpus/pte_reader_fuzz/misaligned_list");
  EXPECT_THROW(verify_pte(file->bytes()), Error);
}

TEST(PteVerifier, BytesAtAnyAddressAreRead) {
  const std::vector<std::byte> file = sample_file();
  std::vector<std::byte> shifted(file.size() + 16);
  for (size_t shift = 0; shift < 16; ++shift) {
    std::copy(file.begin(), file.end(), shifted.begin() + static_cast<std::ptrdiff_t>(shift));
    EXPECT_NO_THROW(verify_pte(std::span(shifted).subspan(shift, file.size())));
  }
}

TEST(PteReader, SummarySaysWhatIsInside) {
  const pte::PteSummary summary = pte::read_pte_summary(sample_file());
  ASSERT_EQ(summary.methods.size(), 1u);
  const pte::PteMethod& method = summary.methods[0];
  EXPECT_EQ(method.name, "forward");
  ASSERT_EQ(method.inputs.size(), 1u);
  EXPECT_EQ(method.inputs[0].dtype, "float32");
  EXPECT_EQ(method.inputs[0].sizes, (std::vector<int64_t>{4}));
  EXPECT_TRUE(method.inputs[0].planned);
  ASSERT_EQ(method.outputs.size(), 2u);
  EXPECT_EQ(method.outputs[0].sizes, (std::vector<int64_t>{1, 1, 2, 4}));
  EXPECT_EQ(method.operators[0], (std::pair<std::string, size_t>{"aten::add.out", 1}));
  EXPECT_EQ(method.operators.back(), (std::pair<std::string, size_t>{"aten::copy_", 1}));
  ASSERT_EQ(method.delegates.size(), 1u);
  EXPECT_EQ(method.delegates[0].id, "XnnpackBackend");
  EXPECT_EQ(method.delegates[0].payload_size, 48u);
  EXPECT_EQ(method.delegates[0].calls, 1u);
  EXPECT_EQ(summary.constants, 2u);
  EXPECT_EQ(summary.constant_bytes, 32u);
  EXPECT_EQ(summary.mutable_state_bytes, 16u);
  EXPECT_EQ(summary.named_data, (std::vector<std::pair<std::string, uint64_t>>{{"w", 7}}));
}

TEST(KernelTable, EveryRowParsesAndIsFound) {
  EXPECT_EQ(all_kernels().size(), 259u);
  for (const Kernel& kernel : all_kernels()) {
    EXPECT_EQ(find_kernel(kernel.key), &kernel);
    if (!kernel.functional.empty()) { EXPECT_EQ(kernel_for(kernel.functional), &kernel) << kernel.key; }
    if (kernel.schema_text.empty()) continue;
    const OpSchema& schema = schema_of(kernel);
    EXPECT_FALSE(schema.arguments.empty()) << kernel.key;
    // Every argument of the kernel is the functional op's, has a default, or is a result.
    const OpSchema* functional = kernel.functional.empty() ? nullptr : find_schema(kernel.functional);
    if (functional == nullptr) continue;
    for (const ArgSchema& argument : schema.arguments) {
      const bool result = argument.mutated && argument.keyword_only;
      EXPECT_TRUE(result || functional->find(argument.name) != nullptr || argument.default_text) << kernel.key << " " << argument.name;
    }
  }
  EXPECT_EQ(kernel_for("aten.add.Tensor")->key, "aten::add.out");
  EXPECT_EQ(kernel_for("aten.pow.Tensor_Scalar")->key, "aten::pow.Tensor_Scalar_out");
  EXPECT_EQ(kernel_for("aten.sort.default"), nullptr);
  EXPECT_EQ(find_kernel("aten::copy_")->overload(), "");
}

}  // namespace
}  // namespace intaglio
