#include "recipes/agreement.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/number_text.h"
#include "ir/work.h"
#include "recipes/random_inputs.h"
#include "recipes/side_by_side.h"

namespace intaglio {

using namespace recipes;
namespace {

// A run of the program beyond this takes longer than the build that it checks.
constexpr uint64_t most_work = 200'000'000'000;
// For each weight of a delegate the runtime looks through the list of all of them.
constexpr size_t most_weights = 6'000;

// Values that depend on no float: they are computed exactly. Known of all values of a graph after one pass.
std::unordered_set<const Value*> exact_values(const Graph& graph) {
  std::unordered_set<const Value*> exact;
  const auto look_at = [&](const Value* value) {
    const bool is_float =
        value->is_tensor() ? is_floating(value->dtype()) || is_complex(value->dtype()) : value->kind() == ValueKind::sym_float;
    if (!is_float) exact.insert(value);
  };
  for (const Value* input : graph.inputs()) look_at(input);
  for (const Node* node : graph.node_list())
    if (std::ranges::all_of(node->inputs(), [&](const Value* input) { return exact.contains(input); }))
      std::ranges::for_each(node->outputs(), look_at);
  return exact;
}

class Comparison {
 public:
  Comparison(const ComparedMethod& method, Agreement& result, const AgreementOptions& options)
      : method_(method), result_(result), options_(options) {}

  void run(const std::filesystem::path& file, std::vector<Tensor> sample) {
    if (const uint64_t work = total_work(method_.program); work > most_work)
      return skip(fmt::format("one run is {:.0f} billion multiply-adds", static_cast<double>(work) / 1e9));
    if (const size_t weights = method_.program.state.entries().size() + method_.program.constants.entries().size(); weights > most_weights)
      return skip(fmt::format("the runtime takes long to find {} weights; `compare` checks the file", weights));
    try {
      is_random_ = sample.empty();
      inputs_ = is_random_ ? random_inputs(method_.program) : std::move(sample);
      both_.emplace(method_.program, inputs_, options_.threads);
      if (options_.load == nullptr) {
        runner_.emplace(runtime::RunnerOptions{.threads = options_.threads, .timeout = options_.timeout});
        runner_->start();
      }
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bug) throw;
      return skip(error.what());
    }
    try {
      if (options_.load == nullptr) run_file(file);
      else both_->run_program(options_.load(file, method_.name));
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::bug) throw;
      if (error.kind() == ErrorKind::machine) return skip(without_path(error.what(), file));
      // Numbers drawn at random may be none that the model can be given, a divisor of 0 for example.
      const std::string why = without_path(error.what(), file);
      if (is_random_ && is_loaded_) return skip("random inputs do not suit it: " + why);
      throw_unsupported(fmt::format("nothing is written, since the file does not run on {}: {}", result_.inputs, why));
    }
    try {
      compare_all();
    } catch (const Error& error) {  // the program may refuse values that are one step off
      if (error.kind() == ErrorKind::bug) throw;
      skip(error.what());
    }
  }

 private:
  // The file has no name of its own yet.
  static std::string without_path(std::string message, const std::filesystem::path& file) {
    const std::string prefix = escaped(file.string()) + ": ";
    return message.starts_with(prefix) ? message.substr(prefix.size()) : message;
  }

  void skip(std::string why) { result_.skipped = std::move(why); }

  // The file was verified when it was written.
  void run_file(const std::filesystem::path& file) {
    const runtime::MethodInfo& method = runner_->load(file, method_.name);
    is_loaded_ = true;
    both_->run_file(*runner_, method);
    runner_.reset();  // and what it holds
  }

  void compare_all() {
    const std::vector<Tensor>&expected = both_->expected(), &found = both_->found();
    if (expected.size() != found.size()) {
      result_.breach = fmt::format("the file gives {} outputs, the program {}", found.size(), expected.size());
      return;
    }
    for (size_t i = 0; i < expected.size() && result_.breach.empty(); ++i) {
      if (!expected[i].defined()) continue;
      if (!found[i].defined() || found[i].sizes() != expected[i].sizes()) {
        result_.breach = fmt::format("{} has other sizes in the file than in the program", name_of(i));
        return;
      }
      if (is_floating(expected[i].dtype())) compare_floats(i);
      else compare_exactly(i);
    }
  }

