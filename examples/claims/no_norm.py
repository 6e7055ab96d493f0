"""128 residual branches without a norm: He's variance is NaN at every learning rate, zeros train.

Each branch of He weights adds as much power as the stream has, so that it doubles 128 times. With zeros
for the last weight of each branch the network starts as the identity; with Fixup's factor on the other
weights too (H. Zhang et al., Fixup Initialization, 2019, section 3), which is what ``auto`` does here,
it also trains at the learning rates that a shallow network takes.
"""

from __future__ import annotations

import torch
from torch import nn
from training import accuracy, digits, full, initialised, show

POLICIES = ("he", "framework", "lecun+depth-scaled", "he+zero-out", "auto")


class Block(nn.Module):
    """A branch of two weights, added to the stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Carry the stream on."""
        added: torch.Tensor = x + self.outer(torch.relu(self.inner(x)))
        return added


def network(branches: int = 128, width: int = 64) -> nn.Sequential:
    """A stem, branches on one stream, a head; no norm anywhere."""
    return nn.Sequential(nn.Linear(64, width), *(Block(width) for _ in range(branches)), nn.Linear(width, 10))


def measure(policy: str, *, rate: float, epochs: int, seed: int = 0) -> tuple[float, float]:
    """Std of the logits at step zero, and the accuracy after training."""
    data = digits()
    model = initialised(network(), policy, seed)
    with torch.no_grad():
        spread = float(model(torch.from_numpy(data.test)).std())
    return spread, accuracy(model, data, rate=rate, epochs=epochs, seed=seed)


def main() -> None:
    """Print logits and accuracies for each policy and learning rate."""
    whole = full(__doc__)
    rates, epochs = ((1e-3, 1e-2, 1e-1), 4) if whole else ((0.1,), 1)
    rows = []
    for policy in POLICIES if whole else ("he", "auto"):
        found = [measure(policy, rate=rate, epochs=epochs) for rate in rates]
        rows.append((policy, f"{found[0][0]:.2g}", *(reached for _, reached in found)))
    show(("policy", "std of the logits", *(f"accuracy, rate {rate:g}" for rate in rates)), rows)


if __name__ == "__main__":
    main()
