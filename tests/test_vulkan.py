"""Our Vulkan payloads beside ExecuTorch's own of the same programs (tests/records/vulkan), call by call, and interpreted."""

import re

import pytest
import torch

from cases import Case, leaves, vulkan as cases
from oracle import vulkan as oracle
from oracle.archives import save
from oracle.build import ROOT, TESTS
from vulkan.checks import lifetimes, problems
from vulkan.interpreter import Program
from vulkan.meaning import differences, record_of
from vulkan.package import Package
from vulkan.payload import BUFFER, Payload

FILES = TESTS / "records" / "vulkan"
ROUNDING = 1e-5
EQUAL = {f"seed_{name}": cases.SEEDS[name] for name in cases.RUNNING_SEEDS}
EQUAL |= {f"seed_{name}_bias": (lambda name=name: cases.SEEDS[name](True)) for name in ("4w", "8da4w")}
# ExecuTorch's payload of these is wrong (tests/test_vulkan_oracle.py), or ours is better.
OTHER = {f"failing_{name}": make for name, (make, _) in cases.FAILING.items()}


def lower(name, document, folder, *arguments, make=None):
    case = (make or (EQUAL | cases.SMALL | OTHER)[name])()
    with torch.no_grad():
        save(case, folder / "model.pt2")
    said = document("lower", folder / "model.pt2", "-o", folder / "model.pte", "--backend", "vulkan", *arguments)
    return case, said, folder / "model.pte"


def records_of(path) -> list[dict]:
    package = Package(path)
    return [record_of(Payload(blob, package.named)) for blob in package.payloads()]


def check_outputs(path, case, rounding=ROUNDING, rounds_inputs=True):
    with torch.no_grad():
        outputs = Program(path)(*leaves(case.calls[0]))
        expected = case.expected[0] if rounds_inputs else [oracle.without_rounded_inputs(case.export()).module()(*case.calls[0])]
    for ours, eager in zip(outputs, expected, strict=True):
        assert ours.shape == eager.shape and ours.dtype == eager.dtype
        assert eager.abs().max() > 1e-2 and eager.std() > 1e-3, "the program computes nothing"
        assert (ours - eager).abs().max() <= rounding * eager.abs().max()


@pytest.mark.parametrize("name", EQUAL)
def test_the_documented_linears(name, document, tmp_path):
    case, _, path = lower(name, document, tmp_path)
    (ours,), (theirs,) = records_of(path), records_of(FILES / f"{name}.pte")
    assert differences(ours, theirs) == []
    check_outputs(path, case)


def test_eight_bit_linears_byte_for_byte(document, tmp_path):
    _, _, path = lower("seed_int8", document, tmp_path)
    ours, theirs = Package(path), Package(FILES / "seed_int8.pte")
    assert ours.payloads() == theirs.payloads()
    assert ours.named == theirs.named


@pytest.mark.parametrize("name", cases.SMALL)
def test_small_networks(name, document, tmp_path):
    case, said, path = lower(name, document, tmp_path)
    theirs = Program(FILES / f"{name}.pte", checked=False)
    assert len(said["methods"][0]["delegates"]) <= len(theirs.payloads)
    assert len(Program(path).kernels()) <= len(theirs.kernels())
    check_outputs(path, case)


@pytest.mark.parametrize("name", OTHER)
def test_right_where_executorch_is_wrong(name, document, tmp_path):
    """Delegated all the same, in a form that the runtime has: the checks pass, and the outputs are PyTorch's. Eight-bit weights with
    inputs that are rounded at run time have none that rounds."""
    case, said, path = lower(name, document, tmp_path)
    assert len(said["methods"][0]["delegates"]) == 1 and not Program(path).kernels()
    rounds = name != "failing_int8_dynamic"
    assert rounds or any("reads its input in float" in str(warning) for warning in said["warnings"])
    check_outputs(path, case, rounds_inputs=rounds)


