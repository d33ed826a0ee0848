"""Texts by ExecuTorch's own text runner: `generate.py MODEL.pte TOKENIZER.json PROMPT ...`."""

import sys

from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner
from executorch.kernels import quantized  # noqa: F401: the kernels of quantized embeddings

runner = TextLLMRunner(sys.argv[1], sys.argv[2])
for prompt in sys.argv[3:]:
    pieces = []
    config = GenerationConfig(temperature=0.0, max_new_tokens=16, echo=False)
    runner.generate(prompt, config, pieces.append)
    print(f"{prompt}{''.join(pieces)}".replace("\n", "\\n"))
    runner.reset()
