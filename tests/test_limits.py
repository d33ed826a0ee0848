"""Where XNNPACK's limits meet the quantizers: what a delegate cannot hold is quantized in another form, or stays in float.

Dimensions beyond six, uneven padding, images without a batch, computed biases, sizes without bound: every recipe builds,
nothing that is quantized stands outside the delegates, and outputs are close to the float module's on the stock runtime.
"""

import executorch.kernels.quantized  # noqa: F401  registers what compat=torchao leaves to portable kernels
import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

from cases import Case, seeded
from large_programs import many_outputs, write
from oracle import executorch
from oracle.build import NIGHTLY
from oracle.compare import sqnr
from oracle.subject import Subject

FLOAT = "xnnpack_fp32"
STATIC = [f"xnnpack_pt2e_int8_static_{weights}" for weights in ("per_channel", "per_tensor")]
DYNAMIC = [f"xnnpack_pt2e_int8_dynamic_{weights}" for weights in ("per_channel", "per_tensor")]
RECIPES = [FLOAT, *STATIC, *DYNAMIC]


class Apply(nn.Module):
    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, *inputs):
        return self.function(*self.layers, *inputs)


MANY = (2, 1, 2, 3, 2, 3, 4)
EIGHT = (2, 1, 2, 3, 1, 2, 3, 4)
# name: function of layers and inputs, layers, sizes of the inputs
MANY_DIMS = {
    "sum": (lambda x: x + 0.5 * x, [], [MANY]),
    "sum_relu": (lambda x, y: torch.relu(x + y), [], [EIGHT, EIGHT]),
    "product": (lambda x, y: x * y, [], [MANY, MANY]),
    "product_of_broadcasts": (lambda x, y: x * y, [], [(2, 3, 2, 2, 1, 3, 4), (2, 3, 1, 1, 1, 3, 4)]),
    "row": (lambda x, y: x + y, [], [MANY, (4,)]),
    "constant": (lambda layer, x: x * layer.weight.view(1, 1, 1, 1, 1, 4, 4)[:, :, :, :, :, :3] + layer.bias, [nn.Linear(4, 4)], [MANY]),
    "stack": (lambda layer, x, y: torch.stack([layer(x), y], 1), [nn.Linear(4, 4)], [(2, 2, 3, 2, 3, 4)] * 2),
    "cat": (lambda x, y: torch.cat([x, y], 2), [], [MANY, (2, 1, 5, 3, 2, 3, 4)]),
    "cat_last": (lambda x, y: torch.cat([x * 2, y], -1), [], [MANY, MANY]),
    "slice": (lambda layer, x: torch.relu(layer(x))[:, :, 1:, ..., 1:4], [nn.Linear(4, 5)], [MANY]),
    "view": (lambda layer, x: layer(x).view(2, 3, 2, 2, 3, 5, 1).relu(), [nn.Linear(4, 5)], [(2, 1, 6, 2, 3, 4)]),
    "view_back": (lambda layer, x: layer(x).reshape(12, 3, 10), [nn.Linear(4, 5)], [MANY]),
    "permute": (lambda layer, x: layer(x).permute(0, 2, 1, 3, 6, 5, 4), [nn.Linear(4, 5)], [MANY]),
    "transpose": (lambda layer, x: layer(x).transpose(2, 6) * 0.5, [nn.Linear(4, 5)], [MANY]),
    "linears": (lambda a, b, x: b(F.relu(a(x))), [nn.Linear(4, 6), nn.Linear(6, 5)], [MANY]),
    "linear_of_eight": (lambda layer, x: layer(x), [nn.Linear(4, 5, bias=False)], [EIGHT]),
    "residual": (lambda layer, x: x + F.gelu(layer(x)), [nn.Linear(4, 4)], [MANY]),
    "windows": (lambda a, x: a(x).reshape(1, 8, 2, 3, 2, 3, 1).permute(0, 2, 4, 6, 3, 5, 1) * 0.5, [nn.Conv2d(3, 8, 1)], [(1, 3, 6, 6)]),
}

