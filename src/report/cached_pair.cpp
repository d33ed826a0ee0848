#include "report/cached_pair.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "base/mapped_file.h"
#include "pte/reader.h"
#include "report/slots.h"

namespace intaglio::report {
namespace {

bool is_integer(DType dtype) { return dtype == DType::int64 || dtype == DType::int32; }
bool is_fixed(const InputSlot& slot) {
  return std::ranges::all_of(slot.sizes, [](const auto& range) { return range.first == range.second; });
}
int64_t most_of(const InputSlot& slot, size_t from_behind) { return slot.sizes[slot.sizes.size() - from_behind].second; }

// A tensor of the cache counts positions along the last dimension but one.
bool holds_positions(const Tensor& tensor) { return tensor.rank() >= 3; }

// One of the two methods, by what its inputs are for.
class Method {
 public:
  Method(std::unique_ptr<Executable> program, const std::string& file, std::string_view name)
      : program_(std::move(program)), where_(fmt::format("{}: method '{}'", escaped(file), name)) {
    std::vector<size_t> lists;
    const std::vector<InputSlot>& slots = program_->slots();
    for (size_t i = 0; i < slots.size(); ++i) {
      const InputSlot& slot = slots[i];
      const size_t rank = slot.scalar ? 0 : slot.sizes.size();
      if (slot.dtype == DType::boolean && rank >= 2) mask_ = i;
      else if (is_integer(slot.dtype) && (rank == 1 || rank == 2)) lists.push_back(i);
      else if ((is_floating(slot.dtype) && rank >= 3) || (is_integer(slot.dtype) && rank == 0)) caches_.push_back(i);
      else refuse(fmt::format("{} is no tokens, mask, positions or cache", text_of(slot)));
    }
    if (lists.empty() || lists.front() != 0 || slots[0].sizes.size() != 2) refuse("its first input is no tokens [1, s] of integers");
    if (lists.size() == 3 && !mask_) mask_ = lists[1];
    if (lists.size() > 1) positions_ = lists.back();
    if (lists.size() > 3 || (lists.size() == 3 && *mask_ != lists[1]))
      refuse("it takes more lists of integers than tokens, mask and positions");
  }

  Executable& program() { return *program_; }
  const Executable& program() const { return *program_; }
  const InputSlot& tokens() const { return program_->slots()[0]; }
  const std::vector<size_t>& caches() const { return caches_; }
  bool has_mask() const { return mask_.has_value(); }
  const InputSlot& mask() const { return program_->slots()[*mask_]; }

  std::vector<Tensor> empty_cache() const {
    std::vector<Tensor> cache;
    for (const size_t i : caches_) {
      const InputSlot& slot = program_->slots()[i];
      Sizes sizes;
      for (const auto& range : slot.sizes) sizes.push_back(range.second);
      cache.push_back(Tensor::zeros(slot.dtype, sizes));
    }
    return cache;
  }

  // Logits, then the cache.
  std::vector<Tensor> run(const Tensor& tokens, int64_t position, const std::vector<Tensor>& cache) {
    const std::vector<InputSlot>& slots = program_->slots();
    const int64_t count = tokens.size(1);
    std::vector<Tensor> inputs(slots.size());
    inputs[0] = converted(tokens, slots[0].dtype);
    if (positions_) inputs[*positions_] = positions(slots[*positions_], position, count);
    if (mask_) inputs[*mask_] = mask(slots[*mask_], position, count);
    for (size_t i = 0; i < caches_.size(); ++i) inputs[caches_[i]] = cache[i];
    std::vector<Tensor> outputs = program_->run(inputs);
    if (outputs.empty() || !outputs[0].defined() || outputs[0].rank() < 2) refuse("its first output is no logits [1, s, vocabulary]");
    return outputs;
  }

  [[noreturn]] void refuse(const std::string& why) const { throw_unsupported(fmt::format("{}: {}", where_, why)); }

 private:
  static Tensor positions(const InputSlot& slot, int64_t first, int64_t count) {
    std::vector<int64_t> numbers(static_cast<size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return converted(Tensor::of<int64_t>(numbers, slot.sizes.size() == 1 ? Sizes{count} : Sizes{1, count}), slot.dtype);
  }

  // Each token reads what was said up to itself; a mask of a whole call, [1, n], what was said up to its last.
  static Tensor mask(const InputSlot& slot, int64_t position, int64_t count) {
    const int64_t length = is_fixed(slot) ? most_of(slot, 1) : position + count, rows = slot.sizes.size() == 2 ? 1 : count;
    Sizes sizes(slot.sizes.size(), 1);
    sizes.back() = length;
    sizes[sizes.size() - 2] = rows;
    std::vector<int64_t> seen;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t at = 0; at < length; ++at) seen.push_back(at <= position + (rows == 1 ? count - 1 : row));
    return converted(Tensor::of<int64_t>(seen, sizes), slot.dtype);
  }

  std::unique_ptr<Executable> program_;
  std::string where_;
  std::optional<size_t> mask_, positions_;
  std::vector<size_t> caches_;
};

class CachedPair : public Executable {
 public:
  CachedPair(Method prefill, Method decode) : prefill_(std::move(prefill)), decode_(std::move(decode)) {
    if (decode_.caches().empty()) decode_.refuse("no cache is among its inputs");
    if (most_of(decode_.tokens(), 1) != 1) decode_.refuse("it takes more tokens than one");
    for (const size_t i : decode_.caches()) {
      const InputSlot& slot = decode_.program().slots()[i];
      if (slot.sizes.size() < 3) continue;
      grows_ |= !is_fixed(slot);
      context_ = std::min(context_, most_of(slot, 2) + (is_fixed(slot) ? 0 : 1));
    }
    if (decode_.has_mask() && is_fixed(decode_.mask())) context_ = std::min(context_, most_of(decode_.mask(), 1));
    slots_ = {{.name = "tokens", .dtype = DType::int64, .sizes = {{1, 1}, {1, context_}}},
              {.name = "positions", .dtype = DType::int64, .sizes = {{1, context_}}}};
  }

