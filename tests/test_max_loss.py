"""`--max-loss`: the fewest layers left in float, or per channel, for a bound on what quantization may lose."""

import json

import numpy as np
import pytest
import torch
import torch.ao.quantization.fx._decomposed  # noqa: F401  the operators of Q/DQ programs
from torch import nn

from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
CHANNEL, TENSOR = "xnnpack_pt2e_int8_static_per_channel", "xnnpack_pt2e_int8_static_per_tensor"


def quantize(intaglio, out, *options, recipe=CHANNEL, check=True):
    return intaglio("quantize", DIGITS / "digits.pt2", "-o", out, "--recipe", recipe, "--calibrate", DIGITS / "calibration", *options, check=check)


def sqnr(document, candidate):
    return document("compare", DIGITS / "digits.pt2", candidate, "--data", DIGITS / "calibration")["outputs"][0]["sqnr_db"]


def test_the_bound_holds_with_as_few_layers_as_it_takes(intaglio, document, tmp_path):
    counts = {}
    for bound in (30, 36, 40, 45):
        quantize(intaglio, tmp_path / "q.pt2", "--max-loss", bound, "--save-plan", tmp_path / f"{bound}.json")
        assert sqnr(document, tmp_path / "q.pt2") >= bound
        counts[bound] = json.loads((tmp_path / f"{bound}.json").read_text()).get("in_float", [])
    assert counts[30] == [] and 1 <= len(counts[36]) < len(counts[40]) < len(counts[45]) < 10
    # None of them can be done without.
    quantize(intaglio, tmp_path / "q.pt2", "--save-plan", tmp_path / "all.json")
    plan = json.loads((tmp_path / "all.json").read_text())
    for name in counts[40]:
        (tmp_path / "fewer.json").write_text(json.dumps(plan | {"in_float": [other for other in counts[40] if other != name]}))
        intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "f.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "fewer.json")
        assert 36 < sqnr(document, tmp_path / "f.pt2") < 40


def test_the_plan_leaves_the_same_layers_in_float_again(intaglio, tmp_path):
    quantize(intaglio, tmp_path / "q.pt2", "--max-loss", 40, "--save-plan", tmp_path / "plan.json")
    again = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "again.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "plan.json"]
    assert "warning" not in intaglio(*again).stderr
    first, second = (torch.export.load(tmp_path / name).state_dict for name in ("q.pt2", "again.pt2"))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert sum(tensor.dtype == torch.float32 and tensor.dim() > 1 for tensor in first.values()) >= 2  # weights


def test_labels_make_it_points_of_accuracy(intaglio, document, tmp_path):
    judged = ["--max-loss", 0, "--labels", DIGITS / "test_labels.npy", "--evaluate", DIGITS / "test"]
    done = quantize(intaglio, tmp_path / "q.pt2", *judged, recipe=TENSOR)
    assert "points of top-1 accuracy lost" in done.stdout and "1 layer in float: classifier" in done.stdout
    found = document("compare", DIGITS / "digits.pt2", tmp_path / "q.pt2", "--data", DIGITS / "test", "--labels", DIGITS / "test_labels.npy")
    assert found["accuracy"]["candidate"] >= found["accuracy"]["reference"] > 0.95


def test_build_runs_what_was_chosen(intaglio, tmp_path):
    build = ["build", DIGITS / "digits.pt2", "-o", tmp_path / "m.pte", "--recipe", CHANNEL, "--calibrate", DIGITS / "calibration"]
    done = intaglio(*build, "--max-loss", 40)
    assert "5 layers in float" in done.stdout and "1 delegate with 100.0 %" in done.stdout


def test_outputs_without_error_are_said_to_be_equal(intaglio, tmp_path):
    torch.manual_seed(3)
    torch.export.save(torch.export.export(nn.Softmax(1), (torch.randn(2, 3),)), tmp_path / "m.pt2")  # stays in float
    np.save(tmp_path / "x.npy", torch.randn(2, 3).numpy())
    asked = ["--recipe", CHANNEL, "--calibrate", tmp_path / "x.npy", "--max-loss", 20]
    said = intaglio("quantize", tmp_path / "m.pt2", "-o", tmp_path / "q.pt2", *asked).stdout
    assert "outputs equal to the float program's (the bound is 20 dB of SQNR)" in said


