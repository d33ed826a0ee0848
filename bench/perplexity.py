"""Perplexity of SmolLM2-135M in 4 bits over a long text: PyTorch's, of the quantized program, beside the `.pte` file's on the stock runtime.

    .venv/bin/python bench/perplexity.py FOLDER [--build build] [--tokens 80000]

FOLDER is what `examples/smollm2/demo.sh` fills; the text is Python's own language reference (pydoc_data), 113,000 tokens, and behind it what the
modules of its library say of themselves, 184,000. PyTorch and the runtime sum in another
order, which turns some steps of the inputs that both quantize, and with them the losses of single tokens, either way. What that leaves of the
mean gets smaller with the number of tokens: a line says how far the means are apart, and to what that number of tokens tells. The line below it
is the control: PyTorch beside itself, where each linear's sums go over its inputs from the last to the first.
"""

import argparse
import ast
import operator
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
RECIPE = ["--recipe", "xnnpack_torchao_int8da_int4w_per_group", "--set", "scale_dtype=bfloat16"]
WINDOW = 128


def texts() -> list[str]:
    from pydoc_data.topics import topics

    return ["\n".join(topics[name] for name in sorted(topics)), "\n\n".join(docstrings())]


def docstrings():
    """Long ones of the library's modules, classes and functions, as they stand in the sources: nothing is imported."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node) or ""
                if len(text) > 200:
                    yield text


def with_weights_dequantized(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """What PyTorch dequantizes in each call, dequantized once: the same numbers, sooner."""
    for node in list(module.graph.nodes):
        of_constants = all(argument.op == "get_attr" for argument in node.all_input_nodes)
        if node.op == "call_function" and "dequantize" in str(node.target) and of_constants:
            constants = [operator.attrgetter(argument.target)(module) for argument in node.all_input_nodes]
            values = dict(zip(node.all_input_nodes, constants))
            arguments, options = torch.fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
            module.register_buffer(f"once_{node.name}", node.target(*arguments, **options))
            with module.graph.inserting_before(node):
                node.replace_all_uses_with(module.graph.get_attr(f"once_{node.name}"))
            module.graph.erase_node(node)
    module.recompile()
    return module


def summed_backwards(module: torch.fx.GraphModule) -> torch.fx.GraphModule:
    """The same numbers in exact arithmetic: what differs is how each linear's sums are rounded."""
    for node in module.graph.find_nodes(op="call_function", target=torch.ops.aten.linear.default):
        inputs, weight = node.args[:2]
        module.register_buffer(f"backwards_{node.name}", operator.attrgetter(weight.target)(module).flip(-1))
        with module.graph.inserting_before(node):
            turned = module.graph.call_function(torch.ops.aten.flip.default, (inputs, [-1]))
            node.args = (turned, module.graph.get_attr(f"backwards_{node.name}"), *node.args[2:])
    module.recompile()
    return module


def windows_of(tokenizer, tokens: int) -> list[torch.Tensor]:
    """Of each text those that it fills."""
    encoded = [tokenizer.encode(text).ids for text in texts()]
    return [torch.tensor(ids[start : start + WINDOW]) for ids in encoded for start in range(0, len(ids) - WINDOW + 1, WINDOW)][: tokens // WINDOW]


def losses(step, parts: list[torch.Tensor]):
    with torch.no_grad():
        for part in parts:
            logits = step(part[None], torch.arange(WINDOW))[0, :-1].double()
            yield torch.nn.functional.cross_entropy(logits, part[1:], reduction="none")


def compared(build: Path, folder: Path, tokens: int, scratch: Path) -> str:
    import torchao  # noqa: F401: its operators are in the program
    from oracle import executorch

    sys.path.append(str(folder / "packages"))
    from tokenizers import Tokenizer

    parts = windows_of(Tokenizer.from_file(str(folder / "model" / "tokenizer.json")), tokens)
    for command, out in (("quantize", scratch / "quantized.pt2"), ("build", scratch / "quantized.pte")):
        check = ["--no-check"] if command == "build" else []
        subprocess.run([build / "intaglio", command, folder / "smollm2.pt2", "-o", out, *RECIPE, *check, "--quiet"], check=True)
    def in_pytorch(change):
        module = change(with_weights_dequantized(torch.export.load(scratch / "quantized.pt2").module()))
        return losses(lambda tokens, positions: module(input_ids=tokens, cache_position=positions), parts)

    method = executorch.method_of(scratch / "quantized.pte")
    deployed = losses(lambda tokens, positions: executorch.execute(method, (tokens, positions))[0], parts)
    windows = []
    for window in zip(in_pytorch(lambda module: module), deployed, in_pytorch(summed_backwards)):
        windows.append(window)
        if len(windows) % 50 == 0:
            print(summary(windows), flush=True)
    return summary(windows)


def summary(windows: list[tuple[torch.Tensor, ...]]) -> str:
    pytorch, deployed, backwards = map(list, zip(*windows))
    return f"{apart(pytorch, deployed, 'of the file')}\n{apart(pytorch, backwards, 'in PyTorch summed backwards')}"


def apart(theirs: list[torch.Tensor], ours: list[torch.Tensor], name: str) -> str:
    """The error is that of the windows' means: what turns in a window goes with it to its end."""
    of_windows = torch.stack([(b - a).mean() for a, b in zip(theirs, ours)])
    error = of_windows.std().item() / len(of_windows) ** 0.5
    theirs, ours = torch.cat(theirs), torch.cat(ours)
    means = f"perplexity {theirs.mean().exp():.3f} in PyTorch, {ours.mean().exp():.3f} {name}"
    return f"{len(ours)} tokens: {means}; apart {100 * (ours - theirs).mean():+.3f} % +- {100 * error:.3f} %"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--tokens", type=int, default=80000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(compared(arguments.build, arguments.folder, arguments.tokens, Path(scratch)))
