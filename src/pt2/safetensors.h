// `.safetensors`: u64 length of a JSON object {name: {dtype, shape, data_offsets}}, the object, and behind it the tensors' bytes.
// Test: safetensors_test.cpp.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include <intaglio/tensor.h>

namespace intaglio {

// Tensors over the mapped file. Bad-input errors name the file.
std::map<std::string, Tensor> read_safetensors(const std::filesystem::path& path);

}  // namespace intaglio
