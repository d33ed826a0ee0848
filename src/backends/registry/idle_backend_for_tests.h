// A backend that does nothing: what it takes to add one.
#pragma once

#include <string_view>

#include <intaglio/backend.h>
#include <intaglio/error.h>

namespace intaglio::test {

constexpr std::string_view idle_payload = "idle";

// Takes every relu.
class IdlePartitioner : public Partitioner {
 public:
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<IdlePartitioner>(*this); }
  std::string_view backend_id() const override { return "IdleBackend"; }
  PartitionResult partition(const ExportedProgram& program) const override {
    PartitionResult result;
    for (Node* node : program.graph().node_list()) {
      if (node->is("aten.relu.default")) result.partitions.push_back({{node}, {}});
      else result.refusals.push_back({node, "only relu"});
    }
    return result;
  }
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override {
    std::vector<Delegate> delegates(partitions.size());
    for (Delegate& delegate : delegates) {
      delegate.backend_id = backend_id();
      delegate.payload = Blob(idle_payload);
    }
    return delegates;
  }
};

inline void check_idle(std::span<const std::byte> payload) {
  if (std::string_view(reinterpret_cast<const char*>(payload.data()), payload.size()) != idle_payload)
    throw_bad_input("an idle payload is not idle");
}

inline Backend idle_backend() {
  return {.name = "idle",
          .title = "Idle",
          .delegate_id = "IdleBackend",
          .settings = {compat_setting(), {"naps", Setting::Type::integer, "1", "between two calls", {}, 0, 9}},
          .recipes = {{"idle_fp32", "float32, delegated to nobody"}},
          .partitioner = [](const SettingValues&) { return std::make_unique<IdlePartitioner>(); },
          .check = check_idle,
          .decode = [](std::span<const std::byte>) { return DecodedPayload{{{"Nap", "Nap()", {}, {"float32", {2}, ""}}}}; }};
}

}  // namespace intaglio::test
