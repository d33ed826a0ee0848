"""The command as a user meets it: results, messages, exit statuses, targets left alone."""

import json
import os
import re
import resource
import subprocess
import zipfile

import numpy as np
import pytest

from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
RECIPE = "xnnpack_pt2e_int8_static_per_channel"
DYNAMIC = "xnnpack_pt2e_int8_dynamic_per_channel"
STATIC = ("--recipe", RECIPE, "--calibrate", DIGITS / "calibration")


@pytest.fixture(scope="module")
def int8(intaglio, tmp_path_factory):
    out = tmp_path_factory.mktemp("digits") / "digits.pte"
    intaglio("build", DIGITS / "digits.pt2", "-o", out, *STATIC)
    return out


def fails(done, status, *words):
    """One line on stderr, with these words in it."""
    assert done.returncode == status, (done.returncode, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0], lines[0]


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_version_and_help(intaglio):
    assert intaglio("--version").stdout.startswith("intaglio 0.")
    commands = intaglio("--help").stdout
    for name in ("build", "quantize", "lower", "run", "compare", "generate", "inspect", "recipes"):
        assert name in commands and "--json" in intaglio(name, "--help").stdout


def test_the_readmes_commands_run_as_they_stand(intaglio, tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "intaglio").symlink_to(intaglio_path(intaglio))
    (block,) = [b for b in re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL) if "build/intaglio" in b]
    printed = [subprocess.run(["sh", "-ec", line], cwd=tmp_path, capture_output=True, text=True) for line in block.splitlines()]
    assert [done.returncode for done in printed] == [0] * 5, printed
    assert "nothing outside" in printed[1].stdout and "FullyConnected" in printed[2].stdout and "accuracy" in printed[4].stdout


def test_int8_keeps_the_accuracy(int8, document):
    result = document(
        "compare", DIGITS / "digits.pt2", int8, "--data", DIGITS / "test", "--labels", DIGITS / "test_labels.npy"
    )
    assert result["rows"] == 360
    assert result["accuracy"]["reference"] > 0.97
    assert abs(result["accuracy"]["reference"] - result["accuracy"]["candidate"]) <= 0.005
    assert result["outputs"][0]["sqnr_db"] > 20


def test_build_reports_what_it_did(document, tmp_path):
    result = document("build", DIGITS / "digits.pt2", "-o", tmp_path / "d.pte", *STATIC)
    assert result["schema"] == "intaglio.build/1"
    assert result["calibration_samples"] == 5
    assert result["bytes"] == (tmp_path / "d.pte").stat().st_size
    (method,) = result["methods"]
    assert [delegate["backend"] for delegate in method["delegates"]] == ["XnnpackBackend"]
    assert method["leftover_ops"] == []
    assert [step["name"] for step in result["steps"]] == ["load", "prepare", "calibrate", "convert", "lower", "write", "check"]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_bytes_do_not_depend_on_threads(intaglio, int8, tmp_path, threads):
    out = tmp_path / "digits.pte"
    intaglio("build", DIGITS / "digits.pt2", "-o", out, *STATIC, "--threads", threads)
    assert out.read_bytes() == int8.read_bytes()


def test_a_plan_stands_for_calibration(intaglio, int8, tmp_path):
    plan, out = tmp_path / "plan.json", tmp_path / "d.pte"
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "q.pt2", *STATIC, "--save-plan", plan)
    intaglio("build", DIGITS / "digits.pt2", "-o", out, "--recipe", RECIPE, "--plan", plan)
    assert out.read_bytes() == int8.read_bytes()
    # An edited decision is what gets built.
    text = plan.read_text()
    document = json.loads(text)
    entry = document["entries"][0]
    group = [e for e in document["entries"] if e["group"] == entry["group"]]
    for member in group:
        member["qparams"]["scale"] = [2 * s for s in member["qparams"]["scale"]]
    plan.write_text(json.dumps(document))
    intaglio("build", DIGITS / "digits.pt2", "-o", out, "--recipe", RECIPE, "--plan", plan)
    assert out.read_bytes() != int8.read_bytes()