@pytest.mark.parametrize(
    "options, status, words",
    [
        (["--max-loss", "200"], 1, "cannot be met"),
        (["--labels", DIGITS / "test_labels.npy"], 2, "--max-loss"),
        (["--max-loss", "1", "--labels", DIGITS / "test_labels.npy"], 1, "labels"),  # of other samples
    ],
)
def test_what_cannot_be_is_one_line(options, status, words, intaglio, tmp_path):
    done = quantize(intaglio, tmp_path / "q.pt2", *options, check=False)
    assert done.returncode == status and words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "q.pt2").exists()


def test_a_plan_of_another_model_is_one_line(intaglio, tmp_path):
    quantize(intaglio, tmp_path / "q.pt2", "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    plan["in_float"] = ["nobody"]
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    again = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "again.pt2", "--recipe", CHANNEL, "--plan", tmp_path / "plan.json"]
    done = intaglio(*again, check=False)
    assert done.returncode == 1 and "'nobody'" in done.stderr and done.stderr.count("\n") == 1


def weights(path):
    program = torch.export.load(path)
    return [node.target for node in program.graph.nodes if "dequantize_per_channel" in str(node.target)]


def test_one_scale_becomes_many_before_a_layer_is_left_in_float(intaglio, document, tmp_path):
    quantize(intaglio, tmp_path / "tensor.pt2", recipe=TENSOR)
    quantize(intaglio, tmp_path / "channel.pt2", recipe=CHANNEL)
    low, high = (sqnr(document, tmp_path / name) for name in ("tensor.pt2", "channel.pt2"))
    bound = low + (high - low) / 2
    done = quantize(intaglio, tmp_path / "q.pt2", "--max-loss", bound, "--save-plan", tmp_path / "plan.json", recipe=TENSOR)
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert sqnr(document, tmp_path / "q.pt2") >= bound and "in_float" not in plan and "per channel: " in done.stdout
    assert 1 <= len(plan["per_channel"]) == len(weights(tmp_path / "q.pt2")) < 7
    again = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "again.pt2", "--recipe", TENSOR, "--plan", tmp_path / "plan.json"]
    assert "warning" not in intaglio(*again).stderr
    first, second = (torch.export.load(tmp_path / name).state_dict for name in ("q.pt2", "again.pt2"))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    # What channels cannot give, floats do.
    quantize(intaglio, tmp_path / "both.pt2", "--max-loss", high + 4, "--save-plan", tmp_path / "both.json", recipe=TENSOR)
    both = json.loads((tmp_path / "both.json").read_text())
    assert sqnr(document, tmp_path / "both.pt2") >= high + 4 and both["in_float"] and not set(both["in_float"]) & set(both.get("per_channel", []))


def test_a_plan_may_ask_for_channels(intaglio, tmp_path):
    quantize(intaglio, tmp_path / "q.pt2", "--save-plan", tmp_path / "plan.json", recipe=TENSOR)
    plan = json.loads((tmp_path / "plan.json").read_text())
    for names, warned in ((["linear"], False), (["relu"], True)):
        (tmp_path / "edited.json").write_text(json.dumps(plan | {"per_channel": names}))
        edited = ["quantize", DIGITS / "digits.pt2", "-o", tmp_path / "e.pt2", "--recipe", TENSOR, "--plan", tmp_path / "edited.json"]
        assert ("'per_channel' names it" in intaglio(*edited).stderr) == warned
        assert len(weights(tmp_path / "e.pt2")) == (0 if warned else 1)