UNEVEN = {
    **{f"same_{h}x{w}": ((h, w), {}) for h, w in ((4, 1), (1, 4), (2, 3), (4, 4))},
    "same_dilated": ((2, 4), {"dilation": 3}),
    "same_grouped": ((4, 2), {"groups": 2}),
    "same_depthwise": ((4, 2), {"groups": 4}),
}
IMAGES = (1, 4, 9, 8)
# Within the runtime's limits once they are written otherwise.
REWRITTEN = {
    **{name: (lambda a, x: a(x), [nn.Conv2d(4, 8, kernel, padding="same", **more)], [IMAGES]) for name, (kernel, more) in UNEVEN.items()},
    "same_chain": (
        lambda a, b, x: b(F.relu(a(x))),
        [nn.Conv2d(4, 6, (4, 1), padding="same"), nn.Conv2d(6, 5, (1, 2), padding="same")],
        [IMAGES],
    ),
    "same_twice": (lambda a, x: a(x) + a(x * 2), [nn.Conv2d(4, 6, (4, 1), padding="same")], [IMAGES]),
    "same_line": (lambda a, x: a(x), [nn.Conv1d(4, 6, 4, padding="same")], [(1, 4, 20)]),
    "image": (lambda a, x: F.relu(a(x)), [nn.Conv2d(4, 6, 3)], [(4, 9, 8)]),
    "images_one_by_one": (lambda a, b, x: b(F.relu(a(x))), [nn.Conv2d(4, 6, 3), nn.Conv2d(6, 5, (2, 1), padding="same")], [(4, 9, 8)]),
    "line": (lambda a, x: a(x), [nn.Conv1d(4, 6, 3)], [(4, 20)]),
    "same_branches": (
        lambda a, b, c, x: torch.cat([a(x), b(x), c(x)], 1),
        [nn.Conv2d(4, 3, (4, 1), padding="same"), nn.Conv2d(4, 3, (1, 4), padding="same"), nn.Conv2d(4, 3, 1)],
        [IMAGES],
    ),
    "image_upwards": (lambda a, x: a(x), [nn.ConvTranspose2d(4, 6, 3, stride=2)], [(4, 5, 6)]),
}
# No integer kernel computes these: they stay in float.
REFUSED = {
    "bias": (lambda a, x: F.linear(x, a.weight, a.bias * x.mean()), [nn.Linear(4, 5)], [(3, 4)]),
    "bias_of_convolution": (lambda a, x: F.conv2d(x, a.weight, a.bias * x.mean()), [nn.Conv2d(4, 5, 3)], [IMAGES]),
    "volume": (lambda a, x: F.relu(a(x)), [nn.Conv3d(2, 3, 2)], [(1, 2, 4, 4, 4)]),
    "many_broadcasts": (lambda x, y: x * y, [], [(2, 3, 2, 3, 2, 3, 2), (2, 1, 2, 1, 2, 1, 2)]),
    "scalars": (lambda x, y: (x.mean() * y.mean()).reshape(1), [], [(3, 4), (2, 5)]),
}
CASES = MANY_DIMS | REWRITTEN | REFUSED


@pytest.fixture(scope="module")
def subject(tmp_path_factory):
    known = {}

    def get(name) -> Subject:
        if name not in known:
            function, layers, sizes = CASES[name]
            with seeded(5):
                for layer in layers:
                    layer.reset_parameters()
            generator = torch.Generator().manual_seed(6)
            calls = [tuple(torch.randn(*size, generator=generator) + 0.25 for size in sizes) for _ in range(8)]
            known[name] = Subject(name, Case(Apply(function, *layers).eval(), calls), tmp_path_factory.mktemp(name), calls, calls[4:])
        return known[name]

    return get


def quantizes(said) -> bool:
    return any(op["op"].startswith(("quantized_decomposed", "torchao")) for op in said["methods"][0]["leftover_ops"])


