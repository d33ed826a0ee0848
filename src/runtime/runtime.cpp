#include "runtime/runtime.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "base/number_text.h"
#include "pte/verifier.h"
#include "runtime/child_process.h"
#include "runtime/protocol.h"

namespace intaglio::runtime {
namespace {

constexpr const char* kind_names[] = {"None", "a tensor", "an integer", "a number", "a bool", "a string", "a list"};

int64_t default_memory_limit() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page = sysconf(_SC_PAGESIZE);
  return pages > 0 && page > 0 ? 2 * pages * page : int64_t{64} << 30;
}

ValueKind kind_of(const RunValue& value) { return static_cast<ValueKind>(value.index()); }

std::string describe(const ValueInfo& info) {
  if (info.kind != ValueKind::tensor) return kind_names[static_cast<size_t>(info.kind)];
  return fmt::format("{} [{}]{}", name(info.dtype), fmt::join(info.sizes, ", "), info.dynamic ? " at most" : "");
}

std::string describe(const RunValue& value) {
  const auto* tensor = std::get_if<Tensor>(&value);
  if (!tensor) return kind_names[static_cast<size_t>(kind_of(value))];
  return fmt::format("{} [{}]", name(tensor->dtype()), fmt::join(tensor->sizes(), ", "));
}

bool fits(const ValueInfo& info, const RunValue& value) {
  if (info.kind != kind_of(value)) return false;
  const auto* tensor = std::get_if<Tensor>(&value);
  if (!tensor) return true;
  if (tensor->dtype() != info.dtype || tensor->sizes().size() != info.sizes.size()) return false;
  if (!info.dynamic) return tensor->sizes() == info.sizes;
  return std::equal(info.sizes.begin(), info.sizes.end(), tensor->sizes().begin(),
                    [](int64_t bound, int64_t size) { return size <= bound; });
}

ValueInfo info_of(const pte::ExecutionPlan& plan, int32_t index) {
  const pte::EValue& value = plan.values[static_cast<size_t>(index)];
  // In the order of EValue's alternatives; lists are none of them.
  static constexpr ValueKind kinds[] = {ValueKind::none,     ValueKind::integer, ValueKind::boolean,
                                        ValueKind::floating, ValueKind::tensor,  ValueKind::string};
  ValueInfo info;
  info.kind = value.index() < std::size(kinds) ? kinds[value.index()] : ValueKind::other;
  if (const auto* text = std::get_if<std::string>(&value)) info.text = *text;
  if (const auto* tensor = std::get_if<pte::TensorValue>(&value)) {
    const std::optional<DType> dtype = pte::dtype_of_scalar_type(tensor->scalar_type);
    if (!dtype)
      throw_unsupported(fmt::format("value {}, an input or output, is of type {}", index, pte::scalar_type_text(tensor->scalar_type)));
    info.dtype = *dtype;
    info.sizes.assign(tensor->sizes.begin(), tensor->sizes.end());
    info.dynamic = tensor->shape_dynamism != pte::ShapeDynamism::fixed;
  }
  return info;
}

// Of a verified program's method.
MethodInfo method_info(const pte::ExecutionPlan& plan) try {
  for (size_t i = 0; i < plan.values.size(); ++i)
    if (const auto* tensor = std::get_if<pte::TensorValue>(&plan.values[i]); tensor != nullptr && tensor->extra && tensor->extra->external)
      throw_unsupported(fmt::format("tensor {} lives in another file (.ptd); build the program in one file", i));
  MethodInfo info;
  info.name = plan.name;
  for (const int32_t input : plan.inputs) info.inputs.push_back(info_of(plan, input));
  for (const int32_t output : plan.outputs) info.outputs.push_back(info_of(plan, output));
  for (const pte::BackendDelegate& delegate : plan.delegates) info.delegates.push_back(delegate.id);
  for (const pte::Operator& op : plan.operators) info.operators.push_back(op.key());
  info.planned_bytes = std::accumulate(plan.non_const_buffer_sizes.begin(), plan.non_const_buffer_sizes.end(), int64_t{0});
  return info;
} catch (const Error& error) { throw error.with_context(fmt::format("method '{}'", escaped(plan.name))); }

std::optional<RunValue> literal(const pte::EValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return *integer;
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean;
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return std::nullopt;
}

ConstantMethods constant_methods(const pte::Program& program) {
  ConstantMethods constants;
  for (const pte::ExecutionPlan& plan : program.execution_plan) {
    const bool runs = std::any_of(plan.chains.begin(), plan.chains.end(), [](const auto& chain) { return !chain.empty(); });
    if (!plan.inputs.empty() || plan.outputs.empty() || runs) continue;
    std::vector<RunValue> values;
    for (const int32_t output : plan.outputs)
      if (auto value = literal(plan.values[static_cast<size_t>(output)])) values.push_back(std::move(*value));
    if (values.size() == plan.outputs.size()) constants.emplace(plan.name, std::move(values));
  }
  return constants;
}

const pte::ExecutionPlan& method_named(const pte::Program& program, const std::string& name) {
  if (name.empty() && program.execution_plan.size() == 1) return program.execution_plan.front();
  std::string known;
  for (const pte::ExecutionPlan& plan : program.execution_plan) {
    if (plan.name == name) return plan;
    known += (known.empty() ? "" : ", ") + escaped(plan.name);
  }
  throw_usage(fmt::format("the program has no method '{}'; it has {}", escaped(name), known));
}

}  // namespace

