"""Archives that Intaglio reads and writes again are, for PyTorch, the same programs.

Each case is exported here, rewritten by `pt2_roundtrip`, and both files are compared after `torch.export.load`: weights
(values, strides, sharing), nodes, signature, ranges, calling convention, and outputs on the sample inputs. Parameters and
buffers that nothing uses are dropped on writing; nothing else may differ, and the JSON of `models/model.json` is equal.
"""

import collections
import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import Dim

ROOT = Path(__file__).resolve().parent.parent
Case = collections.namedtuple("Case", "program args kwargs", defaults=[{}])
Point = collections.namedtuple("Point", "x y")
torch.utils._pytree._register_namedtuple(Point, serialized_type_name="test_pt2_roundtrip.Point")
torch.serialization.add_safe_globals([Point])  # it stands in the sample inputs


@pytest.fixture(scope="session")
def roundtrip():
    tool = Path(os.environ.get("INTAGLIO_BUILD", ROOT / "build")) / "tests/probes/pt2_roundtrip"
    assert tool.exists(), f"{tool} is not built"

    def call(source, target):
        done = subprocess.run([tool, source, target], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    return call


def export(model, *args, dynamic_shapes=None, strict=False, **kwargs):
    program = torch.export.export(model.eval(), args, kwargs, dynamic_shapes=dynamic_shapes, strict=strict)
    return Case(program, args, kwargs)


# ---- cases


class Nested(nn.Module):
    """kwargs, nested containers, a mutated buffer, a non-persistent one, literal inputs, lifted constants."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("count", torch.zeros(1))
        self.register_buffer("shift", torch.ones(2, 4), persistent=False)

    def forward(self, x, nested, flag=True, k=2, limit=float("inf"), mode="a", nothing=None, point=None):
        self.count.add_(1)
        y = self.linear(x) + nested["a"][0] * nested["b"] + self.shift[:1] + torch.tensor([1.0, 2.0, 3.0, 4.0])
        y = torch.clamp(y, min=0, max=limit) + point.x
        first, second = torch.split(y, 2, dim=1)
        biggest = torch.max(y, dim=1)
        return {"é;,": first * k, "list": [second, 3, None]}, biggest[0], point


def nested_case():
    x = torch.randn(3, 4)
    nested = collections.OrderedDict(a=[torch.randn(3, 4), (torch.ones(1),)], b=torch.randn(3, 4))
    return export(Nested(), x, nested, flag=True, k=2, limit=float("inf"), mode="a", nothing=None,
                  point=Point(torch.randn(4), torch.randn(1)))


class Aliases(nn.Module):
    """Tied, sliced, transposed, expanded and channels-last weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(6, 6), nn.Linear(6, 6)
        self.b.weight = self.a.weight
        base = torch.randn(100)
        self.register_buffer("slice", base[10:16])
        self.register_buffer("other_slice", base[50:62:2])
        self.register_buffer("transposed", torch.randn(6, 3).t())
        self.register_buffer("expanded", torch.randn(1, 6).expand(5, 6))
        self.register_buffer("as_int", base.view(torch.int32)[:6])
        self.conv = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)

    def forward(self, x, image):
        y = self.b(self.a(x)) + self.slice + self.other_slice + self.expanded[:1] + self.as_int
        return y @ self.transposed.t(), self.conv(image)


class Dynamic(nn.Module):
    def forward(self, x, y, n):
        rows = x.shape[0]
        flat = torch.cat([x[1:] + y, y]).reshape(-1)
        return flat, rows * 2 + n, x.new_zeros(rows * 3, n), torch.nn.functional.pad(x, (0, 1)), x.view(rows * 4)


def dynamic_case():
    rows = Dim("rows", min=3, max=64)
    return export(Dynamic(), torch.randn(5, 4), torch.randn(4, 4), 7,
                  dynamic_shapes=({0: rows}, {0: rows - 1}, Dim.DYNAMIC))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x, at):
        index = at.item()
        torch._check(index >= 0)
        torch._check(index < 4)

        def positive(a):
            return self.linear(a).sin(), a + 1

        def negative(a):
            return self.linear(a) + 1, a.cos()

        branch = torch.cond(x.sum() > 0, positive, negative, (x,))
        with torch.no_grad():
            quiet = x * 2
        return branch, x[:, :index], torch.full((2,), float("nan")), torch.where(x > 0, x, float("-inf")), quiet


