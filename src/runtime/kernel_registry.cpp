#include "runtime/kernel_registry.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <unordered_set>

#include <intaglio/error.h>

#include "pte/kernel_table.h"
#include "pte/scalar_type.h"
#include "runtime/protocol.h"
#include "runtime/runtime.h"
#include "runtime/sdk/kernel_abi.h"

namespace intaglio::runtime {
namespace {

constexpr uint32_t gave_up = 0xffff;

template <typename Function>
void bind_symbol(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw_bad_input(fmt::format("libintaglio_runtime.so has no {}; reinstall Intaglio", name));
}

// Loaded once, never unloaded: kernels register themselves in it.
class Library {
 public:
  static const Library& get() {
    static const Library instance;
    return instance;
  }

  IntaglioRuntime calls{};
  std::unordered_set<std::string> names;

 private:
  Library() {
    const auto path = runtime_directory() / "libintaglio_runtime.so";
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) throw_bad_input(fmt::format("{}: {}; reinstall Intaglio", escaped(path.string()), escaped(dlerror())));
    bind_symbol(library, "intaglio_abi", calls.abi);
    bind_symbol(library, "intaglio_kernel_names", calls.kernel_names);
    bind_symbol(library, "intaglio_has_kernel", calls.has_kernel);
    bind_symbol(library, "intaglio_call_kernel", calls.call_kernel);
    if (calls.abi() != kernel_abi_version)
      throw_bad_input(fmt::format("{} belongs to another version; reinstall Intaglio", escaped(path.string())));
    std::vector<const char*> found(calls.kernel_names(nullptr, 0));
    found.resize(std::min(found.size(), calls.kernel_names(found.data(), found.size())));
    names.insert(found.begin(), found.end());
  }
};

bool is_list(ArgType type) {
  switch (type) {
    case ArgType::tensor_list:
    case ArgType::optional_tensor_list:
    case ArgType::integer_list:
    case ArgType::floating_list:
    case ArgType::boolean_list: return true;
    default: return false;
  }
}
bool is_tensor(ArgType type) {
  return type == ArgType::tensor || type == ArgType::optional_tensor || type == ArgType::tensor_list ||
         type == ArgType::optional_tensor_list;
}
// Types and memory formats go by their numbers.
bool is_integer(ArgType type) { return type == ArgType::integer || type == ArgType::scalar_type || type == ArgType::memory_format; }

// By registry key; null when nothing is known of it or it cannot be called from here.
const pte::RuntimeKernel* callable_kernel(std::string_view name) {
  const pte::RuntimeKernel* kernel = pte::find_runtime_kernel(name);
  return kernel != nullptr && !pte::outs_of(*kernel).empty() ? kernel : nullptr;
}

// The values of one call in the library's form, with everything they point to.
class Marshaller {
 public:
  explicit Marshaller(const pte::RuntimeKernel& kernel) : kernel_(kernel) {}

  void add(const ArgSchema& parameter, const KernelArgument& argument) {
    parameter_ = &parameter;
    if (std::holds_alternative<std::monostate>(argument)) {
      if (!parameter.optional) reject("a value");
      push(tag_none);
    } else if (is_tensor(parameter.type)) {
      add_tensors(argument);
    } else if (is_list(parameter.type)) {
      add_list(argument);
    } else {
      add_single(argument);
    }
  }

  void add_outs(std::span<Tensor> outs) {
    const std::span<const ArgSchema> parameters = pte::outs_of(kernel_);
    const bool as_list = is_list(parameters.front().type);
    if (!as_list && outs.size() != parameters.size())
      throw_bug(fmt::format("kernel {}: {} outs expected, {} given", kernel_.key, parameters.size(), outs.size()));
    first_out_ = tensors_.size();
    for (size_t i = 0; i < outs.size(); ++i) {
      parameter_ = &parameters[as_list ? 0 : i];
      if (!outs[i].defined() || !outs[i].is_contiguous()) reject("an allocated, contiguous tensor");
      tensors_.push_back(describe(outs[i], outs[i].numel() > 0 ? outs[i].mutable_raw() : &nothing_));
    }
    if (as_list) push(tag_tensor_list).count = outs.size();
    else
      for (size_t i = 0; i < outs.size(); ++i) push(tag_tensor);
  }

  // Pointers are set last: the vectors they point into have stopped growing.
  std::vector<IntaglioValue>& finish() {
    size_t next = 0;
    for (auto& value : values_) {
      if (value.tag == tag_tensor) value.items = &tensors_[next++];
      if (value.tag == tag_tensor_list || value.tag == tag_optional_tensors) {
        value.items = tensors_.data() + next;
        next += value.count;
      }
    }
    return values_;
  }

