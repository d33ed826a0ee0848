// The `.test` files beside the passes, and payloads.test: programs after the passes that a case names, and payloads.
#include <algorithm>

#include "backends/vulkan/passes/passes.h"
#include "backends/vulkan/payload/payload_reader.h"
#include "backends/vulkan/payload/payload_writer.h"
#include "backends/vulkan/preprocess.h"
#include "ir/parser.h"
#include "testing/text_cases.h"

namespace intaglio::vulkan {
namespace {

// What is read back from the written bytes; words behind `payload` are options.
std::string payload_of(const std::vector<std::string>& steps, const std::string& input) {
  VulkanPartitionerOptions options;
  if (steps.at(0).find("force_fp16") != std::string::npos) options.force_fp16 = true;
  if (steps.at(0).find("small_texture_limits") != std::string::npos) options.small_texture_limits = true;
  if (steps.at(0).find("skip_memory_planning") != std::string::npos) options.skip_memory_planning = true;
  ExportedProgram program = parse_program(input);
  return to_string(read_payload(write_payload(lower_partition(program, options))));
}

const bool registered = test::register_text_cases("VulkanPasses", "src/backends/vulkan/passes",
                                                  test::program_passes({{"keep_reduced_dims", keep_reduced_dims},
                                                                        {"flatten_many_dims", flatten_many_dims},
                                                                        {"write_out_batch_norms", write_out_batch_norms},
                                                                        {"negate_masks", negate_masks},
                                                                        {"fill_norm_weights", fill_norm_weights},
                                                                        {"write_windows", write_windows},
                                                                        {"fuse_clamps", fuse_clamps},
                                                                        {"fuse_rms_norm", fuse_rms_norm},
                                                                        {"fuse_rotary", fuse_rotary},
                                                                        {"remove_copies", remove_copies},
                                                                        {"merge_views", merge_views},
                                                                        {"views_to_squeezes", views_to_squeezes}})) &&
                        test::register_text_cases("VulkanPasses", "src/backends/vulkan/payloads.test", payload_of);

}  // namespace
}  // namespace intaglio::vulkan
