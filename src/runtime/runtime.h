// Runs `.pte` programs on the ExecuTorch runtime, in a child process.
//
// The runtime aborts on some damaged programs and cannot be stopped from inside, so it never runs in our process: a
// small program, `intaglio-runner`, is spawned (never forked), gets tensors through a socket, and is killed when it
// exceeds its time. What goes wrong there becomes an Error here. No ExecuTorch header is needed to use this file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <intaglio/tensor.h>

namespace intaglio::runtime {

// An input or output of a method. monostate is None.
using RunValue = std::variant<std::monostate, Tensor, int64_t, double, bool, std::string>;

enum class ValueKind : uint8_t { none, tensor, integer, floating, boolean, string, other };

// What a method takes or gives at one position.
struct ValueInfo {
  ValueKind kind = ValueKind::none;
  DType dtype = DType::float32;  // of a tensor
  Sizes sizes;                   // of a tensor; the upper bound when `dynamic`
  bool dynamic = false;
  std::string text;  // what the export fixed a string to: the method takes no other
};

struct MethodInfo {
  std::string name;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::vector<std::string> delegates;  // backend ids, one per delegate call site in the plan
  std::vector<std::string> operators;  // kernels the runtime must have, `aten::add.out`
  int64_t planned_bytes = 0;           // memory planned for activations
};

// What comes back of outputs [1, rows, width]: a language model's scores are large, and often only the last ones are wanted.
enum class OutputRows : uint8_t { all, last };

// Methods without inputs that say facts of the program: `get_max_seq_len`. Their outputs stand in the file.
using ConstantMethods = std::map<std::string, std::vector<RunValue>>;

struct RunnerOptions {
  int threads = 0;                             // of the runtime's pool; 0: its own choice (the number of cores)
  std::chrono::milliseconds timeout{300'000};  // for one request: load, or one run with its repetitions
  int64_t memory_limit = 0;                    // address space of the child in bytes; 0: twice the machine's memory
  std::function<void(std::string_view backend_id, std::span<const std::byte> payload)> check_payload = {};  // of the verification
};

// Wall-clock milliseconds inside the child: the method's execution, inputs already in place, outputs not yet copied.
struct Timing {
  double load = 0;
  std::vector<double> runs;  // every repetition
  double median() const;
  double minimum() const;
};

// One child that serves any number of programs and samples. Not thread-safe. After an error the child is gone or
// clean, and the next `load` starts afresh.
class PteRunner {
 public:
  explicit PteRunner(RunnerOptions options = {});
  ~PteRunner();
  PteRunner(PteRunner&&) noexcept;
  PteRunner& operator=(PteRunner&&) noexcept;

  // Starts the child now rather than at the first `load`: what keeps it from starting is no fault of a file.
  void start();

  // Verifies the file here (pte/verifier.h), then loads one method of it in the child. `method` may be empty when there
  // is only one.
  const MethodInfo& load(const std::filesystem::path& path, const std::string& method = "forward");

  // Inputs are checked against the method (count, kind, dtype, sizes). Outputs are contiguous and those of the first
  // run; `repetitions` more runs on the same inputs are only timed.
  // Buffers that the method writes to keep their contents from run to run, until the next `load`.
  std::vector<RunValue> run(std::span<const RunValue> inputs, int repetitions = 0, OutputRows rows = OutputRows::all);

  const MethodInfo& method() const;
  const ConstantMethods& constants() const;  // of the loaded program
  const Timing& timing() const;              // of the last load and the last run

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct RunOptions {
  std::string method = "forward";
  RunnerOptions runner;
  int repetitions = 0;
};

struct RunResult {
  std::vector<std::vector<RunValue>> outputs;  // per sample
  std::vector<Timing> timings;                 // per sample
  MethodInfo method;
};

RunResult run_pte(const std::filesystem::path& path, std::span<const std::vector<RunValue>> samples, const RunOptions& options = {});
// The usual case: every input a tensor.
RunResult run_pte(const std::filesystem::path& path, std::span<const std::vector<Tensor>> samples, const RunOptions& options = {});

// Words for one of the runtime's error codes: "operator missing (0x14)".
std::string describe_error_code(uint32_t code);
bool is_lack_of_memory(uint32_t code);
bool lacks_backend(uint32_t code);  // or the backend could not start on this machine

// Folder that holds intaglio-runner and libintaglio_runtime.so: $INTAGLIO_RUNTIME_DIR, or beside this program
// (installed: ../lib/intaglio, ../libexec/intaglio; build tree: lib/intaglio). Bad-input error when it is nowhere.
std::filesystem::path runtime_directory();

}  // namespace intaglio::runtime