def with_recipes(names) -> list:
    """Every name with every recipe in nightly runs; with one or two of them, in turn, otherwise."""
    return [(name, recipe) for i, name in enumerate(names) for j, recipe in enumerate(RECIPES) if NIGHTLY or (i + j) % 3 == 0]


@pytest.mark.parametrize("name, recipe", with_recipes([*MANY_DIMS, *REWRITTEN]))
def test_computed_in_one_delegate(subject, document, name, recipe):
    said, outputs = subject(name).built(document, recipe)
    method = said["methods"][0]
    assert len(method["delegates"]) == 1 and not quantizes(said)
    assert {op["op"] for op in method["leftover_ops"]} <= {"aten.view_copy.default"}
    assert sqnr(subject(name).reference, outputs) > (100 if recipe == FLOAT else 30)


@pytest.mark.parametrize("name, recipe", with_recipes(REFUSED))
def test_left_in_float(subject, document, name, recipe):
    said, outputs = subject(name).built(document, recipe)
    assert said["quantized_tensors"] == 0 and not quantizes(said)
    assert sqnr(subject(name).reference, outputs) > 100


@pytest.mark.parametrize("name", ["same_4x1", "linears", "bias"])
def test_torchao_leaves_ranges_outside(subject, document, intaglio, name):
    """compat=torchao: ranges found at run time on portable kernels, for a layer in float; the default finds none there."""
    made = subject(name)
    said, outputs = made.built(document, DYNAMIC[0], "--set", "compat=torchao")
    assert any("choose_qparams" in op["op"] for op in said["methods"][0]["leftover_ops"])
    assert 30 < sqnr(made.reference, outputs) < 60
    converted = made.folder / "torchao.pt2"
    intaglio("quantize", made.program, "-o", converted, "--recipe", DYNAMIC[0], "--set", "compat=torchao")
    lowered = made.folder / "torchao.pte"
    said = document("lower", converted, "-o", lowered, "--backend", "xnnpack")
    assert not any("choose_qparams" in op["op"] for op in said["methods"][0]["leftover_ops"])
    assert sqnr(made.reference, executorch.run(lowered, made.test)) > 35


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("limit, words", [(None, "has no upper bound"), (2**32, "sizes end at 2^31 - 1"), (2**31, "sizes end at 2^31 - 1")])
def test_sizes_without_bound_are_refused_in_one_line(tmp_path, intaglio, recipe, limit, words):
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    sizes = ({0: Dim("rows") if limit is None else Dim("rows", max=limit)},)
    program = torch.export.export(module, (torch.randn(3, 4),), dynamic_shapes=sizes)
    torch.export.save(program, tmp_path / "model.pt2")
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).standard_normal((3, 4), dtype=np.float32))
    arguments = ["--recipe", recipe, "--calibrate", tmp_path / "rows.npy"]
    done = intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", *arguments, check=False)
    errors = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert done.returncode == 1 and len(errors) == 1 and words in errors[0], done.stderr
    assert f"{tmp_path / 'model.pt2'}: " in errors[0] and "dimension 0 of 'input'" in errors[0], done.stderr


