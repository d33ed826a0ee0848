#include "runtime/sdk/program.h"

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include <intaglio/error.h>

#include "pte/scalar_type.h"

// The wheel ships the thread pool's library without its header.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace intaglio::runtime {
namespace {

namespace et = executorch::runtime;
using executorch::aten::ScalarType;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

void check(et::Error error, const char* stage, std::string detail = {}) {
  if (error != et::Error::Ok) throw RuntimeFailure{static_cast<uint32_t>(error), stage, std::move(detail)};
}

template <typename T>
T value_of(et::Result<T> result, const char* stage, std::string detail = {}) {
  check(result.ok() ? et::Error::Ok : result.error(), stage, std::move(detail));
  return std::move(*result);
}

// A runtime tensor over our elements, laid out in the order the method wants.
struct BoundInput {
  Tensor elements;
  TensorPtr tensor;
  std::string text;
  std::optional<executorch::aten::ArrayRef<char>> text_view;
};

void bind_tensor(BoundInput& bound, const Tensor& source, std::span<const uint8_t> dim_order) {
  std::vector<executorch::aten::SizesType> sizes(source.sizes().begin(), source.sizes().end());
  std::vector<executorch::aten::DimOrderType> order;
  std::vector<executorch::aten::StridesType> strides;
  bound.elements = source.contiguous();
  if (dim_order.size() == sizes.size() && !sizes.empty()) {
    order.assign(dim_order.begin(), dim_order.end());
    bound.elements = source.permuted(std::vector<int64_t>(order.begin(), order.end())).contiguous();
    const auto wide = strides_of_dim_order(source.sizes(), dim_order);
    strides.assign(wide.begin(), wide.end());
  }
  const auto scalar_type = static_cast<ScalarType>(*pte::kernel_scalar_type(source.dtype()));
  // Only a copy of the data pointer is taken; the runtime never writes to inputs it was not told to mutate.
  void* data = bound.elements.numel() > 0 ? bound.elements.mutable_raw() : &bound;
  bound.tensor = executorch::extension::make_tensor_ptr(std::move(sizes), data, std::move(order), std::move(strides), scalar_type);
}

et::EValue bind_value(BoundInput& bound, const RunValue& value, std::span<const uint8_t> dim_order) {
  if (auto* tensor = std::get_if<Tensor>(&value)) {
    bind_tensor(bound, *tensor, dim_order);
    return et::EValue(*bound.tensor);
  }
  if (auto* integer = std::get_if<int64_t>(&value)) return et::EValue(*integer);
  if (auto* floating = std::get_if<double>(&value)) return et::EValue(*floating);
  if (auto* boolean = std::get_if<bool>(&value)) return et::EValue(*boolean);
  if (auto* text = std::get_if<std::string>(&value)) {
    bound.text = *text;
    bound.text_view.emplace(bound.text.data(), bound.text.size());
    return et::EValue(&*bound.text_view);
  }
  return {};
}

Tensor copied(const executorch::aten::Tensor& source, OutputRows rows) {
  const auto dtype = pte::dtype_of_scalar_type(static_cast<int>(source.scalar_type()));
  if (!dtype) throw RuntimeFailure{0x13, "reading an output", "its element type is not known to Intaglio"};
  Sizes sizes(source.sizes().begin(), source.sizes().end());
  std::vector<uint8_t> order(source.dim_order().begin(), source.dim_order().end());
  if (order.size() != sizes.size()) throw RuntimeFailure{0x23, "reading an output", "its dim order is damaged"};
  size_t skipped = 0;
  if (rows == OutputRows::last && sizes.size() == 3 && sizes[0] == 1 && sizes[1] > 1 && std::is_sorted(order.begin(), order.end())) {
    skipped = static_cast<size_t>((sizes[1] - 1) * sizes[2]) * item_size(*dtype);
    sizes[1] = 1;
  }
  Tensor stored = Tensor::empty_strided(*dtype, sizes, strides_of_dim_order(sizes, order));
  if (stored.numel() > 0) {
    if (!source.const_data_ptr()) throw RuntimeFailure{0x02, "reading an output", "it has no memory"};
    std::memcpy(stored.mutable_raw(), static_cast<const std::byte*>(source.const_data_ptr()) + skipped, stored.nbytes());
  }
  return stored.contiguous();
}

RunValue copied(const et::EValue& value, OutputRows rows) {
  if (value.isTensor()) return copied(value.toTensor(), rows);
  if (value.isInt()) return value.toInt();
  if (value.isDouble()) return value.toDouble();
  if (value.isBool()) return value.toBool();
  if (value.isString()) {
    const auto view = value.toString();
    return std::string(view.data(), view.size());
  }
  if (value.isNone()) return std::monostate{};
  throw RuntimeFailure{0x10, "reading an output", "lists as outputs are not supported"};
}

}  // namespace

