// The delegate's payload: a model's package and what the runtime asks of it.
//
//   lowered_module/metadata.json                  names of inputs and outputs in the order of the delegate's arguments
//   lowered_module/model.mlpackage/Manifest.json  what is in Data/
//   lowered_module/model.mlpackage/Data/com.apple.CoreML/model.mlmodel, weights/weight.bin
#pragma once

#include "backends/coreml/mil/program.h"
#include "backends/coreml/payload/file_system.h"

namespace intaglio::coreml {

// The files of a `.mlpackage`. Ids come from the content: equal programs are equal files.
std::vector<File> package_of(const Program& program);

// A program of one function; weights are read while it is written.
Blob write_payload(const Program& program);

struct Payload {
  std::string identifier;  // of the model, under which devices keep it once it is compiled
  Program program;
};
// Bad input for anything that is no whole payload. The bytes outlive the result.
Payload read_payload(std::span<const std::byte> bytes);

}  // namespace intaglio::coreml
