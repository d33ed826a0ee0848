#include "decompose/decompose.h"

#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace intaglio::decompose {
namespace {

struct Row {
  std::string_view name, text;
};
constexpr Row table[] = {
#include "ir/op_schemas.inc"
};

// Ops whose first operand is a tensor that they change: the in-place half of the schema table.
std::set<std::string> in_place_ops() {
  std::set<std::string> ops;
  for (const Row& row : table)
    if (row.text.find("(Tensor(a!) ") == row.text.find('(')) ops.emplace(row.name);
  return ops;
}

// Those without one functional op, by what becomes of them.
const std::map<std::string, std::set<std::string>> others = {
    {"written by the functionalizer itself",
     {"aten._no_grad_zero_.default", "aten.copy_.Tensor", "aten.copy_.float", "aten.copy_.int", "aten.fill_diagonal_.default"}},
    {"views of other memory", {"aten.resize_.default", "aten.resize_as_.default", "aten.set_.source_Tensor"}},
    {"leave the elements alone", {"aten.record_stream.default", "aten.requires_grad_.default", "aten.retain_grad.default"}},
    {"storages",
     {"aten.set_.default", "aten.set_.source_Storage", "aten.set_.source_Storage_storage_offset", "aten.set_.source_Tensor_storage_offset",
      "aten.set_data.default"}},
    {"training, sequences and what compilers write",
     {"aten._amp_update_scale_.default", "aten._fill_mem_eff_dropout_mask_.default",
      "aten._flash_attention_forward_no_dropout_inplace.default", "aten._sobol_engine_ff_.default",
      "aten._sobol_engine_initialize_state_.default", "aten._sobol_engine_scramble_.default", "aten.polygamma_.default",
      "aten.rrelu_with_noise_.default", "prims.as_strided.default", "prims.copy_to.default", "prims.resize.default"}},
};

TEST(InPlace, EverySchemaHasAFunctionalFormOrAPlaceInTheList) {
  std::set<std::string> listed, without;
  for (const auto& [why, ops] : others) listed.insert(ops.begin(), ops.end());
  for (const std::string& name : in_place_ops())
    if (!functional_form(Op::get(name))) without.insert(name);
  EXPECT_EQ(without, listed);
  EXPECT_GT(in_place_ops().size() - without.size(), 200u);
}

TEST(InPlace, FunctionalFormsTakeTheSameArgumentsAndWriteNothing) {
  for (const std::string& name : in_place_ops()) {
    const std::optional<Op> functional = functional_form(Op::get(name));
    if (!functional) continue;
    const OpSchema &in_place = *find_schema(name), &other = *functional->schema();
    EXPECT_FALSE(other.is_inplace()) << name;
    for (size_t i = 0; i < in_place.arguments.size(); ++i) {
      const ArgSchema& argument = in_place.arguments[i];
      const bool is_there = i < other.arguments.size();
      EXPECT_TRUE(is_there || argument.default_text) << name << " " << argument.name;
      const ArgType type = is_there ? other.arguments[i].type : ArgType::scalar;
      EXPECT_TRUE(type == ArgType::scalar || type == argument.type) << name << " " << argument.name;
    }
  }
}

TEST(InPlace, ViewsAreThoseThatMoveNothing) {
  std::set<std::string> views;
  for (const std::string& name : in_place_ops())
    if (is_in_place_view(Op::get(name))) views.insert(std::string(Op::get(name).base()));
  EXPECT_EQ(views, (std::set<std::string>{"as_strided_", "resize_", "resize_as_", "set_", "squeeze_", "swapaxes_", "swapdims_", "t_",
                                          "transpose_", "unsqueeze_"}));
}

}  // namespace
}  // namespace intaglio::decompose
