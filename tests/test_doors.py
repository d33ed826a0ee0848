"""Every option that names a file, with everything that a path can lead to: one line, and nothing is lost."""

import fcntl
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from failures import STATIC, write_inputs

NIGHTLY = bool(os.environ.get("INTAGLIO_NIGHTLY"))
RECIPE, SAMPLES = STATIC[:2], STATIC[2:]
DYNAMIC = ["--recipe", "xnnpack_pt2e_int8_dynamic_per_channel"]
BOUND = [*RECIPE, *SAMPLES, "--max-loss", "30"]
LANGUAGE = [*DYNAMIC, "--max-loss", "30"]
EXYNOS = ["--backend", "exynos"]
READ_BY_BUILD = {
    "--recipe": (["model.pt2", *SAMPLES], "recipe.json"),
    "--calibrate": (["model.pt2", *RECIPE], "sample.npy"),
    "--plan": (["model.pt2", *RECIPE], "plan.json"),
    "--weights": (["model.pt2", *DYNAMIC], "weights.safetensors"),
    "--labels": (["model.pt2", *BOUND], "labels.npy"),
    "--evaluate": (["model.pt2", *BOUND], "sample.npy"),
    "--tokens": (["language.pt2", *LANGUAGE], "tokens.txt"),
    "--text": (["language.pt2", *LANGUAGE], "text.txt"),
    "--tokenizer": (["language.pt2", *LANGUAGE, "--text", "text.txt"], "tokenizer.json"),
    "--set": (["model.pt2", "--recipe", "exynos_pt2e_int8_static", *SAMPLES], "enn_binary=binary.bin"),
}
OF_A_LANGUAGE_MODEL = {"--tokenizer": (["language.pt2", "language.pte", "--text", "text.txt"], "tokenizer.json"), "--text": (["language.pt2", "language.pte"], "text.txt"), "--tokens": (["language.pt2", "language.pte"], "tokens.txt")}
# Of each command: the options that read a file, with the words beside them and a file that is right.
READ = {
    "build": {"MODELS": (DYNAMIC, "model.pt2"), **READ_BY_BUILD, "--llm": (["language.pt2", *DYNAMIC], "llm")},
    "quantize": {"MODEL": (DYNAMIC, "model.pt2"), **READ_BY_BUILD},
    "lower": {
        "MODELS": (["--backend", "xnnpack"], "model.pt2"),
        "--weights": (["model.pt2", "--backend", "xnnpack"], "weights.safetensors"),
        "--llm": (["language.pt2", "--backend", "xnnpack"], "llm"),
        "--set": (["model.pt2", *EXYNOS], "enn_binary=binary.bin"),
    },
    "run": {"MODEL": (["--input", "sample.npy"], "model.pte"), "--input": (["model.pt2"], "sample.npy")},
    "compare": {
        "REFERENCE": (["model.pte", "--data", "sample.npy"], "model.pt2"),
        "CANDIDATE": (["--data", "sample.npy"], "model.pte"),
        "--data": (["model.pt2", "model.pte"], "sample.npy"),
        "--labels": (["model.pt2", "quantized.pt2", "--data", "sample.npy"], "labels.npy"),
        **OF_A_LANGUAGE_MODEL,
    },
    "diff": {"BEFORE": (["model.pte"], "model.pte"), "AFTER": ([], "plan.json")},
    "generate": {
        "MODEL": (["--prompt", "abc", "--tokenizer", "tokenizer.json"], "language.pte"),
        "--tokens": (["language.pte"], "tokens.txt"),
        "--tokenizer": (["language.pte", "--prompt", "abc"], "tokenizer.json"),
    },
    "inspect": {"FILE": ([], "model.pt2"), "--recipe": (["model.pt2"], "recipe.json")},
    "recipes": {},
}
FIRST = {("compare", "CANDIDATE"): ["model.pt2"], ("diff", "AFTER"): ["plan.json"]}  # in front of what stands alone
FLOW = {"--save-plan": ".json", "--report": ".html"}
WRITTEN = {
    "build": {"-o": ".pte", **FLOW},
    "quantize": {"-o": ".pt2", **FLOW},
    "lower": {"-o": ".pte"},
    "run": {"-o": ".npz"},
    "compare": {"--report": ".html"},
}


