// Reads little-endian numbers from bytes that may lie about anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>
#include <intaglio/error.h>

namespace intaglio {

// Knows how much is left; every read past the end is a bad-input error that names the place (`what`).
class ByteReader {
 public:
  ByteReader(std::span<const std::byte> bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  size_t position() const { return position_; }
  size_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  T read() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> take(size_t count) {
    if (count > remaining())
      throw_bad_input(fmt::format("{} is cut short: {} bytes are needed at offset {}, {} are there", what_, count, position_, remaining()));
    const std::span<const std::byte> result = bytes_.subspan(position_, count);
    position_ += count;
    return result;
  }
  std::string_view take_text(size_t count) {
    const std::span<const std::byte> bytes = take(count);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  void seek(size_t position) {
    if (position > bytes_.size()) throw_bad_input(fmt::format("{}: offset {} is outside its {} bytes", what_, position, bytes_.size()));
    position_ = position;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string what_;
  size_t position_ = 0;
};

}  // namespace intaglio
