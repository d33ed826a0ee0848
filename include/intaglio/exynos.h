// Samsung's Exynos backend (ENN): what it quantizes, and what it hands to Samsung's compiler.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <intaglio/edge.h>
#include <intaglio/partitioner.h>
#include <intaglio/pt2e.h>

#pragma GCC visibility push(default)

namespace intaglio::exynos {

// What the runtime knows compiled graphs by, and what our own graphs are known by until they are compiled.
constexpr std::string_view delegate_id = "EnnBackend";
constexpr std::string_view hand_over_id = "IntaglioEnnGraph";

// ---- quantizing

// Activations of 8 bits and weights of 8 bits are all there is.
enum class Precision : uint8_t { a8w8 = 3 };

// EnnQuantizer of ExecuTorch: int8 activations of a range of their own, int8 weights; every result is quantized, inputs and outputs of
// the program too.
class EnnQuantizer : public Quantizer {
 public:
  // Precision::a8w8, weights per channel.
  explicit EnnQuantizer(Compat compat = Compat::intaglio) : compat_(compat) {}

  // Usage errors: a precision other than "A8W8", `is_qat`. Weights that are not per channel are affine per tensor.
  EnnQuantizer& set_quant_params(std::string_view precision, bool is_per_channel = true, bool is_qat = false);
  // The same under the names of ExecuTorch's release.
  EnnQuantizer& setup_precision(Precision precision);
  EnnQuantizer& setup_quant_params(Precision precision, bool is_per_channel = true, bool is_qat = false);
  // Called in order behind the quantizer's own rules, and may change what these said. Replaces those of an earlier call.
  using CustomAnnotation = std::function<void(const ExportedProgram&, Annotations&)>;
  EnnQuantizer& add_custom_quant_annotations(std::vector<CustomAnnotation> custom);
  // Nodes that it says no to stay in float. The program's float inputs are quantized where a node that reads them is.
  EnnQuantizer& set_filter_function(std::function<bool(const Node&)> filter);

  std::vector<DType> widened_types() const override;
  void annotate(const ExportedProgram& program, Annotations& annotations) const override;

 private:
  Compat compat_;
  bool is_per_channel_ = true;
  std::vector<CustomAnnotation> custom_;
  std::function<bool(const Node&)> filter_;
};

// What every operator is quantized with; for annotations of one's own.
QuantizationConfig get_quant_config(Precision precision = Precision::a8w8, bool is_per_channel = true);

// ---- lowering

enum class Chipset : int32_t { e9955 = 9955, e9965 = 9965 };
std::string_view name(Chipset chipset);        // "E9955"
Chipset chipset_named(std::string_view word);  // in capitals or not; usage error for any other

struct EnnPartitionerOptions {
  Chipset chipset = Chipset::e9955;
  Compat compat = Compat::intaglio;
  // What makes a delegate of a graph: a library (intaglio/enn_compiler.h), or a file that a compiler made of it. Without one the delegates
  // are graphs that no `.pte` can hold; `save_hand_over` writes them.
  std::string compiler = {};
  std::string binary = {};
};

class EnnPartitioner : public Partitioner {
 public:
  // Usage error for both a compiler and a binary.
  explicit EnnPartitioner(EnnPartitionerOptions options = {});
  std::unique_ptr<Partitioner> clone() const override { return std::make_unique<EnnPartitioner>(*this); }
  std::string_view backend_id() const override { return delegate_id; }
  bool keeps(const ExportedProgram& program, const Node& node) const override;
  void transform(ExportedProgram& program) const override;
  PartitionResult partition(const ExportedProgram& program) const override;
  std::vector<Delegate> preprocess(std::vector<MethodPartition> partitions) const override;

 private:
  EnnPartitionerOptions options_;
};

// ---- the hand-over: the lowered program with its graphs, for Samsung's compiler (docs/exynos.md has the format)

// Beside the target, which is replaced once all is written. Usage error for delegates that a compiler has made.
void save_hand_over(const EdgeProgram& program, const std::filesystem::path& path);
// A method as a program again that computes as its graphs say. Bad-input errors on damage.
ExportedProgram load_hand_over(const std::filesystem::path& path, std::string_view method = "forward");

}  // namespace intaglio::exynos

#pragma GCC visibility pop
