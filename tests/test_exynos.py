"""What is handed to Samsung's compiler, beside what ExecuTorch's own passes and builders hand over; the hand-over file, its runs on the
host, and the contract of a compiler."""

import json
import re
import subprocess
import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cases import networks, noise, seeded
from oracle import exynos
from oracle.build import NIGHTLY, ROOT
from oracle.compare import sqnr
from test_exynos_quantizer import CASES, exported, images, network, theirs


class Residual(nn.Module):
    """Sums around layers, a concatenation of two branches, pools, a head."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.left, self.right = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1, bias=False)
        self.down, self.head = nn.Conv2d(16, 12, 3, stride=2), nn.Linear(12, 5)

    def forward(self, x):
        x = F.relu(self.norm(self.stem(x)))
        x = torch.cat([F.relu6(self.left(x)) + x, F.hardswish(self.right(x))], 1)
        x = F.avg_pool2d(F.max_pool2d(F.relu(self.down(x)), 2), 2)
        return self.head(x.mean((2, 3)))


class EveryOp(nn.Module):
    """Every operator that ExecuTorch's builders take, each with a result of its own."""

    def __init__(self):
        super().__init__()
        self.plain, self.depth = nn.Conv2d(8, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)), nn.Conv2d(8, 8, 3, groups=8)
        self.up, self.rows = nn.ConvTranspose2d(8, 4, 2, stride=2, padding=1), nn.Conv1d(8, 6, 3, padding=1)
        self.linear, self.table = nn.Linear(8, 5, bias=False), nn.Embedding(10, 6)
        self.layer, self.group, self.batch, self.slopes = nn.LayerNorm(8), nn.GroupNorm(2, 8), nn.BatchNorm2d(8), nn.PReLU(8)
        self.register_buffer("fixed", noise(2, 8, 8, 8, seed=9))

    def forward(self, x, y, ids):
        p = F.relu(x)
        return (
            [x + y, x - y, x * y, x / (p + 1.0), torch.maximum(x, y), torch.minimum(x, y), torch.pow(p, F.relu(y))],
            [self.plain(x), self.depth(x), self.up(x), self.rows(x[0]), self.linear(x), torch.bmm(x[0], y[0])],
            [F.avg_pool2d(x, (3, 2), (2, 1), (1, 0), count_include_pad=False), F.max_pool2d(x, 3, 2, 1, dilation=(1, 2))],
            [x.mean((-1, 1), keepdim=True), x.mean(2), x.sum((1, -1)), x.sum(-2, keepdim=True)],
            [p, F.gelu(x), F.hardswish(x), F.hardsigmoid(x), torch.sigmoid(x), torch.tanh(x), torch.sqrt(p), torch.rsqrt(p + 1.5)],
            [torch.log(p + 2.0), torch.sin(x), torch.cos(x), torch.clamp(x, -0.5, 0.75), torch.clamp(x, min=0.25), F.hardtanh(x, -2.0, 2.0)],
            [F.leaky_relu(x, 0.2), self.slopes(x), F.softmax(x, -1), F.log_softmax(x, 1)],
            [torch.cat([x, y], -1), torch.cat([x, self.fixed], 1), x[:, :1].expand(-1, 4, -1, -1), x.reshape(16, 64), x[:, :1].squeeze(1), x.unsqueeze(1)],
            [x.permute(0, 2, 3, 1), x[:, 1:7:2, :, -3:], x.select(1, -2), *x.split([3, 5], 1), F.pad(x, (1, 2, 0, 3))],
            [self.table(ids), x[:, :, ids], self.layer(x), self.group(x), self.batch(x), F.pixel_shuffle(x, 2)],
            [F.interpolate(x, size=(12, 16), mode="bilinear"), F.interpolate(x, size=(16, 16)), *x.topk(3), x * 2.0, x.to(torch.int32)],
        )


class Block(nn.Module):
    """A layer of a transformer: attention of several heads, norms, and a product of batches behind a select."""

    def __init__(self):
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.wide, self.narrow = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        x = x + self.narrow(F.gelu(self.wide(x)))
        return torch.matmul(x, x.transpose(-1, -2))[:, 0]


MODELS = {
    "block": (Block, images(2, 6, 8)),
    "cnn": CASES["cnn"],
    "residual": (Residual, images(1, 3, 12, 12)),
}


