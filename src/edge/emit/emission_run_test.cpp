// Hand-built edge graphs on the stock runtime: what is written runs and gives these numbers.
#include <gtest/gtest.h>

#include <filesystem>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <unistd.h>

#include "edge/edge_programs_for_tests.h"
#include "runtime/runtime.h"

namespace intaglio::edge {
namespace {

using runtime::RunValue;
using test::edge_of;
using test::method_of;
using test::ProgramBuilder;

class TemporaryFile {
 public:
  TemporaryFile() : path_(std::filesystem::temp_directory_path() / fmt::format("intaglio_{}_{}.pte", getpid(), count_++)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::filesystem::path path_;
};

// Outputs of each sample, in one loaded program: state carries over.
std::vector<std::vector<RunValue>> run(ProgramBuilder& builder, const std::vector<std::vector<RunValue>>& samples,
                                       const ExecutorchOptions& options = {}) {
  const TemporaryFile file;
  edge_of(builder).to_executorch(options).save(file.path());
  return runtime::run_pte(file.path(), samples, {.runner = {.threads = 1}}).outputs;
}

std::vector<float> floats(const RunValue& value) {
  const Tensor& tensor = std::get<Tensor>(value);
  return {tensor.span<float>().begin(), tensor.span<float>().end()};
}

Tensor of(std::vector<float> values, Sizes sizes) { return Tensor::of<float>(std::span<const float>(values), std::move(sizes)); }

TEST(EmissionRun, AddMul) {
  ProgramBuilder b;
  Value* c = b.constant("c", of({10, 20, 30, 40, 50, 60}, {2, 3}));
  Value* x = b.input("x", {2, 3});
  Value* sum = b.call("aten.add.Tensor", {{"self", x}, {"other", c}}, {2, 3});
  b.output(b.call("aten.mul.Tensor", {{"self", sum}, {"other", x}}, {2, 3}));
  const auto outputs = run(b, {{of({1, 2, 3, 4, 5, 6}, {2, 3})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{11, 44, 99, 176, 275, 396}));
}

// All of a file's constants may be: the runtime takes a segment of no bytes for none.
TEST(EmissionRun, ConstantsWithoutElements) {
  ProgramBuilder b;
  Value* c = b.constant("c", Tensor::zeros(DType::float32, {0, 3}));
  Value* x = b.input("x", {2, 3});
  b.output(b.call("aten.cat.default", {{"tensors", std::vector<Value*>{c, x}}}, {2, 3}));
  const auto outputs = run(b, {{of({1, 2, 3, 4, 5, 6}, {2, 3})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(EmissionRun, StateStartsAsSavedAndCarriesOver) {
  ProgramBuilder b;
  Value* state = b.buffer("state", of({5, 6}, {2}));
  Value* x = b.input("x", {2});
  Value* sum = b.call("aten.add.Tensor", {{"self", state}, {"other", x}}, {2});
  b.mutation("state", sum);
  b.output(b.call("aten.mul.Tensor", {{"self", sum}, {"other", sum}}, {2}));
  const auto outputs = run(b, {{of({1, 1}, {2})}, {of({1, 2}, {2})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{36, 49}));
  EXPECT_EQ(floats(outputs[1][0]), (std::vector<float>{49, 81}));
}

TEST(EmissionRun, BuffersChangePlaces) {
  ProgramBuilder b;
  Value* p = b.buffer("p", of({1}, {1}));
  Value* q = b.buffer("q", of({2}, {1}));
  Value* x = b.input("x", {1});
  b.mutation("p", q);
  b.mutation("q", p);
  b.output(p);
  b.output(b.call("aten.add.Tensor", {{"self", q}, {"other", x}}, {1}));
  const auto outputs = run(b, {{of({0}, {1})}, {of({0}, {1})}, {of({10}, {1})}});
  EXPECT_EQ(floats(outputs[0][0]), std::vector<float>{1});
  EXPECT_EQ(floats(outputs[0][1]), std::vector<float>{2});
  EXPECT_EQ(floats(outputs[1][0]), std::vector<float>{2});
  EXPECT_EQ(floats(outputs[1][1]), std::vector<float>{1});
  EXPECT_EQ(floats(outputs[2][0]), std::vector<float>{1});
  EXPECT_EQ(floats(outputs[2][1]), std::vector<float>{12});
}

TEST(EmissionRun, ChannelsLastConstantsKeepTheirLayout) {
  ProgramBuilder b;
  Tensor weight = Tensor::empty_strided(DType::float32, {1, 2, 2, 2}, {8, 1, 4, 2});
  for (int i = 0; i < 8; ++i) weight.mutable_data<float>()[i] = static_cast<float>(i);
  Value* w = b.constant("w", weight);
  TensorMeta meta = TensorMeta::contiguous(DType::float32, {1, 2, 2, 2});
  meta.strides = {8, 1, 4, 2};
  Value* y = b.call("aten.neg.default", {{"self", w}}, meta);
  b.output(b.call("dim_order_ops._to_dim_order_copy.default",
                  {{"self", y}, {"dim_order", std::vector<int64_t>{0, 1, 2, 3}, ArgKind::keyword}},
                  TensorMeta::contiguous(DType::float32, {1, 2, 2, 2})));
  const auto outputs = run(b, {{}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{0, -2, -4, -6, -1, -3, -5, -7}));
}

TEST(EmissionRun, RowMajorKernelsGetACopyInFront) {
  ProgramBuilder b;
  TensorMeta meta = TensorMeta::contiguous(DType::float32, {1, 2, 2, 2});
  meta.strides = {8, 1, 4, 2};
  Value* x = b.input("x", {1, 2, 2, 2});
  Value* y = b.call("dim_order_ops._to_dim_order_copy.default",
                    {{"self", x}, {"dim_order", std::vector<int64_t>{0, 2, 3, 1}, ArgKind::keyword}}, meta);
  meta = TensorMeta::contiguous(DType::float32, {1, 2, 1, 1});
  meta.strides = {2, 1, 2, 2};
  Value* z = b.call("aten.mean.dim", {{"self", y}, {"dim", std::vector<int64_t>{-1, -2}}, {"keepdim", true}}, meta);
  b.output(b.call("aten.neg.default", {{"self", z}}, meta));
  const auto outputs = run(b, {{of({1, 2, 3, 6, 10, 10, 10, 30}, {1, 2, 2, 2})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{-3, -15}));
}

TEST(EmissionRun, InputsConstantsNumbersAndNoneAreOutputsToo) {
  ProgramBuilder b;
  Value* c = b.constant("c", of({7, 8}, {2}));
  Value* x = b.input("x", {2});
  Value* y = b.call("aten.neg.default", {{"self", x}}, {2});
  b.output(x);
  b.output(c);
  b.output(Argument());
  b.output(3);
  b.output(2.5);
  b.output(true);
  b.output(y);
  b.output(y);
  const auto outputs = run(b, {{of({1, 2}, {2})}});
  ASSERT_EQ(outputs[0].size(), 8u);
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{1, 2}));
  EXPECT_EQ(floats(outputs[0][1]), (std::vector<float>{7, 8}));
  EXPECT_EQ(outputs[0][2].index(), 0u);
  EXPECT_EQ(std::get<int64_t>(outputs[0][3]), 3);
  EXPECT_EQ(std::get<double>(outputs[0][4]), 2.5);
  EXPECT_EQ(std::get<bool>(outputs[0][5]), true);
  EXPECT_EQ(floats(outputs[0][6]), (std::vector<float>{-1, -2}));
  EXPECT_EQ(floats(outputs[0][7]), (std::vector<float>{-1, -2}));
}

TEST(EmissionRun, ViewsOfEveryKind) {
  ProgramBuilder b;
  Value* x = b.input("x", {2, 3});
  Value* v = b.call("aten.view_copy.default", {{"self", x}, {"size", std::vector<int64_t>{3, 2}}}, {3, 2});
  Value* u = b.call("aten.unsqueeze_copy.default", {{"self", v}, {"dim", 0}}, {1, 3, 2});
  Value* d = b.call("dim_order_ops._clone_dim_order.default", {{"self", u}, {"dim_order", std::vector<int64_t>{0, 1, 2}, ArgKind::keyword}},
                    {1, 3, 2});
  Value* n = b.call("aten.neg.default", {{"self", d}}, {1, 3, 2});
  Value* s = b.call("aten.squeeze_copy.dims", {{"self", n}, {"dim", std::vector<int64_t>{0}}}, {3, 2});
  Value* t = b.call("aten.permute_copy.default", {{"self", s}, {"dims", std::vector<int64_t>{1, 0}}}, {2, 3});
  b.output(b.call("aten.view_copy.default", {{"self", t}, {"size", std::vector<int64_t>{6}}}, {6}));
  const auto outputs = run(b, {{of({1, 2, 3, 4, 5, 6}, {2, 3})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{-1, -3, -5, -2, -4, -6}));
}

TEST(EmissionRun, DynamicSizesViewsAndSymbols) {
  ProgramBuilder b;
  const SymExprPtr symbol = parse_sym_expr("s0");
  const SymInt n(symbol, "s0", 3);
  b.program.range_constraints["s0"] = {1, 8};
  Value* x = b.input("x", {n, 4});
  Value* y = b.call("aten.relu.default", {{"self", x}}, {n, 4});
  Node& size = b.program.graph().insert_before(nullptr, Op::get("aten.sym_size.int"), {{"self", x}, {"dim", 0}},
                                               {{.name = "s", .kind = ValueKind::sym_int, .sym = n}});
  const SymInt twice = n * SymInt(2);
  Node& mul = b.program.graph().insert_before(nullptr, Op::get("_operator.mul"), {{"", size.output()}, {"", 2}},
                                              {{.name = "m", .kind = ValueKind::sym_int, .sym = twice}});
  Value* v = b.call("aten.view_copy.default", {{"self", y}, {"size", std::vector<SymArg>{mul.output(), int64_t{2}}}}, {twice, 2});
  b.output(b.call("aten.neg.default", {{"self", v}}, {twice, 2}));
  b.output(size.output());
  const auto outputs = run(b, {{of({1, -2, 3, 4}, {1, 4})}, {of({1, 2, 3, 4, 5, 6, 7, -8}, {2, 4})}});
  EXPECT_EQ(std::get<Tensor>(outputs[0][0]).sizes(), (Sizes{2, 2}));
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{-1, 0, -3, -4}));
  EXPECT_EQ(std::get<int64_t>(outputs[0][1]), 1);
  EXPECT_EQ(std::get<Tensor>(outputs[1][0]).sizes(), (Sizes{4, 2}));
  EXPECT_EQ(floats(outputs[1][0]), (std::vector<float>{-1, -2, -3, -4, -5, -6, -7, 0}));
}

std::shared_ptr<Subgraph> branch_of(const char* op) {
  auto graph = std::make_unique<Graph>();
  Value* in = graph->add_input(0, {TensorMeta::contiguous(DType::float32, {2}), "a"});
  Node& first = graph->insert_before(nullptr, Op::get(op), {{"self", in}}, {{TensorMeta::contiguous(DType::float32, {2})}});
  Node& second = graph->insert_before(nullptr, Op::get("aten.exp.default"), {{"self", first.output()}},
                                      {{TensorMeta::contiguous(DType::float32, {2})}});
  graph->set_outputs({first.output(), second.output()});
  return std::make_shared<Subgraph>(Subgraph{"branch", std::move(graph)});
}

TEST(EmissionRun, CondTakesOneBranch) {
  ProgramBuilder b;
  Value* p = b.input("p", {}, DType::boolean);
  Value* x = b.input("x", {2});
  Value* big = b.call("aten.mul.Tensor", {{"self", x}, {"other", x}}, {2});
  const std::vector<Value*> results =
      b.raw("higher_order.cond",
            {{"", p}, {"", branch_of("aten.neg.default")}, {"", branch_of("aten.relu.default")}, {"", std::vector<Value*>{x}}}, {{2}, {2}})
          .outputs();
  Value* y = b.call("aten.add.Tensor", {{"self", results[0]}, {"other", big}}, {2});
  b.output(y);
  b.output(results[1]);
  const auto outputs = run(
      b, {{Tensor::scalar(true), of({1, -2}, {2})}, {Tensor::scalar(false), of({1, -2}, {2})}, {Tensor::scalar(true), of({0, -3}, {2})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{0, 6}));
  EXPECT_EQ(floats(outputs[1][0]), (std::vector<float>{2, 4}));
  EXPECT_EQ(floats(outputs[2][0]), (std::vector<float>{0, 12}));
  EXPECT_EQ(floats(outputs[2][1])[0], 1.0f);
}

TEST(EmissionRun, CondMayReturnConstantsInputsAndNumbers) {
  const auto constant_branch = [](bool swap) {
    auto graph = std::make_unique<Graph>();
    const TensorMeta meta = TensorMeta::contiguous(DType::float32, {2});
    Value* a = graph->add_input(0, {meta, "a"});
    Value* c = graph->add_input(1, {meta, "c"});
    graph->set_outputs({swap ? a : c, swap ? c : a});
    return std::make_shared<Subgraph>(Subgraph{"branch", std::move(graph)});
  };
  ProgramBuilder b;
  Value* c = b.constant("c", of({7, 8}, {2}));
  Value* p = b.input("p", {}, DType::boolean);
  Value* x = b.input("x", {2});
  const std::vector<Value*> results =
      b.raw("higher_order.cond", {{"", p}, {"", constant_branch(true)}, {"", constant_branch(false)}, {"", std::vector<Value*>{x, c}}},
            {{2}, {2}})
          .outputs();
  Value* v = b.call("aten.view_copy.default", {{"self", results[0]}, {"size", std::vector<int64_t>{1, 2}}}, {1, 2});
  b.output(b.call("aten.neg.default", {{"self", v}}, {1, 2}));
  b.output(results[1]);
  const auto outputs = run(b, {{Tensor::scalar(true), of({1, 2}, {2})}, {Tensor::scalar(false), of({1, 2}, {2})}});
  EXPECT_EQ(floats(outputs[0][0]), (std::vector<float>{-1, -2}));
  EXPECT_EQ(floats(outputs[0][1]), (std::vector<float>{7, 8}));
  EXPECT_EQ(floats(outputs[1][0]), (std::vector<float>{-7, -8}));
  EXPECT_EQ(floats(outputs[1][1]), (std::vector<float>{1, 2}));
}

TEST(EmissionRun, SeveralMethods) {
  ProgramBuilder a;
  Value* x = a.input("x", {2});
  a.output(a.call("aten.neg.default", {{"self", x}}, {2}));
  ProgramBuilder b;
  Value* z = b.input("z", {2});
  b.output(b.call("aten.exp.default", {{"self", z}}, {2}));
  EdgeProgram edge;
  edge.methods.push_back(method_of(b, "prefill"));
  edge.methods.push_back(method_of(a, "decode"));
  const TemporaryFile file;
  std::move(edge).to_executorch().save(file.path());
  const std::vector<std::vector<RunValue>> samples = {{of({0, -1}, {2})}};
  EXPECT_EQ(floats(runtime::run_pte(file.path(), samples, {.method = "decode"}).outputs[0][0]), (std::vector<float>{0, 1}));
  EXPECT_EQ(floats(runtime::run_pte(file.path(), samples, {.method = "prefill"}).outputs[0][0])[0], 1.0f);
}

}  // namespace
}  // namespace intaglio::edge