def test_lower_of_a_quantized_program_is_build(intaglio, int8, tmp_path):
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "q.pt2", *STATIC)
    intaglio("lower", tmp_path / "q.pt2", "-o", tmp_path / "d.pte", "--backend", "xnnpack")
    own, built = tmp_path / "own.npz", tmp_path / "built.npz"
    intaglio("run", tmp_path / "d.pte", "--input", DIGITS / "test" / "00.npy", "-o", own)
    intaglio("run", int8, "--input", DIGITS / "test" / "00.npy", "-o", built)
    np.testing.assert_array_equal(np.load(own)["arr_0"], np.load(built)["arr_0"])
    assert np.ptp(np.load(own)["arr_0"]) > 1


def test_integer_numerics_are_those_of_the_deployed_program(intaglio, document, int8, tmp_path):
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "q.pt2", *STATIC)
    sample = DIGITS / "test" / "00.npy"
    results = {}
    for name, arguments in {"deployed": [int8], "integer": [tmp_path / "q.pt2", "--numerics", "integer"], "as_written": [tmp_path / "q.pt2"]}.items():
        intaglio("run", *arguments, "--input", sample, "-o", tmp_path / f"{name}.npz")
        results[name] = np.load(tmp_path / f"{name}.npz")["arr_0"]
    np.testing.assert_array_equal(results["integer"], results["deployed"])
    assert np.ptp(results["integer"]) > 1
    compared = document("compare", DIGITS / "digits.pt2", tmp_path / "q.pt2", "--data", sample, "--numerics", "integer")
    assert "XNNPACK" in compared["candidate"]["engine"] and compared["outputs"][0]["sqnr_db"] > 15
    nowhere = {**os.environ, "TMPDIR": str(tmp_path / "absent")}
    fails(intaglio("run", tmp_path / "q.pt2", "--numerics", "integer", "--input", sample, check=False, env=nowhere), 1, "absent", "set TMPDIR")


def test_run_writes_outputs(document, int8, tmp_path):
    out = tmp_path / "out.npz"
    result = document("run", int8, "--input", DIGITS / "test" / "00.npy", "-o", out)
    values = np.load(out)["arr_0"]
    assert values.shape == (20, 10) and values.dtype == np.float32
    assert result["outputs"][0]["sizes"] == [20, 10]
    assert result["outputs"][0]["max"] == pytest.approx(values.max())


def test_inspect(document, int8):
    program = document("inspect", DIGITS / "digits.pt2", "--verify")
    assert program["inputs"] == [{"name": "image", "dtype": "float32", "sizes": [20, 1, 8, 8]}]
    assert {"op": "aten.conv2d.default", "count": 6} in program["ops"]
    assert program["quantized_ops"] == []
    lowered = document("inspect", int8)
    assert lowered["kind"] == "pte" and lowered["verified"] is True
    assert lowered["methods"][0]["delegates"][0]["backend"] == "XnnpackBackend"


def test_inspect_explains_what_stays_outside(document, intaglio, shared_model):
    """Layer norm is not XNNPACK's (of the small encoder): rule, layer, line and share of the work."""
    model = shared_model("small_encoder") / "small_encoder.pt2"
    delegation = document("inspect", model)["delegation"]
    assert delegation["backend"] == "xnnpack" and delegation["error"] is None
    shares = [op["share"] for op in delegation["outside"]] + [delegate["share"] for delegate in delegation["delegates"]]
    assert sum(shares) == pytest.approx(1)
    everything = document("inspect", model, "--backend", "portable")["delegation"]
    assert everything["delegates"] == [] and sum(op["share"] for op in everything["outside"]) == pytest.approx(1)
    norms = [op for op in everything["outside"] if op["op"] == "aten.native_layer_norm.default"]
    assert {op["layer"] for op in norms} == {f"encoder.layers.{i}.norm{j}" for i in (0, 1) for j in (1, 2)}
    assert all(op["source"].startswith("networks.py:") for op in norms)
    # A layer norm over 16 x 64 reads them, 64 weights and 64 biases, and writes 16 x 64 and two statistics of each row.
    assert {(op["work"], op["unit"]) for op in norms} == {(2 * 16 * 64 + 2 * 64 + 2 * 16, "elements")}
    addmm = max(everything["outside"], key=lambda op: op["work"])
    assert (addmm["work"], addmm["unit"]) == (16 * 64 * 192, "macs")
    # What `lower` says is what `inspect` said.
    text = intaglio("inspect", model, "--backend", "portable", "--verbose").stdout
    assert text.count("native_layer_norm") == 4 and "encoder.layers.1.norm2 (networks.py:" in text


