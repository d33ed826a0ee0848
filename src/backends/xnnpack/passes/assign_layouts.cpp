#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <intaglio/error.h>

#include "backends/xnnpack/passes/passes.h"

namespace intaglio::xnnpack {
namespace {

using Permutation = std::array<uint32_t, 4>;
constexpr Permutation identity = {0, 1, 2, 3};
constexpr Permutation to_nhwc = {0, 2, 3, 1};  // physical dimension i of an NHWC value is dimension to_nhwc[i]
constexpr Permutation to_nchw = {0, 3, 1, 2};  // and back; also: where dimension i is found

const Permutation& order_of(ImageLayout layout) { return layout == ImageLayout::nhwc ? to_nhwc : identity; }
const Permutation& place_in(ImageLayout layout) { return layout == ImageLayout::nhwc ? to_nchw : identity; }
ImageLayout other(ImageLayout layout) { return layout == ImageLayout::nchw ? ImageLayout::nhwc : ImageLayout::nchw; }

template <typename T>
std::vector<T> permuted(const std::vector<T>& list, const Permutation& order) {
  return {list[order[0]], list[order[1]], list[order[2]], list[order[3]]};
}

int64_t bytes_of(const PayloadValue& value) {
  int64_t bytes = value.type == DataType::fp32 ? 4 : value.type == DataType::fp16 ? 2 : 1;
  for (const int64_t dim : value.dims) bytes *= dim;
  return bytes;
}

// Both layouts of such a value are the same bytes.
bool layouts_agree(const PayloadValue& value) {
  return value.dims.size() == 4 && (value.dims[1] == 1 || (value.dims[2] == 1 && value.dims[3] == 1));
}

class LayoutPass {
 public:
  LayoutPass(const PayloadGraph& source, const Features& features)
      : source_(source), features_(features), placed_(source.values.size()), wants_(source.values.size()) {}

  PayloadGraph run() {
    find_wants();
    for (const ValueId input : source_.inputs) {
      const ImageLayout layout = is_image(input) ? source_.values[input].layout : ImageLayout::nchw;
      result_.inputs.push_back(place(input, layout, true));
    }
    for (const PayloadNode& node : source_.nodes) rewrite(node);
    for (const ValueId output : source_.outputs) define_output(output);
    return std::move(result_);
  }

 private:
  // New values that hold an old one, by layout.
  struct Placed {
    std::array<ValueId, 2> ids = {invalid_id, invalid_id};
  };
  struct Wants {
    bool nchw = false, nhwc = false;
  };

  bool is_image(ValueId id) const { return source_.values[id].dims.size() == 4; }
  ValueId& slot(ValueId id, ImageLayout layout) { return placed_[id].ids[static_cast<size_t>(layout)]; }
  bool has(ValueId id, ImageLayout layout) { return slot(id, layout) != invalid_id; }

  // What the readers of each value would like, seen through nodes that take either layout.
  void find_wants() {
    for (const ValueId output : source_.outputs) want(output, source_.values[output].layout);
    for (size_t index = source_.nodes.size(); index-- > 0;) {
      const PayloadNode& node = source_.nodes[index];
      const LayoutNeed need = info(node.kind).layout;
      const Wants below = wants_[node.output];
      for (const ValueId input : node.inputs) {
        if (input == invalid_id) continue;
        if (need == LayoutNeed::nhwc || (need == LayoutNeed::any && below.nhwc && node.kind != NodeKind::StaticTranspose))
          want(input, ImageLayout::nhwc);
        if (need == LayoutNeed::nchw || (need == LayoutNeed::any && below.nchw && node.kind != NodeKind::StaticTranspose))
          want(input, ImageLayout::nchw);
      }
    }
  }
  void want(ValueId id, ImageLayout layout) { (layout == ImageLayout::nhwc ? wants_[id].nhwc : wants_[id].nchw) = true; }
  // Bytes that readers would have to transpose if the value came in this layout.
  int64_t cost_below(ValueId id, ImageLayout layout) const {
    const Wants wants = wants_[id];
    const bool displeases = layout == ImageLayout::nhwc ? wants.nchw && !wants.nhwc : wants.nhwc && !wants.nchw;
    return displeases ? bytes_of(source_.values[id]) : 0;
  }

  ValueId place(ValueId old, ImageLayout layout, bool external) {
    PayloadValue value = source_.values[old];
    if (!external && value.is_external()) {
      value.role = PayloadValue::Role::internal;
      value.external_id = invalid_id;
    }
    value.layout = layout;
    if (layout == ImageLayout::nhwc) value.dims = permuted(value.dims, to_nhwc);
    return slot(old, layout) = result_.add_value(std::move(value));
  }

