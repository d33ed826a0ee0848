"""What stands in a region (no_grad, autocast) or depends on constants alone is quantized, or left, as if it stood alone.

Every program is quantized, read back by PyTorch, and lowered; the measure is the same network without the region.
"""

import copy
import json
import zipfile

import numpy as np
import pytest
import torch
import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators
from torch import nn
from torch.nn import functional as F

from cases import Case, seeded
from oracle import executorch
from oracle.archives import save

STATIC, DYNAMIC = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"


class Network(nn.Module):
    """A backbone that a subclass puts into a region, and a head."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.mix = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8, 8)
        self.norm.running_mean.uniform_(-1, 1)
        self.head = nn.Linear(8, 8)

    def features(self, x):
        return self.mix(F.relu(self.norm(self.conv(x))).mean((2, 3)))

    def forward(self, x):
        return self.head(self.features(x))


class NoGrad(Network):
    def forward(self, x):
        with torch.no_grad():
            y = self.features(x)
        return self.head(y)


class Decorated(Network):
    features = torch.no_grad()(Network.features)


class AutocastOff(Network):
    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            y = self.features(x)
        return self.head(y)


class Nested(Network):
    def forward(self, x):
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            with torch.enable_grad():
                y = F.relu(self.norm(self.conv(x)))
            y = self.mix(y.mean((2, 3)))
        return self.head(y)


class AutocastOn(Network):
    """Sums, products and a concatenation of both types among what is cast; a region of float32 inside."""

    dtype = torch.bfloat16

    def forward(self, x):
        with torch.autocast("cpu", dtype=self.dtype):
            y = self.features(x)
            with torch.autocast("cpu", enabled=False):
                y = y.float() * 1.0
            y = torch.cat([y, self.mix(y) * 0.5], 1)[:, 4:12]
        return self.head(y.float())


class AutocastOnHalf(AutocastOn):
    dtype = torch.float16


class SeveralResults(Network):
    def forward(self, x):
        with torch.no_grad():
            y = self.features(x)
            z = y * 2
        return self.head(y) + z


class SeveralResultsFlat(Network):
    def forward(self, x):
        y = self.features(x)
        return self.head(y) + y * 2


class SharedWeight(Network):
    def forward(self, x):
        with torch.no_grad():
            y = self.head(self.features(x))
        return self.head(y)


class SharedWeightFlat(Network):
    def forward(self, x):
        return self.head(self.head(self.features(x)))


FLAT = {SeveralResults: SeveralResultsFlat, SharedWeight: SharedWeightFlat}


def made(kind, form="training"):
    with seeded():
        return Case(kind().eval(), [(torch.randn(2, 3, 8, 8),) for _ in range(3)], form=form)


def written(folder, name, case):
    """The `.pt2`, and the arguments that name its samples."""
    save(case, folder / f"{name}.pt2", data=case.calls)
    return folder / f"{name}.pt2", folder / name / "data"


def sqnr(wanted, got):
    return 10 * np.log10((wanted**2).sum() / ((wanted - got) ** 2).sum())


def quantized(document, path, data, recipe, *settings):
    target = path.with_suffix(".int8.pt2")
    said = document("quantize", path, "-o", target, "--recipe", recipe, "--calibrate", data, *settings)
    return said, torch.export.load(target).module()


@pytest.mark.parametrize("recipe", [STATIC, DYNAMIC])
@pytest.mark.parametrize("kind", [NoGrad, Decorated, AutocastOff, Nested, SeveralResults, SharedWeight])
def test_a_region_is_quantized_like_the_network_without_it(document, tmp_path, kind, recipe):
    flat, case = made(FLAT.get(kind, Network)), made(kind)
    flat_said, flat_module = quantized(document, *written(tmp_path, "flat", flat), recipe)
    said, module = quantized(document, *written(tmp_path, "region", case), recipe)
    assert said["quantized_tensors"] == flat_said["quantized_tensors"] > 4 and said["warnings"] == []
    wanted, got = case.expected[0][0].numpy(), module(*case.calls[0]).detach().numpy()
    assert wanted.std() > 0.05 and sqnr(wanted, got) > 25
    np.testing.assert_array_equal(got, flat_module(*case.calls[0]).detach().numpy())


@pytest.mark.parametrize("kind", [AutocastOn, AutocastOnHalf])
def test_autocast_casts(document, intaglio, tmp_path, kind):
    case = made(kind)
    path, data = written(tmp_path, "m", case)
    wanted = case.expected[0][0].numpy()
    assert wanted.std() > 0.05
    for recipe, decibels in ((STATIC, 25), (DYNAMIC, 25), ("xnnpack_fp32", 40)):
        said = document("build", path, "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data)
        assert len(said["methods"][0]["delegates"]) == 1 and (said["quantized_tensors"] > 4 or recipe == "xnnpack_fp32")
        assert sqnr(wanted, executorch.run(tmp_path / "m.pte", case.calls[:1])) > decibels
    _, module = quantized(document, path, data, STATIC)
    assert sqnr(wanted, module(*case.calls[0]).detach().numpy()) > 25
    intaglio("run", path, "--input", data / "000.npy", "-o", tmp_path / "out.npz")
    assert sqnr(wanted, np.load(tmp_path / "out.npz")["arr_0"]) > 40


def test_inference_programs_of_a_region_are_quantized_alike(document, tmp_path):
    said = [quantized(document, *written(tmp_path, name, made(kind, "inference")), STATIC)[0]
            for name, kind in (("flat", Network), ("region", NoGrad))]
    assert said[0]["quantized_tensors"] == said[1]["quantized_tensors"] > 4


def test_torchao_passes_regions_over_and_a_warning_says_so(document, tmp_path):
    said, _ = quantized(document, *written(tmp_path, "m", made(NoGrad)), STATIC, "--set", "compat=torchao")
    ours, _ = quantized(document, *written(tmp_path, "m", made(NoGrad)), STATIC)
    assert 0 < said["quantized_tensors"] < ours["quantized_tensors"]
    assert len(said["warnings"]) == 1 and "no observers" in said["warnings"][0] and "% of the work" in said["warnings"][0]


# ---- what cannot be inlined


class Condition(Network):
    def forward(self, x):
        return self.head(torch.cond(x.sum() > 0, lambda x: self.features(x), lambda x: self.features(-x), (x,)))


def test_what_stays_a_region_is_named_with_its_share(document, intaglio, tmp_path):
    path, data = written(tmp_path, "m", made(Condition))
    said, _ = quantized(document, path, data, STATIC)
    share = float(said["warnings"][0].split("(")[-1].split("%")[0])
    assert len(said["warnings"]) == 1 and share > 90 and "higher_order.cond" in said["warnings"][0]
    listed = document("inspect", path, "--recipe", DYNAMIC)
    assert "sub-graph gets no observers" in json.dumps(listed)


# ---- layers that see constants only


class Table(nn.Module):
    """A small network makes a table of relative positions, which is added to what depends on the input."""

    def __init__(self, coordinates):
        super().__init__()
        self.table, self.layer = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 6)), nn.Linear(6, 6)
        self.register_buffer("grid", torch.rand(5, 2) * 2 - 1)
        self.coordinates = coordinates

    def forward(self, x):
        grid = self.coordinates(self)
        return F.relu(self.layer(x) + 4 * torch.sigmoid(self.table(grid)) + x * 0.1)


def written_into(self):
    grid = self.grid.clone()
    grid[0] = 1.0
    return grid


COORDINATES = {
    "buffer": lambda self: self.grid,
    "computed": lambda self: torch.sign(self.grid) * torch.log2(1 + 8 * self.grid.abs()),
    "made_of_numbers": lambda self: torch.stack([torch.arange(5) / torch.tensor(4.0), torch.log(torch.arange(5) + torch.tensor(2))], -1),
    "created": lambda self: torch.stack([torch.arange(5.0), torch.arange(5.0).flip(0)], -1) * 0.2,
    "written_into": written_into,
}


@pytest.mark.parametrize("recipe", [STATIC, DYNAMIC])
@pytest.mark.parametrize("name", COORDINATES)
def test_layers_that_see_constants_are_computed_ahead(document, intaglio, tmp_path, name, recipe):
    with seeded():
        case = Case(Table(COORDINATES[name]).eval(), [(torch.randn(2, 5, 6),) for _ in range(3)])
    path, data = written(tmp_path, "m", case)
    _, module = quantized(document, path, data, recipe)
    wanted = case.expected[0][0].numpy()
    assert wanted.std() > 0.5 and sqnr(wanted, module(*case.calls[0]).detach().numpy()) > 25
    pte = tmp_path / "m.pte"
    intaglio("build", path, "-o", pte, "--recipe", recipe, "--calibrate", data)
    intaglio("run", pte, "--input", data / "000.npy", "-o", tmp_path / "out.npz")
    assert sqnr(wanted, np.load(tmp_path / "out.npz")["arr_0"]) > 25
    if name != "written_into":  # nothing that is written into counts as known
        (delegate,) = document("inspect", pte)["methods"][0]["delegates"]
        counts = {each["kind"]: each["count"] for each in delegate["kinds"]}
        assert counts["FullyConnected"] == 1 and "Sigmoid" not in counts, "the table is computed at run time"


class Buckets(nn.Module):
    """Rows of a table are chosen by numbers that the input makes: a step beside one, another row is taken."""

    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(12, 6), nn.Linear(6, 6)
        self.table.weight.data *= 3

    def forward(self, x):
        distance = x.abs().sum(-1) * 1.3
        places = torch.where(distance > 2, torch.ceil(distance * 0.5 + 3), distance).clamp(0, 11).to(torch.long)
        return self.layer(x * 0.2 + self.table(places))


@pytest.mark.parametrize("recipe", [STATIC, STATIC.replace("channel", "tensor")])
def test_integers_are_made_of_exact_numbers(document, tmp_path, recipe):
    with seeded():
        case = Case(Buckets().eval(), [(torch.randn(2, 40, 6),) for _ in range(3)])
    path, data = written(tmp_path, "m", case)
    said = document("build", path, "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data)
    assert said["quantized_tensors"] > 4
    wanted, got = case.expected[0][0].numpy(), executorch.run(tmp_path / "m.pte", case.calls[:1])
    assert wanted.std() > 0.5 and sqnr(wanted, got) > 30


class Unused(Network):
    """A spectrum goes into a layer that no output needs, and one that does."""

    def forward(self, x):
        y = torch.fft.fft(self.features(x)).real
        self.mix(y[:1]) * 2
        return self.head(y)


def test_layers_that_no_output_needs_get_no_range(document, tmp_path):
    case = made(Unused)
    path, data = written(tmp_path, "m", case)
    document("build", path, "-o", tmp_path / "m.pte", "--recipe", STATIC, "--calibrate", data)
    wanted = case.expected[0][0].numpy()
    assert wanted.std() > 0.05 and sqnr(wanted, executorch.run(tmp_path / "m.pte", case.calls[:1])) > 25


class FarValues(nn.Module):
    """One value a million times larger shares its range with a layer's results, which another layer reads."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x):
        y = self.first(x)
        y = torch.cat([y, y[:, :1] * 1e6], 1)
        return y[:, 8], self.second(y[:, :8])


