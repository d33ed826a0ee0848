"""float16 and bfloat16 programs under int8 recipes: int8 in one delegate wherever the float32 program is, with casts at the ends."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from cases import seeded
from oracle import executorch
from oracle.compare import sqnr

STATIC = ["xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"]
DYNAMIC = ["xnnpack_pt2e_int8_dynamic_per_channel"]
CASTS = "dim_order_ops._to_dim_order_copy.default"


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.Conv2d(16, 32, 3, stride=2)
        self.head = nn.Linear(32, 10)
        self.norm.running_mean.normal_(), self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.head(torch.relu_(self.second(x)).mean((2, 3)))


class Attention(nn.Module):
    """With a norm that casts to float32 and back, as language models have it."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(50, 32)
        self.scale = nn.Parameter(torch.rand(32) + 0.5)
        self.query, self.key, self.value, self.out = (nn.Linear(32, 32) for _ in range(4))

    def forward(self, tokens):
        x = self.words(tokens)
        wide = x.float()
        h = self.scale * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)
        weights = torch.softmax(self.query(h) @ self.key(h).transpose(1, 2) * 0.18, -1)
        return x + self.out(weights @ self.value(h))


def images():
    return torch.randn(1, 3, 16, 16)


def tokens():
    return torch.randint(0, 50, (1, 7))


MODELS = {
    "cnn": (Convolutions, images),
    "attention": (Attention, tokens),
    "linear": (lambda: nn.Linear(32, 16), lambda: torch.randn(4, 32)),
}


def array(tensor):
    return tensor.view(torch.uint16).numpy().view("V2") if tensor.dtype == torch.bfloat16 else tensor.numpy()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    known = {}

    def get(name, dtype):
        if (name, dtype) not in known:
            make, draw = MODELS[name]
            with seeded(7):
                module, calls = make().eval().to(dtype), [draw() for _ in range(3)]
            calls = [call.to(dtype) if call.is_floating_point() else call for call in calls]
            folder = tmp_path_factory.mktemp(name)
            torch.export.save(torch.export.export(module, (calls[0],)), folder / "model.pt2")
            (folder / "samples").mkdir()
            for i, call in enumerate(calls):
                np.savez(folder / "samples" / f"{i}.npz", arr_0=array(call))
            known[name, dtype] = module, calls, folder
        return known[name, dtype]

    return get


def built(document, folder, recipe, *more):
    pte = folder / "model.pte"
    calibrated = ["--calibrate", folder / "samples"] if "static" in recipe else []
    return document("build", folder / "model.pt2", "-o", pte, "--recipe", recipe, *calibrated, *more), pte


def ran(pte, calls):
    method = executorch.method_of(pte)
    return [executorch.execute(method, (call,))[0] for call in calls]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("recipe", STATIC + DYNAMIC)
@pytest.mark.parametrize("name", MODELS)
def test_are_int8_in_delegates(exported, document, name, recipe, dtype):
    module, calls, folder = exported(name, dtype)
    said, pte = built(document, folder, recipe)
    _, _, float32 = exported(name, torch.float32)
    expected, _ = built(document, float32, recipe)
    assert said["quantized_tensors"] == expected["quantized_tensors"] > 0
    method, wanted = said["methods"][0], expected["methods"][0]
    left = [op["op"] for op in method["leftover_ops"]]
    assert not any("quantized_decomposed" in op for op in left)
    if recipe in STATIC or dtype == torch.bfloat16:
        assert len(method["delegates"]) == len(wanted["delegates"])
        assert sorted(op for op in left if op != CASTS) == sorted(op["op"] for op in wanted["leftover_ops"])
        assert left.count(CASTS) <= 2
        assert any("float32" in warning for warning in said["warnings"])
    outputs = ran(pte, calls)
    assert all(output.dtype == dtype for output in outputs)
    with torch.no_grad():
        reference = torch.cat([module.float()(call.float() if call.is_floating_point() else call) for call in calls])
    module.to(dtype)
    assert sqnr(reference.numpy(), torch.cat(outputs).float().numpy()) > 28


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_quantized_programs_run_in_pytorch(exported, intaglio, dtype):
    for name in MODELS:
        module, calls, folder = exported(name, dtype)
        out = folder / "int8.pt2"
        intaglio("quantize", folder / "model.pt2", "-o", out, "--recipe", STATIC[0], "--calibrate", folder / "samples")
        quantized = torch.export.load(out)
        assert quantized.state_dict.get("words.weight", torch.empty(0, dtype=dtype)).dtype == dtype, "tables do not grow"
        with torch.no_grad():
            outputs, reference = (torch.cat([m(call) for call in calls]) for m in (quantized.module(), module))
        assert outputs.dtype == dtype
        assert sqnr(reference.float().numpy(), outputs.float().numpy()) > 28


def test_compat_keeps_torchaos(exported, document, intaglio):
    """torchao quantizes float16 beside no kernel that takes it."""
    _, _, folder = exported("cnn", torch.float16)
    said, _ = built(document, folder, STATIC[0], "--set", "compat=torchao")
    left = [op["op"] for op in said["methods"][0]["leftover_ops"]]
    assert left.count("quantized_decomposed.quantize_per_tensor.default") >= 4
    _, _, folder = exported("cnn", torch.bfloat16)
    done = intaglio("build", folder / "model.pt2", "-o", folder / "no.pte", "--recipe", STATIC[0], "--calibrate", folder / "samples",
                    "--set", "compat=torchao", check=False)
    assert done.returncode == 1 and len(done.stderr) < 1000 and done.stderr.count("\n") == 1


