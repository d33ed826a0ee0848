// The XNNPACK backend.
#pragma once

#include <memory>
#include <string_view>

#include <intaglio/partitioner.h>
#include <intaglio/pattern_quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio::xnnpack {

constexpr std::string_view delegate_id = "XnnpackBackend";

struct SymmetricQuantizationOptions {
  bool is_per_channel = false;
  bool is_qat = false;  // refused: training is not Intaglio's job
  bool is_dynamic = false;
  int64_t act_qmin = -128;
  int64_t act_qmax = 127;
  int64_t weight_qmin = -127;
  int64_t weight_qmax = 127;
};
QuantizationConfig get_symmetric_quantization_config(const SymmetricQuantizationOptions& options = {});

// Takes what XNNPACK has integer kernels for (a table of patterns), as XNNPACKQuantizer of ExecuTorch does.
class XnnpackQuantizer : public PatternQuantizer {
 public:
  explicit XnnpackQuantizer(Compat compat = Compat::intaglio);
};

struct XnnpackPartitionerOptions {
  Compat compat = Compat::intaglio;
  RuntimeVersion runtime = newest_runtime;  // the oldest release that is to run the delegates
};

class XnnpackPartitioner : public Partitioner {
 public:
  explicit XnnpackPartitioner(XnnpackPartitionerOptions options = {}) : options_(options) {}
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<XnnpackPartitioner>(*this); }
  std::string_view backend_id() const override { return delegate_id; }
  bool keeps(const ExportedProgram& program, const Node& node) const override;
  std::function<bool(const Node&)> keeper(const ExportedProgram& program) const override;
  void transform(ExportedProgram& program) const override;
  PartitionResult partition(const ExportedProgram& program) const override;
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override;
  void check(std::span<const std::byte> payload) const override;

 private:
  XnnpackPartitionerOptions options_;
};

}  // namespace intaglio::xnnpack

#pragma GCC visibility pop
