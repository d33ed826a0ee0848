// Damage of every kind to a `.pte`: an error that names it, never a crash.
#include "pte/verifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "pte/summary.h"
#include "pte/writer.h"
#include "testing/source_dir.h"

namespace intaglio::pte {
namespace {

// A method put together value by value.
class MethodBuilder {
 public:
  int32_t add(EValue value) {
    plan_.values.push_back(std::move(value));
    return static_cast<int32_t>(plan_.values.size() - 1);
  }
  // In the memory plan, nothing shared.
  TensorValue planned(std::vector<int32_t> sizes, DType dtype = DType::float32) {
    TensorValue tensor = of_type(std::move(sizes), dtype);
    tensor.allocation = Allocation{1, static_cast<uint64_t>(plan_.non_const_buffer_sizes[1])};
    plan_.non_const_buffer_sizes[1] += 64;
    return tensor;
  }
  static TensorValue constant(std::vector<int32_t> sizes, DType dtype, uint32_t index) {
    TensorValue tensor = of_type(std::move(sizes), dtype);
    tensor.data_buffer_idx = index;
    return tensor;
  }
  // The result is the last of `args`.
  int32_t call(const char* name, const char* overload, std::vector<int32_t> args) {
    const int32_t result = args.back();
    plan_.chains[0].push_back(KernelCall{static_cast<int32_t>(plan_.operators.size()), std::move(args)});
    plan_.operators.push_back({name, overload});
    return result;
  }
  ExecutionPlan& plan() { return plan_; }

 private:
  static TensorValue of_type(std::vector<int32_t> sizes, DType dtype) {
    TensorValue tensor;
    tensor.scalar_type = scalar_type_of(dtype);
    for (size_t i = 0; i < sizes.size(); ++i) tensor.dim_order.push_back(static_cast<uint8_t>(i));
    tensor.sizes = std::move(sizes);
    return tensor;
  }