@pytest.mark.parametrize("name, layer", [("cnn", "first"), ("attention", "query"), ("linear", "linear")])
@pytest.mark.parametrize("recipe", STATIC + DYNAMIC)
def test_float64_is_refused_in_one_line(exported, intaglio, name, layer, recipe):
    _, _, folder = exported(name, torch.float64)
    done = intaglio("build", folder / "model.pt2", "-o", folder / "no.pte", "--recipe", recipe, "--calibrate", folder / "samples", check=False)
    assert done.returncode == 1 and not (folder / "no.pte").exists()
    line = done.stderr
    assert line.count("\n") == 1 and "model.pt2" in line and "samples" not in line
    assert "float64" in line and "model.float()" in line and layer in line and (".py:" in line or name == "linear")


def test_recipes_of_rules_too(exported, document, tmp_path):
    _, calls, folder = exported("cnn", torch.float16)
    recipe = tmp_path / "static.json"
    rules = [{"match": {"op": "linear"}, "config": {"is_dynamic": True, "is_per_channel": True}}, {"config": {}}]
    recipe.write_text(json.dumps({"schema": "intaglio-recipe/1", "name": "mixed static", "backend": "xnnpack", "rules": rules}))
    said, pte = built(document, folder, str(recipe))
    assert not any("quantized_decomposed" in op["op"] for op in said["methods"][0]["leftover_ops"])
    assert all(output.dtype == torch.float16 for output in ran(pte, calls))


@pytest.mark.parametrize("name", MODELS)
def test_the_float_recipe_computes_bfloat16_in_float32(exported, document, name):
    module, calls, folder = exported(name, torch.bfloat16)
    _, _, float32 = exported(name, torch.float32)
    said, pte = built(document, folder, "xnnpack_fp32")
    left = lambda said: sorted(op["op"] for op in said["methods"][0]["leftover_ops"] if op["op"] != CASTS)
    wanted, _ = built(document, float32, "xnnpack_fp32")
    assert left(said) == left(wanted) and len(said["methods"][0]["delegates"]) == 1
    assert "float32" in " ".join(said["notes"]) and said["quantized_tensors"] == 0 and said["warnings"] == []
    outputs = ran(pte, calls)
    with torch.no_grad():
        reference = torch.cat([module.float()(call.float() if call.is_floating_point() else call) for call in calls])
    module.to(torch.bfloat16)
    assert all(output.dtype == torch.bfloat16 for output in outputs)
    assert sqnr(reference.numpy(), torch.cat(outputs).float().numpy()) > 45
    said, _ = built(document, folder, "xnnpack_fp32", "--set", "compat=torchao")
    assert said["notes"] == [] and len(left(said)) > len(left(wanted))


class Written(nn.Module):
    def forward(self, x):
        return x.mul_(2) + 1


def test_a_program_that_cannot_be_widened_stays_in_bfloat16_and_says_so(document, tmp_path):
    torch.export.save(torch.export.export(Written(), (torch.ones(3, dtype=torch.bfloat16),)), tmp_path / "m.pt2")
    said = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32")
    (note,) = said["notes"]
    assert "stays in bfloat16" in note and "written in place" in note
    x = torch.tensor([1.0, 2, 4], dtype=torch.bfloat16)
    (got,) = executorch.execute(executorch.method_of(tmp_path / "m.pte"), (x,))
    assert got.tolist() == [3, 5, 9]


NORMS = {
    "layer": lambda: nn.LayerNorm((6, 8, 8)),
    "group": lambda: nn.GroupNorm(2, 6),
    "batch": lambda: nn.BatchNorm2d(6).eval(),
    "instance": lambda: nn.InstanceNorm2d(6),
}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", NORMS)
def test_statistics_of_norms_are_of_any_type(intaglio, tmp_path, name, dtype):
    """In the core form a norm's statistics are results; their type is that of the device that the program was exported for."""
    with seeded(3):
        model, x = nn.Sequential(nn.Conv2d(6, 6, 1), NORMS[name]()).to(dtype), torch.randn(2, 6, 8, 8).to(dtype)
    program = torch.export.export(model, (x,)).run_decompositions()
    torch.export.save(program, tmp_path / "m.pt2")
    intaglio("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32")
    wanted = model.float()(x.float()).detach().numpy()
    (got,) = executorch.execute(executorch.method_of(tmp_path / "m.pte"), (x,))
    assert wanted.std() > 0.1 and sqnr(wanted, got.float().numpy()) > 35


class Variance(nn.Module):
    def forward(self, x):
        return x.var((2, 3)) + x.mean((2, 3))


class RunningSum(nn.Module):
    def forward(self, x):
        return x.flatten(2).cumsum(-1)[..., ::100]


SUMS = {"variance": Variance(), "pool": nn.AvgPool2d(32), "norm": nn.LayerNorm((4, 64, 64)), "running": RunningSum()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("module", SUMS.values(), ids=SUMS)
def test_sums_do_not_end_at_what_half_precision_counts_to(intaglio, tmp_path, module, dtype):
    """The runtime's kernels add bfloat16 up in bfloat16: a thousand halves are 128."""
    with seeded(5):
        x = (torch.rand(3, 4, 64, 64) * torch.tensor([1.0, 2, 3, 4]).reshape(4, 1, 1)).to(dtype)
    torch.export.save(torch.export.export(module.to(dtype), (x,)), tmp_path / "m.pt2")
    intaglio("lower", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--backend", "xnnpack")
    wanted = module.float()(x.float()).detach().numpy()
    (got,) = executorch.execute(executorch.method_of(tmp_path / "m.pte"), (x,))
    assert wanted.std() > 0.1 and sqnr(wanted, got.float().numpy()) > 45