  // The old value in a layout, transposed when it is only there in the other.
  ValueId get(ValueId old, ImageLayout layout) {
    if (old == invalid_id) return invalid_id;
    if (has(old, layout)) return slot(old, layout);
    const PayloadValue& value = source_.values[old];
    if (value.is_constant()) return place_constant(old, layout);
    if (value.dims.size() != 4) return get_low_rank(old, layout);
    if (!has(old, other(layout))) throw_bug(fmt::format("value '{}' of an XNNPACK delegate is used before it is made", value.name));
    const ValueId from = slot(old, other(layout));
    const ValueId to = place(old, layout, false);
    const Permutation& order = layout == ImageLayout::nhwc ? to_nhwc : to_nchw;
    add_transpose(from, to, {order.begin(), order.end()}, value.name);
    // ExecuTorch's lowering forgets transposes of quantized values.
    if (!features_.shared_transposes && is_quantized(value.type)) slot(old, layout) = invalid_id;
    return to;
  }

  void add_transpose(ValueId from, ValueId to, std::vector<uint32_t> order, const std::string& name) {
    PayloadNode node;
    node.kind = NodeKind::StaticTranspose;
    node.inputs = {from};
    node.output = to;
    node.attributes = DimsAttributes{std::move(order)};
    node.origin = fmt::format("layout of '{}'", name);
    result_.add_node(std::move(node));
  }

  // Constants are laid out here, at no cost at run time; those of low rank get leading ones first.
  ValueId place_constant(ValueId old, ImageLayout layout) {
    PayloadValue value = source_.values[old];
    if (layout == ImageLayout::nhwc && value.data.numel() > 1) {
      Sizes sizes = value.dims;
      while (sizes.size() < 4) sizes.insert(sizes.begin(), 1);
      static const std::vector<int64_t> order = {0, 2, 3, 1};
      value.data = value.data.reshaped(sizes).permuted(order).contiguous();
      value.dims = value.data.sizes();
      value.layout = layout;
    }
    return slot(old, layout) = result_.add_value(std::move(value));
  }

  // A computed operand of low rank beside NHWC images: leading ones, then a transpose.
  ValueId get_low_rank(ValueId old, ImageLayout layout) {
    const PayloadValue& value = source_.values[old];
    if (layout == ImageLayout::nchw || value.dims.size() > 4)
      throw_bug(fmt::format("value '{}' of an XNNPACK delegate is used before it is made", value.name));
    PayloadValue image = value;
    image.role = PayloadValue::Role::internal;
    image.external_id = invalid_id;
    while (image.dims.size() < 4) image.dims.insert(image.dims.begin(), 1);
    PayloadValue nhwc = image;
    nhwc.dims = permuted(image.dims, to_nhwc);
    nhwc.layout = ImageLayout::nhwc;
    PayloadNode reshape;
    reshape.kind = NodeKind::StaticReshape;
    reshape.inputs = {slot(old, ImageLayout::nchw)};
    reshape.attributes = DimsAttributes{{image.dims.begin(), image.dims.end()}};
    reshape.origin = fmt::format("layout of '{}'", value.name);
    reshape.output = result_.add_value(std::move(image));
    const ValueId from = reshape.output;
    result_.add_node(std::move(reshape));
    const ValueId to = result_.add_value(std::move(nhwc));
    add_transpose(from, to, {to_nhwc.begin(), to_nhwc.end()}, value.name);
    return slot(old, layout) = to;
  }

  int64_t conversion_cost(const PayloadNode& node, ImageLayout layout) {
    int64_t cost = 0;
    for (const ValueId input : node.inputs) {
      if (input == invalid_id || has(input, layout)) continue;
      const PayloadValue& value = source_.values[input];
      if (value.is_constant()) {
        // compat: constants of low rank keep their neighbours in NCHW.
        if (!features_.constants_in_nhwc && layout == ImageLayout::nhwc && value.dims.size() < 4 && value.data.numel() > 1)
          cost += int64_t{1} << 40;
        continue;
      }
      // Leading ones are put in front by a reshape, which would need to know every size.
      if (value.dims.size() < 4 && value.dynamic) cost += int64_t{1} << 40;
      cost += bytes_of(value) + 1;
    }
    return cost;
  }

  ImageLayout choose(const PayloadNode& node) {
    const LayoutNeed need = info(node.kind).layout;
    const bool images = is_image(node.output) || is_image(node.inputs[0]);
    if (!images || need == LayoutNeed::nchw) return ImageLayout::nchw;
    if (need == LayoutNeed::nhwc) return ImageLayout::nhwc;
    // A result of another rank has no NHWC form.
    if (!is_image(node.output)) return ImageLayout::nchw;
    // Transposes go before a quantization at run time: behind it there is no kernel for them.
    if (source_.values[node.output].type == DataType::qdint8) return wants_[node.output].nhwc ? ImageLayout::nhwc : ImageLayout::nchw;
    const int64_t nhwc = conversion_cost(node, ImageLayout::nhwc) + cost_below(node.output, ImageLayout::nhwc);
    const int64_t nchw = conversion_cost(node, ImageLayout::nchw) + cost_below(node.output, ImageLayout::nchw);
    return nhwc < nchw ? ImageLayout::nhwc : ImageLayout::nchw;
  }

