#include "recipes/agreement.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "ir/work.h"
#include "qdq/op_table.h"
#include "quant/metrics.h"
#include "recipes/random_inputs.h"
#include "recipes/reference.h"
#include "recipes/run_values.h"

namespace intaglio {

using namespace recipes;
namespace {

// What one step of every value cannot explain may still be chance on a few outputs; half the power (3 dB) is not.
constexpr double margin_db = 3;
// More than any two float kernels differ on a model that works.
constexpr double enough_db = 60;
// A run of the program beyond this takes longer than the build that it checks.
constexpr uint64_t most_work = 200'000'000'000;
constexpr std::chrono::milliseconds patience{60'000};

// Values that depend on no float: they are computed exactly.
bool is_exact(const Value* value, std::unordered_set<const Value*>& seen) {
  if (!seen.insert(value).second) return true;
  if (value->is_tensor() ? is_floating(value->dtype()) || is_complex(value->dtype()) : value->kind() == ValueKind::sym_float) return false;
  if (value->producer() == nullptr) return true;
  return std::ranges::all_of(value->producer()->inputs(), [&](const Value* input) { return is_exact(input, seen); });
}

quant::ErrorMetrics difference(const Tensor& reference, const Tensor& other) {
  const Tensor expected = converted(reference, DType::float32).contiguous(), found = converted(other, DType::float32).contiguous();
  return quant::compare(expected.span<float>(), found.span<float>());
}

class Comparison {
 public:
  Comparison(const ComparedMethod& method, Agreement& result, int threads) : method_(method), result_(result), threads_(threads) {}

  void run(const std::filesystem::path& file, std::vector<Tensor> sample) {
    if (const uint64_t work = total_work(method_.program); work > most_work)
      return skip(fmt::format("one run is {:.0f} billion multiply-adds", static_cast<double>(work) / 1e9));
    try {
      is_random_ = sample.empty();
      inputs_ = is_random_ ? random_inputs(method_.program) : std::move(sample);
      given_ = with_literals(method_.program, inputs_);
      reference_.emplace(reference_of(method_.program));
      expected_ = run_reference(*reference_, inputs_, threads_);
      runtime::runtime_directory();
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bug) throw;
      return skip(error.what());
    }
    try {
      found_ = run_file(file);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bug) throw;
      // Numbers drawn at random may be none that the model can be given, a divisor of 0 for example.
      const std::string why = without_path(error.what(), file);
      if (is_random_ && is_loaded_) return skip("random inputs do not suit it: " + why);
      result_.breach = fmt::format("the file does not run on {}: {}", result_.inputs, why);
      return;
    }
    compare_all();
  }

 private:
  // The file has no name of its own yet.
  static std::string without_path(std::string message, const std::filesystem::path& file) {
    const std::string prefix = escaped(file.string()) + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }

  void skip(std::string why) { result_.skipped = std::move(why); }

  // The file was verified when it was written.
  std::vector<Tensor> run_file(const std::filesystem::path& file) {
    runtime::PteRunner runner({.threads = threads_, .timeout = patience});
    const runtime::MethodInfo& method = runner.load(file, method_.name);
    is_loaded_ = true;
    return to_tensors(runner.run(to_run_values(method, given_)));
  }

  void compare_all() {
    const std::vector<Argument> outputs = method_.program.user_outputs();
    if (expected_.size() != found_.size()) {
      result_.breach = fmt::format("the file gives {} outputs, the program {}", found_.size(), expected_.size());
      return;
    }
    for (size_t i = 0; i < expected_.size() && result_.breach.empty(); ++i) {
      if (!expected_[i].defined()) continue;
      if (!found_[i].defined() || found_[i].sizes() != expected_[i].sizes()) {
        result_.breach = fmt::format("{} has other sizes in the file than in the program", place_of(i));
        return;
      }
      const auto* value = i < outputs.size() ? outputs[i].get_if<Value*>() : nullptr;
      if (is_floating(expected_[i].dtype())) compare_floats(i);
      else if (value != nullptr) compare_exactly(i, *value);
    }
  }