  void read_back_sizes(std::span<Tensor> outs) const {
    for (size_t i = 0; i < outs.size(); ++i) {
      const IntaglioTensor& written = tensors_[first_out_ + i];
      Sizes sizes(written.sizes, written.sizes + written.rank);
      if (sizes == outs[i].sizes()) continue;
      if (element_count(sizes) > outs[i].numel()) throw_bug(fmt::format("kernel {}: wrote more than its output holds", kernel_.key));
      outs[i] = outs[i].view_as(sizes, contiguous_strides(sizes), outs[i].storage_offset());
    }
  }

 private:
  struct Shape {
    std::vector<int32_t> sizes, strides;
    std::vector<uint8_t> dim_order;
  };

  [[noreturn]] void reject(std::string_view expected) const {
    throw_bug(fmt::format("kernel {}: argument {} must be {}", kernel_.key, parameter_->name, expected));
  }

  IntaglioValue& push(IntaglioTag tag) { return values_.emplace_back(IntaglioValue{tag, 0, 0, nullptr, 0}); }

  int32_t narrow(int64_t value) const {
    if (value > std::numeric_limits<int32_t>::max())
      throw_unsupported(
          fmt::format("kernel {}: a tensor with a size or stride of {}; ExecuTorch takes up to 2^31 - 1", kernel_.key, value));
    return static_cast<int32_t>(value);
  }

  IntaglioTensor describe(const Tensor& tensor, void* data) {
    const auto scalar_type = pte::kernel_scalar_type(tensor.dtype());
    if (!scalar_type) throw_unsupported(fmt::format("kernel {}: ExecuTorch has no {}", kernel_.key, name(tensor.dtype())));
    if (tensor.sizes().size() > maximum_rank)
      throw_unsupported(fmt::format("kernel {}: a tensor of {} dimensions; ExecuTorch takes 16", kernel_.key, tensor.rank()));
    Shape& shape = shapes_.emplace_back();
    for (int64_t size : tensor.sizes()) shape.sizes.push_back(narrow(size));
    for (int64_t stride : contiguous_strides(tensor.sizes())) shape.strides.push_back(narrow(stride));
    for (size_t i = 0; i < shape.sizes.size(); ++i) shape.dim_order.push_back(static_cast<uint8_t>(i));
    return {data, shape.sizes.data(), shape.dim_order.data(), shape.strides.data(), static_cast<int32_t>(tensor.rank()), *scalar_type};
  }

  void add_tensor(const Tensor& tensor) {
    if (!tensor.defined()) reject("a defined tensor");
    const Tensor& dense = kept_.emplace_back(tensor.contiguous());
    // Kernels read their arguments only, although the runtime's tensors know no const.
    void* data = dense.numel() > 0 ? const_cast<void*>(dense.raw()) : &nothing_;
    tensors_.push_back(describe(dense, data));
  }

  void add_tensors(const KernelArgument& argument) {
    const bool as_list = is_list(parameter_->type), optional_items = parameter_->type == ArgType::optional_tensor_list;
    if (auto* tensor = std::get_if<Tensor>(&argument); tensor && !as_list) {
      add_tensor(*tensor);
      push(tag_tensor);
    } else if (auto* list = std::get_if<std::vector<Tensor>>(&argument); list && as_list) {
      for (const auto& member : *list) add_tensor(member);
      push(optional_items ? tag_optional_tensors : tag_tensor_list).count = list->size();
    } else if (auto* items = std::get_if<std::vector<std::optional<Tensor>>>(&argument); items && optional_items) {
      for (const auto& member : *items) {
        if (member) add_tensor(*member);
        else tensors_.push_back({nullptr, nullptr, nullptr, nullptr, -1, 0});
      }
      push(tag_optional_tensors).count = items->size();
    } else {
      reject(as_list ? "a list of tensors" : "a tensor");
    }
  }

  void add_list(const KernelArgument& argument) {
    const auto fixed = static_cast<size_t>(parameter_->fixed_length);
    if (parameter_->type == ArgType::integer_list) {
      auto& items = integers_.emplace_back();
      if (auto* list = std::get_if<std::vector<int64_t>>(&argument)) items = *list;
      else if (auto* single = std::get_if<int64_t>(&argument); single && fixed > 0) items.assign(1, *single);
      else reject("a list of integers");
      if (items.size() == 1 && fixed > 1) items.assign(fixed, items[0]);
      set_items(push(tag_int_list), items.data(), items.size());
    } else if (auto* numbers = std::get_if<std::vector<double>>(&argument); numbers && parameter_->type == ArgType::floating_list) {
      set_items(push(tag_double_list), numbers->data(), numbers->size());
    } else if (auto* flags = std::get_if<std::vector<bool>>(&argument); flags && parameter_->type == ArgType::boolean_list) {
      auto& bytes = flags_.emplace_back(flags->begin(), flags->end());
      set_items(push(tag_bool_list), bytes.data(), bytes.size());
    } else {
      reject("a list of numbers of its kind");
    }
  }