  void rewrite(const PayloadNode& node) {
    if (node.kind == NodeKind::StaticTranspose) return rewrite_transpose(node);
    if (node.kind == NodeKind::StaticReshape) return rewrite_reshape(node);
    const ImageLayout layout = choose(node);
    PayloadNode copy = node;
    // Filters and biases have a layout of their own, PReLU's slopes are a vector over the innermost dimension.
    const NodeForm form = info(node.kind).form;
    const bool only_first = form == NodeForm::convolution || form == NodeForm::fully_connected || node.kind == NodeKind::PReLU;
    for (size_t i = 0; i < copy.inputs.size(); ++i) copy.inputs[i] = get(node.inputs[i], only_first && i > 0 ? ImageLayout::nchw : layout);
    copy.output = place(node.output, layout, false);
    if (layout == ImageLayout::nhwc) to_nhwc_attributes(copy);
    result_.add_node(std::move(copy));
  }

  static void to_nhwc_attributes(PayloadNode& node) {
    if (auto* pad = std::get_if<PadAttributes>(&node.attributes)) {
      pad->pre = permuted(pad->pre, to_nhwc);
      pad->post = permuted(pad->post, to_nhwc);
    } else if (auto* slice = std::get_if<SliceAttributes>(&node.attributes)) {
      slice->offsets = permuted(slice->offsets, to_nhwc);
      slice->sizes = permuted(slice->sizes, to_nhwc);
    } else if (auto* cat = std::get_if<ConcatenateAttributes>(&node.attributes)) {
      cat->axis = to_nchw[cat->axis];
    }
  }

  // A reshape reads rows of NCHW; where both layouts are the same bytes it takes what is there.
  void rewrite_reshape(const PayloadNode& node) {
    const ValueId input = node.inputs[0];
    const bool as_it_is = layouts_agree(source_.values[input]) && !has(input, ImageLayout::nchw) && has(input, ImageLayout::nhwc);
    PayloadNode copy = node;
    copy.inputs[0] = get(input, as_it_is ? ImageLayout::nhwc : ImageLayout::nchw);
    copy.output = place(node.output, ImageLayout::nchw, false);
    result_.add_node(std::move(copy));
  }

  // A permutation between layouts may be no work at all: [N, C, H, W] in NHWC permuted to [N, H, W, C] is the same bytes.
  void rewrite_transpose(const PayloadNode& node) {
    const auto& order = node.get<DimsAttributes>().dims;
    const ValueId input = node.inputs[0];
    if (order.size() != 4) {
      if (std::ranges::is_sorted(order)) {
        slot(node.output, ImageLayout::nchw) = get(input, ImageLayout::nchw);
        return;
      }
      PayloadNode copy = node;
      copy.inputs[0] = get(input, ImageLayout::nchw);
      copy.output = place(node.output, ImageLayout::nchw, false);
      result_.add_node(std::move(copy));
      return;
    }
    const auto composed = [&](ImageLayout from, ImageLayout to) {
      std::vector<uint32_t> physical(4);
      for (size_t i = 0; i < 4; ++i) physical[i] = place_in(from)[order[order_of(to)[i]]];
      return physical;
    };
    constexpr std::array layouts = {ImageLayout::nchw, ImageLayout::nhwc};
    if (features_.shared_transposes) {
      for (const ImageLayout from : layouts)
        for (const ImageLayout to : layouts)
          if (has(input, from) && std::ranges::is_sorted(composed(from, to))) {
            slot(node.output, to) = slot(input, from);
            return;
          }
    }
    if (source_.values[input].is_constant()) get(input, ImageLayout::nchw);
    const ImageLayout from = has(input, ImageLayout::nchw) ? ImageLayout::nchw : ImageLayout::nhwc;
    const Wants wants = wants_[node.output];
    const ImageLayout to = wants.nhwc && !wants.nchw ? ImageLayout::nhwc : ImageLayout::nchw;
    PayloadNode copy = node;
    copy.attributes = DimsAttributes{composed(from, to)};
    copy.inputs[0] = get(input, from);
    copy.output = place(node.output, to, false);
    result_.add_node(std::move(copy));
  }

  void define_output(ValueId old) {
    const PayloadValue& declared = source_.values[old];
    const ImageLayout layout = is_image(old) ? declared.layout : ImageLayout::nchw;
    ValueId id = get(old, layout);
    if (result_.values[id].role != PayloadValue::Role::internal) {
      PayloadNode copy;
      copy.kind = NodeKind::Copy;
      copy.inputs = {id};
      copy.origin = fmt::format("output '{}'", declared.name);
      id = place(old, layout, false);
      copy.output = id;
      result_.add_node(std::move(copy));
    }
    result_.values[id].role = PayloadValue::Role::output;
    result_.values[id].external_id = declared.external_id;
    result_.outputs.push_back(id);
  }

  const PayloadGraph& source_;
  const Features& features_;
  PayloadGraph result_;
  std::vector<Placed> placed_;
  std::vector<Wants> wants_;
};

}  // namespace

void assign_layouts(PayloadGraph& graph, const Features& features) { graph = LayoutPass(graph, features).run(); }

}  // namespace intaglio::xnnpack
