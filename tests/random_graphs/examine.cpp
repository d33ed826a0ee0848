#include "random_graphs/examine.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>
#include <intaglio/pt2e.h>
#include <intaglio/xnnpack.h>

#include "random_graphs/noise.h"

namespace intaglio::random_graphs {
namespace {

// Engines sum in different orders and approximate functions differently: this share of a tensor's largest value.
constexpr double float_noise = 2e-6;
// The noise is random, a rounding need not be: this many times the answer to it is still explained by rounding.
constexpr double factor = 2.5;

std::filesystem::path scratch(const char* ending) {
  const std::filesystem::path memory = "/dev/shm";
  const auto folder = std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
  return folder / fmt::format("intaglio_random_{}{}", getpid(), ending);
}

class Examiner {
 public:
  Examiner(const ExportedProgram& program, const std::vector<Tensor>& inputs, runtime::PteRunner& runner, uint64_t seed,
           const std::function<void(ExportedProgram&)>& change)
      : program_(program), inputs_(inputs), runner_(runner), seed_(seed), change_(change) {}

  Examination examine(bool per_channel) {
    NoiseMap noise;
    const std::vector<Tensor> expected = run_watched(program_, noise);
    if (!shows_something(expected)) return {.outcome = Outcome::no_use};
    const std::vector<Distance> answer = answer_to_noise(program_, inputs_, noise, expected, seed_);
    compare("float .pte on portable kernels", expected, run_pte(program_, false), answer);
    compare("float .pte on XNNPACK", expected, run_pte(program_, true), answer);
    if (result_.outcome == Outcome::agrees) examine_static(expected, per_channel);
    if (result_.outcome == Outcome::agrees) examine_dynamic(expected);
    return result_;
  }

 private:
  static double largest(const Tensor& tensor) {
    const Tensor values = converted(tensor, DType::float64).contiguous();
    double found = 0;
    for (int64_t i = 0; i < values.numel(); ++i) found = std::max(found, std::abs(values.data<double>()[i]));
    return found;
  }

  static double range_with_zero(const Tensor& tensor) {
    const Tensor values = tensor.contiguous();
    double low = 0, high = 0;
    for (const float value : values.span<float>()) {
      low = std::min(low, static_cast<double>(value));
      high = std::max(high, static_cast<double>(value));
    }
    return high - low;
  }

  static bool shows_something(const std::vector<Tensor>& outputs) {
    return std::all_of(outputs.begin(), outputs.end(), [](const Tensor& output) {
      const std::span<const float> values = output.span<float>();
      const auto [low, high] = std::minmax_element(values.begin(), values.end());
      const bool finite = std::all_of(values.begin(), values.end(), [](float value) { return std::abs(value) < 1e4f; });
      return finite && (values.size() == 1 || *high - *low > 1e-3f) && std::max(std::abs(*low), std::abs(*high)) > 1e-3f;
    });
  }

  // The outputs, and for every float value the noise that stands for another engine's last bits.
  std::vector<Tensor> run_watched(const ExportedProgram& program, NoiseMap& noise) {
    return Interpreter(program, {.threads = 1}).run(inputs_, [&](const Value* value, const Tensor& tensor) {
      if (tensor.dtype() == DType::float32) noise[value->name()].amplitude = float_noise * largest(tensor);
      return std::nullopt;
    });
  }

  std::vector<Tensor> run_pte(const ExportedProgram& program, bool delegate) {
    const PartitionerList partitioners = delegate ? PartitionerList{xnnpack::XnnpackPartitioner()} : PartitionerList{};
    const auto path = scratch(".pte");
    to_edge_transform_and_lower(program.clone(), partitioners, {.threads = 1}).to_executorch().save(path);
    runner_.load(path);
    std::filesystem::remove(path);
    std::vector<runtime::RunValue> inputs(inputs_.begin(), inputs_.end());
    std::vector<Tensor> outputs;
    for (const runtime::RunValue& value : runner_.run(inputs)) outputs.push_back(std::get<Tensor>(value));
    return outputs;
  }

  // Within factor times what the noise did; the last bits of the output itself come on top.
  void compare(const std::string& name, const std::vector<Tensor>& expected, const std::vector<Tensor>& got,
               const std::vector<Distance>& answer) {
    const std::vector<Distance> found = distances(expected, got);
    for (size_t i = 0; i < found.size(); ++i) {
      const double bits = float_noise * largest(expected[i]);
      const double used = std::max(found[i].rms / (factor * answer[i].rms + bits), found[i].largest / (factor * answer[i].largest + bits));
      double& worst = result_.used[name];
      if (!(used <= worst)) worst = used;
      if (used <= 1) continue;
      result_.outcome = Outcome::differs;
      result_.text += fmt::format("{}: output {} differs by {:.3g} (rms {:.3g}); rounding explains {:.3g} (rms {:.3g})\n", name, i,
                                  found[i].largest, found[i].rms, factor * answer[i].largest, factor * answer[i].rms);
    }
  }

  // Half a step on everything the plan quantizes, and its limits.
  static NoiseMap steps_of(const Plan& plan) {
    NoiseMap noise;
    for (const PlanEntry& entry : plan.entries) {
      const QuantParams& q = entry.qparams;
      Noise one{.amplitude = *std::max_element(q.scale.begin(), q.scale.end()) / 2};
      if (!q.is_per_channel()) {
        one.low = static_cast<float>(q.scale[0] * static_cast<double>(q.quant_min - q.zero_point[0]));
        one.high = static_cast<float>(q.scale[0] * static_cast<double>(q.quant_max - q.zero_point[0]));
      }
      noise[entry.tensor] = one;
    }
    return noise;
  }

