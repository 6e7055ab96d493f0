"""Thirty layers of ReLU learn nothing from 1/fan_in, and learn with 2/fan_in.

K. He et al., Delving Deep into Rectifiers, 2015, figure 3, in small: with ``Var w = 1/n`` each layer
halves the power, after thirty layers a thousand million times.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from training import accuracy, digits, full, initialised, show

POLICIES = ("framework", "glorot", "lecun", "he", "auto")


def network(layers: int = 30, width: int = 128) -> nn.Sequential:
    """Weight layers with ReLU between them, and nothing else."""
    sizes = [64, *[width] * (layers - 1), 10]
    parts = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


def measure(policy: str, *, seed: int, epochs: int) -> tuple[float, float]:
    """Std of the logits at step zero, and the accuracy after training."""
    data = digits()
    model = initialised(network(), policy, seed)
    with torch.no_grad():
        spread = float(model(torch.from_numpy(data.test)).std(0).mean())
    return spread, accuracy(model, data, rate=0.01, epochs=epochs, seed=seed)


def main() -> None:
    """Print logits and accuracies of each policy."""
    whole = full(__doc__)
    seeds, epochs = (range(3), 12) if whole else (range(1), 4)
    rows = []
    for policy in POLICIES if whole else ("framework", "auto"):
        found = [measure(policy, seed=seed, epochs=epochs) for seed in seeds]
        rows.append((policy, f"{found[0][0]:.2g}", *(reached for _, reached in found)))
    show(("policy", "logits differ by", *(f"accuracy, seed {seed}" for seed in seeds)), rows)


if __name__ == "__main__":
    main()
