"""Programs of any number of nodes, written as archives by hand: the exporter itself would take minutes for each.

`python tests/large_programs.py SHAPE COUNT OUT.pt2` writes one, and a sample beside it (OUT.npy or OUT.npz).
"""

import sys
from pathlib import Path

import numpy as np
from program_writer import BOOL, INT64, WIDTH, Writer, size


def chain(w: Writer, count: int):
    x = y = w.input(1, WIDTH)
    for i in range(count):
        y = w.call("add.Tensor", y, x) if i % 2 else w.call("relu.default", y)
    return [y]


def fan_out(w: Writer, count: int):
    """One value with as many users."""
    shared = y = w.call("relu.default", w.input(1, WIDTH))
    for _ in range(count):
        y = w.call("add.Tensor", y, shared)
    return [y]


def fan_in(w: Writer, count: int):
    """Readers of one value that meet in pairs."""
    shared = w.call("relu.default", w.input(1, WIDTH))
    level = [w.call("hardtanh.default", shared) for _ in range(count // 2)]
    while len(level) > 1:
        level = [*(w.call("add.Tensor", a, b) for a, b in zip(level[::2], level[1::2])), *level[len(level) & ~1 :]]
    return level


def many_inputs(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for _ in range(count):
        y = w.call("add.Tensor", y, w.input(1, WIDTH))
    return [y]


def many_outputs(w: Writer, count: int):
    x = w.input(1, WIDTH)
    return [w.call("relu.default", x) for _ in range(count)]


def many_parameters(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for i in range(count):
        y = w.call("add.Tensor", y, w.parameter(f"layer{i}.shift", 1, WIDTH))
    return [y]


def linear(w: Writer, x: str, layer: str) -> str:
    parameters = w.parameter(f"{layer}.weight", WIDTH, WIDTH), w.parameter(f"{layer}.bias", WIDTH)
    return w.call("linear.default", x, *parameters, layer=layer)


def linears(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for i in range(count):
        y = linear(w, y, f"layers.{i}")
    return [y]


def heads(w: Writer, count: int):
    """Linear layers that all read one value."""
    x = w.call("relu.default", w.input(1, WIDTH))
    y = x
    for i in range(count):
        y = w.call("add.Tensor", y, linear(w, x, f"heads.{i}"))
    return [y]


def residual(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for i in range(count):
        y = w.call("add.Tensor", w.call("tanh.default", linear(w, y, f"blocks.{i}.fc")), y)
    return [y]


def delegates(w: Writer, count: int):
    """What a backend takes and what it leaves, by turns."""
    y = w.input(1, WIDTH)
    for _ in range(count):
        y = w.call("relu.default", y)
        y = w.node("cumsum.default", {"self": {"as_tensor": {"name": y}}, "dim": {"as_int": 1}}, (1, WIDTH))
    return [y]


def portable(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for _ in range(count):
        y = w.node("cumsum.default", {"self": {"as_tensor": {"name": y}}, "dim": {"as_int": 1}}, (1, WIDTH))
    return [y]


def listed(tensors):
    return {"as_tensors": [{"name": name} for name in tensors]}


def numbers_beside_inputs(w: Writer, count: int):
    """Numbers that become constants of their own, and as many inputs behind them."""
    y = w.input(1, WIDTH)
    for i in range(count // 2):
        y = number(w, "mul.Scalar", w.call("add.Tensor", y, w.input(1, WIDTH)), 0.5 + i / count)
    return [y]


def long_cat(w: Writer, count: int):
    x = w.input(1, WIDTH)
    parts = [w.call("relu.default", x) for _ in range(count)]
    return [w.node("cat.default", {"tensors": listed(parts), "dim": {"as_int": 0}}, (count, WIDTH))]


def same_cat(w: Writer, count: int):
    """One value, named again and again."""
    x = w.call("relu.default", w.input(1, WIDTH))
    return [w.node("cat.default", {"tensors": listed([x] * count), "dim": {"as_int": 0}}, (count, WIDTH))]


def long_split(w: Writer, count: int):
    x = w.input(count, WIDTH)
    first = w.node("split.Tensor", {"self": {"as_tensor": {"name": x}}, "split_size": {"as_int": 1}}, *[(1, WIDTH)] * count)
    stem = first.removesuffix("_0")
    y = first
    for i in range(1, count):
        y = w.call("add.Tensor", y, f"{stem}_{i}")
    return [y]


def views(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for i in range(count):
        sizes = (WIDTH, 1) if i % 2 == 0 else (1, WIDTH)
        size = {"as_ints": list(sizes)}
        y = w.node("view.default", {"self": {"as_tensor": {"name": y}}, "size": size}, sizes)
        if i % 2:
            y = w.call("relu.default", y)
    return [w.call("relu.default", y, sizes=w.sizes[y])]


def permutes(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for i in range(count):
        y = w.node("permute.default", {"self": {"as_tensor": {"name": y}}, "dims": {"as_ints": [1, 0]}}, tuple(reversed(w.sizes[y])))
        y = w.call("relu.default", y, sizes=w.sizes[y])
    return [y]


def in_place(w: Writer, count: int):
    y = w.call("relu.default", w.input(1, WIDTH))
    for i in range(count):
        y = w.call("add_.Tensor", y, y) if i % 2 else w.call("relu_.default", y)
    return [y]


def nested_modules(w: Writer, count: int):
    """As deep as the root of the count, each level with as many layers: what the file says of scopes grows with the count."""
    y = w.input(1, WIDTH)
    depth = max(1, int(count**0.5))
    for level in range(depth):
        layer = ".".join(["inner"] * (level + 1))
        w.modules.append(layer)
        y = linear(w, y, f"{layer}.fc")
        y = w.call("relu.default", y, layer=layer)
    return [y]


def regions(w: Writer, count: int):
    x = w.input(1, WIDTH)
    y = w.call("relu.default", x)
    for i in range(count):
        total = w.node("sum.default", {"self": {"as_tensor": {"name": y}}}, ())
        condition = w.node("gt.Scalar", {"self": {"as_tensor": {"name": total}}, "other": {"as_int": 0}}, ())
        w.dtypes[condition] = BOOL
        branches = {}
        for number, operator in enumerate(("relu", "tanh")):
            inner = Writer()
            inner.sizes["a"] = (1, WIDTH)
            result = inner.call(f"{operator}.default", "a")
            name = f"{'true' if number == 0 else 'false'}_graph_{i}"
            branches[str(number + 1)] = {"as_graph": {"name": name, "graph": inner.graph([result], inner.nodes, ["a"])}}
        y = w.node("higher_order.cond", {"0": {"as_tensor": {"name": condition}}, **branches, "3": listed([y])}, (1, WIDTH))
    return [y]


def diamonds(w: Writer, count: int):
    y = w.input(1, WIDTH)
    for _ in range(count):
        y = w.call("add.Tensor", w.call("relu.default", y), w.call("hardtanh.default", y))
    return [y]


def symbols(w: Writer, count: int):
    """Delegates, each of a length of its own."""
    total, outputs = w.input(1), []
    for i in range(count // 4):
        x = w.input(f"s{i}", WIDTH)
        y = w.call("add.Tensor", x, total, sizes=(f"s{i}", WIDTH))
        y = w.node("cumsum.default", {"self": {"as_tensor": {"name": y}}, "dim": {"as_int": 1}}, (f"s{i}", WIDTH))
        total = w.node("sum.dim_IntList", {"self": {"as_tensor": {"name": y}}, "dim": {"as_ints": [0, 1]}}, ())
        outputs.append(y)
    return outputs


def states(w: Writer, count: int):
    """Buffers that are read and written, and as many that are only read."""
    y = w.input(1, WIDTH)
    for i in range(count // 2):
        y = w.call("add.Tensor", y, w.buffer(f"state{i}", 1, WIDTH))
        w.mutated[f"state{i}"] = y
        y = w.call("mul.Tensor", y, w.buffer(f"table{i}", 1, WIDTH))
    return [y]


def shared_layer(w: Writer, count: int):
    """One linear layer, called before batch norms that differ."""
    y = w.input(2, WIDTH)
    weight, bias = w.parameter("shared.weight", WIDTH, WIDTH), w.parameter("shared.bias", WIDTH)
    for i in range(count // 4):
        y = w.call("linear.default", y, weight, bias, sizes=(2, WIDTH), layer="shared")
        tensors = {"input": y}
        for name in ("weight", "bias", "running_mean", "running_var"):
            tensors[name] = w.parameter(f"norm{i}.{name}", WIDTH)
        w.weights[f"norm{i}.running_var"] = np.ones(WIDTH, np.float32)
        arguments = {name: {"as_tensor": {"name": tensor}} for name, tensor in tensors.items()}
        rest = {"training": {"as_bool": False}, "momentum": {"as_float": 0.1}, "eps": {"as_float": 1e-5}, "cudnn_enabled": {"as_bool": False}}
        y = w.node("batch_norm.default", {**arguments, **rest}, (2, WIDTH))
    return [y]


def loops(w: Writer, count: int):
    """Each runs once, between layers."""
    zero = w.node("zeros.default", {"size": {"as_ints": []}, "dtype": {"as_scalar_type": INT64}}, ())
    w.dtypes[zero] = INT64
    y = w.input(1, WIDTH)
    for i in range(count // 4):
        bodies = {}
        for number, kind in enumerate(("cond", "body")):
            inner = Writer()
            inner.sizes |= {"n": (), "a": (1, WIDTH)}
            inner.dtypes["n"] = INT64
            one = {"self": {"as_tensor": {"name": "n"}}, "other": {"as_int": 1}}
            if kind == "cond":
                results = [inner.node("lt.Scalar", one, ())]
                inner.dtypes[results[0]] = BOOL
            else:
                results = [inner.node("add.Scalar", one, ()), inner.call("relu.default", "a")]
                inner.dtypes[results[0]] = INT64
            bodies[str(number)] = {"as_graph": {"name": f"while_loop_{kind}_graph_{i}", "graph": inner.graph(results, inner.nodes, ["n", "a"])}}
        n = w.node("higher_order.while_loop", {**bodies, "2": listed([zero, y]), "3": listed([])}, (), (1, WIDTH))
        w.dtypes[n] = INT64
        y = w.call("add.Tensor", n.removesuffix("_0") + "_1", y)
    return [y]


def unary(w: Writer, target: str, x: str, sizes: tuple | list, **arguments) -> str:
    return w.node(target, {"self": {"as_tensor": {"name": x}}, **arguments}, *(sizes if isinstance(sizes, list) else [sizes]))


def constant_chain(w: Writer, count: int, long: int = 20_000):
    """What is made of a constant, each step too large to be kept, until their sum is."""
    size = {"size": {"as_ints": [long]}}
    y = w.node("expand.default", {"self": {"as_tensor": {"name": w.parameter("one", 1)}}, **size}, (long,))
    for _ in range(count):
        y = w.call("relu.default", y, sizes=(long,))
    return [w.call("add.Tensor", w.input(1, WIDTH), unary(w, "sum.default", y, ()))]


def shared_constant(w: Writer, count: int):
    """One parameter with as many users, of operators that backends take and leave by turns."""
    y, table = w.input(1, WIDTH), w.parameter("table", 1, WIDTH)
    for i in range(count):
        y = w.call("mul.Tensor" if i % 2 else "atan2.default", y, table)
    return [y]


def returned_states(w: Writer, count: int):
    """As many results as constants, and buffers that are written among them."""
    x, outputs = w.input(1, WIDTH), []
    for i in range(count // 2):
        outputs.append(w.call("add.Tensor", x, w.parameter(f"shift{i}", 1, WIDTH)))
        w.mutated[f"state{i}"] = w.call("add.Tensor", outputs[-1], w.buffer(f"state{i}", 1, WIDTH))
    return outputs


def separate_states(w: Writer, count: int):
    """Buffers that are read and written, each in a delegate of its own."""
    y = w.input(1, WIDTH)
    for i in range(count // 4):
        state = w.buffer(f"state{i}", 1, WIDTH)
        w.mutated[f"state{i}"] = y = w.call("add.Tensor", y, state)
        y = unary(w, "cumsum.default", y, (1, WIDTH), dim={"as_int": 1})
    return [y]


def layers_beside_states(w: Writer, count: int):
    """Weights of every kind beside as many buffers that are written: a product with what is turned, a layer, a norm's scale."""
    x = w.input(1, WIDTH)
    y = x
    for i in range(count // 8):
        w.mutated[f"state{i}"] = w.call("add.Tensor", y, w.buffer(f"state{i}", 1, WIDTH))
        turned = unary(w, "t.default", w.parameter(f"product{i}.weight", WIDTH, WIDTH), (WIDTH, WIDTH))
        y = w.node("matmul.default", {"self": {"as_tensor": {"name": y}}, "other": {"as_tensor": {"name": turned}}}, (1, WIDTH))
        y = w.call("mul.Tensor", w.call("mul.Tensor", linear(w, y, f"layers.{i}"), x), w.parameter(f"scale{i}", WIDTH))
    return [y]


def sizes_split(w: Writer, count: int):
    """A list of as many numbers in one argument, and the parts put together again in another order."""
    x = w.input(count, WIDTH)
    sizes = {"split_sizes": {"as_ints": [1] * count}, "dim": {"as_int": 0}}
    stem = w.node("split_with_sizes.default", {"self": {"as_tensor": {"name": x}}, **sizes}, *[(1, WIDTH)] * count).removesuffix("_0")
    parts = [f"{stem}_{i}" for i in reversed(range(count))]
    return [w.node("cat.default", {"tensors": listed(parts), "dim": {"as_int": 0}}, (count, WIDTH))]


def long_stack(w: Writer, count: int):
    x = w.input(1, WIDTH)
    parts = [w.call("relu.default", x) for _ in range(count)]
    stacked = w.node("stack.default", {"tensors": listed(parts)}, (count, 1, WIDTH))
    return [unary(w, "sum.dim_IntList", stacked, (1, WIDTH), dim={"as_ints": [0]})]


def module_calls(w: Writer, count: int):
    """Layers of long names, all of them in the list of modules."""
    y = w.input(1, WIDTH)
    for i in range(count):
        layer = f"model.{'a_layer_of_a_long_name.' * 8}{i}"
        w.modules.append(layer)
        y = w.call("relu.default" if i % 2 else "tanh.default", y, layer=layer)
    return [y]


def wide_loop(w: Writer, count: int):
    """One loop over as many values, which change places in each iteration."""
    zero = w.node("zeros.default", {"size": {"as_ints": []}, "dtype": {"as_scalar_type": INT64}}, ())
    w.dtypes[zero] = INT64
    x = w.input(1, WIDTH)
    values = [w.call("relu.default", x) for _ in range(count // 4)]
    bodies = {}
    for number, kind in enumerate(("cond", "body")):
        inner = Writer()
        names = [f"a{i}" for i in range(len(values))]
        inner.sizes |= {"n": (), **{name: (1, WIDTH) for name in names}}
        inner.dtypes["n"] = INT64
        one = {"self": {"as_tensor": {"name": "n"}}, "other": {"as_int": 1}}
        results = [inner.node("lt.Scalar" if kind == "cond" else "add.Scalar", one, ())]
        inner.dtypes[results[0]] = BOOL if kind == "cond" else INT64
        results += [] if kind == "cond" else [*names[1:], names[0]]
        bodies[str(number)] = {"as_graph": {"name": f"while_loop_{kind}_graph", "graph": inner.graph(results, inner.nodes, ["n", *names])}}
    outputs = [(), *[(1, WIDTH)] * len(values)]
    n = w.node("higher_order.while_loop", {**bodies, "2": listed([zero, *values]), "3": listed([])}, *outputs)
    w.dtypes[n] = INT64
    return [f"{n.removesuffix('_0')}_{i}" for i in range(1, len(values) + 1)]


def lengths_in_branches(w: Writer, count: int):
    """Conditions beside as many lengths, each of a range of its own."""
    total, outputs = w.input(1), []
    for i in range(count // 8):
        length = f"s{i}"
        x = w.input(length, WIDTH)
        condition = unary(w, "gt.Scalar", unary(w, "sum.default", x, ()), (), other={"as_int": 0})
        w.dtypes[condition] = BOOL
        branches = {}
        for number, operator in enumerate(("relu", "tanh")):
            inner = Writer()
            inner.sizes["a"] = (length, WIDTH)
            result = inner.call(f"{operator}.default", "a", sizes=(length, WIDTH))
            name = f"{'true' if number == 0 else 'false'}_graph_{i}"
            branches[str(number + 1)] = {"as_graph": {"name": name, "graph": inner.graph([result], inner.nodes, ["a"])}}
        y = w.node("higher_order.cond", {"0": {"as_tensor": {"name": condition}}, **branches, "3": listed([x])}, (length, WIDTH))
        outputs.append(w.call("add.Tensor", y, total, sizes=(length, WIDTH)))
    return outputs


def number(w: Writer, target: str, x: str, other: float, sizes=(1, WIDTH)) -> str:
    return unary(w, target, x, sizes, other={"as_float": other})


def rows_written(w: Writer, count: int):
    """Buffers with rows written by index."""
    x = w.input(1, WIDTH)
    for i in range(count // 4):
        row = w.node("arange.default", {"end": {"as_int": 1}, "dtype": {"as_scalar_type": INT64}}, (1,))
        w.dtypes[row] = INT64
        indices = {"as_optional_tensors": [{"as_tensor": {"name": row}}]}
        buffer = w.buffer(f"rows{i}", 8, WIDTH)
        w.mutated[f"rows{i}"] = unary(w, "index_put.default", buffer, (8, WIDTH), indices=indices, values={"as_tensor": {"name": x}})
    return [w.call("relu.default", x)]


def returned_layers(w: Writer, count: int):
    """Linear layers, each a result of the program."""
    x = w.input(1, WIDTH)
    return [linear(w, x, f"layers.{i}") for i in range(count // 2)]


def written_beside_outputs(w: Writer, count: int):
    """Buffers that are written in place, and as many results."""
    x, outputs = w.input(1, WIDTH), []
    for i in range(count // 3):
        w.call("add_.Tensor", w.buffer(f"state{i}", 1, WIDTH), x)
        outputs.append(w.call("relu.default", x))
    return outputs


def turned(w: Writer, x: str, count: int) -> str:
    """A chain of views."""
    for i in range(count):
        sizes = (WIDTH, 1) if i % 2 == 0 else (1, WIDTH)
        x = unary(w, "view.default", x, sizes, size={"as_ints": list(sizes)})
    return x


def view_of_written(w: Writer, count: int):
    """A view of views, read after a write to what they are views of."""
    x = w.call("relu.default", w.input(1, WIDTH))
    y = turned(w, x, count)
    number(w, "mul_.Tensor", x, 0.5)
    return [w.call("relu.default", y, sizes=w.sizes[y])]


def writes_through_views(w: Writer, count: int):
    """As many writes to a view of views."""
    x = w.call("relu.default", w.input(1, WIDTH))
    y = turned(w, x, count // 2)
    for _ in range(count // 2):
        number(w, "mul_.Tensor", y, 0.5, w.sizes[y])
    return [w.call("relu.default", x)]


def parts_written(w: Writer, count: int):
    """Parts of a tensor, each written in place."""
    parts = count // 8
    x = w.call("relu.default", w.input(parts, WIDTH), sizes=(parts, WIDTH))
    stem = unary(w, "split.Tensor", x, [(1, WIDTH)] * parts, split_size={"as_int": 1}).removesuffix("_0")
    for i in range(parts):
        number(w, "mul_.Tensor", f"{stem}_{i}", 0.5)
    return [w.call("relu.default", x, sizes=(parts, WIDTH))]


def sizes_of_one(w: Writer, count: int):
    """Tensors as long as one, which has as many readers."""
    x = w.input("s0", WIDTH)
    y = x
    for _ in range(count // 2):
        y = w.call("add.Tensor", y, unary(w, "zeros_like.default", x, ("s0", WIDTH)), sizes=("s0", WIDTH))
    return [y]


SHAPES = [
    chain, fan_out, fan_in, many_inputs, many_outputs, many_parameters, linears, heads, residual, delegates, portable,
    long_cat, same_cat, long_split, views, permutes, in_place, nested_modules, regions,
    diamonds, symbols, states, shared_layer, loops,
    constant_chain, shared_constant, returned_states, separate_states, layers_beside_states, sizes_split, long_stack,
    module_calls, wide_loop, lengths_in_branches,
    rows_written, returned_layers, written_beside_outputs, view_of_written, writes_through_views, parts_written, sizes_of_one, numbers_beside_inputs,
]  # fmt: skip


def write(shape, count: int, path: Path) -> Path:
    writer = Writer()
    path.parent.mkdir(parents=True, exist_ok=True)
    writer.save(path, shape(writer, count))
    return path


def commands(model: Path, out: Path) -> dict[str, list]:
    """What is done with a program that `write` wrote: arguments of the command by name."""
    sample = next(model.with_suffix(suffix) for suffix in (".npy", ".npz") if model.with_suffix(suffix).exists())
    static = ["--recipe", "xnnpack_pt2e_int8_static_per_channel", "--calibrate", sample]
    build = ["build", model, "-o", out.with_suffix(".pte")]
    return {
        "inspect": ["inspect", model],
        "fp32": [*build, "--recipe", "xnnpack_fp32"],
        "dynamic": [*build, "--recipe", "xnnpack_pt2e_int8_dynamic_per_channel"],
        "static": [*build, *static],
        "vulkan": [*build, "--recipe", "vulkan_fp32"],
        "coreml": [*build, "--recipe", "coreml_fp32"],
        "quantize": ["quantize", model, "-o", out.with_suffix(".pt2"), *static],
    }


if __name__ == "__main__":
    write(globals()[sys.argv[1]], int(sys.argv[2]), Path(sys.argv[3]))