ANY_COUNT = {
    "mean_of_rows": (lambda layer, x: layer(x).mean(-1), [nn.Linear(4, 5)], (8, 4)),
    "mean_between": (lambda a, b, x: b(a(x).mean(-1, keepdim=True)), [nn.Linear(4, 5), nn.Linear(1, 3)], (8, 4)),
    "mean_of_images": (lambda layer, x: layer(x).mean((2, 3)), [nn.Conv2d(4, 5, 3)], (4, 8, 8)),
    "many_dims": (lambda a, b, x: b(F.relu(a(x))) + x, [nn.Linear(4, 5), nn.Linear(5, 4)], (1, 2, 3, 2, 3, 4)),
    "many_dims_softmax": (lambda a, b, x: b(F.softmax(a(x), -1)), [nn.Linear(4, 5), nn.Linear(5, 4)], (1, 2, 3, 2, 3, 4)),
    "many_dims_norm": (lambda a, b, x: F.layer_norm(b(F.layer_norm(a(x), (5,))), (3, 4)), [nn.Linear(4, 5), nn.Linear(5, 4)], (1, 2, 3, 2, 3, 4)),
    "many_dims_pad": (lambda a, b, x: b(F.pad(a(x), (1, 2, 0, 0, 1, 0))), [nn.Linear(4, 5), nn.Linear(8, 3)], (1, 2, 3, 2, 3, 4)),
    "same": (lambda a, b, x: b(F.relu(a(x))), [nn.Conv2d(4, 5, (4, 1), padding="same"), nn.Conv2d(5, 3, 2, padding="same")], (4, 8, 7)),
}


def test_dimensions_beyond_any_machine_are_named(tmp_path, intaglio):
    """A plan of 69 GB is written as asked; whoever runs it reads what it takes, and why."""
    sizes = (({0: Dim("count", max=2**31 - 1)},),)
    call = (torch.randn(3, 4, generator=torch.Generator().manual_seed(31)),)
    torch.export.save(torch.export.export(Apply(lambda x: torch.tril(x)), call, dynamic_shapes=sizes), tmp_path / "model.pt2")
    np.save(tmp_path / "rows.npy", call[0].numpy())
    intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", "--recipe", FLOAT)
    failed = intaglio("run", tmp_path / "model.pte", "--input", tmp_path / "rows.npy", check=False)
    assert failed.returncode == 1
    assert "method 'forward' plans 68.7 GB for tensors as large as its dimensions allow" in failed.stderr and failed.stderr.count("\n") == 1


@pytest.mark.parametrize("name, recipe", with_recipes(ANY_COUNT))
def test_batches_of_any_count(tmp_path, document, name, recipe):
    function, layers, sizes = ANY_COUNT[name]
    with seeded(15):
        for layer in layers:
            layer.reset_parameters()
    generator = torch.Generator().manual_seed(16)
    calls = [(torch.randn(count, *sizes, generator=generator) + 0.25,) for count in (5, 8, 2, 3)]
    case = Case(Apply(function, *layers).eval(), calls, shapes=(({0: Dim("count", max=8)},),))
    said, outputs = Subject(name, case, tmp_path, calls, calls).built(document, recipe)
    assert len(said["methods"][0]["delegates"]) == 1 and not quantizes(said)
    assert sqnr(np.concatenate([case.module(*call).detach().numpy() for call in calls]), outputs) > (100 if recipe == FLOAT else 30)


MANY_DIMS = {
    "softmax": (lambda a, b, x: b(F.softmax(a(x), -1)), 5),
    "means": (lambda a, b, x: b(a(x).mean((4, 5)).sum(2)), 5),
    "mean_kept": (lambda a, b, x: b(a(x).mean((1, 2, 3), keepdim=True) + a(x)), 5),
    "norm": (lambda a, b, x: F.layer_norm(b(F.layer_norm(a(x), (5,))), (3, 4)), 5),
    "pad": (lambda a, b, x: b(F.relu(F.pad(a(x), (1, 2, 0, 0, 1, 0)))), 8),
    "expand": (lambda a, b, x: b(a(x).mean(3, keepdim=True).expand(-1, 1, 2, 7, 2, 3, 5)), 5),
    "expand_of_rows": (lambda a, b, x: b(a(x[0, 0, 0, 0]).expand(2, 3, 2, 3, 2, 3, 5) * 0.5), 5),
}


