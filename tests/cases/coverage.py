"""Networks that one engine alone once knew: state that is read before it is written, norms by the statistics of the batch, weights
that are computed from weights, regions. Each is a network with layers to quantize, and its calls."""

import torch
import torch.nn.functional as F
from torch import nn

from cases import Case, noise, seeded


class Recurrent(nn.Module):
    """The hidden state of the last call is read, then overwritten."""

    def __init__(self):
        super().__init__()
        self.inputs, self.hidden = nn.Linear(4, 6), nn.Linear(6, 6)
        self.register_buffer("h", torch.zeros(2, 6))

    def forward(self, x):
        h = torch.tanh(self.inputs(x) + self.hidden(self.h))
        self.h.copy_(h)
        return h * 2


class Assigned(Recurrent):
    def forward(self, x):
        h = torch.tanh(self.inputs(x) + self.hidden(self.h))
        self.h = h
        return h * 2


class AddedTo(Recurrent):
    """The state is an operand of a sum, not of a layer."""

    def forward(self, x):
        h = torch.tanh(self.inputs(x) + self.h * 0.5)
        self.h.copy_(h)
        return self.hidden(h)


class Accumulated(Recurrent):
    def forward(self, x):
        self.h.add_(self.inputs(x))
        return self.hidden(self.h)


class Smoothed(Recurrent):
    """Two writes in place, one on the result of the other."""

    def forward(self, x):
        y = self.hidden(self.h) + self.inputs(x)
        self.h.mul_(0.7).add_(y, alpha=0.8)
        return y * self.h


class WrittenThroughAView(Recurrent):
    """Half of the state is written, all of it is read afterwards."""

    def forward(self, x):
        y = self.inputs(x)
        self.h[:, :3].copy_(y[:, 3:])
        return self.hidden(self.h) + y


class WrittenInARegion(Recurrent):
    def forward(self, x):
        with torch.no_grad():
            h = torch.tanh(self.inputs(x) + self.hidden(self.h))
            self.h.copy_(h)
        return h * 2


class PartWrittenInARegion(Recurrent):
    def forward(self, x):
        y = self.inputs(x)
        with torch.no_grad():
            self.h[:, 1:].mul_(0.5)
            z = y + 1
        return self.hidden(y + self.h) + z.tanh() + self.h.add_(y)


class Gated(nn.Module):
    """A gated recurrent unit with two states."""

    def __init__(self):
        super().__init__()
        self.gates, self.fresh = nn.Linear(10, 12), nn.Linear(10, 6)
        self.register_buffer("h", torch.zeros(2, 6))
        self.register_buffer("mean", torch.full((2, 6), 0.25))

    def forward(self, x):
        reset, update = self.gates(torch.cat([x, self.h], 1)).sigmoid().chunk(2, 1)
        fresh = torch.tanh(self.fresh(torch.cat([x, reset * self.h], 1)))
        h = update * self.h + (1 - update) * fresh
        out = h - self.mean
        self.mean.mul_(0.5).add_(h * 0.5)
        self.h.copy_(h)
        return out


