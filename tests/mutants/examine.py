"""What the command makes of a changed program: an answer, or one of the ways to fail that no input may show."""

import io
import json
import re
import signal
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mutants.change import changed
from oracle.build import BUILD

CPU_SECONDS = 10  # of one command, beyond which it hangs; processor time, so that a busy machine makes no hang
MEMORY = 6 << 30
ELEMENTS = 1 << 24  # of a sample: larger ones are made for no program

DTYPES = {1: np.uint8, 2: np.int8, 3: np.int16, 4: np.int32, 5: np.int64, 6: np.float16, 7: np.float32, 8: np.float64, 10: np.complex64, 12: np.bool_}
STATIC = ["xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"]
WITHOUT_SAMPLES = ["xnnpack_pt2e_int8_dynamic_per_channel", "xnnpack_torchao_int8da_int4w_per_channel", "xnnpack_pt2e_int8_dynamic_per_tensor",
                   "xnnpack_torchao_int8da_int4w_per_group"]
BACKENDS = ["xnnpack", "portable"]
OUT_OF_TIME = (-signal.SIGKILL, -signal.SIGXCPU)
# Of backends that no host runs.
ELSEWHERE = ["vulkan_fp16", "coreml_fp16", "exynos_pt2e_int8_static", "vulkan_pt2e_int8_weight_only", "coreml_pt2e_int8_static"]


