"""SmolLM2-135M of the folder that `examples/smollm2/demo.sh` fills, whole or with its first layers alone."""

import sys
from pathlib import Path

import torch

LENGTH = 256
TEXTS = ["The capital of France is", "Once upon a time", "Water boils at a temperature of"]


def exporter(folder: Path):
    """examples/smollm2/export.py, which is told on its command line where transformers is."""
    examples, told = Path(__file__).parent.parent.parent / "examples" / "smollm2", sys.argv
    sys.path.append(str(examples))
    sys.argv = ["export.py", str(folder / "packages"), str(folder)]
    try:
        import export
    finally:
        sys.argv = told
    return export


def model(folder: Path, layers: int):
    export = exporter(folder)
    made = export.AutoModelForCausalLM.from_pretrained(**export.GGUF, dtype=torch.float32, attn_implementation="sdpa").eval()
    made.config.num_hidden_layers = layers
    made.model.layers = made.model.layers[:layers]
    made.model.embed_tokens.padding_idx = None  # says nothing here, and ExecuTorch's kernels of tables are not found beside one
    return made


def program(folder: Path, module) -> torch.export.ExportedProgram:
    return exporter(folder).export(module, LENGTH)


def prompts(folder: Path) -> list[list[int]]:
    sys.path.append(str(folder / "packages"))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "model" / "tokenizer.json"))
    return [tokenizer.encode(text).ids for text in TEXTS]
