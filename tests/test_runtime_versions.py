"""Which ExecuTorch a `.pte` needs: what is said of it, what `--set runtime` changes, and (nightly) older runtimes themselves."""

import contextlib
import functools
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cases import Case, Function, decoders, networks, noise, programs, seeded
from oracle import executorch
from oracle.archives import save, save_samples
from oracle.build import NIGHTLY
from oracle.compare import sqnr
from oracle.runtimes import WHEELS, Runtime

RELEASES = list(WHEELS)
FP32, STATIC = "xnnpack_fp32", "xnnpack_pt2e_int8_static_per_channel"
image = noise(1, 3, 8, 10)


def of(function, *inputs, **fields) -> Case:
    return Case(Function(function), [inputs or (image,)], **fields)


class Rotary(nn.Module):
    """Sines between linear layers, constants beside weights, a normalization."""

    def __init__(self):
        super().__init__()
        self.before, self.norm, self.after = nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 4)
        self.register_buffer("frequencies", torch.linspace(0.5, 2, 8))

    def forward(self, x):
        y = self.norm(self.before(x))
        return self.after(torch.sin(y * self.frequencies) + torch.cos(y) * 0.5)


def rotary() -> Case:
    with seeded():
        return Case(Rotary().eval(), [(noise(5, 8),)])


def half_norm() -> Case:
    """Computed in float32 between casts, inside the delegate."""
    with seeded():
        return Case(nn.Sequential(nn.Linear(6, 6), nn.LayerNorm(6), nn.GELU()).eval().half(), [(half,)])


half = noise(4, 6).half()
CASES = {
    "sin": (of(lambda x: torch.sin(x) + x), "1.1", "XNNPACK Sin"),
    "cos": (of(lambda x: torch.sigmoid(x) * torch.cos(x)), "1.1", "XNNPACK Cos"),
    "copy": (of(lambda x: (torch.sigmoid(x), x.clone())), "1.1", "XNNPACK Copy"),
    "rotary": (rotary(), "1.1", "XNNPACK Cos, XNNPACK Sin"),
    # The kernel of Convert takes float16 in every release.
    "half_casts": (of(lambda x: (torch.sigmoid(x.half()).float() * x).exp()), "1.0", ""),
    "half_norm": (half_norm(), "1.0", ""),
    "plain": (of(lambda x: torch.sigmoid(x) + x), "1.0", ""),
    "pool": (of(lambda x: nn.functional.adaptive_avg_pool2d(torch.relu(x).double(), (3, 7))), "1.3", "aten::_adaptive_avg_pool2d.out"),
    "grid": (of(lambda x, g: nn.functional.grid_sample(x, g, align_corners=False), image, noise(1, 4, 5, 2).tanh()), "1.1",
             "aten::grid_sampler_2d.out"),
    "shift": (of(lambda x: x << 2, torch.arange(6)), "1.1", "aten::bitwise_left_shift.Tensor"),
    "log_softmax_half": (of(lambda x: torch.log_softmax(x, -1), half), "1.4", "aten::_log_softmax.out of float16"),
}
NODES = ("sin", "cos", "copy", "rotary", "half_casts", "half_norm")


@pytest.fixture(scope="module", params=CASES)
def subject(request, tmp_path_factory):
    case, since, what = CASES[request.param]
    path = tmp_path_factory.mktemp("runtime") / f"{request.param}.pt2"
    save(case, path, data=case.calls)
    return request.param, case, path, since, what


def check(path, case, decibels=80):
    for output, expected in zip(executorch.execute(executorch.method_of(path), case.calls[0]), case.expected[0], strict=True):
        assert np.ptp(expected.numpy()) > 0 and sqnr(expected.float().numpy(), output.float().numpy()) > decibels


def test_says_what_a_file_needs(subject, intaglio, document, tmp_path):
    name, case, path, since, what = subject
    out = tmp_path / "out.pte"
    said = intaglio("build", path, "-o", out, "--recipe", FP32).stdout
    assert (f"needs ExecuTorch >= {since} ({what}" in said) == (since != "1.0"), said
    assert f"needs ExecuTorch >= {since}" in intaglio("inspect", out).stdout
    assert f"needs ExecuTorch >= {since}" in intaglio("inspect", path, "--backend", "xnnpack").stdout
    built = document("build", path, "-o", out, "--recipe", FP32)["runtime"]
    lowered = document("lower", path, "-o", out, "--backend", "xnnpack")["runtime"]
    inspected = document("inspect", out)["runtime"]
    planned = document("inspect", path, "--backend", "xnnpack")["delegation"]["runtime"]
    assert built == lowered == inspected == planned and built["since"] == since
    assert all(need["since"] > "1.0" for need in built["needs"])
    check(out, case, 55 if "half" in name else 80)


