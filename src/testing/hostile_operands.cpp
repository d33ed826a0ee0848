#include "testing/hostile_operands.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "ir/check_arguments.h"
#include "ir/infer.h"

namespace intaglio::test {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool is_sanitized = true;
#elif defined(__has_feature)
constexpr bool is_sanitized = __has_feature(address_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif

constexpr int64_t far = std::numeric_limits<int64_t>::max();

// ---- what is drawn
class Draw {
 public:
  Draw(std::string_view op, uint64_t seed) : op_(Op::get(op)), random_(std::hash<std::string_view>()(op) ^ (seed * 0x9E3779B97F4A7C15u)) {
    rank_ = below(4) == 0 ? below(7) : 2 + below(3);
    wild_ = below(3) == 0;
  }

  // `infers`: the results are what inference makes of them.
  ExportedProgram program(bool infers) {
    std::vector<NamedArgument> arguments;
    for (const ArgSchema& formal : op_.schema()->arguments) {
      if (formal.default_text && below(3) > 0) continue;
      arguments.push_back({formal.name, argument(formal), formal.keyword_only ? ArgKind::keyword : ArgKind::positional});
    }
    Graph& graph = program_.graph();
    Node* node = &graph.insert_before(nullptr, op_, arguments, claimed_results(1 + below(3)), "", groups_);
    if (!infers) {
    } else if (const std::optional<std::vector<TensorMeta>> inferred = infer_outputs(*node)) {
      std::vector<OutputSpecification> results = results_of(*inferred);
      graph.erase(node);
      node = &graph.insert_before(nullptr, op_, std::move(arguments), std::move(results), "", groups_);
    }
    std::vector<Argument> outputs;
    for (Value* output : node->outputs()) {
      outputs.emplace_back(output);
      program_.output_specs.emplace_back();
    }
    graph.set_outputs(std::move(outputs));
    ResultKinds kinds{{}, node->output_groups()};
    for (const Value* output : node->outputs()) kinds.values.push_back(output->kind());
    if (infers) check_arguments(op_, node->arguments(), kinds);
    return std::move(program_);
  }

 private:
  uint64_t below(uint64_t count) { return std::uniform_int_distribution<uint64_t>(0, count - 1)(random_); }
  template <typename T, size_t count>
  T one_of(const T (&choices)[count]) {
    return choices[below(count)];
  }

  SymInt size() {
    if (!wild_ && below(8) > 0) return one_of<int64_t>({1, 2, 3, 4, 4, 4, 6, 8});
    if (below(12) == 0) {
      program_.range_constraints["s0"] = {2, 8};
      return SymInt(parse_sym_expr("Symbol('s0', positive=True, integer=True)"), "Symbol('s0', positive=True, integer=True)", 4);
    }
    return one_of<int64_t>({0, 1, 2, 3, 5, 7, 12, 1000, int64_t{1} << 16, int64_t{1} << 31});
  }
  SymSizes sizes() {
    const uint64_t rank = below(wild_ ? 2 : 6) == 0 ? below(7) : rank_;
    if (below(2) == 0 && last_.size() == rank) return last_;
    last_.clear();
    for (uint64_t i = 0; i < rank; ++i) last_.push_back(size());
    return last_;
  }
  DType dtype() {
    if (below(3) > 0) return first_dtype_;
    return first_dtype_ =
               one_of({DType::float32, DType::float32, DType::float32, DType::float32, DType::float64, DType::float16, DType::bfloat16,
                       DType::int64, DType::int32, DType::int8, DType::uint8, DType::boolean, DType::complex64, DType::complex128});
  }
  Value* tensor() {
    const std::string name = fmt::format("x{}", operands_++);
    TensorMeta meta = TensorMeta::contiguous(dtype(), sizes());
    if (below(6) == 0 && meta.is_static() && is_small(meta))
      return program_.add_constant(name, Tensor::zeros(meta.dtype, meta.static_sizes()));
    Value* input = program_.graph().add_input(program_.graph().inputs().size(), {meta, name});
    program_.input_specs.push_back({InputSpec::Kind::user_input, input, "", true});
    return input;
  }
  // A number that the program is given.
  Value* symbol(ValueKind kind) {
    std::optional<SymInt> expression;
    if (kind == ValueKind::sym_int) {
      program_.range_constraints["s1"] = {1, 8};
      expression = SymInt(parse_sym_expr("Symbol('s1', positive=True, integer=True)"), "Symbol('s1', positive=True, integer=True)", 2);
    }
    Value* input = program_.graph().add_input(program_.graph().inputs().size(), {{}, fmt::format("x{}", operands_++), kind, expression});
    program_.input_specs.push_back({InputSpec::Kind::user_input, input, "", true});
    return input;
  }
  Value* some_number() { return symbol(below(2) ? ValueKind::sym_int : ValueKind::sym_float); }
  std::vector<SymArg> symbols(const ArgSchema& formal) {
    return list<SymArg>(formal, [&] { return below(2) ? SymArg(symbol(ValueKind::sym_int)) : SymArg(integer()); });
  }
  static bool is_small(const TensorMeta& meta) {
    double count = 1;
    for (const SymInt& size : meta.sizes) count *= static_cast<double>(size.value());
    return count <= 4096;
  }

  int64_t integer() {
    if (!wild_ && below(6) > 0) return one_of<int64_t>({-2, -1, 0, 1, 1, 2, 2, 3, 4});
    return one_of<int64_t>(
        {-far - 1, -(int64_t{1} << 31), -9, -3, -1, 0, 1, 2, 3, 5, 8, 64, 4096, 1 << 20, int64_t{1} << 31, far - 1, far});
  }
  double real() {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return one_of({0.0, 0.5, 1.0, 1.0, 2.0, -1.0, 1e-300, 1e30, infinity, -infinity, std::nan("")});
  }
  uint64_t length(const ArgSchema& formal) {
    if (formal.fixed_length > 0 && below(6) > 0) return static_cast<uint64_t>(formal.fixed_length);
    return below(wild_ ? 2 : 4) == 0 ? below(8) : rank_;
  }
  template <typename T, typename Make>
  std::vector<T> list(const ArgSchema& formal, const Make& make) {
    std::vector<T> items;
    for (uint64_t i = length(formal); i > 0; --i) items.push_back(make());
    return items;
  }
  std::string text() {
    static constexpr std::string_view words[] = {"constant", "reflect",  "replicate", "circular", "sum",    "mean",  "add",
                                                 "multiply", "amax",     "valid",     "same",     "linear", "lower", "higher",
                                                 "fro",      "nuc",      "floor",     "trunc",    "none",   "tanh",  "xy",
                                                 "ij",       "backward", "ortho",     "forward",  "left",   ""};
    if (op_.base() != "einsum" || below(8) == 0) return std::string(one_of(words));
    std::string equation;
    for (uint64_t i = 1 + below(12); i > 0; --i) equation += "ijkab,->..."[below(12)];
    return below(2) ? equation
                    : std::string(one_of<std::string_view>({"ij,jk->ik", "bij,bjk->bik", "ii->i", "ij->", "i,j->ij", "...ij,jk"}));
  }

  Argument argument(const ArgSchema& formal) {
    const bool may_be_none = formal.optional || formal.type == ArgType::optional_tensor;
    if (may_be_none && below(3) == 0) return {};
    switch (formal.type) {
      case ArgType::tensor:
      case ArgType::optional_tensor:
        if (below(24) == 0) return below(2) ? Argument(real()) : Argument(some_number());
        return tensor();
      case ArgType::tensor_list: return list<Value*>({.fixed_length = static_cast<int>(1 + below(3))}, [&] { return tensor(); });
      case ArgType::optional_tensor_list: return list<Value*>(formal, [&] { return below(3) == 0 ? nullptr : tensor(); });
      case ArgType::integer: return below(16) == 0 ? Argument(symbol(ValueKind::sym_int)) : Argument(integer());
      case ArgType::integer_list:
        if (below(8) == 0) return symbols(formal);
        return list<int64_t>(formal, [&] { return integer(); });
      case ArgType::floating: return below(16) == 0 ? Argument(some_number()) : Argument(real());
      case ArgType::floating_list: return list<double>(formal, [&] { return real(); });
      case ArgType::boolean: return below(2) == 0;
      case ArgType::boolean_list: return list<bool>(formal, [&] { return below(2) == 0; });
      case ArgType::scalar:
        if (below(16) == 0) return some_number();
        return below(2) ? Argument(integer()) : Argument(real());
      case ArgType::scalar_list: return list<double>(formal, [&] { return real(); });
      case ArgType::string: return text();
      case ArgType::string_list: return list<std::string>(formal, [&] { return text(); });
      case ArgType::scalar_type: return dtype();
      case ArgType::memory_format: return one_of({MemoryFormat::contiguous, MemoryFormat::channels_last, MemoryFormat::preserve});
      case ArgType::layout: return Layout::strided;
      case ArgType::device: return Device();
      default: return {};
    }
  }

  // What the file says of the results, list returns with `count` entries.
  std::vector<OutputSpecification> claimed_results(uint64_t count) {
    std::vector<OutputSpecification> results;
    for (const ReturnSchema& returned : op_.schema()->returns) {
      const bool is_list = returned.type == ArgType::tensor_list;
      groups_.push_back({is_list, is_list ? count : 1});
      for (uint64_t i = 0; i < groups_.back().count; ++i) results.push_back(result(returned.type));
    }
    return results;
  }
  OutputSpecification result(ArgType type) {
    OutputSpecification claimed{TensorMeta::contiguous(dtype(), sizes())};
    if (type == ArgType::integer || type == ArgType::scalar) claimed = {{}, "", ValueKind::sym_int, SymInt(integer())};
    else if (type == ArgType::floating) claimed = {{}, "", ValueKind::sym_float};
    else if (type == ArgType::boolean) claimed = {{}, "", ValueKind::sym_bool};
    return claimed;
  }
  std::vector<OutputSpecification> results_of(const std::vector<TensorMeta>& inferred) {
    groups_.clear();
    const bool is_list = op_.schema()->returns.size() == 1 && op_.schema()->returns[0].type == ArgType::tensor_list;
    std::vector<OutputSpecification> results = claimed_results(inferred.size());
    if (!is_list && results.size() != inferred.size()) throw_bad_input("another number of results");
    for (size_t i = 0; i < inferred.size(); ++i)
      if (results[i].kind == ValueKind::tensor) results[i].meta = inferred[i];
    return results;
  }

  Op op_;
  std::mt19937_64 random_;
  uint64_t rank_ = 0, operands_ = 0;
  bool wild_ = false;  // far numbers everywhere, not here and there
  SymSizes last_;
  DType first_dtype_ = DType::float32;
  std::vector<Node::OutputGroup> groups_;
  ExportedProgram program_;
};

// ---- children
// What a child says of the draw that it is at; the parent reads it when the child is gone.
struct Progress {
  uint64_t op, draw;
  size_t findings;  // bytes in use
  char text[1 << 20];
};

double processor_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}
constexpr double most_seconds = is_sanitized ? 20 : 2;

std::string text_of(std::string_view op, uint64_t draw) {
  for (const bool infers : {true, false}) {
    try {
      return to_string(Draw(op, draw).program(infers));
    } catch (const std::exception&) {}
  }
  return "no program";
}

// Empty when all is well.
std::string outcome(std::string_view op, uint64_t draw, const HostileWork& work) {
  const double started = processor_seconds();
  std::string bad;
  try {
    ExportedProgram program = hostile_program(op, draw);
    work(program);
  } catch (const Error& error) {
    const bool is_refusal = error.kind() == ErrorKind::bad_input || error.kind() == ErrorKind::unsupported;
    const std::string_view message = error.what();
    if (!is_refusal) bad = fmt::format("an error of another kind: {}", message);
    else if (message.size() > 4000 || message.find('\n') != message.npos) bad = fmt::format("not one line: {}", message);
  } catch (const std::exception& error) { bad = fmt::format("{}", error.what()); }
  const double seconds = processor_seconds() - started;
  if (seconds > most_seconds) bad += fmt::format("{:.1f} seconds", seconds);
  return bad;
}

void limit(double seconds) {
  rlimit time{};
  getrlimit(RLIMIT_CPU, &time);
  time.rlim_cur = static_cast<rlim_t>(seconds);
  setrlimit(RLIMIT_CPU, &time);
}

[[noreturn]] void run_child(const std::vector<std::string_view>& operators, uint64_t draws, const HostileWork& work, Progress& progress) {
  if (!is_sanitized) {
    const rlimit memory{rlim_t{4} << 30, rlim_t{4} << 30};
    setrlimit(RLIMIT_AS, &memory);
  }
  const rlimit core{0, 0};
  setrlimit(RLIMIT_CORE, &core);
  for (; progress.op < operators.size(); ++progress.op, progress.draw = 0) {
    const bool has_schema = Op::get(operators[progress.op]).schema() != nullptr;  // Python's functions on sizes have none
    for (; has_schema && progress.draw < draws; ++progress.draw) {
      limit(processor_seconds() + 2 * most_seconds + 1);
      const std::string_view op = operators[progress.op];
      const std::string bad = outcome(op, progress.draw, work);
      if (bad.empty()) continue;
      const std::string line = fmt::format("{}/{}: {}\n{}\n", op, progress.draw, bad, text_of(op, progress.draw));
      if (progress.findings + line.size() >= sizeof progress.text) _exit(0);
      std::memcpy(progress.text + progress.findings, line.data(), line.size());
      progress.findings += line.size();
      progress.draw = draws;  // one finding of an operator is enough
    }
  }
  _exit(0);
}

}  // namespace

