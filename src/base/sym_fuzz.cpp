// Size expressions from a hostile archive.
#include <intaglio/error.h>
#include <intaglio/sym.h>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace intaglio;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const SymExprPtr expression = parse_sym_expr(text);
    const SymBindings bindings{{"s0", 7}, {"s1", INT64_MAX}};
    const auto value = evaluate(*expression, bindings);
    // What is printed reads back as something of the same value, unless it became too deep.
    const std::string canonical = to_string(*expression);
    (void)bounds(*expression, {{"s0", {0, 9}}});
    const auto again = evaluate(*parse_sym_expr(to_srepr(*expression)), bindings);
    if (value != again) __builtin_trap();
    (void)canonical;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::bug) __builtin_trap();
  }
  return 0;
}
