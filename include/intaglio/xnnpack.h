// The XNNPACK backend.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <intaglio/partitioner.h>
#include <intaglio/pt2e.h>
#include <intaglio/quantizer.h>

#pragma GCC visibility push(default)

namespace intaglio::xnnpack {

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

class XnnpackQuantizer : public Quantizer {
 public:
  explicit XnnpackQuantizer(Compat compat = Compat::intaglio);

  XnnpackQuantizer& set_global(QuantizationConfig config);
  // Exact fully qualified name of the module or of any module around it.
  XnnpackQuantizer& set_module_name(std::string name, std::optional<QuantizationConfig> config);
  // Qualified type, "torch.nn.modules.conv.Conv2d". nullopt leaves such modules in float.
  XnnpackQuantizer& set_module_type(std::string type, std::optional<QuantizationConfig> config);
  XnnpackQuantizer& set_operator_type(std::string op, std::optional<QuantizationConfig> config);
  XnnpackQuantizer& set_filter_function(std::function<bool(const Node&)> filter);

  void transform_for_annotation(ExportedProgram& program) const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;
  void validate(const ExportedProgram& program, const Annotations& annotations) const override;

 private:
  Compat compat_;
  std::optional<QuantizationConfig> global_;
  std::vector<std::pair<std::string, std::optional<QuantizationConfig>>> module_names_;
  std::vector<std::pair<std::string, std::optional<QuantizationConfig>>> module_types_;
  std::vector<std::pair<std::string, std::optional<QuantizationConfig>>> operator_types_;
  std::function<bool(const Node&)> filter_;
};

struct XnnpackPartitionerOptions {
  Compat compat = Compat::intaglio;
};

class XnnpackPartitioner : public Partitioner {
 public:
  explicit XnnpackPartitioner(XnnpackPartitionerOptions options = {}) : options_(options) {}
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<XnnpackPartitioner>(*this); }
  std::string_view backend_id() const override { return "XnnpackBackend"; }
  bool keeps(const ExportedProgram& program, const Node& node) const override;
  void transform(ExportedProgram& program) const override;
  PartitionResult partition(const ExportedProgram& program) const override;
  Delegate preprocess(ExportedProgram partition) const override;
  void check(std::span<const std::byte> payload) const override;

 private:
  XnnpackPartitionerOptions options_;
};

}  // namespace intaglio::xnnpack

#pragma GCC visibility pop
