#include "backends/exynos/handover/compiler.h"

#include <dlfcn.h>

#include <algorithm>

#include <fmt/format.h>
#include <intaglio/enn_compiler.h>
#include <intaglio/error.h>

#include "backends/exynos/preprocess.h"
#include "base/mapped_file.h"

namespace intaglio::exynos {
namespace {

// The library stays loaded: it may have started threads.
const IntaglioEnnCompiler& load(const std::filesystem::path& library) {
  const auto refuse = [&](std::string_view why) { throw_bad_input(fmt::format("{}: {}", escaped(library.string()), why)); };
  std::error_code error;
  // A bare name would be searched for elsewhere.
  void* handle = ::dlopen(std::filesystem::absolute(library, error).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) refuse(fmt::format("cannot be loaded: {}", escaped(::dlerror())));
  const auto entry = reinterpret_cast<const IntaglioEnnCompiler* (*)()>(::dlsym(handle, "intaglio_enn_compiler"));
  const IntaglioEnnCompiler* compiler = entry == nullptr ? nullptr : entry();
  if (compiler == nullptr) refuse("has no function intaglio_enn_compiler; see intaglio/enn_compiler.h");
  if (compiler->version != INTAGLIO_ENN_COMPILER_VERSION)
    refuse(fmt::format("is written for version {} of intaglio/enn_compiler.h; this program has version {}", compiler->version,
                       INTAGLIO_ENN_COMPILER_VERSION));
  return *compiler;
}

// One graph of the library's.
class Call {
 public:
  Call(const IntaglioEnnCompiler& compiler, const EnnGraph& graph, std::string library)
      : compiler_(compiler), graph_(graph), library_(std::move(library)) {
    const std::vector<std::byte> options = compile_options(graph.chipset);
    handle_ = compiler.create_graph(reinterpret_cast<const uint8_t*>(options.data()), options.size(), static_cast<int32_t>(graph.chipset));
    if (handle_ == nullptr) throw_unsupported(fmt::format("{}: has no graph for {}", library_, name(graph.chipset)));
  }
  ~Call() { compiler_.release_graph(handle_); }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Blob binary() {
    for (const EnnTensor& tensor : graph_.tensors) define(tensor);
    for (const EnnOp& op : graph_.ops) define(op);
    const std::vector<uint32_t> inputs = ids(graph_.inputs), outputs = ids(graph_.outputs);
    check(compiler_.set_graph_input_tensors(handle_, inputs.data(), inputs.size()), "the graph's inputs");
    check(compiler_.set_graph_output_tensors(handle_, outputs.data(), outputs.size()), "the graph's outputs");
    check(compiler_.finish_build_graph(handle_), "the graph");
    const uint8_t* bytes = nullptr;
    size_t count = 0;
    check(compiler_.compile(handle_, &bytes, &count), "the graph");
    if (bytes == nullptr || count == 0) throw_unsupported(fmt::format("{}: made no binary of the graph", library_));
    const auto made = std::as_bytes(std::span(bytes, count));
    return Blob(std::vector<std::byte>(made.begin(), made.end()));
  }

 private:
  void check(int result, const std::string& what) const {
    if (result == 0) return;
    const char* message = compiler_.error_message == nullptr ? nullptr : compiler_.error_message(handle_);
    throw_unsupported(fmt::format("{}: refuses {}: {}", library_, what, message == nullptr ? "no reason given" : escaped(message)));
  }

  std::vector<uint32_t> ids(const std::vector<uint32_t>& tensors) const {
    std::vector<uint32_t> result;
    for (const uint32_t tensor : tensors) result.push_back(ids_.at(tensor));
    return result;
  }