double Timing::minimum() const { return runs.empty() ? 0 : *std::min_element(runs.begin(), runs.end()); }

double Timing::median() const {
  if (runs.empty()) return 0;
  auto sorted = runs;
  std::sort(sorted.begin(), sorted.end());
  const size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

struct PteRunner::Impl {
  RunnerOptions options;
  std::unique_ptr<ChildProcess> child;
  std::string path;  // of the loaded program; "" when none is
  MethodInfo method;
  ConstantMethods constants;
  Timing timing;

  ChildProcess& running_child() {
    if (child && child->alive()) return *child;
    const int64_t limit = options.memory_limit > 0 ? options.memory_limit : default_memory_limit();
    child = std::make_unique<ChildProcess>(runtime_directory() / "intaglio-runner", std::vector<std::string>{std::to_string(limit)});
    return *child;
  }

  Message ask(MessageWriter&& request, MessageKind expected) {
    const auto bytes = std::move(request).finish();
    ChildProcess& running = running_child();
    running.take_words();  // what was said about an earlier request
    Message answer = running.exchange(bytes, options.timeout);
    if (answer.kind == MessageKind::failed) throw_failure(answer);
    if (answer.kind != expected) throw_bug("intaglio-runner gave an answer of another kind than asked for");
    return answer;
  }

  [[noreturn]] void throw_failure(const Message& answer) {
    MessageReader reader(answer.payload);
    const uint32_t code = reader.get_u32();
    const std::string stage = reader.get_string();
    std::string detail = reader.get_string();
    if (detail.empty()) detail = child->take_words();
    const std::string message = fmt::format("the ExecuTorch runtime refused it while {}: {}{}", escaped(stage), describe_error_code(code),
                                            detail.empty() ? "" : ": " + escaped(detail, 400));
    if (lacks_backend(code) && !std::filesystem::exists("/proc/cpuinfo"))
      throw_machine("a delegate in the ExecuTorch runtime reads /proc/cpuinfo, which is not there: mount /proc, and it runs");
    if (is_lack_of_memory(code))
      throw_machine(
          fmt::format("{}; method '{}' plans {} for tensors as large as its dimensions allow: a smaller maximum of them needs less",
                      message, escaped(method.name), bytes_text(static_cast<uint64_t>(method.planned_bytes))));
    throw_bad_input(message);
  }

  void load(const std::filesystem::path& file, const std::string& method_name) try {
    path.clear();
    timing = {};
    MessageWriter request(MessageKind::load);
    request.put_string(file.string());
    request.put_string(method_name);
    request.put_u32(static_cast<uint32_t>(std::clamp(options.threads, 0, 1024)));
    const Message answer = ask(std::move(request), MessageKind::loaded);
    timing.load = MessageReader(answer.payload).get_double();
    path = escaped(file.string());
  } catch (const Error& error) { throw error.with_context(escaped(file.string())); }

  void check_inputs(std::span<const RunValue> inputs) const {
    if (inputs.size() != method.inputs.size())
      throw_bad_input(fmt::format("method '{}' takes {} inputs, {} were given", escaped(method.name), method.inputs.size(), inputs.size()));
    for (size_t i = 0; i < method.inputs.size(); ++i) {
      if (fits(method.inputs[i], inputs[i])) continue;
      const std::string expected = fmt::format("input {} of method '{}': {} expected", i, escaped(method.name), describe(method.inputs[i]));
      if (std::holds_alternative<std::monostate>(inputs[i]))
        throw_bad_input(expected + ", and the sample does not have it; add a 0-d array for a number");
      throw_bad_input(fmt::format("{}, {} given; convert the sample", expected, describe(inputs[i])));
    }
  }

  std::vector<RunValue> run(std::span<const RunValue> inputs, int repetitions, OutputRows rows) try {
    check_inputs(inputs);
    MessageWriter request(MessageKind::run);
    request.put_u32(static_cast<uint32_t>(std::max(repetitions, 0)));
    request.put_u8(static_cast<uint8_t>(rows));
    request.put_u32(static_cast<uint32_t>(inputs.size()));
    for (const auto& input : inputs) request.put_value(input);
    const Message answer = ask(std::move(request), MessageKind::outputs);
    MessageReader reader(answer.payload);
    timing.runs.clear();
    for (uint32_t left = reader.get_u32(); left > 0; --left) timing.runs.push_back(reader.get_double());
    std::vector<RunValue> outputs;
    for (uint32_t left = reader.get_u32(); left > 0; --left) outputs.push_back(reader.get_value());
    return outputs;
  } catch (const Error& error) { throw error.with_context(path); }
};

PteRunner::PteRunner(RunnerOptions options) : impl_(std::make_unique<Impl>()) { impl_->options = options; }
PteRunner::~PteRunner() = default;
PteRunner::PteRunner(PteRunner&&) noexcept = default;
PteRunner& PteRunner::operator=(PteRunner&&) noexcept = default;

const MethodInfo& PteRunner::method() const { return impl_->method; }
const ConstantMethods& PteRunner::constants() const { return impl_->constants; }
const Timing& PteRunner::timing() const { return impl_->timing; }

void PteRunner::start() { impl_->running_child(); }

const MethodInfo& PteRunner::load(const std::filesystem::path& path, const std::string& method) {
  const auto file = MappedFile::open(path);
  try {
    const pte::Program program = pte::verify_pte(file->bytes(), {.check_payload = impl_->options.check_payload}).program;
    impl_->method = method_info(method_named(program, method));
    impl_->constants = constant_methods(program);
  } catch (const Error& error) { throw error.with_context(escaped(path.string())); }
  impl_->load(path, impl_->method.name);
  return impl_->method;
}

std::vector<RunValue> PteRunner::run(std::span<const RunValue> inputs, int repetitions, OutputRows rows) {
  if (impl_->path.empty()) throw_bug("PteRunner::run before load");
  return impl_->run(inputs, repetitions, rows);
}

RunResult run_pte(const std::filesystem::path& path, std::span<const std::vector<RunValue>> samples, const RunOptions& options) {
  PteRunner runner(options.runner);
  RunResult result;
  result.method = runner.load(path, options.method);
  for (const auto& sample : samples) {
    result.outputs.push_back(runner.run(sample, options.repetitions));
    result.timings.push_back(runner.timing());
  }
  return result;
}

RunResult run_pte(const std::filesystem::path& path, std::span<const std::vector<Tensor>> samples, const RunOptions& options) {
  std::vector<std::vector<RunValue>> values;
  for (const auto& sample : samples) values.emplace_back(sample.begin(), sample.end());
  return run_pte(path, values, options);
}

}  // namespace intaglio::runtime
