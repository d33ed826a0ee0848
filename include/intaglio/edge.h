// Lowering: exported program to edge dialect, delegates, and the ExecuTorch file.
#pragma once

#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include <intaglio/partitioner.h>
#include <intaglio/runtime_version.h>
#include <intaglio/warning.h>

#pragma GCC visibility push(default)

namespace intaglio {

struct LowerOptions {
  int threads = 0;  // for what is spread over threads; 0: one for each processor
  // Called after each named step with the program; for golden tests and `--dump`.
  std::function<void(std::string_view step, const ExportedProgram&)> observe;
  // Receives one line, naming the layer, for what runs otherwise than the program says.
  WarningSink warn;
};

// A method without inputs, whose results are known when the file is written: what a runner asks of a program.
using ConstantValue = std::variant<int64_t, double, bool, std::string>;
struct ConstantMethod {
  std::string name;
  std::vector<ConstantValue> values;  // one result each
};

struct ExecutorchOptions {
  int threads = 0;          // as LowerOptions::threads
  bool plan_inputs = true;  // memory for inputs and outputs is planned inside the program
  bool plan_outputs = true;
  // The oldest release that is to run the file: unsupported error for a kernel that it does not have. Partitioners have an
  // option of their own for the nodes of their delegates.
  RuntimeVersion runtime = newest_runtime;
  std::vector<ConstantMethod> constant_methods;
};

// What did not go to a delegate, and why.
struct LeftoverOp {
  std::string op;
  std::string layer;
  std::string source;  // file and line of the user's model
  std::string rule;    // of the backend asked last; "" when no backend was asked
  std::string node;    // its name in the lowered program
};

// A finished `.pte`, weights still in their storages.
class ExecutorchProgram {
 public:
  // `partitioners` check the payloads in the written file.
  ExecutorchProgram(Blob file, PartitionerList partitioners, RuntimeNeeds needs)
      : file_(std::move(file)), partitioners_(std::move(partitioners)), needs_(std::move(needs)) {}
  // Writes beside the target, verifies the whole file, renames.
  void save(const std::filesystem::path& path) const { save(path, {}); }
  // `inspect` sees the whole file before it takes the target's place; what it throws leaves the target as it was.
  void save(const std::filesystem::path& path, const std::function<void(const std::filesystem::path& written)>& inspect) const;
  std::vector<std::byte> bytes() const;
  // Of its kernels and delegates.
  const RuntimeNeeds& runtime_needs() const { return needs_; }

 private:
  Blob file_;
  PartitionerList partitioners_;
  RuntimeNeeds needs_;
};

// A program in the edge dialect with its delegates taken out.
struct EdgeMethod {
  std::string name;
  ExportedProgram program;
  std::vector<Delegate> delegates;  // node `executorch_call_delegate` refers to them by index
  std::vector<LeftoverOp> leftovers;
};

class EdgeProgram {
 public:
  std::vector<EdgeMethod> methods;
  PartitionerList partitioners;  // that made the delegates; they check the payloads in the written file
  ExecutorchProgram to_executorch(const ExecutorchOptions& options = {}) &&;
};

EdgeProgram to_edge_transform_and_lower(ExportedProgram program, const PartitionerList& partitioners, const LowerOptions& options = {});
// Several methods in one file, each lowered alike; names are unique.
EdgeProgram to_edge_transform_and_lower(std::vector<std::pair<std::string, ExportedProgram>> methods, const PartitionerList& partitioners,
                                        const LowerOptions& options = {});

}  // namespace intaglio

#pragma GCC visibility pop
