"""The installed tree: a program built against its CMake package, and the command without the SDK's wheel."""

import os
import subprocess

import numpy as np
import pytest

from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
CMAKE = ROOT / ".venv" / "bin" / "cmake"


def call(*command, **options):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    call(CMAKE, "--install", build, "--prefix", folder)
    return folder


@pytest.fixture(scope="module")
def examples(prefix, tmp_path_factory):
    """Built as a user would, against the installed tree alone."""
    folder = tmp_path_factory.mktemp("examples")
    call(CMAKE, "-S", ROOT / "examples", "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}")
    call(CMAKE, "--build", folder)
    return folder


def test_the_documented_flow_builds_out_of_tree(examples, intaglio, tmp_path):
    quantized, pte = tmp_path / "digits_int8.pt2", tmp_path / "digits_int8.pte"
    call(examples / "xnnpack_static", DIGITS / "digits.pt2", DIGITS / "calibration", quantized, pte)

    # The same as the command makes.
    recipe = ("--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", DIGITS / "calibration")
    intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "command.pte", *recipe)
    assert pte.read_bytes() == (tmp_path / "command.pte").read_bytes()

    import torch
    import torchao.quantization.pt2e  # noqa: F401  registers the quantized operators

    sample = np.load(DIGITS / "test" / "00.npy")
    outputs = torch.export.load(quantized).module()(torch.from_numpy(sample)).detach().numpy()
    labels = np.load(DIGITS / "test_labels.npy")[: len(sample)]
    assert (outputs.argmax(1) == labels).mean() >= 0.9


def test_the_documented_vulkan_flows(examples, intaglio, document, tmp_path):
    quantized, pte, commands = tmp_path / "quantized.pt2", tmp_path / "out.pte", tmp_path / "command.pte"
    call(examples / "vulkan_weight_only", DIGITS / "digits.pt2", quantized, pte)
    intaglio("lower", quantized, "-o", commands, "--backend", "vulkan", "--backend", "xnnpack")
    assert pte.read_bytes() == commands.read_bytes()
    assert "VulkanBackend" in {delegate["backend"] for delegate in document("inspect", pte)["methods"][0]["delegates"]}

    said = call(examples / "vulkan_quantize_api", "4w", DIGITS / "digits.pt2", pte)
    assert "1 of 1 linears quantized" in said
    recipe = ("--recipe", "vulkan_torchao_int4_weight_only_per_group", "--set", "when_indivisible=nearest", "--set", "force_fp16=true")
    intaglio("build", DIGITS / "digits.pt2", "-o", commands, *recipe)
    assert pte.read_bytes() == commands.read_bytes()


def test_the_documented_coreml_flows(examples, intaglio, tmp_path):
    quantized, pte, commands, sample = tmp_path / "quantized.pt2", tmp_path / "out.pte", tmp_path / "command.pte", DIGITS / "calibration" / "00.npy"
    for scheme, recipe in (("static", ("coreml_pt2e_int8_static", "--calibrate", sample)), ("weight_only", ("coreml_pt2e_int8_weight_only",))):
        call(examples / "coreml_static", scheme, DIGITS / "digits.pt2", sample, quantized, pte)
        intaglio("build", DIGITS / "digits.pt2", "-o", commands, "--recipe", *recipe)
        assert pte.read_bytes() == commands.read_bytes()

    from cases import Case, coreml, noise
    from oracle.archives import save

    save(Case(coreml.seeded_module(coreml.linears), [(noise(3, 64),)]), tmp_path / "linears.pt2")
    codebook = ("coreml_codebook_weight_only", "--set", "bits=3", "--set", "block_size=[16,-1]")
    for scheme, recipe in (("int4", ("coreml_torchao_int4_weight_only_per_group",)), ("codebook", codebook)):
        assert "3 of 3 linears quantized" in call(examples / "coreml_quantize_api", scheme, tmp_path / "linears.pt2", pte)
        intaglio("build", tmp_path / "linears.pt2", "-o", commands, "--recipe", *recipe)
        assert pte.read_bytes() == commands.read_bytes()


