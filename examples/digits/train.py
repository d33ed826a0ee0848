"""Trains the digits example and writes what stands beside this file.

    digits.pt2            the trained network, exported by torch.export (batch of 20)
    calibration/*.npy     five batches of training images
    test/*.npy            the test split, eighteen batches of twenty
    test_labels.npy       its labels, in the order of the files

The data are the UCI handwritten digits (8x8 grey images), which ship with scikit-learn. Run with the oracle
environment: `make oracle && .venv/bin/python examples/digits/train.py`. Seeded; takes about a minute.
"""

import re
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

HERE = Path(__file__).parent
BATCH = 20


class Residual(nn.Module):
    """Depthwise-separable convolution beside an identity path."""

    def __init__(self, channels: int):
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()

    def forward(self, x):
        y = self.relu(self.norm1(self.depthwise(x)))
        return self.relu(x + self.norm2(self.pointwise(y)))


class DigitsNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.block1 = Residual(24)
        self.pool = nn.MaxPool2d(2)
        self.widen = nn.Sequential(nn.Conv2d(24, 48, 3, padding=1, bias=False), nn.BatchNorm2d(48), nn.ReLU())
        self.block2 = Residual(48)
        self.head = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(48, 10)

    def forward(self, image):
        x = self.block1(self.stem(image))
        x = self.block2(self.widen(self.pool(x)))
        return self.classifier(torch.flatten(self.head(x), 1))


def portable(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Shortens file names in stack traces, so that the archive does not depend on where it was made."""
    for node in program.graph.nodes:
        trace = node.meta.get("stack_trace")
        if trace:
            node.meta["stack_trace"] = re.sub(r'File "[^"]*?(?:site-packages/|digits/)', 'File "', trace)
    return program


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 8.0 - 1.0
    labels = torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    test, train = order[:360], order[360:]

    model = DigitsNet()
    epochs = 25
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        shuffled = train[torch.randperm(len(train))]
        for start in range(0, len(shuffled) - 31, 32):
            rows = shuffled[start : start + 32]
            shift = tuple(int(s) for s in torch.randint(-1, 2, (2,)))
            loss = nn.functional.cross_entropy(model(images[rows].roll(shift, (2, 3))), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(images[test]).argmax(1) == labels[test]).float().mean().item()
    print(f"accuracy on the test split: {accuracy:.4f}")

    for name, rows in (("calibration", train[: 5 * BATCH]), ("test", test)):
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        for index, start in enumerate(range(0, len(rows), BATCH)):
            np.save(folder / f"{index:02}.npy", images[rows[start : start + BATCH]].numpy())
    np.save(HERE / "test_labels.npy", labels[test].numpy().astype(np.int64))
    torch.export.save(portable(torch.export.export(model, (images[train[:BATCH]],))), HERE / "digits.pt2")


if __name__ == "__main__":
    main()
