// Hand-built edge graphs, decoded value by value.
#include <gtest/gtest.h>

#include <fstream>

#include <intaglio/edge.h>
#include <intaglio/error.h>

#include "edge/edge_programs_for_tests.h"
#include "edge/emit/memory_planning.h"
#include "pte/verifier.h"
#include "testing/errors.h"

namespace intaglio::edge {
namespace {

using test::edge_of;
using test::method_of;
using test::ProgramBuilder;

pte::ParsedProgram parsed(ProgramBuilder& builder, const ExecutorchOptions& options = {}, std::optional<Delegate> delegate = {}) {
  const std::vector<std::byte> bytes = edge_of(builder, std::move(delegate)).to_executorch(options).bytes();
  return pte::verify_pte(bytes, {.require_known_operators = true});
}

template <typename T>
const T& get(const pte::ExecutionPlan& plan, int32_t id) {
  return std::get<T>(plan.values[id]);
}

std::vector<int32_t> args_of(const pte::ExecutionPlan& plan, size_t instruction) {
  return std::get<pte::KernelCall>(plan.chains[0][instruction]).args;
}

std::string expect_error(ProgramBuilder& builder, ErrorKind kind) {
  return test::refusal_of(kind, [&] { edge_of(builder).to_executorch(); });
}

// (x + c) * x
TEST(Emission, AddMulIsByteForByteAsDocumented) {
  ProgramBuilder b;
  Value* c = b.constant("c", Tensor::of<float>({10, 20, 30, 40, 50, 60}, {2, 3}));
  Value* x = b.input("x", {2, 3});
  Value* sum = b.call("aten.add.Tensor", {{"self", x}, {"other", c}}, {2, 3});
  b.output(b.call("aten.mul.Tensor", {{"self", sum}, {"other", x}}, {2, 3}));
  const std::vector<std::byte> bytes = edge_of(b).to_executorch().bytes();
  const pte::ParsedProgram file = pte::verify_pte(bytes, {.require_known_operators = true});
  const pte::ExecutionPlan& plan = file.program.execution_plan.at(0);

  EXPECT_EQ(plan.name, "forward");
  EXPECT_EQ(plan.inputs, std::vector<int32_t>{1});
  ASSERT_EQ(plan.values.size(), 5u);
  EXPECT_EQ(get<pte::TensorValue>(plan, 0).data_buffer_idx, 1u);
  EXPECT_FALSE(get<pte::TensorValue>(plan, 0).allocation.has_value());
  EXPECT_EQ(get<pte::TensorValue>(plan, 1).sizes, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(get<pte::TensorValue>(plan, 1).scalar_type, 6);
  EXPECT_EQ(get<pte::TensorValue>(plan, 1).dim_order, (std::vector<uint8_t>{0, 1}));
  EXPECT_EQ(get<int64_t>(plan, 3), 1);  // alpha
  ASSERT_EQ(plan.operators.size(), 2u);
  EXPECT_EQ(plan.operators[0].name, "aten::add");
  EXPECT_EQ(plan.operators[0].overload, "out");
  EXPECT_EQ(plan.operators[1].name, "aten::mul");
  EXPECT_EQ(args_of(plan, 0), (std::vector<int32_t>{1, 0, 3, 2, 2}));
  EXPECT_EQ(args_of(plan, 1), (std::vector<int32_t>{2, 1, 4, 4}));
  EXPECT_EQ(plan.outputs, std::vector<int32_t>{4});
  EXPECT_EQ(plan.non_const_buffer_sizes, (std::vector<int64_t>{0, 96}));

  ASSERT_EQ(file.program.segments.size(), 1u);
  EXPECT_EQ(file.program.segments[0].size, 24u);
  EXPECT_EQ(file.program.constant_segment->offsets, (std::vector<uint64_t>{0, 0}));
  EXPECT_EQ(file.layout.segment_base_offset % 128, 0u);
  EXPECT_EQ(bytes.size(), file.layout.segment_base_offset + 24);
  float first = 0;
  std::memcpy(&first, bytes.data() + file.layout.segment_base_offset, 4);
  EXPECT_EQ(first, 10.0f);
}

TEST(Emission, SameProgramSameBytes) {
  const auto make = [] {
    ProgramBuilder b;
    Value* x = b.input("x", {4});
    b.output(b.call("aten.relu.default", {{"self", x}}, {4}));
    return edge_of(b).to_executorch().bytes();
  };
  const std::vector<std::byte> bytes = make();
  EXPECT_EQ(bytes, make());
  EXPECT_GE(bytes.size(), 64u);
  // No data: a plain flatbuffer without the extended header.
  EXPECT_NE(std::memcmp(bytes.data() + 8, "eh00", 4), 0);
}

TEST(Emission, SeveralResultsBecomeOutArgumentsAndOneList) {
  ProgramBuilder b;
  Value* x = b.input("x", {2, 8});
  const std::vector<Value*> out =
      b.raw("aten.native_layer_norm.default",
            {{"input", x}, {"normalized_shape", std::vector<int64_t>{8}}, {"weight", Argument()}, {"bias", Argument()}, {"eps", 1e-5}},
            {{2, 8}, {2, 1}, {2, 1}})
          .outputs();
  b.output(out[0]);
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  const std::vector<int32_t> args = args_of(plan, 0);
  ASSERT_EQ(args.size(), 9u);
  const auto& shape = get<pte::IntList>(plan, args[1]);
  ASSERT_EQ(shape.items.size(), 1u);
  EXPECT_EQ(get<int64_t>(plan, static_cast<int32_t>(shape.items[0])), 8);
  EXPECT_EQ(plan.values[args[2]].index(), 0u);
  EXPECT_EQ(get<double>(plan, args[4]), 1e-5);
  EXPECT_EQ(get<pte::TensorList>(plan, args[8]).items, (std::vector<int32_t>{args[5], args[6], args[7]}));
}

TEST(Emission, ListOfResultsIsGivenTwice) {
  ProgramBuilder b;
  Value* x = b.input("x", {2, 6});
  const std::vector<Value*> parts =
      b.raw("aten.split_with_sizes_copy.default", {{"self", x}, {"split_sizes", std::vector<int64_t>{2, 4}}, {"dim", 1}}, {{2, 2}, {2, 4}},
            {{true, 2}})
          .outputs();
  b.output(parts[0]);
  b.output(parts[1]);
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  const std::vector<int32_t> args = args_of(plan, 0);
  ASSERT_EQ(args.size(), 5u);
  EXPECT_EQ(get<pte::TensorList>(plan, args[3]).items, plan.outputs);
  EXPECT_EQ(get<pte::TensorList>(plan, args[4]).items, plan.outputs);
  EXPECT_NE(args[3], args[4]);
}

TEST(Emission, OptionalTensorListHoldsNone) {
  ProgramBuilder b;
  Value* x = b.input("x", {3, 4});
  Value* index = b.constant("i", Tensor::of<int64_t>({2, 0}, {2}));
  b.output(b.call("aten.index.Tensor", {{"self", x}, {"indices", std::vector<Value*>{nullptr, index}}}, {3, 2}));
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  EXPECT_EQ(get<pte::OptionalTensorList>(plan, args_of(plan, 0)[1]).items, (std::vector<int32_t>{-1, 0}));
}

TEST(Emission, FloatArgumentsBecomeDoublesAndScalarsStay) {
  ProgramBuilder b;
  Value* x = b.input("x", {4});
  Value* clamped = b.call("aten.hardtanh.default", {{"self", x}, {"min_val", 0}, {"max_val", 6}}, {4});
  Value* q = b.call("quantized_decomposed.quantize_per_tensor.default",
                    {{"input", clamped}, {"scale", 1}, {"zero_point", 0}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", DType::int8}},
                    {{4}, DType::int8});
  b.output(q);
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  EXPECT_EQ(get<int64_t>(plan, args_of(plan, 0)[2]), 6);   // Scalar: an int stays an int
  EXPECT_EQ(get<double>(plan, args_of(plan, 1)[1]), 1.0);  // float: an int would stop the process
  EXPECT_EQ(get<int64_t>(plan, args_of(plan, 1)[5]), 1);   // int8 in ExecuTorch's numbering
}

TEST(Emission, ViewsShareMemoryUnlessReturned) {
  ProgramBuilder b;
  Value* x = b.input("x", {2, 6});
  Value* y = b.call("aten.relu.default", {{"self", x}}, {2, 6});
  Value* v = b.call("aten.view_copy.default", {{"self", y}, {"size", std::vector<int64_t>{3, 4}}}, {3, 4});
  Value* z = b.call("aten.neg.default", {{"self", v}}, {3, 4});
  b.output(b.call("aten.view_copy.default", {{"self", z}, {"size", std::vector<int64_t>{12}}}, {12}));
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  ASSERT_EQ(plan.chains[0].size(), 3u);  // relu, neg, the returned view
  const int32_t relu_out = args_of(plan, 0).back();
  const int32_t neg_in = args_of(plan, 1)[0];
  EXPECT_NE(relu_out, neg_in);
  EXPECT_EQ(get<pte::TensorValue>(plan, relu_out).allocation->offset, get<pte::TensorValue>(plan, neg_in).allocation->offset);
  EXPECT_EQ(get<pte::TensorValue>(plan, neg_in).sizes, (std::vector<int32_t>{3, 4}));
  EXPECT_EQ(plan.operators[2].name, "aten::view_copy");
}

TEST(Emission, ViewOfAConstantIsAConstant) {
  ProgramBuilder b;
  Value* c = b.constant("c", Tensor::of<float>({1, 2, 3, 4}, {2, 2}));
  Value* x = b.input("x", {4});
  Value* v = b.call("aten.view_copy.default", {{"self", c}, {"size", std::vector<int64_t>{4}}}, {4});
  b.output(b.call("aten.add.Tensor", {{"self", x}, {"other", v}}, {4}));
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  ASSERT_EQ(plan.chains[0].size(), 1u);
  EXPECT_EQ(get<pte::TensorValue>(plan, args_of(plan, 0)[1]).data_buffer_idx, 1u);
}

TEST(Emission, EqualConstantsAreStoredOnceAcrossTypesAndMethods) {
  ProgramBuilder a;
  Value* x = a.input("x", {2});
  Value* c1 = a.constant("c1", Tensor::of<float>({1, 2}, {2}));
  Value* c2 = a.constant("c2", Tensor::of<float>({1, 2}, {2, 1}));
  Value* c3 = a.constant("c3", Tensor::of<float>({1, 3}, {2}));
  Value* y = a.call("aten.add.Tensor", {{"self", x}, {"other", c1}}, {2});
  y = a.call("aten.add.Tensor", {{"self", y}, {"other", c3}}, {2});
  a.output(a.call("aten.mul.Tensor", {{"self", y}, {"other", c2}}, {2, 2}));
  ProgramBuilder other;
  Value* z = other.input("z", {2});
  Value* c4 = other.constant("c4", Tensor::of<float>({1, 3}, {2}));
  other.output(other.call("aten.mul.Tensor", {{"self", z}, {"other", c4}}, {2}));

  EdgeProgram edge;
  edge.methods.push_back(method_of(other, "second"));
  edge.methods.push_back(method_of(a, "first"));
  const std::vector<std::byte> bytes = std::move(edge).to_executorch().bytes();
  const pte::ParsedProgram file = pte::verify_pte(bytes);
  ASSERT_EQ(file.program.execution_plan.size(), 2u);
  EXPECT_EQ(file.program.execution_plan[0].name, "first");
  EXPECT_EQ(file.program.constant_segment->offsets, (std::vector<uint64_t>{0, 0, 16}));
  EXPECT_EQ(file.program.segments[0].size, 24u);
}

TEST(Emission, MutatedBuffersAreWrittenBackAndKeepTheirState) {
  ProgramBuilder b;
  Value* state = b.buffer("state", Tensor::of<float>({5, 6}, {2}));
  Value* zero = b.buffer("zero", Tensor::zeros(DType::float32, {2}));
  Value* x = b.input("x", {2});
  Value* sum = b.call("aten.add.Tensor", {{"self", state}, {"other", x}}, {2});
  Value* sum2 = b.call("aten.add.Tensor", {{"self", zero}, {"other", sum}}, {2});
  b.mutation("state", sum);
  b.mutation("zero", sum2);
  b.output(sum2);
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  ASSERT_EQ(plan.chains[0].size(), 4u);
  EXPECT_EQ(plan.operators.back().name, "aten::copy_");
  EXPECT_EQ(plan.operators.back().overload, "");
  const std::vector<int32_t> copy = args_of(plan, 2);
  ASSERT_EQ(copy.size(), 4u);
  EXPECT_EQ(copy[0], copy[3]);
  EXPECT_EQ(plan.outputs.size(), 1u);
  const auto& kept = get<pte::TensorValue>(plan, copy[0]);
  EXPECT_EQ(kept.data_buffer_idx, 1u);
  EXPECT_TRUE(kept.allocation.has_value());
  EXPECT_EQ(get<pte::TensorValue>(plan, args_of(plan, 3)[0]).data_buffer_idx, 0u);  // zeros need no copy
  ASSERT_EQ(file.program.mutable_data_segments.size(), 1u);
  EXPECT_EQ(file.program.mutable_data_segments[0].segment_index, 1u);
  EXPECT_EQ(file.program.segments[1].size, 8u);
}

TEST(Emission, BuffersThatChangePlacesAreClonedFirst) {
  ProgramBuilder b;
  Value* p = b.buffer("p", Tensor::of<float>({1}, {1}));
  Value* q = b.buffer("q", Tensor::of<float>({2}, {1}));
  b.mutation("p", q);
  b.mutation("q", p);
  b.output(p);
  const pte::ParsedProgram file = parsed(b);
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  ASSERT_EQ(plan.chains[0].size(), 5u);  // three clones, two copies
  EXPECT_EQ(plan.operators[0].name, "dim_order_ops::_clone_dim_order");
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(std::get<pte::KernelCall>(plan.chains[0][i]).op_index, 0);
}

TEST(Emission, MemoryOfTheCallerIsLeftAlone) {
  ProgramBuilder b;
  Value* x = b.input("x", {4});
  Value* y = b.call("aten.relu.default", {{"self", x}}, {4});
  b.output(b.call("aten.neg.default", {{"self", y}}, {4}));
  const pte::ParsedProgram file = parsed(b, {.plan_inputs = false, .plan_outputs = false});
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  EXPECT_FALSE(get<pte::TensorValue>(plan, plan.inputs[0]).allocation.has_value());
  EXPECT_FALSE(get<pte::TensorValue>(plan, plan.outputs[0]).allocation.has_value());
  EXPECT_EQ(plan.non_const_buffer_sizes, (std::vector<int64_t>{0, 16}));
}

TEST(Emission, MutatedInputsAreWrittenOnlyInTheCallersMemory) {
  const auto make = [] {
    ProgramBuilder b;
    Value* x = b.input("x", {4});
    Value* y = b.call("aten.relu.default", {{"self", x}}, {4});
    b.output(y, {OutputSpec::Kind::user_input_mutation, "x"});
    b.output(b.call("aten.neg.default", {{"self", y}}, {4}));
    return b;
  };
  ProgramBuilder planned = make();
  const pte::ParsedProgram inside = parsed(planned);
  EXPECT_EQ(inside.program.execution_plan[0].chains[0].size(), 2u);
  EXPECT_EQ(inside.program.execution_plan[0].outputs.size(), 1u);
  ProgramBuilder shared = make();
  const pte::ParsedProgram outside = parsed(shared, {.plan_inputs = false});
  const pte::ExecutionPlan& plan = outside.program.execution_plan[0];
  ASSERT_EQ(plan.chains[0].size(), 3u);
  EXPECT_EQ(args_of(plan, 2)[0], plan.inputs[0]);
  EXPECT_EQ(plan.outputs.size(), 1u);
}

TEST(Emission, DelegateCallsHoldInputsThenOutputs) {
  ProgramBuilder b;
  Value* x = b.input("x", {4});
  Delegate delegate;
  delegate.backend_id = "AnyBackend";
  delegate.payload = std::vector<std::byte>(48);
  delegate.input_slack = 64;
  delegate.named_data.push_back({"b", std::vector<std::byte>(5, std::byte{1})});
  delegate.named_data.push_back({"a", std::vector<std::byte>(5, std::byte{1})});
  delegate.named_data.push_back({"c", std::vector<std::byte>(5, std::byte{2})});
  b.output(b.call("executorch_call_delegate", {{"", 0}, {"", x}}, {4}));
  const pte::ParsedProgram file = parsed(b, {}, std::move(delegate));
  const pte::ExecutionPlan& plan = file.program.execution_plan[0];
  ASSERT_EQ(plan.delegates.size(), 1u);
  EXPECT_EQ(plan.delegates[0].id, "AnyBackend");
  EXPECT_EQ(plan.delegates[0].index, 1u);  // behind the empty constant segment
  EXPECT_EQ(std::get<pte::DelegateCall>(plan.chains[0][0]).args, (std::vector<int32_t>{plan.inputs[0], plan.outputs[0]}));
  EXPECT_EQ(plan.non_const_buffer_sizes[1], 32 + 64);
  ASSERT_EQ(file.program.named_data.size(), 3u);
  EXPECT_EQ(file.program.named_data[0].key, "a");
  EXPECT_EQ(file.program.named_data[0].segment_index, file.program.named_data[1].segment_index);
  EXPECT_NE(file.program.named_data[0].segment_index, file.program.named_data[2].segment_index);
  EXPECT_EQ(file.program.segments[0].size, 0u);
  EXPECT_EQ(file.program.segments[2].offset % 128, 0u);
}

TEST(Emission, OperatorsWithoutKernelAreAllNamed) {
  ProgramBuilder b;
  Value* x = b.input("x", {4});
  const std::vector<Value*> sorted = b.raw("aten.sort.default", {{"self", x}}, {{4}, {4}}).outputs();
  b.output(b.call("aten.silu.default", {{"self", sorted[0]}}, {4}));
  const std::string message = expect_error(b, ErrorKind::unsupported);
  EXPECT_NE(message.find("aten.sort.default"), std::string::npos) << message;
  EXPECT_NE(message.find("aten.silu.default"), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(Emission, TypesWithoutKernelAreNamed) {
  ProgramBuilder b;
  Value* x = b.input("x", {4}, DType::int32);
  b.output(b.call("aten._softmax.default", {{"self", x}, {"dim", 0}, {"half_to_float", false}}, {{4}, DType::float32}));
  const std::string message = expect_error(b, ErrorKind::unsupported);
  EXPECT_NE(message.find("'x' of int32"), std::string::npos) << message;
}

TEST(Emission, UnboundedSizesAreRefusedAndBoundedOnesPlanned) {
  const auto make = [](std::optional<int64_t> most) {
    ProgramBuilder b;
    const SymInt n(parse_sym_expr("s0"), "s0", 3);
    b.program.range_constraints["s0"] = {1, most};
    Value* x = b.input("x", {n, 4});
    b.output(b.call("aten.relu.default", {{"self", x}}, {n, 4}));
    return b;
  };
  ProgramBuilder bounded = make(10);
  const pte::ParsedProgram file = parsed(bounded);
  const auto& tensor = get<pte::TensorValue>(file.program.execution_plan[0], 0);
  EXPECT_EQ(tensor.sizes, (std::vector<int32_t>{10, 4}));
  EXPECT_EQ(tensor.shape_dynamism, pte::ShapeDynamism::bounded);
  ProgramBuilder unbounded = make(std::nullopt);
  EXPECT_NE(expect_error(unbounded, ErrorKind::unsupported).find("'x'"), std::string::npos);
}

TEST(Emission, DimensionsEndWhereTheRuntimesDo) {
  const auto make = [](size_t rank) {
    ProgramBuilder b;
    const Sizes sizes(rank, 1);
    b.output(b.call("aten.relu.default", {{"self", b.input("x", sizes)}}, sizes));
    return b;
  };
  ProgramBuilder most = make(16), more = make(17);
  EXPECT_EQ(get<pte::TensorValue>(parsed(most).program.execution_plan[0], 0).sizes.size(), 16u);
  EXPECT_NE(expect_error(more, ErrorKind::unsupported).find("17 dimensions"), std::string::npos);
}

}  // namespace
}  // namespace intaglio::edge
