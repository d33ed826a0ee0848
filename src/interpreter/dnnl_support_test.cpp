#include "interpreter/dnnl_support.h"

#include <cstdlib>

#include <gtest/gtest.h>

namespace intaglio::interp {
namespace {

enum Answer : int { built, refused, asked_again };

// In a child: what is given up stays so.
[[noreturn]] void ask_twice(const std::exception& first) {
  int calls = 0;
  const auto ask = [&](const auto& body) {
    try {
      dnnl_built([&] { return ++calls, body(); });
      return built;
    } catch (const std::exception&) { return refused; }
  };
  const bool memory = dynamic_cast<const std::bad_alloc*>(&first) != nullptr;
  ask([&]() -> int { memory ? throw std::bad_alloc() : throw std::runtime_error("no such primitive"); });
  const Answer answer = ask([] { return 1; });
  std::exit(calls == 2 ? asked_again + answer : answer);
}

TEST(DnnlSupport, NothingIsBuiltOnceMemoryWasShort) {
  testing::GTEST_FLAG(death_test_style) = "threadsafe";
  EXPECT_EXIT(ask_twice(std::bad_alloc()), testing::ExitedWithCode(refused), "");
  EXPECT_EXIT(ask_twice(std::runtime_error("")), testing::ExitedWithCode(asked_again + built), "");
}

}  // namespace
}  // namespace intaglio::interp