ATTENTION = {"plain": [(2, 3, 4, 8)] * 3, "masked": [(2, 3, 4, 8)] * 3 + [(4, 4)], "without heads": [(3, 4, 8)] * 3, "narrow values": [(2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 6)]}


class Attention(nn.Module):
    def forward(self, q, k, v, mask=None):
        return F.scaled_dot_product_attention(q, k, v, mask)


def every_op():
    with seeded():
        model = EveryOp().eval()
        networks.draw_batch_norms(model, 3)
    return torch.export.export(model, (noise(2, 8, 8, 8, seed=1), noise(2, 8, 8, 8, seed=2), torch.tensor([1, 3, 0])))


@pytest.fixture
def lowered(intaglio, tmp_path):
    """lowered(program, *options) -> the path of its hand-over."""

    def call(program, *options):
        torch.export.save(program, tmp_path / "program.pt2")
        intaglio("lower", tmp_path / "program.pt2", "--backend", "exynos", "-o", tmp_path / "out.enn", "--quiet", *options)
        return tmp_path / "out.enn"

    return call


def same_as_executorchs(lowered, program):
    theirs_, edge = exynos.lower(program)
    mine = exynos.graphs_of(lowered(program, "--compat", "torchao"))
    assert len(mine) == len(theirs_) > 0
    for ours_, other in zip(mine, theirs_):
        exynos.assert_same_calls(ours_, other)
    return mine


