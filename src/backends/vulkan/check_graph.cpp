#include "backends/vulkan/check_graph.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/vulkan/op_table.h"

namespace intaglio::vulkan {
namespace {

class GraphChecker {
 public:
  explicit GraphChecker(const VkGraph& graph) : graph_(graph), is_made_(graph.values.size(), false) {}

  void run() {
    for (size_t id = 0; id < graph_.values.size(); ++id) check_value(static_cast<ValueId>(id));
    for (const ValueId id : graph_.inputs) is_made_[static_cast<size_t>(id)] = true;
    for (const VkCall& call : graph_.calls) check_call(call);
    std::set<ValueId> results;
    for (const ValueId id : graph_.outputs)
      if (!results.insert(id).second || !is_made_[static_cast<size_t>(id)])
        fail("the graph", "its results are computed tensors, each once");
  }

 private:
  [[noreturn]] static void fail(const std::string& where, std::string_view what) {
    throw_bug(fmt::format("{}: the Vulkan runtime cannot run it: {}", where, what));
  }

  void check_value(ValueId id) {
    const auto* tensor = std::get_if<VkTensor>(&graph_.values[static_cast<size_t>(id)]);
    // What the runtime sets or reads without a call making it.
    if (!tensor && !std::holds_alternative<VkValueList>(graph_.values[static_cast<size_t>(id)]) &&
        !std::holds_alternative<VkSymInt>(graph_.values[static_cast<size_t>(id)]))
      is_made_[static_cast<size_t>(id)] = true;
    if (!tensor) return;
    if (tensor->constant >= 0) is_made_[static_cast<size_t>(id)] = true;
    if (tensor->storage == StorageType::texture_3d && tensor->dims.size() > 4)
      fail(fmt::format("value {}", id), "an image has four dimensions");
  }

  void check_call(const VkCall& call) {
    const std::string where = call.origin.empty() ? call.op : call.origin;
    const bool is_own = call.op == "et_vk.prepack.default" || call.op == "update_cache.default";
    if (!is_own && !find_row(call.op) && !has_symbol_op(call.op)) fail(where, "there is no such operator");
    for (size_t i = 0; i + 1 < call.arguments.size(); ++i)
      for (const ValueId id : tensors_in(graph_, call.arguments[i]))
        if (!is_made_[static_cast<size_t>(id)]) fail(where, "an operand is not computed yet");
    for (const ValueId id : tensors_in(graph_, call.arguments.back())) {
      if (is_made_[static_cast<size_t>(id)]) fail(where, "a result is computed twice");
      is_made_[static_cast<size_t>(id)] = true;
    }
  }

  const VkGraph& graph_;
  std::vector<bool> is_made_;
};

}  // namespace

void check_graph(const VkGraph& graph) { GraphChecker(graph).run(); }

}  // namespace intaglio::vulkan
