// Names of operators in the archive. Torch resolves them by walking attributes; here the forms are a closed list.
#include <algorithm>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "pt2/model_json.h"

namespace intaglio::pt2 {
namespace {

constexpr std::string_view library = "torch.ops.";

// Functions of Python on sizes; they stand outside the operator library and have no overloads.
constexpr std::string_view python_prefixes[] = {"_operator.", "math.", "builtins.", "torch.sym_"};

bool is_python(std::string_view name) {
  return std::ranges::count(name, '.') == 1 &&
         std::ranges::any_of(python_prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// Identifiers joined with dots.
bool is_dotted(std::string_view name) {
  bool starts = true;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (c == '.' ? starts : !(letter || (digit && !starts))) return false;
    starts = c == '.';
  }
  return !starts;
}

}  // namespace

std::string op_name_of_target(std::string_view target) {
  const auto refuse = [&](const char* expected) {
    throw_bad_input(fmt::format("operator '{}' is not known; expected {}", escaped(target, 100), expected));
  };
  if (!is_dotted(target) || target.size() > 300) refuse("identifiers joined with dots, such as torch.ops.aten.add.Tensor");
  if (is_python(target)) return std::string(target);
  if (target.starts_with("torch._functorch."))
    throw_unsupported(fmt::format("'{}' is of torch.vmap, which the file does not resolve; save `program.run_decompositions({{}})`",
                                  escaped(target, 100)));
  if (!target.starts_with(library)) refuse("torch.ops.*, _operator.*, math.* or torch.sym_*");
  const std::string_view name = target.substr(library.size());
  const auto dots = std::ranges::count(name, '.');
  if (name.starts_with("higher_order.") ? dots != 1 : dots != 2) refuse("torch.ops.<namespace>.<operator>.<overload>");
  return std::string(name);
}

std::string target_of_op_name(std::string_view name) {
  return is_python(name) ? std::string(name) : std::string(library) + std::string(name);
}

}  // namespace intaglio::pt2
