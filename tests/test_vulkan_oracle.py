"""The payload interpreter and its checks, held to ExecuTorch's own payloads (tests/records/vulkan) before they judge ours."""

import copy

import pytest
import torch

from cases import leaves, vulkan as cases
from oracle.build import TESTS, record
from vulkan.checks import lifetimes, problems
from vulkan.interpreter import Delegate, Program
from vulkan.meaning import differences, record_of
from vulkan.package import Package
from vulkan.payload import Invalid, Payload, is_constant, is_tensor

FILES = TESTS / "records" / "vulkan"
RUNNING = {f"seed_{name}": cases.SEEDS[name] for name in cases.RUNNING_SEEDS} | cases.SMALL
RUNNING |= {f"seed_{name}_bias": (lambda name=name: cases.SEEDS[name](True)) for name in ("4w", "8da4w")}
FAILING = {f"failing_{name}": text for name, (_, text) in cases.FAILING.items() if name != "int8_dynamic"}
FAILING |= {"seed_int8_dynamic": cases.FAILING["int8_dynamic"][1], "vit": "aten.logical_not.default"}
# Of the largest output. torch computes what is left of a program's operators in the same order as the program.
ROUNDING = 1e-5


def package_of(name: str) -> Package:
    return Package(FILES / f"{name}.pte")


def payload_of(name: str) -> Payload:
    package = package_of(name)
    (blob, *_) = package.payloads()
    return Payload(blob, package.named)


@pytest.mark.parametrize("name", RUNNING)
def test_the_interpreter_reproduces_executorchs_payloads(name):
    case = RUNNING[name]()
    with torch.no_grad():
        outputs = Program(FILES / f"{name}.pte", checked=name not in FAILING)(*leaves(case.calls[0]))
    for ours, eager in zip(outputs, case.expected[0], strict=True):
        assert ours.shape == eager.shape and ours.dtype == eager.dtype
        assert eager.abs().max() > 1e-2 and eager.std() > 1e-3, "the program computes nothing"
        assert (ours - eager).abs().max() <= ROUNDING * eager.abs().max()


@pytest.mark.parametrize("name", FAILING)
def test_what_the_runtime_refuses_is_found(name):
    """Each was tried on the runtime: it aborts on it, or computes something else."""
    package = package_of(name)
    found = [problem for blob in package.payloads() for problem in problems(Payload(blob, package.named))]
    assert any(FAILING[name] in problem for problem in found), found


def test_the_recorded_models_were_reproduced():
    models = record("vulkan")["models"]
    assert set(models) == set(cases.MODELS)
    for name, entry in models.items():
        # Rows that are rounded at run time: the last bit of a sum turns a tie, and all behind it.
        assert entry["largest_difference"] < (1e-2 if name == "llama_8da4w" else 1e-5), name


# ---- the checks find what is wrong


def changed(payload: Payload, change) -> list[str]:
    other = copy.copy(payload)
    other.values, other.chain = copy.deepcopy((payload.values, payload.chain))
    change(other)
    return problems(other)


def test_shared_memory_of_two_living_tensors():
    payload = payload_of("cnn")
    assert not problems(payload)
    spans = lifetimes(payload)
    first, second = [
        (a, b) for a in spans for b in spans if a != b and spans[a][1] == spans[b][0] and payload.values[a].mem_obj_id != payload.values[b].mem_obj_id
    ][0]

    def share(other):  # the result of a call in the memory of its argument
        for index in (first, second):
            other.values[index].mem_obj_id = 1000

    assert any("memory object 1000" in problem for problem in changed(payload, share))


def set_raw(other):
    call = next(call for call in other.chain if call.name == "et_vk.prepack.default")
    user = next(user for user in other.chain if call.args[1] in user.args[:-1])
    user.args[user.args.index(call.args[1])] = call.args[0]


CHANGES = {
    "unknown operator": (lambda p: setattr(p.chain[0], "name", "aten.nothing.default"), "no such operator"),
    "an argument is missing": (lambda p: p.chain[-1].args.pop(0), "arguments instead of"),
    "an argument out of range": (lambda p: p.chain[0].args.__setitem__(0, 10_000), "arguments"),
    "a result twice": (lambda p: p.chain[1].args.__setitem__(-1, p.chain[0].args[-1]), "again"),
    "layout of a convolution": (lambda p: setattr(p.values[p.chain[0].args[0]], "memory_layout", 0), "stored as"),
    "a batch": (lambda p: p.values[p.inputs[0]].dims.__setitem__(0, 2), "batch 2"),
    "too wide": (lambda p: p.values[p.inputs[0]].dims.__setitem__(3, 20_000), "texels"),
    "rank five": (lambda p: p.values[p.inputs[0]].dims.insert(0, 1), "rank 5"),
    "outputs repeat": (lambda p: p.outputs.append(p.outputs[0]), "repeat"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_payload(name):
    change, text = CHANGES[name]
    found = changed(payload_of("cnn"), change)
    assert any(text in problem for problem in found), found


def test_a_raw_constant_where_a_tensor_belongs():
    assert any("raw constant" in problem for problem in changed(payload_of("heads"), set_raw))


def test_a_constant_that_is_not_its_keys():
    package = package_of("seed_4w")
    named = {key: bytes([data[0] ^ 1]) + data[1:] for key, data in package.named.items()}
    with pytest.raises(Invalid, match="digest"):
        Delegate(package.payloads()[0], named)


def test_packed_weights_are_read_in_the_right_order():
    """Nibbles, scales and sums each make the result, so that a wrong order shows."""
    package = package_of("seed_8da4w")
    delegate = Delegate(package.payloads()[0], package.named)
    case = cases.SEEDS["8da4w"]()
    (expected,) = case.expected[0]
    for index, value in enumerate(delegate.payload.values):
        if is_tensor(value) and is_constant(value):
            kept = delegate.constants[index]
            delegate.constants[index] = kept.flatten().flip(0).reshape(kept.shape)
            assert (delegate(list(case.calls[0]))[0] - expected).abs().max() > 1e-3 * expected.abs().max(), f"constant {value.constant_id}"
            delegate.constants[index] = kept


def test_differences_are_named():
    theirs = record_of(payload_of("seed_4w"))
    assert differences(theirs, copy.deepcopy(theirs)) == []
    other = record_of(payload_of("seed_4w_bias"))
    found = differences(other, theirs)
    assert found and all("linear_q4gsw" in line for line in found)


def test_the_order_of_independent_calls_means_nothing():
    payload = payload_of("heads")
    other = copy.copy(payload)
    prepacks = [call for call in payload.chain if call.name == "et_vk.prepack.default"]
    assert len(prepacks) > 1
    other.chain = prepacks[::-1] + [call for call in payload.chain if call not in prepacks]
    assert record_of(other)["chain"] != record_of(payload)["chain"]
    assert differences(record_of(other), record_of(payload)) == []