  ExecutionPlan plan_{.name = "forward", .chains = {{}}, .non_const_buffer_sizes = {0, 0}};
};

// One of everything: constants, state, lists, several results, a delegate with named data.
std::vector<std::byte> sample_file() {
  MethodBuilder b;
  const int32_t c = b.add(b.constant({4}, DType::float32, 1));
  const int32_t i = b.add(b.constant({2}, DType::int64, 2));
  TensorValue initialized = b.planned({4});
  initialized.data_buffer_idx = 1;
  initialized.extra = TensorValue::Extra{0, "state", false};
  const int32_t x = b.add(b.planned({4}));
  const int32_t state = b.add(std::move(initialized));
  const int32_t none = b.add(Null{}), zero = b.add(int64_t{0}), one = b.add(int64_t{1}), two = b.add(int64_t{2}), no = b.add(false);
  const auto twice = [&](std::vector<int32_t> args) {
    args.push_back(args.back());
    return args;
  };

  int32_t last = b.add(b.planned({4}));
  last = b.call("aten::add", "out", twice({x, c, one, last}));
  const int32_t next = b.call("aten::mul", "out", twice({last, state, b.add(b.planned({4}))}));
  const int32_t halves = b.add(TensorList{{b.add(b.planned({2})), b.add(b.planned({2}))}});
  b.call("aten::split_with_sizes_copy", "out", twice({next, b.add(IntList{{two, two}}), zero, halves}));
  const int32_t joined = b.call("aten::cat", "out", twice({halves, zero, b.add(b.planned({4}))}));
  const int32_t indices = b.add(OptionalTensorList{{i}});
  const int32_t picked = b.call("aten::index", "Tensor_out", twice({joined, indices, b.add(b.planned({2}))}));
  const int32_t norm = b.add(b.planned({2})), mean = b.add(b.planned({1})), rstd = b.add(b.planned({1}));
  b.call("aten::native_layer_norm", "out",
         {picked, b.add(IntList{{two}}), none, none, b.add(1e-5), norm, mean, rstd, b.add(TensorList{{norm, mean, rstd}})});
  const int32_t image =
      b.call("aten::view_copy", "out", twice({norm, b.add(IntList{{one, one, one, two}}), b.add(b.planned({1, 1, 1, 2}))}));
  const int32_t resized =
      b.call("aten::upsample_nearest2d", "vec_out", twice({image, none, b.add(DoubleList{{2.0, 2.0}}), b.add(b.planned({1, 1, 2, 4}))}));
  const int32_t delegated = b.add(b.planned({1, 1, 2, 4}));
  b.plan().delegates.push_back({.id = "SomeBackend", .compile_specs = {{"k", {2, 2, 2}}}});
  b.plan().chains[0].push_back(DelegateCall{0, {resized, delegated}});
  const int32_t gelu = b.call("aten::gelu", "out", twice({picked, b.add(std::string("tanh")), b.add(b.planned({2}))}));
  b.call("aten::copy_", "", {state, next, no, state});
  b.plan().inputs = {x};
  b.plan().outputs = {delegated, gelu};

  const std::vector<std::byte> sixteen(16, std::byte{1}), payload(48), weight(7, std::byte{1});
  Program program;
  program.execution_plan.push_back(b.plan());
  return assemble(program,
                  {.constants = {sixteen, sixteen}, .mutable_state = {sixteen}, .payloads = {payload}, .named_data = {{"w", weight}}})
      .bytes();
}

// The sample's program with one thing changed, written again.
std::string rejected(const std::function<void(Program&)>& change) {
  const std::vector<std::byte> original = sample_file();
  ParsedProgram parsed = parse_pte(original);
  change(parsed.program);
  try {
    verify_program(parsed, original);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos);
    return error.what();
  }
  return "";
}

TensorValue& first_tensor(Program& program, const std::function<bool(const TensorValue&)>& which) {
  for (EValue& value : program.execution_plan[0].values)
    if (auto* tensor = std::get_if<TensorValue>(&value); tensor != nullptr && which(*tensor)) return *tensor;
  throw_bug("no such tensor in the sample");
}
template <typename T>
T& first_value(Program& program) {
  for (EValue& value : program.execution_plan[0].values)
    if (T* found = std::get_if<T>(&value)) return *found;
  throw_bug("no such value in the sample");
}
template <typename T>
T& first_instruction(Program& program) {
  for (Instruction& instruction : program.execution_plan[0].chains[0])
    if (T* found = std::get_if<T>(&instruction)) return *found;
  throw_bug("no such instruction in the sample");
}
bool is_planned(const TensorValue& t) { return t.allocation.has_value(); }
bool is_constant(const TensorValue& t) { return !t.allocation && t.data_buffer_idx > 0; }
bool is_state(const TensorValue& t) { return t.allocation && t.data_buffer_idx > 0; }

struct Damage {
  const char* expected;  // part of the message
  std::function<void(Program&)> change;
};

TEST(PteVerifier, EveryKindOfWrongReferenceIsNamed) {
  const std::vector<Damage> damages = {
      {"version", [](Program& p) { p.version = 3; }},
      {"no method", [](Program& p) { p.execution_plan.clear(); }},
      {"has no name", [](Program& p) { p.execution_plan[0].name.clear(); }},
      {"occurs twice", [](Program& p) { p.execution_plan.push_back(p.execution_plan[0]); }},
      {"segment 0", [](Program& p) { p.segments[0].size = 1 << 20; }},
      {"segment 1", [](Program& p) { p.segments[1].offset = uint64_t{1} << 63; }},
      {"names segment", [](Program& p) { p.constant_segment->segment_index = 99; }},
      {"behind its", [](Program& p) { p.constant_segment->offsets[1] = 1 << 20; }},
      {"lists no offsets", [](Program& p) { p.constant_segment->offsets.clear(); }},
      {"named data", [](Program& p) { p.named_data[0].segment_index = 99; }},
      {"key 'w' occurs twice", [](Program& p) { p.named_data.push_back(p.named_data[0]); }},
      {"element type", [](Program& p) { first_tensor(p, is_planned).scalar_type = 99; }},
      {"negative size", [](Program& p) { first_tensor(p, is_planned).sizes[0] = -4; }},
      {"entries of dim_order", [](Program& p) { first_tensor(p, is_planned).dim_order.clear(); }},
      {"no permutation", [](Program& p) { first_tensor(p, is_planned).dim_order[0] = 200; }},
      {"storage offset", [](Program& p) { first_tensor(p, is_planned).storage_offset = 1; }},
      {"strided", [](Program& p) { first_tensor(p, is_planned).layout = 2; }},
      {"upper bound", [](Program& p) { first_tensor(p, is_planned).shape_dynamism = ShapeDynamism::unbounded; }},
      {"memory block 0", [](Program& p) { first_tensor(p, is_planned).allocation->memory_id = 0; }},
      {"memory block 9", [](Program& p) { first_tensor(p, is_planned).allocation->memory_id = 9; }},
      {"of a memory block", [](Program& p) { first_tensor(p, is_planned).allocation->offset = uint64_t{1} << 60; }},
      {"of a memory block", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes[1] = 8; }},
      {"non_const_buffer_sizes", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes.clear(); }},
      {"together", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes.assign(3, int64_t{1} << 39); }},
      {"planned memory block", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes[1] = -1; }},
      {"planned memory block 1 has 2400000000 bytes", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes[1] = 2400000000; }},
      {"its tensors need 0 together", [](Program& p) { p.execution_plan[0].non_const_buffer_sizes.push_back(1 << 20); }},
      {"is constant 77", [](Program& p) { first_tensor(p, is_constant).data_buffer_idx = 77; }},
      {"of a segment", [](Program& p) { first_tensor(p, is_constant).sizes[0] = 1000; }},
      {"2^40",
       [](Program& p) {
         first_tensor(p, is_constant).sizes.assign(4, 2000000000);
         first_tensor(p, is_constant).dim_order = {0, 1, 2, 3};
       }},
      {"mutable data segment 5", [](Program& p) { first_tensor(p, is_state).extra->mutable_data_segments_idx = 5; }},
      {"item of an IntList", [](Program& p) { first_value<IntList>(p).items[0] = 1 << 30; }},
      {"not an int", [](Program& p) { first_value<IntList>(p).items[0] = 0; }},
      {"stands behind it",
       [](Program& p) { first_value<TensorList>(p).items[0] = static_cast<int32_t>(p.execution_plan[0].values.size() - 1); }},
      {"stands behind it",
       [](Program& p) { first_value<OptionalTensorList>(p).items[0] = static_cast<int32_t>(p.execution_plan[0].values.size() - 1); }},
      {"an input is value", [](Program& p) { p.execution_plan[0].inputs[0] = -1; }},
      {"an output is value", [](Program& p) { p.execution_plan[0].outputs[0] = 4000; }},
      {"payload", [](Program& p) { p.execution_plan[0].delegates[0].index = 50; }},
      {"has no id", [](Program& p) { p.execution_plan[0].delegates[0].id.clear(); }},
      {"no chain", [](Program& p) { p.execution_plan[0].chains.clear(); }},
      {"calls operator", [](Program& p) { first_instruction<KernelCall>(p).op_index = 99; }},
      {"argument of a kernel call", [](Program& p) { first_instruction<KernelCall>(p).args[0] = 9999; }},
      {"and the result are needed", [](Program& p) { first_instruction<KernelCall>(p).args.pop_back(); }},
      {"wrong kind for 'self'",
       [](Program& p) {
         auto& args = first_instruction<KernelCall>(p).args;
         args[0] = args[2];
       }},
      {"calls delegate", [](Program& p) { first_instruction<DelegateCall>(p).delegate_index = 1; }},
      {"argument of a delegate call", [](Program& p) { first_instruction<DelegateCall>(p).args[0] = -7; }},
      {"jumps to",
       [](Program& p) {
         auto& plan = p.execution_plan[0];
         plan.chains[0].push_back(JumpFalseCall{plan.inputs[0], 999});
       }},
      {"neither a bool",
       [](Program& p) { p.execution_plan[0].chains[0].push_back(JumpFalseCall{first_instruction<KernelCall>(p).args[2], 0}); }},
      {"source of a move", [](Program& p) { p.execution_plan[0].chains[0].push_back(MoveCall{-1, 0}); }},
      {"freed value", [](Program& p) { p.execution_plan[0].chains[0].push_back(FreeCall{12345}); }},
  };
  EXPECT_EQ(rejected([](Program&) {}), "");
  for (size_t i = 0; i < damages.size(); ++i) {
    const std::string message = rejected(damages[i].change);
    EXPECT_NE(message.find(damages[i].expected), std::string::npos)
        << "damage " << i << ": expected '" << damages[i].expected << "', got '" << message << "'";
  }
}