def test_sums_of_weights_lie_beside_their_layers(document, tmp_path):
    """ExecuTorch's come before every other value, the last layer's first. Who reads goes by arguments, and finds the same bytes."""
    _, _, path = lower("seed_8da4w", document, tmp_path)

    def places(path):
        """Ids of weights and sums, layer by layer."""
        package = Package(path)
        (payload,) = [Payload(blob, package.named) for blob in package.payloads()]
        calls = [call for call in payload.chain if call.name == "et_vk.linear_dq8ca_q4gsw.default"]
        assert len(calls) == 3
        return [(call.args[3], call.args[4]) for call in calls], [payload.constant(payload.values[call.args[4]]) for call in calls]

    (ours, our_sums), (theirs, their_sums) = places(path), places(FILES / "seed_8da4w.pte")
    assert all(sums == weight + 1 for weight, sums in ours) and ours == sorted(ours)
    assert [sums for _, sums in theirs] == [2, 1, 0]
    for mine, reference in zip(our_sums, their_sums, strict=True):
        assert mine.float().std() > 1 and torch.equal(mine, reference)


def test_half_precision(document, tmp_path):
    case, _, path = lower("cnn", document, tmp_path, "--set", "force_fp16=true")
    (payload,) = Program(path).payloads
    floats = [value for value in payload.values if value.kind == "VkTensor" and value.staging_datatype == 5]
    assert floats and all(value.datatype == 4 for value in floats)
    assert not [value for value in payload.values if value.kind == "VkTensor" and value.datatype == 5]
    check_outputs(path, case, 5e-3)


def test_what_no_image_holds_lies_in_buffers(document, tmp_path):
    limits = (8, 16, 16)
    case, _, path = lower("heads", document, tmp_path, *(f"--set=texture_limit_{axis}={limit}" for axis, limit in zip("xyz", limits)))
    payloads = Program(path).payloads
    assert not [problem for payload in payloads for problem in problems(payload, limits)]
    assert [value for payload in payloads for value in payload.values if value.kind == "VkTensor" and value.storage_type == BUFFER]
    check_outputs(path, case)


def test_memory_is_shared(document, tmp_path):
    """Fewer objects than tensors, none held by two at a time (Delegate asserts it), and ExecuTorch's plan takes no less but for how ties of size fall."""
    _, _, path = lower("unet", document, tmp_path)
    sizes = []
    for program in (Program(path), Program(FILES / "unet.pte")):
        (payload,) = program.payloads
        objects = {}
        for index in lifetimes(payload):
            value = payload.values[index]
            if value.kind == "VkTensor" and value.mem_obj_id >= 0:
                size = 4 * torch.Size(value.dims).numel()
                objects[value.mem_obj_id] = max(objects.get(value.mem_obj_id, 0), size)
        sizes.append(sum(objects.values()))
    assert 0 < sizes[0] <= 1.02 * sizes[1]


def test_the_documented_operators_are_those_of_the_table():
    table = re.findall(r'^      \{"([^"]+)"', (ROOT / "src/backends/vulkan/op_table.cpp").read_text(), re.M)
    taken = {name.removesuffix(".default") for row in table for name in row.split()}
    section = (ROOT / "docs/vulkan.md").read_text().split("## Operators")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == taken


def test_a_model_in_bfloat16_computes_in_float32(intaglio, tmp_path):
    """The runtime has no kernel for its weights, and neither has Vulkan."""
    case = cases.SEEDS["float"]()
    save(Case(case.module.bfloat16(), [(case.calls[0][0].bfloat16(),)]), tmp_path / "model.pt2")
    done = intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "m.pte", "--recipe", "vulkan_pt2e_int8_weight_only")
    assert "computes in float32, inputs and outputs keep their types" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert "bfloat16[" in intaglio("inspect", tmp_path / "m.pte").stdout


BAD_SETTINGS = {
    "bits": (["--recipe", "vulkan_pt2e_int8_weight_only", "--set", "weight_bits=3"], "weight_bits"),
    "group": (["--recipe", "vulkan_torchao_int8da_int4w_per_group", "--set", "group_size=48"], "48"),
    "group of three": (["--recipe", "vulkan_torchao_int4_weight_only_per_group", "--set", "group_size=3"], "group_size"),
    "limit": (["--recipe", "vulkan_fp32", "--set", "texture_limit_x=-4"], "texture_limit_x"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_bad_settings(name, intaglio, tmp_path):
    arguments, word = BAD_SETTINGS[name]
    save(cases.SEEDS["float"](), tmp_path / "model.pt2")
    done = intaglio("build", tmp_path / "model.pt2", "-o", tmp_path / "model.pte", *arguments, check=False)
    assert done.returncode in (1, 2) and word in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "model.pte").exists()