def test_the_documented_exynos_flow(examples, intaglio, tmp_path):
    quantized, enn = tmp_path / "quantized.pt2", tmp_path / "out.enn"
    said = call(examples / "exynos_static", DIGITS / "digits.pt2", DIGITS / "calibration", quantized, enn)
    assert "numbers from the first sample" in said
    intaglio("lower", quantized, "-o", tmp_path / "command.enn", "--backend", "exynos")
    assert enn.read_bytes() == (tmp_path / "command.enn").read_bytes()


def quantization_nodes(module):
    """(operator, what it is about, static parameters) of each quantize and dequantize node, in graph order."""
    import torch

    found = []
    for node in module.graph.nodes:
        name = str(node.target)
        if "quantize_per" not in name:
            continue
        values = []
        for argument in node.args[1:]:
            if isinstance(argument, torch.fx.Node):
                values.append(getattr(module, argument.target).detach().double().numpy())
            elif isinstance(argument, (int, float)):
                values.append(np.float64(argument))
            else:
                values.append(argument)
        found.append((name, values))
    return found


@pytest.mark.parametrize("float_modules", [[], ["head"]])
def test_a_quantizer_of_ones_own(examples, document, tmp_path, float_modules):
    """All four kinds of spec, through prepare, convert, PyTorch, XNNPACK and the stock runtime, beside torchao's flow."""
    import torch
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    from oracle import custom_quantizer, executorch
    from oracle.archives import save
    from oracle.compare import outputs_of

    case = custom_quantizer.gate()
    calibration, test = case.calls[:4], case.calls[4:]
    exported = save(case, tmp_path / "gate.pt2", calibration=calibration)
    quantized, pte = tmp_path / "gate_int8.pt2", tmp_path / "gate_int8.pte"
    printed = call(examples / "custom_quantizer", tmp_path / "gate.pt2", tmp_path / "gate" / "calibration", quantized, pte, *float_modules)
    assert printed == ""  # nothing outside the delegate

    with torch.no_grad():
        prepared = prepare_pt2e(exported.module(), custom_quantizer.ExampleQuantizer(float_modules))
        for sample in calibration:
            prepared(*sample)
        theirs = torch.export.export(convert_pt2e(prepared), calibration[0]).module()
    ours = torch.export.load(quantized).module()
    expected, outputs, reference = (outputs_of(module, test) for module in (theirs, ours, case.module))
    mine, others = quantization_nodes(ours), quantization_nodes(theirs)
    assert sorted(name for name, _ in mine) == sorted(name for name, _ in others)
    biases = [values for name, values in mine if "dequantize_per_channel" in name and values[-1] == torch.int32]
    assert len(biases) == 4 - len(float_modules)
    fixed = [values for name, values in mine if values[0].ndim == 0 and values[0] == 1 / 256]
    assert fixed and all(values[1] == -128 for values in fixed)
    # Same decisions; the two engines' last bits move a scale by parts of a million.
    by_scale = lambda nodes: sorted((name, np.sort(np.atleast_1d(values[0])).tolist()) for name, values in nodes)
    for (name, scale), (other_name, other_scale) in zip(by_scale(mine), by_scale(others), strict=True):
        assert name == other_name
        np.testing.assert_allclose(scale, other_scale, rtol=1e-4)

    span = np.ptp(reference)
    assert span > 0.5 and len(np.unique(outputs)) > 50
    step = span / 255
    assert np.abs(outputs - expected).max() <= 2 * step
    noise = lambda values: np.sqrt(((values - reference) ** 2).mean())
    assert noise(outputs) <= 1.05 * noise(expected) + 1e-6 and noise(outputs) < 0.03 * span

    # On the runtime: XNNPACK rounds single elements the other way.
    deployed = executorch.run(pte, test)
    assert np.abs(deployed - outputs).max() <= 3 * step and noise(deployed) < 0.03 * span
    (delegate,) = document("inspect", pte)["methods"][0]["delegates"]
    types = {entry["dtype"]: entry["count"] for entry in delegate["dtypes"]}
    # Float only where numbers enter and leave it, and in the layer that the user kept.
    assert types["fp32"] <= 2 + 2 * len(float_modules) and types["qint8"] >= 8


def test_only_the_public_names_are_exported(prefix):
    library = next(prefix.glob("lib*/**/libintaglio.so"))
    names = call("nm", "-D", "--defined-only", "-C", library).splitlines()
    assert any("intaglio::convert_pt2e" in name for name in names)
    # The runtime brings another layout of these; only functions of ours may mention them.
    assert not [name for name in names if "flatbuffer" in name and "intaglio::" not in name]


