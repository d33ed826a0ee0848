"""Changes of a program's `models/model.json`, and of other JSON, each of one kind, drawn from a random generator.

A change keeps the form of the archive (what is no JSON, or no archive, the C++ tests and fuzzers try) and breaks what the form says: another
type, a number far away, something missing, twice or in another's place. Some changes are made everywhere alike, so that the program
stays one that could have been exported.
"""

import copy
import random
from typing import Any, Callable, Iterator

LARGE = [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1]
INTEGERS = [0, 1, -1, 2, 3, -2, 7, 64, 65, 1000, -(2**31), -(2**63), *LARGE]
REALS = [0.0, -1.0, 0.5, 2.0, 1e-300, 1e300, -1e300, "Infinity", "-Infinity", "NaN", 3]
TYPES = [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13, 28, 30]

# Metadata says where a node is from, and carried fields nothing at all to us: changes there try nothing.
SKIPPED = {"metadata", "schema_version", "guards_code", "module_call_graph", "treespec_namedtuple_fields", "torch_version", "opset_version"}


class Site:
    """A place in the document: `holder[key]`."""

    def __init__(self, holder: Any, key: Any, path: tuple):
        self.holder, self.key, self.path = holder, key, path

    @property
    def value(self) -> Any:
        return self.holder[self.key]

    @value.setter
    def value(self, new: Any) -> None:
        self.holder[self.key] = new

    def __str__(self) -> str:
        return ".".join(map(str, self.path))


def sites(value: Any, path: tuple = ()) -> Iterator[Site]:
    """Every place below `value`, outer ones first."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if key in SKIPPED:
            continue
        yield Site(value, key, (*path, key))
        yield from sites(inner, (*path, key))


class Document:
    """What JSON holds, changed in place, and where in it things are."""

    def __init__(self, document: Any, random: random.Random):
        self.document, self.random = document, random
        self.sites = list(sites(document))

    def pick(self, candidates) -> Any:
        candidates = list(candidates)
        if not candidates:
            raise NothingToChange
        return self.random.choice(candidates)


class Program(Document):

    def nodes(self) -> list[dict]:
        """Those of bodies too."""
        return [node for site in self.sites if site.key == "nodes" for node in site.value if isinstance(node, dict)]

    def arguments(self) -> list[Site]:
        """The unions that say an argument's type: {"as_int": 3}."""
        return [site for site in self.sites if site.key == "arg"]

    def names(self) -> list[str]:
        return sorted({name for site in self.sites if site.key == "tensor_values" for name in site.value})

    def symbols(self) -> list[str]:
        return sorted({name for site in self.sites if site.key == "sym_int_values" for name in site.value})


class NothingToChange(Exception):
    pass


def an_integer(program: Document, near: int = 0) -> int:
    return program.pick([*INTEGERS, near + 1, near - 1, -near, 2 * near])


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# ---- the changes: each takes a program, changes it and says what it did


def number(program: Document) -> str:
    site = program.pick(s for s in program.sites if is_integer(s.value) and s.key not in ("kind", "dtype", "layout"))
    site.value = an_integer(program, site.value)
    return f"{site} = {site.value}"


def real(program: Document) -> str:
    site = program.pick(s for s in program.sites if s.key == "as_float" or isinstance(s.value, float))
    site.value = program.pick(REALS)
    return f"{site} = {site.value}"


def argument_type(program: Program) -> str:
    site = program.pick(program.arguments())
    name, symbol = program.pick(program.names()), program.pick(program.symbols() or ["none"])
    integer = an_integer(program)
    site.value = program.pick(
        [
            {"as_none": True},
            {"as_int": integer},
            {"as_float": program.pick(REALS)},
            {"as_bool": program.pick([True, False])},
            {"as_string": program.pick(["", "x", "none", "floor"])},
            {"as_ints": [an_integer(program) for _ in range(program.random.randrange(4))]},
            {"as_floats": [1.0]},
            {"as_bools": [True, False]},
            {"as_tensor": {"name": name}},
            {"as_tensors": [{"name": name} for _ in range(program.random.randrange(3))]},
            {"as_optional_tensors": [{"as_none": True}, {"as_tensor": {"name": name}}]},
            {"as_sym_int": {"as_name": symbol}},
            {"as_sym_int": {"as_int": integer}},
            {"as_sym_ints": [{"as_name": symbol}, {"as_int": integer}]},
            {"as_sym_float": {"as_float": 0.5}},
            {"as_scalar_type": program.pick(TYPES)},
            {"as_memory_format": 1},
            {"as_layout": 7},
            {"as_complex": {"real": 1.0, "imag": 2.0}},
        ]
    )
    return f"{site} = {site.value}"


def deletion(program: Document) -> str:
    site = program.pick(s for s in program.sites if isinstance(s.holder, (list, dict)))
    del site.holder[site.key]
    return f"without {site}"


