// The Core ML backend.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/partitioner.h>

#pragma GCC visibility push(default)

namespace intaglio::coreml {

constexpr std::string_view delegate_id = "CoreMLBackend";

// The oldest systems that are to run the model, as numbers of Core ML's specification.
enum class DeploymentTarget : int32_t { ios15 = 6, ios16 = 7, ios17 = 8, ios18 = 9, ios26 = 10 };
enum class ComputeUnit : uint8_t { all, cpu_only, cpu_and_gpu, cpu_and_ne };
enum class ComputePrecision : uint8_t { float16, float32 };
enum class WeightSharing : uint8_t { positional, disabled };
// A compiled model is made by Apple's compiler, which runs on macOS alone.
enum class ModelType : uint8_t { model, compiled_model };

// The compile options of ExecuTorch's Core ML backend, under their names.
struct CoreMLPartitionerOptions {
  std::optional<DeploymentTarget> minimum_deployment_target;  // none: iOS 15
  ComputeUnit compute_unit = ComputeUnit::all;
  ComputePrecision compute_precision = ComputePrecision::float16;
  ModelType model_type = ModelType::model;

  std::vector<std::string> skip_ops_for_coreml_delegation;  // "aten.relu.default": left to others
  bool take_over_mutable_buffer = true;                     // buffers that the program writes become the model's state, from iOS 18 on
  bool lower_full_graph = false;                            // an operator that is not taken is an error
  // By input: the only shapes that it will have, the usual one first. With `lower_full_graph` alone.
  std::map<std::string, std::vector<Sizes>> enumerated_shapes;
  // Several methods: the delegates of one place in each are functions of one model, whose weights are stored once. From iOS 18 on.
  WeightSharing multimethod_weight_sharing_strategy = WeightSharing::positional;
};

class CoreMLPartitioner : public Partitioner {
 public:
  // Unsupported errors for options that no file can be made with.
  explicit CoreMLPartitioner(CoreMLPartitionerOptions options = {});
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<CoreMLPartitioner>(*this); }
  std::string_view backend_id() const override { return delegate_id; }
  bool keeps(const ExportedProgram& program, const Node& node) const override;
  std::function<bool(const Node&)> keeper(const ExportedProgram& program) const override;
  void transform(ExportedProgram& program) const override;
  PartitionResult partition(const ExportedProgram& program) const override;
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override;
  void check(std::span<const std::byte> payload) const override;

 private:
  CoreMLPartitionerOptions options_;
};

}  // namespace intaglio::coreml

#pragma GCC visibility pop