def words_of(command, option, path):
    """The command with that file at the option, and without its outputs."""
    beside, right = READ[command][option]
    given = f"enn_binary={path}" if option == "--set" else str(path)
    return [command, *FIRST.get((command, option), []), *([option, given] if option.startswith("--") else [given]), *beside]


def with_output(words, option="-o", target="out"):
    own = WRITTEN.get(words[0], {})
    out = ["-o", f"never{own['-o']}"] if "-o" in own and option != "-o" else []
    return [*words, *out, *([option, target] if option in own else [])]


@pytest.fixture(scope="module")
def inputs(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("doors")
    write_inputs(folder)
    (folder / "llm").mkdir()
    for name in ("config.json", "tokenizer.json"):
        shutil.copy(folder / name, folder / "llm" / name)
    (folder / "recipe.json").write_text(json.dumps({"backend": "xnnpack", "default": "static"}))
    (folder / "text.txt").write_text("abcdefghabcd")
    (folder / "binary.bin").write_bytes(b"compiled" * 20)
    (folder / "tokenizer_config.json").write_text("{}")
    np.save(folder / "labels.npy", np.array([1]))
    subprocess.run([build / "intaglio", "quantize", "model.pt2", "-o", "q.pt2", *STATIC, "--save-plan", "plan.json", "--quiet"], cwd=folder, check=True)
    (folder / "q.pt2").unlink()
    return folder


@pytest.fixture
def folder(inputs, tmp_path):
    return Path(shutil.copytree(inputs, tmp_path / "here", symlinks=True))


@pytest.fixture
def call(build, folder):
    def run(words, **options):
        return subprocess.run([build / "intaglio", *words], cwd=folder, capture_output=True, text=True, errors="surrogateescape", timeout=60, **options)

    return run


def test_every_option_is_here(build):
    for command, options in READ.items():
        text = subprocess.run([build / "intaglio", command, "--help"], capture_output=True, text=True, check=True).stdout
        named = {kind: set(re.findall(rf"^\s+(?:-o,--output|(\S+)) {kind}\b", text, re.M)) for kind in ("FILE", "KEY=VALUE", "TARGET")}
        assert named["FILE"] == set(options) - {"--set"} and (not named["KEY=VALUE"] or "--set" in options or command == "inspect"), command
        assert {name or "-o" for name in named["TARGET"]} == set(WRITTEN.get(command, {})), command


def test_nothing_is_no_value(call, folder):
    """A variable of a script that is not set is no wish for a default."""
    before = set(os.listdir(folder))
    for command in READ:
        text = call([command, "--help"]).stdout
        options = re.findall(r"^\s+(?:-\w,)?(--[\w-]+) [A-Z]", text, re.M)
        assert set(WRITTEN.get(command, {})) - {"-o"} <= set(options), command
        words, first = [command], next(iter(READ[command]), "")
        if first:
            words = with_output(words_of(command, first, READ[command][first][1]))
        without = [["" if word == READ[command][first][1] else word for word in words]] if first else []
        for given in [[*words, option, ""] for option in options if option != "--prompt"] + without:
            done = call(given)
            assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stderr != "intaglio: \n", (given, done.returncode, done.stderr)
            assert set(os.listdir(folder)) == before, given


def test_a_bound_is_a_number(call):
    done = call(["quantize", "model.pt2", "-o", "out.pt2", *RECIPE, *SAMPLES, "--max-loss", "nan"])
    assert done.returncode == 2 and "--max-loss" in done.stderr and done.stderr.count("\n") == 1, done.stderr


ODD = "pipe socket device process dangling circle folder empty half zeros sparse missing".split()


def make(kind, path: Path, right: Path):
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(os.path.relpath(path))
    elif kind in ("device", "process", "dangling", "circle"):
        path.symlink_to({"device": "/dev/zero", "process": "/proc/kmsg", "dangling": "nowhere", "circle": path.name}[kind])
    elif kind == "folder":
        path.mkdir()
    elif kind == "sparse":
        path.touch()
        os.truncate(path, 1 << 36)
    elif kind != "missing":
        whole = right.read_bytes() if right.is_file() else b"{}"
        path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "zeros": bytes(len(whole))}[kind])