  void compare_exactly(size_t index) {
    const Value* value = value_of(index);
    const Tensor& expected = both_->expected()[index];
    if (!exact_) exact_ = exact_values(method_.program.graph());
    if (value == nullptr || is_complex(expected.dtype()) || !exact_->contains(value)) return;
    const auto as_integers = [](const Tensor& tensor) { return converted(tensor, DType::int64).contiguous(); };
    if (bit_equal(as_integers(expected), as_integers(both_->found()[index]))) return;
    result_.breach = fmt::format("{} has other integers in the file than in the program on {}", name_of(index), result_.inputs);
  }

  void compare_floats(size_t index) {
    const Distance distance = both_->distance(index);
    result_.outputs.push_back({index, distance.sqnr_db, distance.bound_db, distance.max_abs_error});
    if (!distance.is_breach()) return;
    if (const Value* value = value_of(index); value != nullptr && value->producer() != nullptr)
      result_.first_wrong = first_wrong_layer(method_.program, value, inputs_, options_);
    const std::string advice = result_.first_wrong ? "first wrong is " + to_string(*result_.first_wrong) + "; keep that layer in float"
                                                   : "run `compare` on both, and keep the layers that differ in float";
    result_.breach =
        fmt::format("{} of the file is {:.2f} dB from the program's on {}, where its quantization steps explain {:.2f} dB at worst; {}",
                    name_of(index), distance.sqnr_db, result_.inputs, distance.bound_db, advice);
  }

  const Value* value_of(size_t index) const {
    const std::vector<Argument> outputs = method_.program.user_outputs();
    const auto* value = index < outputs.size() ? outputs[index].get_if<Value*>() : nullptr;
    return value == nullptr ? nullptr : *value;
  }

  std::string name_of(size_t index) const {
    const Value* value = value_of(index);
    return value == nullptr ? fmt::format("output arr_{}", index) : fmt::format("output arr_{} ({})", index, place_of(value));
  }

  const ComparedMethod& method_;
  Agreement& result_;
  const AgreementOptions& options_;
  std::optional<runtime::PteRunner> runner_;
  bool is_random_ = false, is_loaded_ = false;
  std::vector<Tensor> inputs_;
  std::optional<SideBySide> both_;
  std::optional<std::unordered_set<const Value*>> exact_;
};

}  // namespace

const OutputAgreement* Agreement::closest() const {
  const auto found = std::ranges::min_element(outputs, {}, [](const OutputAgreement& output) { return output.sqnr_db - output.bound_db; });
  return found == outputs.end() ? nullptr : &*found;
}

std::string to_string(const WrongLayer& wrong) {
  return fmt::format("{} ({:.2f} dB where {:.2f} dB is its bound, {:.3g}% of its values are off)", wrong.layer, wrong.sqnr_db,
                     wrong.bound_db, 100 * wrong.share);
}

std::string to_string(const Agreement& agreement) {
  if (!agreement.skipped.empty()) return fmt::format("not checked: {}", agreement.skipped);
  const OutputAgreement* closest = agreement.closest();
  if (closest == nullptr) return agreement.breach.empty() ? fmt::format("equal on {}", agreement.inputs) : "none: " + agreement.breach;
  return fmt::format("{} on {} ({:.2f} dB is the bound of its steps)", decibel_text(closest->sqnr_db), agreement.inputs, closest->bound_db);
}

Agreement recipes::agreement_of(const std::filesystem::path& file, const ComparedMethod& method, const std::vector<Tensor>& sample,
                                const AgreementOptions& options) {
  Agreement result;
  result.method = method.name;
  result.inputs = sample.empty() ? "random inputs" : "the first calibration sample";
  Comparison(method, result, options).run(file, sample);
  return result;
}

}  // namespace intaglio
