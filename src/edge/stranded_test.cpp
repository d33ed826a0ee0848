#include "edge/stranded.h"

#include <gtest/gtest.h>

#include "edge/partition/cut.h"
#include "testing/program_builder.h"

namespace intaglio::edge {
namespace {

using test::ProgramBuilder;

std::string stranded(ProgramBuilder& b, const std::vector<Value*>& outputs) {
  EdgeMethod method;
  method.name = "forward";
  method.program = b.finish(outputs);
  return stranded_quantization(method);
}

Value* layer(ProgramBuilder& b, const char* op, Value* x, const char* path) {
  return b.call(op, {{"self", x}}, {4, 4}, "", {{path, "torch.nn.Module"}});
}

TEST(Stranded, NothingQuantizedIsNothing) {
  ProgramBuilder b;
  EXPECT_EQ(stranded(b, {layer(b, "aten.sin.default", b.input({4, 4}), "wave")}), "");
}

TEST(Stranded, NamesTheLayersBetweenAndTheirShare) {
  ProgramBuilder b;
  Value* x = layer(b, "aten.exp.default", b.input({4, 4}), "before");
  Value* y = layer(b, "aten.sin.default", b.qdq(x, 0.1, 0), "wave");
  const std::string line = stranded(b, {layer(b, "aten.cos.default", b.qdq(y, 0.1, 0), "after")});
  EXPECT_TRUE(line.starts_with("4 quantize and dequantize operators are outside the delegates, around ")) << line;
  for (const char* layer : {"'before'", "'wave'", "'after'"}) EXPECT_NE(line.find(layer), std::string::npos) << line;
  EXPECT_NE(line.find("100.0% of the work"), std::string::npos) << line;
}

TEST(Stranded, FourthLayersAreCounted) {
  ProgramBuilder b;
  Value* x = b.input({4, 4});
  for (const char* path : {"a", "b", "c", "d", "e"}) x = layer(b, "aten.sin.default", b.qdq(x, 0.1, 0), path);
  EXPECT_NE(stranded(b, {x}).find("and 2 more"), std::string::npos);
}

TEST(Stranded, QuantizationAtRunTimeToo) {
  ProgramBuilder b;
  const std::string line = stranded(b, {layer(b, "aten.sin.default", b.dynamic_qdq(b.input({4, 4})), "wave")});
  EXPECT_TRUE(line.starts_with("3 quantize and dequantize")) << line;
}

TEST(Stranded, IntegersThatTheProgramTakesAndGivesStay) {
  ProgramBuilder b;
  Value* x = b.dequantize(b.input({4, 4}, DType::int8), 0.1, 0);
  EXPECT_EQ(stranded(b, {b.quantize(layer(b, "aten.sin.default", x, "wave"), 0.1, 0)}), "");
}

TEST(Stranded, BetweenDelegatesItNamesItself) {
  ProgramBuilder b;
  const auto delegate = [&](Value* x) { return b.raw(delegate_call, {{"delegate", int64_t{0}}, {"", x}}, {{4, 4}}).output(0); };
  Value* x = delegate(b.input({4, 4}));
  const std::string line = stranded(b, {delegate(b.qdq(x, 0.1, 0))});
  EXPECT_NE(line.find("around quantized_decomposed."), std::string::npos) << line;
}

}  // namespace
}  // namespace intaglio::edge
