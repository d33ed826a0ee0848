// Names of the payload's enumerations.
#pragma once

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

#include "backends/vulkan/payload/vk_graph.h"

namespace intaglio::vulkan {

template <typename T>
using Named = std::pair<T, std::string_view>;

inline constexpr Named<DataType> data_type_names[] = {
    {DataType::boolean, "bool"},    {DataType::uint8, "uint8"},     {DataType::int8, "int8"},
    {DataType::int32, "int32"},     {DataType::float16, "float16"}, {DataType::float32, "float32"},
    {DataType::float64, "float64"}, {DataType::int64, "int64"},     {DataType::unset, "unset"},
};
inline constexpr Named<StorageType> storage_names[] = {
    {StorageType::buffer, "buffer"},
    {StorageType::texture_3d, "texture_3d"},
    {StorageType::texture_2d, "texture_2d"},
    {StorageType::default_storage, "default"},
};
inline constexpr Named<MemoryLayout> layout_names[] = {
    {MemoryLayout::width_packed, "width_packed"},
    {MemoryLayout::height_packed, "height_packed"},
    {MemoryLayout::channels_packed, "channels_packed"},
    {MemoryLayout::packed_int8_4w4c, "packed_int8_4w4c"},
    {MemoryLayout::packed_int8_4h4w, "packed_int8_4h4w"},
    {MemoryLayout::packed_int8_4w, "packed_int8_4w"},
    {MemoryLayout::packed_int8_4c, "packed_int8_4c"},
    {MemoryLayout::packed_int8_4c1w, "packed_int8_4c1w"},
    {MemoryLayout::packed_int8_conv2d, "packed_int8_conv2d"},
    {MemoryLayout::default_layout, "default"},
};

// "" for a number that has no name.
template <typename T, size_t N>
std::string_view named(const Named<T> (&names)[N], T value) {
  const auto found = std::ranges::find(names, value, &Named<T>::first);
  return found == std::end(names) ? std::string_view() : found->second;
}

}  // namespace intaglio::vulkan
