"""Programs lowered to Core ML: opened by ExecuTorch and coremltools, beside ExecuTorch's own of the same programs, and computed."""

import json
from collections import Counter

import pytest
import torch

from cases import Case, Function, copied, coreml as cases, leaves, noise
from coreml.interpreter import Model, program
from coreml.meaning import Meaning, differences, unmatched
from coreml.package import Package as Files
from cases.quantized import dynamic, weight_only
from make_records.coreml import payload as recorded
from oracle.archives import save
from oracle.coreml import Package, ct, payload_of
from vulkan.package import Package as ProgramFile

EVERY = [(name, target) for name, entry in cases.PROGRAMS.items() for target in entry.targets]
# Of the largest output. Half precision is rounded after each operation, in an order of its own.
ROUNDING = {"FLOAT16": 3e-3, "FLOAT32": 1e-5}
STATIC = 2e-2  # scales of activations are rounded too
# Equal in meaning to the last parameter. Others are written otherwise on purpose (docs/coreml.md), or round weights that a batch norm
# is folded into, or activations' zero points, in another way: for them the kinds of operations are named that may differ.
MOVES = {"reshape", "squeeze", "expand_dims", "transpose", "tile", "concat", "stack", "split", "slice_by_index", "cast", "identity"}
OTHER = {
    ("language", "iOS18"): MOVES | {"mul", "pow", "add", "greater_equal", "select"},  # squares by themselves, places that are not negative
    ("resized", "iOS17"): MOVES | {"layer_norm", "mul", "real_div", "reduce_mean", "sqrt", "square", "sub"},  # group normalization
    ("mobile", "iOS15"): set(),
    ("residual", "iOS18"): set(),
    ("static", "iOS17"): set(),
    ("static", "iOS18"): set(),
    ("static_residual", "iOS18"): set(),
}
OTHER["resized", "iOS18"] = OTHER["resized", "iOS17"]


def lowered(case: Case, intaglio, folder, target: str, precision: str = "FLOAT16", *more):
    """The delegates' payloads and what was said."""
    with torch.no_grad():
        save(case, folder / "model.pt2")
    settings = [f"minimum_deployment_target={target}", f"compute_precision={precision.lower()}"]
    arguments = [word for setting in settings for word in ("--set", setting)]
    said = json.loads(intaglio("lower", folder / "model.pt2", "-o", folder / "model.pte", "--backend", "coreml", *arguments, *more, "--json").stdout)
    return ProgramFile(folder / "model.pte").payloads("CoreMLBackend"), said


def check_outputs(model, case: Case, rounding: float) -> None:
    for call, expected in zip(case.calls, case.expected, strict=True):
        for ours, eager in zip(model(leaves(copied(call))), expected, strict=True):
            assert eager.std() > 1e-3, "the program computes nothing"
            assert (ours.float().reshape(eager.shape) - eager).abs().max() <= rounding * eager.abs().max()


@pytest.mark.parametrize("name,target", EVERY)
def test_beside_executorch(name, target, intaglio, tmp_path):
    """One delegate, which both open; the same operations but for those above; and what PyTorch computes."""
    entry = cases.PROGRAMS[name]
    precision = entry.targets[target]
    case = entry.make()
    (payload,), said = lowered(case, intaglio, tmp_path, target, precision)
    assert said["methods"][0]["leftover_ops"] == []
    Package(payload, tmp_path / "unpacked")
    ours, theirs = Meaning(payload), Meaning(recorded(name, target))
    if (name, target) not in OTHER:
        assert differences(ours, theirs) == [], (unmatched(ours, theirs)[:3], unmatched(theirs, ours)[:3])
    else:
        mine, other = Counter(ours.model.kinds), Counter(theirs.model.kinds)
        assert {kind for kind in mine | other if mine[kind] != other[kind]} <= OTHER[name, target], (mine - other, other - mine)
    check_outputs(Model(payload), case, STATIC if name.startswith("static") else ROUNDING[precision])


class Accepted(torch.nn.Module):
    """What ExecuTorch takes and then fails on, and the approximate GELU that it computes otherwise."""

    def forward(self, x):
        y = torch.nn.functional.rms_norm(torch.nn.functional.hardtanh(x * 3, -1, 2), [8])
        return torch.nn.functional.max_pool2d(torch.nn.functional.gelu(y, approximate="tanh"), 2).clamp(0, 1)


