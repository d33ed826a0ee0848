#include "runtime/protocol.h"

#include <cstring>

#include <intaglio/error.h>

#include "pte/scalar_type.h"

namespace intaglio::runtime {
namespace {

[[noreturn]] void throw_garbled(const char* what) {
  throw_bad_input(std::string("the answer of intaglio-runner is garbled (") + what + ")");
}

}  // namespace

MessageWriter::MessageWriter(MessageKind kind) {
  put_u32(message_magic);
  put_u32(static_cast<uint32_t>(kind));
  put_u64(0);
}

void MessageWriter::put_raw(const void* data, size_t size) {
  auto* first = static_cast<const std::byte*>(data);
  bytes_.insert(bytes_.end(), first, first + size);
}

void MessageWriter::put_string(std::string_view value) {
  put_u64(value.size());
  put_raw(value.data(), value.size());
}

void MessageWriter::put_value(const RunValue& value) {
  if (std::holds_alternative<std::monostate>(value)) {
    put_u8(static_cast<uint8_t>(ValueKind::none));
  } else if (auto* tensor = std::get_if<Tensor>(&value)) {
    const Tensor dense = tensor->contiguous();
    const auto scalar_type = pte::kernel_scalar_type(dense.dtype());
    if (!scalar_type) throw_unsupported("ExecuTorch has no element type " + std::string(name(dense.dtype())));
    if (dense.sizes().size() > maximum_rank) throw_unsupported("ExecuTorch takes tensors of at most 16 dimensions");
    put_u8(static_cast<uint8_t>(ValueKind::tensor));
    put_u8(static_cast<uint8_t>(*scalar_type));
    put_u8(static_cast<uint8_t>(dense.sizes().size()));
    for (int64_t size : dense.sizes()) put_u64(static_cast<uint64_t>(size));
    if (dense.nbytes() > 0) put_raw(dense.raw(), dense.nbytes());
  } else if (auto* integer = std::get_if<int64_t>(&value)) {
    put_u8(static_cast<uint8_t>(ValueKind::integer));
    put_u64(static_cast<uint64_t>(*integer));
  } else if (auto* floating = std::get_if<double>(&value)) {
    put_u8(static_cast<uint8_t>(ValueKind::floating));
    put_double(*floating);
  } else if (auto* boolean = std::get_if<bool>(&value)) {
    put_u8(static_cast<uint8_t>(ValueKind::boolean));
    put_u8(*boolean ? 1 : 0);
  } else {
    put_u8(static_cast<uint8_t>(ValueKind::string));
    put_string(std::get<std::string>(value));
  }
}

std::vector<std::byte> MessageWriter::finish() && {
  const uint64_t length = bytes_.size() - message_header_size;
  std::memcpy(bytes_.data() + 8, &length, sizeof length);
  return std::move(bytes_);
}

MessageHeader parse_header(std::span<const std::byte> bytes) {
  MessageReader reader(bytes);
  if (reader.get_u32() != message_magic) throw_garbled("no message header");
  const uint32_t kind = reader.get_u32();
  if (kind < 1 || kind > static_cast<uint32_t>(MessageKind::failed)) throw_garbled("unknown message");
  return {static_cast<MessageKind>(kind), reader.get_u64()};
}

std::span<const std::byte> MessageReader::take(uint64_t size) {
  if (size > left_.size()) throw_garbled("it ends early");
  auto taken = left_.first(size);
  left_ = left_.subspan(size);
  return taken;
}

template <typename T>
T MessageReader::get() {
  T value;
  std::memcpy(&value, take(sizeof value).data(), sizeof value);
  return value;
}
uint8_t MessageReader::get_u8() { return get<uint8_t>(); }
uint32_t MessageReader::get_u32() { return get<uint32_t>(); }
uint64_t MessageReader::get_u64() { return get<uint64_t>(); }
double MessageReader::get_double() { return get<double>(); }

std::string MessageReader::get_string() {
  auto bytes = take(get_u64());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Tensor MessageReader::get_tensor() {
  const auto dtype = pte::dtype_of_scalar_type(get_u8());
  if (!dtype) throw_garbled("unknown element type");
  Sizes sizes(get_u8());
  if (sizes.size() > maximum_rank) throw_garbled("a tensor of too many dimensions");
  for (auto& size : sizes) size = static_cast<int64_t>(get_u64());
  const int64_t count = element_count(sizes);
  if (static_cast<uint64_t>(count) > left_.size()) throw_garbled("a tensor larger than the message");
  auto bytes = take(static_cast<uint64_t>(count) * item_size(*dtype));
  Tensor tensor = Tensor::empty(*dtype, std::move(sizes));
  if (!bytes.empty()) std::memcpy(tensor.mutable_raw(), bytes.data(), bytes.size());
  return tensor;
}

RunValue MessageReader::get_value() {
  switch (static_cast<ValueKind>(get_u8())) {
    case ValueKind::none: return std::monostate{};
    case ValueKind::tensor: return get_tensor();
    case ValueKind::integer: return static_cast<int64_t>(get_u64());
    case ValueKind::floating: return get_double();
    case ValueKind::boolean: return get_u8() != 0;
    case ValueKind::string: return get_string();
    case ValueKind::other: break;
  }
  throw_garbled("unknown kind of value");
}

}  // namespace intaglio::runtime
