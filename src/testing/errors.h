// The error that an action ends with.
#pragma once

#include <string>

#include <gtest/gtest.h>
#include <intaglio/error.h>

namespace intaglio::test {

// Fails the test when the action succeeds.
template <typename Action>
Error error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) { return error; }
  ADD_FAILURE() << "nothing was thrown";
  return Error(ErrorKind::bug, "nothing was thrown");
}

// Empty when the action succeeds.
template <typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) { return error.what(); }
  return "";
}

// The message of an error of this kind; fails the test for any other end.
template <typename Action>
std::string refusal_of(ErrorKind kind, Action&& action) {
  const Error error = error_of(action);
  EXPECT_EQ(error.kind(), kind) << error.what();
  return error.what();
}

// The message with its kind in front; "no error" when the action succeeds.
template <typename Action>
std::string failure(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    const char* kinds[] = {"bad input: ", "unsupported: ", "usage: ", "bug: "};
    return kinds[static_cast<int>(error.kind())] + std::string(error.what());
  }
  return "no error";
}

}  // namespace intaglio::test