def test_inspect_explains_quantization(document, intaglio, shared_model, tmp_path):
    folder = shared_model("small_encoder")
    model, samples = folder / "small_encoder.pt2", folder / "small_encoder" / "calibration"
    would = document("inspect", model, "--recipe", RECIPE)["quantization"]
    assert would["recipe"] == RECIPE and 0.5 < would["quantized_share"] < 1
    rules = {op["op"]: op["rule"] for op in would["in_float"]}
    assert rules["aten.layer_norm.default"] == "XNNPACK's quantizer has no pattern for this op"
    assert "aten.linear.default" not in rules
    assert document("inspect", model)["quantization"] is None

    intaglio("quantize", model, "-o", tmp_path / "q.pt2", "--recipe", RECIPE, "--calibrate", samples)
    done = document("inspect", tmp_path / "q.pt2")
    assert {"op": "aten.linear.default", "count": 10} in done["quantized_ops"]
    assert {op["op"]: op["rule"] for op in done["quantization"]["in_float"]}["aten.scaled_dot_product_attention.default"].startswith("reads the float result of aten.")


def test_inspect_foresees_what_a_recipe_delegates(document, shared_model, tmp_path):
    """Without a sample: which operators XNNPACK takes does not depend on ranges."""
    folder = shared_model("small_encoder")
    model, samples = folder / "small_encoder.pt2", folder / "small_encoder" / "calibration"
    foreseen = document("inspect", model, "--recipe", RECIPE)["delegation"]
    (built,) = document("build", model, "-o", tmp_path / "m.pte", "--recipe", RECIPE, "--calibrate", samples)["methods"]
    assert foreseen["outside"] == built["leftover_ops"] and foreseen["work"] == built["work"]
    nodes = [(delegate["nodes"], delegate["share"]) for delegate in foreseen["delegates"]]
    assert nodes == [(delegate["nodes"], delegate["share"]) for delegate in built["delegates"]]
    # The float program has no quantize and dequantize nodes between its operators.
    in_float = document("inspect", model)["delegation"]
    assert sum(delegate["nodes"] for delegate in in_float["delegates"]) < sum(count for count, _ in nodes)


def test_inspect_decodes_a_pte(document, intaglio, int8):
    """One delegate holds the whole network; sums over its parts are those of the file."""
    result = document("inspect", int8)
    (method,) = result["methods"]
    (delegate,) = method["delegates"]
    assert delegate["share"] == 1 and delegate["decoded"]
    kinds = {entry["kind"]: entry["count"] for entry in delegate["kinds"]}
    assert kinds["Conv2d"] + kinds["DepthwiseConv2d"] == 6 and kinds["FullyConnected"] == 1
    assert sum(kinds.values()) == len(delegate["nodes"]) == sum(entry["count"] for entry in delegate["dtypes"])
    linear = next(node for node in delegate["nodes"] if node["kind"] == "FullyConnected")
    assert linear["sizes"] == [20, 10] and (linear["work"], linear["unit"]) == (20 * 48 * 10, "macs")
    assert delegate["fused_clamps"] == sum(node["range"] is not None and node["kind"] != "Clamp" for node in delegate["nodes"])
    assert sum(weight["bytes"] for weight in result["weights"]) == result["named_data"]["bytes"]
    weight = next(weight for weight in result["weights"] if weight["sizes"] == [10, 48])
    assert weight["dtype"] == "qcint8" and weight["bytes"] == 480 and "FullyConnected" in weight["used_by"]
    assert result["layer_names"] is False

    (arena,) = method["memory"]["arenas"]
    assert arena["bytes"] == method["planned_bytes"] >= arena["peak_bytes"] == 4 * 20 * (64 + 10)
    assert {tensor["role"] for tensor in method["memory"]["tensors"]} == {"input", "output"}
    for tensor in method["memory"]["tensors"]:
        assert tensor["offset"] + tensor["bytes"] <= arena["bytes"]
    assert [step["kind"] for step in method["chain"]] == ["delegate"]
    text = intaglio("inspect", int8, "--verbose").stdout
    assert "FullyConnected" in text and "no names of layers" in text


