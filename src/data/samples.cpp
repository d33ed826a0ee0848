#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <limits>

#include <intaglio/data.h>
#include <intaglio/error.h>

namespace intaglio {
namespace fs = std::filesystem;
namespace {

enum class FileKind { arrays, image, other };

FileKind kind_of(const fs::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (extension == ".npy" || extension == ".npz") return FileKind::arrays;
  if (extension == ".jpg" || extension == ".jpeg" || extension == ".png") return FileKind::image;
  return FileKind::other;
}

std::vector<fs::path> files_of_folder(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.') || kind_of(entry->path()) == FileKind::other) continue;
    std::error_code ignored;
    if (!entry->is_directory(ignored)) files.push_back(entry->path());
  }
  if (error) throw_bad_input(fmt::format("{}: the folder cannot be read: {}", escaped(folder.string()), error.message()));
  if (files.empty())
    throw_bad_input(fmt::format("{}: no sample in this folder; put .npy, .npz, .jpg or .png files there", escaped(folder.string())));
  // std::string compares as bytes; paths would compare by their parts.
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    const std::string left = a.filename().string(), right = b.filename().string();
    return std::lexicographical_compare(left.begin(), left.end(), right.begin(), right.end(),
                                        [](char x, char y) { return static_cast<unsigned char>(x) < static_cast<unsigned char>(y); });
  });
  return files;
}

// Elements are compared as unsigned numbers without their sign: what is above infinity is NaN.
template <typename Bits>
int64_t first_nan(const void* elements, int64_t count, Bits infinity) {
  const auto* bits = static_cast<const Bits*>(elements);
  constexpr Bits without_sign = std::numeric_limits<Bits>::max() >> 1;
  bool any = false;
  for (int64_t i = 0; i < count; ++i) any |= (bits[i] & without_sign) > infinity;
  if (!any) return -1;
  return std::find_if(bits, bits + count, [&](Bits value) { return (value & without_sign) > infinity; }) - bits;
}

int64_t first_nan(const Tensor& tensor) {
  const int64_t count = tensor.numel();
  switch (tensor.dtype()) {
    case DType::float16: return first_nan<uint16_t>(tensor.raw(), count, 0x7c00);
    case DType::bfloat16: return first_nan<uint16_t>(tensor.raw(), count, 0x7f80);
    case DType::float32: return first_nan<uint32_t>(tensor.raw(), count, 0x7f800000);
    case DType::float64: return first_nan<uint64_t>(tensor.raw(), count, 0x7ff0000000000000);
    case DType::complex64: return first_nan<uint32_t>(tensor.raw(), 2 * count, 0x7f800000);
    case DType::complex128: return first_nan<uint64_t>(tensor.raw(), 2 * count, 0x7ff0000000000000);
    default: return -1;
  }
}

void refuse_nan(const Tensor& tensor) {
  const int64_t found = tensor.numel() > 0 ? first_nan(tensor.contiguous()) : -1;
  if (found < 0) return;
  const int64_t index = is_complex(tensor.dtype()) ? found / 2 : found;
  throw_bad_input(fmt::format("element {} of {} is NaN; samples must be numbers, remove or repair it", index, tensor.numel()));
}

std::string describe(const InputSlot& slot) {
  if (slot.scalar) return fmt::format("{} number", name(slot.dtype));
  std::vector<std::string> sizes;
  for (auto [smallest, largest] : slot.sizes)
    sizes.push_back(smallest == largest    ? std::to_string(smallest)
                    : largest == INT64_MAX ? fmt::format("{} or more", smallest)
                                           : fmt::format("{} to {}", smallest, largest));
  return fmt::format("{} [{}]", name(slot.dtype), fmt::join(sizes, ", "));
}

std::string describe(const Tensor& tensor) { return fmt::format("{} [{}]", name(tensor.dtype()), fmt::join(tensor.sizes(), ", ")); }

bool sizes_fit(const InputSlot& slot, const Tensor& tensor) {
  if (slot.scalar) return tensor.rank() == 0;
  return std::equal(slot.sizes.begin(), slot.sizes.end(), tensor.sizes().begin(), tensor.sizes().end(),
                    [](const auto& range, int64_t size) { return size >= range.first && size <= range.second; });
}

void require_fit(const InputSlot& slot, const Tensor& tensor) {
  if (tensor.dtype() != slot.dtype)
    throw_bad_input(
        fmt::format("{} expected, {} found; convert it with .astype(\"{}\")", describe(slot), describe(tensor), name(slot.dtype)));
  if (!sizes_fit(slot, tensor))
    throw_bad_input(fmt::format("{} expected, {} found; reshape, resize or batch it so", describe(slot), describe(tensor)));
  refuse_nan(tensor);
}

