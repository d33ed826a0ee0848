#include "report/executable.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>
#include <intaglio/recipes.h>

#include "base/mapped_file.h"
#include "recipes/run_values.h"
#include "report/deployment.h"
#include "report/slots.h"
#include "runtime/runtime.h"

namespace intaglio::report {
namespace {

// The user inputs of a `.pt2` with the numbers that the exporter fixed, which are inputs of its `.pte` nevertheless.
class ProgramInputs {
 public:
  ProgramInputs() = default;
  explicit ProgramInputs(const ExportedProgram& program) {
    std::vector<InputSlot> free = input_slots(program);
    auto next = free.begin();
    for (const Tensor& literal : recipes::with_literals(program, std::vector<Tensor>(free.size()))) {
      if (!literal.defined() && next != free.end()) slots_.push_back(std::move(*next++));
      else slots_.push_back({.name = "", .scalar = true, .dtype = literal.dtype()});
      literals_.push_back(literal);
    }
    name_literals(program);
  }

  const std::vector<InputSlot>& slots() const { return slots_; }

  void complete(std::vector<Tensor>& inputs) const {
    for (size_t i = 0; i < inputs.size() && i < literals_.size(); ++i) {
      if (!literals_[i].defined()) continue;
      if (inputs[i].defined() && inputs[i].item_as_double() != literals_[i].item_as_double())
        throw_bad_input(fmt::format("input '{}' is {}, but the export fixed it to {}; leave it out, or export the model anew",
                                    escaped(slots_[i].name), inputs[i].item_as_double(), literals_[i].item_as_double()));
      inputs[i] = literals_[i];
    }
  }

  std::vector<Tensor> without_literals(const std::vector<Tensor>& inputs) const {
    std::vector<Tensor> free;
    for (size_t i = 0; i < inputs.size(); ++i)
      if (i >= literals_.size() || !literals_[i].defined()) free.push_back(inputs[i]);
    return free;
  }

 private:
  void name_literals(const ExportedProgram& program) {
    size_t place = 0;
    for (const InputSpec& spec : program.input_specs) {
      if (spec.kind != InputSpec::Kind::user_input && spec.kind != InputSpec::Kind::literal_input) continue;
      const Argument* literal = program.graph().literal_of(spec.value);
      const bool has_no_place = spec.value->kind() == ValueKind::none || (literal != nullptr && !recipes::is_number(*literal));
      if (has_no_place || place >= slots_.size()) continue;
      if (slots_[place].name.empty()) slots_[place].name = spec.value->name();
      ++place;
    }
  }

  std::vector<InputSlot> slots_;
  std::vector<Tensor> literals_;  // by slot, undefined where a sample fills it
};

std::optional<int64_t> width_of(const ExportedProgram& program) {
  const std::vector<Argument> outputs = program.user_outputs();
  const Value* const* value = outputs.empty() ? nullptr : outputs.front().get_if<Value*>();
  if (value == nullptr || *value == nullptr || !(*value)->is_tensor() || (*value)->sizes().empty()) return std::nullopt;
  const SymInt& width = (*value)->sizes().back();
  return width.is_static() ? std::optional(width.value()) : std::nullopt;
}

ExportedProgram program_of(const std::filesystem::path& path, const ExecutableOptions& options) {
  ExportedProgram program = load_program_of(path, options.method);
  if (options.numerics == Numerics::reference || find_hand_over(path) != nullptr) to_reference_representation(program);
  return program;
}

class Pt2Executable : public Executable {
 public:
  Pt2Executable(ExportedProgram program, const ExecutableOptions& options)
      : program_(std::move(program)),
        inputs_(program_),
        threads_(options.threads),
        interpreter_(std::in_place, program_, InterpreterOptions{.threads = options.threads}),
        repetitions_(options.repetitions) {}

  const std::vector<InputSlot>& slots() const override { return inputs_.slots(); }
  void complete(std::vector<Tensor>& inputs) const override { inputs_.complete(inputs); }
  double milliseconds() const override { return milliseconds_; }
  std::string engine() const override { return "interpreter"; }
  void reset() override { interpreter_.emplace(program_, InterpreterOptions{.threads = threads_}); }
  std::optional<int64_t> output_width() const override { return width_of(program_); }

  std::vector<Tensor> run(const std::vector<Tensor>& all) override {
    const std::vector<Tensor> inputs = inputs_.without_literals(all);
    std::vector<double> times;
    std::vector<Tensor> outputs;
    for (int i = 0; i <= repetitions_; ++i) {
      const auto start = std::chrono::steady_clock::now();
      std::vector<Tensor> results = interpreter_->run(inputs);
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
      if (i == 0) outputs = std::move(results);
    }
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    milliseconds_ = times[times.size() / 2];
    return outputs;
  }

