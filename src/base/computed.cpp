#include "base/computed.h"

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/parts.h"

namespace intaglio {
namespace {

constexpr size_t large = 1 << 20;  // bytes; below that the second computation costs more than they do

size_t bytes_of(const TensorForm& form) { return static_cast<size_t>(element_count(form.sizes)) * item_size(form.dtype); }

// Whether to compute when the result is read. What a computed source makes is read when the source is, which is computed once then.
bool is_worth_waiting(const Tensor& source, const TensorForm& form, bool is_by_rows) {
  if (source.storage()->is_computed()) return true;
  if (bytes_of(form) < large || source.storage()->writable() != nullptr) return false;
  // A damaged record is told now. One of several parts is long: it is checked when it is read, where other threads read others.
  if (!is_by_rows) source.as_it_lies().raw();
  return true;
}

std::shared_ptr<Storage> storage_of(const Tensor& made) {
  const bool whole = made.storage_offset() == 0 && made.nbytes() == made.storage()->size();
  return whole ? made.storage() : made.clone().storage();
}

Tensor over(std::shared_ptr<Storage> storage, const TensorForm& form) {
  return Tensor(form.dtype, form.sizes, contiguous_strides(form.sizes), 0, std::move(storage));
}

Tensor first_rows(const Tensor& source, int64_t count) {
  Sizes sizes = source.sizes();
  sizes[0] = std::min(sizes[0], count);
  const auto end = static_cast<size_t>(source.storage_offset() + element_count(sizes)) * item_size(source.dtype());
  const Tensor rows(source.dtype(), sizes, source.strides(), source.storage_offset(), source.storage()->start(end));
  return reinterpret_cast<uintptr_t>(rows.raw()) % item_size(rows.dtype()) == 0 ? rows : rows.clone();
}

using Results = std::vector<std::shared_ptr<Storage>>;

// Several results of one computation. Those but for the first are kept until they are read.
struct Computation {
  Tensor source;
  std::vector<TensorForm> forms;
  RowComputation compute;
  bool is_by_rows = false;  // over the source in parts
  std::mutex mutex = {};
  Results kept = {};

  std::shared_ptr<Storage> result(size_t index) {
    const std::lock_guard lock(mutex);
    if (!kept.empty() && kept[index]) return std::move(kept[index]);
    kept = is_by_rows && index > 0 ? over_rows({}) : whole();
    std::shared_ptr<Storage> wanted = std::move(kept[index]);
    kept[0].reset();
    return wanted;
  }
  void stream(const Storage::Sink& sink) {
    const std::lock_guard lock(mutex);
    kept = over_rows(sink);
  }
  // Of the first rows alone.
  std::shared_ptr<Storage> start(size_t index, size_t bytes) const {
    const size_t row = std::max<size_t>(1, bytes_of(forms[index]) / static_cast<size_t>(source.size(0)));
    return storage_of(compute(first_rows(source, static_cast<int64_t>(bytes / row) + 1), 0)[index].contiguous());
  }

 private:
  Results whole() const {
    Results results;
    for (const Tensor& made : compute(source, 0)) results.push_back(storage_of(made.contiguous()));
    return results;
  }
  // Part by part; the sink gets the rows of the first result.
  Results over_rows(const Storage::Sink& sink) const {
    Results results(forms.size());
    for (size_t i = 1; i < forms.size(); ++i) results[i] = Storage::allocate(bytes_of(forms[i]));
    for_each_part(source, [&](int64_t first, const Tensor& rows) {
      const std::vector<Tensor> made = compute(rows, first);
      for (size_t i = 0; i < forms.size(); ++i) {
        const Tensor part = made[i].contiguous();
        const auto* bytes = static_cast<const std::byte*>(part.raw());
        if (i > 0)
          std::memcpy(results[i]->writable() + static_cast<size_t>(first) * part.nbytes() / static_cast<size_t>(rows.size(0)), bytes,
                      part.nbytes());
        else if (sink) sink({bytes, part.nbytes()});
      }
    });
    return results;
  }
};

std::vector<Tensor> computed(const Tensor& source, const std::vector<TensorForm>& forms, RowComputation compute, bool is_by_rows) {
  std::vector<Tensor> results;
  const bool has_start = is_by_rows && source.rank() > 0 && source.numel() > 0 && source.is_contiguous() && source.storage()->has_start();
  is_by_rows = is_by_rows && is_read_in_parts(source);
  if (!is_worth_waiting(source, forms.at(0), is_by_rows)) {
    for (const Tensor& made : compute(source, 0)) results.push_back(made.contiguous());
    return results;
  }
  // Braces: clang 14 takes no parentheses for an aggregate.
  const std::shared_ptr<Computation> together(new Computation{source, forms, std::move(compute), is_by_rows});
  for (size_t i = 0; i < forms.size(); ++i) {
    const size_t bytes = bytes_of(forms[i]);
    const auto result = [together, i] { return together->result(i); };
    const bool is_streamed = together->is_by_rows && i == 0;
    results.push_back(over(is_streamed ? Storage::streamed(bytes, result, bytes / static_cast<size_t>(source.size(0)),
                                                           [together](const Storage::Sink& sink) { together->stream(sink); })
                                       : Storage::computed(bytes, result),
                           forms[i]));
    if (!has_start || bytes == 0) continue;
    results.back().storage()->starts_with([together, i](size_t start) { return together->start(i, start); });
    if (const auto checksum = together->source.storage()->source_checksum()) results.back().storage()->came_with(*checksum);
  }
  return results;
}

}  // namespace

Tensor computed_from(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& source)> compute) {
  return computed_from(source, {{dtype, std::move(sizes)}},
                       [compute = std::move(compute)](const Tensor& s) { return std::vector{compute(s)}; })[0];
}

std::vector<Tensor> computed_from(const Tensor& source, const std::vector<TensorForm>& forms,
                                  std::function<std::vector<Tensor>(const Tensor& source)> compute) {
  return computed(source, forms, [compute = std::move(compute)](const Tensor& s, int64_t) { return compute(s); }, false);
}

Tensor computed_by_rows(const Tensor& source, DType dtype, Sizes sizes, std::function<Tensor(const Tensor& rows)> compute) {
  return computed_by_rows(source, {{dtype, std::move(sizes)}},
                          [compute = std::move(compute)](const Tensor& rows, int64_t) { return std::vector{compute(rows)}; })[0];
}

std::vector<Tensor> computed_by_rows(const Tensor& source, const std::vector<TensorForm>& forms, RowComputation compute) {
  return computed(source, forms, std::move(compute), true);
}

}  // namespace intaglio
