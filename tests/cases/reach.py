"""Programs for the runtime kernels that the other tables leave, and for operators that are known by several names.

NUMBERS reach kernels through operators, SIZES those that compute with sizes; RANDOM draws, so that only its statistics can be compared.
"""

import torch
import torch.nn.functional as F
from torch import nn

from cases import Case, Function, noise, seeded

aten = torch.ops.aten


def of_names() -> dict:
    """The operators that are another one under another name, by that other one."""
    x, y, wide = noise(3, 4), noise(3, 4, seed=1), noise(3, 4).abs() + 1.5
    part, i, j = noise(3, 4).sigmoid(), torch.tensor([3, 1, -2]), torch.tensor([1, 0, 2])
    special = torch.special
    return {
        "signs": (lambda x: (torch.absolute(x), torch.negative(x), torch.fix(x * 3), torch.sgn(x)), x),
        "arcs": (lambda p, w: (torch.arccos(p), torch.arcsin(p), torch.arctan(w), torch.arctanh(p), torch.arcsinh(w), torch.arccosh(w), torch.arctan2(p, w)), part, wide),
        "arithmetic": (lambda x, y: (torch.subtract(x, y, alpha=2), torch.subtract(x, 2), torch.multiply(x, y), torch.multiply(x, 3), torch.divide(x, y), torch.divide(x, 2),
                                     torch.divide(x, y, rounding_mode="floor"), torch.divide(x, 2, rounding_mode="trunc"), torch.true_divide(x, y), torch.true_divide(x, 3)), x, y),
        "comparisons": (lambda x, y: (torch.greater(x, y), torch.greater(x, 0), torch.greater_equal(x, y), torch.greater_equal(x, 0), torch.less(x, y), torch.less(x, 0),
                                      torch.less_equal(x, y), torch.less_equal(x, 0), torch.not_equal(x, y), torch.not_equal(x, 0)), x, y),
        "bits": (lambda i, j: (i << j, i >> j, i ^ j, i & j, i | j, 2 << j, 8 >> j, aten.bitwise_xor(5, i), aten.bitwise_and(5, i), aten.bitwise_or(5, i),
                               torch.remainder(7, i)), i, j),
        "special": (lambda x, p, w: (special.erf(x), special.erfc(x), special.exp2(x), special.expit(x), special.expm1(x), special.log1p(w), special.logsumexp(x, 1),
                                     special.log_softmax(x, 1), special.softmax(x, 0), special.logit(p), special.logit(p, eps=0.3), special.round(x, decimals=1), special.sinc(x)),
                    x, part, wide),
        "x_log_y": (lambda x, w: (special.xlogy(x, w), special.xlogy(x, 2.0), special.xlogy(2.0, w), torch.xlogy(2.0, w)), x, wide),
        "probabilities": (lambda x, p: (special.ndtr(x), special.entr(p), special.entr(x), special.xlog1py(x, p), special.xlog1py(x, 2.0), special.xlog1py(2.0, p)), x, part),
        "losses": (lambda x, y, p: (F.mse_loss(x, y), F.mse_loss(x, y, reduction="none"), F.l1_loss(x, y, reduction="sum"), F.smooth_l1_loss(x, y), F.smooth_l1_loss(x, y, beta=0.0),
                                    F.smooth_l1_loss(x, y, beta=0.3, reduction="none"), F.huber_loss(x, y, delta=0.7), F.soft_margin_loss(x, y.sign()),
                                    F.binary_cross_entropy(p, y.sigmoid()), F.binary_cross_entropy(p, y.sigmoid(), weight=p, reduction="none"),
                                    F.binary_cross_entropy_with_logits(x, p), F.binary_cross_entropy_with_logits(x, p, weight=p, pos_weight=p[0] + 1, reduction="sum"),
                                    F.kl_div(x, p), F.kl_div(x, y, log_target=True, reduction="batchmean")), x, y, part),
        "losses_of_classes": (lambda x, t, m, n, p: (F.cross_entropy(x, t), F.cross_entropy(x, t, reduction="none"), F.cross_entropy(x, t, ignore_index=2), F.cross_entropy(x[0], t[0]),
                                                     F.cross_entropy(m, n, reduction="sum"), F.cross_entropy(x, p), F.nll_loss(x, t), F.nll_loss(m, n, ignore_index=1)),
                              x, torch.tensor([3, 2, 0]), noise(2, 4, 3, 5, seed=7), torch.arange(30).reshape(2, 3, 5) % 4, part),
        "norms": (lambda x, v: (torch.linalg.norm(x), torch.linalg.norm(v), torch.linalg.norm(v, dim=1, keepdim=True), torch.linalg.norm(v, ord=3, dim=-1), torch.linalg.norm(x[0], ord=1),
                                torch.linalg.norm(x, ord="fro"), torch.linalg.norm(x, ord=1), torch.linalg.norm(v, ord=float("inf"), dim=(0, 2), keepdim=True), torch.linalg.norm(x, ord=-1),
                                torch.linalg.norm(x, ord=-float("inf")), torch.linalg.matrix_norm(v), torch.linalg.matrix_norm(v, ord=1, dim=(2, 0)), torch.linalg.vecdot(v, v + 1)),
                  x, noise(2, 3, 4, seed=5)),
        "raised": (lambda x: (*torch.atleast_1d(x, x[0, 0]), *torch.atleast_2d(x, x[0], x[0, 0]), *torch.atleast_3d(x, x[0, 0]), torch.diagflat(x), torch.diagflat(x[0], -1),
                              torch.float_power(2.0, x)), x),
        "products": (lambda a, b: (torch.linalg.matmul(a, b), torch.chain_matmul(a, b, a), torch.vdot(a[0], b[:, 0]), torch.row_stack([a, a])), noise(4, 3), noise(3, 4, seed=1)),
        "parts": (lambda x: (*torch.unsafe_chunk(x, 2, 1), *torch.unsafe_split(x, 2, 1), *torch.unsafe_split_with_sizes(x, [1, 3], 1)), x),
        "axes": (lambda x: (torch.moveaxis(x, 0, -1), torch.moveaxis(x, (0, 1), (1, 0)), x.mH, x.adjoint(), x[0].H), noise(2, 3, 4)),
        "kept": (lambda x: (x.resolve_conj() + 1, x.resolve_neg() + 1, aten.lift(x) + 1), x),
        "bounds": (lambda x, y: (torch.clip(x, y, y + 1), torch.clip(x, max=y), torch.clamp(x, y, y + 1)), x, noise(4, seed=2)),
        "statistics": (lambda x: (*torch.var_mean(x), *torch.std_mean(x), *torch.std_mean(x, unbiased=False)), x),
        "all_of_several": (lambda x: ((x > -9).all((0, 2)), (x > 0).all((0, 1), keepdim=True), (x > 1).any((0, 2)), aten.any.dims(x > 0, None)), noise(2, 3, 4)),
        "made": (lambda x: (torch.eye(3), torch.eye(3, 4) * x, torch.linspace(-1, 2, 4) * x, torch.linspace(5, 1, 9), aten.zero(x) + 1), x),
    }


