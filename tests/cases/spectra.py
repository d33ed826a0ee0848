"""Complex numbers: Fourier transforms of every kind, speech front ends, rotary embeddings and arithmetic."""

import torch
from torch import nn
from torch.nn import functional as F

from torch._higher_order_ops.scan import scan

from cases import Case, Function, noise, seeded

NORMS = ("backward", "ortho", "forward")


def pairs(z):
    return torch.view_as_real(z.resolve_conj())


class Spectrogram(nn.Module):
    """torchaudio's, of plain operators; `power` None gives the complex spectrum as pairs."""

    def __init__(self, n_fft=64, hop=16, window=torch.hann_window, power=2.0, **options):
        super().__init__()
        self.n_fft, self.hop, self.power, self.options = n_fft, hop, power, options
        self.register_buffer("window", window(options.pop("win_length", n_fft)))

    def forward(self, x):
        flat = x.flatten(0, -2) if x.dim() > 2 else x
        spectrum = torch.stft(flat, self.n_fft, self.hop, self.window.shape[0], self.window, return_complex=True, **self.options)
        spectrum = spectrum.unflatten(0, x.shape[:-1]) if x.dim() > 2 else spectrum
        return pairs(spectrum) if self.power is None else spectrum.abs().pow(self.power)


class LogMel(nn.Module):
    def __init__(self, bands=12, **options):
        super().__init__()
        self.spectrogram = Spectrogram(**options)
        centers = torch.linspace(0, self.spectrogram.n_fft // 2, bands + 2)
        bins = torch.arange(self.spectrogram.n_fft // 2 + 1.0)[:, None]
        rising, falling = (bins - centers[:-2]) / centers.diff()[:-1], (centers[2:] - bins) / centers.diff()[1:]
        self.register_buffer("bank", torch.minimum(rising, falling).clamp(min=0))

    def forward(self, x):
        mel = torch.matmul(self.spectrogram(x).transpose(-1, -2), self.bank).transpose(-1, -2)
        return 10 * torch.log10(mel.clamp(min=1e-10))


class LogPower(nn.Module):
    """Most of what a spectrum shows is small beside its peaks: a layer reads the logarithms."""

    def __init__(self):
        super().__init__()
        self.spectrogram, self.layer = Spectrogram(), nn.Linear(33, 8)

    def forward(self, x):
        return self.layer((self.spectrogram(x) + 1e-6).log().transpose(-1, -2))


class Whisper(nn.Module):
    """Its log-mel: the last frame dropped, the range cut below the peak."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(80))
        self.register_buffer("bank", noise(10, 41).abs())

    def forward(self, x):
        spectrum = torch.stft(x, 80, 32, window=self.window, return_complex=True)
        mel = self.bank @ (spectrum[..., :-1].abs() ** 2)
        log = torch.clamp(mel, min=1e-10).log10()
        return (torch.maximum(log, log.max() - 8.0) + 4.0) / 4.0


class Recognizer(nn.Module):
    """A front end and a network behind it: what recipes quantize."""

    def __init__(self):
        super().__init__()
        self.front = LogMel(bands=16)
        self.body = nn.Sequential(nn.Conv1d(16, 24, 3, padding=1), nn.ReLU(), nn.Conv1d(24, 24, 3, stride=2), nn.ReLU())
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        return self.head(self.body(self.front(x) / 20).mean(-1))


class RotaryAttention(nn.Module):
    """Llama's first form: a buffer of complex numbers on the unit circle turns queries and keys."""

    def __init__(self, width=32, heads=2, tokens=12):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        size = width // heads
        angles = torch.outer(torch.arange(tokens), 1.0 / 100 ** (torch.arange(0, size, 2)[: size // 2].float() / size))
        self.register_buffer("freqs_cis", torch.polar(torch.ones_like(angles), angles))

    def turned(self, x):
        z = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        freqs = self.freqs_cis[: x.shape[1]].view(1, x.shape[1], 1, -1)
        return torch.view_as_real(z * freqs).flatten(3).type_as(x)

    def forward(self, x):
        query, key, value = (part.unflatten(-1, (self.heads, -1)) for part in self.qkv(x).chunk(3, -1))
        query, key = self.turned(query), self.turned(key)
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        weights = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5).softmax(-1)
        return x + self.out((weights @ value).transpose(1, 2).flatten(2))


class FourierLayer(nn.Module):
    """A Fourier neural operator's: low frequencies are mixed by complex weights, written into zeros."""

    def __init__(self, channels=4, modes=3):
        super().__init__()
        self.modes = modes
        self.low = nn.Parameter(torch.randn(channels, channels, modes, modes, dtype=torch.cfloat) / channels)
        self.high = nn.Parameter(torch.randn(channels, channels, modes, modes, dtype=torch.cfloat) / channels)

    def forward(self, x):
        spectrum = torch.fft.rfft2(x)
        out = torch.zeros(*x.shape[:2], x.shape[-2], x.shape[-1] // 2 + 1, dtype=torch.cfloat)
        out[:, :, : self.modes, : self.modes] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, : self.modes, : self.modes], self.low)
        out[:, :, -self.modes :, : self.modes] = torch.einsum("bixy,ioxy->boxy", spectrum[:, :, -self.modes :, : self.modes], self.high)
        return torch.fft.irfft2(out, s=(x.shape[-2], x.shape[-1]))


class GlobalFilter(nn.Module):
    """GFNet's: the filter is kept as pairs."""

    def __init__(self, size=8, width=6):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(size, size // 2 + 1, width, 2) * 0.1)

    def forward(self, x):
        spectrum = torch.fft.rfft2(x, dim=(1, 2), norm="ortho") * torch.view_as_complex(self.weight)
        return torch.fft.irfft2(spectrum, s=x.shape[1:3], dim=(1, 2), norm="ortho")


class ComplexLayers(nn.Module):
    """With complex weights and biases."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 5, dtype=torch.cfloat)
        self.conv = nn.Conv1d(2, 3, 3, dtype=torch.cfloat)

    def forward(self, x):
        z = torch.fft.rfft(x)
        return pairs(self.linear(z)), self.conv(z.reshape(1, 2, -1)).abs(), (z @ z.mH).std(-1)


class LongConvolution(nn.Module):
    """By the convolution theorem, with a filter as long as the signal."""

    def __init__(self, length=50):
        super().__init__()
        self.filter = nn.Parameter(torch.randn(3, length) * 0.2)

    def forward(self, x):
        length = x.shape[-1]
        product = torch.fft.rfft(x, n=2 * length) * torch.fft.rfft(self.filter, n=2 * length)
        return torch.fft.irfft(product, n=2 * length)[..., :length]


class SpectralHead(nn.Module):
    """Vocos's: magnitude and phase to a waveform."""

    def __init__(self):
        super().__init__()
        self.out = nn.Linear(8, 2 * 17)
        self.register_buffer("window", torch.hann_window(32))

    def forward(self, x):
        magnitude, phase = self.out(x).transpose(1, 2).chunk(2, 1)
        magnitude = magnitude.exp().clip(max=1e2)
        return torch.istft(magnitude * (torch.cos(phase) + 1j * torch.sin(phase)), 32, 8, 32, self.window, center=True)


def separated(x):
    """A mask on the spectrum, as separation and enhancement have it."""
    window = torch.hann_window(64)
    spectrum = torch.stft(x, 64, 16, window=window, return_complex=True)
    mask = torch.sigmoid(spectrum.abs().log1p() - 1)
    return torch.istft(mask * spectrum, 64, 16, window=window, length=x.shape[-1])


def joined_again(x):
    spectrum = torch.fft.rfft(x)
    return torch.fft.irfft(torch.polar(spectrum.abs(), spectrum.angle()), n=x.shape[-1])


def written_in_place(x):
    z = torch.fft.rfft(x)
    z[..., 0] = 0
    z[..., 2:4] *= 1j
    z.real.mul_(2)
    z.add_(0.5 - 1j)
    return pairs(z)


def input_written_in_place(z):
    part = z[1:, ::2]
    z.mul_(2j)
    part.add_(1 - 1j)
    z.imag.sub_(0.25)
    return z, part * 2, z.abs()


def moved(x):
    z = torch.view_as_complex(x.reshape(3, 4, 5, 2))
    z = torch.cat([z.transpose(0, 1), z.permute(1, 0, 2) * 2], -1).flip(1)
    z = torch.stack([z, -z], 1).flatten(1, 2).unsqueeze(0).squeeze(0)
    z = z[:, torch.tensor([0, 2, 4])][:, :2, 1:7:2]
    first, second = z.chunk(2, 1)
    return pairs(torch.where(first.real > 0, first, second).reshape(-1, 3).roll(1, 0).expand(2, 4, 3))


def counted(x):
    z = torch.complex(x, x.flip(-1))
    return pairs(z / (z.conj() + 3) - 2.5 * z + (1 - 2j) - z.mean(0, keepdim=True) + z.sum(-1, keepdim=True) / 3j + 1 / (z + 4))


def functions(x):
    z = torch.complex(x, x.flip(-1))
    return torch.cat([pairs(part).flatten() for part in (z.exp(), (z + 4).log(), z**3, (z + 5).sqrt(), z.square(), z.sgn(), z**-2)])


UNARY = ("exp exp2 expm1 log log2 log10 log1p sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid square "
         "reciprocal sgn sinc nan_to_num neg positive").split()


def of_one_number(names):
    """Also where real or imaginary parts are 0; not the inverses of angles, for whose side of a cut the sign of that 0 decides."""

    def call(x, y):
        z = torch.complex(x, y).flatten()
        axes = torch.cat([z, torch.complex(x[0].abs(), 0 * x[0]), torch.complex(0 * y[0], y[0])])
        return [pairs(getattr(torch, name)(z if name.startswith("a") else axes)) for name in names]

    return call


def activations(x, y):
    z = torch.complex(x, y)
    return [pairs(F.silu(z)), (z * (x > 0)).logical_not().float(), torch.isfinite(z / (x > 0)).float() + x, z.isreal() + y]


def powers(x, y):
    z, w = torch.complex(x, y), torch.complex(y, x)
    some = [z**w, z**0.5, z ** (0.5 + 1j), 2.0**z, (1 - 2j) ** z, x.abs() ** z, z**x, z**7, z**-3, (z * (x > 0)) ** (1.5 - 0.5j)]
    return [pairs(value) for value in some]


def products(x, y):
    z, w = torch.complex(x, y), torch.complex(y, x)
    some = [z.cumprod(-1), z.cumprod(0), z.prod(), z.prod(1), z.prod(0, keepdim=True), torch.addcdiv(z, w, z + 3, value=2 - 1j)]
    some += [torch.addcmul(x, z, w), torch.linalg.cross(z[:, :3], w[:, :3]), (z @ w.T).trace()]
    return [pairs(value) for value in some]


class Resonator(nn.Module):
    """A complex state that every call turns and adds to."""

    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place
        self.register_buffer("state", torch.complex(torch.linspace(-1, 1, 6), torch.linspace(2, 0, 6)))
        self.register_buffer("turn", torch.polar(torch.full((6,), 0.9), torch.linspace(0, 3, 6)))

    def forward(self, x):
        before = self.state.abs()
        if self.in_place:
            self.state.mul_(self.turn)
            self.state[1:4] += x[:3]
        else:
            self.state.copy_(self.state * self.turn + x)
        return before, pairs(self.state), self.state.angle()


def chosen(x, y):
    """A branch that complex numbers go into and out of, with a constant inside."""
    z = torch.complex(x, y)
    turn = torch.polar(torch.tensor(2.0), torch.tensor(0.5))
    return pairs(torch.cond(x.sum() > 0, lambda z, x: (z * turn).exp() + x, lambda z, x: z.conj() / (1 + 2j), (z, x)))


def chosen_inside(x, y):
    """Complex numbers in a branch alone."""
    return torch.cond(x.sum() > 0, lambda x, y: torch.fft.rfft(x).abs().sum(-1) + y.sum(-1), lambda x, y: torch.complex(x, y).angle().sum(-1), (x, y))


def turned_on(x, y):
    """A loop that carries, takes and gives complex numbers."""
    z = torch.complex(x, y)
    last, all = scan(lambda h, row: (h * (0.5 + 0.5j) + row, (h * row).sinh()), z[0].clone(), z, dim=0)
    return pairs(last), pairs(all)


def mixed(x):
    z, w = torch.fft.rfft(x), torch.fft.rfft(x * x)
    sums = torch.zeros(3, z.shape[-1], dtype=z.dtype).index_add(0, torch.arange(len(x)) % 3, z)
    parts = (torch.addcmul(z, z, w, value=0.5), z.lerp(w, 0.3), torch.vdot(z[0], w[0]), sums, z.cumsum(-1), z.unbind(0)[1])
    return torch.cat([pairs(part).flatten() for part in parts])


def multiplied(x):
    z, w = torch.fft.rfft(x), torch.fft.rfft(x * x)
    product = z @ w.transpose(-1, -2)
    return torch.cat([pairs(product).flatten(), torch.einsum("ij,ij->i", z, w.conj()).abs(), torch.linalg.vector_norm(z, dim=-1)])


class Several(nn.Module):
    """Many functions of the same inputs, exported and lowered once."""

    def __init__(self, functions):
        super().__init__()
        self.functions = functions

    def forward(self, *inputs):
        return [function(*inputs) for function in self.functions]


def of_real(function):
    def call(x, y, **options):
        result = function(x, **options)
        return pairs(result) if result.is_complex() else result

    return call


def of_complex(function):
    return lambda x, y, **options: of_real(function)(torch.complex(x, y), y, **options)


# What a transform takes, where that is not both.
TAKES = {"rfft": [of_real], "ihfft": [of_real], "rfft2": [of_real], "rfftn": [of_real], "hfft": [of_complex]}


def with_options(functions, *options):
    return [lambda x, y, f=function, o=option: f(x, y, **o) for function in functions for option in options]


def named(*names):
    return [of(getattr(torch.fft, name)) for name in names for of in TAKES.get(name, [of_real, of_complex])]


def of_length(length):
    """There and back, real and complex."""
    return [
        lambda x, y: pairs(torch.fft.rfft(x[:, :length])),
        lambda x, y: torch.fft.irfft(torch.fft.rfft(x[:, :length]) * 2, n=length),
        lambda x, y: pairs(torch.fft.fft(torch.complex(x, y)[:, :length])),
        lambda x, y: pairs(torch.fft.ifft(torch.fft.fft(x[:, :length]) * 2j)),
    ]


ONE_DIMENSION = ("rfft", "irfft", "fft", "ifft", "hfft", "ihfft")
SEVERAL_DIMENSIONS = [
    *with_options(named("rfft2", "irfft2", "fft2", "ifft2"), {}, {"dim": (2, 0), "norm": "ortho"}, {"s": (6, 7)}),
    *with_options(named("rfftn", "irfftn", "fftn", "ifftn"), {}, {"s": (3, 5, 11), "norm": "forward"}, {"s": (5, 6), "dim": (0, 2)}),
    lambda x, y: torch.fft.hfft2(torch.complex(x, y)),
    lambda x, y: pairs(torch.fft.ihfft2(x)),
    lambda x, y: torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(x)), dim=(-2, -1)).abs(),
    lambda x, y: torch.fft.fftfreq(10, 0.5) * x + torch.fft.rfftfreq(19),
    lambda x, y: torch.fft.rfft((x * 10).int()).abs(),
    lambda x, y: torch.fft.irfft(torch.fft.rfft(x.double()) * torch.fft.rfft(y.double())),
]


def stft(n_fft, *arguments, window=torch.hann_window, take=pairs, **options):
    return lambda x: take(torch.stft(x, n_fft, *arguments, window=window(options.get("win_length", n_fft)), return_complex=True, **options))


STFT = [
    stft(64, 16),
    stft(51, 20),
    stft(37, 37, take=torch.abs),
    stft(64, 16, center=False),
    stft(64, 16, pad_mode="constant"),
    stft(64, 16, pad_mode="replicate"),
    stft(64, 16, win_length=41),
    stft(64, 16, window=torch.hamming_window, normalized=True),
    stft(64, 16, onesided=False),
    stft(40, take=lambda z: z.angle().cos()),
    stft(40, window=torch.blackman_window, take=lambda z: torch.view_as_real(z).pow(2).sum(-1)),
    stft(40, window=torch.bartlett_window, take=torch.abs),
    stft(40, window=torch.kaiser_window, take=torch.abs),
    lambda x: stft(40)(x[0]),
    lambda x: torch.stft(x, 40, return_complex=True).abs(),
    lambda x: stft(32, 8)(torch.complex(x, x.flip(0))),
    lambda x: (torch.fft.rfft(x.unfold(-1, 80, 40) * torch.hann_window(80), n=128).abs() ** 2 + 1e-6).log(),
]


def there_and_back(*arguments, window=torch.hann_window, of=lambda x: x, **options):
    window = window(arguments[0])
    forward = {key: value for key, value in options.items() if key != "length"}
    return lambda x: torch.istft(torch.stft(of(x), *arguments, window=window, return_complex=True, **forward) * 2, *arguments, window=window, **options)


ISTFT = [
    there_and_back(60, 15, normalized=True),
    there_and_back(50, 20, window=torch.hamming_window),
    there_and_back(32, 8, onesided=False),
    there_and_back(64, 16, of=lambda x: x[1]),
    there_and_back(64, 16, length=400),
    there_and_back(64, 16, length=390),
    there_and_back(40, 10, window=torch.ones, center=False),
    separated,
]
ARITHMETIC = [
    counted,
    functions,
    multiplied,
    mixed,
    moved,
    written_in_place,
    joined_again,
    lambda x: pairs(torch.exp(1j * x) * x),
    lambda x: torch.fft.rfft(x).conj().imag + torch.fft.rfft(x).real,
    lambda x: torch.fft.rfft(x).abs(),
    lambda x: x + torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real,
]


def of_modules() -> dict:
    signal, x, y = noise(2, 400, seed=3), noise(3, 4, 10, seed=1), noise(3, 4, 10, seed=2)
    square = noise(6, 20, seed=5)
    return {
        "lengths": (Several([f for length in (1, 2, 7, 8, 17, 101) for f in of_length(length)]), noise(2, 101), noise(2, 101, seed=1)),
        "normalizations": (Several(with_options(named(*ONE_DIMENSION), *({"norm": norm} for norm in NORMS))), x, y),
        "cut_and_padded": (Several(with_options(named(*ONE_DIMENSION), *({"n": n, "dim": dim} for n in (4, 9, 16) for dim in (-1, 0, 1)))), x, y),
        "several_dimensions": (Several(SEVERAL_DIMENSIONS), x, y),
        "stft": (Several(STFT), signal),
        "istft": (Several(ISTFT), signal),
        "arithmetic": (Several(ARITHMETIC), square),
        "complex_input": (Function(lambda z: (z * z.conj()).real + z.angle()), torch.complex(square, square.flip(0))),
        "complex_input_written": (Function(input_written_in_place), torch.complex(square, square.flip(0))),
        "complex_output": (Function(lambda x: (torch.fft.rfft(x), torch.fft.fft(x) * 2)), square),
        "spectral_head": (SpectralHead(), noise(2, 9, 8)),
        "log_mel": (LogMel(), noise(2, 3, 300)),
        "log_mel_magnitude": (LogMel(power=1.0, normalized=True, center=False), signal),
        "whisper": (Whisper(), signal),
        "log_power": (LogPower(), signal),
        "rotary": (RotaryAttention(tokens=20), noise(2, 12, 32)),
        "fourier_layer": (FourierLayer(), noise(2, 4, 8, 10)),
        "global_filter": (GlobalFilter(), noise(2, 8, 8, 6)),
        "complex_layers": (ComplexLayers(), noise(2, 10)),
        "long_convolution": (LongConvolution(), noise(2, 3, 50)),
        "recognizer": (Recognizer(), noise(2, 800)),
        "unary": (Function(of_one_number(UNARY)), noise(3, 4), noise(3, 4, seed=1)),
        "activations": (Function(activations), noise(3, 4), noise(3, 4, seed=1)),
        "powers": (Function(powers), noise(3, 4), noise(3, 4, seed=1)),
        "products": (Function(products), noise(3, 4), noise(3, 4, seed=1)),
        "loop": (Function(turned_on), noise(5, 4), noise(5, 4, seed=1)),
        "state": (Resonator(False), noise(6)),
        "state_in_place": (Resonator(True), noise(6)),
        "branch": (Function(chosen), noise(3, 8).abs(), noise(3, 8, seed=1)),
        "other_branch": (Function(chosen), -noise(3, 8).abs(), noise(3, 8, seed=1)),
        "inside_a_branch": (Function(chosen_inside), noise(3, 8).abs(), noise(3, 8, seed=1)),
        "inside_the_other": (Function(chosen_inside), -noise(3, 8).abs(), noise(3, 8, seed=1)),
    }


def of_varying_lengths() -> dict:
    """A number of frames or a batch that is known when the program runs."""
    batch, samples = torch.export.Dim("batch", min=2, max=8), 16 * torch.export.Dim("hops", min=10, max=60)
    rows = {
        "log_mel_batch": (LogMel(), {0: batch}, noise(3, 400), noise(5, 400)),
        "log_mel_length": (LogMel(), {1: samples}, noise(2, 400), noise(2, 320)),
        "recognizer_length": (Recognizer(), {1: samples}, noise(2, 400), noise(2, 768)),
        "rotary_length": (RotaryAttention(tokens=20), {1: torch.export.Dim("tokens", min=2, max=16)}, noise(1, 12, 32), noise(1, 5, 32)),
        "irfft_batch": (LongConvolution(), {0: batch}, noise(3, 3, 50), noise(6, 3, 50)),
        "complex_output_batch": (Function(lambda x: torch.fft.rfft(x) * 1j), ({0: batch},), noise(3, 10), noise(5, 10)),
        "rfft_length": (Function(lambda x: pairs(torch.fft.rfft(x))), ({1: samples},), noise(2, 400), noise(2, 320)),
        "fft_length": (Function(lambda x: [pairs(torch.fft.fft(x)), pairs(torch.fft.ifft(torch.complex(x, x.flip(-1))))]), ({1: samples},), noise(2, 400), noise(2, 320)),
        "fft_any_length": (Function(lambda x: pairs(torch.fft.fft(x))), ({1: torch.export.Dim("any", min=3, max=40)},), noise(2, 20), noise(2, 7)),
        "fft2_length": (Function(lambda x: pairs(torch.fft.fft2(x))), ({0: torch.export.Dim("rows", min=2, max=9), 1: torch.export.Dim("columns", min=3, max=9)},), noise(6, 8), noise(5, 7)),
        "irfft_length": (Function(lambda x: torch.fft.irfft(torch.fft.rfft(x) * 2)), ({1: samples},), noise(2, 400), noise(2, 320)),
        "cut_length": (Function(lambda x: [pairs(torch.fft.rfft(x, n=64)), pairs(torch.fft.fft(x, n=300)), pairs(torch.fft.rfft(x[:, :50], n=x.shape[1] // 4))]), ({1: samples},), noise(2, 400), noise(2, 320)),
        "istft_batch": (SpectralHead(), {0: batch}, noise(3, 9, 8), noise(4, 9, 8)),
    }
    return {name: Case(module.eval(), [(a,), (b,)], shapes=(shapes,)) for name, (module, shapes, a, b) in rows.items()}


with seeded():
    CASES = {name: Case(module.eval(), [tuple(inputs)]) for name, (module, *inputs) in of_modules().items()}
    CASES |= of_varying_lengths()