class Dtypes(nn.Module):
    """Every element type that an archive can hold as a buffer."""

    names = ("uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128 bool uint16 uint32 uint64 "
             "float8_e4m3fn float8_e5m2").split()

    def __init__(self):
        super().__init__()
        for name in self.names:
            self.register_buffer(f"of_{name}", torch.arange(5).to(getattr(torch, name)))
        self.register_buffer("nothing", torch.zeros(0, 3))
        self.register_buffer("scalar", torch.tensor(2.5))

    def forward(self, x):
        parts = [getattr(self, f"of_{name}").view(-1)[:0].to(torch.float32) for name in self.names if "complex" not in name]
        parts += [torch.view_as_real(self.of_complex64).reshape(-1)[:0], torch.view_as_real(self.of_complex128).reshape(-1)[:0].float()]
        return torch.cat([x.reshape(-1), *parts, self.nothing.reshape(-1)]) * self.scalar, x.to(torch.float64), self.of_float8_e5m2


class Arguments(nn.Module):
    """One of every argument kind that can be had: index lists with None, device, layout, memory format, complex, strings."""

    def forward(self, x, index):
        picked = x[:, index]
        placed = torch.zeros(2, 3, dtype=torch.float16, device="cpu", layout=torch.strided)
        packed = x[None].contiguous(memory_format=torch.channels_last)
        rounded = torch.div(x, 3, rounding_mode="floor")
        scaled = nn.functional.interpolate(x[None], scale_factor=2.0, mode="nearest")
        parts = torch.ops.aten.unbind.int(x, 0)
        turned = x.to(torch.complex64) * (1 + 2j)
        return picked, placed, packed, rounded, scaled, parts[1], turned, torch.add(x, x, alpha=2), x[..., 1:, ::2], x.mean(())


class Mutations(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.register_buffer("state", torch.zeros(3))

    def forward(self, x):
        x.mul_(2)
        self.state.copy_(x.mean((0, 2, 3)))
        return self.norm(x).relu_()


def decomposed(case, *table):
    return Case(case.program.run_decompositions(*table), case.args, case.kwargs)


def small_cnn():
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU6(inplace=True), nn.Conv2d(8, 8, 3, groups=8),
                         nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, 5)).eval()


def pt2e_case(dynamic):
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer, get_symmetric_quantization_config
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    model = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 4)) if dynamic else small_cnn()
    args = (torch.randn(2, 16),) if dynamic else (torch.randn(1, 3, 12, 12),)
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=dynamic))
    prepared = prepare_pt2e(torch.export.export(model.eval(), args).module(), quantizer)
    prepared(*args)
    return Case(torch.export.export(convert_pt2e(prepared), args), args)


def torchao_case():
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerGroup, quantize_
    from torchao.utils import unwrap_tensor_subclass

    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8)).eval()
    quantize_(model, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)))
    return export(unwrap_tensor_subclass(model), torch.randn(2, 64))


def preserved_case():
    model = nn.Sequential(collections.OrderedDict(first=nn.Linear(4, 4), second=nn.Linear(4, 2)))
    args = (torch.randn(2, 4),)
    return Case(torch.export.export(model, args, preserve_module_call_signature=("first",), strict=False), args)