def of_kernels() -> dict:
    """The runtime's kernels by operators of their own name."""
    x, image, counts = noise(3, 4), noise(1, 2, 6, 6), torch.tensor([3, 0, 2])
    line, volume = noise(1, 2, 7), noise(1, 2, 4, 4, 4)
    mean, variance = noise(2, seed=3), noise(2, seed=4).abs() + 0.5
    gradient, weight = noise(1, 2, 6, 6, seed=5), noise(2, 2, 3, 3, seed=6)
    return {
        "copies": (lambda x: (aten.squeeze_copy.dim(x[:1], 0), aten.squeeze_copy.dims(x[:1], [0]), aten.squeeze_copy(x[:1]), aten.t_copy(x), aten.transpose_copy.int(x, 0, 1),
                              aten.unsqueeze_copy(x, 0), aten.detach_copy(x), aten.alias_copy(x), aten.slice_copy(x, 1, 0, 2), aten.select_copy.int(x, 1, 0), aten.expand_copy(x, [2, 3, 4]),
                              aten.view_copy(x, [4, 3]), aten.permute_copy(x, [1, 0]), aten.unfold_copy(x, 1, 2, 1), aten.diagonal_copy(x), aten.narrow_copy(x, 1, 1, 2),
                              aten.as_strided_copy(x, [2, 2], [4, 1], 1)), x),
        "part_copies": (lambda x: (*aten.split_copy.Tensor(x, 2, 1), *aten.split_with_sizes_copy(x, [1, 3], 1), *aten.unbind_copy.int(x, 0)), x),
        "strided": (lambda x: x.as_strided((2, 2), (4, 1), 1) * 2, x),
        "distances": (lambda x, y: (aten._cdist_forward(x, y, 2.0, None), aten._pdist_forward(x, 2.0)), x, noise(5, 4, seed=1)),
        "masked": (lambda x, m, s: (x.masked_scatter(x > 0, s), torch.masked_select(x, m), x[x > 0], torch.masked_select(x, m[:1])), x, noise(3, 4, seed=2) > 0, noise(12, seed=3)),
        "resized": (lambda x: (aten._upsample_bilinear2d_aa(x, [3, 9], False), aten._upsample_bicubic2d_aa(x, [3, 9], False), aten.upsample_bicubic2d(x, [9, 4], True),
                               aten._upsample_nearest_exact2d(x, [9, 4]), aten.upsample_nearest2d(x, [9, 4]), aten.upsample_bilinear2d(x, [9, 4], False, 1.6, 0.7)), image),
        "resized_lines": (lambda x: (aten.upsample_nearest1d(x, [9]), aten.upsample_linear1d(x, [9], False), aten.upsample_linear1d(x, [10], False, 1.5), aten._upsample_nearest_exact1d(x, [9])), line),
        "resized_volumes": (lambda x: (aten.upsample_trilinear3d(x, [3, 6, 5], False), aten.upsample_nearest3d(x, [3, 6, 5]), aten._upsample_nearest_exact3d(x, [3, 6, 5])), volume),
        "padded_volumes": (lambda x: (F.pad(x, (1, 2, 0, 1, 2, 1), mode="reflect"), F.pad(x, (1, 2, 0, 1, 2, 1), mode="replicate")), volume),
        "dropout": (lambda x: aten.native_dropout(x, 0.5, False)[0] + 1, x),
        "batch_norms": (lambda x, m, v: (aten._native_batch_norm_legit(x, None, None, m, v, False, 0.1, 1e-5)[0], aten.native_batch_norm(x, None, None, m, v, False, 0.1, 1e-5)[0],
                                         aten._native_batch_norm_legit.no_stats(x, None, None, True, 0.1, 1e-5)[0]), image, mean, variance),
        "convolution_backward": (lambda x, g, w: aten.convolution_backward(g, x, w, [2], [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, True]), image, gradient, weight),
        "max_pool_backward": (lambda x, g: aten.max_pool2d_with_indices_backward(g[:, :, :3, :3], x, [2, 2], [2, 2], [0, 0], [1, 1], False, F.max_pool2d(x, 2, return_indices=True)[1]),
                              image, gradient),
        "functions": (lambda x, y: (x.ceil(), x.floor(), x.cosh(), x.sinh(), x.tan(), (x.abs() + 0.1).log10(), (x.abs() + 0.1).log2(), torch.isinf(x / 0), torch.isnan(x * 0 / 0),
                                    torch.fmod(x, y), torch.remainder(x, y), torch.logical_xor(x > 0, y > 0)), x, noise(4, seed=8)),
        "extremes": (lambda x: (x.argmin(1), x.max(), x.min(), *x.min(1)), x),
        "padded_lines": (lambda x: (F.pad(x, (2, 1), mode="reflect"), F.pad(x, (2, 1), mode="replicate")), line),
        "one_row_replaced": (lambda x, y: torch.select_scatter(x, y, 0, 1), x, noise(4, seed=9)),
        "nothing_times_random": (lambda x: x + torch.rand(3, 4) * 0 + torch.randn(3, 4) * 0, x),
        "products_of_all": (lambda x: (x.prod(), x.prod(1), x.long().prod()), x),
        "item": (lambda x, n: x * n.item(), x, torch.tensor(2.5)),
        "item_of_half": (lambda x, n: x * n.item(), x, torch.tensor(2.5, dtype=torch.float16)),
        "repeated_by_counts": (lambda x, n: x.repeat_interleave(n, 0, output_size=5), x, counts),
        "repeated_by_small_counts": (lambda x, n: x.repeat_interleave(n, 0, output_size=5), x, counts.int()),
        "repeated_columns": (lambda x, n: x.repeat_interleave(n, -1, output_size=7), x, torch.tensor([1, 0, 4, 2])),
        "repeated_flat": (lambda x, n: x[:, :1].repeat_interleave(n, output_size=5), x, counts),
        "repeated_by_one": (lambda x, n: x.repeat_interleave(n, 1, output_size=8), x, torch.tensor([2])),
        "repeated_by_constant": (lambda x: x.repeat_interleave(torch.tensor([3, 0, 2]), 0) * 2, x),
        "repeated_by_one_constant": (lambda x: x.repeat_interleave(torch.tensor(2), 1) * 2, x),
        "repeated_numbers": (lambda n: torch.repeat_interleave(n, output_size=5), counts),
        "repeated_rows_of_a_batch": (lambda x, n: F.pad(x.repeat_interleave(n, 1, output_size=5).relu(), (1, 1)), noise(2, 3, 4), counts),
    }