  const std::vector<InputSlot>& slots() const override { return slots_; }
  double milliseconds() const override { return milliseconds_; }
  std::string engine() const override { return decode_.program().engine(); }
  void reset() override { forget(); }
  runtime::ConstantMethods constants() const override {
    runtime::ConstantMethods known = decode_.program().constants();
    if (!known.empty()) known["enable_dynamic_shape"] = {true};  // what is longer than one call is given in parts here
    return known;
  }
  std::optional<int64_t> output_width() const override { return decode_.program().output_width(); }

  std::vector<Tensor> run(const std::vector<Tensor>& inputs) override {
    const int64_t count = inputs[0].size(1);
    rewind(inputs[1].span<int64_t>()[0]);
    milliseconds_ = 0;
    std::vector<float> scores;
    for (int64_t at = 0, taken = 0; at < count; at += taken) {
      taken = cache_.empty() ? prompt_of(count - at) : 1;
      Method& method = cache_.empty() && taken > 0 ? prefill_ : decode_;
      if (cache_.empty()) cache_ = method.empty_cache();
      taken = std::max<int64_t>(taken, 1);
      const Tensor logits = step(method, inputs[0].narrowed(1, at, taken).contiguous());
      const auto rows = logits.span<float>();
      // A method that gives its last token's alone leaves the call with no more than that.
      width_ = logits.size(-1);
      if (static_cast<int64_t>(rows.size()) != taken * width_) scores.clear();
      scores.insert(scores.end(), rows.begin(), rows.end());
    }
    if (static_cast<int64_t>(scores.size()) != count * width_) scores.erase(scores.begin(), scores.end() - width_);
    return {Tensor::of<float>(scores, {1, static_cast<int64_t>(scores.size()) / width_, width_})};
  }

 private:
  // How many tokens `prefill` takes of so many; 0: the text begins with `decode` and an empty cache.
  int64_t prompt_of(int64_t count) const {
    const int64_t most = most_of(prefill_.tokens(), 1);
    if (!is_fixed(prefill_.tokens())) return std::min(count, most);
    if (count >= most) return most;
    if (grows_) prefill_.refuse(fmt::format("it takes {} tokens, no fewer; export it with a dynamic length", most));
    return 0;
  }

  Tensor step(Method& method, const Tensor& tokens) {
    std::vector<Tensor> outputs = method.run(tokens, length_, cache_);
    milliseconds_ += method.program().milliseconds();
    if (outputs.size() - 1 != decode_.caches().size())
      method.refuse(fmt::format("{} outputs follow its logits, and 'decode' takes {} tensors of a cache", outputs.size() - 1,
                                decode_.caches().size()));
    cache_.assign(std::make_move_iterator(outputs.begin() + 1), std::make_move_iterator(outputs.end()));
    length_ += tokens.size(1);
    return converted(outputs[0], DType::float32).contiguous();
  }

  void forget() {
    cache_.clear();
    length_ = 0;
  }

  // To where `position` tokens were given.
  void rewind(int64_t position) {
    if (position == 0) forget();
    if (position == length_) return;
    if (position > length_) throw_bug(fmt::format("position {} of a text of {} tokens", position, length_));
    for (Tensor& tensor : cache_) {
      if (!holds_positions(tensor)) tensor = converted(Tensor::of<int64_t>({position}, {}), tensor.dtype());
      else if (grows_) tensor = tensor.narrowed(tensor.rank() - 2, 0, position).contiguous();
    }
    length_ = position;
  }

  Method prefill_, decode_;
  bool grows_ = false;  // the cache is as long as the text; else of fixed size, and counters or positions tell
  int64_t context_ = int64_t{1} << 31;
  std::vector<InputSlot> slots_;
  std::vector<Tensor> cache_;  // empty before the first token
  int64_t length_ = 0;         // tokens in it
  int64_t width_ = 0;          // the vocabulary
  double milliseconds_ = 0;
};

bool is_pair(const std::filesystem::path& path) {
  const std::shared_ptr<MappedFile> file = MappedFile::open(path);
  std::vector<std::string> names;
  try {
    for (const pte::ExecutionPlan& plan : pte::parse_pte(file->bytes()).program.execution_plan) names.push_back(plan.name);
  } catch (const Error& error) { throw error.with_context(escaped(path.string())); }
  const auto has = [&](std::string_view name) { return std::ranges::find(names, name) != names.end(); };
  return !has("forward") && has("prefill") && has("decode");
}

}  // namespace

std::unique_ptr<Executable> open_language_model(const std::filesystem::path& path, const ExecutableOptions& options) {
  if (path.extension() != ".pte" || !is_pair(path)) return Executable::open(path, options);
  const auto method = [&](const char* name) {
    ExecutableOptions named = options;
    named.method = name;
    return Method(Executable::open(path, named), path.string(), name);
  };
  return std::make_unique<CachedPair>(method("prefill"), method("decode"));
}

}  // namespace intaglio::report