CASES = {
    "nested": nested_case,
    "nested_inference": lambda: decomposed(nested_case(), {}),
    "aliases": lambda: export(Aliases(), torch.randn(2, 6), torch.randn(1, 3, 8, 8)),
    "dynamic": dynamic_case,
    "branches": lambda: export(Branches(), torch.randn(4, 4), torch.tensor(2), dynamic_shapes=({0: Dim("q")}, None)),
    "branches_inference": lambda: decomposed(export(Branches(), torch.randn(4, 4), torch.tensor(2)), {}),
    "dtypes": lambda: export(Dtypes(), torch.randn(2, 2)),
    "arguments": lambda: export(Arguments(), torch.randn(3, 4, 5), torch.tensor([0, 2])),
    "mutations": lambda: export(Mutations().train(), torch.randn(2, 3, 4, 4)),
    "mutations_inference": lambda: decomposed(export(Mutations(), torch.randn(2, 3, 4, 4)), {}),
    "cnn": lambda: export(small_cnn(), torch.randn(1, 3, 12, 12)),
    "cnn_core": lambda: decomposed(export(small_cnn(), torch.randn(1, 3, 12, 12))),
    "strict": lambda: export(small_cnn(), torch.randn(1, 3, 12, 12), strict=True),
    "pt2e_static": lambda: pt2e_case(False),
    "pt2e_dynamic": lambda: pt2e_case(True),
    "torchao_8da4w": torchao_case,
    "preserved_signature": preserved_case,
    "encoder": lambda: export(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), torch.randn(2, 5, 16),
                              dynamic_shapes=({0: Dim("batch", min=1, max=8), 1: Dim("length", min=2, max=32)},)),
}


# ---- comparison


def dead_inputs(program):
    """Placeholders of parameters, buffers and constants that nothing uses or mutates, as the writer sees them."""
    signature = program.graph_signature
    mutated = set(signature.buffers_to_mutate.values()) | set(getattr(signature, "parameters_to_mutate", {}).values())
    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    return {spec.arg.name: spec.target for spec in signature.input_specs
            if spec.kind.name in ("PARAMETER", "BUFFER", "CONSTANT_TENSOR") and not placeholders[spec.arg.name].users
            and spec.target not in mutated}


def same_tensor(a, b, name):
    assert a.dtype == b.dtype and a.shape == b.shape and a.stride() == b.stride(), name
    assert a.storage_offset() == b.storage_offset() and a.requires_grad == b.requires_grad, name
    assert type(a) is type(b), name
    bits = [bytes(t.detach().untyped_storage()) for t in (a, b)]
    assert bits[0] == bits[1], f"{name}: other bytes"


def same_state(before, after, dropped):
    assert [name for name in before if name not in dropped] == list(after)
    pointers = collections.defaultdict(set)
    for name in after:
        same_tensor(before[name], after[name], name)
        pointers[before[name].untyped_storage().data_ptr(), before[name].dtype].add(after[name].untyped_storage().data_ptr())
    assert all(len(group) == 1 for group in pointers.values()), "storages are no longer shared"


