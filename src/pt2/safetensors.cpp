#include "pt2/safetensors.h"

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/byte_reader.h"
#include "base/mapped_file.h"
#include "base/zip_format.h"
#include "ir/json.h"

namespace intaglio {
namespace {

struct TypeRow {
  std::string_view name;
  DType dtype;
};
constexpr TypeRow types[] = {
    {"F64", DType::float64},
    {"F32", DType::float32},
    {"F16", DType::float16},
    {"BF16", DType::bfloat16},
    {"F8_E4M3", DType::float8_e4m3fn},
    {"F8_E5M2", DType::float8_e5m2},
    {"F8_E8M0", DType::float8_e8m0fnu},
    {"F8_E4M3FNUZ", DType::float8_e4m3fnuz},
    {"F8_E5M2FNUZ", DType::float8_e5m2fnuz},
    {"C64", DType::complex64},
    {"I64", DType::int64},
    {"I32", DType::int32},
    {"I16", DType::int16},
    {"I8", DType::int8},
    {"U64", DType::uint64},
    {"U32", DType::uint32},
    {"U16", DType::uint16},
    {"U8", DType::uint8},
    {"BOOL", DType::boolean},
};

std::vector<int64_t> integers(const json::Value& list, std::string_view what) {
  std::vector<int64_t> result;
  for (const json::Value item : list.array(what)) result.push_back(item.integer(what));
  return result;
}

Tensor tensor_of(const json::Value& entry, const std::shared_ptr<MappedFile>& file, std::span<const std::byte> data) {
  const std::string_view type = entry.at("dtype").string("dtype");
  const auto row = std::ranges::find(types, type, &TypeRow::name);
  if (row == std::end(types))
    throw_bad_input(fmt::format("the element type {} is not known; save the weights in float32, float16 or bfloat16", escaped(type)));
  const Sizes sizes = integers(entry.at("shape"), "shape");
  const std::vector<int64_t> ends = integers(entry.at("data_offsets"), "data_offsets");
  const auto size = static_cast<int64_t>(data.size());
  const int64_t count = element_count(sizes), item = static_cast<int64_t>(item_size(row->dtype));
  if (ends.size() != 2 || ends[0] < 0 || ends[0] > ends[1] || ends[1] > size || count != (ends[1] - ends[0]) / item ||
      (ends[1] - ends[0]) % item != 0)
    throw_bad_input("its shape and its bytes do not fit together, or lie outside the file");
  const auto bytes = data.subspan(static_cast<size_t>(ends[0]), static_cast<size_t>(ends[1] - ends[0]));
  auto storage = Storage::mapped(file, bytes, {}, Storage::Backing::file);
  // The format promises no alignment.
  if (reinterpret_cast<uintptr_t>(bytes.data()) % static_cast<uintptr_t>(item) != 0) storage = Storage::unaligned(std::move(storage));
  return Tensor(row->dtype, sizes, contiguous_strides(sizes), 0, std::move(storage));
}

Tensor named_tensor(const std::string& name, const json::Value& entry, const std::shared_ptr<MappedFile>& file,
                    std::span<const std::byte> data) try {
  return tensor_of(entry, file, data);
} catch (const Error& error) { throw error.with_context(fmt::format("'{}'", escaped(name))); }

// What torch.save writes are pickles, which are code, today in a zip archive.
void refuse_other_formats(std::span<const std::byte> bytes) {
  constexpr uint32_t gguf = 0x46554747;  // "GGUF"
  const auto first = ByteReader(bytes, "the header").read<uint32_t>();
  if (first == zip::local_signature)
    throw_bad_input("it is no safetensors file but an archive, as torch.save writes it: save the weights with safetensors.torch.save_file");
  if ((first & 0xff) == 0x80 && (first >> 8 & 0xff) >= 2 && (first >> 8 & 0xff) <= 5 &&
      ByteReader(bytes, "the header").read<uint64_t>() > bytes.size())
    throw_bad_input("it is no safetensors file but a pickle, as torch.save wrote it: save the weights with safetensors.torch.save_file");
  if (first == gguf)
    throw_bad_input("it is no safetensors file but GGUF, whose weights are quantized: take the checkpoint that it was made from");
}

}  // namespace

std::map<std::string, Tensor> read_safetensors(const std::filesystem::path& path) {
  const auto file = MappedFile::open(path);
  std::map<std::string, Tensor> tensors;
  try {
    ByteReader reader(file->bytes(), "the header");
    if (file->bytes().size() < sizeof(uint64_t)) throw_bad_input("it is no safetensors file: it has no header");
    refuse_other_formats(file->bytes());
    const auto length = reader.read<uint64_t>();
    if (length > file->bytes().size() - sizeof length)
      throw_bad_input(
          fmt::format("it is no safetensors file, or was cut: its header would take {} of its {} bytes", length, file->bytes().size()));
    const json::Document header(reader.take_text(length));
    const auto data = file->bytes().subspan(reader.position());
    for (const auto& [key, value] : header.root().object("the header"))
      if (key != "__metadata__") tensors.emplace(key, named_tensor(std::string(key), json::Value(value), file, data));
  } catch (const Error& error) { throw error.with_context(escaped(path.string())); }
  return tensors;
}

}  // namespace intaglio
