// Spectra of overlapping frames: stft and istft.
#include "decompose/complex/parts.h"

namespace intaglio::decompose::complex_parts {
namespace {

struct Frames {
  int64_t length, hop;
  Value* window = nullptr;  // as long as a frame; null: all ones
};

// A window shorter than the frame stands in its middle.
Frames frames_of(PartsBuilder& b, DType dtype) {
  const Node& node = b.node;
  const int64_t length = node.integer("n_fft");
  const int64_t width = node.optional_integer("win_length").value_or(length);
  Frames frames{length, node.optional_integer("hop_length").value_or(length / 4)};
  constexpr int64_t longest = int64_t{1} << 26;  // a damaged file may say anything
  if (length > longest || frames.hop > longest || length < 1 || frames.hop < 1 || width < 1 || width > length)
    refuse(node, "the lengths of frame, hop and window do not fit");
  const int64_t before = (length - width) / 2;
  Value* window = node.optional_tensor("window");
  if (window && is_complex_tensor(window)) refuse(node, "a complex window; use a real one");
  if (!window && width < length) window = b.build.full({width}, 1.0, dtype);
  if (!window) return frames;
  window = b.build.cast(window, dtype);
  frames.window = width == length ? window : b.build("aten.constant_pad_nd.default", window, Ints{before, length - width - before});
  return frames;
}

Scale scale_of(const Node& node, Scale otherwise) { return node.boolean("normalized") ? Scale::root : otherwise; }

// Both ends continued by half a frame, as torch.stft does it: with a dimension before, which these pads want.
Value* centered(PartsBuilder& b, Value* x, int64_t length) {
  Value* padded = b.build("aten.pad.default", b.build.unsqueeze(x, 0), Ints{length / 2, length / 2}, b.node.argument("pad_mode"));
  return b.build.squeeze(padded, 0);
}

Results stft(PartsBuilder& b) {
  const Node& node = b.node;
  const OpSchema& schema = *node.op().schema();
  if (schema.find("align_to_window") && !node.argument("align_to_window").is_none() && node.boolean("align_to_window"))
    refuse(node, "frames aligned to the window are not supported; use align_to_window=False");
  Parts x = b.operand("self");
  const int64_t rank = node.tensor("self")->meta().rank();
  if (rank < 1 || rank > 2) refuse(node, "a signal has one dimension, or two with a batch");
  const DType dtype = b.real_type();
  const Frames frames = frames_of(b, dtype);
  const bool one_signal = rank == 1;
  const auto framed = [&](Value* v) {
    v = b.build.cast(v, dtype);
    if (one_signal) v = b.build.unsqueeze(v, 0);
    if (schema.find("center") && node.boolean("center")) v = centered(b, v, frames.length);
    v = b.build("aten.unfold.default", v, -1, frames.length, frames.hop);
    return frames.window ? b.build("aten.mul.Tensor", v, frames.window) : v;
  };
  x = Parts{framed(b.real_or_zeros(x)), x.is_real() ? nullptr : framed(b.imag(x))};
  const Scale scale = scale_of(node, Scale::none);
  const bool half = node.argument("onesided").is_none() ? x.is_real() : node.boolean("onesided");
  if (half && !x.is_real()) refuse(node, "the spectrum of a complex signal has two sides; use onesided=False");
  Parts spectrum = half ? half_transform(b, x.real, {2}, scale) : transform(b, x, {2}, scale, true);
  spectrum = b.each(spectrum, [&](Value* v) {
    v = b.build("aten.transpose.int", v, 1, 2);
    return one_signal ? b.build.squeeze(v, 0) : v;
  });
  if (is_complex_tensor(node.output())) return {spectrum};
  return {Parts{b.packed(spectrum), nullptr}};
}

// Frames [batch, count, length] added up where they overlap. Each is cut into pieces one hop long; the pieces of one number
// make up the signal, but for their shift.
Value* overlapped(PartsBuilder& b, Value* x, const Frames& frames) {
  const int64_t pieces = (frames.length + frames.hop - 1) / frames.hop;
  if (pieces * frames.hop > frames.length) x = b.build("aten.constant_pad_nd.default", x, Ints{0, pieces * frames.hop - frames.length});
  const SymInt batch = x->sizes()[0], count = x->sizes()[1];
  Value* sum = nullptr;
  for (int64_t i = 0; i < pieces; ++i) {
    Value* piece = b.build.slice(x, 2, i * frames.hop, (i + 1) * frames.hop);
    piece = b.build.view(piece, {batch, count * SymInt(frames.hop)});
    piece = b.build("aten.constant_pad_nd.default", piece, Ints{i * frames.hop, (pieces - 1 - i) * frames.hop});
    sum = b.sum(sum, piece);
  }
  return sum;
}

// What every place of the signal was multiplied by, twice with the window.
Value* envelope(PartsBuilder& b, const Frames& frames, Value* like) {
  const SymInt& count = like->sizes()[1];
  Value* squares = frames.window ? b.build("aten.mul.Tensor", frames.window, frames.window) : nullptr;
  Value* each = b.build.full({SymInt(1), count, SymInt(frames.length)}, 1.0, like->dtype(), like);
  return overlapped(b, squares ? b.build("aten.mul.Tensor", each, squares) : each, frames);
}

Results istft(PartsBuilder& b) {
  const Node& node = b.node;
  const DType dtype = b.real_type();
  const Frames frames = frames_of(b, dtype);
  const int64_t rank = node.tensor("self")->meta().rank();
  if (rank < 2 || rank > 3) refuse(node, "a spectrum has two dimensions, or three with a batch");
  const bool one_signal = rank == 2, returns_complex = is_complex_tensor(node.output());
  const Scale scale = scale_of(node, Scale::whole);
  const Parts spectrum = b.each(b.operand("self"), [&](Value* v) {
    if (one_signal) v = b.build.unsqueeze(v, 0);
    return b.build("aten.transpose.int", v, 1, 2);
  });
  const SymInt& bins = node.tensor("self")->sizes()[one_signal ? 0 : 1];
  const bool half = node.argument("onesided").is_none() ? !(bins.is_static() && bins.value() == frames.length) : node.boolean("onesided");
  if (!bins.is_static() || bins.value() != (half ? frames.length / 2 + 1 : frames.length))
    refuse(node, "the spectrum has not the frequencies of its n_fft");
  Parts signal = half ? Parts{inverse_of_half(b, spectrum, {2}, scale, frames.length), nullptr} : transform(b, spectrum, {2}, scale, false);
  if (!returns_complex) signal.imag = nullptr;

  Value* divisor = envelope(b, frames, signal.real);
  const int64_t start = node.boolean("center") ? frames.length / 2 : 0;
  const std::optional<int64_t> length = node.optional_integer("length");
  const int64_t surplus = (frames.length + frames.hop - 1) / frames.hop * frames.hop - frames.length;
  const auto cut = [&](Value* v) {
    const SymInt& all = v->sizes()[1];
    if (length) return b.build.slice(v, 1, start, start + *length);
    // Counted from the end: the number of frames may vary.
    return all.is_static() ? b.build.slice(v, 1, start, all.value() - surplus - start) : b.build.slice(v, 1, start, -(surplus + start));
  };
  const auto put_together = [&](Value* v) {
    if (frames.window) v = b.build("aten.mul.Tensor", v, frames.window);
    Value* weights = cut(divisor);
    v = b.build("aten.div.Tensor", cut(overlapped(b, v, frames)), weights);
    if (const SymInt& got = v->sizes()[1]; length && got.is_static() && got.value() < *length)
      v = b.build("aten.constant_pad_nd.default", v, Ints{0, *length - got.value()});
    return one_signal ? b.build.squeeze(v, 0) : v;
  };
  return {Parts{put_together(signal.real), signal.imag ? put_together(signal.imag) : nullptr}};
}

const RuleRow frame_rows[] = {
    {stft, {"aten.stft.default", "aten.stft.center"}},
    {istft, {"aten.istft.default"}},
};

}  // namespace

std::span<const RuleRow> frame_rules() { return frame_rows; }

}  // namespace intaglio::decompose::complex_parts
