// A payload as bytes: written, read, checked and shown.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/partitioner.h>

#include "backends/xnnpack/payload/payload.h"

namespace intaglio::xnnpack {

// The pre-flight: does the runtime accept this graph?
//
// Every limit of the runtime that a payload could break, checked before bytes are made. The partitioner refuses what
// breaks them, so a violation is a bug error that names the layer.
void check_payload(const PayloadGraph& graph);

// Payload graph to bytes.
struct WrittenPayload {
  std::vector<std::byte> bytes;
  std::vector<NamedData> named_data;  // one for each distinct constant, in order of first use; keys are SHA-256
};

// Expects a graph that `check_payload` accepts. `constants_inside`: the lasting constants stand in the payload itself.
WrittenPayload write_payload(const PayloadGraph& graph, bool constants_inside = false);

// The 32 bytes in front of a payload's flatbuffer; their layout is at the top of payload.h.

// Header, flatbuffer, padding to 16, constant data.
std::vector<std::byte> with_payload_header(std::span<const std::byte> flatbuffer, std::span<const std::byte> constants = {});

struct PayloadParts {
  std::span<const std::byte> flatbuffer;
  std::span<const std::byte> constant_data;
};
// Bad input when the header is not XNNPACK's or its parts leave the payload.
PayloadParts split_payload(std::span<const std::byte> payload);

// What the runtime relies on: the parts lie inside and apart, and the flatbuffer is of a known version. Payloads from
// before the header existed pass. A bad-input error otherwise.
void check_payload_header(std::span<const std::byte> payload);

// Bytes of a payload to its graph, for `inspect` and tests.
//
// The bytes may be damaged: anything that is not a well-formed payload is a bad-input error. Constants carry their key
// and no data, or (constants inside the payload) neither.
PayloadGraph read_payload(std::span<const std::byte> payload);

// Payloads in the neutral form of `inspect`.
//
// Bad-input error on anything that is not a well-formed payload.
DecodedPayload decode_payload(std::span<const std::byte> payload);

}  // namespace intaglio::xnnpack