ExportedProgram hostile_program(std::string_view op, uint64_t draw) { return Draw(op, draw).program(true); }

std::string hostile_findings(const std::vector<std::string_view>& operators, uint64_t draws, const HostileWork& work) {
  if (const char* one = std::getenv("INTAGLIO_DRAW")) {  // in this process, for a debugger
    const std::string_view text = one;
    const std::string_view op = text.substr(0, text.find('/'));
    if (std::ranges::find(operators, op) == operators.end()) return "";
    return outcome(op, std::stoull(std::string(text.substr(op.size() + 1))), work);
  }
  auto& progress = *static_cast<Progress*>(mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::string findings;
  while (progress.op < operators.size()) {
    const pid_t child = fork();
    if (child == 0) run_child(operators, draws, work, progress);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0) break;
    const std::string_view op = operators[progress.op];
    const std::string end =
        WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("status {}", WEXITSTATUS(status));
    findings += fmt::format("{}/{}: {}\n{}\n", op, progress.draw, end, text_of(op, progress.draw));
    ++progress.op;
    progress.draw = 0;
  }
  findings.append(progress.text, progress.findings);
  munmap(&progress, sizeof(Progress));
  return findings;
}

uint64_t hostile_draws(uint64_t quick, uint64_t nightly) {
  return std::getenv("INTAGLIO_NIGHTLY") == nullptr ? quick : is_sanitized ? nightly / 20 : nightly;
}

}  // namespace intaglio::test