@dataclass
class Seed:
    """An archive that `torch.export.save` wrote, and a sample that suits it."""

    name: str
    archive: Path
    sample: Path

    def __post_init__(self):
        with zipfile.ZipFile(self.archive) as archive:
            self.entries = {name: archive.read(name) for name in archive.namelist()}
        self.model = next(name for name in self.entries if name.endswith("models/model.json"))
        self.document = json.loads(self.entries[self.model])
        loaded = np.load(self.sample)
        self.arrays = [loaded] if isinstance(loaded, np.ndarray) else [loaded[name] for name in loaded.files]

    def mutant(self, random, folder: Path) -> str:
        """Left in FOLDER; returns what was changed."""
        document, change = changed(self.document, random)
        self.write(document, folder / "mutant.pt2")
        try:
            self.write_sample(document, folder / "sample.npz")
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            pass  # the change leaves no inputs that could be given
        return change

    def examine(self, folder: Path, number: int) -> list["Finding"]:
        return Examination(folder).run(number)

    def write(self, document: dict, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in self.entries.items():
                archive.writestr(name, json.dumps(document) if name == self.model else content)

    def write_sample(self, document: dict, path: Path) -> None:
        """The seed's own values where they fit what the document says of its inputs, else small ones of the right type."""
        arrays = []
        for index, (name, dtype, sizes) in enumerate(tensor_inputs(document)):
            own = self.arrays[index] if index < len(self.arrays) else None
            if own is not None and own.dtype == dtype and fits(own.shape, sizes):
                arrays.append(own)
            else:
                shape = [size if isinstance(size, int) else size[0] for size in sizes]
                if not all(0 <= size for size in shape) or np.prod(shape, dtype=object) > ELEMENTS:
                    raise ValueError(f"no sample for {name}{shape}")
                arrays.append((np.random.default_rng(index).random(shape) * 2).astype(dtype))
        np.savez(path, *arrays)


def fits(shape: tuple, sizes: list) -> bool:
    return len(shape) == len(sizes) and all(not isinstance(size, int) or size == own for own, size in zip(shape, sizes))


def tensor_inputs(document: dict) -> list[tuple]:
    """Name, type and sizes of what a caller gives; a symbolic size is a list of its hint."""
    module = document["graph_module"]
    tensors = module["graph"]["tensor_values"]
    inputs = []
    for spec in module["signature"]["input_specs"]:
        argument = spec.get("user_input", {}).get("arg", {})
        if "as_tensor" in argument:
            name = argument["as_tensor"]["name"]
            sizes = [s["as_int"] if "as_int" in s else [s["as_expr"]["hint"]["as_int"]] for s in tensors[name]["sizes"]]
            inputs.append((name, DTYPES[tensors[name]["dtype"]], sizes))
    return inputs


@dataclass
class Finding:
    kind: str  # "status 3", "signal 8", "hang", "does not run", "several lines"
    command: str
    message: str

    @property
    def shape(self) -> str:
        """The message without what differs from one mutant to the next."""
        return re.sub(r"\d+", "N", re.sub(r"'[^']*'|\([^()]*\)|\[[^\]]*\]", "_", self.message))[:160]


# A shell sets the limits: a function of ours between fork and exec would cost a copy of all pages' tables, PyTorch's among them, for each command.
LIMITED = ["/bin/sh", "-c", f'ulimit -t {CPU_SECONDS}; ulimit -v {MEMORY >> 10}; ulimit -c 0; exec nice -n 19 "$@"', "sh"]


class Examination:
    """All commands on one mutant in FOLDER, which holds mutant.pt2 and perhaps sample.npz."""

    def __init__(self, folder: Path):
        self.folder, self.findings = folder, []
        self.sample = folder / "sample.npz"

    def start(self, *words) -> subprocess.CompletedProcess:
        return subprocess.run([*LIMITED, BUILD / "intaglio", *words, "--quiet", "--threads", "1"], capture_output=True, timeout=20 * CPU_SECONDS)

    def takes_long(self) -> bool:
        """The program itself: loops of millions of rounds."""
        return self.sample.exists() and self.start("run", self.folder / "mutant.pt2", "--input", self.sample).returncode in OUT_OF_TIME

    def call(self, *arguments) -> subprocess.CompletedProcess:
        words = [str(word) for word in arguments]
        command = " ".join(Path(word).name for word in words)
        done = self.start(*words)
        text = done.stderr.decode(errors="replace").replace(str(self.folder) + "/", "")
        if done.returncode in OUT_OF_TIME or "CPU" in text and "exceeded" in text:
            if not self.takes_long():
                self.findings.append(Finding("hang", command, ""))
        elif done.returncode < 0 or done.returncode > 3:
            self.findings.append(Finding(f"signal {-done.returncode}", command, text))
        elif done.returncode == 3:
            self.findings.append(Finding("status 3", command, text))
        elif done.returncode and text.count("\n") != 1:
            self.findings.append(Finding("several lines", command, text))
        done.text = text
        return done

    def writes(self, *arguments, output: Path) -> None:
        """The command, and what it wrote on the sample."""
        output.unlink(missing_ok=True)
        done = self.call(*arguments, "-o", output)
        if done.returncode:
            if output.exists():
                self.findings.append(Finding("written and failed", " ".join(map(str, arguments[:1])), done.text))
            return
        if self.sample.exists():
            self.runs(output, f"{arguments[0]} {arguments[3]}")

    def runs(self, file: Path, made_by: str) -> None:
        known = len(self.findings)
        done = self.call("run", file, "--input", self.sample)
        if "the sample does not have it" in done.text:  # a number that the export fixed, which `compare` knows of the program
            done = self.call("compare", self.folder / "mutant.pt2", file, "--data", self.sample)
        # A sample that the program itself refuses (an index outside its table, say) shows nothing.
        # Nor does a program whose dimensions, at their largest, are beyond any machine.
        if done.returncode in (1, 2) and len(self.findings) == known and not re.search(r"plans \d{2,}[.]\d GB", done.text) and self.program_runs():
            self.findings.append(Finding("does not run", made_by, done.text))

    def program_runs(self) -> bool:
        return self.call("run", self.folder / "mutant.pt2", "--input", self.sample).returncode == 0

    def elsewhere(self, recipe: str) -> None:
        """Built for another backend, and what was written is read."""
        output = self.folder / ("elsewhere.enn" if recipe.startswith("exynos") else "elsewhere.pte")
        samples = ["--calibrate", self.sample] if recipe.endswith("static") else []
        if samples and not self.sample.exists():
            return
        if self.call("build", self.folder / "mutant.pt2", "--recipe", recipe, *samples, "-o", output).returncode:
            return
        done = self.call("inspect", output)
        if done.returncode:
            self.findings.append(Finding("is not read", f"build {recipe}", done.text))

    def run(self, number: int) -> list[Finding]:
        mutant, sampled = self.folder / "mutant.pt2", self.sample.exists()
        static = ["--recipe", STATIC[number % len(STATIC)], "--calibrate", self.sample]
        other = ["--recipe", WITHOUT_SAMPLES[number % len(WITHOUT_SAMPLES)]]
        fp32 = self.folder / "fp32.pte"
        self.call("inspect", mutant, *(other if number % 2 else []))
        self.writes("build", mutant, "--recipe", "xnnpack_fp32", output=fp32)
        if number % 3 == 0:
            self.writes("build", mutant, *other, output=self.folder / "other.pte")
            self.writes("lower", mutant, "--backend", BACKENDS[number % len(BACKENDS)], output=self.folder / "lowered.pte")
        if sampled:
            self.writes("build", mutant, *static, output=self.folder / "static.pte")
        if sampled and number % 3 == 1 and fp32.exists():
            self.call("compare", mutant, fp32, "--data", self.sample)
            self.call("run", mutant, "--input", self.sample, "--numerics", "integer")
        if sampled or number % 2:
            self.writes("quantize", mutant, *(other if number % 2 else static), output=self.folder / "quantized.pt2")
        self.elsewhere(ELSEWHERE[number % len(ELSEWHERE)])
        return self.findings