def describe(graph, dropped):
    lines = []
    for node in graph.nodes:
        if node.name in dropped:
            continue
        meta = {key: str(node.meta.get(key)) for key in ("val", "stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "custom")}
        lines.append((node.format_node(), node.name, meta))
    return lines


def same_program(before, after):
    dead = dead_inputs(before)
    named = {spec.target for spec in before.graph_signature.input_specs}
    dropped = set(dead.values()) | (set(before.state_dict) - named)
    same_state(before.state_dict, after.state_dict, dropped)
    same_state(before.constants, after.constants, dropped)
    assert describe(before.graph, dead) == describe(after.graph, dead)
    for name, module in before.graph_module.named_children():
        assert describe(module.graph, ()) == describe(getattr(after.graph_module, name).graph, ())
    specs = [spec for spec in before.graph_signature.input_specs if spec.arg.name not in dead]
    assert str(specs) == str(after.graph_signature.input_specs)
    assert str(before.graph_signature.output_specs) == str(after.graph_signature.output_specs)
    assert sorted(map(str, before.range_constraints.items())) == sorted(map(str, after.range_constraints.items()))
    assert str(before.module_call_graph) == str(after.module_call_graph)
    assert before.verifiers == after.verifiers
    return dead


def same_outputs(before, after, case):
    results = []
    for program in (before, after):
        copy = torch.utils._pytree.tree_map(lambda leaf: leaf.clone() if isinstance(leaf, torch.Tensor) else leaf, (case.args, case.kwargs))
        results.append(program.module()(*copy[0], **copy[1]))
    leaves, specs = zip(*(torch.utils._pytree.tree_flatten(result) for result in results))
    assert specs[0] == specs[1]
    for a, b in zip(*leaves):
        assert type(a) is type(b)
        if isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a.nan_to_num(nan=7.0) if a.is_floating_point() and a.itemsize > 1 else a,
                                                                                  b.nan_to_num(nan=7.0) if b.is_floating_point() and b.itemsize > 1 else b)
        else:
            assert a == b


def model_json(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}/models/model.json").decode()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory, roundtrip):
    """name -> (case, original file, rewritten file), made once."""
    folder = tmp_path_factory.mktemp("pt2")
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            case = CASES[name]()
            source, target = folder / f"{name}.pt2", folder / "rewritten" / f"{name}.pt2"
            target.parent.mkdir(exist_ok=True)
            torch.export.save(case.program, source)
            roundtrip(source, target)
            made[name] = (case, source, target)
        return made[name]

    return get


@pytest.mark.parametrize("name", CASES)
def test_program_is_the_same_for_pytorch(pairs, name):
    case, source, target = pairs(name)
    before, after = torch.export.load(source), torch.export.load(target)
    dead = same_program(before, after)
    same_outputs(before, after, case)

    texts = [model_json(path) for path in (source, target)]
    assert json.dumps(json.loads(texts[1])) == texts[1], "not in Python's style"
    if not dead:
        assert json.loads(texts[0]) == json.loads(texts[1])


def test_second_rewrite_gives_the_same_bytes(pairs, roundtrip, tmp_path):
    _, source, target = pairs("nested")
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        roundtrip(target, tmp_path / name / target.name)
    assert (tmp_path / "first" / target.name).read_bytes() == (tmp_path / "second" / target.name).read_bytes() == target.read_bytes()


def test_layout_is_that_of_torch(pairs):
    _, source, target = pairs("aliases")
    before, after = zipfile.ZipFile(source), zipfile.ZipFile(target)
    optional = {"aliases/.data/serialization_id"}
    assert set(before.namelist()) - optional == set(after.namelist())
    assert after.testzip() is None
    raw = target.read_bytes()
    for entry in after.infolist():
        assert entry.compress_type == zipfile.ZIP_STORED
        header = raw[entry.header_offset:entry.header_offset + 30]
        start = entry.header_offset + 30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        assert start % 64 == 0 and raw[start:start + entry.file_size] == after.read(entry)


def test_dead_weights_are_dropped(pairs):
    _, source, target = pairs("pt2e_static")
    dead = dead_inputs(torch.export.load(source))
    assert any(name.endswith("weight") for name in dead.values())
    assert not set(torch.export.load(target).state_dict) & set(dead.values())
    assert target.stat().st_size < source.stat().st_size


def test_one_flipped_bit_is_seen(pairs, tmp_path):
    """The comparison itself: it must not pass when a weight differs."""
    _, source, target = pairs("cnn")
    changed = tmp_path / target.name
    with zipfile.ZipFile(target) as old, zipfile.ZipFile(changed, "w") as new:
        for entry in old.infolist():
            data = bytearray(old.read(entry))
            if entry.filename.endswith("weight_0"):
                data[0] ^= 1
            new.writestr(entry.filename, bytes(data))
    with pytest.raises(AssertionError, match="other bytes"):
        same_program(torch.export.load(source), torch.export.load(changed))


def refusal(roundtrip, source, tmp_path):
    with pytest.raises(AssertionError) as caught:
        roundtrip(source, tmp_path / "out.pt2")
    assert not (tmp_path / "out.pt2").exists()
    return str(caught.value)


def test_pickled_subclass_weights_are_refused(roundtrip, tmp_path):
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerGroup, quantize_

    model = nn.Sequential(nn.Linear(64, 32)).eval()
    quantize_(model, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)))
    torch.export.save(export(model, torch.randn(2, 64)).program, tmp_path / "wrapped.pt2")
    assert "unwrap_tensor_subclass" in refusal(roundtrip, tmp_path / "wrapped.pt2", tmp_path)


def test_other_pytorch_files_are_named(roundtrip, tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "state.pt2")
    assert "torch.save file" in refusal(roundtrip, tmp_path / "state.pt2", tmp_path)
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pt2")
    assert "TorchScript" in refusal(roundtrip, tmp_path / "script.pt2", tmp_path)
