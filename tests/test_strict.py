"""What is asked for is what is written: breaches are warnings that name layer and share, errors under --strict, and nothing is written then."""

import json
import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import Case, seeded
from oracle.archives import save

STATIC, DYNAMIC = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_dynamic_per_channel"


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

    def forward(self, x):
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.inside, self.before = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda y: self.inside(y), lambda y: y * 2, (self.before(x),))


class LargeBias(nn.Module):
    """Divided by the product of two small scales, the bias leaves int32."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 8)
        with torch.no_grad():
            self.layer.weight.mul_(1e-4)
            self.layer.bias.copy_(torch.linspace(-3000, 3000, 8))

    def forward(self, x):
        return self.layer(x * 1e-4)


class Deep(nn.Module):
    """Fifty layers of which one has such a bias; what is after it is wrong with it."""

    def __init__(self, convolves, wrong):
        super().__init__()
        self.before, self.after = (nn.ModuleList(nn.Linear(16, 16) for _ in range(count)) for count in (wrong, 50 - wrong))
        self.middle = nn.Conv2d(1, 4, 3, padding=1) if convolves else nn.Linear(16, 8)
        with torch.no_grad():
            for layer in (*self.before, *self.after):
                layer.weight.copy_(torch.eye(16) + 0.05 * torch.randn(16, 16))
            self.middle.weight.mul_(1e-4)
            self.middle.bias.copy_(torch.linspace(-3000, 3000, len(self.middle.bias)))

    def forward(self, x):
        for layer in self.before:
            x = layer(x)
        x = x * 1e-4
        x = F.relu(self.middle(x[:, None, :, None])).flatten(1)[:, -16:] if isinstance(self.middle, nn.Conv2d) else self.middle(x).repeat(1, 2)
        x = x * 1e-3
        for layer in self.after:
            x = layer(x)
        return x


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(50, 16), nn.Linear(16, 16)

    def forward(self, words):
        return self.layer(F.relu(self.layer(self.table(words))))


class Scores(nn.Module):
    def forward(self, x):
        return torch.softmax(x + 2 * x.transpose(1, 2), -1)


class Largest(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(16, 16)

    def forward(self, x):
        y = self.layer(x)
        return y, y.argmax(-1)


MODELS = {
    "small": (Small, lambda: torch.randn(1, 3, 8, 8)),
    "branches": (Branches, lambda: torch.randn(2, 8)),
    "large_bias": (LargeBias, lambda: torch.randn(2, 16)),
    "deep": (lambda: Deep(False, 30), lambda: torch.randn(3, 16)),
    "deep_convolution": (lambda: Deep(True, 7), lambda: torch.randn(3, 16)),
    "words": (Words, lambda: torch.randint(0, 50, (2, 7))),
    "scores": (Scores, lambda: torch.randn(2, 6, 6)),
    "largest": (Largest, lambda: torch.randn(4, 16)),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """NAME.pt2 and NAME/calibration of every model above."""
    folder = tmp_path_factory.mktemp("strict")
    for name, (module, draw) in MODELS.items():
        with seeded():
            calls = [(draw(),) for _ in range(3)]
            save(Case(module().eval(), calls), folder / f"{name}.pt2", calibration=calls)
    return folder


@pytest.fixture
def run(intaglio, folder, tmp_path):
    """run(command, model, *arguments) -> process, document, and the file that was or was not written."""

    def call(command, name, *arguments, recipe=STATIC, check=True, **options):
        out = tmp_path / ("out.pt2" if command == "quantize" else "out.pte")
        what = ["--backend", "xnnpack"] if command == "lower" else ["--recipe", recipe]
        if "static" in recipe and command != "lower":
            what += ["--calibrate", folder / name / "calibration"]
        done = intaglio(command, folder / f"{name}.pt2", "-o", out, *what, *arguments, check=check, **options)
        return done, out

    return call


def agreement(process) -> dict:
    (method,) = json.loads(process.stdout)["agreement"]
    return method


@pytest.mark.parametrize("recipe", [STATIC, STATIC.replace("channel", "tensor"), DYNAMIC, "xnnpack_fp32"])
@pytest.mark.parametrize("name", ["small", "words", "largest"])
def test_build_says_how_the_file_agrees(run, name, recipe):
    found = agreement(run("build", name, "--strict", "--json", recipe=recipe)[0])
    assert found["checked"] and found["within_bounds"]
    assert found["inputs"] == ("the first calibration sample" if "static" in recipe else "random inputs")
    assert [output["index"] for output in found["outputs"]] == [0], "the one output in floats"
    for output in found["outputs"]:
        assert output["bound_db"] > 5
        assert output["identical"] or output["sqnr_db"] > output["bound_db"]


def test_the_line_is_there_and_can_be_left_out(run):
    line = next(line for line in run("build", "small")[0].stdout.splitlines() if line.startswith("agreement"))
    assert line.startswith("agreement: ") and "on the first calibration sample" in line
    assert "agreement" not in run("build", "small", "--no-check")[0].stdout
    assert json.loads(run("build", "small", "--no-check", "--json")[0].stdout)["agreement"] == []
    assert "on random inputs" in run("lower", "small")[0].stdout


def test_samples_given_to_a_recipe_without_need_serve_the_check(run, folder):
    found = agreement(run("build", "small", "--calibrate", folder / "small" / "calibration", "--json", recipe=DYNAMIC)[0])
    assert found["inputs"] == "the first calibration sample"


def test_without_a_runner_it_is_a_note(run, tmp_path):
    environment = {**os.environ, "INTAGLIO_RUNTIME_DIR": str(tmp_path)}
    done, out = run("build", "small", "--strict", "--json", env=environment)
    assert out.exists() and not agreement(done)["checked"] and "intaglio-runner" in agreement(done)["skipped"]


BREACHES = {  # model, command, recipe, further arguments: what the line says
    "a recipe that quantizes nothing": (("scores", "build", STATIC), "softmax"),
    "the same in a .pt2": (("scores", "quantize", STATIC), "softmax"),
    "a layer in a branch": (("branches", "build", DYNAMIC), "inside a sub-graph"),
    "the same layer, static, in a .pt2": (("branches", "quantize", STATIC), "inside a sub-graph"),
    "a bias that wraps, as torchao has it": (("large_bias", "build", STATIC, "--set", "compat=torchao"), "dB from the program's"),
}


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_is_a_warning_and_an_error_when_strict(run, kind):
    (name, command, recipe, *more), words = BREACHES[kind]
    done, out = run(command, name, *more, recipe=recipe)
    assert out.exists()
    lines = [line for line in done.stderr.splitlines() if words in line]
    assert lines and all(line.startswith("intaglio: warning: ") for line in lines), done.stderr

    out.write_bytes(b"before")
    done, out = run(command, name, "--strict", *more, recipe=recipe, check=False)
    assert done.returncode == 1 and out.read_bytes() == b"before"
    assert len(done.stderr.splitlines()) == 1 and words in done.stderr


@pytest.mark.parametrize("recipe", [STATIC, STATIC.replace("channel", "tensor")])
@pytest.mark.parametrize("name, layer", [("deep", "linear.default"), ("deep_convolution", "conv2d.default"), ("large_bias", "linear.default")])
def test_the_first_wrong_layer_is_named_with_its_share(run, name, layer, recipe):
    torchaos = ("--set", "compat=torchao")
    done, out = run("build", name, "--json", *torchaos, recipe=recipe)
    first = agreement(done)["first_wrong"]
    place = f"in layer '{'layer' if name == 'large_bias' else 'middle'}' (test_strict.py:"
    assert first["layer"].startswith(f"aten.{layer} '") and place in first["layer"], first
    assert 0.3 < first["share"] <= 1 and first["sqnr_db"] < first["bound_db"]
    (line,) = [line for line in json.loads(done.stdout)["warnings"] if "first wrong is " in line]
    assert first["layer"] in line and "% of its values are off" in line and line.endswith("keep that layer in float")
    assert [path.name for path in out.parent.iterdir()] == ["out.pte"], "what was lowered to find it is gone"
    done, out = run("build", name, "--strict", *torchaos, recipe=recipe, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and first["layer"] in done.stderr
    assert agreement(run("build", name, "--strict", "--json", recipe=recipe)[0])["first_wrong"] is None


def test_the_default_of_what_torchao_wraps_is_no_breach(run):
    done, out = run("build", "large_bias", "--strict", "--json")
    (output,) = agreement(done)["outputs"]
    assert out.exists() and output["sqnr_db"] is None or output["sqnr_db"] > 40


INT8 = {"is_per_channel": True}
RULES = {  # the first rule: what a warning says
    "a misspelt module": ({"match": {"module_name": "haed"}, "config": INT8}, "module 'haed' is to be quantized, but nothing"),
    "a misspelt module that is to stay in float": ({"match": {"module_name": "cnov*"}, "config": None}, "'cnov*' is to stay in float"),
    "a misspelt type": ({"match": {"module_type": "Conv3d"}, "config": INT8}, "every module of type 'Conv3d'"),
    "a misspelt operator": ({"match": {"op": "lineal"}, "config": INT8}, "every operator 'lineal'"),
    "an operator without a pattern": ({"match": {"op": "mean"}, "config": {**INT8, "is_dynamic": True}}, "every operator 'mean'"),
    "a module by its name": ({"match": {"module_name": "head"}, "config": INT8}, None),
    "types by a pattern": ({"match": {"module_type": "*.Conv?d"}, "config": None}, None),
    "operators by a pattern": ({"match": {"op": "conv*"}, "config": INT8}, None),
    "a misspelt pattern of types": ({"match": {"module_type": "*3d"}, "config": INT8}, "every module of type '*3d'"),
    "a misspelt pattern of operators": ({"match": {"op": "lineal*"}, "config": INT8}, "every operator 'lineal*'"),
    "a type in a module": ({"match": {"module_name": "c*", "module_type": "Conv2d"}, "config": INT8}, None),
}


@pytest.mark.parametrize("kind", RULES)
def test_what_a_rule_names_is_not_passed_over_without_a_line(intaglio, folder, tmp_path, kind):
    rule, words = RULES[kind]
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": [rule, {"config": INT8}]}))
    arguments = ["--recipe", recipe, "--calibrate", folder / "small" / "calibration"]
    done = intaglio("build", folder / "small.pt2", "-o", tmp_path / "out.pte", *arguments)
    named = [line for line in done.stderr.splitlines() if "is to " in line]
    assert len(named) == (words is not None), done.stderr
    if words:
        assert words in named[0]


class Sums(nn.Module):
    def forward(self, x):
        return x + 2 * x


@pytest.mark.parametrize("module,shape", [(Small, (1, 3, 8, 8)), (Sums, (2, 6))])
@pytest.mark.parametrize("recipe", [STATIC, DYNAMIC])
@pytest.mark.parametrize("command,kind", [("build", "pte"), ("quantize", "pt2")])
def test_float64_is_refused_with_file_layer_line_and_remedy(intaglio, tmp_path, module, shape, recipe, command, kind):
    with seeded():
        calls = [(torch.randn(shape, dtype=torch.float64),)]
        save(Case(module().double().eval(), calls), tmp_path / "wide.pt2", calibration=calls)
    arguments = ["--recipe", recipe, "--calibrate", tmp_path / "wide" / "calibration"]
    done = intaglio(command, tmp_path / "wide.pt2", "-o", tmp_path / f"out.{kind}", *arguments, check=False)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    for words in ("wide.pt2: ", "test_strict.py:", "float64", "`model.float()`"):
        assert words in done.stderr


class Wide(nn.Module):
    """A part in float64 among layers in float32."""

    def __init__(self, part, **layers):
        super().__init__()
        self.first, self.last, self.part = nn.Linear(8, 8), nn.Linear(8, 4), part
        self.layers = nn.ModuleDict(layers).double()

    def forward(self, x):
        y = self.first(x).relu()
        return self.last(self.part(y.double(), self.layers).float())


def attend(x, layers):
    q, k, v = (layers[name](x) for name in "qkv")
    return torch.softmax(q @ k.transpose(-1, -2), -1) @ v


PARTS = {  # and the layers that are left in float64
    "layer": (lambda: Wide(lambda x, layers: layers["a"](x).relu(), a=nn.Linear(8, 8)), ["layers.a"]),
    "convolution": (lambda: Wide(lambda x, layers: layers["a"](x.mT).mT, a=nn.Conv1d(8, 8, 1)), ["layers.a"]),
    "attention": (lambda: Wide(attend, q=nn.Linear(8, 8), k=nn.Linear(8, 8), v=nn.Linear(8, 8)), ["layers.q", "layers.k", "layers.v"]),
    "functions": (lambda: Wide(lambda x, layers: torch.softmax(x.cumsum(-1), -1) * 4), []),
    "sum": (lambda: Wide(lambda x, layers: x + x.mean(-1, keepdim=True)), []),
}


@pytest.mark.parametrize("recipe", [STATIC, DYNAMIC])
@pytest.mark.parametrize("name", PARTS)
def test_a_part_in_float64_stays_so(intaglio, document, tmp_path, name, recipe):
    make, layers = PARTS[name]
    with seeded():
        calls = [(torch.randn(2, 5, 8),) for _ in range(6)]
        case = Case(make().eval(), calls)
    save(case, tmp_path / "m.pt2", calibration=calls)
    arguments = [tmp_path / "m.pt2", "--recipe", recipe, "--calibrate", tmp_path / "m" / "calibration"]
    done = intaglio("build", *arguments, "-o", tmp_path / "m.pte")
    lines = [line for line in done.stderr.splitlines() if "float64" in line]
    assert len(lines) == (len(layers) > 0), done.stderr
    assert all(layer in lines[0] for layer in layers)
    assert intaglio("build", *arguments, "-o", tmp_path / "s.pte", "--strict", check=False).returncode == (len(layers) > 0)
    assert document("quantize", *arguments, "-o", tmp_path / "q.pt2")["quantized_tensors"] >= 2
    for made in ("m.pte", "q.pt2"):
        (output,) = document("compare", tmp_path / "m.pt2", tmp_path / made, "--data", tmp_path / "m" / "calibration")["outputs"]
        assert 25 < output["sqnr_db"] < 70


class Repeated(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x, times: int, y):
        return self.layer(x) * times + y


@pytest.mark.parametrize("given", [None, {"arr_0": 0, "arr_1": 1, "arr_2": 2}, {"arr_0": 0, "arr_1": 2}, {"x": 0, "times": 1, "y": 2}])
def test_a_number_that_is_fixed_may_be_given_or_left_out(intaglio, document, tmp_path, given):

    values = [np.full((2, 4), 0.5, np.float32), np.array(3), np.full((2, 4), 0.25, np.float32)]
    with seeded():
        case = Case(Repeated().eval(), [(torch.randn(2, 4), 3, torch.randn(2, 4))])
        save(case, tmp_path / "m.pt2")
    np.savez(tmp_path / "s.npz", **{name: values[index] for name, index in (given or {"x": 0, "y": 2}).items()})
    intaglio("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32", "--strict")
    for order in ((tmp_path / "m.pt2", tmp_path / "m.pte"), (tmp_path / "m.pte", tmp_path / "m.pt2")):
        (output,) = document("compare", *order, "--data", tmp_path / "s.npz")["outputs"]
        assert output["identical"] or output["sqnr_db"] > 100
    with torch.no_grad():
        expected = case.module(torch.tensor(values[0]), 3, torch.tensor(values[2]))
    intaglio("run", tmp_path / "m.pt2", "--input", tmp_path / "s.npz", "-o", tmp_path / "o.npz")
    np.testing.assert_allclose(np.load(tmp_path / "o.npz")["arr_0"], expected, rtol=1e-5, atol=1e-6)


def test_another_number_than_the_fixed_one_is_refused(intaglio, tmp_path):

    with seeded():
        save(Case(Repeated().eval(), [(torch.randn(2, 4), 3, torch.randn(2, 4))]), tmp_path / "m.pt2")
    np.savez(tmp_path / "s.npz", np.zeros((2, 4), np.float32), 4, np.zeros((2, 4), np.float32))
    done = intaglio("run", tmp_path / "m.pt2", "--input", tmp_path / "s.npz", check=False)
    assert done.returncode == 1 and "input 'times' is 4, but the export fixed it to 3" in done.stderr
