#include "edge/passes/passes.h"

#include <algorithm>

#include "decompose/builder.h"
#include "decompose/rewrite.h"
#include "qdq/reader.h"
#include "quant/packing.h"

namespace intaglio::edge {
namespace {

// The narrowest first: what its range and the length of a row allow.
struct KernelRow {
  std::string_view op, op_to_dtype;
  int bits;
  quant::First first;
};
constexpr KernelRow kernels[] = {
    {"quantized_decomposed.embedding_2bit.default", "quantized_decomposed.embedding_2bit.dtype", 2, quant::First::low_bits},
    {"quantized_decomposed.embedding_4bit.default", "quantized_decomposed.embedding_4bit.dtype", 4, quant::First::high_bits},
    {"quantized_decomposed.embedding_byte.default", "quantized_decomposed.embedding_byte.dtype", 8, quant::First::low_bits},
};

const KernelRow& kernel_for(const qdq::GroupedRows& table) {
  const int64_t columns = table.integers->sizes()[1].value();
  return *std::ranges::find_if(kernels, [&](const KernelRow& kernel) {
    const int64_t end = int64_t{1} << (kernel.bits - 1);
    return kernel.bits == 8 || (table.quant_min >= -end && table.quant_max < end && columns % (8 / kernel.bits) == 0);
  });
}

bool looks_up(const Node& node, const Value* table) { return node.is("aten.embedding.default") && node.tensor("weight") == table; }

std::optional<qdq::GroupedRows> table_of(const ExportedProgram& program, const Node& node) {
  const auto rows = qdq::grouped_rows_of(node);
  const auto is_known = [&](const Value* value) { return !value || program.constant(value) != nullptr; };
  if (!rows || rows->integers->dtype() != DType::int8 || !is_known(rows->integers) || !is_known(rows->scale) || !is_known(rows->zero_point))
    return std::nullopt;
  return rows;
}

// The kernels read zero points in the scales' type, and none where all are 0.
Value* zero_points(ExportedProgram& program, const qdq::GroupedRows& table) {
  const Tensor* given = table.zero_point ? program.constant(table.zero_point) : nullptr;
  if (!given) return nullptr;
  const Tensor wide = converted(*given, DType::float32).contiguous();
  if (std::ranges::all_of(wide.span<float>(), [](float zero) { return zero == 0; })) return nullptr;
  return program.add_constant(program.free_target(table.zero_point->name() + "_as_float"), converted(*given, table.scale->dtype()));
}

struct PackedTable {
  const KernelRow* kernel;
  Value *integers, *zero_point;
};
PackedTable packed_table(ExportedProgram& program, const qdq::GroupedRows& table) {
  const KernelRow& kernel = kernel_for(table);
  Value* integers = table.integers;
  if (kernel.bits < 8)
    integers = program.add_constant(program.free_target(integers->name() + "_packed"),
                                    quant::packed(*program.constant(integers), kernel.bits, kernel.first));
  return {&kernel, integers, zero_points(program, table)};
}

void fuse(ExportedProgram& program, Node& embedding, const qdq::GroupedRows& table, const PackedTable& packed) {
  const DType dtype = embedding.output()->dtype();
  const bool is_as_scales = dtype == table.scale->dtype();
  const int64_t end = int64_t{1} << (packed.kernel->bits - 1);
  // The kernel of whole bytes takes no others.
  Value* indices = embedding.tensor("indices");
  if (packed.kernel->bits == 8) indices = decompose::GraphBuilder(program, embedding).cast(indices, DType::int64);
  std::vector<NamedArgument> arguments = {{"weight", packed.integers},
                                          {"weight_scales", table.scale},
                                          {"weight_zero_points", packed.zero_point ? Argument(packed.zero_point) : Argument()},
                                          {"weight_quant_min", -end},
                                          {"weight_quant_max", end - 1},
                                          {"indices", indices}};
  if (!is_as_scales) arguments.push_back({"dtype", dtype, ArgKind::keyword});
  const Op op = Op::get(is_as_scales ? packed.kernel->op : packed.kernel->op_to_dtype);
  Node& fused = program.graph().insert_before(&embedding, op, std::move(arguments), {decompose::description(*embedding.output())});
  fused.metadata = embedding.metadata;
  decompose::replace_result(program.graph(), embedding.output(), fused.output());
  program.graph().erase(&embedding);
}

}  // namespace

bool is_quantized_table(const ExportedProgram& program, const Node& node) {
  return table_of(program, node) &&
         std::ranges::any_of(node.output()->users(), [&](const Node* user) { return looks_up(*user, node.output()); });
}

void fuse_quantized_embeddings(ExportedProgram& program) {
  // Found first: what reads them is erased on the way.
  std::vector<Node*> tables;
  for (Node* node : program.graph().node_list())
    if (is_quantized_table(program, *node)) tables.push_back(node);
  for (Node* node : tables) {
    const qdq::GroupedRows table = *table_of(program, *node);
    const PackedTable packed = packed_table(program, table);
    const std::vector<Node*> users = node->output()->users();
    for (Node* user : users)
      if (looks_up(*user, node->output())) fuse(program, *user, table, packed);
  }
  if (tables.empty()) return;
  program.graph().eliminate_dead_code();
  program.remove_unused_constants();
}

}  // namespace intaglio::edge
