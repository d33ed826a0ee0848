"""Makes every call to the system fail once, and looks at how the command ends.

    python -m failures [--step 7] [--json FILE]

A command walks through all its calls on one thread, and each fails in a child forked there: that call alone, or it and all later ones of its
kind (of allocations, each third time). Runs of their own, with two threads, fail every thread that is started and every seventh of the other
calls; not allocations, which come in any order then. An end is bad when it is by a signal, when its status is neither 0 nor 1, when a failure is not told in one line, when the
target is neither what it was nor (with status 0) what it becomes without a failure, or when temporary files stay behind.
"""

import argparse
import collections
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oracle.build import BUILD

PRELOAD = BUILD / "tests" / "probes" / "libfailing_calls.so"
STATIC = ["--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", "sample.npy"]
EXYNOS = ["--recipe", "exynos_pt2e_int8_static", "--calibrate", "sample.npy"]
COMMANDS = {
    "build": ["build", "model.pt2", "-o", "out.pte", *STATIC],
    "quantize": ["quantize", "model.pt2", "-o", "out.pt2", *STATIC],
    "inspect": ["inspect", "model.pt2"],
    "inspect .pte": ["inspect", "model.pte", "--json"],
    "run": ["run", "model.pt2", "--input", "sample.npy", "-o", "out.npz"],
    "run integer": ["run", "model.pt2", "--input", "sample.npy", "-o", "out.npz", "--numerics", "integer"],
    "run .pte": ["run", "model.pte", "--input", "sample.npy", "-o", "out.npz"],
    "compare": ["compare", "model.pt2", "model.pte", "--data", "sample.npy"],
    "build of other weights": ["build", "model.pt2", "-o", "out.pte", "--recipe", "xnnpack_fp32", "--weights", "weights.safetensors", "--no-check"],
    "quantize_": ["quantize", "model.pt2", "-o", "out.pt2", "--recipe", "xnnpack_torchao_int8da_int4w_per_channel"],
    "lower for a runner": ["lower", "language.pt2", "-o", "out.pte", "--backend", "xnnpack", "--llm", ".", "--no-check"],
    "generate": ["generate", "language.pte", "--prompt", "abc", "--max-new-tokens", "2"],
    "compare of texts": ["compare", "language.pt2", "language.pte", "--tokens", "tokens.txt"],
}
# What the nights try besides.
MORE = {
    "build for Vulkan": ["build", "model.pt2", "-o", "out.pte", "--recipe", "vulkan_pt2e_int8_weight_only"],
    "build for Core ML": ["build", "model.pt2", "-o", "out.pte", "--recipe", "coreml_pt2e_int8_static", "--calibrate", "sample.npy"],
    "build of a hand-over": ["build", "model.pt2", "-o", "out.enn", *EXYNOS],
    "run of a hand-over": ["run", "model.enn", "--input", "sample.npy", "-o", "out.npz"],
    "build within a loss": ["build", "model.pt2", "-o", "out.pte", *STATIC, "--max-loss", "30"],
    "compare as a page": ["compare", "model.pt2", "quantized.pt2", "--data", "sample.npy", "--report", "out.html"],
    "run of the reference": ["run", "quantized.pt2", "--input", "sample.npy", "-o", "out.npz", "--representation", "reference"],
    "diff": ["diff", "model.pt2", "quantized.pt2"],
    "diff .pte": ["diff", "model.pte", "language.pte"],
    "inspect with a recipe": ["inspect", "model.pt2", "--recipe", STATIC[1], "--json"],
    "recipes": ["recipes"],
}
ALL = COMMANDS | MORE
PAGE_END = b"</html>\n"
LONGEST_WAIT = 240  # seconds, as in walk.cpp


@dataclass(frozen=True)
class Failure:
    command: str
    call: str
    number: int
    on: bool = False  # and all calls after it

    @property
    def mutes(self):
        """Standard error is written to as other files are."""
        return self.on and self.call == "write"

    def environment(self):
        return {"FAILING_CALL": self.call, "FAILING_AT": str(self.number), **({"FAILING_ON": "1"} if self.on else {})}


def write_language_model(folder: Path) -> None:
    import torch

    letters = {chr(ord("a") + i): i for i in range(24)}
    model = torch.nn.Sequential(torch.nn.Embedding(len(letters), 8), torch.nn.Linear(8, len(letters))).eval()
    tokens = torch.arange(5)[None]
    length = torch.export.Dim("length", min=1, max=15)
    torch.export.save(torch.export.export(model, (tokens,), dynamic_shapes=({1: length},)), folder / "language.pt2")
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": letters, "merges": []}}))
    (folder / "tokens.txt").write_text("1 2 3 4 5 6 7 8")
    config = {"vocab_size": len(letters), "max_position_embeddings": 16, "bos_token_id": 0, "eos_token_id": 23}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([BUILD / "intaglio", "lower", "language.pt2", "-o", "language.pte", "--backend", "xnnpack", "--quiet"], cwd=folder, check=True)