class Streaming(nn.Module):
    """The last columns of a signal are kept for the next call's convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3)
        self.register_buffer("past", torch.zeros(2, 4, 2))

    def forward(self, x):
        signal = torch.cat([self.past, x], 2)
        self.past.copy_(signal[:, :, -2:])
        return self.conv(signal).relu()


def recurrent() -> dict:
    kinds = (Recurrent, Assigned, AddedTo, Accumulated, Smoothed, WrittenThroughAView, WrittenInARegion, PartWrittenInARegion, Gated)
    with seeded():
        cases = {kind.__name__: Case(kind().eval(), [(noise(2, 4, seed=i),) for i in range(6)]) for kind in kinds}
        cases["Streaming"] = Case(Streaming().eval(), [(noise(2, 4, 5, seed=i),) for i in range(6)])
    return cases


class Between(nn.Module):
    """A norm between two layers."""

    def __init__(self, first, norm, width=8):
        super().__init__()
        self.first, self.norm, self.head = first, norm, nn.Linear(width, 5)

    def forward(self, x):
        y = F.relu(self.norm(self.first(x)))
        return self.head(y.flatten(2).mean(2) if y.dim() > 2 else y)


def shaken(norm: nn.Module) -> nn.Module:
    for parameter in norm.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return norm


def without_statistics() -> dict:
    """Batch norms without running statistics take those of the batch in evaluation mode too."""
    image, line, rows, volume = (4, 3, 8, 8), (3, 3, 12), (6, 10), (2, 3, 5, 6, 4)
    plain = {"track_running_stats": False}
    with seeded():
        table = {
            "images": (Between(nn.Conv2d(3, 8, 3), shaken(nn.BatchNorm2d(8, **plain))), image),
            "one_image": (Between(nn.Conv2d(3, 8, 3), shaken(nn.BatchNorm2d(8, **plain))), (1, 3, 8, 8)),
            "without_weights": (Between(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, affine=False, **plain)), image),
            "lines": (Between(nn.Conv1d(3, 8, 3), shaken(nn.BatchNorm1d(8, **plain))), line),
            "rows": (Between(nn.Linear(10, 8), shaken(nn.BatchNorm1d(8, **plain))), rows),
            "volumes": (Between(nn.Conv3d(3, 8, 2), shaken(nn.BatchNorm3d(8, **plain))), volume),
            "instances": (Between(nn.Conv2d(3, 8, 3), shaken(nn.InstanceNorm2d(8, affine=True))), image),
            "instances_with_statistics": (Between(nn.Conv2d(3, 8, 3), shaken(nn.InstanceNorm2d(8, affine=True, track_running_stats=True))), image),
            "with_statistics": (Between(nn.Conv2d(3, 8, 3), shaken(nn.BatchNorm2d(8))), image),
        }
    return {name: Case(module.eval(), [(noise(*sizes, seed=i),) for i in range(4)]) for name, (module, sizes) in table.items()}


class Standardized(nn.Module):
    """A convolution whose weight is brought to mean 0 and variance 1 whenever it is used."""

    def __init__(self, standardize, groups=1):
        super().__init__()
        self.conv, self.head, self.standardize = nn.Conv2d(4, 8, 3, groups=groups), nn.Linear(8, 5), standardize
        self.gain = nn.Parameter(torch.rand(8, 1, 1, 1) + 0.5)

    def forward(self, x):
        weight = self.standardize(self.conv.weight, self.gain)
        return self.head(F.relu(F.conv2d(x, weight, self.conv.bias, groups=self.conv.groups)).mean((2, 3)))


def by_batch_norm(w, gain):
    return F.batch_norm(w.reshape(1, w.shape[0], -1), None, None, weight=(gain * 0.3).view(-1), training=True, momentum=0.0, eps=1e-6).reshape_as(w)


def by_moments(w, gain):
    variance, mean = torch.var_mean(w, (1, 2, 3), keepdim=True, unbiased=False)
    return (w - mean) * torch.rsqrt(variance + 1e-5) * gain


def by_deviation(w, gain):
    return gain * (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)


def by_layer_norm(w, gain):
    return F.layer_norm(w.flatten(1), [w[0].numel()]).view_as(w) * gain


def by_instance_norm(w, gain):
    return F.instance_norm(w.reshape(1, w.shape[0], -1)).reshape_as(w) * gain


def by_length(w, gain):
    return F.normalize(w.flatten(1), dim=1).view_as(w) * gain


def standardized() -> dict:
    functions = (by_batch_norm, by_moments, by_deviation, by_layer_norm, by_instance_norm, by_length)
    cases = {}
    with seeded():
        for function in functions:
            cases[function.__name__] = Case(Standardized(function).eval(), [(noise(2, 4, 8, 8, seed=i),) for i in range(4)])
        cases["by_batch_norm_in_groups"] = Case(Standardized(by_batch_norm, groups=2).eval(), [(noise(2, 4, 8, 8, seed=i),) for i in range(4)])
        cases["plain"] = Case(Standardized(lambda w, gain: w).eval(), [(noise(2, 4, 8, 8, seed=i),) for i in range(4)])
    return cases


class Switched(nn.Module):
    """Layers in regions that switch autocast or gradients off, nested, with several results."""

    def __init__(self, regions):
        super().__init__()
        self.conv, self.mix, self.head, self.regions = nn.Conv2d(3, 8, 3), nn.Linear(8, 8), nn.Linear(8, 5), regions

    def features(self, x):
        y = self.mix(F.relu(self.conv(x)).mean((2, 3)))
        return y, y * 2

    def forward(self, x):
        y, z = self.regions(self.features, x)
        return self.head(y) + z[:, :5]


def autocast_off(function, x):
    with torch.autocast("cpu", enabled=False):
        return function(x)


def autocast_off_in_no_grad(function, x):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=False):
        return function(x)


def no_grad_in_autocast_off(function, x):
    with torch.autocast("cpu", enabled=False):
        with torch.no_grad():
            y, z = function(x)
        return y + 1, z


def autocast_off_on_a_device(function, x):
    with torch.autocast("cuda", enabled=False):
        return function(x)


def switched() -> dict:
    regions = (autocast_off, autocast_off_in_no_grad, no_grad_in_autocast_off, autocast_off_on_a_device)
    with seeded():
        return {region.__name__: Case(Switched(region).eval(), [(noise(2, 3, 8, 8, seed=i),) for i in range(4)]) for region in regions}


RECURRENT, NORMS, STANDARDIZED, SWITCHED = recurrent(), without_statistics(), standardized(), switched()
NETWORKS = {f"{kind}_{name}": case
            for kind, table in (("recurrent", RECURRENT), ("norm", NORMS), ("standardized", STANDARDIZED), ("switched", SWITCHED))
            for name, case in table.items()}
