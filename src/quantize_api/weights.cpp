#include "quantize_api/weights.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <intaglio/error.h>

#include "base/computed.h"
#include "base/threads.h"
#include "quant/code_book.h"
#include "quantize_api/check.h"

namespace intaglio::quantize_api {
namespace {

// What the two configurations of integers have in common.
struct IntxChoice {
  IntxType dtype;
  WeightGranularity granularity;
  MappingType mapping;
  std::optional<DType> scale_dtype;
  IntxChooseQParamsAlgorithm algorithm;
};
IntxChoice settings_of(const IntxWeightOnlyConfig& c) {
  return {c.weight_dtype, c.granularity, c.mapping_type, c.scale_dtype, c.intx_choose_qparams_algorithm};
}
IntxChoice settings_of(const Int8DynamicActivationIntxWeightConfig& c) {
  return {c.weight_dtype, c.weight_granularity, c.weight_mapping_type, c.weight_scale_dtype, c.intx_choose_qparams_algorithm};
}

bool is_weight_type(DType dtype) { return dtype == DType::float32 || dtype == DType::float16 || dtype == DType::bfloat16; }

void check_intx(const IntxChoice& settings) {
  const int bits = static_cast<int>(settings.dtype);
  if (bits < 1 || bits > 8) throw_usage(fmt::format("weights of {} bits; int1 to int8 are there", bits));
  const auto* axis = std::get_if<PerAxis>(&settings.granularity);
  if (axis != nullptr && axis->axis != 0)
    throw_usage(fmt::format("PerAxis({}): scales go along axis 0, one for each row of the weight", axis->axis));
  const auto* group = std::get_if<PerGroup>(&settings.granularity);
  if (group != nullptr && group->group_size < 2)
    throw_usage(fmt::format("a group size of {}; a group has two elements or more, 32 is usual", group->group_size));
  if (settings.scale_dtype && !is_weight_type(*settings.scale_dtype))
    throw_usage(fmt::format("scales of {}; float32, float16 and bfloat16 are there", name(*settings.scale_dtype)));
  if (bits == 1 && settings.mapping == MappingType::symmetric_no_clipping_err && settings.algorithm == IntxChooseQParamsAlgorithm::affine)
    throw_usage("int1 has no positive integer, which symmetric_no_clipping_err divides by; take symmetric or asymmetric");
}

[[noreturn]] void refuse(const Layer& layer, const std::string& cause) { throw_bad_input(fmt::format("{}: {}", describe(layer), cause)); }

// Sizes of groups that fit a row, those next to the wanted size first: all divisors but 1, and the row itself. Backends take
// groups of multiples of 32, so these come before others where the wanted size is one.
std::vector<int64_t> fitting(int64_t row, int64_t wanted) {
  std::vector<int64_t> sizes;
  for (int64_t size = std::min<int64_t>(2, row); size <= row; ++size)
    if (row % size == 0) sizes.push_back(size);
  std::ranges::stable_sort(sizes, {}, [&](int64_t size) { return std::pair(wanted % 32 == 0 && size % 32 != 0, std::abs(size - wanted)); });
  return sizes;
}

// The few next to the wanted size, smaller and larger ones.
std::string groups_that_fit(int64_t row, int64_t wanted) {
  std::vector<int64_t> sizes = fitting(row, wanted);
  constexpr size_t most = 4;
  sizes.resize(std::min(most, sizes.size()));
  std::ranges::sort(sizes);
  return fmt::format("{}", fmt::join(sizes, ", "));
}

Decision decide_intx(const IntxChoice& settings, const Layer& layer, WhenIndivisible when_indivisible) {
  const int64_t row = layer.weight->sizes().at(1).value();
  IntxForm form{static_cast<int>(settings.dtype), row, settings.mapping, settings.scale_dtype,
                settings.algorithm == IntxChooseQParamsAlgorithm::hqq_scale_only};
  if (form.fit_scale) form.mapping = MappingType::symmetric;
  if (form.scale_dtype == layer.weight->dtype()) form.scale_dtype.reset();
  if (const auto* group = std::get_if<PerGroup>(&settings.granularity)) form.group_size = group->group_size;
  // Of a block of one element torchao's operators make one of the whole tensor.
  if (row == 1 && when_indivisible != WhenIndivisible::error) return {std::nullopt, "rows of one element have nothing to share a scale"};
  if (row == 1) refuse(layer, "rows of one element have nothing to share a scale; leave it out, or to when_indivisible=float");
  if (row % form.group_size == 0) return {form, ""};
  const std::string cause = fmt::format("groups of {} do not divide its rows of {}", form.group_size, row);
  switch (when_indivisible) {
    case WhenIndivisible::float_: return {std::nullopt, cause};
    case WhenIndivisible::int8:
      form.bits = 8;
      form.group_size = row;
      break;
    case WhenIndivisible::nearest: form.group_size = fitting(row, form.group_size).front(); break;
    case WhenIndivisible::error:
      refuse(layer, fmt::format("{}; take a group size of {}, or leave such layers to when_indivisible=float, int8 or nearest", cause,
                                groups_that_fit(row, form.group_size)));
  }
  return {form, ""};
}

// Of a weight: -1 is the whole dimension.
int64_t block_along(const CodebookForm& form, size_t dim, int64_t size) { return form.block_size[dim] == -1 ? size : form.block_size[dim]; }

Decision decide_codebook(const CodebookWeightOnlyConfig& config, const Layer& layer) {
  const CodebookForm form{static_cast<int>(config.dtype), config.block_size};
  constexpr std::array dims = {"rows", "columns"};
  bool covers_one = false;
  for (size_t dim = 0; dim < dims.size(); ++dim) {
    const int64_t size = layer.weight->sizes().at(dim).value(), block = block_along(form, dim, size);
    if (size % block != 0)
      refuse(layer, fmt::format("blocks of {} {} do not divide the {} of its weight; {} do", block, dims[dim], size,
                                groups_that_fit(size, block)));
    covers_one |= block == size;
  }
  if (!covers_one)
    refuse(layer, fmt::format("a block size of [{}] covers neither all rows nor all columns; give -1 for one of them",
                              fmt::join(config.block_size, ", ")));
  return {form, ""};
}

}  // namespace

std::string to_string(const WeightForm& form) {
  if (const auto* book = std::get_if<CodebookForm>(&form)) return fmt::format("codes of {} bits", book->bits);
  const auto& intx = std::get<IntxForm>(form);
  return fmt::format("int{} in groups of {}", intx.bits, intx.group_size);
}

void check(const QuantizeConfig& config) {
  if (const auto* book = std::get_if<CodebookWeightOnlyConfig>(&config)) {
    const int bits = static_cast<int>(book->dtype);
    if (bits < 1 || bits > 8) throw_usage(fmt::format("codes of {} bits; uint1 to uint8 are there", bits));
    const auto fits = [](int64_t size) { return size == -1 || size > 0; };
    if (book->block_size.size() != 2 || !std::ranges::all_of(book->block_size, fits))
      throw_usage(fmt::format("a block size of [{}]; give rows and columns, -1 for all: [16, -1]", fmt::join(book->block_size, ", ")));
    return;
  }
  if (const auto* dynamic = std::get_if<Int8DynamicActivationIntxWeightConfig>(&config)) {
    if (dynamic->act_mapping_type != MappingType::asymmetric)
      throw_usage("activations quantized at run time are asymmetric; leave act_mapping_type as it is");
    return check_intx(settings_of(*dynamic));
  }
  check_intx(settings_of(std::get<IntxWeightOnlyConfig>(config)));
}

Decision decide(const QuantizeConfig& config, const Layer& layer, WhenIndivisible when_indivisible) {
  if (!is_weight_type(layer.weight->dtype()))
    refuse(layer, fmt::format("its weight is {}; float32, float16 and bfloat16 are quantized, export `model.float()`",
                              name(layer.weight->dtype())));
  if (std::ranges::any_of(layer.weight->sizes(), [](const SymInt& size) { return size.value() == 0; }))
    return {std::nullopt, "its weight is empty"};
  if (const auto* book = std::get_if<CodebookWeightOnlyConfig>(&config)) return decide_codebook(*book, layer);
  const auto* dynamic = std::get_if<Int8DynamicActivationIntxWeightConfig>(&config);
  if (dynamic != nullptr && layer.kind != LayerKind::linear)
    refuse(layer, "has no float input that int8 could stand for; quantize it with IntxWeightOnlyConfig");
  return decide_intx(dynamic ? settings_of(*dynamic) : settings_of(std::get<IntxWeightOnlyConfig>(config)), layer, when_indivisible);
}

std::vector<Tensor> quantized(const Tensor& weight, const WeightForm& form, const Layer& layer, const std::string& file, int threads) {
  const int workers = thread_count(threads);
  // What is wrong with a weight is told when it is read, wherever that is.
  const auto naming = [where = describe(layer), file](const auto& compute) {
    try {
      return compute();
    } catch (const Error& error) {
      const Error named = error.with_context(where);
      throw file.empty() ? named : named.with_context(escaped(file));
    }
  };
  const Sizes& sizes = weight.sizes();
  if (const auto* book = std::get_if<CodebookForm>(&form)) {
    const int64_t rows = block_along(*book, 0, sizes[0]), columns = block_along(*book, 1, sizes[1]);
    const Sizes books = {sizes[0] / rows, sizes[1] / columns, int64_t{1} << book->bits, 1};
    return computed_from(weight, {{DType::uint8, sizes}, {DType::float64, books}}, [=, bits = book->bits](const Tensor& source) {
      return naming([&] {
        quant::CodeBookWeight made = quant::quantize_to_code_book(source, bits, rows, columns, workers);
        return std::vector<Tensor>{std::move(made.codes), std::move(made.book)};
      });
    });
  }
  const auto& intx = std::get<IntxForm>(form);
  const Sizes groups = {sizes[0], sizes[1] / intx.group_size};
  const DType scale_dtype = intx.scale_dtype.value_or(weight.dtype());
  const bool is_symmetric = intx.mapping != MappingType::asymmetric;
  std::vector<TensorForm> forms = {{DType::int8, sizes}, {scale_dtype, groups}};
  if (!is_symmetric) forms.push_back({DType::int8, groups});
  const auto made_of = [=](const Tensor& rows, int64_t first) {
    return naming([&] {
      quant::IntxWeight made = quant::quantize_intx(rows, intx, workers, first);
      std::vector<Tensor> parts = {std::move(made.codes), std::move(made.scale)};
      if (!is_symmetric) parts.push_back(std::move(made.zero_point));
      return parts;
    });
  };
  // Fitted scales of all rows take the same number of steps.
  std::vector<Tensor> tensors = intx.fit_scale ? computed_from(weight, forms, [=](const Tensor& whole) { return made_of(whole, 0); })
                                               : computed_by_rows(weight, forms, made_of);
  // Known without the weight, so that backends look at them for nothing.
  if (is_symmetric)
    tensors.push_back(computed_from(weight, DType::int8, groups, [=](const Tensor&) { return Tensor::zeros(DType::int8, groups); }));
  return tensors;
}

}  // namespace intaglio::quantize_api
