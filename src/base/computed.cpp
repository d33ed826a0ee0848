#include "base/computed.h"

#include <mutex>

namespace intaglio {
namespace {

constexpr size_t large = 1 << 20;  // bytes; below that the second computation costs more than they do

// Whether to compute when the result is read. What a computed source makes is read when the source is, which is computed once then.
bool is_worth_waiting(const Tensor& source, const TensorForm& form) {
  if (source.storage()->is_computed()) return true;
  const size_t bytes = static_cast<size_t>(element_count(form.sizes)) * item_size(form.dtype);
  if (bytes < large || source.storage()->writable() != nullptr) return false;
  source.as_it_lies().raw();  // a damaged record is told now
  return true;
}

std::shared_ptr<Storage> storage_of(const Tensor& made) {
  const bool whole = made.storage_offset() == 0 && made.nbytes() == made.storage()->size();
  return whole ? made.storage() : made.clone().storage();
}

Tensor over(std::shared_ptr<Storage> storage, const TensorForm& form) {
  return Tensor(form.dtype, form.sizes, contiguous_strides(form.sizes), 0, std::move(storage));
}

struct Together {
  std::mutex mutex;
  std::vector<std::shared_ptr<Storage>> kept;
};

}  // namespace

Tensor computed_from(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& source)> compute) {
  const TensorForm form{dtype, std::move(sizes)};
  return computed_from(source, {form}, [compute = std::move(compute)](const Tensor& s) { return std::vector{compute(s)}; })[0];
}

std::vector<Tensor> computed_from(const Tensor& source, const std::vector<TensorForm>& forms,
                                  std::function<std::vector<Tensor>(const Tensor& source)> compute) {
  std::vector<Tensor> results;
  if (!is_worth_waiting(source, forms.at(0))) {
    for (const Tensor& made : compute(source)) results.push_back(made.contiguous());
    return results;
  }
  const auto together = std::make_shared<Together>();
  together->kept.resize(forms.size());
  for (size_t i = 0; i < forms.size(); ++i) {
    const size_t bytes = static_cast<size_t>(element_count(forms[i].sizes)) * item_size(forms[i].dtype);
    results.push_back(over(Storage::computed(bytes,
                                             [source, compute, together, i] {
                                               const std::lock_guard lock(together->mutex);
                                               if (auto kept = std::move(together->kept[i])) return kept;
                                               const std::vector<Tensor> made = compute(source);
                                               for (size_t other = 1; other < made.size(); ++other)
                                                 if (other != i) together->kept[other] = storage_of(made[other].contiguous());
                                               return storage_of(made.at(i).contiguous());
                                             }),
                           forms[i]));
  }
  return results;
}

}  // namespace intaglio
