"""Files beside a program, changed: recipes, plans, weights, tokenizers, the settings of a language model."""

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from failures import write_inputs
from test_generate import CONTEXT, FLOWS, VOCABULARY, exported, write_tokenizer

from mutants.change import ANY_DOCUMENT, Document, changed
from mutants.examine import Examination, Finding
from oracle.build import BUILD

STATIC = ["--recipe", "xnnpack_pt2e_int8_static_per_channel"]
INT4 = {"quantize_": "Int8DynamicActivationIntxWeightConfig", "weight_dtype": "int4", "group_size": 36, "mapping_type": "symmetric"}
RECIPE = {
    "schema": "intaglio-recipe/1",
    "name": "mine",
    "backend": "xnnpack",
    "settings": {"compat": "intaglio", "when_indivisible": "float"},
    "rules": [
        {"match": {"module_name": "head*"}, "config": None},
        {"match": {"module_type": "torch.nn.modules.linear.Linear"}, "config": INT4},
        {"match": {"op": "aten.relu.default"}, "config": {"is_per_channel": False, "act_qmin": -128, "act_qmax": 127}},
        {"config": {"scheme": "symmetric_int8", "is_per_channel": True, "is_dynamic": False, "weight_qmin": -127, "weight_qmax": 127}},
    ],
}

# Name of the file in its folder; what is done with it, as words: MUTANT is the file, FOLDER where it lies.
COMMANDS = {
    "recipe.json": ["build model.pt2 --recipe MUTANT --calibrate sample.npy -o OUT.pte", "quantize model.pt2 --recipe MUTANT --calibrate sample.npy -o OUT.pt2",
                    "inspect model.pt2 --recipe MUTANT"],
    "plan.json": ["build model.pt2 --recipe STATIC --plan MUTANT -o OUT.pte", "quantize model.pt2 --recipe STATIC --plan MUTANT -o OUT.pt2"],
    "weights.safetensors": ["build model.pt2 --recipe xnnpack_fp32 --weights MUTANT -o OUT.pte", "lower model.pt2 --backend portable --weights MUTANT -o OUT.pte"],
    "model.safetensors.index.json": ["quantize model.pt2 --recipe xnnpack_pt2e_int8_dynamic_per_channel --weights FOLDER -o OUT.pt2"],
    "tokenizer.json": ["generate language.pte --tokenizer MUTANT --prompt PROSE --max-new-tokens 4", "compare language.pt2 language.pte --tokenizer MUTANT --text prose.txt",
                       "lower language.pt2 --backend xnnpack --llm FOLDER -o OUT.pte"],
    "config.json": ["lower language.pt2 --backend xnnpack --llm FOLDER -o OUT.pte"],
    "generation_config.json": ["lower language.pt2 --backend xnnpack --llm FOLDER -o OUT.pte"],
    "tokenizer_config.json": ["generate language.pte --prompt PROSE --max-new-tokens 4 --tokenizer FOLDER/tokenizer.json"],
}
PROSE = "the cat sat on the mat; Grüße 1234"


def split(content: bytes) -> tuple[bytes, bytes]:
    """Of a .safetensors file: the header's text and the bytes of the tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    return content[8 : 8 + length], content[8 + length :]


@dataclass
class FileSeed:
    name: str
    home: Path  # holds it, and what its commands read beside it

    @property
    def file(self) -> str:
        return self.name.split("/")[1]

    def mutant(self, random, folder: Path) -> str:
        for path in self.home.iterdir():
            (folder / path.name).symlink_to(path)
        path, content = folder / self.file, (self.home / self.file).read_bytes()
        text, rest = split(content) if path.suffix == ".safetensors" else (content, b"")
        document, change = changed(json.loads(text), random, Document, ANY_DOCUMENT)
        text = json.dumps(document, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")
        path.unlink()
        path.write_bytes(struct.pack("<Q", len(text)) + text + rest if path.suffix == ".safetensors" else text)
        return change

    def examine(self, folder: Path, number: int) -> list[Finding]:
        examination = Examination(folder)
        for line in COMMANDS[self.file]:
            words, out = [], None
            for word in line.split():
                path = folder / word.replace("FOLDER", ".").replace("MUTANT", self.file).replace("OUT", "out")
                out = path if "OUT" in word else out
                words += STATIC[1:] if word == "STATIC" else [PROSE] if word == "PROSE" else [path] if word.isupper() or "." in word or "/" in word else [word]
            done = examination.call(*words)
            if out and out.exists() and done.returncode:
                examination.findings.append(Finding("written and failed", line, done.text))
            if out and "model.pt2" in line and done.returncode == 0:
                ran = examination.call("run", out, "--input", folder / "sample.npy")
                if ran.returncode in (1, 2):
                    examination.findings.append(Finding("does not run", line, ran.text))
        return examination.findings


def write_home(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True)
    write_inputs(folder)
    weights = load_file(folder / "weights.safetensors")
    shards = {name: f"shard-{i % 2}.safetensors" for i, name in enumerate(weights)}
    for shard in set(shards.values()):
        save_file({name: weights[name] for name in weights if shards[name] == shard}, folder / shard)
    torch.export.save(exported(**FLOWS["parallel"][0]), folder / "language.pt2")
    write_tokenizer(folder / "tokenizer.json", VOCABULARY)
    (folder / "prose.txt").write_text(PROSE * 3)
    documents = {
        "recipe.json": RECIPE,
        "model.safetensors.index.json": {"metadata": {"total_size": 1}, "weight_map": shards},
        "config.json": {"vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": [0, 1], "text_config": {"vocab_size": 1}},
        "generation_config.json": {"bos_token_id": 0, "eos_token_id": [0, 2]},
        "tokenizer_config.json": {"eos_token": {"content": "<|end|>"}},
    }
    for name, document in documents.items():
        (folder / name).write_text(json.dumps(document))
    for command in (
        ["quantize", "model.pt2", "-o", "quantized.pt2", *STATIC, "--calibrate", "sample.npy", "--save-plan", "plan.json"],
        ["lower", "language.pt2", "-o", "language.pte", "--backend", "xnnpack", "--llm", "."],
        ["build", "model.pt2", "-o", "mine.pte", "--recipe", "recipe.json", "--calibrate", "sample.npy"],
    ):
        subprocess.run([BUILD / "intaglio", *command, "--quiet"], cwd=folder, check=True)


def written(folder: Path, names=COMMANDS) -> list[FileSeed]:
    home = folder / "files"
    if not (home / "mine.pte").exists():
        shutil.rmtree(home, ignore_errors=True)
        write_home(home)
    return [FileSeed(f"files/{name}", home) for name in names]
