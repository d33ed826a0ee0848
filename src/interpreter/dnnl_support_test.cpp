#include "interpreter/dnnl_support.h"

#include <cstdlib>
#include <stdexcept>

#include <gtest/gtest.h>

namespace intaglio::interp {
namespace {

enum Answer : int { built, refused, asked_again };

// In a child: what is given up stays so.
template <typename Exception>
[[noreturn]] void ask_twice(Exception first) {
  int calls = 0;
  const auto ask = [&](const auto& body) {
    try {
      dnnl_built([&] { return ++calls, body(); });
      return built;
    } catch (const std::exception&) { return refused; }
  };
  ask([&]() -> int { throw first; });
  const Answer answer = ask([] { return 1; });
  std::exit(calls == 2 ? asked_again + answer : answer);
}

TEST(DnnlSupport, NothingIsBuiltOnceMemoryWasShort) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(ask_twice(std::bad_alloc()), testing::ExitedWithCode(refused), "");
  EXPECT_EXIT(ask_twice(std::runtime_error("no such primitive")), testing::ExitedWithCode(asked_again + built), "");
}

}  // namespace
}  // namespace intaglio::interp
