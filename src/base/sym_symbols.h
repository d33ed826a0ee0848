// The symbols in expressions of sizes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include <intaglio/sym.h>

namespace intaglio {

// Each symbol of the expression, as often as it stands there.
void visit_symbols(const SymExpr& expression, const std::function<void(const std::string& name)>& visit);

// Of a symbol that stands for an input's size (`s0`); what data decides is called otherwise (`u0`).
bool is_input_symbol(std::string_view name);

}  // namespace intaglio
