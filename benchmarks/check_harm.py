"""What a fault at step zero costs in training: where the thresholds of checks come from.

    PYTHONPATH=src python benchmarks/check_harm.py [--steps 300] [--seeds 3] [--only NAME]

Networks with more and more of one fault learn scikit-learn's digits (1,400 to train on, 397 to test, 64
features) for some steps, with Adam (1e-3) and with gradient descent with momentum 0.9 (the best of 0.1, 0.03,
0.01). A line each: the figure that a rule judges by, and the mean test accuracy.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator

import torch
from check_blocks import mlp
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import fanin.torch

__all__ = ["main"]

WIDTH = 64
ROWS = 1400


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """Features with mean 0 and variance 1, and classes, in an order that is not the file's."""
    x, y = (torch.as_tensor(a) for a in load_digits(return_X_y=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    x = (x - x.mean()) / x.std()
    return x[order].float(), y[order]


def trained(model: nn.Module, optimiser: torch.optim.Optimizer, steps: int, seed: int) -> float:
    """Test accuracy after some steps; a loss that is no number is no accuracy."""
    x, y = digits()
    batches = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(ROWS, (128,), generator=batches)
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        if not torch.isfinite(loss):
            return 0.0
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        model.eval()
        return float((model(x[ROWS:]).argmax(1) == y[ROWS:]).float().mean())


def default_law(depth: int) -> nn.Module:
    """The framework's own law and biases, ReLU."""
    return mlp(depth, WIDTH, nn.ReLU)


def he(depth: int) -> nn.Module:
    """The same with He's law."""
    model = mlp(depth, WIDTH, nn.ReLU)
    fanin.torch.init_(model, torch.randn(64, 64), seed=int(torch.randint(1000, ())))
    return model


def batch_norms(depth: int) -> nn.Module:
    """Batch norms, no skip connections."""
    return mlp(depth, WIDTH, nn.ReLU, nn.BatchNorm1d)


def small_gain(percent: int) -> nn.Module:
    """Depth 12, every std so many per cent of He's."""
    model = he(12)
    with torch.no_grad():
        for m in model:
            if isinstance(m, nn.Linear):
                m.weight.mul_(percent / 100)
    return model


def one_small(percent: int) -> nn.Module:
    """Depth 8, one std so many per cent of He's."""
    model = he(8)
    with torch.no_grad():
        model[8].weight.mul_(percent / 100)
    return model


def loud_head(times: int) -> nn.Module:
    """Depth 4, the head so many times louder than planned."""
    model = he(4)
    with torch.no_grad():
        model[-1].weight.mul_(times)
    return model


FAULTS: dict[str, tuple[Callable[[int], nn.Module], tuple[int, ...]]] = {
    "default_law": (default_law, (4, 6, 8, 10, 12, 16, 20)),
    "he": (he, (4, 8, 12, 20)),
    "batch_norms": (batch_norms, (5, 10, 20, 30, 40, 60)),
    "small_gain": (small_gain, (100, 80, 65, 50, 40, 30)),
    "one_small": (one_small, (100, 30, 10, 3, 1)),
    "one_large": (one_small, (300, 1000, 3000)),
    "loud_head": (loud_head, (1, 2, 4, 8, 16, 32)),
}


def figures(model: nn.Module) -> str:
    """Decades of signal and gradient along the path, and the first loss above ln C."""
    x, y = digits()
    report = fanin.torch.check(model, x[:128], target=y[:128])
    trace, path = report.diagnosis.trace, set(report.diagnosis.graph.path)
    seen = [m for m in trace.measurements if m.node in path and m.gradient_power and m.kind == "contraction"]
    first, last = seen[0], seen[-2]
    forward = math.log10(last.power / first.power)
    backward = math.log10((first.gradient_power or 0.0) / (last.gradient_power or 1.0))
    excess = (trace.loss.value if trace.loss else 0.0) - math.log(10)
    said = ", ".join(f"{f.code} {f.severity}" for f in report.findings) or "healthy"
    return f"{forward:.1f} | {backward:.1f} | {excess:.2f} | {said}"


def rows(name: str, steps: int, seeds: int) -> Iterator[str]:
    """Lines of the table for one fault."""
    make, sizes = FAULTS[name]
    for size in sizes:
        torch.manual_seed(0)
        told = figures(make(size))
        adam, best = 0.0, 0.0
        for rate in (None, 0.1, 0.03, 0.01):
            found = 0.0
            for seed in range(seeds):
                torch.manual_seed(seed)
                model = make(size)
                optimiser = (
                    torch.optim.Adam(model.parameters(), lr=1e-3)
                    if rate is None
                    else torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
                )
                found += trained(model, optimiser, steps, seed) / seeds
            adam, best = (found, best) if rate is None else (adam, max(best, found))
        yield f"| {name} {size} | {told} | {100 * adam:.1f} % | {100 * best:.1f} % |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="Steps of 128 samples.")
    parser.add_argument("--seeds", type=int, default=3, help="Runs of each.")
    parser.add_argument("--only", nargs="*", help="Names of faults.")
    told = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | signal, decades | gradient, decades | loss above ln C | check | Adam | SGD |")
    print("|---|---|---|---|---|---|---|")
    for name in told.only or FAULTS:
        for row in rows(name, told.steps, told.seeds):
            print(row, flush=True)


if __name__ == "__main__":
    main()