def unknown_op(program):
    for node in program["graph_module"]["graph"]["nodes"]:
        if node["target"] == "torch.ops.aten.max_pool2d.default":
            node["target"] = "torch.ops.mine.pool.default"


def test_inspect_of_a_program_that_cannot_be_lowered(document, intaglio, tmp_path):
    """It is explained, not refused: only lowering fails."""
    rewritten(DIGITS / "digits.pt2", tmp_path / "custom.pt2", unknown_op)
    result = document("inspect", tmp_path / "custom.pt2")
    assert {"op": "mine.pool.default", "count": 1} in result["ops"]
    assert "mine.pool.default" in result["delegation"]["error"] and "(train.py:" in result["delegation"]["error"]
    assert "mine.pool.default" in [op["op"] for op in result["delegation"]["outside"]]
    assert "no .pte can be written" in intaglio("inspect", tmp_path / "custom.pt2").stdout


def test_dump_shows_the_program_after_each_step(intaglio, tmp_path):
    steps = tmp_path / "steps"
    intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "a.pte", *STATIC, "--dump", steps)
    names = leftovers(steps)
    assert names[0] == "01_check_metadata.txt" and any(name.endswith("_delegate_to_XnnpackBackend.txt") for name in names)
    first, last = ((steps / name).read_text().splitlines() for name in (names[0], names[-1]))
    assert re.fullmatch(r"# check_metadata: \d+\.\d\d ms", first[0])
    assert any("aten.conv2d.default" in line for line in first) and any("executorch_call_delegate" in line for line in last)
    intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "b.pte", *STATIC)
    assert (tmp_path / "a.pte").read_bytes() == (tmp_path / "b.pte").read_bytes()
    no_folder = ("--backend", "portable", "--dump", tmp_path / "a.pte")
    fails(intaglio("lower", DIGITS / "digits.pt2", "-o", tmp_path / "c.pte", *no_folder, check=False), 1, "a.pte")


def test_build_says_where_to_look(intaglio, shared_model, tmp_path):
    model = shared_model("small_encoder") / "small_encoder.pt2"
    done = intaglio("lower", model, "-o", tmp_path / "m.pte", "--backend", "portable")
    assert "rule it breaks" in done.stdout and f"`intaglio inspect {model} --backend portable --verbose`" in done.stdout
    whole = intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "d.pte", *STATIC)
    assert "1 delegate with 100.0 % of the work, nothing outside" in whole.stdout


def test_recipes(document):
    names = [recipe["name"] for recipe in document("recipes")["recipes"]]
    assert RECIPE in names and DYNAMIC in names


def test_dynamic_needs_no_calibration(document, tmp_path):
    plain, given = tmp_path / "plain.pte", tmp_path / "given.pte"
    built = document("build", DIGITS / "digits.pt2", "-o", plain, "--recipe", DYNAMIC)
    assert built["calibration_samples"] == 0 and built["quantized_tensors"] > 0
    document("build", DIGITS / "digits.pt2", "-o", given, "--recipe", DYNAMIC, "--calibrate", DIGITS / "calibration")
    assert plain.read_bytes() == given.read_bytes()


