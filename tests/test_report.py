"""`--report`: one page that loads nothing, its values those of `--json`, whatever a model's names hold."""

import html.parser
import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from torch import nn

import large_programs
from oracle.browser import CHROMIUM, Browser
from oracle.build import ROOT

DIGITS = ROOT / "examples" / "digits"
STATIC = ("--recipe", "xnnpack_pt2e_int8_static_per_channel")
CALIBRATED = (*STATIC, "--calibrate", DIGITS / "calibration")
VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(html.parser.HTMLParser):
    """The page as sections of rows of (text, data-v); every element is closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.section, self.rows, self.cells, self.facts = [], None, {}, None, {}
        self.figures, self.scripts, self.attributes, self.term = {}, 0, [], ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.attributes += [(tag, *item) for item in attributes.items()]
        self.scripts += tag == "script"
        if tag not in VOID and tag not in ("path", "rect"):
            self.open.append(tag)
        if tag == "section":
            self.section = attributes["id"]
            self.rows[self.section], self.figures[self.section] = [], 0
        elif tag == "tr":
            self.rows[self.section].append([])
        elif tag in ("td", "th", "dt", "dd"):
            self.cells = ["", attributes.get("data-v")]
        elif tag == "figure":
            self.figures[self.section] += 1

    def handle_endtag(self, tag):
        if tag in ("path", "rect"):
            return
        assert self.open.pop() == tag, (tag, self.getpos())
        if tag in ("td", "th"):
            self.rows[self.section][-1].append(tuple(self.cells))
        elif tag == "dt":
            self.term = self.cells[0]
        elif tag == "dd":
            self.facts[self.term] = tuple(self.cells)
        if tag in ("td", "th", "dt", "dd"):
            self.cells = None

    def handle_data(self, data):
        if self.cells is not None:
            self.cells[0] += data

    def body(self, section):
        return [row for row in self.rows[section] if row and row[0][0] not in ("module", "operator", "value")]


def without_times(text):
    return re.sub("<time>.*?</time>", "", text)


@pytest.fixture(scope="module")
def built(document, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    found = document("build", DIGITS / "digits.pt2", "-o", folder / "digits.pte", *CALIBRATED, "--report", folder / "page.html")
    return found, (folder / "page.html").read_text(), folder


def test_a_page_of_a_build_says_what_its_document_says(built, document):
    found, text, folder = built
    page = Page(text)
    number = lambda name: float(page.facts[name][1])  # noqa: E731
    assert number("size of the output") == found["bytes"] == (folder / "digits.pte").stat().st_size
    assert number("size of the model") == (DIGITS / "digits.pt2").stat().st_size
    assert number("tensors quantized") == found["quantized_tensors"] > 10
    assert number("calibration samples") == found["calibration_samples"]
    delegated = sum(delegate["share"] for delegate in found["methods"][0]["delegates"])
    assert abs(number("of the work delegated") - delegated) < 1e-6 and delegated > 0.5
    assert number("of the work quantized") > 0.5 and number("SQNR of arr_0 against the reference") > 10
    rows = page.body("graph")
    assert any("block1" in row[1][0] for row in rows) and all(".py:" in row[2][0] for row in rows if "conv2d" in row[0][0])
    inside = sum(delegate["nodes"] for delegate in found["methods"][0]["delegates"])
    assert 10 < len(rows) <= inside + len(found["methods"][0]["leftover_ops"])
    assert any("quantized" in row[4][0] and "XnnpackBackend" in row[4][0] for row in rows)
    assert page.figures["activations"] > 5 and page.figures["weights"] > 5
    planned = document("inspect", folder / "digits.pte")["methods"][0]
    memory = [row for row in page.body("memory") if len(row) == 7]
    assert memory and sum(float(row[3][1]) for row in memory if row[1][0] == "input") > 0, planned.keys()


def test_the_page_loads_nothing(built):
    _, text, _ = built
    page = Page(text)
    assert page.scripts == 1 and "default-src 'none'" in text
    loading = [item for item in page.attributes if item[1] in ("src", "srcset", "action", "data") or (item[1] == "href" and not item[2].startswith("#"))]
    assert not loading and "http" not in text.replace("http-equiv", "") and "url(" not in text and "@import" not in text
    assert not [item for item in page.attributes if item[1].startswith("on")]


def test_histograms_show_the_range_that_the_plan_chose(built, intaglio, tmp_path):
    _, text, _ = built
    intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "int8.pt2", *CALIBRATED, "--save-plan", tmp_path / "plan.json")
    plan = json.loads((tmp_path / "plan.json").read_text())
    entry = next(e for e in plan["entries"] if e["observer"] == "histogram" and e["statistics"]["calls"])
    params = entry["qparams"]
    low, high = ((params[end] - params["zero_point"][0]) * params["scale"][0] for end in ("quant_min", "quant_max"))
    figure = next(f for f in re.findall("<figure.*?</figure>", text, re.S) if f"<b>{entry['tensor']}</b>" in f)
    assert f"chosen {low:.4g} to {high:.4g}" in figure
    assert f"seen {entry['statistics']['min'][0]:.4g} to {entry['statistics']['max'][0]:.4g}" in figure
    assert 1 < figure.count("z") + figure.count("M") <= 4 * 64


def test_threads_give_equal_bytes(intaglio, tmp_path):
    pages = []
    for threads in (1, 3):
        intaglio(
            "quantize", DIGITS / "digits.pt2", "-o", tmp_path / "int8.pt2", *CALIBRATED, "--report", tmp_path / "page.html", "--threads", threads
        )
        pages.append((tmp_path / "page.html").read_bytes())
    first, second = (without_times(page.decode()) for page in pages)
    assert first == second and len(first) > 20_000


def test_compare_says_what_its_documents_say(document, intaglio, tmp_path):
    int8, data = tmp_path / "int8.pt2", DIGITS / "calibration"
    intaglio("quantize", DIGITS / "digits.pt2", "-o", int8, *CALIBRATED)
    pair = ("compare", DIGITS / "digits.pt2", int8, "--data", data)
    plain = document(*pair, "--report", tmp_path / "page.html")
    layers, costs = document(*pair, "--layers")["values"], document(*pair, "--sensitivity")["layers"]
    page = Page((tmp_path / "page.html").read_text())
    assert float(page.facts["SQNR of arr_0 against the reference"][1]) == plain["outputs"][0]["sqnr_db"]
    assert float(page.facts["top-1 agreement"][1]) == plain["top1_agreement"]
    rows = page.body("errors")
    assert [row[1][0] for row in rows[: len(costs)]] == [row["value"] for row in costs]
    for row, cost in zip(rows, costs):
        assert row[3][0] == cost["source"] and float(row[4][1]) == cost["gained_db"] and float(row[5][1]) == cost["alone_db"]
    by_value = {row[1][0]: row for row in rows}
    assert len(layers) > 10
    for value in layers:
        row = by_value[value["value"]]
        assert (row[0][0], row[2][0], row[3][0]) == (value["layer"], value["op"], value["source"])
        assert float(row[6][1]) == (float("inf") if value["sqnr_db"] is None else value["sqnr_db"])
        assert float(row[7][1]) == value["cosine"] and float(row[8][1]) == value["max_abs_error"]
        assert [cell[1] and float(cell[1]) for cell in row[9:11]] == [value["clipped"], value["range_used"]]


HOSTILE = ["</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "${alert(1)}", "\u202egnp", "x" * 5000, "'&amp;<!--"]


def test_hostile_names_are_text(intaglio, tmp_path):
    class Hostile(nn.Module):
        def __init__(self):
            super().__init__()
            for i, name in enumerate(HOSTILE):
                self.add_module(name.replace(".", "_"), nn.Linear(6, 6))

        def forward(self, x):
            for layer in self.children():
                x = torch.relu(layer(x))
            return x

    torch.manual_seed(3)
    program = torch.export.export(Hostile().eval(), (torch.randn(4, 6),))
    torch.export.save(program, tmp_path / "m.pt2")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32))
    out = tmp_path / "<b>&out.pte"
    intaglio("build", tmp_path / "m.pt2", "-o", out, *STATIC, "--calibrate", tmp_path / "x.npy", "--report", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text()
    page = Page(text)
    assert page.scripts == 1 and not [a for a in page.attributes if a[0] == "img" or a[1].startswith("on")]
    modules = " ".join(row[1][0] for row in page.body("graph"))
    assert "</script><script>alert(1)</script>" in modules and '"><img src=x onerror=alert(1)>' in modules
    assert "\u202e" not in text and "x" * 400 not in text and page.facts["output"][0] == str(out)
    assert not [c for c in text if ord(c) < 32 and c != "\n"]


def large_page(intaglio, layers, folder):
    model = large_programs.write(large_programs.linears, layers, folder / "large.pt2")
    intaglio("quantize", model, "-o", folder / "o.pt2", *STATIC, "--calibrate", folder / "large.npy", "--report", folder / "page.html")
    return folder / "page.html"


def test_a_large_page_is_bounded(intaglio, tmp_path):
    layers = 1500
    text = large_page(intaglio, layers, tmp_path).read_text()
    page = Page(text)
    assert len(page.body("graph")) >= layers and len(page.body("errors")) <= 1000
    assert page.figures["activations"] <= 300 and page.figures["weights"] <= 100
    assert len(text) < 1_500_000 + 800 * layers
    assert "compare --sensitivity" in text  # too long to find out here


@pytest.mark.parametrize("command", ["build", "quantize"])
@pytest.mark.parametrize(
    "where, status, says",
    [
        ("model", 2, "is an input of this command"),
        ("out", 2, "two outputs"),
        ("page.txt", 2, "ends in .html"),
        ("missing/page.html", 1, "missing"),
    ],
)
def test_a_page_that_cannot_be_written_is_one_line(command, where, status, says, intaglio, tmp_path):
    model, out = tmp_path / "model.html", tmp_path / "out.html"
    shutil.copy(DIGITS / "digits.pt2", model)
    target = out.with_suffix(".pte" if command == "build" else ".pt2")
    target.symlink_to(tmp_path / "same.html")
    page = {"model": model, "out": tmp_path / "same.html"}.get(where, tmp_path / where)
    before = model.read_bytes()
    done = intaglio(command, model, "-o", target, *CALIBRATED, "--report", page, check=False)
    assert done.returncode == status and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert model.read_bytes() == before and not (tmp_path / "same.html").exists()


def test_compare_takes_two_programs_and_samples(built, intaglio, tmp_path):
    model, page, data = DIGITS / "digits.pt2", tmp_path / "p.html", DIGITS / "calibration"
    for arguments in ((model, built[2] / "digits.pte", "--data", data), (model, model, "--tokens", tmp_path / "t")):
        done = intaglio("compare", *arguments, "--report", page, check=False)
        assert done.returncode == 2 and "two programs" in done.stderr and not page.exists()
    assert intaglio("compare", model, model, "--data", data, "--report", page, "--layers", check=False).returncode == 2


def test_recipes_without_samples_say_so(intaglio, tmp_path):
    for recipe, says in (("xnnpack_fp32", "quantizes nothing"), ("xnnpack_pt2e_int8_dynamic_per_channel", "give --calibrate")):
        intaglio("build", DIGITS / "digits.pt2", "-o", tmp_path / "o.pte", "--recipe", recipe, "--report", tmp_path / "p.html")
        text = (tmp_path / "p.html").read_text()
        assert says in text and Page(text).body("graph")


def test_a_reference_representation_is_shown_by_its_layers(intaglio, tmp_path):
    for name, more in (("qdq", ()), ("reference", ("--representation", "reference"))):
        intaglio("quantize", DIGITS / "digits.pt2", "-o", tmp_path / "o.pt2", *CALIBRATED, *more, "--report", tmp_path / f"{name}.html")
    qdq, reference = (Page((tmp_path / f"{name}.html").read_text()) for name in ("qdq", "reference"))
    assert qdq.rows == reference.rows and float(qdq.facts["of the work quantized"][1]) > 0.9


nightly_browser = pytest.mark.skipif(
    not os.environ.get("INTAGLIO_NIGHTLY") or CHROMIUM is None, reason="nightly: a browser opens the page (Debian's package chromium)"
)
VISIBLE = "[...document.querySelectorAll('tr.op')].filter(row => row.checkVisibility()).map(row => row.textContent)"
PAUSE = "new Promise(done => setTimeout(done, 400))"  # longer than the search waits for more letters


@nightly_browser
@pytest.mark.parametrize("name, width, height", [("phone", 390, 844), ("desktop", 1280, 900)])
def test_a_browser_shows_it(name, width, height, built, tmp_path):
    with Browser(built[2] / "page.html", width, height, tmp_path / "profile") as browser:
        assert browser.evaluate("innerWidth") == width
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        browser.picture(tmp_path / f"{name}.png")
        every = browser.evaluate("document.querySelectorAll('tr.op').length")
        browser.press("/")
        for letter in "block1 conv2d":
            browser.press(letter)
        browser.evaluate(PAUSE)
        found = browser.evaluate(VISIBLE)
        assert 0 < len(found) < every and all("block1" in row and "conv2d" in row for row in found)
        assert browser.evaluate("document.getElementById('found').textContent").endswith(" found")
        browser.press("Escape")
        assert browser.evaluate("document.querySelectorAll('tr.item[hidden]').length") == 0
        browser.evaluate("document.querySelector('#errors th:nth-child(8) button').click()")
        cosines = browser.evaluate("[...document.querySelectorAll('#errors td:nth-child(8)')].map(cell => cell.dataset.v).filter(Boolean).map(Number)")
        assert len(cosines) > 5 and cosines == sorted(cosines, reverse=True)
        browser.evaluate("document.getElementById('errors').scrollIntoView()")
        if name == "desktop":
            browser.picture(tmp_path / f"{name}-errors.png")
        assert browser.console == []
    if os.environ.get("INTAGLIO_PICTURES"):  # those of docs/report.md
        for picture in tmp_path.glob(f"{name}*.png"):
            shutil.copy(picture, ROOT / "docs" / f"report-{picture.name}")


@nightly_browser
def test_a_browser_opens_ten_thousand_operators_within_two_seconds(intaglio, tmp_path):
    with Browser(large_page(intaglio, 10_000, tmp_path), 1280, 900, tmp_path / "profile") as browser:
        assert browser.evaluate("document.querySelectorAll('tr.op').length") >= 10_000
        assert browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000
        before = browser.evaluate("performance.now()")
        browser.evaluate("(field => { field.value = 'linear_4321'; field.dispatchEvent(new Event('input')); })(document.getElementById('search'))")
        browser.evaluate(PAUSE)
        assert len(browser.evaluate(VISIBLE)) == 1 and browser.evaluate("performance.now()") - before < 2000
        assert browser.console == []