@pytest.mark.parametrize("recipe", [STATIC, STATIC.replace("channel", "tensor")])
def test_scales_that_the_runtime_refuses_are_computed_in_float(intaglio, document, tmp_path, recipe):
    with seeded():
        case = Case(FarValues().eval(), [(torch.randn(4, 8),) for _ in range(3)])
    path, data = written(tmp_path, "m", case)
    said = document("build", path, "-o", tmp_path / "m.pte", "--recipe", recipe, "--calibrate", data)
    assert any("256 steps of its result" in warning for warning in said["warnings"])
    assert any("which is lost" in warning for warning in said["warnings"])
    # The far value takes all that is not far with it, as the warning says; the file computes what the converted program computes.
    intaglio("quantize", path, "-o", tmp_path / "q.pt2", "--recipe", recipe, "--calibrate", data)
    found = document("compare", tmp_path / "q.pt2", tmp_path / "m.pte", "--data", data)["outputs"]
    assert len(found) == 2 and all(output["identical"] or output["sqnr_db"] > 30 for output in found)
    second = executorch.execute(executorch.method_of(tmp_path / "m.pte"), case.calls[0])[1].numpy()
    assert second.std() > 0.01


# ---- archives in which nodes have no names


def without_names(source, target):
    """As PyTorch 2.9 and 2.10 write archives."""

    def stripped(item):
        if isinstance(item, list):
            return [stripped(each) for each in item]
        if isinstance(item, dict):
            return {key: stripped(value) for key, value in item.items() if not (key == "name" and "target" in item)}
        return item

    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            if entry.filename.endswith("/models/model.json"):
                content = json.dumps(stripped(json.loads(content))).encode()
            new.writestr(entry.filename.replace(source.stem, target.stem, 1), content)


