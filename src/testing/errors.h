// The error that an action ends with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

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

// Reads good bytes cut short and with words changed: each damage is read all the same or is a bad-input error, and some is one.
template <typename Read>
void expect_damage_is_bad_input(const std::vector<std::byte>& good, Read&& read) {
  size_t refused = 0;
  const auto try_to_read = [&](const std::vector<std::byte>& bytes) {
    try {
      read(bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input) << error.what();
      ++refused;
    }
  };
  for (size_t size = 0; size < good.size(); size += 7) try_to_read({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
  for (size_t at = 0; at + 4 <= good.size(); at += 4)
    for (const uint32_t value : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      std::vector<std::byte> bad = good;
      std::memcpy(bad.data() + at, &value, sizeof value);
      try_to_read(bad);
    }
  EXPECT_GT(refused, good.size() / 14);
}

// The message with its kind in front; "no error" when the action succeeds.
template <typename Action>
std::string failure(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    const char* kinds[] = {"bad input: ", "unsupported: ", "machine: ", "usage: ", "bug: "};
    return kinds[static_cast<int>(error.kind())] + std::string(error.what());
  }
  return "no error";
}

}  // namespace intaglio::test
