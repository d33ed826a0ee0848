"""Records what torch and torchao compute, for tests that run without them.

Usage: python tests/make_records/observers.py            (needs torch 2.13 and torchao 0.18; takes about half a minute)
Writes tests/records/observers/{observers,primitives,affine}.txt, read by src/quant/record_test.cpp.

Format: one item a line, `word key=value key=value ...`. Floats are written as the hexadecimal bits of the float32
(`f...`) or float64 (`d...`); arrays as `h` and the FNV-1a hash (64 bit) of their little-endian bytes. Inputs are not
stored: `input kind=K seed=S shape=AxB a=F b=F` names them (see `values` below), with the hash of their bytes.

  sequence name=.. observer=.. dtype=.. qscheme=.. quant_min=.. quant_max=.. axis=.. eps=D   starts an observer
  input ...                                       shown to it, in this order
  error first=I last=I error=F                    histogram only: the error of keeping bins first..last
  expect min=H max=H histogram=H scale=H zero_point=H
"""
import pathlib
import struct
import sys
import warnings

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "records" / "observers"
f32 = np.float32


def fnv(array):
    h = 0xCBF29CE484222325
    for byte in np.ascontiguousarray(array).tobytes():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"h{h:016x}"


def bits(x):
    return f"f{struct.unpack('<I', struct.pack('<f', f32(x)))[0]:08x}"


def bits64(x):
    return f"d{struct.unpack('<Q', struct.pack('<d', float(x)))[0]:016x}"


def uniform(seed, count, stream=0):
    """Multiples of 2^-24 in [0, 1): a 32-bit hash of the index."""
    with np.errstate(over="ignore"):
        h = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) + np.uint32((seed * 8 + stream) & 0xFFFFFFFF)
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
        h ^= h >> np.uint32(16)
    return (h >> np.uint32(8)).astype(np.float32) * f32(2.0**-24)


def values(kind, seed, count, a, b):
    """float32 values, one rounding an operation. `a` and `b` are scale and shift, or what the kind says."""
    a, b = f32(a), f32(b)
    u = [uniform(seed, count, s) for s in range(4)]
    bell = ((u[0] + u[1]) + (u[2] + u[3]) - f32(2)) * a + b
    index = np.arange(count)
    if kind == "uniform":  # from a to b
        return u[0] * (b - a) + a
    if kind == "constant":
        return np.full(count, a, np.float32)
    if kind == "two":  # a or b
        return np.where(u[0] < f32(0.5), a, b)
    if kind == "bell":
        return bell
    if kind == "relu":
        return np.maximum(bell, f32(0))
    if kind == "relu6":
        return np.minimum(np.maximum(bell, f32(0)), f32(6))
    if kind == "tail":  # a long thin tail
        c = u[0] * u[0] * u[0]
        return (c * c * c) * a + b
    if kind == "outliers":
        return np.where(index % 997 == 5, bell * f32(40), bell)
    if kind == "infinities":
        return np.where(index % 11 == 3, f32(np.inf), np.where(index % 13 == 4, f32(-np.inf), bell))
    raise ValueError(kind)


def spec_line(word, **keys):
    return word + "".join(f" {k}={v}" for k, v in keys.items())


def tensor(spec):
    kind, seed, shape, a, b = spec
    return values(kind, seed, int(np.prod(shape, dtype=np.int64)), a, b).reshape(shape)


def input_line(spec):
    kind, seed, shape, a, b = spec
    return spec_line("input", kind=kind, seed=seed, shape="x".join(map(str, shape)) or "scalar", a=bits(a), b=bits(b),
                     bytes=fnv(tensor(spec)))