  void define(const EnnTensor& tensor) {
    const std::vector<uint32_t> dims(tensor.dims.begin(), tensor.dims.end());
    const std::string what = fmt::format("tensor '{}'", escaped(tensor.name));
    uint32_t id = 0;
    check(compiler_.define_tensor(handle_, tensor.name.c_str(), dims.data(), dims.size(), tensor.data_type.c_str(),
                                  std::string(tensor.layout()).c_str(), &id),
          what);
    ids_.push_back(id);
    if (tensor.data.defined()) {
      const Tensor data = tensor.data.for_one_use();
      check(compiler_.set_data_for_constant_tensor(handle_, id, data.raw(), data.nbytes()), what);
    }
    if (const auto& quantize = tensor.quantize)
      check(compiler_.set_quantize_param_for_tensor(handle_, id, quantize->type.c_str(), quantize->scales.data(),
                                                    quantize->zero_points.data(), quantize->scales.size()),
            what);
  }

  void define(const EnnOp& op) {
    const std::string what = fmt::format("{} '{}'", escaped(op.type), escaped(op.name));
    const std::vector<uint32_t> inputs = ids(op.inputs), outputs = ids(op.outputs);
    uint32_t id = 0;
    check(compiler_.define_op_node(handle_, op.name.c_str(), op.type.c_str(), inputs.data(), inputs.size(), outputs.data(), outputs.size(),
                                   &id),
          what);
    for (const EnnParam& param : op.params) add(id, param, what);
  }

  template <typename T>
  int add(uint32_t op, const EnnParam& param, IntaglioEnnType type, const std::vector<T>& values) const {
    return compiler_.add_op_parameter(handle_, op, param.name.c_str(), type, param.is_vector() ? 1 : 0, values.data(), values.size());
  }

  int add_integers(uint32_t op, const EnnParam& param, const std::vector<int64_t>& values) const {
    const std::string_view type = param.element_type();
    if (type == "UINT32") return add(op, param, INTAGLIO_ENN_UINT32, std::vector<uint32_t>(values.begin(), values.end()));
    if (type == "INT32") return add(op, param, INTAGLIO_ENN_INT32, std::vector<int32_t>(values.begin(), values.end()));
    if (type == "UINT64") return add(op, param, INTAGLIO_ENN_UINT64, std::vector<uint64_t>(values.begin(), values.end()));
    return add(op, param, INTAGLIO_ENN_INT64, values);
  }

  void add(uint32_t op, const EnnParam& param, const std::string& what) const {
    struct Add {
      const Call& call;
      uint32_t op;
      const EnnParam& param;
      int operator()(const std::string& text) const {
        return call.compiler_.add_op_parameter(call.handle_, op, param.name.c_str(), INTAGLIO_ENN_CHAR, 1, text.c_str(), text.size());
      }
      int operator()(bool flag) const { return call.add(op, param, INTAGLIO_ENN_BOOL, std::vector<uint8_t>{flag}); }
      int operator()(int64_t number) const { return call.add_integers(op, param, {number}); }
      int operator()(double number) const { return call.add(op, param, INTAGLIO_ENN_FLOAT64, std::vector<double>{number}); }
      int operator()(const std::vector<int64_t>& numbers) const { return call.add_integers(op, param, numbers); }
      int operator()(const std::vector<double>& numbers) const { return call.add(op, param, INTAGLIO_ENN_FLOAT64, numbers); }
    };
    check(std::visit(Add{*this, op, param}, param.value), fmt::format("{} of {}", param.name, what));
  }

  const IntaglioEnnCompiler& compiler_;
  const EnnGraph& graph_;
  std::string library_;
  void* handle_ = nullptr;
  std::vector<uint32_t> ids_;  // the library's
};

}  // namespace

Blob compile(const EnnGraph& graph, const std::filesystem::path& library) {
  return Call(load(library), graph, escaped(library.string())).binary();
}

Blob compiled_file(const std::filesystem::path& file) {
  const std::shared_ptr<MappedFile> mapped = MappedFile::open(file);
  const std::span<const std::byte> bytes = mapped->bytes();
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 4));
  if (bytes.empty() || start == "IEG1" || start.starts_with("PK"))
    throw_bad_input(
        fmt::format("{}: is {}, no compiled graph", escaped(file.string()), bytes.empty() ? "empty" : "a hand-over or an archive"));
  return Blob(Storage::mapped(mapped, bytes));
}

}  // namespace intaglio::exynos