@pytest.mark.parametrize("target", ["iOS15", "iOS17", "iOS18"])
def test_what_executorch_fails_on(target, intaglio, tmp_path):
    case = Case(Accepted().eval(), [(noise(1, 2, 8, 8),)])
    (payload,), said = lowered(case, intaglio, tmp_path, target, "FLOAT32")
    package = Package(payload, tmp_path / "unpacked")
    assert {"max_pool", "gelu", "clip"} <= set(package.kinds())
    (mode,) = [operation.mode.val for operation in package.operations() if operation.op_type == "gelu"]
    assert mode == "TANH_APPROXIMATION"
    check_outputs(Model(payload), case, ROUNDING["FLOAT32"])


@pytest.mark.parametrize("bits", range(1, 9))
def test_tables_of_every_number_of_bits(bits, intaglio, tmp_path):
    case = cases.codebook(bits, [-1, 32])
    (payload,), said = lowered(case, intaglio, tmp_path, "iOS18")
    assert Package(payload, tmp_path / "unpacked").kinds().count("constexpr_lut_to_dense") == 3
    check_outputs(Model(payload), case, ROUNDING["FLOAT16"])
    assert [str(bits + 1) in str(warning) for warning in said["warnings"]] == [True] * (3 if bits in (5, 7) else 0)


def written(x, places, rows, numbers, count):
    """At places that are known at run time, once and again; numbers without dimensions, integers too; statistics of one image."""
    put = x.index_put((places,), rows) + x.index_put((places,), rows, accumulate=True)
    return put * numbers, numbers * 2, count + 3, torch.nn.functional.instance_norm(x[None])


def test_writing_numbers_and_statistics(intaglio, tmp_path):
    calls = [(noise(5, 4, 3), torch.tensor([3, 0]), noise(2, 4, 3, seed=1), torch.tensor(1.5), torch.tensor(4))]
    case = Case(Function(written), calls)
    (payload,), said = lowered(case, intaglio, tmp_path, "iOS17", "FLOAT32")
    assert said["methods"][0]["leftover_ops"] == []
    assert {"scatter", "instance_norm"} <= set(Package(payload, tmp_path / "unpacked").kinds())
    for ours, eager in zip(program(tmp_path / "model.pte")(*leaves(copied(calls[0]))), case.expected[0], strict=True):
        torch.testing.assert_close(ours.reshape(eager.shape).to(eager.dtype), eager, rtol=1e-4, atol=1e-5)


def dynamic_case() -> Case:
    torch.manual_seed(0)
    layer = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU())
    batch = torch.export.Dim("batch", min=2, max=16)
    return Case(layer.eval(), [(noise(4, 6),), (noise(9, 6),)], shapes=({0: batch},))


def test_sizes_with_bounds(intaglio, tmp_path):
    (payload,), _ = lowered(dynamic_case(), intaglio, tmp_path, "iOS17", "FLOAT32")
    (feature,) = Package(payload, tmp_path / "unpacked").spec.description.input
    ranges = [(size.lowerBound, size.upperBound) for size in feature.type.multiArrayType.shapeRange.sizeRanges]
    assert ranges == [(2, 16), (6, 6)] and list(feature.type.multiArrayType.shape) == [2, 6]
    check_outputs(Model(payload), dynamic_case(), ROUNDING["FLOAT32"])


REFUSED = [
    ("coreml_torchao_int4_weight_only_per_channel", ["minimum_deployment_target=iOS16"], "int4 weights need iOS18 or later"),
    ("coreml_torchao_int8_weight_only_per_channel", ["minimum_deployment_target=iOS15"], "int8 weights need iOS16 or later"),
    ("coreml_torchao_int8_weight_only_per_group", ["minimum_deployment_target=iOS17"], "weights with a scale for each group need iOS18 or later"),
    ("coreml_torchao_int4_weight_only_per_group", ["group_size=48"], "48"),
    ("coreml_codebook_weight_only", ["bits=9", "block_size=[16,-1]"], "must be an integer from 1 to 8"),
    ("coreml_codebook_weight_only", ["bits=3", "block_size=16"], "two sizes of a block"),
    ("coreml_codebook_weight_only", ["bits=3", "block_size=[7,-1]"], "7"),
    ("coreml_codebook_weight_only", ["bits=3", "block_size=[16,-1]", "minimum_deployment_target=iOS17"], "a table for each block need iOS18 or later"),
]