@pytest.mark.parametrize("command, option", [(command, option) for command, options in READ.items() for option in options if (command, option) != ("quantize", "--set")])
def test_what_is_read(call, folder, monkeypatch, command, option):
    """Everything in nightly runs; with a third of it, in turn, otherwise."""
    monkeypatch.chdir(folder)
    right = READ[command][option][1].split("=")[-1]
    first = list(READ[command]).index(option)
    for kind in ODD if NIGHTLY else ODD[first % 3 :: 3]:
        if option == "--set" and kind == "sparse":
            continue  # a compiler's file is anything, and is taken whole
        odd = folder / f"{kind}{Path(right).suffix}"
        make(kind, odd, folder / right)
        before = set(os.listdir(folder))
        words = with_output(words_of(command, option, odd.name), target=f"out{WRITTEN.get(command, {}).get('-o', '')}")
        started = time.monotonic()
        done = call(words)
        if kind == "half" and right.endswith((".txt", ".bin")) or kind == "zeros" and right.endswith(".bin"):
            continue  # part of a text is a text, and a compiler's file is anything
        assert done.returncode in (1, 2) and done.stderr.count("\n") == 1, (kind, words, done.returncode, done.stderr)
        assert kind in done.stderr or right.endswith(".txt"), (kind, words, done.stderr)
        assert set(os.listdir(folder)) == before and time.monotonic() - started < 30, (kind, words)


def cases_of_outputs():
    for command, outputs in WRITTEN.items():
        for option, output in itertools.product(READ[command], outputs):
            if command == "compare" and (READ[command][option][1].endswith((".txt", ".json"))):
                continue  # a page is of two programs
            yield command, option, output


@pytest.mark.parametrize("command, option, output", list(cases_of_outputs()))
def test_what_is_read_is_not_written(call, folder, command, option, output):
    right = folder / READ[command][option][1].split("=")[-1]
    read = right / "config.json" if right.is_dir() else right
    before = read.read_bytes()
    target = folder / f"target{WRITTEN[command][output]}"
    for link in (target.symlink_to, lambda path: os.link(path, target)):
        target.unlink(missing_ok=True)
        link(read)
        done = call(with_output(words_of(command, option, right.name), output, target.name))
        assert done.returncode == 2 and "is an input of this command" in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert read.read_bytes() == before and not list(folder.glob("never*"))


@pytest.mark.parametrize("command, output", [(command, output) for command in ("build", "quantize") for output in WRITTEN[command]])
def test_what_is_found_beside_is_not_written(call, folder, command, output):
    before = (folder / "tokenizer.json").read_bytes()
    target = folder / f"target{WRITTEN[command][output]}"
    target.symlink_to("tokenizer.json")
    done = call(with_output([command, "language.pt2", *LANGUAGE, "--text", "text.txt"], output, target.name))
    assert done.returncode == 2 and "is an input of this command" in done.stderr, done.stderr
    assert (folder / "tokenizer.json").read_bytes() == before


PACKAGE = ["build", "model.pt2", "-o", "out.pte", "--recipe", "coreml_fp32", "--emit", "mlpackage"]


def test_a_folder_beside_the_file(call, folder):
    assert call(PACKAGE).returncode == 0
    package, real = folder / "out.mlpackage", folder / "real.mlpackage"
    files = sorted(path.name for path in package.rglob("*"))
    package.rename(real)
    package.symlink_to(real.name)
    (real / "stale").touch()
    assert call(PACKAGE).returncode == 0
    assert package.is_symlink() and sorted(path.name for path in real.rglob("*")) == files
    shutil.copy(folder / "model.pt2", real / "model.pt2")
    inside = [word if word != "model.pt2" else "real.mlpackage/model.pt2" for word in PACKAGE]
    done = call(inside)
    assert done.returncode == 2 and "is an input of this command" in done.stderr and (real / "model.pt2").exists(), done.stderr


