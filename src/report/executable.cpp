#include "report/executable.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <fmt/format.h>
#include <intaglio/edge.h>
#include <intaglio/error.h>
#include <intaglio/interpreter.h>
#include <intaglio/pt2.h>
#include <intaglio/recipes.h>

#include "base/leftovers.h"
#include "base/mapped_file.h"
#include "report/slots.h"
#include "runtime/runtime.h"

namespace intaglio {
namespace {

class Pt2Executable : public Executable {
 public:
  Pt2Executable(const std::filesystem::path& path, const ExecutableOptions& options)
      : program_(load_exported_program(path)),
        slots_(input_slots(program_)),
        interpreter_(program_, {.threads = options.threads}),
        repetitions_(options.repetitions) {}

  const std::vector<InputSlot>& slots() const override { return slots_; }
  double milliseconds() const override { return milliseconds_; }
  std::string engine() const override { return "interpreter"; }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override {
    std::vector<double> times;
    std::vector<Tensor> outputs;
    for (int i = 0; i <= repetitions_; ++i) {
      const auto start = std::chrono::steady_clock::now();
      std::vector<Tensor> results = interpreter_.run(inputs);
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
      if (i == 0) outputs = std::move(results);
    }
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    milliseconds_ = times[times.size() / 2];
    return outputs;
  }

 private:
  ExportedProgram program_;
  std::vector<InputSlot> slots_;
  Interpreter interpreter_;
  int repetitions_;
  double milliseconds_ = 0;
};

runtime::RunValue to_run_value(const Tensor& tensor, const runtime::ValueInfo& info) {
  if (!tensor.defined()) return std::monostate{};
  switch (info.kind) {
    case runtime::ValueKind::integer: return tensor.item_as_int();
    case runtime::ValueKind::floating: return tensor.item_as_double();
    case runtime::ValueKind::boolean: return tensor.item_as_int() != 0;
    default: return tensor;
  }
}

struct ToTensor {
  Tensor operator()(std::monostate) const { return {}; }
  Tensor operator()(const Tensor& tensor) const { return tensor; }
  Tensor operator()(int64_t number) const { return Tensor::scalar(number); }
  Tensor operator()(double number) const { return Tensor::scalar(number); }
  Tensor operator()(bool flag) const { return Tensor::scalar(flag); }
  Tensor operator()(const std::string&) const { throw_unsupported("an output of the program is a text, which no array file can hold"); }
};

class PteExecutable : public Executable {
 public:
  PteExecutable(const std::filesystem::path& path, const ExecutableOptions& options)
      : runner_({.threads = options.threads, .check_payload = payload_check()}),
        method_(runner_.load(path, options.method)),
        slots_(input_slots(method_)),
        repetitions_(options.repetitions) {}

  const std::vector<InputSlot>& slots() const override { return slots_; }
  double milliseconds() const override { return runner_.timing().median(); }
  std::string engine() const override { return "ExecuTorch runtime"; }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override {
    std::vector<runtime::RunValue> values;
    size_t next = 0;
    for (const runtime::ValueInfo& info : method_.inputs) {
      if (info.kind == runtime::ValueKind::none) values.emplace_back();
      else if (next < inputs.size()) values.push_back(to_run_value(inputs[next++], info));
    }
    std::vector<Tensor> outputs;
    for (const runtime::RunValue& value : runner_.run(values, repetitions_)) outputs.push_back(std::visit(ToTensor{}, value));
    return outputs;
  }