def of_quantized() -> dict:
    import executorch.exir.passes._quant_patterns_and_replacements  # noqa: F401 - registers embedding_byte and its kin
    import torchao.quantization.pt2e  # noqa: F401 - registers quantized_decomposed

    q, x, rows = torch.ops.quantized_decomposed, noise(3, 8), torch.tensor([2, 0, 3])
    generator = torch.Generator().manual_seed(0)
    byte = torch.randint(-128, 128, (4, 8), generator=generator).to(torch.int8)
    packed = torch.randint(0, 256, (4, 8), generator=generator).to(torch.uint8)
    scales = noise(4, seed=1).abs() + 0.1

    def per_token(x):
        scale, zero_point = q.choose_qparams_per_token_asymmetric(x, torch.int8)
        integers = q.quantize_per_token(x, scale, zero_point, -128, 127, torch.int8)
        return integers, q.dequantize_per_token(integers, scale, zero_point, -128, 127, torch.int8, torch.float32)

    def chosen(x):
        scale, zero_point = q.choose_qparams.tensor(x, -128, 127, 1.1920928955078125e-07, torch.int8)
        integers = q.quantize_per_tensor.tensor(x, scale, zero_point, -128, 127, torch.int8)
        return integers, q.dequantize_per_tensor.tensor(integers, scale, zero_point, -128, 127, torch.int8)

    return {
        "per_token": (per_token, x),
        "chosen": (chosen, x),
        "per_tensor": (lambda x: q.quantize_per_tensor(x, 0.02, 3, -128, 127, torch.int8), x),
        "integers": (lambda i: q.dequantize_per_tensor(i, 0.02, 3, -128, 127, torch.int8) * 2, byte),
        "integers_of_channels": (lambda i, s, z: q.dequantize_per_channel(i, s, z, 0, -128, 127, torch.int8) * 2, byte, scales.double(), torch.tensor([0, 3, -2, 1])),
        "per_channel": (lambda x, s, z: q.quantize_per_channel(x * 1.5, s, z, 0, -127, 127, torch.int8), x, scales[:3].double(), torch.tensor([0, 3, -2])),
        "embedding_byte": (lambda i: q.embedding_byte(byte, scales, None, -128, 127, i), rows),
        "embedding_4bit": (lambda i: q.embedding_4bit(packed, scales, None, -8, 7, i), rows),
        "embedding_2bit": (lambda i: q.embedding_2bit(packed, scales, None, -2, 1, i), rows),
    }