TEST(PteVerifier, UnknownOperatorsOnlyWhereTheyMustBeKnown) {
  const std::vector<std::byte> file = sample_file();
  ParsedProgram parsed = parse_pte(file);
  parsed.program.execution_plan[0].operators[0] = {"mine::op", "out"};
  EXPECT_NO_THROW(verify_program(parsed, file));
  EXPECT_THROW(verify_program(parsed, file, {.require_known_operators = true}), Error);
}

TEST(PteVerifier, EveryPayloadIsShownToItsBackend) {
  const std::vector<std::byte> file = sample_file();
  size_t calls = 0;
  verify_pte(file, {.check_payload = [&](std::string_view backend_id, std::span<const std::byte> payload) {
               EXPECT_EQ(backend_id, "SomeBackend");
               EXPECT_TRUE(std::ranges::equal(payload, std::vector<std::byte>(48)));
               ++calls;
             }});
  EXPECT_EQ(calls, 1u);
  EXPECT_THROW(verify_pte(file, {.check_payload = [](auto, auto) { throw_bad_input("damaged"); }}), Error);
}

// Files from before constants had a segment may state an empty one, and runtimes take None for an absent index.
TEST(PteVerifier, OlderFormsAreTaken) {
  const std::vector<std::byte> file = sample_file();
  ParsedProgram parsed = parse_pte(file);
  first_value<OptionalTensorList>(parsed.program).items.push_back(4);
  ASSERT_TRUE(std::holds_alternative<Null>(parsed.program.execution_plan[0].values[4]));
  EXPECT_NO_THROW(verify_program(parsed, file));
  parsed.program.constant_buffer = {{}, {64, 16}, {64, 16}};
  parsed.program.constant_segment->offsets.clear();
  EXPECT_NO_THROW(verify_program(parsed, file));
  EXPECT_EQ(summarize(parsed).constant_bytes, 32u);
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
      summarize(verify_pte(bytes));
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
  const auto file = MappedFile::open(test::source_dir() / "tests/corpus/pte_fuzz/misaligned_list");
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
  const PteSummary summary = summarize(verify_pte(sample_file()));
  ASSERT_EQ(summary.methods.size(), 1u);
  const PteMethod& method = summary.methods[0];
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
  EXPECT_EQ(method.delegates[0].id, "SomeBackend");
  EXPECT_EQ(method.delegates[0].payload_size, 48u);
  EXPECT_EQ(method.delegates[0].calls, 1u);
  EXPECT_EQ(summary.constants, 2u);
  EXPECT_EQ(summary.constant_bytes, 32u);
  EXPECT_EQ(summary.mutable_state_bytes, 16u);
  EXPECT_EQ(summary.named_data, (std::vector<std::pair<std::string, uint64_t>>{{"w", 7}}));
}

}  // namespace
}  // namespace intaglio::pte
