"""The same sick and healthy networks, as other checkers see them.

    pip install torchtest2 torchdiag torchlens
    PYTHONPATH=src python benchmarks/check_peers.py [--seeds 5]

torchtest2 runs all checks but the one that trains (it takes minutes for all networks); torchdiag its
gradient and dead-unit checks; TorchLens its audit of gradient flow on a captured forward and backward pass. A
network counts as flagged when anything is not in order, whatever is said of it; none of them names a cause.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import warnings
from collections.abc import Callable

import torch
from check_blocks import Case
from check_healthy import HEALTHY
from check_sick import SICK
from torch.nn import functional

import fanin.torch

__all__ = ["main"]


def loss_of(case: Case) -> torch.Tensor:
    """Cross-entropy of the case, or the mean output where it has no target."""
    out = case.model(*case.inputs)
    if case.target is None:
        return out.float().mean()
    return functional.cross_entropy(out.reshape(-1, out.shape[-1]).float(), case.target.reshape(-1))


def fanin_flags(case: Case) -> bool:
    """A warning or failure; remarks do not count."""
    return not fanin.torch.check(case.model, *case.inputs, target=case.target, **case.options).healthy


def torchtest2_flags(case: Case) -> bool:
    """A status of WARN or FAIL."""
    torchtest2 = importlib.import_module("torchtest2")
    classes = case.target.ndim if case.target is not None else 0

    def loss(out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(out.reshape(-1, out.shape[-1]), target.reshape(-1))

    report = torchtest2.check_model(
        case.model, case.inputs[0], case.target, loss_fn=loss if classes else None, skip=("overfit_batch",)
    )
    return any(str(getattr(r.status, "name", r.status)) in {"WARN", "FAIL"} for r in report.results)


def torchdiag_flags(case: Case) -> bool:
    """A gradient that is not OK, or units that it calls dead."""
    torchdiag = importlib.import_module("torchdiag")
    loss_of(case).backward()
    gradients = torchdiag.check_gradients(case.model)
    dead = torchdiag.check_dead_neurons(case.model, case.inputs[0])
    return any(
        s.get("status", "OK") != "OK" for s in [*gradients.values(), *dead.values()] if isinstance(s, dict)
    )


def torchlens_flags(case: Case) -> bool:
    """A row of the audit of gradient flow that is an anomaly."""
    torchlens = importlib.import_module("torchlens")
    options = importlib.import_module("torchlens.options").CaptureOptions
    trace = torchlens.trace(
        case.model, case.inputs[0], capture=options(layers_to_save="all", save_grads="all", random_seed=0)
    )
    out = trace[trace.output_layers[0]].out
    loss = out.float().mean() if case.target is None else functional.cross_entropy(
        out.reshape(-1, out.shape[-1]).float(), case.target.reshape(-1))  # fmt: skip
    trace.log_backward(loss)
    table = torchlens.debug.gradient_flow_audit(trace)
    return bool(table[["vanishing", "exploding", "dead"]].any(axis=None))


TOOLS: dict[str, Callable[[Case], bool]] = {
    "fanin": fanin_flags,
    "torchtest2": torchtest2_flags,
    "torchdiag": torchdiag_flags,
    "TorchLens": torchlens_flags,
}


def flagged(flag: Callable[[Case], bool], make: Callable[[int], Case], seeds: int) -> str:
    """How many of the seeds a tool flags, and how often it failed itself."""
    count = errors = 0
    for seed in range(seeds):
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                count += flag(make(seed))
        except Exception as error:  # noqa: BLE001 - what a tool raises is a part of its answer
            errors += 1
            last = type(error).__name__
    return f"{count} of {seeds}" + (f" ({errors} x {last})" if errors else "")


def main() -> None:
    """Print one row a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    told = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| network | " + " | ".join(told.tools) + " |\n|---|" + "---|" * len(told.tools))
    rows = [(f"healthy: {name}", make) for name, make in HEALTHY.items()]
    rows += [(f"sick: {name}", fault.make) for name, fault in SICK.items()]
    for name, make in rows:
        cells = [flagged(TOOLS[tool], make, told.seeds) for tool in told.tools]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
