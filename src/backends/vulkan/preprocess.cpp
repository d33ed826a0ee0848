#include "backends/vulkan/preprocess.h"

#include <intaglio/error.h>
#include <intaglio/pt2e.h>

#include "backends/vulkan/check_graph.h"
#include "backends/vulkan/compile_specs.h"
#include "backends/vulkan/lower/make_graph.h"
#include "backends/vulkan/passes/passes.h"
#include "backends/vulkan/payload/payload_reader.h"
#include "backends/vulkan/payload/payload_writer.h"
#include "backends/vulkan/quantized_patterns.h"
#include "pt2e/passes.h"

namespace intaglio::vulkan {
namespace {

constexpr common::RewriteStep rewrites[] = {
    {"fold_batch_norm", "first: activations behind a folded one can be fused",
     [](ExportedProgram& p) { pt2e::fold_batch_norm(p, Compat::intaglio); }},
    {"fill_norm_weights", "what was not folded runs as it is", fill_norm_weights},
    {"fuse_quantized_layers", "before views are touched: they are parts of patterns", fuse_quantized_layers},
    {"fuse_symbol_reads", "the runtime has no other way to a number", fuse_symbol_reads},
    {"fuse_rms_norm", "one shader instead of six", fuse_rms_norm},
    {"fuse_rotary", "queries and keys by one shader instead of twelve", fuse_rotary},
    {"fuse_clamps", "the convolution's shader clamps for nothing", fuse_clamps},
    {"remove_copies", "they would keep views apart", remove_copies},
    {"merge_views", "one copy instead of several", merge_views},
    {"views_to_squeezes", "on what merging leaves", views_to_squeezes},
    {"write_windows", "the runtime knows no defaults", write_windows},
    {"write_attention", "nor here", write_attention},
    {"remove_unused_constants", "what was folded or packed leaves originals behind",
     [](ExportedProgram& p) {
       p.graph().eliminate_dead_code();
       p.remove_unused_constants();
     }},
};

}  // namespace

VkGraph lower_partition(ExportedProgram& partition, const VulkanPartitionerOptions& options, const common::RewriteObserver& observe) {
  common::rewrite(partition, rewrites, observe);
  const bool force_fp16 = options.force_fp16.value_or(false);
  Assignments assigned;
  if (!options.skip_tag_memory_metadata.value_or(false)) assigned = assign_representations(partition, texture_limits(options), force_fp16);
  common::done("assign_representations", partition, observe);
  const VkGraph graph = make_graph(partition, assigned,
                                   {.force_fp16 = force_fp16,
                                    .downcast_64_bit = options.downcast_64_bit.value_or(true),
                                    .plan_memory = !options.skip_memory_planning.value_or(false)});
  check_graph(graph);
  return graph;
}

void VulkanPartitioner::check(std::span<const std::byte> payload) const { check_payload(payload); }

static Delegate delegate_of(ExportedProgram partition, const VulkanPartitionerOptions& options) {
  const VkGraph graph = lower_partition(partition, options);
  Delegate delegate;
  delegate.backend_id = delegate_id;
  std::vector<std::byte> payload = write_payload(graph);
  // Read back as the runtime would: the container's own check does not look inside payloads.
  if (read_payload(payload).calls.size() != graph.calls.size()) throw_bug("a Vulkan payload does not read back as it was written");
  delegate.payload = std::move(payload);
  delegate.named_data = named_data(graph);
  delegate.compile_specs = compile_specs(options);
  delegate.program = std::make_unique<ExportedProgram>(std::move(partition));
  return delegate;
}

// Delegates share weights by the digest of their bytes, so that each can be made without the others.
std::vector<Delegate> VulkanPartitioner::preprocess(std::vector<MethodPartition> partitions) const {
  std::vector<Delegate> delegates;
  for (MethodPartition& partition : partitions) delegates.push_back(delegate_of(std::move(partition.program), options_));
  return delegates;
}

}  // namespace intaglio::vulkan