def write_inputs(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    write_language_model(folder)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)).eval()
    sample = torch.randn(1, 3, 8, 8)
    torch.export.save(torch.export.export(model, (sample,)), folder / "model.pt2")
    np.save(folder / "sample.npy", sample.numpy())
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "weights.safetensors")
    for words in (["build", "model.pt2", "-o", "model.pte", *STATIC], ["quantize", "model.pt2", "-o", "quantized.pt2", *STATIC], ["build", "model.pt2", "-o", "model.enn", *EXYNOS]):
        subprocess.run([BUILD / "intaglio", *words, "--quiet"], cwd=folder, check=True)


def call_of(command, threads, **environment):
    """The words of a command, and what its process is started with."""
    words = [BUILD / "intaglio", *ALL[command], "--threads", str(threads)]
    return words, {"env": {**os.environ, "LD_PRELOAD": str(PRELOAD), "FAILING_IN": "intaglio", "TMPDIR": "scratch", **environment}}


def target_of(command, folder) -> Path | None:
    return next((folder / word for word in ALL[command] if word.startswith("out.")), None)


def content(path):
    return path.read_bytes() if path is not None and path.exists() else None


class Sweep:
    """Runs in copies of one folder of inputs, so that several go side by side."""

    def __init__(self, inputs: Path, work: Path, commands=COMMANDS):
        self.inputs, self.work = inputs, work
        self.names = {path.name for path in inputs.iterdir()} | {"scratch"}
        self.whole = {}  # what each command writes without a failure
        self.counts = {}
        for command in commands:
            folder = self.folder()
            done = self.run(command, folder, {"FAILING_COUNTS": str(folder / "counts")})
            assert done.returncode == 0, done.stderr
            self.counts[command] = {name: int(count) for name, count in map(str.split, (folder / "counts").read_text().splitlines())}
            self.whole[command] = content(target_of(command, folder))
            shutil.rmtree(folder)

    def folder(self, like: Path | None = None) -> Path:
        """A copy of the inputs, or of another run's folder, by links: no file that is there is written to."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        (folder / "scratch").mkdir()
        shutil.copytree(like or self.inputs, folder, copy_function=os.link, dirs_exist_ok=True)
        return folder

    def run(self, command, folder, environment, threads=2):
        words, how = call_of(command, threads, **environment)
        try:
            return subprocess.run(words, cwd=folder, capture_output=True, text=True, errors="replace", timeout=LONGEST_WAIT, **how)
        except subprocess.TimeoutExpired as waited:
            return subprocess.CompletedProcess(words, -signal.SIGALRM, "", str(waited))

    def failures(self, step: int, calls=None):
        for command, counts in self.counts.items():
            for call, count in counts.items():
                if calls is None or call in calls:
                    yield from (Failure(command, call, number) for number in range(1, count + 1, step))

    def is_whole(self, command, after) -> bool:
        """What it is without a failure; a page, though, tells what could not be computed, and has the times of the run."""
        whole = self.whole[command]
        return after == whole or all((text or b"").endswith(PAGE_END) for text in (whole, after))

    def judge(self, failure, folder, before, status, words) -> str:
        target = target_of(failure.command, folder)
        after = content(target)
        known = self.names | {target.name if target else ""}
        left = [path.name for path in folder.iterdir() if path.name not in known] + [path.name for path in (folder / "scratch").iterdir()]
        if status not in (0, 1):
            return f"status {status}: {words.strip()}"
        if status == 1 and words.count("\n") != (0 if failure.mutes else 1):
            return f"not one line: {words!r}"
        if not (self.is_whole(failure.command, after) if status == 0 else after == before):
            return f"status {status}, and the target is {'gone' if after is None else 'another'}: {words.strip()}"
        return f"left behind: {left}" if left else ""

    def fault(self, failure: Failure, threads=2) -> str:
        """What is wrong with how the command ends in a run of its own; "" if nothing is."""
        folder = self.folder()
        try:
            target = target_of(failure.command, folder)
            before = b"old" if target is not None and failure.number % 3 else None
            if before is not None:
                target.write_bytes(before)
            done = self.run(failure.command, folder, failure.environment(), threads)
            return self.judge(failure, folder, before, done.returncode, done.stderr)
        finally:
            shutil.rmtree(folder)

    def faults(self, failures, workers=2):
        """Pairs of a failure and what is wrong, of those where something is; and how many were tried."""
        failures = list(failures)
        with ThreadPoolExecutor(workers) as pool:
            found = [(failure, fault) for failure, fault in zip(failures, pool.map(self.fault, failures)) if fault]
        return found, len(failures)


class Walk:
    """One run of a command that tries its calls in children, every `step`th allocation: see probes/failing_calls/walk.h."""

    def __init__(self, sweep: Sweep, command: str, step: int):
        self.sweep, self.command, self.step = sweep, command, step
        self.found, self.tried, self.passed_over = [], 0, 0
        self.ended = collections.Counter()  # by status
        self.spare = self.before = None

    def go(self):
        started = time.monotonic()
        folder = self.sweep.folder()
        target = target_of(self.command, folder)
        if target is not None:
            target.write_bytes(b"old")
        ours, its = socket.socketpair()
        ours.settimeout(2 * LONGEST_WAIT)
        words, how = call_of(self.command, 1, FAILING_WALK=str(its.fileno()))
        with open(beside(folder), "wb") as said, ours, ours.makefile("r") as questions:
            walker = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=said, pass_fds=[its.fileno()], **how)
            its.close()
            try:
                for question in questions:
                    self.answer(question.split(), folder, ours, questions)
                if walker.wait() != 0 or not self.sweep.is_whole(self.command, content(target)):
                    end = f"ended with {walker.returncode}, or wrote something else: {beside(folder).read_text()}"
                    self.found.append((f"the walker of '{self.command}'", end))
            finally:
                walker.kill()
                walker.wait()
        self.discard()
        shutil.rmtree(folder)
        print(f"{self.command}: {self.tried} tried, {len(self.found)} bad, {self.passed_over} passed over, {time.monotonic() - started:.0f} s", flush=True)
        return self

    def answer(self, question, folder, ours, questions):
        if question == ["threads"]:
            self.passed_over += 1
            return
        call, number = question[0], int(question[1])
        if call != "malloc" or number % self.step == 1 % self.step:
            for on in (False, True) if call != "malloc" or number // self.step % 3 == 0 else (False,):
                self.attempt(Failure(self.command, call, number, on), folder, ours, questions)
        ours.sendall(b"\n")

    def copy(self, walkers):
        """A copy of the walker's folder: the last one, where it still is what it was and there is nothing temporary in the walker's."""
        target = target_of(self.command, walkers)
        temporary = {*os.listdir(walkers), *os.listdir(walkers / "scratch")} - self.sweep.names - {target.name if target else ""}
        if self.spare is None or temporary or content(target) != self.before:
            self.discard()
            self.spare, self.before = self.sweep.folder(walkers), content(target)
        return self.spare

    def discard(self):
        if self.spare is not None:
            shutil.rmtree(self.spare)
            beside(self.spare).unlink()
        self.spare = None

    def attempt(self, failure, walkers, ours, questions):
        folder = self.copy(walkers)
        target = target_of(self.command, folder)
        before = content(target)
        if before == b"old" and failure.number % 7 == 0:
            target.unlink()
            before = None
        shutil.copyfile(beside(walkers), beside(folder))
        ours.sendall(f"{'on' if failure.on else 'once'} {folder}\n".encode())
        status = os.waitstatus_to_exitcode(int(next(questions)))
        fault = self.sweep.judge(failure, folder, before, status, beside(folder).read_text(errors="replace"))
        self.tried += 1
        self.ended[status] += 1
        if fault:
            self.found.append((failure, f"{fault} (in a run of its own: {self.sweep.fault(failure, 1) or 'nothing'})"))
        if fault or content(target) != self.before:
            self.discard()


def beside(folder: Path) -> Path:
    """Where a run in that folder says what it says."""
    return folder.with_name(folder.name + ".err")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--step", type=int, default=1, help="every how many-th allocation fails; of the other calls, each one")
    parser.add_argument("--commands", nargs="*", choices=ALL, default=list(ALL), help="these alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="runs at once")
    parser.add_argument("--json", type=Path, help="where to write how many were tried and how many were bad")
    arguments = parser.parse_args()
    memory = Path("/dev/shm")  # a disk would be waited for
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        inputs, work = Path(folder) / "inputs", Path(folder) / "work"
        inputs.mkdir(), work.mkdir()
        write_inputs(inputs)
        sweep = Sweep(inputs, work, arguments.commands)
        with ThreadPoolExecutor(arguments.workers) as pool:
            walks = list(pool.map(lambda command: Walk(sweep, command, arguments.step).go(), arguments.commands))
        others = [call for call in next(iter(sweep.counts.values())) if call not in ("malloc", "thread")]
        found, tried = sweep.faults([*sweep.failures(1, ["thread"]), *sweep.failures(7, others)], arguments.workers)
    for walk in walks:
        found, tried = [*found, *walk.found], tried + walk.tried
    for failure, fault in found:
        print(failure, fault)
    print(f"{tried} failures tried, {len(found)} bad; {sum(walk.passed_over for walk in walks)} calls were passed over")
    if arguments.json:
        some = f" (of allocations, each {arguments.step}th)" if arguments.step > 1 else ""
        what = f"one failing call of the system{some}, or it and all later ones of its kind, in {', '.join(arguments.commands)}"
        arguments.json.write_text(json.dumps({"stage": "failures", "what": what, "tried": tried, "bad": len(found)}) + "\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