@pytest.mark.parametrize("ending", [".pte", ".enn"])
def test_names_as_long_as_they_may_be(call, folder, ending):
    name = "l" * (255 - len(ending)) + ending
    recipe = ["--recipe", "exynos_pt2e_int8_static", *SAMPLES] if ending == ".enn" else ["--recipe", "xnnpack_fp32"]
    done = call(["build", "model.pt2", "-o", name, *recipe])
    assert done.returncode == 0 and (folder / name).is_file(), done.stderr
    name = "l" * (255 - len(".mlpackage"))
    done = call([word if word != "out.pte" else f"{name}.pte" for word in PACKAGE])
    assert done.returncode == 0 and (folder / f"{name}.mlpackage").is_dir(), done.stderr


def test_what_killed_runs_left_of_folders(call, folder):
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    scratch = folder / "scratch"
    scratch.mkdir()
    beside = folder / f".out.enn.{ended}.0.tmp"
    deep, elsewhere = scratch / f"intaglio-{ended}.0.tmp", folder / f".other.enn.{ended}.0.tmp"
    held = scratch / f"intaglio-{ended}.1.tmp"  # a process of another container, perhaps, whose number means another here
    for path in (beside, deep / "a" / "b" / "c", elsewhere, held):
        path.mkdir(parents=True)
        (path / "file").write_text("half")
    lock = os.open(held, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    environment = {**os.environ, "TMPDIR": str(scratch)}
    assert call(["build", "model.pt2", "-o", "out.enn", "--recipe", "exynos_pt2e_int8_static", *SAMPLES], env=environment).returncode == 0
    assert call(["run", "model.pt2", "--input", "sample.npy", "--numerics", "integer"], env=environment).returncode == 0
    assert not beside.exists() and not deep.exists() and elsewhere.exists() and held.exists()
    os.close(lock)
    assert call(["run", "model.pt2", "--input", "sample.npy", "--numerics", "integer"], env=environment).returncode == 0
    assert not list(scratch.iterdir())


@pytest.mark.parametrize("files", range(4, 14))
def test_few_files_may_be_open(call, folder, files):
    """What is in folders goes whatever the limit is that ended the run."""
    import resource

    before = set(os.listdir(folder))
    done = call(PACKAGE, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files)))
    assert done.returncode in (0, 1, 127) and (done.returncode != 1 or done.stderr.count("\n") == 1), done.stderr
    left = set(os.listdir(folder)) - before
    assert left == ({"out.pte", "out.mlpackage"} if done.returncode == 0 else set()), left


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed")
def test_what_its_owner_protects_stays(call, build, folder):
    nobody = 65534
    folder.chmod(0o777)
    (folder / "out.pte").write_text("old")
    (folder / "out.pte").chmod(0o444)
    for parent in folder.parents:
        parent.chmod(parent.stat().st_mode | 0o055) if parent.is_relative_to("/tmp") and parent != Path("/tmp") else None
    reaches = subprocess.run([build / "intaglio", "--version"], cwd=folder, user=nobody, group=nobody, capture_output=True)
    if reaches.returncode != 0:
        pytest.skip("the build is out of another user's reach")
    done = call(["build", "model.pt2", "-o", "out.pte", *DYNAMIC], user=nobody, group=nobody)
    assert done.returncode == 1 and "out.pte: cannot be written" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert (folder / "out.pte").read_text() == "old"


CHANGED = {
    "run of a .pte": (["run", "large.pte", "--input", "x.npy", "--repeat", "300", "-o", "out.npz"], "large.pte"),
    "compare": (["compare", "large.pt2", "large.pte", "--data", "samples"], "large.pte"),
    "calibration": (["build", "large.pt2", "-o", "out.pte", *RECIPE, "--calibrate", "samples"], "samples/0.npy"),
    "deployed": (["run", "large.pt2", "--input", "x.npy", "--numerics", "integer", "--repeat", "300", "-o", "out.npz"], "large.pt2"),
}


