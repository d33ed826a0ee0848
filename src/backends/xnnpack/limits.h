// What the runtime takes of every tensor in a delegate: one table for the quantizer, which leaves in float what breaks it, and for
// the partitioner, which leaves it outside.
#pragma once

#include <functional>
#include <string_view>

#include <intaglio/program.h>

namespace intaglio::xnnpack {

struct Limit {
  std::string_view text;  // what is required, for the refusal
  bool (*holds)(const ExportedProgram& program, const TensorMeta& tensor, bool is_constant);
};

// The first limit that a tensor read by the node, or its first result, breaks; null for none.
const Limit* first_broken_limit(const ExportedProgram& program, const Node& node, const std::function<bool(const Value*)>& is_constant);

// The same of a node before lowering: one that lowering gives fewer dimensions (flat_form.h) may have any count of them.
const Limit* first_broken_limit_of_layer(const ExportedProgram& program, const Node& node,
                                         const std::function<bool(const Value*)>& is_constant);

// A 1-d convolution runs as one over [N, C, L, 1], between reshapes that can infer one size.
bool reshapes_to_images(const TensorMeta& input, const TensorMeta& output);

}  // namespace intaglio::xnnpack