  // Half a step before every quantize: what a kernel may round the other way. Where the step is chosen at run time it is
  // that of the value's range, zero included.
  NoiseMap roundings_of(const ExportedProgram& converted) {
    std::map<std::string, double> ranges;
    Interpreter(converted, {.threads = 1}).run(inputs_, [&](const Value* value, const Tensor& tensor) {
      if (tensor.dtype() == DType::float32) ranges[value->name()] = range_with_zero(tensor);
      return std::nullopt;
    });
    NoiseMap noise;
    for (const Node* node : converted.graph().node_list()) {
      if (node->op().base() != "quantize_per_tensor" && node->op().base() != "quantize_per_token") continue;
      const std::string& name = node->tensor("input")->name();
      const Argument* scale = node->find("scale");
      const bool known = scale != nullptr && scale->is<double>();
      noise[name].amplitude = (known ? node->number("scale") : ranges.at(name) / 255) / 2;
    }
    return noise;
  }

  void examine_static(const std::vector<Tensor>& expected, bool per_channel) {
    PreparedProgram prepared = prepare({.is_per_channel = per_channel});
    prepared(inputs_);
    const std::vector<Distance> answer = answer_to_noise(prepared.program(), inputs_, steps_of(prepared.plan()), expected, seed_);
    examine_converted("static", convert_pt2e(std::move(prepared)), expected, answer, 1);
  }

  // XNNPACK chooses the step of each row alone, so that its error is another one of the same size, not a rounding the other way.
  void examine_dynamic(const std::vector<Tensor>& expected) {
    PreparedProgram prepared = prepare({.is_per_channel = true, .is_dynamic = true});
    prepared(inputs_);  // needed by the plan alone: it shows what was observed, weights too
    NoiseMap steps;
    for (const auto& [name, step] : steps_of(prepared.plan()))
      if (prepared.program().constant(prepared.program().graph().find_value(name))) steps[name] = step;
    const ExportedProgram before = prepared.program().clone();
    ExportedProgram quantized = convert_pt2e(std::move(prepared));
    for (const auto& [name, step] : roundings_of(quantized)) steps[name] = step;
    if (steps.empty()) return;  // nothing that is quantized dynamically
    examine_converted("dynamic", std::move(quantized), expected, answer_to_noise(before, inputs_, steps, expected, seed_), 2);
  }

  PreparedProgram prepare(const xnnpack::SymmetricQuantizationOptions& options) const {
    xnnpack::XnnpackQuantizer quantizer;
    quantizer.set_global(xnnpack::get_symmetric_quantization_config(options));
    return prepare_pt2e(program_.clone(), quantizer, {.threads = 1});
  }

  // `steps`: how many half steps the engines may be apart at every quantize.
  void examine_converted(const std::string& flow, ExportedProgram quantized, const std::vector<Tensor>& expected,
                         const std::vector<Distance>& answer, double steps) {
    NoiseMap noise;
    const std::vector<Tensor> outputs = run_watched(quantized, noise);
    for (const auto& [name, rounding] : roundings_of(quantized)) noise[name].amplitude += steps * rounding.amplitude;
    compare(flow + ": converted program beside the float one", expected, outputs, answer);
    compare_read_back(quantized);
    const std::vector<Distance> roundings = answer_to_noise(quantized, inputs_, noise, outputs, seed_);
    if (change_) change_(quantized);
    compare(flow + ": int8 .pte on portable kernels", outputs, run_pte(quantized, false), roundings);
    compare(flow + ": int8 .pte on XNNPACK", outputs, run_pte(quantized, true), roundings);
  }

  // Not with the watched run: what is watched is not fused, and a kernel that takes a relu along may round otherwise.
  void compare_read_back(const ExportedProgram& quantized) {
    const auto path = scratch(".pt2");
    save_exported_program(quantized, path);
    const ExportedProgram again = load_exported_program(path);
    std::filesystem::remove(path);
    const std::vector<Tensor> outputs = Interpreter(quantized, {.threads = 1}).run(inputs_);
    const std::vector<Tensor> got = Interpreter(again, {.threads = 1}).run(inputs_);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (bit_equal(outputs[i], got[i])) continue;
      result_.outcome = Outcome::differs;
      result_.text += fmt::format("read back from its archive: output {} has other bits\n", i);
    }
  }

  const ExportedProgram& program_;
  const std::vector<Tensor>& inputs_;
  runtime::PteRunner& runner_;
  uint64_t seed_;
  const std::function<void(ExportedProgram&)>& change_;
  Examination result_;
};

}  // namespace

Examination examine(const ExportedProgram& program, const std::vector<Tensor>& inputs, bool per_channel, runtime::PteRunner& runner,
                    uint64_t seed, const std::function<void(ExportedProgram&)>& change) {
  try {
    return Examiner(program, inputs, runner, seed, change).examine(per_channel);
  } catch (const Error& error) { return {.outcome = Outcome::differs, .text = std::string("refused: ") + error.what() + "\n"}; }
}

}  // namespace intaglio::random_graphs