def bounded_repeat(x, n):
    """How long the result is, data decides; the program says how long it can be."""
    y = x.repeat_interleave(n, dim=0)
    torch._check(y.shape[0] <= 16)
    return y * 2


def bounded_numbers(n):
    y = torch.repeat_interleave(n)
    torch._check(y.shape[0] <= 16)
    return y + 1


def on_sizes(function, smallest=2) -> Case:
    """Calls at several sizes."""
    rows = torch.export.Dim.DYNAMIC(min=smallest, max=12)
    return Case(Function(function).eval(), [(noise(n, 4, seed=n),) for n in (5, 6, 8, 3)], shapes=(({0: rows},),))


def branch(decide):
    return lambda x: torch.cond(decide(x.shape[0]), lambda x: x + 1, lambda x: x - 1, (x,))


class Counts(nn.Module):
    """One row for each token of a text, as long as it is spoken: the length regulator of FastSpeech."""

    def __init__(self):
        super().__init__()
        self.embed, self.predict, self.decode = nn.Embedding(9, 8), nn.Linear(8, 1), nn.Linear(8, 6)

    def forward(self, tokens):
        x = self.embed(tokens)
        durations = (self.predict(x).squeeze(-1).exp() * 2).round().clamp(1, 4).long()
        frames = x.repeat_interleave(durations, 0)
        torch._check(frames.shape[0] <= 24)
        return self.decode(frames)


