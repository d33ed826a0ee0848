#include <algorithm>
#include <vector>

#include "decompose/tables.h"

namespace intaglio::decompose {
namespace {

constexpr Alias alias_rows[] = {
    {"aten.absolute.default", "aten.abs.default"},
    {"aten.arccos.default", "aten.acos.default"},
    {"aten.arccosh.default", "aten.acosh.default"},
    {"aten.arcsin.default", "aten.asin.default"},
    {"aten.arcsinh.default", "aten.asinh.default"},
    {"aten.arctan.default", "aten.atan.default"},
    {"aten.arctan2.default", "aten.atan2.default"},
    {"aten.arctanh.default", "aten.atanh.default"},
    {"aten.clip.Tensor", "aten.clamp.Tensor"},
    {"aten.fix.default", "aten.trunc.default"},
    {"aten.negative.default", "aten.neg.default"},
    {"aten.sgn.default", "aten.sign.default"},
    {"aten.subtract.Tensor", "aten.sub.Tensor"},
    {"aten.subtract.Scalar", "aten.sub.Scalar"},
    {"aten.multiply.Tensor", "aten.mul.Tensor"},
    {"aten.multiply.Scalar", "aten.mul.Scalar"},
    {"aten.divide.Tensor", "aten.div.Tensor"},
    {"aten.divide.Scalar", "aten.div.Scalar"},
    {"aten.divide.Tensor_mode", "aten.div.Tensor_mode"},
    {"aten.divide.Scalar_mode", "aten.div.Scalar_mode"},
    {"aten.true_divide.Tensor", "aten.div.Tensor"},
    {"aten.true_divide.Scalar", "aten.div.Scalar"},
    {"aten.max.other", "aten.maximum.default"},
    {"aten.min.other", "aten.minimum.default"},
    {"aten.greater.Tensor", "aten.gt.Tensor"},
    {"aten.greater.Scalar", "aten.gt.Scalar"},
    {"aten.greater_equal.Tensor", "aten.ge.Tensor"},
    {"aten.greater_equal.Scalar", "aten.ge.Scalar"},
    {"aten.less.Tensor", "aten.lt.Tensor"},
    {"aten.less.Scalar", "aten.lt.Scalar"},
    {"aten.less_equal.Tensor", "aten.le.Tensor"},
    {"aten.less_equal.Scalar", "aten.le.Scalar"},
    {"aten.not_equal.Tensor", "aten.ne.Tensor"},
    {"aten.not_equal.Scalar", "aten.ne.Scalar"},
    {"aten.__and__.Tensor", "aten.bitwise_and.Tensor"},
    {"aten.__and__.Scalar", "aten.bitwise_and.Scalar"},
    {"aten.__or__.Tensor", "aten.bitwise_or.Tensor"},
    {"aten.__or__.Scalar", "aten.bitwise_or.Scalar"},
    {"aten.__xor__.Tensor", "aten.bitwise_xor.Tensor"},
    {"aten.__xor__.Scalar", "aten.bitwise_xor.Scalar"},
    {"aten.__lshift__.Tensor", "aten.bitwise_left_shift.Tensor"},
    {"aten.__lshift__.Scalar", "aten.bitwise_left_shift.Tensor_Scalar"},
    {"aten.__rshift__.Tensor", "aten.bitwise_right_shift.Tensor"},
    {"aten.__rshift__.Scalar", "aten.bitwise_right_shift.Tensor_Scalar"},
    {"aten.special_erf.default", "aten.erf.default"},
    {"aten.special_erfc.default", "aten.erfc.default"},
    {"aten.special_erfinv.default", "aten.erfinv.default"},
    {"aten.special_exp2.default", "aten.exp2.default"},
    {"aten.special_expit.default", "aten.sigmoid.default"},
    {"aten.special_expm1.default", "aten.expm1.default"},
    {"aten.special_log1p.default", "aten.log1p.default"},
    {"aten.special_log_softmax.default", "aten.log_softmax.int"},
    {"aten.special_logit.default", "aten.logit.default"},
    {"aten.special_logsumexp.default", "aten.logsumexp.default"},
    {"aten.special_round.default", "aten.round.decimals"},
    {"aten.special_sinc.default", "aten.sinc.default"},
    {"aten.special_softmax.default", "aten.softmax.int"},
    {"aten.special_xlogy.default", "aten.xlogy.Tensor"},
    {"aten.special_xlogy.other_scalar", "aten.xlogy.Scalar_Other"},
    {"aten.special_xlogy.self_scalar", "aten.xlogy.Scalar_Self"},
    {"aten.chain_matmul.default", "aten.linalg_multi_dot.default"},
    {"aten.linalg_matmul.default", "aten.matmul.default"},
    {"aten.vdot.default", "aten.dot.default"},
    {"aten.row_stack.default", "aten.vstack.default"},
    {"aten.unsafe_chunk.default", "aten.chunk.default"},
    {"aten.unsafe_split.Tensor", "aten.split.Tensor"},
    {"aten.unsafe_split_with_sizes.default", "aten.split_with_sizes.default"},
    {"aten._unsafe_index.Tensor", "aten.index.Tensor"},
    {"aten._unsafe_index_put.default", "aten.index_put.default"},
};

}  // namespace

std::span<const Alias> aliases() { return alias_rows; }

Values renamed(GraphBuilder& b, const Node& n) {
  const Op meant = Op::get(std::ranges::find(alias_rows, n.op().name(), &Alias::op)->meant);
  const std::vector<ArgSchema>& formals = meant.schema()->arguments;
  std::vector<NamedArgument> arguments;
  for (size_t i = 0; i < formals.size(); ++i)
    arguments.push_back({formals[i].name, n.argument(n.op().schema()->arguments.at(i).name),
                         formals[i].keyword_only ? ArgKind::keyword : ArgKind::positional});
  std::vector<OutputSpecification> outputs;
  for (const Value* output : n.outputs()) outputs.push_back({output->meta()});
  Node& node = b.graph().insert_before(const_cast<Node*>(&n), meant, std::move(arguments), std::move(outputs), "", n.output_groups());
  node.metadata = inherited_metadata(n);
  return node.outputs();
}

}  // namespace intaglio::decompose
