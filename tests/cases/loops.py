"""Programs with loops in them (scan, map, while_loop), small and seeded: name -> case.

Their bodies hand on values in every way: new ones, exchanged ones, the same ones, views; they keep constants, stand in each other
and in conditions, and what is around them lives on.
"""

import torch
from torch import nn
from torch._higher_order_ops.map import map as mapped
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.export import Dim

from cases import Case, seeded

LOOPS = {}


def case(function):
    with seeded():
        LOOPS[function.__name__] = function()
    return function


def of(forward, *calls, shapes=None):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.inward, self.around = nn.Linear(8, 6), nn.Linear(6, 6)
            self.register_buffer("offset", torch.linspace(-1, 1, 6))

    Loop.forward = forward
    return Case(Loop().eval(), list(calls), shapes=shapes)


def recurrent(self, x, h):
    def step(h, x):
        h = torch.tanh(self.inward(x) + self.around(h) + self.offset.exp())
        return h, h * 2

    return scan(step, h, x, dim=0)


@case
def scan_of_layers():
    return of(recurrent, *[(torch.randn(5, 3, 8), torch.randn(3, 6)) for _ in range(3)])


@case
def scan_of_any_length():
    lengths, rows = Dim("t", min=2, max=20), Dim("n", min=2, max=9)
    calls = [(torch.randn(t, n, 8), torch.randn(n, 6)) for t, n in ((5, 3), (2, 9), (20, 2), (5, 3))]
    return of(recurrent, *calls, shapes=({0: lengths, 1: rows}, {0: rows}))


@case
def scan_of_several():
    def forward(self, x, z, h, c):
        def step(state, parts):
            h, c = state
            a, b = parts
            h, c = h * 0.9 + a, c + b.sum()
            return (h, c), (h + c, a - b, (h > 0))

        (h, c), (y, w, positive) = scan(step, (h, c), (x, z), dim=0)
        return h, c, y.sum(0), w, positive

    return of(forward, *[(torch.randn(5, 3), torch.randn(5, 3), torch.randn(3), torch.randn(())) for _ in range(2)])


@case
def scan_backwards():
    def forward(self, x, h):
        return scan(lambda h, x: (h * 0.5 + x, h * 3), h, x, dim=1, reverse=True)

    return of(forward, (torch.randn(3, 5, 4), torch.randn(3, 4)))


@case
def scan_that_exchanges():
    """Three values change places; one of them is a view of another."""

    def forward(self, x, a, b, c):
        def step(state, x):
            a, b, c = state
            return (b.clone(), c.reshape(3, 2).clone().reshape(2, 3), a + x), (a * 2, b + c)

        (a, b, c), (y, z) = scan(step, (a, b, c), x, dim=0)
        return a, b, c, y, z

    return of(forward, *[(torch.randn(7, 2, 3), *torch.randn(3, 2, 3)) for _ in range(2)])


@case
def scan_in_a_scan():
    def forward(self, x, h):
        bias = x.mean((0, 1)).relu()  # lives through both loops

        def outer(h, rows):
            inner, _ = scan(lambda s, row: (s * 0.5 + row.sigmoid(), s.sum()), h, rows, dim=0)
            return (inner + bias).tanh(), inner - bias

        h, y = scan(outer, h, x, dim=0)
        return h, y, bias

    return of(forward, *[(torch.randn(3, 4, 6), torch.randn(6)) for _ in range(2)])


@case
def scan_with_branches():
    def forward(self, x, h):
        def step(h, x):
            y = torch.cond(x.sum() > 0, lambda h, x: self.around(h) + x, lambda h, x: h * 0.5 - x, (h, x))
            return y.tanh(), y * 1.5

        return scan(step, h, x, dim=0)

    return of(forward, *[(torch.randn(6, 6), torch.randn(1, 6)) for _ in range(2)])


@case
def scans_one_after_the_other():
    def forward(self, x, h):
        first, y = scan(lambda h, x: (torch.tanh(self.around(h) + x), h + x), h, x, dim=0)
        second, z = scan(lambda h, y: (h * 0.3 + y, h - y), first * 2, y.relu(), dim=0)
        return first, second, z, y

    return of(forward, *[(torch.randn(4, 2, 6), torch.randn(2, 6)) for _ in range(2)])


@case
def map_of_layers():
    def forward(self, x, y):
        return mapped(lambda x, y: torch.relu(self.inward(x)) + y, x, y)

    lengths = Dim("t", min=2, max=20)
    return of(forward, *[(torch.randn(t, 3, 8), torch.randn(3, 6)) for t in (5, 17, 2)], shapes=({0: lengths}, None))


@case
def map_of_several():
    def forward(self, x, y):
        return mapped(lambda parts: (parts[0] * parts[1], parts[0].sum(-1), parts[1].argmax(-1)), (x, y))

    return of(forward, (torch.randn(5, 3, 8), torch.randn(5, 3, 8)))


@case
def map_of_channels_last():
    def forward(self, x):
        return mapped(lambda x: x.softmax(0) * 2, x * 1)

    return of(forward, (torch.randn(3, 4, 5, 6).to(memory_format=torch.channels_last),))


@case
def while_counting():
    def forward(self, x):
        count, y = while_loop(lambda i, x: i < 5, lambda i, x: (i + 1, torch.tanh(self.around(x))), (torch.tensor(0), x))
        return y, count, x

    return of(forward, (torch.randn(3, 6),), (torch.randn(3, 6),))


@case
def while_data_says_so():
    def forward(self, x, limit):
        def goes_on(i, x):
            return (x.abs().sum() > 1.0) & (i < limit)

        return while_loop(goes_on, lambda i, x: (i + 1, x * 0.7), (torch.zeros((), dtype=torch.int64), x))

    return of(forward, *[(torch.randn(3, 4) * scale, torch.tensor(limit)) for scale, limit in ((1, 20), (5, 3), (0.01, 3), (9, 40))])


@case
def while_that_exchanges():
    """Two numbers of a sequence, each the sum of those before."""

    def forward(self, a, b, n):
        def step(i, a, b):
            return i + 1, b.clone(), a + b

        return while_loop(lambda i, a, b: i < n, step, (torch.zeros((), dtype=torch.int64), a, b))

    return of(forward, *[(torch.rand(3), torch.rand(3), torch.tensor(n)) for n in (6, 0, 1, 11)])


@case
def loop_in_a_branch():
    def forward(self, x, h):
        def looped(x, h):
            return scan(lambda h, x: (torch.tanh(self.around(h) + x), h * 2), h, x, dim=0)[0]

        return torch.cond(x.sum() > 0, looped, lambda x, h: h - x[0], (x, h)) * 2

    return of(forward, (torch.rand(4, 2, 6), torch.randn(2, 6)), (-torch.rand(4, 2, 6), torch.randn(2, 6)))
