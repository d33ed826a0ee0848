#include "base/sym_symbols.h"

namespace intaglio {

void visit_symbols(const SymExpr& expression, const std::function<void(const std::string& name)>& visit) {
  if (expression.kind == SymExpr::Kind::symbol) visit(expression.name);
  for (const SymExprPtr& argument : expression.arguments) visit_symbols(*argument, visit);
}

bool is_input_symbol(std::string_view name) { return name.starts_with('s'); }

}  // namespace intaglio
