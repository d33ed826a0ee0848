// Which layer is the first to go wrong in a file that does not compute what its program computes?
// Test: agreement_test.cpp.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include <intaglio/check.h>

namespace intaglio::recipes {

// Lowers a variant of the program as the file was made, to `forward` alone, and shows the file of it, which is gone afterwards.
using LowerAgain = std::function<void(ExportedProgram, const std::function<void(const std::filesystem::path&)>& use)>;

struct AgreementOptions {
  int threads = 0;
  std::chrono::milliseconds timeout{60'000};  // for loading a file, and for one run of it
  LowerAgain lower_again;                     // empty: a wrong output is not traced to its layer
  // Of a file that no runtime runs: its method as a program.
  ExportedProgram (*load)(const std::filesystem::path&, std::string_view method) = nullptr;
};

// What an operator makes, in messages: its layer is that of the operator behind quantize and dequantize operators.
std::string place_of(const Value* value);

// The program is lowered again with a few values from inside among its outputs, until nothing that the wrong value is made of
// is wrong itself. Values are taken where they stand quantized, so that layers stay with their quantization; without
// that, where an operator makes them. nullopt where no value is wrong once it can be seen, or the variant cannot be run.
std::optional<WrongLayer> first_wrong_layer(const ExportedProgram& program, const Value* wrong, const std::vector<Tensor>& inputs,
                                            const AgreementOptions& options);

}  // namespace intaglio::recipes
