// Every operator that has a decomposition, or a form in real numbers, with operands that no exporter writes.
#include "testing/hostile_operands.h"

#include <csignal>
#include <new>

#include <gtest/gtest.h>
#include <intaglio/error.h>

#include "decompose/decompose.h"

namespace intaglio::decompose {
namespace {

void take_apart(ExportedProgram& program) {
  lower_complex(program);
  decompose(program, {}, Claims::checked);
  verify(program);
}

TEST(HostileOperands, AreDecomposedOrRefused) {
  const std::vector<std::string_view> operators = decomposed_operators();
  ASSERT_GT(operators.size(), 200u);
  EXPECT_EQ(test::hostile_findings(operators, test::hostile_draws(80, 3000), take_apart), "");
}

TEST(HostileOperands, AreLoweredToRealNumbersOrRefused) {
  const std::vector<std::string_view> operators = complex_operators();
  ASSERT_GT(operators.size(), 100u);
  EXPECT_EQ(test::hostile_findings(operators, test::hostile_draws(40, 3000), take_apart), "");
}

// The net holds: what ends a child, takes too long or throws what is none of our errors is found, with the operator's name.
TEST(HostileOperands, EveryBadEndIsFound) {
  const auto findings_of = [](const test::HostileWork& work) { return test::hostile_findings({"aten.relu.default"}, 20, work); };
  EXPECT_EQ(findings_of([](ExportedProgram&) {}), "");
  const auto crash = [](ExportedProgram&) {
    signal(SIGSEGV, SIG_DFL);  // a sanitizer has a handler of its own
    raise(SIGSEGV);
  };
  EXPECT_NE(findings_of(crash).find("aten.relu.default/0: signal 11"), std::string::npos);
  EXPECT_NE(findings_of([](ExportedProgram&) { throw std::bad_alloc(); }).find("bad_alloc"), std::string::npos);
  EXPECT_NE(findings_of([](ExportedProgram&) { throw_bug("this"); }).find("an error of another kind: this"), std::string::npos);
  EXPECT_EQ(findings_of([](ExportedProgram&) { throw_unsupported("this"); }), "");
}

}  // namespace
}  // namespace intaglio::decompose
