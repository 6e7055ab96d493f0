"""Self-normalising networks need LeCun's variance: with He's they explode, with the default they fade.

G. Klambauer et al., Self-Normalizing Neural Networks, 2017: SELU keeps mean 0 and variance 1 only where
``Var w = 1 / fan_in``. Nobody has to tell ``auto``: it reads the gain off the function's values.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from training import accuracy, digits, full, initialised, show

POLICIES = ("framework", "he", "lecun", "auto")


def network(layers: int = 30, width: int = 64) -> nn.Sequential:
    """Weight layers with SELU between them, and nothing else."""
    sizes = [64, *[width] * (layers - 1), 10]
    parts = [part for a, b in itertools.pairwise(sizes) for part in (nn.Linear(a, b), nn.SELU())]
    return nn.Sequential(*parts[:-1])


def measure(policy: str, *, seed: int, epochs: int) -> tuple[float, float]:
    """Std of the last hidden layer at step zero, and the accuracy after training."""
    data = digits()
    model = initialised(network(), policy, seed)
    with torch.no_grad():
        hidden = float(nn.Sequential(*list(model.children())[:-1])(torch.from_numpy(data.test)).std())
    return hidden, accuracy(model, data, rate=0.03, epochs=epochs, seed=seed)


def main() -> None:
    """Print hidden stds and accuracies of each policy."""
    whole = full(__doc__)
    seeds, epochs = (range(3), 10) if whole else (range(1), 3)
    rows = []
    for policy in POLICIES if whole else ("he", "auto"):
        found = [measure(policy, seed=seed, epochs=epochs) for seed in seeds]
        rows.append((policy, found[0][0], *(reached for _, reached in found)))
    show(("policy", "std of the last hidden layer", *(f"accuracy, seed {seed}" for seed in seeds)), rows)


if __name__ == "__main__":
    main()