def observer_specs():
    """(name, observer, settings, inputs): fixed cases, then pseudo-random ones."""
    act = dict(dtype="int8", qscheme="per_tensor_affine", quant_min=-128, quant_max=127, eps=2.0**-12)
    weight = dict(dtype="int8", qscheme="per_channel_symmetric", quant_min=-127, quant_max=127, eps=2.0**-12)
    h = "histogram"
    big = (1, 4, 40, 40)
    cases = [
        ("bell", h, act, [("bell", 1, big, 1.5, 0.25)]),
        ("bell_grows", h, act, [("bell", 2, big, 1, 0), ("bell", 3, big, 1.7, 0.1), ("bell", 4, big, 1.2, -1.5)]),
        ("same_range", h, act, [("bell", 5, big, 1, 0), ("bell", 5, big, 1, 0)]),
        ("smaller_later", h, act, [("bell", 6, big, 2, 0), ("bell", 7, big, 0.5, 0)]),
        ("relu", h, act, [("relu", 8, big, 2, 0), ("relu", 9, big, 2.5, 0)]),
        ("relu6", h, act, [("relu6", 10, big, 8, 1), ("relu6", 11, big, 8, 1)]),
        ("tail", h, act, [("tail", 12, big, 30, -1), ("tail", 13, big, 31, -1)]),
        ("tail_negative", h, act, [("tail", 14, big, -30, 1)]),
        ("outliers", h, act, [("outliers", 15, big, 1, 0), ("outliers", 16, big, 1, 0.5)]),
        ("constant", h, act, [("constant", 0, (100,), 3.5, 0)]),
        ("constant_twice", h, act, [("constant", 0, (100,), 3.5, 0), ("constant", 0, (50,), 3.5, 0)]),
        ("constant_zero", h, act, [("constant", 0, (64,), 0, 0)]),
        ("constant_then_bell", h, act, [("constant", 0, (100,), 0.5, 0), ("bell", 17, big, 1, 0)]),
        ("bell_then_constant", h, act, [("bell", 18, big, 1, 0), ("constant", 0, (100,), 5, 0)]),
        ("constants_move", h, act, [("constant", 0, (7,), 1, 0), ("constant", 0, (9,), 2, 0), ("constant", 0, (9,), -2, 0)]),
        ("constant_negative", h, act, [("constant", 0, (100,), -70000.125, 0)]),
        ("one_element", h, act, [("uniform", 19, (1,), -1, 1), ("uniform", 20, (1,), -1, 1)]),
        ("scalar", h, act, [("uniform", 21, (), -1, 1)]),
        ("two_values", h, act, [("two", 22, (501,), -1, 3)]),
        ("two_values_grow", h, act, [("two", 23, (501,), -1, 3), ("two", 24, (77,), -4, 9)]),
        ("infinities", h, act, [("infinities", 25, big, 1, 0), ("infinities", 26, big, 2, 0)]),
        ("all_infinite", h, act, [("constant", 0, (5,), np.inf, 0)]),
        ("infinite_then_bell", h, act, [("constant", 0, (5,), -np.inf, 0), ("bell", 27, big, 1, 0)]),
        ("negative_only", h, act, [("uniform", 28, big, -9, -4)]),
        ("positive_only", h, act, [("uniform", 29, big, 4, 9), ("uniform", 30, big, 3, 9.5)]),
        ("tiny", h, act, [("bell", 31, big, 1e-20, 0), ("bell", 32, big, 2e-20, 0)]),
        ("subnormal", h, act, [("bell", 33, big, 1e-41, 0), ("bell", 34, big, 2e-41, 0)]),
        ("few_subnormals", h, act, [("bell", 35, big, 4e-43, 0), ("bell", 36, big, 9e-43, 0)]),
        ("narrow_far", h, act, [("uniform", 37, big, 1000, 1000.01), ("uniform", 38, big, 1000, 1000.02)]),
        ("large", h, act, [("bell", 39, big, 1e9, 0), ("bell", 40, big, 3e9, 1e8)]),
        ("huge", h, act, [("bell", 41, big, 1e20, 0), ("bell", 42, big, 1e21, 0)]),
        ("tiny_then_huge", h, act, [("bell", 43, big, 1e-6, 0), ("bell", 44, big, 1e6, 0)]),
        ("uint8", h, dict(act, dtype="uint8", quant_min=0, quant_max=255), [("bell", 45, big, 1, 0.5)]),
        ("symmetric", h, dict(act, qscheme="per_tensor_symmetric"), [("bell", 46, big, 1, 0.5)]),
        ("symmetric_uint8", h, dict(act, dtype="uint8", quant_min=0, quant_max=255, qscheme="per_tensor_symmetric"),
         [("bell", 47, big, 1, 0.5)]),
        ("int16", h, dict(act, dtype="int16", quant_min=-32768, quant_max=32767), [("outliers", 48, big, 1, 0)]),
        ("int16_tail", h, dict(act, dtype="int16", quant_min=-32768, quant_max=32767), [("tail", 49, big, 9, 0)]),
        ("default_range", h, dict(act, quant_min=None, quant_max=None, eps=2.0**-23), [("tail", 50, big, 3, 0)]),
        ("weight", "per_channel_min_max", dict(weight, axis=0), [("bell", 51, (8, 3, 3, 3), 0.2, 0)]),
        ("weight_axis1", "per_channel_min_max", dict(weight, axis=1), [("bell", 52, (4, 6, 5), 0.2, 0)]),
        ("weight_small", "per_channel_min_max", dict(weight, axis=0), [("bell", 53, (8, 1, 3, 3), 0.001, 0)]),
        ("channels_affine", "per_channel_min_max", dict(act, qscheme="per_channel_affine", axis=1),
         [("bell", 54, (2, 5, 7), 1, 0.3), ("bell", 55, (2, 5, 7), 1.5, -0.3)]),
        ("weight_tensor", "min_max", dict(weight, qscheme="per_tensor_symmetric"), [("bell", 56, (8, 27), 0.3, 0.1)]),
        ("min_max", "min_max", act, [("bell", 57, big, 1, 0), ("bell", 58, big, 1.1, 0.2)]),
        ("min_max_uint16", "min_max", dict(act, dtype="uint16", quant_min=None, quant_max=None), [("bell", 59, big, 1, 0)]),
        ("min_max_uint16_symmetric", "min_max",
         dict(act, dtype="uint16", qscheme="per_tensor_symmetric", quant_min=None, quant_max=None), [("bell", 59, big, 1, 0)]),
        ("min_max_int32", "min_max", dict(act, dtype="int32", quant_min=None, quant_max=None, eps=2.0**-23),
         [("bell", 60, big, 1, 0)]),
        ("min_max_infinite", "min_max", act, [("infinities", 61, (50,), 1, 0)]),
        ("moving_average", "moving_average_min_max", act, [("bell", 62 + i, big, 1 + i / 8, 0) for i in range(5)]),
        ("moving_average_channels", "moving_average_per_channel_min_max", dict(weight, axis=0),
         [("bell", 70 + i, (6, 30), 1 + i / 8, 0) for i in range(4)]),
        ("never", h, act, []),
        ("never_channels", "per_channel_min_max", dict(weight, axis=0), []),
    ]
    return cases + random_cases(60, 0)