@pytest.mark.parametrize("name, recipe", with_recipes(MANY_DIMS))
def test_many_dimensions_are_fewer_inside(tmp_path, document, name, recipe):
    function, width = MANY_DIMS[name]
    with seeded(15):
        module = Apply(function, nn.Linear(4, 5), nn.Linear(width, 4)).eval()
    generator = torch.Generator().manual_seed(16)
    calls = [(torch.randn(2, 1, 2, 3, 2, 3, 4, generator=generator) + 0.25,) for _ in range(3)]
    said, outputs = Subject(name, Case(module, calls), tmp_path, calls, calls).built(document, recipe)
    assert (said["quantized_tensors"] > 0) == (recipe != FLOAT)
    assert len(said["methods"][0]["delegates"]) == 1 and not quantizes(said), said["methods"][0]["leftover_ops"]
    assert sqnr(np.concatenate([module(*call).detach().numpy() for call in calls]), outputs) > (100 if recipe == FLOAT else 28)


def test_torchao_pools_growing_batches_in_int8(tmp_path, document):
    """The runtime's int8 pool is wrong in a call with more images than the one before; the default pools them in float."""
    with seeded(15):
        module = nn.Sequential(nn.Conv2d(4, 5, 3), nn.AdaptiveAvgPool2d(1)).eval()
    generator = torch.Generator().manual_seed(16)
    calls = [(torch.randn(count, 4, 8, 8, generator=generator) + 0.25,) for count in (5, 8)]
    made = Subject("pool", Case(module, calls, shapes=({0: Dim("count", max=8)},)), tmp_path, calls, calls)
    reached = {compat: sqnr(made.reference, made.built(document, STATIC[0], "--set", f"compat={compat}")[1]) for compat in ("torchao", "intaglio")}
    assert reached["torchao"] < 20 < 28 < reached["intaglio"]


@pytest.mark.parametrize("recipe", [STATIC[0], DYNAMIC[0]])
def test_lines_of_any_length_and_count(tmp_path, document, recipe):
    """Two sizes of a 1-d convolution are symbolic: the reshape to images can infer one, so it stays in float."""
    with seeded(7):
        module = nn.Sequential(nn.Conv1d(3, 5, 3), nn.ReLU(), nn.Conv1d(5, 4, 3)).eval()
    sizes = ({0: Dim("count", max=8), 2: Dim("length", min=10, max=64)},)
    call = (torch.randn(2, 3, 20, generator=torch.Generator().manual_seed(8)),)
    torch.export.save(torch.export.export(module, call, dynamic_shapes=sizes), tmp_path / "model.pt2")
    np.save(tmp_path / "lines.npy", call[0].numpy())
    arguments = ["--recipe", recipe, "--calibrate", tmp_path / "lines.npy"]
    said = document("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", *arguments)
    assert said["quantized_tensors"] == 0 and not quantizes(said)
    got = executorch.execute(executorch.method_of(tmp_path / "model.pte"), call)[0]
    assert sqnr(module(*call).detach().numpy(), got.numpy()) > 100


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_what_is_quantized_already_stays_as_it_is(tmp_path, intaglio, document, recipe, dtype):
    with seeded(9):
        module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).to(dtype).eval()
    generator = torch.Generator().manual_seed(10)
    calls = [(torch.randn(3, 8, generator=generator).to(dtype),) for _ in range(3)]
    made = Subject("already", Case(module, calls), tmp_path, calls[:2], calls[2:])
    converted, pte = tmp_path / "converted.pt2", tmp_path / "converted.pte"
    intaglio("quantize", made.program, "-o", converted, "--recipe", DYNAMIC[0])
    said = document("build", converted, "-o", pte, "--recipe", recipe, "--calibrate", made.calibration_folder)
    assert len(said["methods"][0]["delegates"]) == 1 and not quantizes(said)
    assert sqnr(made.reference, executorch.run(pte, made.test)) > 35