 private:
  ExportedProgram program_;
  ProgramInputs inputs_;
  int threads_;
  std::optional<Interpreter> interpreter_;
  int repetitions_;
  double milliseconds_ = 0;
};

class PteExecutable : public Executable {
 public:
  PteExecutable(const std::filesystem::path& path, const ExecutableOptions& options)
      : path_(path),
        runner_({.threads = options.threads, .timeout = options.timeout, .check_payload = payload_check()}),
        method_(runner_.load(path, options.method)),
        slots_(input_slots(method_)),
        repetitions_(options.repetitions) {}

  const std::vector<InputSlot>& slots() const override { return slots_; }
  double milliseconds() const override { return runner_.timing().median(); }
  std::string engine() const override { return "ExecuTorch runtime"; }
  void reset() override { runner_.load(path_, method_.name); }
  runtime::ConstantMethods constants() const override { return runner_.constants(); }
  std::optional<int64_t> output_width() const override {
    if (method_.outputs.empty() || method_.outputs[0].sizes.empty()) return std::nullopt;
    return method_.outputs[0].sizes.back();
  }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override { return run(inputs, runtime::OutputRows::all); }
  std::vector<Tensor> run_last_row(const std::vector<Tensor>& inputs) override { return run(inputs, runtime::OutputRows::last); }

 private:
  std::vector<Tensor> run(const std::vector<Tensor>& inputs, runtime::OutputRows rows) {
    return recipes::to_tensors(runner_.run(recipes::to_run_values(method_, inputs), repetitions_, rows));
  }

  std::filesystem::path path_;
  runtime::PteRunner runner_;
  runtime::MethodInfo method_;
  std::vector<InputSlot> slots_;
  int repetitions_;
};

// A `.pt2` as it computes once it is deployed: with the backend's own integer kernels, on the runtime. The inputs keep their names.
class DeployedExecutable : public Executable {
 public:
  DeployedExecutable(const std::filesystem::path& path, const ExecutableOptions& options) {
    ExportedProgram program = load_exported_program(path);
    inputs_ = ProgramInputs(program);
    deployed_ = std::make_unique<PteExecutable>(file_.write(std::move(program), options.threads), options);
  }

  const std::vector<InputSlot>& slots() const override { return inputs_.slots(); }
  void complete(std::vector<Tensor>& inputs) const override { inputs_.complete(inputs); }
  double milliseconds() const override { return deployed_->milliseconds(); }
  std::string engine() const override { return deployed_->engine() + ", lowered to " + file_.backend().title; }
  void reset() override { deployed_->reset(); }
  std::optional<int64_t> output_width() const override { return deployed_->output_width(); }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override { return deployed_->run(inputs); }

 private:
  DeployedFile file_;
  ProgramInputs inputs_;
  std::unique_ptr<PteExecutable> deployed_;
};

enum class FileKind { pt2, pte, hand_over, other };

FileKind kind_of(const std::filesystem::path& path) {
  if (find_hand_over(path) != nullptr) return FileKind::hand_over;
  const std::shared_ptr<MappedFile> file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), std::min<size_t>(file->bytes().size(), 8));
  if (text.starts_with("PK")) return FileKind::pt2;
  if (text.size() == 8 && text.substr(4, 2) == "ET") return FileKind::pte;
  // A damaged file keeps its name: let the reader of that format say what is wrong.
  if (path.extension() == ".pt2") return FileKind::pt2;
  return path.extension() == ".pte" ? FileKind::pte : FileKind::other;
}

}  // namespace

ExportedProgram load_program_of(const std::filesystem::path& path, const std::string& method) {
  const Backend* backend = find_hand_over(path);
  return backend == nullptr ? load_exported_program(path) : backend->hand_over->load(path, method);
}

std::unique_ptr<Executable> Executable::of(ExportedProgram program, const ExecutableOptions& options) {
  return std::make_unique<Pt2Executable>(std::move(program), options);
}

std::unique_ptr<Executable> Executable::open(const std::filesystem::path& path, const ExecutableOptions& options) {
  switch (kind_of(path)) {
    case FileKind::pt2:
      if (options.numerics == Numerics::integer) return std::make_unique<DeployedExecutable>(path, options);
      return std::make_unique<Pt2Executable>(program_of(path, options), options);
    case FileKind::pte: return std::make_unique<PteExecutable>(path, options);
    case FileKind::hand_over: return std::make_unique<Pt2Executable>(program_of(path, options), options);
    case FileKind::other: break;
  }
  throw_bad_input(fmt::format("{}: is neither a .pt2 archive, nor a .pte program, nor a hand-over", escaped(path.string())));
}

}  // namespace intaglio::report
