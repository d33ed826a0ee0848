"""Programs of every form (cases/programs.py) from `.pt2` to `.pte`, run on the stock runtime beside PyTorch.

Each is lowered twice: to portable kernels only, and to XNNPACK. Calls follow each other in one loaded program, at several
sizes where sizes are dynamic.
"""

import warnings

import numpy as np
import pytest
import torch

from cases import Case, seeded
from cases.programs import PROGRAMS
from oracle.compare import assert_same
from oracle.executorch import execute, method_of
from oracle.archives import save
from oracle.build import probe

warnings.filterwarnings("ignore")


@pytest.fixture(scope="module")
def lowered(tmp_path_factory):
    """The folder with NAME.pt2 and NAME.portable.pte, and the errors by which files are missing."""
    folder = tmp_path_factory.mktemp("programs")
    arguments = []
    for name, case in PROGRAMS.items():
        with torch.no_grad():
            save(case, folder / f"{name}.pt2")
        arguments += [folder / f"{name}.pt2", folder / f"{name}.portable.pte"]
    return folder, probe("edge_lower", *arguments, check=False).stderr


def test_integer_numerics_take_the_inputs_by_name_and_the_fixed_ones_from_the_program(intaglio, tmp_path):
    class Scaled(torch.nn.Module):
        def forward(self, x, times: int, factor: float, y):
            return x * times + y * factor

    inputs = (torch.arange(6.0).reshape(2, 3), 3, 0.5, torch.ones(2, 3))
    torch.export.save(torch.export.export(Scaled(), inputs), tmp_path / "scaled.pt2")
    np.savez(tmp_path / "sample.npz", x=inputs[0].numpy(), y=inputs[3].numpy())
    for numerics in ("integer", "as_written"):
        intaglio("run", tmp_path / "scaled.pt2", "--numerics", numerics, "--input", tmp_path / "sample.npz", "-o", tmp_path / "out.npz")
        np.testing.assert_allclose(np.load(tmp_path / "out.npz")["arr_0"], Scaled()(*inputs).numpy())


@pytest.mark.parametrize("backend", ["portable", "xnnpack"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_program_runs_as_in_pytorch(lowered, intaglio, name, backend):
    folder, errors = lowered
    case, path = PROGRAMS[name], folder / f"{name}.{backend}.pte"
    if backend == "xnnpack":
        intaglio("lower", folder / f"{name}.pt2", "-o", path, "--backend", "xnnpack")
    assert path.exists(), [line for line in errors.splitlines() if f"/{name}.pt2" in line]
    method = method_of(path)
    for call, expected in zip(case.calls, case.expected, strict=True):
        assert_same(execute(method, (call, case.kwargs)), expected, case.tolerance)


class TakenApart(torch.nn.Module):
    """Operators that only lowering knows, between layers that are quantized; one weight is computed from others."""

    def __init__(self):
        super().__init__()
        nn = torch.nn
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.up = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3))
        self.cell = nn.LSTMCell(16, 8)
        self.bilinear = nn.Bilinear(8, 8, 6)
        self.head = nn.Linear(6, 5)
        self.register_buffer("grid", torch.rand(1, 4, 4, 2) * 2 - 1)
        self.register_buffer("anchors", torch.randn(5, 5))

    def forward(self, x):
        f = torch.nn.functional
        x = f.grid_sample(self.conv(x).relu(), self.grid.expand(x.shape[0], -1, -1, -1), align_corners=False)
        x = f.interpolate(self.up(x), size=(2, 2), mode="bilinear", antialias=True)
        h, c = self.cell(8 * x.flatten(1))
        y = self.head(8 * self.bilinear(h, c))
        return torch.hypot(torch.cdist(y, self.anchors), torch.logaddexp(y, torch.einsum("...i,ji->...j", y, self.anchors)))


def test_static_quantization_calibrates_what_lowering_takes_apart(intaglio, tmp_path):
    with seeded():
        module, samples = TakenApart().eval(), [(torch.randn(2, 3, 8, 8),) for _ in range(6)]
    save(Case(module, samples), tmp_path / "m.pt2", data=samples)
    data = tmp_path / "m" / "data"
    intaglio("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", data)
    intaglio("run", tmp_path / "m.pte", "--input", data / "000.npy", "-o", tmp_path / "out.npz")
    with torch.no_grad():
        wanted = module(*samples[0]).numpy()
    error = wanted - np.load(tmp_path / "out.npz")["arr_0"]
    assert wanted.std() > 0.5 and np.abs(error).max() > 0  # it does depend on the sample, and it is quantized
    assert 10 * np.log10((wanted**2).sum() / (error**2).sum()) > 25


# ---- what is refused, before anything is written: the operator, the layer and the user's line


class Layer(torch.nn.Module):
    """The user's line is in this file."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@torch.library.custom_op("their_library::doubled", mutates_args=())
def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@doubled.register_fake
def _(x):
    return torch.empty_like(x)


def grouped_columns(x):
    weights = torch.ones(16, 8, dtype=torch.bfloat16)
    return torch._grouped_mm(x.repeat(1, 3)[:, :16].bfloat16(), weights, offs=torch.tensor([8, 16], dtype=torch.int32))


REFUSED = {
    "library": (doubled, "operator of the library 'their_library', which the exporter cannot look into"),
    "experts": (grouped_columns, 'export with experts_implementation="batched_mm"'),
    "gcd": (lambda x: torch.gcd(x.int(), x.int() + 1), "no kernel for 1 operator call: aten.gcd.default"),
    "complex": (lambda x: torch.fft.rfft(x).logcumsumexp(-1).abs(), "not supported on complex numbers; compute with real and imaginary parts"),
    "float8": (lambda x: x.to(torch.float8_e4m3fn).flatten(), "float8_e4m3fn where its kernel takes"),
    "large_stable_sort": (lambda x: x.repeat(1, 400).sort(stable=True)[0], "no kernel for a stable sort of more than 1024"),
    "training_batch_norm": (torch.nn.BatchNorm1d(6), "exported in training mode"),
    "inverse": (lambda x: torch.linalg.inv(x[:, :3]), "aten.linalg_inv.default"),
}


def test_batched_functions_are_named_with_what_to_do(intaglio, tmp_path):
    model = Layer(lambda x: torch.vmap(lambda row: row.sin() * row)(x))
    torch.export.save(torch.export.export(model, (torch.randn(3, 6),)), tmp_path / "m.pt2")
    done = intaglio("lower", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--backend", "xnnpack", check=False)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "torch.vmap" in done.stderr and "program.run_decompositions({})" in done.stderr


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_operator_layer_and_line(intaglio, tmp_path, name):
    function, reason = REFUSED[name]
    model = torch.nn.Sequential(torch.nn.ReLU(), Layer(function))
    torch.export.save(torch.export.export(model, (torch.randn(3, 6),)), tmp_path / "m.pt2")
    target = tmp_path / "m.pte"
    target.write_text("kept")
    done = intaglio("lower", tmp_path / "m.pt2", "-o", target, "--backend", "xnnpack", check=False)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1
    assert reason in done.stderr, done.stderr
    assert "in layer '1" in done.stderr and "test_programs.py:" in done.stderr, done.stderr
    assert target.read_text() == "kept"