REFUSED += [
    ("coreml_fp16", ['op_linear_quantizer_config={"mode": "linear_symmetric"}'], "weights are quantized before they are lowered"),
    ("coreml_fp16", ['pass_pipeline=["common::dead_code_elimination"]'], "it orders passes of coremltools"),
    ("coreml_torchao_int8_weight_only_per_channel", ["embedding=int4"], "tables of fewer than 8 bits, or with a scale for each group, need iOS18"),
]


@pytest.fixture(scope="module")
def linears(tmp_path_factory):
    path = tmp_path_factory.mktemp("linears") / "model.pt2"
    save(Case(cases.seeded_module(cases.linears), [(noise(3, 64),)]), path)
    return path


@pytest.mark.parametrize("recipe,settings,text", REFUSED)
def test_bad_settings_in_one_line(recipe, settings, text, intaglio, linears, tmp_path):
    done = intaglio("build", linears, "-o", tmp_path / "x.pte", "--recipe", recipe, *[w for s in settings for w in ("--set", s)], check=False)
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and text in done.stderr


RECIPES = {
    "coreml_fp32": [],
    "coreml_fp16": [],
    "coreml_torchao_int4_weight_only_per_channel": [],
    "coreml_torchao_int4_weight_only_per_group": ["group_size=16"],
    "coreml_torchao_int8_weight_only_per_channel": [],
    "coreml_torchao_int8_weight_only_per_group": [],
    "coreml_codebook_weight_only": ["bits=3", "block_size=[16,-1]"],
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe, intaglio, linears, tmp_path):
    """What is in the file is what the quantized program computes."""
    settings = [word for setting in RECIPES[recipe] for word in ("--set", setting)]
    intaglio("build", linears, "-o", tmp_path / "x.pte", "--recipe", recipe, *settings)
    quantized = linears
    if "weight_only" in recipe:
        quantized = tmp_path / "quantized.pt2"
        intaglio("quantize", linears, "-o", quantized, "--recipe", recipe, *settings)
    (payload,) = ProgramFile(tmp_path / "x.pte").payloads("CoreMLBackend")
    Package(payload, tmp_path / "unpacked")
    x = noise(3, 64)
    expected = torch.export.load(quantized).module()(x)
    (ours,) = Model(payload)([x])
    assert (ours - expected).abs().max() <= ROUNDING["FLOAT32" if recipe == "coreml_fp32" else "FLOAT16"] * expected.abs().max()


def test_mixed_with_xnnpack(intaglio, document, tmp_path):
    """What Core ML does not take goes to the next backend."""
    case = Case(Function(lambda x: torch.erfc(x @ x.transpose(0, 1)) * 2), [(noise(4, 4),)])
    _, said = lowered(case, intaglio, tmp_path, "iOS16", "FLOAT32", "--backend", "xnnpack", "--set", "skip_ops_for_coreml_delegation=aten.mul.Tensor")
    delegates = [delegate["backend"] for delegate in said["methods"][0]["delegates"]]
    assert {"CoreMLBackend", "XnnpackBackend"} <= set(delegates)
    inspected = document("inspect", tmp_path / "model.pte")
    assert any("matmul" in str(delegate) for delegate in inspected["methods"][0]["delegates"])


class UNet(torch.nn.Module):
    """What XNNPACK asks for whole (pools, slopes, resizing, products) between what Core ML computes."""

    def __init__(self):
        super().__init__()
        block = lambda i, o: torch.nn.Sequential(torch.nn.Conv2d(i, o, 3, padding=1), torch.nn.BatchNorm2d(o), torch.nn.PReLU(o))
        self.down, self.deep, self.join = block(3, 8), block(8, 16), block(24, 8)
        self.pool, self.one, self.out = torch.nn.MaxPool2d(2), torch.nn.PReLU(), torch.nn.Linear(8, 5)

    def forward(self, x):
        fine = self.down(x)
        up = torch.nn.functional.interpolate(self.one(self.deep(self.pool(fine))), scale_factor=2, mode="bilinear")
        y = torch.nn.functional.hardswish(self.join(torch.cat([up, fine], 1))).flatten(2)
        return self.out(torch.matmul(y, y.transpose(1, 2)) / 64)


def test_what_the_next_backend_wants_whole_cuts_nothing(intaglio, tmp_path):
    case = Case(cases.seeded_module(UNet), [(noise(1, 3, 16, 16),)])
    (payload,), said = lowered(case, intaglio, tmp_path, "iOS17", "FLOAT32", "--backend", "xnnpack")
    assert [delegate["backend"] for delegate in said["methods"][0]["delegates"]] == ["CoreMLBackend"]
    assert {"max_pool", "prelu", "matmul"} <= set(Package(payload, tmp_path / "unpacked").kinds())
    check_outputs(Model(payload), case, ROUNDING["FLOAT32"])


