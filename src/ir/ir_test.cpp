#include <gtest/gtest.h>

#include <intaglio/error.h>
#include <intaglio/graph.h>
#include <intaglio/program.h>

#include "ir/check_arguments.h"
#include "ir/mutations.h"
#include "testing/errors.h"

namespace intaglio {
namespace {

using test::message_of;

struct Row {
  std::string_view name, text;
};
constexpr Row rows[] = {
#include "ir/op_schemas.inc"
};

TensorMeta f32(SymSizes sizes) { return TensorMeta::contiguous(DType::float32, std::move(sizes)); }

// relu(x + x) with one input
struct Small {
  Graph graph;
  Value* x = graph.add_input(0, {f32({2, 3}), "x"});
  Node& add = graph.insert_before(nullptr, Op::get("aten.add.Tensor"), {{"self", x}, {"other", x}}, {{f32({2, 3})}});
  Node& relu = graph.insert_before(nullptr, Op::get("aten.relu.default"), {{"self", add.output()}}, {{f32({2, 3})}});
  Small() { graph.set_outputs({relu.output()}); }
};

TEST(Schema, EveryRowParses) {
  for (const Row& row : rows) {
    const OpSchema* schema = find_schema(row.name);
    ASSERT_NE(schema, nullptr) << row.name;
    EXPECT_EQ(schema->name, row.name);
    for (const ArgSchema& argument : schema->arguments) EXPECT_EQ(argument.name.find_first_of(" ()[]"), std::string::npos) << row.text;
  }
  EXPECT_EQ(find_schema("aten.copy.Dict_int")->returns.size(), 1u);
  EXPECT_EQ(find_schema("aten.get_gradients.default")->returns.size(), 1u);
}

TEST(Schema, SaysWhatArgumentsAre) {
  const OpSchema* conv = find_schema("aten.conv2d.default");
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv->arguments.size(), 7u);
  EXPECT_EQ(conv->find("stride")->fixed_length, 2);
  EXPECT_EQ(conv->find("stride")->type, ArgType::integer_list);
  EXPECT_EQ(conv->find("bias")->type, ArgType::optional_tensor);
  EXPECT_TRUE(find_schema("aten.relu_.default")->is_inplace());
  EXPECT_TRUE(find_schema("aten.slice.Tensor")->is_view());
  EXPECT_FALSE(find_schema("aten.relu_.default")->is_view());
  EXPECT_EQ(find_schema("aten.index.Tensor")->find("indices")->type, ArgType::optional_tensor_list);
  EXPECT_EQ(find_schema("aten.max_pool2d_with_indices.default")->returns.size(), 2u);
  EXPECT_EQ(find_schema("aten.nonsense.default"), nullptr);
}

TEST(Node, TypesThatSchemasDefaultTo) {
  Graph graph;
  Node& draw =
      graph.insert_before(nullptr, Op::get("aten.randint.default"), {{"high", 9}, {"size", std::vector<int64_t>{2}}}, {{f32({2})}});
  EXPECT_EQ(draw.optional_dtype("dtype"), DType::int64);
}

TEST(CheckArguments, ListsAreAsLongAsTheOperatorTakes) {
  Graph graph;
  Value* x = graph.add_input(0, {f32({1, 3, 8, 8}), "x"});
  const auto check = [](const char* op, const std::vector<NamedArgument>& arguments) {
    check_arguments(Op::get(op), arguments, {{ValueKind::tensor}, {{}}});
  };
  using Ints = std::vector<int64_t>;
  const auto pooled = [&](Ints kernel, Ints stride) {
    check("aten.max_pool2d.default", {{"self", x}, {"kernel_size", std::move(kernel)}, {"stride", std::move(stride)}});
  };
  pooled({2, 2}, {2, 2});
  pooled({2}, {});
  EXPECT_NE(message_of([&] { pooled({}, {2, 2}); }).find("'kernel_size' has 0 elements, the operator takes 2"), std::string::npos);
  EXPECT_NE(message_of([&] { pooled({2, 2}, {2, 2, 2}); }).find("'stride' has 3 elements"), std::string::npos);
  check("aten.sum.dim_IntList", {{"self", x}, {"dim", Ints{0, 1, 2}}});  // `int[1]` is any number of them
  for (const char* op : {"aten.cat.default", "aten.vstack.default", "aten.stack.default"}) {
    check(op, {{"tensors", std::vector<Value*>{x}}});
    EXPECT_NE(message_of([&] { check(op, {{"tensors", std::vector<Value*>{}}}); }).find("at least one tensor"), std::string::npos) << op;
  }
}

TEST(CheckArguments, TruthsAreNoNumbers) {
  const auto check = [](const char* op, std::vector<Argument> operands) {
    std::vector<NamedArgument> arguments;
    for (Argument& operand : operands) arguments.push_back({"", std::move(operand), ArgKind::positional});
    check_arguments(Op::get(op), arguments, {{ValueKind::sym_int}, {{}}});
  };
  check("_operator.floordiv", {6, 2});
  check("_operator.and_", {true, 2});
  EXPECT_NE(message_of([&] { check("_operator.floordiv", {6, true}); }).find("argument 1 is True"), std::string::npos);
}

TEST(Node, DefaultsComeFromTheSchema) {
  Graph graph;
  Value* x = graph.add_input(0, {f32({1, 3, 8, 8}), "x"});
  Value* w = graph.add_input(1, {f32({4, 3, 3, 3}), "w"});
  Node& conv = graph.insert_before(nullptr, Op::get("aten.conv2d.default"), {{"input", x}, {"weight", w}}, {{f32({1, 4, 6, 6})}});
  EXPECT_EQ(conv.integers("stride"), (std::vector<int64_t>{1, 1}));
  EXPECT_EQ(conv.integer("groups"), 1);
  EXPECT_EQ(conv.optional_tensor("bias"), nullptr);
  EXPECT_NE(message_of([&] { conv.tensor("bias"); }).find("'bias' is not a tensor"), std::string::npos);
  graph.set_argument(conv, "groups", 3);
  EXPECT_EQ(conv.integer("groups"), 3);
  EXPECT_EQ(conv.arguments().back().kind, ArgKind::keyword);
  verify(graph);
}

TEST(Graph, UseListsFollowEveryMutation) {
  Small small;
  EXPECT_EQ(std::vector<Node*>(small.x->users()), (std::vector<Node*>{&small.add}));
  verify(small.graph);
  Node& mul = small.graph.insert_before(&small.relu, Op::get("aten.mul.Tensor"), {{"self", small.add.output()}, {"other", small.x}},
                                        {{f32({2, 3})}});
  small.graph.replace_uses_if(small.add.output(), mul.output(), [&](const Node& user) { return &user != &mul; });
  verify(small.graph);
  EXPECT_EQ(to_string(small.graph),
            "input %x: f32[2, 3]\n"
            "%add: f32[2, 3] = aten.add.Tensor(self=%x, other=%x)\n"
            "%mul: f32[2, 3] = aten.mul.Tensor(self=%add, other=%x)\n"
            "%relu: f32[2, 3] = aten.relu.default(self=%mul)\n"
            "return %relu\n");
  EXPECT_THROW(small.graph.erase(&mul), Error);
  small.graph.set_outputs({small.x});
  EXPECT_EQ(small.graph.eliminate_dead_code(), 3u);
  verify(small.graph);
}

TEST(Graph, UsersOfAMuchReadValueComeAndGoInOrder) {
  Graph graph;
  Value *x = graph.add_input(0, {f32({2}), "x"}), *y = graph.add_input(1, {f32({2}), "y"});
  std::vector<Node*> expected, moved;
  for (size_t i = 0; i < 200; ++i)
    expected.push_back(&graph.insert_before(nullptr, Op::get("aten.add.Tensor"), {{"self", x}, {"other", x}}, {{f32({2})}}));
  for (size_t i = 0; i < 200; i += 3) graph.replace_uses_in(*expected[i], x, y), moved.push_back(expected[i]);
  std::erase_if(expected, [&](const Node* node) { return node->tensor("self") == y; });
  EXPECT_EQ(std::vector<Node*>(x->users()), expected);
  EXPECT_EQ(std::vector<Node*>(y->users()), moved);
  EXPECT_EQ(x->users().front(), expected[0]);
  verify(graph);
  // One name of two is left: still a user.
  graph.set_argument(*expected[1], "other", y);
  EXPECT_EQ(x->users().size(), expected.size());
  while (expected.size() > 1) {
    graph.erase(expected.front());
    expected.erase(expected.begin());
    ASSERT_EQ(x->users().front(), expected.front());
  }
  EXPECT_TRUE(x->has_one_user());
  verify(graph);
}

TEST(Graph, ValuesOfALongListAreReplacedWhereverTheyStand) {
  Graph graph;
  std::vector<Value*> inputs, parts;
  for (size_t i = 0; i < 50; ++i) inputs.push_back(graph.add_input(i, {f32({1})}));
  for (size_t i = 0; i < 100; ++i) parts.push_back(inputs[i % 50]);
  Node& cat = graph.insert_before(nullptr, Op::get("aten.cat.default"), {{"tensors", parts}}, {{f32({100})}});
  graph.set_outputs({cat.output()});
  for (size_t i = 0; i < 49; ++i) {
    graph.replace_all_uses(inputs[i], inputs[i + 1]);
    for (Value*& part : parts)
      if (part == inputs[i]) part = inputs[i + 1];
    ASSERT_EQ(cat.tensors("tensors"), parts);
    ASSERT_TRUE(inputs[i]->users().empty());
  }
  graph.set_argument(cat, "tensors", std::vector<Value*>{inputs[3], inputs[49]});
  graph.replace_all_uses(inputs[49], inputs[3]);
  EXPECT_TRUE(inputs[49]->users().empty());
  verify(graph);
}

TEST(Program, TakenNamesAreCountedUpAndFreedWithTheirTensors) {
  ExportedProgram program;
  for (size_t i = 0; i < 3; ++i) program.add_constant("k", Tensor::scalar(1.0f));
  EXPECT_TRUE(program.constants.contains("k") && program.constants.contains("k_1") && program.constants.contains("k_2"));
  EXPECT_EQ(program.free_target("k_"), "k_0");
  EXPECT_EQ(program.free_target("k_", 1), "k_3");
  EXPECT_EQ(program.remove_unused_constants(), 3u);
  EXPECT_EQ(program.free_target("k_", 1), "k_1");
}

// Asked one by one and all at once.
TEST(Program, MutatedInputsAreThoseThatAreWrittenTo) {
  ExportedProgram program;
  const auto state = [&](const char* name) { return program.add_buffer(name, Tensor::zeros(DType::float32, {2})); };
  Value *by_output = state("by_output"), *in_place = state("in_place"), *through_a_view = state("through_a_view"), *read = state("read");
  Graph& graph = program.graph();
  const auto call = [&](const char* op, std::vector<NamedArgument> arguments) {
    return graph.insert_before(nullptr, Op::get(op), std::move(arguments), {{f32({2})}}).output();
  };
  call("aten.add_.Tensor", {{"self", in_place}, {"other", read}});
  Value* view =
      call("aten.view.default", {{"self", call("aten.view.default", {{"self", through_a_view}, {"size", std::vector<int64_t>{2}}})},
                                 {"size", std::vector<int64_t>{2}}});
  call("aten.relu_.default", {{"self", view}});
  graph.set_outputs({call("aten.relu.default", {{"self", call("aten.add.Tensor", {{"self", by_output}, {"other", read}})}})});
  program.output_specs = {{OutputSpec::Kind::buffer_mutation, "by_output"}};
  EXPECT_EQ(mutated_inputs(program), (std::unordered_set<const Value*>{by_output, in_place, through_a_view}));
  for (const Value* input : graph.inputs()) EXPECT_EQ(program.is_mutated(input), mutated_inputs(program).contains(input)) << input->name();
}

TEST(Graph, InPlaceOpsSurviveDeadCodeElimination) {
  Graph graph;
  Value* x = graph.add_input(0, {f32({2}), "x"});
  graph.insert_before(nullptr, Op::get("aten.add_.Tensor"), {{"self", x}, {"other", 1}}, {{f32({2})}});
  graph.set_outputs({x});
  EXPECT_EQ(graph.eliminate_dead_code(), 0u);
}

TEST(Graph, NamesAreUnique) {
  Small small;
  Node& again = small.graph.insert_before(nullptr, Op::get("aten.relu.default"), {{"self", small.x}}, {{f32({2, 3})}});
  EXPECT_EQ(again.name(), "relu_1");
  EXPECT_EQ(again.output()->name(), "relu_1");
  EXPECT_EQ(small.graph.unique_name("relu_1"), "relu_2");
}

TEST(Graph, CloneIsEqualAndIndependent) {
  Small small;
  const auto copy = small.graph.clone();
  EXPECT_EQ(to_string(*copy), to_string(small.graph));
  verify(*copy);
  small.graph.set_outputs({small.x});
  EXPECT_NE(to_string(*copy), to_string(small.graph));
}

TEST(Node, KnowsItsLayerAndLine) {
  Small small;
  small.relu.metadata["nn_module_stack"] = "L__self__,,model.Net;k,L['self'].features.0,torch.nn.modules.activation.ReLU";
  small.relu.metadata["stack_trace"] =
      "  File \"/home/u/model.py\", line 31, in forward\n    return self.relu(x)\n"
      "  File \"/usr/lib/torch/nn/modules/activation.py\", line 7, in forward\n";
  EXPECT_EQ(module_stack(small.relu).size(), 2u);
  EXPECT_EQ(module_stack(small.relu)[1].type, "torch.nn.modules.activation.ReLU");
  EXPECT_EQ(layer_name(small.relu), "features.0");
  EXPECT_EQ(describe(small.relu), "aten.relu.default 'relu' in layer 'features.0' (model.py:31)");
  const std::string hook = "_empty_nn_module_stack_from_metadata_hook";
  small.relu.metadata["nn_module_stack"] = hook + "," + hook + "," + hook;
  EXPECT_EQ(describe(small.relu), "aten.relu.default 'relu' (model.py:31)");
  small.relu.metadata["nn_module_stack"] = "broken;,;";
  EXPECT_TRUE(module_stack(small.relu).empty());
}

TEST(Program, StateInputsStayAligned) {
  ExportedProgram program;
  Value* x = program.graph().add_input(0, {f32({2}), "x"});
  program.input_specs.push_back({InputSpec::Kind::user_input, x, "", true});
  Value* buffer = program.add_buffer("scale", Tensor::of<float>({1, 2}, {2}));
  Value* parameter = program.add_parameter("l.weight", Tensor::of<float>({3, 4}, {2}));
  EXPECT_EQ(program.graph().inputs(), (std::vector<Value*>{parameter, buffer, x}));
  EXPECT_EQ(parameter->name(), "p_l_weight");
  Node& add = program.graph().insert_before(nullptr, Op::get("aten.add.Tensor"), {{"self", x}, {"other", buffer}}, {{f32({2})}});
  program.graph().set_outputs({add.output()});
  program.output_specs.push_back({});
  verify(program);
  EXPECT_TRUE(program.is_constant(buffer));
  EXPECT_EQ(program.remove_unused_constants(), 1u);
  EXPECT_FALSE(program.state.contains("l.weight"));
  EXPECT_EQ(*program.target_of(buffer), "scale");
  EXPECT_EQ(program.spec_of(x), &program.input_specs[1]);
  verify(program);
  const ExportedProgram copy = program.clone();
  EXPECT_EQ(to_string(copy), to_string(program));

  program.graph().insert_before(nullptr, Op::get("aten.add_.Tensor"), {{"self", buffer}, {"other", 1}}, {{f32({2})}});
  EXPECT_FALSE(program.is_constant(buffer));
}

// The same program, whether they come to their places one by one or together.
TEST(Program, StateInputsAddedAtOnceStandWhereTheyStandAlone) {
  const auto made = [](bool at_once) {
    ExportedProgram program;
    Value* x = program.graph().add_input(0, {f32({2}), "x"});
    program.input_specs.push_back({InputSpec::Kind::user_input, x, "", true});
    program.add_buffer("there", Tensor::scalar(1.0f));
    const auto add = [&] {
      for (float number : {2.0f, 3.0f}) {
        program.add_constant("k", Tensor::scalar(number));
        program.add_parameter("p", Tensor::scalar(number));
        program.add_buffer("b", Tensor::scalar(number));
      }
      EXPECT_EQ(program.graph().inputs()[1] == x, at_once);
      verify(program);
    };
    at_once ? program.add_at_once([&] { program.add_at_once(add); }) : add();
    program.graph().set_outputs({x});
    program.output_specs.push_back({});
    verify(program);
    return to_string(program);
  };
  EXPECT_EQ(made(true), made(false));
  ExportedProgram broken;
  EXPECT_THROW(broken.add_at_once([] { throw_bad_input("of the work"); }), Error);
  broken.add_at_once([&] { EXPECT_NE(broken.add_buffer("b", Tensor::scalar(1.0f)), nullptr); });
  verify(broken);
}

TEST(Verifier, NamesTheViolation) {
  Small small;
  small.graph.move_before(&small.relu, &small.add);
  EXPECT_EQ(message_of([&] { verify(small.graph); }), "node 'relu' uses 'add' before it is defined");
}

}  // namespace
}  // namespace intaglio