def random_cases(count, seed):
    """Sequences of one to five tensors of any kind, size and scale."""
    act = dict(dtype="int8", qscheme="per_tensor_affine", quant_min=-128, quant_max=127, eps=2.0**-12)
    kinds = ["uniform", "bell", "relu", "relu6", "tail", "outliers", "two", "constant", "infinities"]
    cases = []
    for i in range(seed, seed + count):
        r = uniform(1000 + i, 64)
        inputs = []
        for j in range(1 + int(r[0] * 5)):
            kind = kinds[int(r[8 * j + 1] * len(kinds))]
            scale = f32(2.0 ** int(r[8 * j + 2] * 12 - 6)) * (f32(0.5) + r[8 * j + 3])
            shift = scale * (r[8 * j + 4] - f32(0.5)) if r[8 * j + 5] < 0.7 else f32(0)
            a, b = (shift, scale + shift) if kind in ("uniform", "two") else (scale, shift)
            size = 1 + int(r[8 * j + 6] ** 3 * 20000)
            inputs.append((kind, 2000 + 8 * i + j, (size,), float(f32(a)), float(f32(b))))
        cases.append((f"random{i}", "histogram", act, inputs))
    return cases


def make_observer(observer, settings):
    import torch
    from torchao.quantization.pt2e import observer as ao
    cls = {"histogram": ao.HistogramObserver, "min_max": ao.MinMaxObserver,
           "per_channel_min_max": ao.PerChannelMinMaxObserver,
           "moving_average_min_max": ao.MovingAverageMinMaxObserver,
           "moving_average_per_channel_min_max": ao.MovingAveragePerChannelMinMaxObserver}[observer]
    keys = dict(dtype=getattr(torch, settings["dtype"]), qscheme=getattr(torch, settings["qscheme"]),
                quant_min=settings["quant_min"], quant_max=settings["quant_max"], eps=settings["eps"])
    if "axis" in settings:
        keys["ch_axis"] = settings["axis"]
    return cls(**keys)