@pytest.mark.parametrize("bits,group", [(4, 32), (8, 0)])
def test_inputs_quantized_at_run_time_are_read_in_float(bits, group, intaglio, tmp_path):
    """A program of 8da4w is one delegate, and computes what the one with quantized weights alone does."""
    case, weights = (cases.of_torchao(cases.linears, (noise(3, 64),), config(bits, group)) for config in (dynamic, weight_only))
    (payload,), said = lowered(case, intaglio, tmp_path, "iOS18", "FLOAT32")
    assert len(said["methods"][0]["delegates"]) == 1 and said["methods"][0]["leftover_ops"] == []
    assert "reads its input in float, and so do 2 more" in "".join(said["warnings"])
    Package(payload, tmp_path / "unpacked")
    check_outputs(Model(payload), Case(weights.module, case.calls), ROUNDING["FLOAT32"])


def read_twice(x):
    """One result of a range found for each row, which two layers read."""
    q, codes = torch.ops.quantized_decomposed, (-128, 127, torch.int8)
    scale, zero = q.choose_qparams_per_token_asymmetric(x, torch.int8)
    y = q.dequantize_per_token(q.quantize_per_token(x, scale, zero, *codes), scale, zero, *codes, torch.float32)
    return y.tanh() + y.sin(), y.exp()


def test_two_readers_of_one_range_found_at_run_time(intaglio, tmp_path):
    _, said = lowered(Case(Function(read_twice), [(noise(3, 64),)]), intaglio, tmp_path, "iOS18", "FLOAT32")
    assert len(said["methods"][0]["delegates"]) == 1 and said["methods"][0]["leftover_ops"] == []
    (ours, _), (x,) = program(tmp_path / "model.pte")(noise(3, 64)), (noise(3, 64),)
    torch.testing.assert_close(ours, x.tanh() + x.sin(), rtol=1e-4, atol=1e-5)


def rotated(x, positions):
    angles = positions[:, None].float() * 10000.0 ** (-torch.arange(8) / 8)
    return x * torch.cat([angles.cos(), angles.sin()], -1)


def test_angles_stay_in_float32(intaglio, tmp_path):
    """Positions times frequencies: half precision is radians off at 2,000, and has no odd numbers above 2,048."""
    case = Case(Function(rotated), [(noise(5, 16) + 3, torch.tensor([0, 7, 1999, 2047, 4095]))])
    lowered(case, intaglio, tmp_path, "iOS18")
    deployed = program(tmp_path / "model.pte")
    check_outputs(lambda inputs: deployed(*inputs), case, ROUNDING["FLOAT16"])


NORMS = {
    "module": lambda x: torch.nn.functional.rms_norm(x, (16,), eps=1e-5),
    "parts": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "product": lambda x: x / ((x * x).sum(-1, keepdim=True) / 16 + 1e-6).sqrt(),
    "scaled": lambda x: x * torch.rsqrt((x**2).mean(-1, keepdim=True).mul(0.5).clamp(min=1e-6)).expand_as(x),
}


@pytest.mark.parametrize("name", NORMS)
def test_squares_stay_in_float32(intaglio, tmp_path, name):
    """Numbers beyond 256, as hidden states of language models have them: their squares overflow half precision, their norms do not."""
    case = Case(Function(NORMS[name]), [(noise(5, 16) * torch.tensor([1.0, 30, 400, 2000, 5000])[:, None],)])
    lowered(case, intaglio, tmp_path, "iOS18")
    deployed = program(tmp_path / "model.pte")
    check_outputs(lambda inputs: deployed(*inputs), case, ROUNDING["FLOAT16"])


def quantized_anew(x):
    """As calibration leaves what goes through a view: two ranges."""
    q, codes = torch.ops.quantized_decomposed, (-128, 127, torch.int8)
    for scale, zero in ((0.03, 0), (0.0213, 5)):
        x = q.dequantize_per_tensor(q.quantize_per_tensor(x, scale, zero, *codes), scale, zero, *codes).flatten(1)
    return x


