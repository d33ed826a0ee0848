// `compare --layers`: where two programs part.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <intaglio/data.h>

#include "cli/cli.h"

namespace intaglio::cli {

struct LayerArguments {
  std::string reference, candidate, data;
  std::string labels;  // of --sensitivity
  std::optional<Preprocess> preprocess;
  report::Numerics numerics = report::Numerics::as_written;
  std::chrono::milliseconds timeout{300'000};
};
void compare_layers(const LayerArguments& arguments, const CommonOptions& common);
// `compare --sensitivity`: what each layer's quantization costs.
void compare_sensitivity(const LayerArguments& arguments, const CommonOptions& common);

}  // namespace intaglio::cli