 private:
  runtime::PteRunner runner_;
  runtime::MethodInfo method_;
  std::vector<InputSlot> slots_;
  int repetitions_;
};

// A folder of its own that goes with its contents.
class ScratchFolder {
 public:
  ScratchFolder() {
    const char* chosen = std::getenv("TMPDIR");
    std::string name = std::string(chosen != nullptr && *chosen != 0 ? chosen : "/tmp") + "/intaglio-XXXXXX";  // mkdtemp fills in the X
    if (mkdtemp(name.data()) == nullptr)
      throw_bad_input(
          fmt::format("{}: no folder can be made there ({}); set TMPDIR to one that can be written", escaped(name), std::strerror(errno)));
    folder_ = Leftover(name);
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  Leftover folder_;
};

// A `.pt2` as it computes once it is deployed: with the backend's own integer kernels, on the runtime. The inputs keep their names.
class DeployedExecutable : public Executable {
 public:
  DeployedExecutable(const std::filesystem::path& path, const ExecutableOptions& options) {
    ExportedProgram program = load_exported_program(path);
    slots_ = input_slots(program);
    for (const InputSpec& spec : program.input_specs) {
      if (spec.kind != InputSpec::Kind::user_input && spec.kind != InputSpec::Kind::literal_input) continue;
      const Argument* literal = program.graph().literal_of(spec.value);
      if (spec.value->kind() != ValueKind::none && (literal == nullptr || !literal->is_none()))
        literals_.push_back(literal_tensor(spec.value->name(), literal));
    }
    const ScratchFolder folder;
    const std::filesystem::path pte = folder.path() / "deployed.pte";
    PartitionerList partitioners;
    add_backend(partitioners, backend_.name);
    to_edge_transform_and_lower(std::move(program), partitioners, {.threads = options.threads})
        .to_executorch({.threads = options.threads})
        .save(pte);
    deployed_ = std::make_unique<PteExecutable>(pte, options);
  }

  const std::vector<InputSlot>& slots() const override { return slots_; }
  double milliseconds() const override { return deployed_->milliseconds(); }
  std::string engine() const override { return deployed_->engine() + ", lowered to " + backend_.title; }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override {
    std::vector<Tensor> all = literals_;
    auto next = inputs.begin();
    for (Tensor& tensor : all)
      if (!tensor.defined() && next != inputs.end()) tensor = *next++;
    return deployed_->run(all);
  }

 private:
  // A number that the exported program is fixed to is an input of the `.pte` nevertheless.
  static Tensor literal_tensor(const std::string& name, const Argument* literal) {
    if (literal == nullptr) return {};
    if (const auto* number = literal->get_if<int64_t>()) return Tensor::scalar(*number);
    if (const auto* number = literal->get_if<double>()) return Tensor::scalar(*number);
    if (const auto* flag = literal->get_if<bool>()) return Tensor::scalar(*flag);
    throw_unsupported(
        fmt::format("input '{}' is fixed to something that is no number, which the runtime cannot be given; "
                    "run the program with --numerics as_written",
                    escaped(name)));
  }

  const Backend& backend_ = backends().front();
  std::vector<InputSlot> slots_;
  std::vector<Tensor> literals_;  // one for each input of the `.pte`, undefined where a sample fills it
  std::unique_ptr<PteExecutable> deployed_;
};

enum class FileKind { pt2, pte, other };

FileKind kind_of(const std::filesystem::path& path) {
  const std::shared_ptr<MappedFile> file = MappedFile::open(path);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), std::min<size_t>(file->bytes().size(), 8));
  if (text.starts_with("PK")) return FileKind::pt2;
  if (text.size() == 8 && text.substr(4, 2) == "ET") return FileKind::pte;
  // A damaged file keeps its name: let the reader of that format say what is wrong.
  if (path.extension() == ".pt2") return FileKind::pt2;
  return path.extension() == ".pte" ? FileKind::pte : FileKind::other;
}

}  // namespace

std::unique_ptr<Executable> Executable::open(const std::filesystem::path& path, const ExecutableOptions& options) {
  switch (kind_of(path)) {
    case FileKind::pt2:
      if (options.numerics == Numerics::integer) return std::make_unique<DeployedExecutable>(path, options);
      return std::make_unique<Pt2Executable>(path, options);
    case FileKind::pte: return std::make_unique<PteExecutable>(path, options);
    case FileKind::other: break;
  }
  throw_bad_input(fmt::format("{}: is neither a .pt2 archive nor a .pte program", escaped(path.string())));
}

}  // namespace intaglio