  static void set_items(IntaglioValue& value, const void* items, size_t count) {
    value.items = items;
    value.count = count;
  }

  void add_single(const KernelArgument& argument) {
    const ArgType type = parameter_->type;
    const bool is_scalar = type == ArgType::scalar;
    if (auto* integer = std::get_if<int64_t>(&argument)) {
      if (type == ArgType::floating) push(tag_double).number = static_cast<double>(*integer);
      else if (is_integer(type) || is_scalar) push(tag_int).integer = *integer;
      else reject(type == ArgType::boolean ? "a bool" : "text");
    } else if (auto* number = std::get_if<double>(&argument)) {
      if (type != ArgType::floating && !is_scalar) reject("of another kind than a floating-point number");
      push(tag_double).number = *number;
    } else if (auto* flag = std::get_if<bool>(&argument)) {
      if (type != ArgType::boolean && !is_scalar) reject("of another kind than a bool");
      push(tag_bool).integer = *flag;
    } else if (auto* text = std::get_if<std::string>(&argument)) {
      if (type != ArgType::string) reject("of another kind than text");
      set_items(push(tag_string), text->data(), text->size());
    } else {
      reject("a single value");
    }
  }

  const pte::RuntimeKernel& kernel_;
  const ArgSchema* parameter_ = nullptr;
  std::vector<IntaglioValue> values_;
  std::vector<IntaglioTensor> tensors_;
  size_t first_out_ = 0;
  std::deque<Shape> shapes_;
  std::deque<Tensor> kept_;
  std::deque<std::vector<int64_t>> integers_;
  std::deque<std::vector<uint8_t>> flags_;
  int64_t nothing_ = 0;  // where tensors without elements point
};

int64_t first_rank(std::span<const KernelArgument> arguments) {
  for (const auto& argument : arguments) {
    if (auto* tensor = std::get_if<Tensor>(&argument)) return tensor->rank();
    if (auto* list = std::get_if<std::vector<Tensor>>(&argument); list && !list->empty()) return list->front().rank();
  }
  return 0;
}

// Some kernels index by `dim` before they check it.
void check_dimensions(const pte::RuntimeKernel& kernel, std::span<const KernelArgument> arguments) {
  const bool adds_one = kernel.key.starts_with("aten::unsqueeze_copy") || kernel.key.starts_with("aten::stack");
  const int64_t rank = std::max<int64_t>(first_rank(arguments) + (adds_one ? 1 : 0), 1);
  const auto check = [&](int64_t dim) {
    if (dim < -rank || dim >= rank) throw_unsupported(fmt::format("kernel {}: dimension {} of a tensor of {}", kernel.key, dim, rank));
  };
  const std::span<const ArgSchema> parameters = pte::inputs_of(kernel);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& parameter_name = parameters[i].name;
    if (parameter_name != "dim" && parameter_name != "axis" && parameter_name != "dims") continue;
    if (auto* dim = std::get_if<int64_t>(&arguments[i])) check(*dim);
    if (auto* dims = std::get_if<std::vector<int64_t>>(&arguments[i]))
      for (int64_t dim : *dims) check(dim);
  }
}

}  // namespace

bool has_kernel(std::string_view name) { return callable_kernel(name) != nullptr && Library::get().names.contains(std::string(name)); }

std::vector<std::string> registered_kernels() {
  std::vector<std::string> names(Library::get().names.begin(), Library::get().names.end());
  std::sort(names.begin(), names.end());
  return names;
}

void call_kernel(std::string_view name, std::span<const KernelArgument> arguments, std::span<Tensor> outs) {
  const pte::RuntimeKernel* kernel = callable_kernel(name);
  if (!kernel || !has_kernel(name)) throw_unsupported(fmt::format("the ExecuTorch runtime has no kernel {}", escaped(name)));
  const std::span<const ArgSchema> parameters = pte::inputs_of(*kernel);
  if (arguments.size() != parameters.size())
    throw_bug(fmt::format("kernel {}: {} arguments expected, {} given", name, parameters.size(), arguments.size()));
  Marshaller marshaller(*kernel);
  for (size_t i = 0; i < arguments.size(); ++i) marshaller.add(parameters[i], arguments[i]);
  check_dimensions(*kernel, arguments);
  marshaller.add_outs(outs);
  auto& values = marshaller.finish();

  char message[512];
  const size_t out_values = is_list(pte::outs_of(*kernel).front().type) ? 1 : outs.size();
  const uint32_t code =
      Library::get().calls.call_kernel(std::string(name).c_str(), values.data(), values.size(), out_values, message, sizeof message);
  if (code != 0)
    throw_unsupported(fmt::format("kernel {} refused the call: {}{}{}", name,
                                  code == gave_up ? "a failed check" : describe_error_code(code), message[0] == '\0' ? "" : ": ",
                                  escaped(message)));
  marshaller.read_back_sizes(outs);
}

}  // namespace intaglio::runtime
