// A payload as bytes: written, read, checked and shown.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <intaglio/backend.h>
#include <intaglio/partitioner.h>

#include "backends/common/payload_header.h"
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
  std::vector<NamedData> named_data;  // one for each distinct constant, in order of first use; keys are their names
};

// Expects graphs that `check_payload` accepts, all of a file: equal constants of them have one key, filters where they are packed alike
// as well. `constants_inside`: the lasting
// constants stand in the payload itself.
std::vector<WrittenPayload> write_payloads(const std::vector<PayloadGraph>& graphs, const std::vector<bool>& constants_inside);
WrittenPayload write_payload(const PayloadGraph& graph, bool constants_inside = false);

// What stands around the flatbuffer.
inline constexpr common::PayloadFormat payload_format = {"an XNNPACK payload", "XH00", {"XN00", "XN01"}, true};

inline void check_payload_header(std::span<const std::byte> payload) { common::check_payload_header(payload_format, payload); }

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