def json_type(document: Document) -> str:
    site = document.pick(document.sites)
    site.value = document.pick([None, True, False, "", "x", "\x1b]0;t\x07", "\ud800", 0, -1, 1.5, 2**63, 1e300, [], {}, [[]], {"x": {}}, [None], "9" * 5000])
    return f"{site} = {repr(site.value)[:60]}"


def other_value(document: Document) -> str:
    """What stands elsewhere in the document."""
    site, other = document.pick(document.sites), document.pick(document.sites)
    site.value = copy.deepcopy(other.value)
    return f"{site} becomes {other}"


def key_renamed(document: Document) -> str:
    site = document.pick(s for s in document.sites if isinstance(s.key, str))
    new = document.pick(["", "x", site.key + " ", site.key.upper(), *(s.key for s in document.sites if isinstance(s.key, str))])
    site.holder[new] = site.holder.pop(site.key)
    return f"{site} is called {new!r}"


def deeply_nested(document: Document) -> str:
    site = document.pick(document.sites)
    for _ in range(depth := document.pick([10, 100, 900])):
        site.value = document.pick([[site.value], {"x": site.value}])
    return f"{site} in {depth} others"


def argument_left_out(program: Program) -> str:
    node = program.pick(node for node in program.nodes() if node.get("inputs"))
    index = program.random.randrange(len(node["inputs"]))
    gone = node["inputs"].pop(index)
    return f"{node['target']} without argument {gone['name'] or index}"


def node_left_out(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.key == "nodes" and s.value)
    index = program.random.randrange(len(site.value))
    return f"without node {site.value.pop(index)['target']}"


def element_repeated(program: Document) -> str:
    site = program.pick(s for s in program.sites if isinstance(s.value, list) and s.value)
    index = program.random.randrange(len(site.value))
    for _ in range(program.pick([1, 1, 1, 2, 8, 70])):
        site.value.insert(index, copy.deepcopy(site.value[index]))
    return f"{site}.{index} repeated"


def list_emptied(program: Document) -> str:
    site = program.pick(s for s in program.sites if isinstance(s.value, list) and s.value)
    site.value = []
    return f"{site} = []"


def elements_exchanged(program: Document) -> str:
    site = program.pick(s for s in program.sites if isinstance(s.value, list) and len(s.value) > 1)
    a, b = program.random.sample(range(len(site.value)), 2)
    site.value[a], site.value[b] = site.value[b], site.value[a]
    return f"{site}: {a} and {b} exchanged"


def arguments_exchanged(program: Program) -> str:
    node = program.pick(node for node in program.nodes() if len(node.get("inputs", [])) > 1)
    a, b = program.random.sample(node["inputs"], 2)
    a["arg"], b["arg"] = b["arg"], a["arg"]
    return f"{node['target']}: arguments {a['name']} and {b['name']} exchanged"


def another_value(program: Program) -> str:
    """A tensor or a symbol where another one was."""
    if program.symbols() and program.random.random() < 0.4:
        site, names = program.pick(s for s in program.sites if s.key == "as_name"), program.symbols()
    else:
        site, names = program.pick(s for s in program.sites if s.key == "name" and "inputs" in s.path), program.names()
    site.value = program.pick(names)
    return f"{site} = {site.value}"


def another_operator(program: Program) -> str:
    """One of the program's own operators, or a neighbour of the same arguments."""
    node = program.pick(program.nodes())
    targets = sorted({other["target"] for other in program.nodes()} | set(OPERATORS))
    before = node["target"]
    node["target"] = program.pick(targets)
    return f"{before} becomes {node['target']}"


OPERATORS = [
    *(f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "mod", "neg", "pow", "truediv", "lt", "ge", "eq", "and_", "lshift")),
    *("math.floor", "math.ceil", "math.trunc", "math.sqrt", "torch.sym_max", "torch.sym_min", "torch.sym_float", "torch.sym_not", "torch.sym_int"),
    *(f"torch.ops.aten.{name}" for name in ("relu.default", "neg.default", "sum.default", "mul.Tensor", "div.Tensor", "sym_size.int", "sym_stride.int",
                                            "sym_numel.default", "item.default", "view.default", "permute.default", "layer_norm.default", "t.default",
                                            "squeeze.dim", "unsqueeze.default", "flatten.using_ints", "mean.dim", "softmax.int", "remainder.Tensor")),
]


def element_type(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.key in ("dtype", "as_scalar_type", "layout", "as_memory_format"))
    site.value = program.pick(TYPES)
    return f"{site} = {site.value}"


def element_type_everywhere(program: Program) -> str:
    """One type for another, as if the model had been exported in it."""
    found = [s for s in program.sites if s.key == "dtype"]
    before = program.pick(found).value
    after = program.pick(TYPES)
    for site in found:
        if site.value == before:
            site.value = after
    return f"dtype {before} becomes {after}"


def size_everywhere(program: Program) -> str:
    """One static size for another in all tensors and arguments."""
    found = [s for s in program.sites if s.key == "as_int" and "sizes" in s.path and s.value > 0]
    before = program.pick(found).value
    after = program.pick([0, 1, before + 1, 2 * before, 17, *LARGE])
    for site in program.sites:
        if is_integer(site.value) and site.value == before and ("sizes" in site.path or "as_ints" in site.path):
            site.value = after
    return f"size {before} becomes {after}"


