// For tests: the error that an action ends with.
#pragma once

#include <string>

#include <gtest/gtest.h>
#include <intaglio/error.h>

namespace intaglio::testing {

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

}  // namespace intaglio::testing