@pytest.mark.parametrize("release", RELEASES)
def test_a_runtime_is_kept_to(subject, release, intaglio, document, tmp_path):
    name, case, path, since, what = subject
    out = tmp_path / "out.pte"
    done = intaglio("lower", path, "-o", out, "--backend", "xnnpack", "--set", f"runtime={release}", check=False)
    if name not in NODES and release < since:
        assert done.returncode == 1 and not out.exists() and len(done.stderr.splitlines()) == 1
        assert f"ExecuTorch {release} has no kernel" in done.stderr and f"needs {since}" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    said = document("inspect", out)["runtime"]
    assert max(said["since"], said["since_from_file"]) <= release
    check(out, case, 55 if "half" in name else 80)
    if name in ("sin", "cos") and release == "1.0":
        (op,) = [op for op in document("inspect", path, "--backend", "xnnpack", "--set", "runtime=1.0")["delegation"]["outside"]]
        assert op["op"] == f"aten.{name}.default" and "needs ExecuTorch 1.1" in op["rule"]
    if name == "copy":  # another node does it
        assert len(document("inspect", out)["methods"][0]["delegates"]) == 1


@pytest.mark.parametrize("settings", [(), ("--set", "runtime=1.4"), ("--set", "runtime=1.3")])
def test_constants_stay_in_memory_where_the_runtime_frees_them(document, tmp_path, settings):
    """Runtimes before 1.4 read a delegate's constants after they have freed what stood in the file."""
    case = rotary()
    save(case, tmp_path / "m.pt2", data=case.calls)
    built = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", FP32, *settings)["runtime"]
    assert built["since_from_file"] == "1.1" and built == document("inspect", tmp_path / "m.pte")["runtime"]
    assert "from a file" not in built["text"]
    check(tmp_path / "m.pte", case)


def test_large_constants_stand_inside_the_program_only_where_they_must(document, tmp_path):
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("table", torch.linspace(1, 2, 9 << 20).reshape(9, -1))  # 36 MiB

        def forward(self, x):
            return x * self.table

    case = Case(Scaled(), [(noise(9, 1),)])
    save(case, tmp_path / "m.pt2")
    for settings, from_file in ((), "1.4"), (("--set", "runtime=1.3"), "1.0"):
        built = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", FP32, *settings)["runtime"]
        assert built["since_from_file"] == from_file
        assert ("to load it from a file >= 1.4 (constants of XNNPACK Multiply)" in built["text"]) == (from_file == "1.4")
        check(tmp_path / "m.pte", case)


def test_settings_of_lower(intaglio, tmp_path):
    case = of(lambda x: torch.sin(x) + x)
    path = tmp_path / "m.pt2"
    save(case, path)
    lower = ("lower", path, "-o", tmp_path / "m.pte", "--backend", "xnnpack")
    assert intaglio(*lower, "--set", "compat=torchao").returncode == 0
    assert intaglio(*lower, "--compat", "torchao", "--set", "runtime=1.2").returncode == 0
    for settings, word in (
        (("--compat", "torchao", "--set", "compat=torchao"), "one setting"),
        (("--set", "runtime=2.0"), "must be 1.0 or 1.1"),
        (("--set", "runtime=1.1", "--set", "runtime=1.2"), "twice"),
        (("--set", "is_qat=false"), "has no setting"),
    ):
        done = intaglio(*lower, *settings, check=False)
        assert done.returncode == 2 and word in done.stderr, done.stderr


def test_a_recipe_file_may_name_the_runtime(document, tmp_path):
    save(of(lambda x: torch.sin(x) + x), tmp_path / "m.pt2")
    recipe = {"schema": "intaglio-recipe/1", "name": "mine", "backend": "xnnpack", "settings": {"runtime": "1.0"}, "rules": []}
    (tmp_path / "r.json").write_text(json.dumps(recipe))
    built = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", tmp_path / "r.json")
    assert built["runtime"]["since"] == "1.0"


# ---- the runtimes themselves


OLDER = ["1.0", "1.2", "1.3", "1.4"]
# Kernels of other releases sum in other orders, and round to another step here and there: in deep int8 models that adds up,
# and then they must be as close to the float model as today's are.
MARGINS = {FP32: 80, STATIC: 30, "float16": 40}


@pytest.fixture(scope="module")
def runtimes():
    if not NIGHTLY:
        pytest.skip("older runtimes are installed and asked at night (tests/nightly.sh BUILD runtimes)")
    with contextlib.ExitStack() as stack:
        yield {version: stack.enter_context(Runtime(version)) for version in [*OLDER, RELEASES[-1]]}


