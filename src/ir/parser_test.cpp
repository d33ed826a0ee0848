#include "ir/parser.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "testing/errors.h"

namespace intaglio {
namespace {

using test::error_of;

// One of everything that the printer writes.
const char* const everything = R"(range 2*s77: 4..
range s77: 2..128 hint 3
range u0: ..9
parameter %p_w: f32[4, 2] 'fc.weight' = [0.5, -1.0, 1e-07, inf, -inf, nan, 0.1, 3.4028235e+38]
buffer %b_n: i64[] 'n' = 41
buffer %b_big: f16[3, 4, 5]{2,0,1} 'big'
constant %c_k: b8[4] 'it\'s \\ \x09' = [True, False, True, True]
constant %c_h: bf16[1] 'h' = [0.100097656]
constant %c_d: f64[2, 1]{1,0} 'd' = [0.1, 0.2]
constant %c_q: u8[2, 2]{1,0} 'q' = [1, 2, 3, 255]
constant %c_e: i8[0] 'e' = []
object %o: object '__torch__.A B' 'the object'
user %x: f32[s77, 2]
user %image: f32[1, 3, 4, 5]{0,2,3,1}
user %'odd name': f32[2*s77, s77//2, u0, 4]
user %flags: float8_e4m3fn[2]
literal %limit: literal = inf
literal %mode: literal = 'sum'
%size: int(s77) = aten.sym_size.int(self=%x, dim=0)
%twice: int(2*s77) = _operator.mul(a=%size, b=2)
%item: int = aten.item.default(self=%b_n)
%real: float = torch.sym_float(%size)
%large: bool = _operator.gt(%size, 2)
%linear: f32[s77, 4] = aten.linear.default(input=%x, weight=%p_w) in 'fc' (torch.nn.modules.linear.Linear)
%part_0: b8[2], %part_1: b8[2] = aten.split.Tensor(self=%c_k, split_size=2) in '' (M)
%view: f32[2*s77, 2] = aten.view.default(self=%linear, size=[%twice, -1])
%index: f32[s77, 4] = aten.index.Tensor(self=%linear, indices=[None, %c_k])
%cat: f32[2*s77, 4] = aten.cat.default(tensors=[%linear, %linear])
%copy: f16[s77, 4] = aten._to_copy.default(self=%linear, dtype=float16, layout=strided, device=cuda:1, memory_format=channels_last)
%einsum: f32[s77, 4] = aten.einsum.default(equation='ij,jk->ik', tensors=[%linear])
%branch: f32[4] = higher_order.cond(True, graph yes {
  input %a: f32[4]
  input %b: literal = None
  %c: f32[4] = aten.sin.default(self=%a)
  %d: f32[4] = higher_order.cond(False, graph inner {
    input %a: f32[4]
    return %a
  }, [%c])
  return %d, 2
}, op 'torch.ops.aten.relu', object 'o' 'C', [])
higher_order.print('text', {key: [1, 2], 'other key': {inner: [1.0, -2.5]}}, [[1, 2], [3]], [[1.5], []], [[%x], [None, %x]], (1.0 + -infj), [True, False], ['a', 'b'], [1, 2.5, True, %size])
%none: None, %y: f32[2] = executorch_call_delegate(delegate=0, %x)
aten._assert_tensor_metadata.default(a=%x, size=[], dtype=float32)
output mutates buffer %item 'n'
output mutates input %linear 'x'
output gradient of input %linear 'x'
output user %size
output user None
output user 2.5
)";

TEST(ParseProgram, ReadsEverythingThatIsPrinted) {
  const ExportedProgram program = parse_program(everything);
  EXPECT_EQ(to_string(program), everything);
  const Graph& graph = program.graph();
  EXPECT_EQ(graph.find_value("odd name")->sizes()[0].hint(), 6);
  EXPECT_EQ(graph.find_value("x")->sizes()[0].hint(), 3);
  EXPECT_EQ(program.range_constraints.at("2*s77").min, 4);
  EXPECT_EQ(program.range_constraints.at("u0").max, 9);
  EXPECT_EQ(program.state.find("big")->tensor.strides(), (Sizes{4, 1, 12}));
}

TEST(ParseProgram, LeavesOutWhatFollows) {
  const ExportedProgram program = parse_program(R"(
# a comment
parameter %p_w: f32[2, 3] 'w' = random(7)   # and another
parameter %p_s: f32[20] 's' = full(0.5)
constant %c: i8[40] 'c' = random(1)
user %x: f32[2]

%y = aten.relu.default(%x)
output user %y
)");
  EXPECT_EQ(to_string(*program.graph().find_value("y")->producer()), "%y: f32[2] = aten.relu.default(self=%x)");
  const Tensor& weight = program.state.find("w")->tensor;
  for (const float value : weight.span<float>()) EXPECT_LE(std::abs(value), 1.0f);
  EXPECT_NE(weight.span<float>()[0], weight.span<float>()[1]);
  EXPECT_EQ(program.state.find("s")->tensor.span<float>()[19], 0.5f);
  const auto integers = program.constants.find("c")->tensor.span<int8_t>();
  EXPECT_LT(*std::min_element(integers.begin(), integers.end()), 0);
}

struct Refusal {
  const char* text;
  const char* message;
};
constexpr Refusal refusals[] = {
    {"user %x", "line 1, column 8: an input needs a type"},
    {"user %x: f32[2]\n%y = aten.relu.default(%z)", "line 2, column 25: there is no value 'z' before this line"},
    {"user %x: q7[2]", "line 1, column 10: a type is expected: f32[2, 3], int, float, bool, None, literal or object"},
    {"user %x: f32[2\n", "line 1, column 15: ',' is expected where the line ends"},
    {"user %x: f32[a b]", "line 1, column 1: "},
    {"user %x: f32[2, 3]{0,0}", "line 1, column 19: the dim order is no permutation of the dimensions"},
    {"user %x: f32[2]\nuser %x: f32[2]", "line 2, column 7: 'x' is there already"},
    {"parameter %p: f32[2] 'p' = [1.0]", "line 1, column 28: 1 values are given for 2 elements"},
    {"parameter %p: f32[2] 'p' = [1.0, x]", "line 1, column 34: a number is expected"},
    {"parameter %p: f32[2] 'p", "line 1, column 23: the quote is not closed"},
    {"parameter %p: f32[99999999999999] 'p'", "line 1, column 1: 99999999999999 elements are more than a constant may have"},
    {"parameter %p: f32[-1] 'p'", "line 1, column 1: "},
    {"buffer %p: i8[1] 'p' = [128]", "line 1, column 25: int8 cannot hold this number"},
    {"user %x: f32[2]\n%y: f32[2] = aten.relu.default(%x", "line 2, column 34: ',' is expected where the text ends"},
    {"user %x: f32[2]\n%y: f32[2] = aten.relu.default(%x, %x)", "line 2, column 36: the operator takes 1 arguments"},
    {"user %x: f32[2]\n%y: f32[2] = aten.relu.default(other=%x)", "line 2, column 32: the operator has no argument 'other'"},
    {"user %x: f32[2]\n%y: f32[2] = aten.relu.default(self=%x, self=%x)", "line 2, column 49: "},
    {"user %x: f32[2]\n%y = my.op(%x)", "line 2, column 1: the types of the results do not follow from the operands; write them all"},
    {"f(%)", "line 1, column 4: a name is expected"},
    {"f([1, 'a'])", "line 1, column 3: the list holds things of different kinds"},
    {"f(99999999999999999999)", "line 1, column 3: '99999999999999999999' is not a number of this type"},
    {"f() g", "line 1, column 5: the line should end before 'g'"},
    {"output sometimes %x",
     "line 1, column 8: an output is one of: user, mutates buffer, mutates parameter, mutates input, token, loss, gradient of, "
     "gradient of input"},
    {"output user 1\nf()", "line 2, column 1: nodes stand before outputs"},
    {"f()\nuser %x: f32[2]", "line 2, column 6: inputs stand before nodes and outputs"},
    {"f(graph g {\n return\n", "line 3, column 1: '}' is expected where the text ends"},
    {"range a b: 1..2", "line 1, column 1: "},
};

TEST(ParseProgram, RefusesWithThePlace) {
  for (const Refusal& refusal : refusals) {
    const Error error = error_of([&] { parse_program(refusal.text); });
    EXPECT_EQ(error.kind(), ErrorKind::bad_input);
    EXPECT_EQ(std::string(error.what()).substr(0, std::string_view(refusal.message).size()), refusal.message) << refusal.text;
    if (!std::string_view(refusal.message).ends_with(": ")) { EXPECT_EQ(std::string(error.what()), refusal.message) << refusal.text; }
  }
}

TEST(ParseProgram, NestingIsBounded) {
  for (const auto& [open, close] : {std::pair{"[", "]"}, std::pair{"{a: ", "}"}, std::pair{"graph g {\nf(", ")\nreturn\n}"}}) {
    std::string text = "f(";
    for (int i = 0; i < 2000; ++i) text += open;
    text += "1";
    for (int i = 0; i < 2000; ++i) text += close;
    EXPECT_NE(std::string(error_of([&] { parse_program(text + ")"); }).what()).find("are nested more than 32 deep"), std::string::npos);
  }
}

// Every beginning of a good text, and every text with one letter changed, is read or refused.
TEST(ParseProgram, DamageIsBadInput) {
  const std::string good = everything;
  const auto survives = [](const std::string& text) {
    try {
      to_string(parse_program(text));
    } catch (const Error& error) { EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what(); }
  };
  for (size_t size = 0; size < good.size(); size += 7) survives(good.substr(0, size));
  for (size_t at = 0; at < good.size(); at += 7)
    for (const char other : {'%', '9', '\n'}) survives(std::string(good).replace(at, 1, 1, other));
}

}  // namespace
}  // namespace intaglio