@pytest.mark.parametrize("recipe, compat", [(DYNAMIC[0], "intaglio"), (DYNAMIC[1], "intaglio"), (DYNAMIC[0], "torchao")])
def test_ranges_of_what_is_dequantized_outside(tmp_path, intaglio, recipe, compat):
    """torchao's static int8 beside float16 stands outside the delegate that reads it through ranges found at run time."""
    with seeded(13):
        module = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).half().eval()
    generator = torch.Generator().manual_seed(14)
    calls = [(torch.randn(3, 8, generator=generator).half(),) for _ in range(3)]
    made = Subject("twice", Case(module, calls), tmp_path, calls, calls[2:])
    converted, pte = tmp_path / "converted.pt2", tmp_path / "converted.pte"
    calibrated = ["--calibrate", made.calibration_folder]
    intaglio("quantize", made.program, "-o", converted, "--recipe", STATIC[0], *calibrated, "--set", "compat=torchao")
    intaglio("build", converted, "-o", pte, "--recipe", recipe, "--set", f"compat={compat}")
    assert sqnr(made.reference, executorch.run(pte, made.test)) > 30


CONVOLUTIONS = nn.Sequential(
    nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 1), nn.ConvTranspose2d(8, 6, 2), nn.Flatten(2), nn.Conv1d(6, 4, 3), nn.Flatten(), nn.Linear(188, 5)
)


@pytest.mark.parametrize("compat", ["intaglio", "torchao"])
@pytest.mark.parametrize("recipe", DYNAMIC)
def test_convolutions_are_a_choice(tmp_path, intaglio, document, recipe, compat):
    with seeded(11):
        for layer in CONVOLUTIONS:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    generator = torch.Generator().manual_seed(12)
    calls = [(torch.randn(1, 3, 8, 8, generator=generator),) for _ in range(4)]
    made = Subject("convolutions", Case(CONVOLUTIONS.eval(), calls), tmp_path, calls[:1], calls[1:])
    reached = {}
    for choice in ("int8", "float"):
        said, outputs = made.built(document, recipe, "--set", f"convolutions={choice}", "--set", f"compat={compat}")
        reached[choice] = sqnr(made.reference, outputs)
        if choice == "float":
            assert said["quantized_tensors"] == 2, "the linear's input and weight"
        else:
            assert said["quantized_tensors"] > 4
    assert reached["float"] > (reached["int8"] if compat == "intaglio" else 35)


def test_convolutions_is_a_setting_of_dynamic_recipes(tmp_path, intaglio, subject):
    made = subject("same_4x1")
    for arguments, words in (
        (["--recipe", STATIC[0], "--set", "convolutions=float"], "convolutions"),
        (["--recipe", DYNAMIC[0], "--set", "convolutions=int4"], "int8 or float"),
    ):
        done = intaglio("build", made.program, "-o", tmp_path / "model.pte", *arguments, check=False)
        assert done.returncode == 2 and words in done.stderr


def test_more_results_than_a_delegate_may_have_run_outside(tmp_path, intaglio, document):
    model = write(many_outputs, 4200, tmp_path / "model.pt2")
    sample = np.load(tmp_path / "model.npy")
    told = document("build", model, "-o", tmp_path / "model.pte", "--recipe", "xnnpack_fp32")["methods"][0]
    assert not told["delegates"] and told["leftover_ops"]
    intaglio("run", tmp_path / "model.pte", "--input", tmp_path / "model.npy", "-o", tmp_path / "out.npz")
    out = np.load(tmp_path / "out.npz")
    assert len(out.files) == 4200 and all(np.array_equal(out[f"arr_{i}"], sample.clip(0)) for i in (0, 4199)) and sample.clip(0).any()


def test_values_that_overflow_before_they_are_quantized_are_named(intaglio, tmp_path):
    class Growing(torch.nn.Module):
        def forward(self, x):
            for _ in range(3):
                x = x * 1e20
            return x + 1

    x = torch.full((2, 3), 5.0)
    torch.export.save(torch.export.export(Growing(), (x,)), tmp_path / "m.pt2")
    np.save(tmp_path / "x.npy", x.numpy())
    done = intaglio(
        "quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", tmp_path / "x.npy", check=False
    )
    assert done.returncode == 1 and "every value that was observed is infinite" in done.stderr and "mul_" in done.stderr, done.stderr
