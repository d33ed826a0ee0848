// The delegate's payload: a model's package and what the runtime asks of it.
//
//   lowered_module/metadata.json                  names of inputs and outputs in the order of the delegate's arguments
//   lowered_module/model.mlpackage/Manifest.json  what is in Data/
//   lowered_module/model.mlpackage/Data/com.apple.CoreML/model.mlmodel, weights/weight.bin
#pragma once

#include <optional>

#include "backends/coreml/mil/program.h"
#include "backends/coreml/payload/file_system.h"

namespace intaglio::coreml {

// The files of a `.mlpackage`. Ids come from the content: equal programs are equal files.
std::vector<File> package_of(const Program& program);

// Weights are read while it is written. A program of one function is a payload of its own; one of several stands in named data,
// and each delegate's payload is a reference to its function.
Blob write_payload(const Program& program);

// "CMJR" and a JSON text: {"version":1,"key":KEY,"functionName":NAME}.
struct FunctionReference {
  std::string key;  // of the named data
  std::string function;
};
Blob write_reference(const FunctionReference& reference);
// nullopt for bytes that do not begin as one; bad input for damage behind that.
std::optional<FunctionReference> read_reference(std::span<const std::byte> bytes);

struct Payload {
  std::string identifier;  // of the model, under which devices keep it once it is compiled
  Program program;
};
// Bad input for anything that is no whole payload. The bytes outlive the result.
Payload read_payload(std::span<const std::byte> bytes);
// Bad input for anything that is neither that nor a reference.
void check_payload(std::span<const std::byte> bytes);

}  // namespace intaglio::coreml