def test_a_recipe_file(document, tmp_path):
    recipe = tmp_path / "mixed.json"
    rules = [{"match": {"module_name": "classifier"}, "config": None}, {"config": {"is_per_channel": True}}]
    recipe.write_text(json.dumps({"schema": "intaglio-recipe/1", "backend": "xnnpack", "rules": rules}))
    arguments = ("--recipe", recipe, "--calibrate", DIGITS / "calibration")
    document("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "q.pt2", *arguments)
    quantized = {entry["op"] for entry in document("inspect", tmp_path / "q.pt2")["quantized_ops"]}
    assert "aten.conv2d.default" in quantized and "aten.linear.default" not in quantized


# ---- the command line is at fault: status 2


@pytest.mark.parametrize(
    "arguments, words",
    [
        ([], ["subcommand"]),
        (["bild"], ["unknown command 'bild'", "did you mean 'build'?"]),
        (["frobnicate"], ["unknown command", "there are build, quantize"]),
        (["build", "m.pt2", "--recpie", "x"], ["`build` has no option '--recpie'", "did you mean '--recipe'?"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", RECIPE, "--calib=x"], ["did you mean '--calibrate'?"]),
        (["inspect", "m.pt2", "--zzzzzzzz"], ["no option '--zzzzzzzz'", "there are --help"]),
        (["build", "m.pt2", "-o", "m.pte"], ["--recipe"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", RECIPE], ["--calibrate", "--plan"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", "xnnpack_fp23"], ["did you mean 'xnnpack_fp32'"]),
        (["build", "m.pt2", "-o", "m.bin", "--recipe", "xnnpack_fp32"], ["ends in .pte"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", "xnnpack_fp32", "--set", "x=1"], ["no setting 'x'"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", "xnnpack_fp32", "--threads", "zero"], ["--threads"]),
        (["build", "m.pt2", "-o", "m.pte", "--recipe", RECIPE, "--set", "is_qat=maybe"], ["must be false or true"]),
        (["lower", "m.pt2", "-o", "m.pte", "--backend", "gpu"], ["unknown backend 'gpu'", "xnnpack"]),
        (["inspect", DIGITS / "digits.pt2", "--backend", "gpu"], ["unknown backend 'gpu'", "xnnpack"]),
        (["inspect", DIGITS / "digits.pt2", "--recipe", "xnnpack_fp23"], ["did you mean 'xnnpack_fp32'"]),
        (["inspect", DIGITS / "digits.pt2", "--set", "compat=torchao"], ["--recipe"]),
    ],
)
def test_wrong_command_lines(intaglio, arguments, words):
    fails(intaglio(*arguments, check=False), 2, *words)


# ---- a file is at fault: status 1, the target untouched, nothing left over


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "target" / "out.pte"
    path.parent.mkdir()
    path.write_bytes(b"before")
    return path


def build_fails(intaglio, target, model, *words, extra=STATIC):
    fails(intaglio("build", model, "-o", target, *extra, check=False), 1, *words)
    assert target.read_bytes() == b"before"
    assert leftovers(target.parent) == ["out.pte"]


def test_bad_programs(intaglio, target, tmp_path):
    build_fails(intaglio, target, tmp_path / "none.pt2", "none.pt2", "no such file")
    build_fails(intaglio, target, tmp_path, "is a directory")
    bad = tmp_path / "bad.pt2"
    bad.write_bytes(b"")
    build_fails(intaglio, target, bad, "bad.pt2")
    bad.write_bytes(b"hello, this is no archive" * 10)
    build_fails(intaglio, target, bad, "bad.pt2")
    whole = (DIGITS / "digits.pt2").read_bytes()
    for length in (100, len(whole) // 2, len(whole) - 1, len(whole) - 30):
        bad.write_bytes(whole[:length])
        build_fails(intaglio, target, bad, "bad.pt2")


def rewritten(source, target, change):
    """A copy of an archive with its JSON program changed."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w") as copy:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith("models/model.json"):
                document = json.loads(data)
                change(document)
                data = json.dumps(document).encode()
            copy.writestr(name, data)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda d: d["schema_version"].update(major=9), ["version", "9"]),
        (lambda d: d["graph_module"]["graph"]["nodes"][0].update(target="torch.ops.mine.op.default"), ["mine.op"]),
        (lambda d: d["graph_module"]["graph"]["nodes"].reverse(), ["model.json"]),
        (lambda d: next(iter(d["graph_module"]["graph"]["tensor_values"].values())).update(dtype=99), ["element type", "99"]),
    ],
)
def test_programs_that_say_something_wrong(intaglio, target, tmp_path, change, words):
    bad = tmp_path / "changed.pt2"
    rewritten(DIGITS / "digits.pt2", bad, change)
    build_fails(intaglio, target, bad, *words)


def test_an_operator_without_a_kernel_is_refused_before_writing(intaglio, target, tmp_path):
    """Named with its layer and the line of the model; the same program without it is written."""
    rewritten(DIGITS / "digits.pt2", tmp_path / "custom.pt2", unknown_op)
    build_fails(intaglio, target, tmp_path / "custom.pt2", "mine.pool.default", "layer 'pool'", "(train.py:", extra=("--recipe", "xnnpack_fp32"))
    fails(intaglio("lower", tmp_path / "custom.pt2", "-o", target, "--backend", "portable", check=False), 1, "mine.pool.default")
    assert target.read_bytes() == b"before" and leftovers(target.parent) == ["out.pte"]
    intaglio("lower", DIGITS / "digits.pt2", "-o", target, "--backend", "portable")
    assert target.read_bytes()[4:8] == b"ET12"


def test_a_flipped_weight_bit_is_found(intaglio, target, tmp_path):
    bad = tmp_path / "flipped.pt2"
    data = bytearray((DIGITS / "digits.pt2").read_bytes())
    with zipfile.ZipFile(DIGITS / "digits.pt2") as archive:
        info = next(i for i in archive.infolist() if i.filename.endswith("weights/weight_0"))
    data[(info.header_offset // 64 + 3) * 64] ^= 1
    bad.write_bytes(data)
    build_fails(intaglio, target, bad, "flipped.pt2")


def test_bad_samples(intaglio, target, tmp_path):
    def with_sample(array, *words):
        sample = tmp_path / "sample.npy"
        np.save(sample, array)
        build_fails(intaglio, target, DIGITS / "digits.pt2", "sample.npy", *words, extra=("--recipe", RECIPE, "--calibrate", sample))

    with_sample(np.zeros((20, 1, 8, 9), np.float32), "9")
    with_sample(np.zeros((20, 1, 8, 8), np.float64), "float64", "float32")
    with_sample(np.full((20, 1, 8, 8), np.nan, np.float32), "NaN")
    empty = tmp_path / "empty"
    empty.mkdir()
    build_fails(intaglio, target, DIGITS / "digits.pt2", "empty", extra=("--recipe", RECIPE, "--calibrate", empty))


def test_targets_that_cannot_be_written(intaglio, tmp_path):
    arguments = ("build", DIGITS / "digits.pt2", *STATIC, "-o")
    fails(intaglio(*arguments, tmp_path / "none" / "out.pte", check=False), 1, "the folder must exist")
    (tmp_path / "folder.pte").mkdir()
    fails(intaglio(*arguments, tmp_path / "folder.pte", check=False), 1, "folder.pte")

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = intaglio(*arguments, tmp_path / "out.pte", check=False, preexec_fn=small_files)
    fails(done, 1, "out.pte", "writing failed")
    assert leftovers(tmp_path) == ["folder.pte"]


def test_a_full_disk(intaglio, tmp_path):
    mounted = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"mount -t tmpfs -o size=8k none {tmp_path}"], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a small disk")
    command = [intaglio_path(intaglio), "build", DIGITS / "digits.pt2", "-o", tmp_path / "out.pte", *STATIC]
    quoted = " ".join(f"'{part}'" for part in command)
    script = f"mount -t tmpfs -o size=8k none {tmp_path} && {quoted}; status=$?; ls -A {tmp_path}; exit $status"
    done = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True)
    fails(done, 1, "out.pte", "free some space")
    assert done.stdout == ""


def intaglio_path(intaglio):
    return intaglio("--version").args[0]


def test_a_damaged_pte_is_refused(intaglio, int8, tmp_path):
    bad = tmp_path / "bad.pte"
    for length in (0, 10, 63, 200, int8.stat().st_size // 2):
        bad.write_bytes(int8.read_bytes()[:length])
        fails(intaglio("run", bad, "--input", DIGITS / "test" / "00.npy", check=False), 1, "bad.pte")
        fails(intaglio("inspect", bad, check=False), 1, "bad.pte")
    whole = bytearray(int8.read_bytes())
    whole[whole.index(b"XN01") - 1] = 0x7F  # the root of the graph inside the delegate's payload
    bad.write_bytes(whole)
    fails(intaglio("inspect", bad, check=False), 1, "bad.pte", "method 'forward', delegate 0")
    fails(intaglio("inspect", int8, "--recipe", RECIPE, check=False), 2, "lowered already")


def test_terminal_controls_in_names_are_escaped(intaglio, tmp_path):
    done = intaglio("inspect", tmp_path / "a\x1b[31mb.pt2", check=False)
    fails(done, 1, "\\x1b[31m")