def test_the_installed_command_needs_no_python(prefix, tmp_path):
    """Runs where the virtual environment cannot be seen: another mount namespace has an empty folder in its place."""
    out = tmp_path / "digits.pte"
    command = prefix / "bin" / "intaglio"
    script = f"""
        mount -t tmpfs none '{ROOT}/.venv' && [ -z "$(ls -A '{ROOT}/.venv')" ] &&
        '{command}' build '{DIGITS}/digits.pt2' -o '{out}' --recipe xnnpack_fp32 --quiet &&
        '{command}' compare '{DIGITS}/digits.pt2' '{out}' --data '{DIGITS}/test' --json
    """
    hidden = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if hidden.returncode == 0:
        environment = {"PATH": os.environ["PATH"]}
        assert '"sqnr_db": 1' in call("unshare", "-rm", "sh", "-c", script, env=environment)
    # What the loader would look for says the same, with or without the right to mount.
    for path in [command, *prefix.glob("lib*/intaglio/*")]:
        dynamic = call("readelf", "-d", path)
        paths = [line for line in dynamic.splitlines() if "RUNPATH" in line or "RPATH" in line]
        assert not any(".venv" in line or "site-packages" in line for line in paths), (path, paths)


def test_tokenizers_come_along(prefix):
    """SentencePiece has a protobuf of its own, so that only a program apart may load it."""
    needed = lambda path: [line for line in call("readelf", "-d", path).splitlines() if "NEEDED" in line]
    (helper,) = prefix.glob("lib*/intaglio/intaglio-sentencepiece")
    assert any("libsentencepiece" in line for line in needed(helper))
    for path in (prefix / "bin" / "intaglio", next(prefix.glob("lib*/**/libintaglio.so"))):
        libraries = needed(path)
        assert not any("sentencepiece" in line for line in libraries)
        assert any("libpcre2-8" in line for line in libraries) and any("libicuuc" in line for line in libraries)


def test_quantize_api_for_xnnpack_and_core_ml(examples, intaglio, tmp_path):
    import torch
    import torchao.prototype.quantization.codebook_coreml  # noqa: F401  registers the dequantize operators

    from oracle.compare import sqnr

    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Embedding(48, 64), torch.nn.Linear(64, 96), torch.nn.ReLU(), torch.nn.Linear(96, 32)).eval()
    words = torch.arange(40).reshape(2, 20)
    torch.export.save(torch.export.export(model, (words,)), tmp_path / "m.pt2")
    expected, counts = model(words).detach().numpy(), "1 of 1 embeddings quantized"

    def agrees(name, least):
        return sqnr(expected, torch.export.load(tmp_path / name).module()(words).detach().numpy()) > least

    assert counts in call(examples / "quantize_api", "xnnpack", tmp_path / "m.pt2", tmp_path / "x.pt2", tmp_path / "x.pte")
    assert agrees("x.pt2", 20)
    np.save(tmp_path / "words.npy", words.numpy())
    intaglio("run", tmp_path / "x.pte", "--input", tmp_path / "words.npy", "-o", tmp_path / "out.npz")
    assert sqnr(torch.export.load(tmp_path / "x.pt2").module()(words).detach().numpy(), np.load(tmp_path / "out.npz")["arr_0"]) > 35
    assert counts in call(examples / "quantize_api", "coreml", tmp_path / "m.pt2", tmp_path / "c.pt2")
    assert agrees("c.pt2", 12)


def test_tools_of_an_active_environment_do_not_take_part(tmp_path):
    """The SDK's wheel and conda have a flatc too, of another release than the system's library: whose headers it makes would not compile."""
    foreign = tmp_path / "environment" / "bin" / "flatc"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("#!/bin/sh\necho flatc version 99.1.2\n")
    foreign.chmod(0o755)
    environment = {**os.environ, "PATH": f"{foreign.parent}:{os.environ['PATH']}"}
    call(CMAKE, "-S", ROOT, "-B", tmp_path / "build", "-G", "Ninja", env=environment)
    cache = (tmp_path / "build" / "CMakeCache.txt").read_text()
    assert str(foreign.parent) not in cache