@pytest.fixture(scope="module")
def large(build, tmp_path_factory):
    import torch

    folder = tmp_path_factory.mktemp("large")
    torch.manual_seed(2)
    model = torch.nn.Sequential(*[torch.nn.Linear(512, 512) for _ in range(6)]).eval()
    torch.export.save(torch.export.export(model, (torch.randn(64, 512),)), folder / "large.pt2")
    (folder / "samples").mkdir()
    for path in (folder / "x.npy", *(folder / "samples" / f"{i}.npy" for i in range(200))):
        np.save(path, torch.randn(64, 512).numpy())
    subprocess.run([build / "intaglio", "build", "large.pt2", "-o", "large.pte", "--recipe", "xnnpack_fp32", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("change", ["overwrite", "cut", "replace"])
@pytest.mark.parametrize("name", CHANGED)
def test_what_changes_while_it_is_read(build, large, tmp_path, name, change):
    words, changed = CHANGED[name]
    found = 0
    for delay in (0.2, 0.4, 0.8) if NIGHTLY else (0.2, 0.5):
        folder = Path(shutil.copytree(large, tmp_path / str(delay)))
        victim = folder / changed
        process = subprocess.Popen([build / "intaglio", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(delay)
        if process.poll() is None:
            if change == "replace":
                shutil.copy(victim, folder / "new")
                os.replace(folder / "new", victim)
            else:
                with open(victim, "r+b") as file:
                    file.truncate(victim.stat().st_size // 3) if change == "cut" else file.write(b"\xff" * 8)
        error = process.communicate(timeout=120)[1]
        assert process.returncode in (0, 1) and not (process.returncode == 0 and error), error
        if process.returncode == 1:
            assert f"{changed}: " in error and error.count("\n") == 1 and not list(folder.glob("out*")), error
            found += "was changed while it was read" in error
    assert found >= 1


@pytest.mark.parametrize("command, output", [(command, output) for command, outputs in WRITTEN.items() for output in outputs])
def test_an_error_names_one_place(call, folder, command, output):
    words = words_of(command, next(iter(READ[command])), READ[command][next(iter(READ[command]))][1])
    if output == "--report" and command == "compare":
        words = ["compare", "model.pt2", "quantized.pt2", "--data", "sample.npy"]
    done = call(with_output(words, output, f"nowhere/out{WRITTEN[command][output]}"))
    assert done.returncode == 1 and done.stderr.startswith("intaglio: nowhere/out") and done.stderr.count("\n") == 1, done.stderr
    assert "the folder must exist" in done.stderr and not list(folder.glob("never*"))


HIDDEN = "\u202e\u2066\u061c\u200f\u2028\u200b\ufeff\u0085\x7f\U000e0041"


def test_documents_hold_nothing_hidden(call, folder):
    """Marks that reorder a line or end it, and what takes no place in one."""
    odd = folder / f"a{HIDDEN}b.pt2"
    shutil.copy(folder / "model.pt2", odd)
    for words in (["inspect", odd.name, "--json"], ["build", odd.name, "-o", "out.pte", *DYNAMIC, "--json"]):
        text = call(words).stdout
        assert not set(HIDDEN) & set(text) and "a\\u202e\\u2066" in text and f"a{HIDDEN}b" in json.dumps(json.loads(text), ensure_ascii=False)
    for words in (["inspect", odd.name], ["build", odd.name, "-o", odd.with_suffix(".pte").name, *DYNAMIC], ["inspect", f"no{HIDDEN}"]):
        done = call(words)
        text = done.stdout + done.stderr
        assert text and not set(HIDDEN) & set(text) and (len(words) > 2 or "\\xe2\\x80\\xa8" in text), repr(text)


def test_a_name_with_hidden_marks_in_plan_and_page(call, folder):
    import zipfile

    name = f"relu{HIDDEN}"
    with zipfile.ZipFile(folder / "model.pt2") as old, zipfile.ZipFile(folder / "odd.pt2", "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename.endswith("models/model.json"):
                assert b'"relu"' in content
                content = content.replace(b'"relu"', json.dumps(name).encode())
            new.writestr(item, content)
    done = call(["quantize", "odd.pt2", "-o", "out.pt2", *RECIPE, *SAMPLES, "--save-plan", "out.json", "--report", "out.html"])
    assert done.returncode == 0, done.stderr
    plan, page = (folder / "out.json").read_text(), (folder / "out.html").read_text()
    assert not set(HIDDEN) & set(plan + page) and name in [entry["tensor"] for entry in json.loads(plan)["entries"]]
    (folder / "again").mkdir()
    assert call(["quantize", "odd.pt2", "-o", "again/out.pt2", *RECIPE, "--plan", "out.json"]).returncode == 0
    assert (folder / "again" / "out.pt2").read_bytes() == (folder / "out.pt2").read_bytes()
