#include "data/npy.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include <intaglio/error.h>

#include "base/byte_reader.h"

namespace intaglio::data {
namespace {

constexpr std::string_view magic = "\x93NUMPY";
constexpr size_t longest_header = 10'000;  // NumPy's own limit
constexpr size_t maximum_rank = 64;

struct TypeCode {
  std::string_view code;  // kind and bytes of `descr`
  DType dtype;
};
constexpr TypeCode type_codes[] = {
    {"b1", DType::boolean}, {"i1", DType::int8},    {"i2", DType::int16},     {"i4", DType::int32},       {"i8", DType::int64},
    {"u1", DType::uint8},   {"u2", DType::uint16},  {"u4", DType::uint32},    {"u8", DType::uint64},      {"f2", DType::float16},
    {"f4", DType::float32}, {"f8", DType::float64}, {"c8", DType::complex64}, {"c16", DType::complex128}, {"V2", DType::bfloat16},
};

// The header's dict, character by character: nothing but what NumPy writes is taken.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  NpyHeader parse() {
    expect('{');
    while (!take('}')) {
      parse_entry();
      if (take('}')) break;
      expect(',');
    }
    skip_blanks();
    if (!text_.empty()) fail("text after the dict");
    if (!has_descr_ || !has_order_ || !has_shape_) fail("descr, fortran_order or shape is missing");
    return std::move(header_);
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw_bad_input(fmt::format("its header is damaged ({}); write it again with numpy.save", what));
  }
  void skip_blanks() { text_.remove_prefix(std::min(text_.find_first_not_of(" \t\n"), text_.size())); }
  bool take(char wanted) {
    skip_blanks();
    if (text_.empty() || text_.front() != wanted) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) fail(fmt::format("'{}' expected", wanted));
  }
  bool take_word(std::string_view word) {
    skip_blanks();
    if (!text_.starts_with(word)) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  std::string_view parse_string() {
    skip_blanks();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) fail("a string expected");
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) fail("a string does not end");
    const auto content = text_.substr(1, end - 1);
    if (content.find('\\') != std::string_view::npos) fail("an escape in a string");
    text_.remove_prefix(end + 1);
    return content;
  }

  void mark(bool& seen, std::string_view key) const {
    if (seen) fail(fmt::format("{} is there twice", key));
    seen = true;
  }

  void parse_entry() {
    const auto key = parse_string();
    expect(':');
    if (key == "descr") {
      mark(has_descr_, key);
      parse_descr();
    } else if (key == "fortran_order") {
      mark(has_order_, key);
      header_.fortran_order = take_word("True");
      if (!header_.fortran_order && !take_word("False")) fail("True or False expected");
    } else if (key == "shape") {
      mark(has_shape_, key);
      parse_shape();
    } else {
      fail(fmt::format("unknown key '{}'", escaped(key, 40)));
    }
  }

  void parse_descr() {
    skip_blanks();
    if (text_.starts_with('[')) throw_bad_input("it holds records; give plain arrays");
    const auto descr = parse_string();
    const char order = descr.empty() ? ' ' : descr.front();
    if (std::string_view("<>|=").find(order) == std::string_view::npos) fail("a byte order expected in descr");
    header_.big_endian = order == '>';
    for (const auto& row : type_codes) {
      if (row.code != descr.substr(1)) continue;
      header_.dtype = row.dtype;
      return;
    }
    throw_bad_input(fmt::format("element type '{}' is not numeric; objects and text are never read, give numbers", escaped(descr, 40)));
  }

  void parse_shape() {
    expect('(');
    while (!take(')')) {
      skip_blanks();
      int64_t size = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) fail("a size expected in shape");
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      header_.sizes.push_back(size);
      if (header_.sizes.size() > maximum_rank) fail("too many dimensions");
      if (take(')')) break;
      expect(',');
    }
  }

  std::string_view text_;
  NpyHeader header_;
  bool has_descr_ = false, has_order_ = false, has_shape_ = false;
};

void swap_bytes(std::byte* data, size_t count, size_t width) {
  for (size_t i = 0; i < count; ++i) std::reverse(data + i * width, data + (i + 1) * width);
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> bytes) {
  ByteReader reader(bytes, "it");
  if (bytes.size() < magic.size() || reader.take_text(magic.size()) != magic)
    throw_bad_input("not a NumPy file; give a .npy written by numpy.save");
  const auto major = reader.read<uint8_t>();
  const auto minor = reader.read<uint8_t>();
  if (major < 1 || major > 3 || minor != 0)
    throw_bad_input(fmt::format("NumPy format {}.{} is not known; write it again with numpy.save", major, minor));
  const size_t length = major == 1 ? reader.read<uint16_t>() : reader.read<uint32_t>();
  if (length > longest_header) throw_bad_input(fmt::format("a header of {} bytes is too long for an array", length));
  NpyHeader header = HeaderParser(reader.take_text(length)).parse();
  header.data_offset = reader.position();
  return header;
}

Tensor read_npy(std::span<const std::byte> bytes) {
  const NpyHeader header = parse_npy_header(bytes);
  const auto data = bytes.subspan(header.data_offset);
  const size_t width = item_size(header.dtype);
  int64_t wanted = 0;
  if (__builtin_mul_overflow(element_count(header.sizes), static_cast<int64_t>(width), &wanted) ||
      static_cast<uint64_t>(wanted) != data.size())
    throw_bad_input(fmt::format("its shape needs {} elements of {} bytes, {} bytes are there; write it again", element_count(header.sizes),
                                width, data.size()));

  Sizes stored = header.sizes;
  if (header.fortran_order) std::reverse(stored.begin(), stored.end());
  Tensor tensor = Tensor::empty(header.dtype, stored);
  if (data.empty()) return Tensor::empty(header.dtype, header.sizes);
  auto* elements = static_cast<std::byte*>(tensor.mutable_raw());
  std::memcpy(elements, data.data(), data.size());
  if (header.big_endian) {
    const size_t part = is_complex(header.dtype) ? width / 2 : width;
    swap_bytes(elements, data.size() / part, part);
  }
  if (header.dtype == DType::boolean)
    for (size_t i = 0; i < data.size(); ++i) elements[i] = static_cast<std::byte>(elements[i] != std::byte{0});
  if (!header.fortran_order) return tensor;
  std::vector<int64_t> reversed(stored.size());
  for (size_t i = 0; i < reversed.size(); ++i) reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
  return tensor.permuted(reversed).contiguous();
}

std::string make_npy_header(DType dtype, std::span<const int64_t> sizes) {
  const auto* row =
      std::find_if(std::begin(type_codes), std::end(type_codes), [&](const TypeCode& candidate) { return candidate.dtype == dtype; });
  if (row == std::end(type_codes)) throw_unsupported(fmt::format("NumPy files hold no {}; convert the output", name(dtype)));
  std::string shape;
  for (int64_t size : sizes) shape += fmt::format("{}, ", size);
  if (sizes.size() > 1) shape.resize(shape.size() - 2);
  if (sizes.size() == 1) shape.pop_back();
  const bool has_order = item_size(dtype) > 1 && dtype != DType::bfloat16;
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}", has_order ? '<' : '|', row->code, shape);
  const size_t prefix = magic.size() + 4;
  text.append((64 - (prefix + text.size() + 1) % 64) % 64, ' ');
  text += '\n';
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace intaglio::data