def test_two_quantizations_are_not_joined(intaglio, tmp_path):
    """coremltools makes one of them although they differ (docs/coreml.md)."""
    case = Case(Function(quantized_anew), [(noise(2, 4, 8),)])
    (payload,), _ = lowered(case, intaglio, tmp_path, "iOS17", "FLOAT32")
    ours, theirs = (Model(one) for one in (payload, payload_of(case.module, case.calls[0], "iOS17", "FLOAT32")))
    assert [model.kinds.count("quantize") for model in (ours, theirs)] == [2, 1]
    check_outputs(ours, case, ROUNDING["FLOAT32"])


def test_a_language_model_in_few_bits_keeps_its_caches(intaglio, tmp_path):
    """int8 table, int4 linears in groups, caches as states: one delegate, token by token."""
    entry = cases.PROGRAMS["language"].make()
    with torch.no_grad():
        save(entry, tmp_path / "model.pt2")
    settings = [word for one in ("group_size=16", "embedding=int8", "compute_precision=float32") for word in ("--set", one)]
    recipe = ["--recipe", "coreml_torchao_int4_weight_only_per_group", *settings]
    said = json.loads(intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", *recipe, "--json").stdout)
    assert len(said["methods"][0]["delegates"]) == 1 and said["methods"][0]["leftover_ops"] == []
    intaglio("quantize", tmp_path / "model.pt2", "-o", tmp_path / "quantized.pt2", *recipe)
    (payload,) = ProgramFile(tmp_path / "model.pte").payloads("CoreMLBackend")
    kinds = Counter(Package(payload, tmp_path / "unpacked").kinds())
    assert kinds["constexpr_blockwise_shift_scale"] == 9 and kinds["coreml_update_state"] == 2
    check_outputs(Model(payload), Case(torch.export.load(tmp_path / "quantized.pt2").module(), entry.calls), ROUNDING["FLOAT32"])


def test_compile_specs(intaglio, tmp_path):
    case = Case(Function(torch.relu), [(noise(2, 3),)])
    lowered(case, intaglio, tmp_path, "iOS18", "FLOAT32", "--set", "compute_unit=cpu_and_ne")
    (delegate,) = ProgramFile(tmp_path / "model.pte").plan().delegates
    specs = {spec.key: bytes(spec.value).decode() for spec in delegate.compile_specs}
    assert specs == {"compute_units": "cpu_and_ne", "min_deployment_target": "9", "model_compute_precision": "float32", "model_type": "model"}


class Written(torch.nn.Module):
    def __init__(self, weight, start=torch.zeros(1, 8)):
        super().__init__()
        self.weight = weight
        self.register_buffer("total", start)

    def forward(self, x):
        self.total.add_(x)
        return torch.nn.functional.linear(self.total, self.weight)


def test_states_and_buffers_outside(intaglio, tmp_path):
    torch.manual_seed(0)
    case = Case(Written(torch.nn.Parameter(torch.randn(4, 8))), [(noise(1, 8),), (noise(1, 8, seed=1),)])
    for target, more, states in [("iOS18", [], 1), ("iOS18", ["--set", "take_over_mutable_buffer=false"], 0), ("iOS17", [], 0)]:
        (tmp_path / (target + str(len(more)))).mkdir()
        (payload,), _ = lowered(case, intaglio, tmp_path / (target + str(len(more))), target, "FLOAT32", *more)
        assert len(Model(payload).states) == states
        if states:
            check_outputs(Model(payload), case, ROUNDING["FLOAT32"])


def test_a_buffer_that_does_not_start_at_zero_is_no_state(intaglio, tmp_path):
    """For states do."""
    torch.manual_seed(0)
    case = Case(Written(torch.nn.Parameter(torch.randn(4, 8)), torch.ones(1, 8)), [(noise(1, 8),), (noise(1, 8, seed=1),)])
    (payload,), _ = lowered(case, intaglio, tmp_path, "iOS18", "FLOAT32")
    assert not Model(payload).states
    whole = program(tmp_path / "model.pte")
    check_outputs(lambda call: whole(*call), case, ROUNDING["FLOAT32"])


def test_methods_share_one_model(intaglio, document, tmp_path):
    """Functions of one model in named data, which each delegate names; or models of their own."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 32).eval()
    for name, rows in [("prefill", 5), ("decode", 1)]:
        save(Case(layer, [(noise(rows, 64),)]), tmp_path / f"{name}.pt2")
    methods = [f"{name}={tmp_path / name}.pt2" for name in ("prefill", "decode")]
    arguments = ["--backend", "coreml", "--set", "minimum_deployment_target=iOS18", "--set", "compute_precision=float32"]
    intaglio("lower", *methods, "-o", tmp_path / "shared.pte", *arguments, "--emit", "mlpackage")
    file = ProgramFile(tmp_path / "shared.pte")
    references = {name: file.payloads("CoreMLBackend", name)[0] for name in ("prefill", "decode")}
    documents = {name: json.loads(reference.removeprefix(b"CMJR")) for name, reference in references.items()}
    assert [document["functionName"] for document in documents.values()] == ["prefill", "decode"]
    (blob,) = [file.named[document["key"]] for document in documents.values()][:1]
    assert set(json.loads(Package(blob, tmp_path / "unpacked").metadata)["methods"]) == {"prefill", "decode"}
    for name, rows in [("prefill", 5), ("decode", 1)]:
        (ours,) = Model(blob, name)([noise(rows, 64)])
        torch.testing.assert_close(ours, layer(noise(rows, 64)), rtol=1e-4, atol=1e-5)
    assert Files(tmp_path / "shared.mlpackage").files == Files(blob).files
    for method in document("inspect", tmp_path / "shared.pte", "--verbose")["methods"]:
        (delegate,) = method["delegates"]
        rows = {"prefill": 5, "decode": 1}[method["name"]]
        assert {"kind": "linear", "count": 1} in delegate["kinds"] and f"fp32[{rows},32] = linear" in json.dumps(delegate)
    intaglio("lower", *methods, "-o", tmp_path / "apart.pte", *arguments, "--set", "multimethod_weight_sharing_strategy=disabled")
    assert (tmp_path / "apart.pte").stat().st_size > (tmp_path / "shared.pte").stat().st_size + 64 * 32 * 3


def test_shapes_in_a_list(intaglio, tmp_path):
    shapes = ["--set", "lower_full_graph=true", "--set"]
    case = dynamic_case()
    (payload,), _ = lowered(case, intaglio, tmp_path, "iOS17", "FLOAT32", *shapes, 'enumerated_shapes={"input": [[4, 6], [9, 6]]}')
    array = Package(payload, tmp_path / "unpacked").spec.description.input[0].type.multiArrayType
    assert [list(shape.shape) for shape in array.enumeratedShapes.shapes] == [[4, 6], [9, 6]] and list(array.shape) == [4, 6]
    check_outputs(Model(payload), case, ROUNDING["FLOAT32"])
    for value, text in [('{"y": [[4, 6]]}', "no input is called 'y'"), ('{"input": [[40, 6]]}', "cannot have the shape [40,6]"), ("x", "shapes by input")]:
        arguments = ["--backend", "coreml", "--set", "lower_full_graph=true", "--set", f"enumerated_shapes={value}"]
        done = intaglio("lower", tmp_path / "model.pt2", "-o", tmp_path / "x.pte", *arguments, check=False)
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1 and text in done.stderr


def test_the_package_for_xcode(intaglio, tmp_path):
    case = cases.PROGRAMS["mobile"].make()
    (payload,), _ = lowered(case, intaglio, tmp_path, "iOS17", "FLOAT16", "--emit", "mlpackage")
    assert Files(tmp_path / "model.mlpackage").files == Files(payload).files
    model = ct.models.MLModel(str(tmp_path / "model.mlpackage"), skip_model_load=True)
    assert [feature.name for feature in model.get_spec().description.input] == ["x"]


def test_a_package_replaces_packages_alone(intaglio, tmp_path):
    case = cases.PROGRAMS["mobile"].make()
    emit = (case, intaglio, tmp_path, "iOS17", "FLOAT16", "--emit", "mlpackage")
    mine = tmp_path / "model.mlpackage" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("x")
    save(case, tmp_path / "model.pt2", data=case.calls)
    done = intaglio("lower", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", "--backend", "coreml", "--emit", "mlpackage", check=False)
    assert done.returncode == 1 and "no .mlpackage; move it away" in done.stderr and mine.read_text() == "x"
    mine.unlink()
    mine.parent.rmdir()
    first, _ = lowered(*emit)
    (mine.parent / "stale").write_text("x")
    lowered(*emit)
    assert Files(mine.parent).files == Files(first[0]).files and not [path for path in tmp_path.iterdir() if ".new-" in path.name]


def test_same_bytes_again(intaglio, tmp_path):
    case = cases.PROGRAMS["mobile"].make()
    (first,), _ = lowered(case, intaglio, tmp_path, "iOS17")
    (again,), _ = lowered(case, intaglio, tmp_path, "iOS17")
    assert first == again and Files(first).metadata["inputNames"] == ["x"]
