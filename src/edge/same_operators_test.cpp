// What the interpreter computes can be lowered, and what lowers can be computed: static recipes calibrate on the interpreter what
// lowering then writes.
#include <gtest/gtest.h>

#include <map>

#include <fmt/format.h>

#include "decompose/decompose.h"
#include "interpreter/kernel_table.h"
#include "ir/infer.h"
#include "pte/kernel_table.h"
#include "runtime/kernel_registry.h"

namespace intaglio::edge {
namespace {

bool has_runtime_kernel(const Op& op) {
  const std::string copy = fmt::format("{}.{}_copy.{}", op.name_space(), op.base(), op.overload());
  return pte::runtime_kernel_for(op.name()) != nullptr || pte::runtime_kernel_for(copy) != nullptr;
}

// What becomes of operators without a row of their own.
const std::map<std::string_view, std::string_view> elsewhere = {
    {"aten.erfinv.default", "constants alone, the tables that a model draws: the runtime has no kernel"},
    {"aten._assert_async.default", "erased"},
    {"aten._assert_async.msg", "erased"},
    {"aten._assert_scalar.default", "erased"},
    {"aten._assert_tensor_metadata.default", "erased"},
    {"aten.sym_constrain_range.default", "erased"},
    {"aten.sym_constrain_range_for_size.default", "erased"},
    {"aten._local_scalar_dense.default", "emitted as a primitive"},
    {"aten.item.default", "emitted as a primitive"},
    {"aten.sym_size.int", "emitted as a primitive"},
    {"aten.sym_numel.default", "emitted as a primitive"},
    {"aten.sym_stride.int", "torch.export writes numbers in its place: strides are not the program's"},
    {"aten.sym_storage_offset.default", "torch.export writes numbers in its place: strides are not the program's"},
    {"math.floor", "torch.export.save does not write it"},
    {"_operator.trunc", "torch.export.save does not write it"},
    {"_operator.abs", "torch.export.save does not write it"},
    {"_operator.not_", "torch.export.save does not write it"},
    {"_builtins.round", "torch.export.save does not write it"},
    {"higher_order.cond", "lowered branch by branch"},
    {"higher_order.map_impl", "lowered as a loop"},
    {"higher_order.scan", "lowered as a loop"},
    {"higher_order.while_loop", "lowered as a loop"},
    {"higher_order.wrap_with_set_grad_enabled", "inlined"},
    {"higher_order.wrap_with_autocast", "inlined"},
    {"quantized_decomposed.choose_qparams_symmetric.tensor", "a delegate's alone: quantizers do not write it outside"},
    {"quantized_decomposed.choose_qparams_per_token.default", "a delegate's alone: quantizers do not write it outside"},
    {"quantized_decomposed.quantize_per_channel_group.default", "weights alone, which are constants"},
    {"quantized_decomposed.convert_element_type.no_fuse", "torchao's marker, which no recipe writes"},
    {"quantized_decomposed.quantize_per_tensor.tensor2", "bounds as tensors, which no quantizer writes"},
    {"quantized_decomposed.dequantize_per_tensor.tensor2", "bounds as tensors, which no quantizer writes"},
};

bool lowers(const Op& op) {
  return decompose::has_decomposition(op) || has_runtime_kernel(op) || !pte::primitive_for_symbolic_op(op.name()).empty();
}

TEST(SameOperators, WhatIsComputedIsLowered) {
  size_t rows = 0;
  for (const auto& family : interp::kernel_families())
    for (const interp::Kernel& kernel : family) {
      const Op op = Op::get(kernel.op);
      // In-place operators become functional ones.
      const bool in_place = op.schema() != nullptr && op.schema()->is_inplace();
      EXPECT_NE(lowers(op) || in_place, elsewhere.contains(kernel.op)) << kernel.op;
      ++rows;
    }
  EXPECT_GT(rows, 400u);
}

TEST(SameOperators, WhatHasARuntimeKernelIsComputed) {
  for (const pte::RuntimeKernel& kernel : pte::runtime_kernels()) {
    if (kernel.functional.empty()) continue;
    const Op op = Op::get(kernel.functional);
    EXPECT_TRUE(interp::find_kernel(op).kernel != nullptr || decompose::has_decomposition(op) || runtime::has_kernel(kernel.key))
        << kernel.key;
  }
}

// A file's claims about the sizes of what a kernel makes are checked before a program is written: kernels do not resize what is planned.
TEST(SameOperators, WhatHasARuntimeKernelIsInferred) {
  const std::map<std::string_view, std::string_view> data_decides = {
      {"aten.masked_select.default", "as many elements as the mask has true ones"},
      {"aten.nonzero.default", "as many rows as there are elements that are not zero"},
      {"aten.repeat_interleave.Tensor", "as many elements as the counts add up to"},
  };
  const std::map<std::string_view, std::string_view> not_written = {
      {"aten.convolution_backward.default", "of training"},
      {"aten.max_pool2d_with_indices_backward.default", "of training"},
      {"aten._conj_physical.default", "complex numbers are lowered to pairs"},
      {"aten.copy_.default", "of what writes back, which is made by lowering"},
      {"aten.index_put_.default", "of what writes back, which is made by lowering"},
      {"dim_order_ops._empty_dim_order.default", "of any content"},
      {"quantized_decomposed.add.default", "no quantizer writes it"},
  };
  for (const pte::RuntimeKernel& kernel : pte::runtime_kernels()) {
    if (kernel.functional.empty()) continue;
    const bool is_excused = data_decides.contains(kernel.functional) || not_written.contains(kernel.functional);
    EXPECT_TRUE(has_inference_rule(Op::get(kernel.functional)) || is_excused) << kernel.functional;
  }
}

}  // namespace
}  // namespace intaglio::edge