class Parts(Network):
    """Several results, a list of one, and values whose names are what an unnamed node would be called."""

    def forward(self, x):
        high, at = self.features(x).max(0, keepdim=True)
        (only,) = torch.split(high, 8, 1)
        low, _ = only.max(0, keepdim=True)
        return self.head(low) + x.max(), at


class Conditions(Network):
    def forward(self, x):
        def positive(x):
            return torch.cond(x.mean() > 1, lambda x: x * 2, lambda x: x + 1, (x,))

        y = torch.cond(x.sum() > 0, positive, lambda x: x - 1, (x,))
        z, w = torch.cond(x.sum() > 0, lambda x: (x * 2, x.sin()), lambda x: (x + 1, x.cos()), (y,))
        return self.head(self.features(z + w))  # the exporter takes no region beside nested conditions


@pytest.mark.parametrize("compat", ["intaglio", "torchao"])
@pytest.mark.parametrize("kind", [Condition, Conditions, Parts, NoGrad])
def test_nodes_without_names_get_names_that_pytorch_takes(document, tmp_path, kind, compat):
    case = made(kind)
    path, data = written(tmp_path, "named", case)
    without_names(path, tmp_path / "unnamed.pt2")
    settings = ["--set", f"compat={compat}"]
    _, named = quantized(document, path, data, STATIC, *settings)
    _, unnamed = quantized(document, tmp_path / "unnamed.pt2", data, STATIC, *settings)
    for call in copy.deepcopy(case.calls):
        for a, b in zip(*(torch.utils._pytree.tree_leaves(module(*call)) for module in (named, unnamed))):
            assert torch.equal(a, b) and (not a.is_floating_point() or a.std() > 0)
