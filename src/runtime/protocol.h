// Messages between Intaglio and its runner: both ends are built from this file.
//
//   1. magic   u32  "IRN1"
//   2. kind    u32  MessageKind
//   3. length  u64  of the payload
//   4. payload      fields in order, little endian: integers, doubles, strings (u64 length, bytes),
//                   values (u8 ValueKind, then the value; a tensor is u8 dtype, u8 rank, i64 sizes, bytes)
//
//   load    : path, method, u32 threads                      -> loaded : f64 milliseconds
//   run     : u32 repetitions, u8 rows, u32 count, values    -> outputs: u32 count, f64 milliseconds; u32 count, values
//   either                                                   -> failed : u32 code, stage, detail
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/runtime.h"

namespace intaglio::runtime {

enum class MessageKind : uint32_t { load = 1, run = 2, loaded = 3, outputs = 4, failed = 5 };

inline constexpr uint32_t message_magic = 0x314e5249;
inline constexpr size_t message_header_size = 16;
inline constexpr size_t maximum_rank = 16;  // of the runtime's tensors

class MessageWriter {
 public:
  explicit MessageWriter(MessageKind kind);
  void put_u8(uint8_t value) { put_raw(&value, sizeof value); }
  void put_u32(uint32_t value) { put_raw(&value, sizeof value); }
  void put_u64(uint64_t value) { put_raw(&value, sizeof value); }
  void put_double(double value) { put_raw(&value, sizeof value); }
  void put_string(std::string_view value);
  void put_value(const RunValue& value);
  void put_raw(const void* data, size_t size);
  // The whole message, header included; the writer is used up.
  std::vector<std::byte> finish() &&;

 private:
  std::vector<std::byte> bytes_;
};

struct MessageHeader {
  MessageKind kind;
  uint64_t length;
};

// Bad-input error when these are not the first bytes of a message.
MessageHeader parse_header(std::span<const std::byte> bytes);

// Reads a payload; every read is checked against what is left.
class MessageReader {
 public:
  explicit MessageReader(std::span<const std::byte> payload) : left_(payload) {}
  uint8_t get_u8();
  uint32_t get_u32();
  uint64_t get_u64();
  double get_double();
  std::string get_string();
  RunValue get_value();
  size_t left() const { return left_.size(); }

 private:
  template <typename T>
  T get();
  std::span<const std::byte> take(uint64_t size);
  Tensor get_tensor();
  std::span<const std::byte> left_;
};

}  // namespace intaglio::runtime