def observer_record(case):
    """The lines of one sequence, as torchao computes it."""
    import torch
    name, observer, settings, inputs = case
    given = {k: v for k, v in settings.items() if v is not None and k != "eps"}
    lines = [spec_line("sequence", name=name, observer=observer, **given, eps=bits64(settings["eps"]))]
    o = make_observer(observer, settings)
    for spec in inputs:
        lines.append(input_line(spec))
        o(torch.from_numpy(tensor(spec)))
    low, high = o.min_val.numpy().reshape(-1), o.max_val.numpy().reshape(-1)
    result = dict(min=fnv(low), max=fnv(high))
    if observer == "histogram":
        result["histogram"] = fnv(o.histogram.numpy()) if np.isfinite(low[0]) else "none"
        r = uniform(sum(map(ord, name)), 16)
        for k in range(8 if np.isfinite(low[0]) else 0):
            first, last = sorted((int(r[2 * k] * 2048), int(r[2 * k + 1] * 2048)))
            lines.append(spec_line("error", first=first, last=last, error=bits(o._compute_quantization_error(first, last))))
    scale, zero_point = o.calculate_qparams()
    lines.append(spec_line("expect", **result, scale=fnv(scale.numpy()), zero_point=fnv(zero_point.numpy().astype(np.int64)),
                           first_scale=bits(scale[0].item()), first_zero_point=int(zero_point[0])))
    return lines


def primitive_records():
    import torch
    lines = []
    for i in range(24):
        r = uniform(5000 + i, 4)
        a, b = f32((r[0] - 0.5) * 10.0 ** int(r[1] * 12 - 6)), f32((r[2] + 0.5) * 10.0 ** int(r[3] * 12 - 6))
        a, b = min(a, b), max(a, b)
        count = (2049, 32769, 2, 100)[i % 4]
        out = torch.linspace(torch.tensor(a), torch.tensor(b), count).numpy()
        lines.append(spec_line("linspace", first=bits(a), last=bits(b), count=count, expect=fnv(out)))
    for i, kind in enumerate(["uniform", "bell", "relu", "tail", "outliers"] * 3):
        spec = (kind, 6000 + i, (2048,), 10.0 ** (i - 5), 0.5 if kind == "uniform" else 0.0)
        x = torch.from_numpy(np.abs(tensor(spec)))
        lines.append(input_line(spec))
        lines.append(spec_line("cumsum_of_absolute", expect=fnv(torch.cumsum(x, 0).numpy())))
        lines.append(spec_line("sum_of_absolute", expect=bits(x.sum().item())))
    for i, kind in enumerate(["uniform", "bell", "relu6", "tail", "outliers", "two"] * 3):
        spec = (kind, 7000 + i, (1 + 1777 * i,), 3.0 ** (i - 8), 0.3)
        x = torch.from_numpy(tensor(spec))
        low, high = f32(x.min().item() - 0.1 * (i % 3)), f32(x.max().item() + 0.2 * (i % 2))
        lines.append(input_line(spec))
        lines.append(spec_line("histc", low=bits(low), high=bits(high), expect=fnv(torch.histc(x, 2048, low, high).numpy())))
    return lines