def size_as_symbol(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.path[-2:-1] in (("sizes",), ("strides",)) or s.key == "storage_offset")
    known = [s.value["as_expr"] for s in program.sites if isinstance(s.value, dict) and "as_expr" in s.value]
    new = {"expr_str": "Symbol('s0', positive=True, integer=True)", "hint": {"as_int": an_integer(program)}}
    site.value = {"as_expr": copy.deepcopy(program.pick([*known, new]))}
    return f"{site} = {site.value}"


def size_as_equal_symbol(program: Program) -> str:
    """What the sample has there, said to be any: the whole tensor, or a size of it."""
    site = program.pick(s for s in program.sites if s.path[-2:-1] in (("sizes",), ("strides",)) and "as_int" in s.value)
    value = site.value["as_int"]
    known = [s.value["as_expr"] for s in program.sites if isinstance(s.value, dict) and s.value.get("as_expr", {}).get("hint") == {"as_int": value}]
    new = {"expr_str": "Symbol('s990', positive=True, integer=True)", "hint": {"as_int": value}}
    site.value = {"as_expr": copy.deepcopy(program.pick([*known, new, new]))}
    return f"{site} = {site.value}"


def symbol_as_equal_size(program: Program) -> str:
    site = program.pick(s for s in program.sites if isinstance(s.value, dict) and "as_int" in (s.value.get("as_expr", {}).get("hint") or {}))
    site.value = {"as_int": site.value["as_expr"]["hint"]["as_int"]}
    return f"{site} = {site.value}"


def expression(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.key == "expr_str")
    whole = site.value
    forms = [
        *(f"{function}({whole}, Integer({n}))" for function in ("FloorDiv", "Mod", "PythonMod", "Pow", "IntTrueDiv", "Mul", "Add", "Max", "CeilDiv")
          for n in (0, -1, 2, 2**32, 2**63 - 1)),
        f"FloorDiv({whole})", f"FloorDiv(Integer(1), Add({whole}, Mul(Integer(-1), {whole})))", f"Mul({whole}, {whole})", f"Where({whole}, 1)",
        f"ToFloat({whole})", f"Symbol('s99', integer=True)", "Integer(0)", "Integer(-5)", "", f"LShift({whole}, Integer(63))",
        "Add(" + ", ".join(f"Mul(Integer({n}), {whole})" for n in range(1, 200)) + ")",
        "Mul(" + ", ".join([f"Add({whole}, Integer(1))"] * 40) + ")",
    ]
    site.value = program.pick(forms)
    return f"{site} = {site.value[:100]}"


def hint(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.key == "hint")
    site.value = program.pick([{"as_int": an_integer(program)}, None, {"as_float": 1.5}, {"as_bool": True}])
    return f"{site} = {site.value}"


def bounds(program: Program) -> str:
    site = program.pick(s for s in program.sites if s.path[:1] == ("range_constraints",) and len(s.path) == 2)
    ends = [None, -1, 0, 1, 2, 3, 1000, *LARGE]
    site.value = {"min_val": program.pick(ends), "max_val": program.pick(ends)}
    return f"{site} = {site.value}"


ANY_DOCUMENT: list[tuple[int, Callable[[Document], str]]] = [
    (4, number),
    (3, real),
    (4, deletion),
    (2, element_repeated),
    (2, list_emptied),
    (2, elements_exchanged),
    (4, json_type),
    (3, other_value),
    (3, key_renamed),
    (1, deeply_nested),
]

CHANGES: list[tuple[int, Callable[[Program], str]]] = [
    (6, number),
    (2, real),
    (6, argument_type),
    (3, deletion),
    (3, argument_left_out),
    (1, node_left_out),
    (3, element_repeated),
    (2, list_emptied),
    (2, elements_exchanged),
    (3, arguments_exchanged),
    (4, another_value),
    (4, another_operator),
    (2, element_type),
    (1, element_type_everywhere),
    (3, size_everywhere),
    (3, size_as_symbol),
    (3, size_as_equal_symbol),
    (2, symbol_as_equal_size),
    (3, expression),
    (1, hint),
    (3, bounds),
]


def changed(document: Any, random: random.Random, kind=Program, changes=CHANGES) -> tuple[Any, str]:
    """A copy with one change, now and then with two or three, and what they are."""
    weights = [weight for weight, _ in changes]
    made: list[str] = []
    result = copy.deepcopy(document)
    wanted = random.choice([1, 1, 1, 1, 2, 3])
    for _ in range(1000):
        if len(made) == wanted:
            break
        (_, change), = random.choices(changes, weights)
        try:
            made.append(f"{change.__name__}: {change(kind(result, random))}")
        except NothingToChange:
            continue
        except (KeyError, TypeError, AttributeError, IndexError):
            break  # an earlier change took away what this one would change
    return result, "; ".join(made)
