// Ops that PyTorch has under two names.
#include <algorithm>
#include <iterator>

#include "decompose/tables.h"

namespace intaglio {
namespace {

struct Alias {
  std::string_view alias, name;
};

constexpr Alias aliases[] = {
    {"aten.absolute.default", "aten.abs.default"},
    {"aten.arccos.default", "aten.acos.default"},
    {"aten.arccosh.default", "aten.acosh.default"},
    {"aten.arcsin.default", "aten.asin.default"},
    {"aten.arcsinh.default", "aten.asinh.default"},
    {"aten.arctan.default", "aten.atan.default"},
    {"aten.arctan2.default", "aten.atan2.default"},
    {"aten.arctanh.default", "aten.atanh.default"},
    {"aten.clip.Tensor", "aten.clamp.Tensor"},
    {"aten.divide.Scalar", "aten.div.Scalar"},
    {"aten.divide.Scalar_mode", "aten.div.Scalar_mode"},
    {"aten.divide.Tensor_mode", "aten.div.Tensor_mode"},
    {"aten.fix.default", "aten.trunc.default"},
    {"aten.greater.Scalar", "aten.gt.Scalar"},
    {"aten.greater.Tensor", "aten.gt.Tensor"},
    {"aten.greater_equal.Scalar", "aten.ge.Scalar"},
    {"aten.greater_equal.Tensor", "aten.ge.Tensor"},
    {"aten.less.Scalar", "aten.lt.Scalar"},
    {"aten.less.Tensor", "aten.lt.Tensor"},
    {"aten.less_equal.Scalar", "aten.le.Scalar"},
    {"aten.less_equal.Tensor", "aten.le.Tensor"},
    {"aten.multiply.Scalar", "aten.mul.Scalar"},
    {"aten.negative.default", "aten.neg.default"},
    {"aten.not_equal.Scalar", "aten.ne.Scalar"},
    {"aten.not_equal.Tensor", "aten.ne.Tensor"},
    {"aten.special_erf.default", "aten.erf.default"},
    {"aten.special_erfc.default", "aten.erfc.default"},
    {"aten.special_exp2.default", "aten.exp2.default"},
    {"aten.special_expm1.default", "aten.expm1.default"},
    {"aten.special_log1p.default", "aten.log1p.default"},
    {"aten.special_log_softmax.default", "aten.log_softmax.int"},
    {"aten.special_logit.default", "aten.logit.default"},
    {"aten.special_logsumexp.default", "aten.logsumexp.default"},
    {"aten.special_sinc.default", "aten.sinc.default"},
    {"aten.special_softmax.default", "aten.softmax.int"},
    {"aten.special_xlogy.default", "aten.xlogy.Tensor"},
    {"aten.special_xlogy.other_scalar", "aten.xlogy.Scalar_Other"},
    {"aten.special_xlogy.self_scalar", "aten.xlogy.Scalar_Self"},
    {"aten.subtract.Scalar", "aten.sub.Scalar"},
    {"aten.true_divide.Scalar", "aten.div.Scalar"},
};

Values renamed(GraphBuilder& b, const Node& n) {
  const auto row = std::ranges::find(aliases, n.op().name(), &Alias::alias);
  std::vector<Argument> positional;
  GraphBuilder::Keywords keywords;
  for (const ArgSchema& argument : n.op().schema()->arguments) {
    if (argument.keyword_only) keywords.emplace_back(argument.name, n.argument(argument.name));
    else positional.push_back(n.argument(argument.name));
  }
  return {b.call(row->name, std::move(positional), std::move(keywords))};
}

}  // namespace

std::span<const DecompositionRow> alias_decompositions() {
  static const std::vector<DecompositionRow> rows = [] {
    std::vector<DecompositionRow> result;
    for (const Alias& row : aliases) result.push_back({row.alias, renamed});
    return result;
  }();
  return rows;
}

}  // namespace intaglio