class Written:
    """A program on disk, its samples, and what the interpreter makes of the first: as floats."""

    def __init__(self, name: str, program: Path, intaglio, may_be_refused: bool):
        self.name, self.program, self.intaglio, self.may_be_refused = name, program, intaglio, may_be_refused
        self.samples = program.with_suffix("") / "calibration"
        self.sample = next(self.samples.glob("000.*"), None)

    @functools.cached_property
    def floats(self) -> list:
        self.intaglio("run", self.program, "--input", self.sample, "-o", self.program.with_suffix(".npz"))
        with np.load(self.program.with_suffix(".npz")) as arrays:
            return [arrays[key] for key in arrays]

    def does(self, *command) -> bool:
        return self.intaglio(*command, check=not self.may_be_refused).returncode == 0

    def files(self, folder: Path):
        """(recipe, release, file), quantized once: `build` writes the same bytes. They are many gigabytes, so each is there for its turn."""
        chosen = ("--recipe", STATIC, "--calibrate", self.samples)
        quantized, file = folder / f"{self.name}.int8.pt2", folder / f"{self.name}.pte"
        for older in OLDER:
            if self.does("build", self.program, "-o", file, "--recipe", FP32, "--no-check", "--set", f"runtime={older}"):
                yield FP32, older, file
        if self.does("quantize", self.program, "-o", quantized, *chosen):
            for older in OLDER:
                if self.does("lower", quantized, "-o", file, "--backend", "xnnpack", "--no-check", "--set", f"runtime={older}"):
                    yield STATIC, older, file
        quantized.unlink(missing_ok=True)
        file.unlink(missing_ok=True)


@pytest.fixture
def written(shared_model, intaglio, tmp_path):
    """Programs by name: one of the zoo, one with a certain node, or all of cases.programs."""

    def get(name: str) -> list[Written]:
        if name in networks.ZOO:
            return [Written(name, shared_model(name) / f"{name}.pt2", intaglio, may_be_refused=False)]
        cases = programs.PROGRAMS if name == "programs" else {name: CASES[name][0]}
        for each, case in cases.items():
            save(case, tmp_path / f"{each}.pt2", calibration=[(call, case.kwargs) for call in case.calls])
        return [Written(each, tmp_path / f"{each}.pt2", intaglio, may_be_refused=name == "programs") for each in cases]

    return get


@pytest.mark.parametrize("name", [*networks.ZOO, *NODES, "programs"])
def test_files_run_on_older_runtimes(name, runtimes, written, tmp_path):
    """Lowered for that runtime and loaded from the file: as today's runtime computes it."""
    compared = dict.fromkeys(OLDER, 0)
    for model in written(name):
        known = {}  # what today's runtime makes of a file: most releases get the same one
        for recipe, older, file in model.files(tmp_path):
            content = hashlib.sha256(file.read_bytes()).digest()
            if content not in known and model.sample is not None:
                with contextlib.suppress(RuntimeError):  # takes more than tensors
                    known[content] = runtimes[RELEASES[-1]].run(file, model.sample)
            expected = known.get(content)
            if expected is None or not runtimes[older].takes(model.sample):
                continue
            margin = MARGINS["float16" if any(output.dtype == np.float16 for output in expected) or "float16" in model.name else recipe]
            for index, (ours, theirs) in enumerate(zip(runtimes[older].run(file, model.sample), expected)):
                close = not np.isfinite(theirs).all() or sqnr(theirs, ours) > margin
                exact = None if close else model.floats[index]
                assert close or sqnr(exact, ours) > sqnr(exact, theirs) - 1, (model.name, recipe, older)
            compared[older] += 1
    assert min(compared.values()) > (20 if name == "programs" else 1), compared


@pytest.mark.parametrize("recipe", ["xnnpack_fp32", "xnnpack_torchao_int8da_int4w_per_group"])
def test_a_language_model_runs_on_older_runtimes(recipe, runtimes, intaglio, tmp_path):
    """Keys and values of several heads are read as they lie, by products with a transposed operand; caches are written in place."""
    module = decoders.decoder()
    torch.export.save(decoders.export(module), tmp_path / "decoder.pt2")
    call = torch.tensor([[5, 9, 77, 3, 31]]), torch.arange(5)
    sample = save_samples(tmp_path / "samples", [call]) / "000.npz"
    for older in OLDER:
        out = tmp_path / f"{older}.pte"
        intaglio("build", tmp_path / "decoder.pt2", "-o", out, "--recipe", recipe, "--set", f"runtime={older}")
        (theirs,), (ours,) = runtimes[RELEASES[-1]].run(out, sample), runtimes[older].run(out, sample)
        with torch.no_grad():
            exact = decoders.decoder()(*call).numpy()
        assert np.ptp(theirs) > 1 and sqnr(exact, ours) > (80 if recipe == FP32 else 10)
        assert sqnr(theirs, ours) > (80 if recipe == FP32 else 25), older