@pytest.mark.parametrize("name", MODELS)
def test_the_calls_are_executorchs(lowered, name):
    program, samples = exported(*MODELS[name])
    [graph] = same_as_executorchs(lowered, theirs(program, samples))
    assert sum(tensor["data_type"] == "INT8" for tensor in graph["tensors"]) > 10


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_is_handed_over_as_executorch_does(intaglio, lowered, tmp_path, name):
    operands = tuple(noise(*sizes, seed=seed) for seed, sizes in enumerate(ATTENTION[name], 1))
    program = torch.export.export(Attention(), operands)
    same_as_executorchs(lowered, program)
    [graph] = exynos.graphs_of(lowered(program))  # by default in fewer nodes, with the same result
    assert {"SOFTMAX", "BATCH_MATMUL"} < {op["type"] for op in graph["ops"]}
    np.savez(tmp_path / "x.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(operands)})
    intaglio("run", tmp_path / "out.enn", "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz", "--quiet")
    assert np.allclose(np.load(tmp_path / "y.npz")["arr_0"], F.scaled_dot_product_attention(*operands).numpy(), atol=1e-5)


class Masked(nn.Module):
    """Two layers of attention as BERT has them, with one mask."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList(nn.Linear(8, 8) for _ in range(3)) for _ in range(2))

    def forward(self, x, attention_mask):
        mask = (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * -10000.0
        for divisor, parts in enumerate(self.layers, 2):
            q, k, v = (part(x).view(2, 4, 2, 4).transpose(1, 2) for part in parts)
            x = (F.softmax(q @ k.transpose(-1, -2) / divisor + mask, -1) @ v).transpose(1, 2).reshape(2, 4, 8)
        return x


@pytest.mark.parametrize("kind", [torch.float32, torch.int64], ids=str)
def test_a_mask_is_rewritten_as_executorch_does(intaglio, lowered, tmp_path, kind):
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 1, 1]]).to(kind)
    program, samples = exported(Masked, lambda seed: (noise(2, 4, 8, seed=seed) * 3, mask))
    [graph] = same_as_executorchs(lowered, theirs(program, samples))
    assert [op["type"] for op in graph["ops"]].count("ELTMUL") == 4  # two of scores, two of what is hidden
    # By default what is hidden does not count.
    lowered(theirs(program, samples))
    np.savez(tmp_path / "x.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(samples[0])})
    intaglio("run", tmp_path / "out.enn", "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz", "--quiet")
    assert sqnr(program.module()(*samples[0]).detach().numpy(), np.load(tmp_path / "y.npz")["arr_0"]) > 25


@pytest.mark.skipif(not NIGHTLY, reason="exports networks: `make nightly`")
@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2", "vision_transformer"])
def test_networks_are_handed_over_as_executorch_does(lowered, name):
    program, samples = network(name)
    same_as_executorchs(lowered, theirs(program, samples))


# ---- what the runtime is given


@pytest.fixture(scope="module")
def compiler(tmp_path_factory):
    library = tmp_path_factory.mktemp("compiler") / "stand_in.so"
    subprocess.run(["cc", "-std=gnu11", "-shared", "-fPIC", "-I", ROOT / "include", ROOT / "tests/exynos/stand_in_compiler.c", "-o", library], check=True)
    return library


@pytest.fixture
def residual(tmp_path):
    program, samples = exported(*MODELS["residual"])
    torch.export.save(program, tmp_path / "residual.pt2")
    (tmp_path / "samples").mkdir()
    for index, (x,) in enumerate(samples):
        np.save(tmp_path / "samples" / f"{index}.npy", x.numpy())
    return tmp_path


BUILD_IT = ("--recipe", "exynos_pt2e_int8_static", "--quiet")


def built(intaglio, folder, out, *options, **how):
    return intaglio("build", folder / "residual.pt2", "-o", folder / out, "--calibrate", folder / "samples", *BUILD_IT, *options, **how)


def delegates_of(path):
    from executorch.exir._serialize import _deserialize_pte_binary

    [plan] = _deserialize_pte_binary(path.read_bytes()).program.execution_plan
    return plan.delegates


def test_without_a_compiler_there_is_no_pte(intaglio, residual):
    done = built(intaglio, residual, "out.pte", check=False)
    assert done.returncode == 1 and not (residual / "out.pte").exists()
    assert done.stderr.count("\n") == 1 and "enn_compiler" in done.stderr and ".enn" in done.stderr


@pytest.mark.parametrize("chipset, number", [("E9955", 9955), ("e9965", 9965)])
def test_a_compiler_gets_every_call_and_makes_the_payload(intaglio, residual, compiler, chipset, number):
    built(intaglio, residual, "out.enn", "--set", f"chipset={chipset}")
    built(intaglio, residual, "out.pte", "--set", f"chipset={chipset}", "--set", f"enn_compiler={compiler}")
    [graph] = exynos.graphs_of(residual / "out.enn")
    [delegate] = delegates_of(residual / "out.pte")
    assert delegate.id == "EnnBackend"
    [spec] = delegate.compile_specs
    assert spec.key == "enn_compile_options"
    assert bytes(spec.value).hex() == "100000004545544f0000060008000400" + "06000000" + number.to_bytes(4, "little").hex()
    file = (residual / "out.pte").read_bytes()
    text = file[file.index(f"graph {number}\n".encode()) :].decode(errors="replace")
    lines = [line.split(" ") for line in text.split("\noutputs ")[0].splitlines()]
    tensors = [line for line in lines if line[0] == "tensor"]
    assert [(t[2], t[3], t[4], list(map(int, t[5:]))) for t in tensors] == [(t["name"], t["data_type"], t["layout"], t["dims"]) for t in graph["tensors"]]
    data = {int(line[1]) - 100: (int(line[2]), int(line[3])) for line in lines if line[0] == "data"}
    assert data == {i: (t["data"].nbytes, int(np.frombuffer(t["data"].tobytes(), np.uint8).sum(dtype=np.uint32))) for i, t in enumerate(graph["tensors"]) if t["data"] is not None}
    scales = {int(line[1]) - 100: [float(pair.split("/")[0]) for pair in line[4:]] for line in lines if line[0] == "quantize"}
    for index, tensor in enumerate(graph["tensors"]):
        assert (index in scales) == bool(tensor["quantize"])
        if tensor["quantize"]:
            assert np.array_equal(np.float32(scales[index]), np.float32(tensor["quantize"]["scales"]))
    ops = [line for line in lines if line[0] == "op"]
    assert [(op[2], op[3]) for op in ops] == [(op["name"], op["type"]) for op in graph["ops"]]
    assert [[int(i) - 100 for i in op[5 : op.index("outputs")]] for op in ops] == [op["inputs"] for op in graph["ops"]]
    params = [(line[2], line[6:]) for line in lines if line[0] == "param"]
    expected = [(p["name"], p["value"]) for op in graph["ops"] for p in op["params"]]
    for (key, words), (name, value) in zip(params, expected, strict=True):
        assert key == name
        assert words == [value] if isinstance(value, str) else np.allclose([float(w) for w in words], np.atleast_1d(value).astype(float), rtol=0)


def test_a_compiler_that_refuses_says_why(intaglio, residual, compiler, monkeypatch):
    monkeypatch.setenv("STAND_IN_REFUSES", "CONCAT")
    done = built(intaglio, residual, "out.pte", "--set", f"enn_compiler={compiler}", check=False)
    assert done.returncode == 1 and not (residual / "out.pte").exists()
    assert "refuses CONCAT" in done.stderr and "told to refuse" in done.stderr and done.stderr.count("\n") == 1


def test_a_binary_is_the_payload(intaglio, residual):
    (residual / "graph.nnc").write_bytes(b"NNC binary " * 40)
    built(intaglio, residual, "out.pte", "--set", f"enn_binary={residual / 'graph.nnc'}")
    assert b"NNC binary " * 40 in (residual / "out.pte").read_bytes()
    assert [delegate.id for delegate in delegates_of(residual / "out.pte")] == ["EnnBackend"]


@pytest.mark.parametrize("setting", ["enn_compiler", "enn_binary"])
def test_a_hand_over_is_no_binary(intaglio, residual, setting):
    built(intaglio, residual, "out.enn")
    done = built(intaglio, residual, "out.pte", "--set", f"{setting}={residual / 'out.enn'}", check=False)
    assert done.returncode == 1 and "out.enn" in done.stderr and not (residual / "out.pte").exists()


# ---- runs on the host


def run(intaglio, folder, file, sample):
    intaglio("run", folder / file, "--input", folder / "samples" / sample, "-o", folder / "result.npz", "--quiet")
    return np.load(folder / "result.npz")["arr_0"]


def test_a_hand_over_runs_in_integers(intaglio, document, residual):
    built(intaglio, residual, "out.enn")
    intaglio("quantize", residual / "residual.pt2", "-o", residual / "int8.pt2", "--calibrate", residual / "samples", *BUILD_IT)
    converted = torch.export.load(residual / "int8.pt2").module()
    step = max(t["quantize"]["scales"][0] for t in exynos.graphs_of(residual / "out.enn")[0]["tensors"] if t["kind"] != "CONSTANT" and t["dims"] == [1, 5] and t["quantize"]["type"])
    for index in range(3):
        expected = converted(torch.from_numpy(np.load(residual / "samples" / f"{index}.npy"))).detach().numpy()
        found = run(intaglio, residual, "out.enn", f"{index}.npy")
        assert np.abs(found - expected).max() <= 3.01 * step and sqnr(expected, found) > 25
    compared = document("compare", residual / "residual.pt2", residual / "out.enn", "--data", residual / "samples")
    assert compared["outputs"][0]["sqnr_db"] > 15 and compared["candidate"]["engine"] == "interpreter"
    intaglio("compare", residual / "residual.pt2", residual / "out.enn", "--data", residual / "samples", "--report", residual / "page.html")
    assert "out.enn" in (residual / "page.html").read_text()


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = nn.Linear(8, 16), nn.Linear(16, 16), nn.Linear(16, 5)

    def forward(self, x):
        return self.last(torch.relu(self.second(torch.relu(self.first(x)))))


def test_what_a_fused_activation_cuts_off_is_not_clipped(intaglio, tmp_path):
    """A hand-over has the range of its integers in place of the activation: a layer left in float keeps it."""
    torch.manual_seed(11)
    x = torch.randn(64, 8)
    torch.export.save(torch.export.export(Perceptron().eval(), (x,)), tmp_path / "m.pt2")
    np.save(tmp_path / "x.npy", x.numpy())
    intaglio("build", tmp_path / "m.pt2", "-o", tmp_path / "m.enn", "--calibrate", tmp_path / "x.npy", *BUILD_IT)
    intaglio("compare", tmp_path / "m.pt2", tmp_path / "m.enn", "--data", tmp_path / "x.npy", "--report", tmp_path / "page.html")
    rows = [re.findall(r"<td([^>]*)>(.*?)</td>", row) for row in re.findall(r"<tr[^>]*>(.*?)</tr>", (tmp_path / "page.html").read_text(), re.S)]
    layers = {row[0][1]: row for row in rows if len(row) == 11 and row[2][1] == "aten.linear.default"}
    assert set(layers) == {"first", "second", "last"}
    for row in layers.values():
        gained, clipped = (float(re.search(r'data-v="(.*)"', row[column][0])[1]) for column in (4, 9))
        assert -3 < gained < 10 and clipped < 0.001


def test_every_operator_runs_as_the_model(intaglio, lowered, tmp_path):
    program = every_op()
    path = lowered(program)
    inputs = [noise(2, 8, 8, 8, seed=1), noise(2, 8, 8, 8, seed=2), torch.tensor([1, 3, 0])]
    np.savez(tmp_path / "x.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(inputs)})
    intaglio("run", path, "--input", tmp_path / "x.npz", "-o", tmp_path / "y.npz", "--quiet")
    found = np.load(tmp_path / "y.npz")
    expected = torch.utils._pytree.tree_leaves(program.module()(*inputs))
    assert len(found.files) == len(expected)
    for index, tensor in enumerate(expected):
        assert np.allclose(found[f"arr_{index}"], tensor.detach().numpy(), rtol=1e-4, atol=1e-5), index


class Count(nn.Module):
    def forward(self, words):
        return (words * 3 + 1).float().mean(-1)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x):
        return F.relu(self.layer(x))


# Integers that are cast, float16, and a mask of minus infinity, which has no range.
ODD = {
    "integers": (Count, lambda: (torch.arange(24).reshape(3, 8),)),
    "float16": (lambda: Layer().half(), lambda: (noise(3, 8, seed=1).half(),)),
    "mask": (Attention, lambda: (*(noise(1, 2, 4, 8, seed=seed) for seed in range(3)), torch.ones(4, 4).tril().log())),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_quantized_is_float32(intaglio, tmp_path, name):
    make, draw = ODD[name]
    with seeded():
        program = torch.export.export(make().eval(), draw())
    torch.export.save(program, tmp_path / "odd.pt2")
    (tmp_path / "samples").mkdir()
    np.savez(tmp_path / "samples" / "0.npz", **{f"arr_{i}": x.numpy() for i, x in enumerate(draw())})
    intaglio("build", tmp_path / "odd.pt2", "-o", tmp_path / "odd.enn", "--calibrate", tmp_path / "samples", *BUILD_IT)
    assert any(tensor["data_type"] == "INT8" for graph in exynos.graphs_of(tmp_path / "odd.enn") for tensor in graph["tensors"])
    intaglio("run", tmp_path / "odd.enn", "--input", tmp_path / "samples" / "0.npz", "-o", tmp_path / "y.npz", "--quiet")
    assert sqnr(program.module()(*draw()).detach().float().numpy(), np.load(tmp_path / "y.npz")["arr_0"].astype(np.float32)) > 25


def test_inspect_decodes_it(document, intaglio, residual):
    built(intaglio, residual, "out.enn")
    [method] = document("inspect", residual / "out.enn")["methods"]
    [graph] = method["graphs"]
    assert method["name"] == "forward" and method["outside"] == []
    conv = next(op for op in graph["ops"] if op["type"] == "CONV2D")
    assert {p["name"]: p["value"] for p in conv["params"]}["explicit_padding"] == [1, 1, 1, 1]
    text = intaglio("inspect", residual / "out.enn", "--verbose").stdout
    assert "E9955" in text and "activation=RELU:CHAR" in text and "quantize('AINT8'" in text


def test_damage_is_one_clear_line(intaglio, residual):
    built(intaglio, residual, "out.enn")
    good = (residual / "out.enn").read_bytes()
    bad = residual / "bad.enn"
    for cut in (0, 10, 100, len(good) // 2, len(good) - 5):
        bad.write_bytes(good[:cut])
        done = intaglio("inspect", bad, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "bad.enn" in done.stderr, cut
    with zipfile.ZipFile(residual / "out.enn") as archive:
        entries = {info.filename: (info, archive.read(info)) for info in archive.infolist()}
    for info, _ in entries.values():
        changed = bytearray(good)
        changed[info.header_offset + 30 + len(info.filename) + 64] ^= 0x20  # in its data, or in the padding before it
        bad.write_bytes(changed)
        done = intaglio("run", bad, "--input", residual / "samples" / "0.npy", check=False)
        assert done.returncode in (0, 1) and done.stderr.count("\n") <= 1

    def rewritten(edit):
        with zipfile.ZipFile(bad, "w") as archive:
            for name, (_, contents) in entries.items():
                archive.writestr(name, edit(name, contents))
        done = intaglio("inspect", bad, check=False)
        assert done.returncode == 1 and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def in_graph(old, new):
        assert any(old in contents for name, (_, contents) in entries.items() if name.endswith(".ieg"))
        return rewritten(lambda name, contents: contents.replace(old, new, 1) if name.endswith(".ieg") else contents)

    assert "intaglio-enn 7" in rewritten(lambda name, contents: contents.replace(b"enn 1", b"enn 7") if name == "hand_over/format" else contents)
    assert "type that does not exist" in in_graph(b'"CONCAT"', b'"CONDOR"')
    assert "dimensions" in in_graph(b'"dims": [1, 3, 12, 12]', b'"dims": [1, 3, 12, -2]')
    assert "zero points" in in_graph(b'"AINT8"', b'"AINT9"')
    assert "stride_h" in in_graph(b'"stride_h"', b'"stride_q"')
    assert "graph" in rewritten(lambda name, contents: contents[:200] if name.endswith(".ieg") else contents)


# ---- partitions


class TwoBackends(nn.Module):
    def forward(self, x):
        return F.max_pool2d(F.elu(torch.tanh(x)), 3, 2, ceil_mode=True)


def test_another_backend_takes_what_is_left(intaglio, compiler, tmp_path):
    """In a `.pte`; a hand-over is of one backend, and says so."""
    torch.export.save(torch.export.export(TwoBackends(), (noise(1, 2, 8, 8, seed=1),)), tmp_path / "two.pt2")
    both = ("lower", tmp_path / "two.pt2", "--backend", "exynos", "--backend", "xnnpack", "--quiet")
    intaglio(*both, "-o", tmp_path / "two.pte", "--set", f"enn_compiler={compiler}")
    assert [delegate.id for delegate in delegates_of(tmp_path / "two.pte")] == ["EnnBackend", "XnnpackBackend"]
    done = intaglio(*both, "-o", tmp_path / "two.enn", check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "that backend alone" in done.stderr


def test_partitions_are_executorchs(lowered):
    """Around an operator without a node: both sides cut the program in the same places."""

    class Cut(nn.Module):
        def forward(self, x):
            return torch.sort(torch.tanh(x) + 1.0)[0].sin() * 2.0

    program = torch.export.export(Cut(), (noise(3, 5, seed=2),))
    theirs_, _ = exynos.lower(program)
    mine = exynos.graphs_of(lowered(program, "--compat", "torchao"))
    assert [sorted(op["type"] for op in graph["ops"]) for graph in mine] == [sorted(op["type"] for op in graph["ops"]) for graph in theirs_]


def test_several_methods_are_one_hand_over(intaglio, residual):
    model = residual / "residual.pt2"
    intaglio("lower", f"one={model}", f"two={model}", "--backend", "exynos", "-o", residual / "two.enn", "--quiet")
    intaglio("run", residual / "two.enn", "--method", "two", "--input", residual / "samples" / "1.npy", "-o", residual / "y.npz", "--quiet")
    x = torch.from_numpy(np.load(residual / "samples" / "1.npy"))
    assert np.allclose(np.load(residual / "y.npz")["arr_0"], torch.export.load(model).module()(x).detach().numpy(), atol=1e-5)


def test_recipe_files_take_exynos(intaglio, document, residual):
    rules = [{"match": {"module_name": "head"}, "config": None}, {"config": {"is_per_channel": False}}]
    (residual / "recipe.json").write_text(json.dumps({"schema": "intaglio-recipe/1", "backend": "exynos", "rules": rules}))
    intaglio("build", residual / "residual.pt2", "-o", residual / "out.enn", "--calibrate", residual / "samples", "--recipe", residual / "recipe.json", "--quiet")
    [graph] = exynos.graphs_of(residual / "out.enn")
    kinds = {op["type"]: graph["tensors"][op["outputs"][0]]["data_type"] for op in graph["ops"] if op["type"] in ("FC", "CONV2D")}
    assert kinds == {"FC": "FLOAT32", "CONV2D": "INT8"}
    assert all(len(t["quantize"]["scales"]) == 1 for t in graph["tensors"] if t["quantize"])
