// Tables of explanations, for people.
#pragma once

#include <string>

#include "cli/output.h"

namespace intaglio::cli {

// "12.3 %", "<0.1 %"
std::string percent(double share);

// Of `inspect`'s documents. Brief: what stands alike is summed up and long lists are cut.
std::string delegation_text(const Json& delegation, bool verbose);
std::string quantization_text(const Json& quantization, bool verbose);
std::string pte_method_text(const Json& method, bool verbose);
std::string weights_text(const Json& weights, bool verbose);

// After `build` and `lower`: each method in a few lines. `hint` says which command lists the rest.
std::string lowering_text(const Json& methods, const std::string& hint);

// `ops` as {op, layer, source, rule, share}: one row for each op and rule, or (verbose) for each op.
std::string ops_text(const Json& ops, bool verbose);

}  // namespace intaglio::cli