// Whether a 0-d array may stand for a scalar: integers for any number, floats for floats.
bool is_number_for(DType wanted, DType found) {
  return (is_integral(found) && wanted != DType::boolean) || (is_floating(found) && is_floating(wanted));
}

// What arr_0, arr_1, ... number: the tensors, or all slots where a sample has as many of them as there are slots.
enum class Numbering { tensors, slots };

Numbering numbering_of(const std::vector<NamedArray>& arrays, std::span<const InputSlot> slots) {
  const auto numbered = std::ranges::count_if(arrays, [](const NamedArray& array) { return array.name.starts_with("arr_"); });
  return static_cast<size_t>(numbered) == slots.size() ? Numbering::slots : Numbering::tensors;
}

// The slot of an array; `slots.size()` when there is none.
size_t slot_of(const std::string& array, std::span<const InputSlot> slots, Numbering numbering) {
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].name == array) return i;
  if (!array.starts_with("arr_")) return slots.size();
  size_t number = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].scalar && numbering == Numbering::tensors) continue;
    if (array == fmt::format("arr_{}", number++)) return i;
  }
  return slots.size();
}

std::string names_of(std::span<const InputSlot> slots) {
  std::string names;
  for (const auto& slot : slots) names += (names.empty() ? "" : ", ") + escaped(slot.name, 60);
  return names;
}

void bind_array(Sample& sample, NamedArray& array, std::span<const InputSlot> slots, Numbering numbering) try {
  const size_t index = slot_of(array.name, slots, numbering);
  if (index == slots.size())
    throw_bad_input(fmt::format("the program has no such input; name it {} or arr_i, or remove it", names_of(slots)));
  if (sample.inputs[index].defined()) throw_bad_input(fmt::format("input '{}' is there twice; remove one", escaped(slots[index].name)));
  // NumPy writes a Python number in whatever width it likes.
  if (slots[index].scalar && is_number_for(slots[index].dtype, array.tensor.dtype()))
    array.tensor = converted(array.tensor, slots[index].dtype);
  require_fit(slots[index], array.tensor);
  sample.inputs[index] = std::move(array.tensor);
} catch (const Error& error) { throw error.with_context(fmt::format("array '{}'", escaped(array.name, 60))); }

}  // namespace

Sample bind_sample(const fs::path& file, std::vector<NamedArray> arrays, std::span<const InputSlot> slots) try {
  Sample sample{file, std::vector<Tensor>(slots.size())};
  const Numbering numbering = numbering_of(arrays, slots);
  for (auto& array : arrays) bind_array(sample, array, slots, numbering);
  for (size_t i = 0; i < slots.size(); ++i)
    if (!slots[i].scalar && !sample.inputs[i].defined())
      throw_bad_input(fmt::format("input '{}' ({}) is missing; add an array of that name", escaped(slots[i].name), describe(slots[i])));
  return sample;
} catch (const Error& error) { throw error.with_context(escaped(file.string())); }

SampleSource::SampleSource(const fs::path& data, std::vector<InputSlot> slots, std::optional<Preprocess> preprocess)
    : slots_(std::move(slots)), preprocess_(std::move(preprocess)) {
  std::error_code error;
  const auto status = fs::status(data, error);
  if (!fs::exists(status)) throw_bad_input(fmt::format("{}: there is no such file or folder", escaped(data.string())));
  if (fs::is_directory(status)) files_ = files_of_folder(data);
  else files_ = {data};
  for (const auto& file : files_) {
    if (kind_of(file) == FileKind::other)
      throw_bad_input(fmt::format("{}: not a sample; give a .npy, .npz, .jpg or .png", escaped(file.string())));
    if (kind_of(file) == FileKind::image && !preprocess_)
      throw_usage(fmt::format("{}: images need --preprocess, for example 'resize=256,crop=224'", escaped(file.string())));
  }
}

Sample SampleSource::load(size_t index) const {
  const fs::path& path = file(index);
  if (kind_of(path) == FileKind::arrays) return bind_sample(path, read_arrays(path), slots_);
  Tensor tensor;
  try {
    tensor = to_tensor(read_image(path), *preprocess_);
  } catch (const Error& error) {
    const std::string place = escaped(path.string());
    if (std::string_view(error.what()).starts_with(place)) throw;
    throw error.with_context(place);
  }
  if (slots_.size() == 1 && slots_[0].sizes.size() == 3) tensor = tensor.reshaped({tensor.size(1), tensor.size(2), tensor.size(3)});
  return bind_sample(path, {{"arr_0", std::move(tensor)}}, slots_);
}

}  // namespace intaglio