def of_sizes() -> dict:
    counts = [torch.tensor([3, 0, 2]), torch.tensor([0, 0, 1]), torch.tensor([5, 5, 6])]
    with seeded():
        spoken = Case(Counts().eval(), [(torch.tensor(row),) for row in ([1, 2, 3, 4, 5, 6], [8, 8, 7, 1, 0, 0])])
    return {
        "bounded_repeat": Case(Function(bounded_repeat), [(noise(3, 4), n) for n in counts]),
        "bounded_numbers": Case(Function(bounded_numbers), [(n,) for n in counts]),
        "length_regulator": spoken,
        "floor_division": on_sizes(lambda x: x[: x.shape[0] // 2] * 2),
        "remainder": on_sizes(lambda x: x + x.shape[0] % 3),
        "sum": on_sizes(lambda x: x + (x.shape[0] + 3)),
        "difference": on_sizes(lambda x: x + (20 - x.shape[0])),
        "made": on_sizes(lambda x: x + torch.arange(x.shape[0])[:, None] + torch.full((x.shape[0], 4), 2.0)),
        "triangle": on_sizes(lambda x: x.tril()),
        "opposite": on_sizes(lambda x: x + (-x.shape[0])),
        "larger": on_sizes(lambda x: x + torch.sym_max(x.shape[0], 6)),
        "smaller": on_sizes(lambda x: x + torch.sym_min(x.shape[0], 6)),
        "quotient": on_sizes(lambda x: x / (x.shape[0] / 2)),
        "as_real": on_sizes(lambda x: x * torch.sym_float(x.shape[0])),
        "as_integer": on_sizes(lambda x: x * torch.sym_int(x.shape[0] * 0.5)),
        "square": on_sizes(lambda x: x * x.shape[0] ** 2),
        "root": on_sizes(lambda x: x / x.shape[0] ** 0.5),
        "shifted": on_sizes(lambda x: x + (x.shape[0] << 2) - (x.shape[0] >> 1)),
        "elements": on_sizes(lambda x: x * x.numel()),
        "decides_less": on_sizes(branch(lambda n: n < 6)),
        "decides_at_most": on_sizes(branch(lambda n: n <= 6)),
        "decides_greater": on_sizes(branch(lambda n: n > 6)),
        "decides_at_least": on_sizes(branch(lambda n: n >= 6)),
        "decides_equal": on_sizes(branch(lambda n: n == 6)),
        "decides_not_equal": on_sizes(branch(lambda n: n != 6)),
        "decides_both": on_sizes(branch(lambda n: (n > 5) & (n < 8))),
        "decides_either": on_sizes(branch(lambda n: (n > 7) | (n < 5))),
        "decides_not": on_sizes(branch(lambda n: torch.sym_not(n > 6))),
    }


NUMBERS = {f"{kind}_{name}": Case(Function(function), [tuple(inputs)])
           for kind, table in (("name", of_names()), ("kernel", of_kernels()), ("quantized", of_quantized())) for name, (function, *inputs) in table.items()}
SIZES = {f"size_{name}": case for name, case in of_sizes().items()}

# Program, smallest and largest possible value, mean.
RANDOM = {
    "rand": (lambda x: torch.rand(4000) + x, 0, 1, 0.5),
    "rand_like": (lambda x: torch.rand_like(x), 0, 1, 0.5),
    "randn": (lambda x: torch.randn(4000) + x, -8, 8, 0),
    "randn_like": (lambda x: torch.randn_like(x), -8, 8, 0),
    "uniform": (lambda x: aten.uniform(x, 2.0, 4.0), 2, 4, 3),
    "normal": (lambda x: torch.normal(3.0, 0.5, (4000,)) + x, -1, 7, 3),
    "normal_of_tensors": (lambda x: torch.normal(x + 3, x + 0.5), -1, 7, 3),
    "exponential": (lambda x: aten.exponential(x, 2.0), 0, 20, 0.5),
    "bernoulli": (lambda x: torch.bernoulli(x + 0.25), 0, 1, 0.25),
    "bernoulli_p": (lambda x: aten.bernoulli.p(x, 0.75), 0, 1, 0.75),
    "randint": (lambda x: torch.randint(10, (4000,)) + x.long(), 0, 9, 4.5),
    "randint_low": (lambda x: torch.randint(-3, 4, (4000,)) + x.long(), -3, 3, 0),
    "randint_like": (lambda x: torch.randint_like(x, 2, 6), 2, 5, 3.5),
    "randperm": (lambda x: torch.randperm(4000) + x.long(), 0, 3999, 1999.5),
}