class Speaker(nn.Module):
    """Next tokens from the last ones, with logits that are sure enough for roundings to matter."""

    def __init__(self, vocabulary=40, width=32):
        super().__init__()
        self.table, self.mix = nn.Embedding(vocabulary, width), nn.Linear(width, width)
        self.first, self.second, self.head = nn.Linear(width, 64), nn.Linear(64, width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.table(tokens)
        x = x + torch.tanh(self.mix(x.cumsum(1) / (1 + torch.arange(x.shape[1])[:, None])))
        return self.head(x + self.second(torch.relu(self.first(x)))) * 3


class Remembering(Speaker):
    """The same with a position and a buffer that is written, as a cache is."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(1, 16, 32))

    def forward(self, tokens, input_pos):
        x = self.table(tokens)
        self.seen[:, input_pos] = x
        return self.head(x + self.second(torch.relu(self.first(x + torch.tanh(self.mix(self.seen.mean(1, keepdim=True))))))) * 3


@torch.no_grad()
def said_by(model, remembering, windows=8, window=16):
    """Tokens drawn from the model's own scores: no other program predicts them as well."""
    tokens = []
    for _ in range(windows):
        if remembering:
            model.seen.zero_()
        said = torch.randint(0, 40, (1, 1))
        while said.shape[1] < window:
            scores = model(said[:, -1:], torch.tensor([said.shape[1] - 1])) if remembering else model(said)
            said = torch.cat([said, torch.multinomial(scores[:, -1].softmax(1), 1)], 1)
        tokens += said[0].tolist()
    return tokens


def speaker(folder, remembering):
    torch.manual_seed(4)
    model = (Remembering if remembering else Speaker)().eval()
    torch.manual_seed(4)
    text = said_by(model, remembering)
    if remembering:
        model.seen.zero_()
        program = torch.export.export(model, (torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, dtype=torch.long)))
    else:
        length = torch.export.Dim("length", min=1, max=16)
        program = torch.export.export(model, (torch.zeros(1, 5, dtype=torch.long),), dynamic_shapes=({1: length},))
    torch.export.save(program, folder / "lm.pt2")
    (folder / "tokens.txt").write_text(" ".join(map(str, text)))


RECIPES = ["xnnpack_pt2e_int8_dynamic_per_channel", "xnnpack_torchao_int8da_int4w_per_channel"]


@pytest.mark.parametrize("remembering", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_text_makes_it_percent_of_perplexity(recipe, remembering, intaglio, document, tmp_path):
    speaker(tmp_path, remembering)
    text = ["--tokens", tmp_path / "tokens.txt", "--window", 16]

    def gained(path):
        found = document("compare", tmp_path / "lm.pt2", path, *text)
        return 100 * (found["candidate"]["perplexity"] / found["reference"]["perplexity"] - 1)

    whole = ["quantize", tmp_path / "lm.pt2", "--recipe", recipe]
    intaglio(*whole, "-o", tmp_path / "q.pt2")
    bound = gained(tmp_path / "q.pt2") / 2
    assert bound > 0.001
    done = intaglio(*whole, "-o", tmp_path / "b.pt2", "--max-loss", bound, *text, "--save-plan", tmp_path / "plan.json")
    assert "% of perplexity gained (the bound is" in done.stdout and gained(tmp_path / "b.pt2") <= bound
    assert 1 <= len(json.loads((tmp_path / "plan.json").read_text())["in_float"]) <= 4
    intaglio(*whole, "-o", tmp_path / "again.pt2", "--plan", tmp_path / "plan.json")
    assert gained(tmp_path / "again.pt2") == gained(tmp_path / "b.pt2")
    refused = intaglio(*whole, "-o", tmp_path / "no.pt2", "--max-loss", -90, *text, check=False)
    assert refused.returncode == 1 and "% of perplexity gained cannot be met" in refused.stderr and refused.stderr.count("\n") == 1


def test_one_judge_at_a_time(intaglio, tmp_path):
    text = ["--max-loss", 1, "--tokens", "1 2 3", "--evaluate", DIGITS / "test"]
    done = quantize(intaglio, tmp_path / "q.pt2", *text, check=False)
    assert done.returncode == 2 and "one of --tokens, --text, and samples" in done.stderr
    done = quantize(intaglio, tmp_path / "q.pt2", "--max-loss", 1, "--tokens", "1 2 3", check=False)
    assert done.returncode == 1 and "a language model takes tokens" in done.stderr and done.stderr.count("\n") == 1