struct LoadedProgram::Impl {
  std::unique_ptr<Module> module;
  std::string method;
  std::vector<std::vector<uint8_t>> dim_orders;  // per input; empty for what is not a tensor
  std::vector<BoundInput> unplanned;             // outputs the program leaves to its caller

  void read_inputs(const et::MethodMeta& meta) {
    dim_orders.assign(meta.num_inputs(), {});
    for (size_t i = 0; i < dim_orders.size(); ++i) {
      if (value_of(meta.input_tag(i), "reading the method's inputs") != et::Tag::Tensor) continue;
      const auto info = value_of(meta.input_tensor_meta(i), "reading the method's inputs");
      dim_orders[i].assign(info.dim_order().begin(), info.dim_order().end());
    }
  }

  // Without memory for its outputs a program would write to address zero.
  void provide_outputs(const et::MethodMeta& meta) {
    unplanned.clear();
    unplanned.resize(meta.num_outputs());
    for (size_t i = 0; i < unplanned.size(); ++i) {
      if (value_of(meta.output_tag(i), "reading the method's outputs") != et::Tag::Tensor) continue;
      const auto info = value_of(meta.output_tensor_meta(i), "reading the method's outputs");
      if (info.is_memory_planned()) continue;
      const auto dtype = pte::dtype_of_scalar_type(static_cast<int>(info.scalar_type()));
      if (!dtype) throw RuntimeFailure{0x13, "reading the method's outputs", "unknown element type"};
      const Tensor memory = Tensor::zeros(*dtype, Sizes(info.sizes().begin(), info.sizes().end()));
      bind_tensor(unplanned[i], memory, {info.dim_order().data(), info.dim_order().size()});
      check(module->set_output(method, et::EValue(*unplanned[i].tensor), i), "providing memory for an output");
    }
  }
};

LoadedProgram::LoadedProgram() : impl_(std::make_unique<Impl>()) {}
LoadedProgram::~LoadedProgram() = default;

double LoadedProgram::load(const std::string& path, const std::string& method, uint32_t threads) {
  *impl_ = {};
  impl_->method = method;
  if (threads > 0) {
    auto* pool = executorch::extension::threadpool::get_threadpool();
    if (!pool || (pool->get_thread_count() != threads && !pool->_unsafe_reset_threadpool(threads)))
      throw RuntimeFailure{0x25, "setting the number of threads", {}};
  }
  const auto start = Clock::now();
  impl_->module = std::make_unique<Module>(path, Module::LoadMode::Mmap);
  check(impl_->module->load(et::Program::Verification::InternalConsistency), "loading the program");
  const auto meta = value_of(impl_->module->method_meta(method), "finding the method");
  impl_->read_inputs(meta);
  check(impl_->module->load_method(method), "loading the method");
  const double milliseconds = milliseconds_since(start);
  impl_->provide_outputs(meta);
  return milliseconds;
}

std::vector<RunValue> LoadedProgram::run(const std::vector<RunValue>& inputs, uint32_t repetitions, OutputRows rows,
                                         std::vector<double>& milliseconds) {
  if (!impl_->module) throw RuntimeFailure{0x02, "running", "no program is loaded"};
  if (inputs.size() != impl_->dim_orders.size()) throw RuntimeFailure{0x12, "running", "wrong number of inputs"};
  std::vector<BoundInput> bound(inputs.size());
  std::vector<et::EValue> values;
  for (size_t i = 0; i < inputs.size(); ++i) values.push_back(bind_value(bound[i], inputs[i], impl_->dim_orders[i]));

  std::vector<RunValue> outputs;
  for (uint32_t run = 0; run <= repetitions; ++run) {
    const auto start = Clock::now();
    auto results = impl_->module->execute(impl_->method, values);
    milliseconds.push_back(milliseconds_since(start));
    check(results.ok() ? et::Error::Ok : results.error(), "running");
    if (run > 0) continue;
    for (const auto& result : *results) outputs.push_back(copied(result, rows));
  }
  return outputs;
}

}  // namespace intaglio::runtime
