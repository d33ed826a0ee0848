// The symbols in expressions of sizes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <intaglio/sym.h>

namespace intaglio {

// Each symbol of the expression, as often as it stands there.
void visit_symbols(const SymExpr& expression, const std::function<void(const std::string& name)>& visit);

// Of a symbol in an input's size (`s0`), which the exporter replaces everywhere once something fixes its value. What data decides
// (`u0`) it does not, and may be known to be equal to other sizes.
bool is_input_symbol(std::string_view name);

}  // namespace intaglio