  void compare_exactly(size_t index, const Value* value) {
    std::unordered_set<const Value*> seen;
    if (is_complex(expected_[index].dtype()) || !is_exact(value, seen)) return;
    const Tensor expected = converted(expected_[index], DType::int64).contiguous(),
                 found = converted(found_[index], DType::int64).contiguous();
    if (bit_equal(expected, found)) return;
    result_.breach = fmt::format("{} has other integers in the file than in the program on {}", place_of(index), result_.inputs);
  }

  void compare_floats(size_t index) {
    const quant::ErrorMetrics metrics = difference(expected_[index], found_[index]);
    OutputAgreement output = {index, metrics.sqnr_db, enough_db, metrics.max_abs_error};
    // One draw may, by chance, leave an output of few elements where it is.
    constexpr uint64_t most_draws = 6;
    for (uint64_t seed = 0; seed == 0 || (seed < most_draws && output.sqnr_db < output.bound_db); ++seed)
      output.bound_db = std::min(output.bound_db, difference(expected_[index], moved(seed)[index]).sqnr_db - margin_db);
    result_.outputs.push_back(output);
    if (output.sqnr_db >= output.bound_db) return;
    result_.breach = fmt::format(
        "{} of the file is {:.2f} dB from the program's on {}, where its quantization steps explain {:.2f} dB at worst; "
        "run `compare` on both, and keep the layers that differ in float",
        place_of(index), output.sqnr_db, result_.inputs, output.bound_db);
  }

  const std::vector<Tensor>& moved(uint64_t seed) {
    while (moved_.size() <= seed) moved_.push_back(run_one_step_off(*reference_, inputs_, moved_.size(), threads_));
    return moved_[seed];
  }

  std::string place_of(size_t index) const {
    const std::vector<Argument> outputs = method_.program.user_outputs();
    const auto* value = index < outputs.size() ? outputs[index].get_if<Value*>() : nullptr;
    const Node* producer = value == nullptr ? nullptr : (*value)->producer();
    while (producer != nullptr && qdq::find(*producer))
      producer = producer->inputs().empty() ? nullptr : producer->inputs().front()->producer();
    return producer == nullptr ? fmt::format("output arr_{}", index) : fmt::format("output arr_{} ({})", index, describe(*producer));
  }

  const ComparedMethod& method_;
  Agreement& result_;
  int threads_;
  bool is_random_ = false, is_loaded_ = false;
  std::vector<Tensor> inputs_, given_;  // of the program; and with the numbers that it is fixed to, of the file
  std::vector<Tensor> expected_, found_;
  std::optional<ExportedProgram> reference_;
  std::vector<std::vector<Tensor>> moved_;
};

std::string decibel(double value) { return std::isinf(value) && value > 0 ? "equal" : fmt::format("{:.2f} dB", value); }

}  // namespace

const OutputAgreement* Agreement::closest() const {
  const auto found = std::ranges::min_element(outputs, {}, [](const OutputAgreement& output) { return output.sqnr_db - output.bound_db; });
  return found == outputs.end() ? nullptr : &*found;
}

std::string to_string(const Agreement& agreement) {
  if (!agreement.skipped.empty()) return fmt::format("not checked: {}", agreement.skipped);
  const OutputAgreement* closest = agreement.closest();
  if (closest == nullptr) return agreement.breach.empty() ? fmt::format("equal on {}", agreement.inputs) : "none: " + agreement.breach;
  return fmt::format("{} on {} ({:.2f} dB is the bound of its steps)", decibel(closest->sqnr_db), agreement.inputs, closest->bound_db);
}

Agreement recipes::agreement_of(const std::filesystem::path& file, const ComparedMethod& method, const std::vector<Tensor>& sample,
                                int threads) {
  Agreement result;
  result.method = method.name;
  result.inputs = sample.empty() ? "random inputs" : "the first calibration sample";
  Comparison(method, result, threads).run(file, sample);
  return result;
}

}  // namespace intaglio
