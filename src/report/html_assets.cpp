#include "report/html_assets.h"

namespace intaglio::report {

// Colours come in pairs, on light and on dark; nothing is said by colour alone.
const std::string_view page_style = R"css(
:root { color-scheme: light dark; --back: #fff; --card: #f5f6f8; --text: #1b1f24; --dim: #5a6270; --line: #d5d9e0; --accent: #0b5cad;
  --quantized: #1a7f4b; --delegated: #2f6fd0; --float: #b35900; --range: #1a7f4b33; }
@media (prefers-color-scheme: dark) { :root { --back: #14171b; --card: #1e2228; --text: #e6e9ee; --dim: #a0a8b4; --line: #363c46;
  --accent: #7db7ff; --quantized: #4cc38a; --delegated: #79aaff; --float: #f0a04b; --range: #4cc38a33; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 0 1rem 3rem; max-width: 76rem; background: var(--back); color: var(--text);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; margin: 1rem 0 .3rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; } h3 { font-size: 1rem; margin: 1rem 0 .3rem; }
p { margin: .3rem 0 .6rem; } .dim, figcaption small { color: var(--dim); }
a { color: var(--accent); } :focus-visible { outline: 3px solid var(--accent); outline-offset: 1px; }
.skip { position: absolute; left: -100vw; } .skip:focus { left: 1rem; }
.tools { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; padding: .5rem 0;
  background: var(--back); border-bottom: 1px solid var(--line); }
.tools input { flex: 1 1 8rem; min-width: 0; font: inherit; padding: .35rem .5rem; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 4px; }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 4px; padding: .3rem .6rem; cursor: pointer; }
th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 3px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " \25B2"; } th[aria-sort=descending] button::after { content: " \25BC"; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .5rem; margin: .5rem 0; }
.facts div { background: var(--card); border-radius: 6px; padding: .5rem .7rem; } .facts dt { color: var(--dim); font-size: .85rem; }
.facts dd { margin: 0; font-weight: 600; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem; border-bottom: 1px solid var(--line); min-width: 4rem; unicode-bidi: isolate; }
td[data-v], th.n { text-align: right; white-space: nowrap; } td:first-child { min-width: 8rem; }
td { overflow-wrap: break-word; max-width: 24rem; }
section { scroll-margin-top: 4rem; content-visibility: auto; contain-intrinsic-size: auto 40rem; }
details { border-left: 2px solid var(--line); margin: .15rem 0 .15rem .2rem; padding-left: .6rem; }
summary { cursor: pointer; padding: .15rem 0; } summary b { unicode-bidi: isolate; }
details > .scroll { content-visibility: auto; contain-intrinsic-size: auto 10rem; }
.bar { display: inline-block; width: 6rem; height: .7rem; vertical-align: middle; border: 1px solid var(--line); border-radius: 2px;
  background: linear-gradient(var(--c) 0 0) 0 0 / var(--p) 100% no-repeat; }
.q { --c: var(--quantized); } .d { --c: var(--delegated); } .f { --c: var(--float); }
.chip { color: var(--c); border: 1px solid; border-radius: 3px; padding: 0 .3rem; font-size: .8rem; white-space: nowrap; }
tr.op { box-shadow: inset 3px 0 0 var(--c); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: .7rem; }
figure { margin: 0; background: var(--card); border-radius: 6px; padding: .5rem; content-visibility: auto; contain-intrinsic-size: auto 11rem; }
figcaption { font-size: .85rem; unicode-bidi: isolate; } svg { display: block; width: 100%; height: 6rem; } svg.memory { height: 18rem; background: var(--card); }
.counts { fill: var(--delegated); } .chosen { fill: var(--range); stroke: var(--quantized); vector-effect: non-scaling-stroke; }
.memory rect { stroke: var(--back); vector-effect: non-scaling-stroke; fill: var(--delegated); }
.memory .state { fill: var(--float); } .memory .input, .memory .output { fill: var(--quantized); }
[hidden] { display: none !important; }
@media print { :root { color-scheme: light; --back: #fff; --card: #fff; --text: #000; --dim: #444; --line: #999; --accent: #000; --quantized: #1a7f4b;
    --delegated: #2f6fd0; --float: #b35900; --range: #1a7f4b33; }
  body { max-width: none; font-size: 10pt; padding: 0; } .tools, .skip { display: none; } .scroll { overflow: visible; }
  section, figure, details > .scroll { content-visibility: visible; } figure, tr { break-inside: avoid; }
  table { font-size: 7pt; } th, td { min-width: 0 !important; padding: .1rem .2rem; overflow-wrap: anywhere; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
)css";

// A chart or graph library would be a hundred times this and is not needed: charts are drawn when the page is written, the tree is
// the browser's own <details>. The script reads what stands in the page and knows no names of models.
const std::string_view page_script = R"js(
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const field = document.getElementById("search"), found = document.getElementById("found");
  const modules = all("details.module"), items = all("tr.item, figure.item");
  const most_opened = 300;  // of modules with something found: the others stay closed
  let texts = null, before = null, timer = 0;

  const search = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !before) before = modules.map(module => module.open);
    texts ??= items.map(item => item.textContent.toLowerCase());
    const holding = new Set();
    let count = 0;
    items.forEach((item, i) => {
      const fits = words.every(word => texts[i].includes(word));
      item.hidden = !fits;
      if (!fits || !words.length) return;
      ++count;
      for (let up = item.closest("details.module"); up && !holding.has(up); up = up.parentElement.closest("details.module")) holding.add(up);
    });
    let opened = 0;
    modules.forEach((module, i) => {
      module.hidden = words.length > 0 && !holding.has(module);
      if (words.length) module.open = !module.hidden && ++opened <= most_opened;
      else if (before) module.open = before[i];
    });
    if (!words.length) before = null;
    found.textContent = words.length ? `${count} found` : "";
  };
  field.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
  document.addEventListener("keydown", event => {
    if (event.key === "/" && document.activeElement !== field) { event.preventDefault(); field.focus(); }
    if (event.key === "Escape" && field.value) { field.value = ""; search(); }
  });

  const open_all = state => modules.forEach(module => { module.open = state; });
  document.getElementById("open").addEventListener("click", () => open_all(true));
  document.getElementById("close").addEventListener("click", () => open_all(false));

  all("th button").forEach(button => button.addEventListener("click", () => {
    const head = button.parentElement, body = head.closest("table").tBodies[0];
    const up = head.getAttribute("aria-sort") === "descending";
    all("th", head.parentElement).forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const key = row => {
      const cell = row.cells[head.cellIndex];
      return "v" in cell.dataset ? Number(cell.dataset.v) : cell.textContent;
    };
    const keyed = [...body.rows].map(row => [key(row), row]);
    const known = keyed.filter(([value]) => value !== ""), unknown = keyed.filter(([value]) => value === "");
    known.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (up ? 1 : -1));
    body.append(...known.concat(unknown).map(([, row]) => row));
  }));

  // Paper cannot be opened.
  let closed = [];
  addEventListener("beforeprint", () => { closed = modules.filter(module => !module.open); closed.forEach(module => { module.open = true; }); });
  addEventListener("afterprint", () => closed.forEach(module => { module.open = false; }));
})();
)js";

}  // namespace intaglio::report
