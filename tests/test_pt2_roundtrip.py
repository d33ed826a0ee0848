"""Archives that Intaglio reads and writes again are, for PyTorch, the same programs.

Each case is exported here, rewritten by `pt2_roundtrip`, and both files are compared after `torch.export.load`: weights
(values, strides, sharing), nodes, signature, ranges, calling convention, and outputs on the sample inputs. Parameters and
buffers that nothing uses are dropped on writing; nothing else may differ, and the JSON of `models/model.json` is equal.
"""

import collections
import json
import zipfile

import pytest
import torch
from torch import nn

from cases import Case, copied, seeded
from cases.archives import ARCHIVES, QUANTIZED
from oracle.archives import save
from oracle.build import probe
from oracle.torchao import converted

CASES = ARCHIVES | {name: lambda make=make: converted(make()) for name, make in QUANTIZED.items()}


def roundtrip(source, target):
    probe("pt2_roundtrip", source, target)


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


def without_nan(tensor):
    return tensor.nan_to_num(nan=7.0) if tensor.is_floating_point() and tensor.itemsize > 1 else tensor


def same_outputs(before, after, case):
    results = []
    for program in (before, after):
        results.append(program.module()(*copied(case.calls[0]), **copied(case.kwargs)))
    leaves, specs = zip(*(torch.utils._pytree.tree_flatten(result) for result in results))
    assert specs[0] == specs[1]
    for a, b in zip(*leaves):
        assert type(a) is type(b)
        if isinstance(a, torch.Tensor):
            assert a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(without_nan(a), without_nan(b))
        else:
            assert a == b


def model_json(path):
    with zipfile.ZipFile(path) as archive:
        return archive.read(f"{path.stem}/models/model.json").decode()


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """name -> (case, original file, rewritten file), made once."""
    folder = tmp_path_factory.mktemp("pt2")
    (folder / "rewritten").mkdir()
    made = {}

    def get(name):
        if name not in made:
            source, target = folder / f"{name}.pt2", folder / "rewritten" / f"{name}.pt2"
            with seeded():
                case = CASES[name]()
            save(case, source)
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


def test_second_rewrite_gives_the_same_bytes(pairs, tmp_path):
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


def refusal(source, tmp_path):
    with pytest.raises(AssertionError) as caught:
        roundtrip(source, tmp_path / "out.pt2")
    assert not (tmp_path / "out.pt2").exists()
    return str(caught.value)


def test_pickled_subclass_weights_are_refused(tmp_path):
    from torchao.quantization import Int8DynamicActivationIntxWeightConfig, PerGroup, quantize_

    model = nn.Sequential(nn.Linear(64, 32)).eval()
    quantize_(model, Int8DynamicActivationIntxWeightConfig(weight_dtype=torch.int4, weight_granularity=PerGroup(32)))
    save(Case(model, [(torch.randn(2, 64),)]), tmp_path / "wrapped.pt2")
    assert "unwrap_tensor_subclass" in refusal(tmp_path / "wrapped.pt2", tmp_path)


def test_other_pytorch_files_are_named(tmp_path):
    torch.save({"a": torch.ones(1)}, tmp_path / "state.pt2")
    assert "torch.save file" in refusal(tmp_path / "state.pt2", tmp_path)
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "script.pt2")
    assert "TorchScript" in refusal(tmp_path / "script.pt2", tmp_path)
