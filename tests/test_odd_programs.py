"""Forms that networks seldom have, under recipes of every backend: nothing is refused, nothing is quantized that no delegate takes."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim

from cases import Case, Function, noise, seeded
from oracle import executorch
from oracle.archives import save
from oracle.compare import sqnr


class With(nn.Module):
    """A function of layers, and of inputs that exports name after the arguments: forward(self, x)."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


def of(function, *calls, shapes=None, **layers) -> Case:
    return Case(With(function, **layers).eval(), [(call,) for call in calls], shapes={"x": shapes} if shapes else None)


def causal(m, x):
    scores = m.a(x) @ m.b(x).transpose(1, 2)
    return (scores + torch.full(scores.shape[1:], -torch.inf).triu(1)).softmax(-1) @ x


def turned(angles):
    return torch.cat([angles.sin(), angles.cos()], -1)


with seeded():
    CASES = {
        "no_rows": of(lambda m, x: torch.cat([m.a(x[:0]), m.a(x)]), noise(3, 4), a=nn.Linear(4, 3)),
        "no_columns": of(lambda m, x: torch.cat([m.a(x), x.new_ones(2, 0) @ torch.zeros(0, 2)], -1), noise(2, 4), a=nn.Linear(4, 3)),
        "seven_dimensions": of(lambda m, x: m.b(torch.relu(m.a(x))) + 1, noise(1, 2, 1, 2, 1, 2, 4), a=nn.Linear(4, 6), b=nn.Linear(6, 4)),
        "any_length": of(lambda m, x: torch.relu(m.a(x)).mean(0), noise(5, 8), noise(9, 8), shapes={0: Dim("n", max=9)},
                         a=nn.Linear(8, 4)),
        "causal_of_any_length": of(causal, noise(1, 5, 8), noise(1, 9, 8), noise(1, 2, 8), shapes={1: Dim("n", min=2, max=9)},
                                   a=nn.Linear(8, 8), b=nn.Linear(8, 8)),
        "times_of_a_diffusion": of(lambda m, x: m.a(turned(x[:, None].float() * torch.exp(torch.arange(4) * -2.3))), torch.tensor([10, 900]),
                                   torch.tensor([0, 77]), a=nn.Linear(8, 4)),
        "rolled": of(lambda m, x: m.a(x.roll((2, -1), (0, 1))) + m.a(x).roll(-1, 0), noise(5, 8), noise(2, 8),
                     shapes={0: Dim("n", min=2, max=9)}, a=nn.Linear(8, 4)),
        "product_with_a_constant": of(lambda m, x: torch.relu(x) @ m.w + 1, noise(2, 3, 7), w=noise(7, 5, seed=1)),
        "product_of_matrices": of(lambda m, x: torch.tanh(x) @ torch.sigmoid(x).t(), noise(6, 7)),
        "clipped_integers": of(lambda m, x: (x.clamp(-1, 3), m.a(x.float())), torch.arange(-4, 4)[None], a=nn.Linear(8, 4)),
        "short_indices": of(lambda m, x: m.a(m.e(x)), torch.tensor([[1, 0, 3]], dtype=torch.int32), a=nn.Linear(8, 4), e=nn.Embedding(5, 8)),
    }
    CASES["bfloat16"] = Case(nn.Sequential(nn.Linear(8, 12), nn.GELU(), nn.Linear(12, 4)).bfloat16().eval(), [(noise(3, 8).bfloat16(),)])
RECIPES = {
    "xnnpack_pt2e_int8_static_per_channel": 25, "xnnpack_torchao_int8da_int4w_per_channel": 10, "coreml_fp32": None,
    "coreml_pt2e_int8_static": None, "coreml_pt2e_int8_weight_only": None, "vulkan_fp32": None, "vulkan_pt2e_int8_weight_only": None,
    "exynos_pt2e_int8_static": None,
}
# What no delegate of the backend takes: it is computed in float, by portable kernels.
OUTSIDE = {("seven_dimensions", "xnnpack_torchao_int8da_int4w_per_channel"), ("no_rows", "vulkan_pt2e_int8_weight_only"),
           ("no_rows", "xnnpack_torchao_int8da_int4w_per_channel")}


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("odd") / f"{request.param}.pt2"
    case = CASES[request.param]
    save(case, path, calibration=case.calls)
    return request.param, case, path


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_it(exported, recipe, document, tmp_path):
    name, case, path = exported
    out = tmp_path / ("out.enn" if "exynos" in recipe else "out.pte")
    said = document("build", path, "-o", out, "--recipe", recipe, "--calibrate", path.with_suffix("") / "calibration")
    if (name, recipe) not in OUTSIDE:
        assert not any("outside the delegates" in warning for warning in said["warnings"]), said["warnings"]
    (method,) = said["methods"]
    if name == "bfloat16":
        assert not any("linear" in op["op"] for op in method["leftover_ops"]), method["leftover_ops"]
        assert any("computes in float32" in note or "as one in float32" in note for note in said["notes"] + said["warnings"])
    if RECIPES[recipe] is None:
        return
    method = executorch.method_of(out)
    for call, wanted in zip(case.calls, case.expected, strict=True):
        for output, expected in zip(executorch.execute(method, call), wanted, strict=True):
            if expected.is_floating_point():
                assert sqnr(expected.float().numpy(), output.float().numpy()) > RECIPES[recipe]
            else:
                assert torch.equal(expected, output)


class Worded(nn.Module):
    def forward(self, x, factor: float, mode: str, shift: int):
        return x * factor + shift if mode == "affine" else x


def test_words_among_the_arguments(intaglio, document, tmp_path):
    """The export fixes them: no sample has them, and the file takes no other."""
    case = Case(Worded(), [(noise(2, 4), 1.5, "affine", 3)])
    save(case, tmp_path / "m.pt2", data=[(noise(2, 4),)])
    said = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_fp32")
    assert said["agreement"][0]["checked"] and said["agreement"][0]["within_bounds"]
    (output,) = document("compare", tmp_path / "m.pt2", tmp_path / "m.pte", "--data", tmp_path / "m" / "data")["outputs"]
    assert output.get("identical") or output["sqnr_db"] > 100
    np.savez(tmp_path / "all.npz", noise(2, 4).numpy(), np.float64(1.5), np.int64(3))
    for model in ("m.pt2", "m.pte"):
        intaglio("run", tmp_path / model, "--input", tmp_path / "all.npz", "-o", tmp_path / "out.npz")
        assert sqnr(case.expected[0][0].numpy(), np.load(tmp_path / "out.npz")["arr_0"]) > 100
    np.savez(tmp_path / "one.npz", noise(2, 4).numpy())
    refused = intaglio("run", tmp_path / "m.pte", "--input", tmp_path / "one.npz", check=False)
    assert refused.returncode == 1 and "a number expected, and the sample does not have it" in refused.stderr


def test_what_stays_in_float_is_said_once(document, tmp_path):
    def halved(i, x):
        return torch.ops.higher_order.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, torch.tanh(x @ x)), (i, x), ())

    save(Case(Function(halved), [(torch.tensor(0), noise(3, 3))]), tmp_path / "m.pt2", data=[(torch.tensor(0), noise(3, 3))])
    said = document("build", tmp_path / "m.pt2", "-o", tmp_path / "m.pte", "--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate",
                    tmp_path / "m" / "data")
    loop, nothing = said["warnings"]
    assert "(100.0% of the work)" in loop and "most of the work is higher_order.while_loop" in nothing