def affine_records():
    import torch
    import torch.ao.quantization.fx._decomposed  # noqa: F401  (registers the operators)
    ops = torch.ops.quantized_decomposed
    lines = []
    ranges = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535),
              "int32": (-2147483648, 2147483647)}
    out_types = ["float32", "float16", "bfloat16"]
    for i in range(45):
        dtype = list(ranges)[i % 5]
        qmin, qmax = ranges[dtype] if i % 2 or dtype == "int32" else (ranges[dtype][0], ranges[dtype][1] - 1)
        r = uniform(8000 + i, 4)
        # int32 must not overflow: the conversion of floats beyond 2^31 is not defined.
        scale = float(f32(r[0] + 0.01)) / (qmax - qmin) * (4 if dtype != "int32" else 2.0**20)
        if i % 3:
            scale = float(f32(scale))
        zero_point = 0 if dtype == "int32" else int(qmin + r[1] * (qmax - qmin))
        spec = (["bell", "uniform", "outliers"][i % 3], 8000 + i, (6, 5, 37), 1.0, 0.25)
        x = torch.from_numpy(tensor(spec))
        in_type, out_type = out_types[(i // 5) % 3], out_types[(i // 15) % 3]
        x = x.to(getattr(torch, in_type))
        t = getattr(torch, dtype)
        q = ops.quantize_per_tensor.default(x, scale, zero_point, qmin, qmax, t)
        d = ops.dequantize_per_tensor.default(q, scale, zero_point, qmin, qmax, t, out_dtype=getattr(torch, out_type))
        common = dict(dtype=dtype, quant_min=qmin, quant_max=qmax, **{"in": in_type, "out": out_type})
        lines.append(input_line(spec))
        lines.append(spec_line("per_tensor", **common, scale=bits64(scale), zero_point=zero_point, quantized=fnv(q.numpy()),
                               dequantized=fnv(d.float().numpy())))
        axis = i % 3
        channels = spec[2][axis]
        # Scales a * 2^-24-multiples of the stream, and zero points spread over the range, as the reader computes them.
        scales = (uniform(9000 + i, channels) + f32(0.01)) * f32(scale)
        points = np.zeros(channels, np.int64) if dtype == "int32" else (
            qmin + (np.arange(channels, dtype=np.int64) * 37) % (qmax - qmin + 1))
        s, z = torch.from_numpy(scales), torch.from_numpy(points)
        q = ops.quantize_per_channel.default(x, s, z, axis, qmin, qmax, t)
        back = "none"  # torch has no uint16 minus int64
        if dtype != "uint16":
            d = ops.dequantize_per_channel.default(q, s, z, axis, qmin, qmax, t, out_dtype=getattr(torch, out_type))
            back = fnv(d.float().contiguous().numpy())
        lines.append(spec_line("per_channel", **common, axis=axis, seed=9000 + i, factor=bits(scale),
                               quantized=fnv(q.contiguous().numpy()), dequantized=back))
        if dtype in ("int8", "uint8"):
            for op, word in ((ops.choose_qparams.tensor, "choose"), (ops.choose_qparams_symmetric.tensor, "choose_symmetric")):
                s, z = op(x, qmin, qmax, 2.0**-12, t)
                lines.append(spec_line(word, dtype=dtype, quant_min=qmin, quant_max=qmax, **{"in": in_type},
                                       scale=bits64(s.item()), zero_point=z.item()))
    return lines


def observer_lines(cases):
    return [line for case in cases for line in observer_record(case)]


def main():
    import torch
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name, lines in (("observers", observer_lines(observer_specs())), ("primitives", primitive_records()),
                        ("affine", affine_records())):
        (OUT / f"{name}.txt").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(lines)} lines")


if __name__ == "__main__":
    sys.exit(main())
