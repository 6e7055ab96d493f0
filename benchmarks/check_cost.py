"""What a check costs beside one plain forward and backward pass, on networks that nobody here wrote.

    PYTHONPATH=src python benchmarks/check_cost.py [--runs 3] [--tiers ...] [--batch N] [--profile]

Times are CPU seconds of this process with one thread, the least of several runs in turn: other work on the
machine does not count. The ratio is that of `fanin.torch.probe.measure` (what the model is run for) over
``loss.backward()`` of the same model, batch and loss, parameter gradients included.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import time
from collections.abc import Callable
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch.nn import functional

from fanin.torch.probe import measure

__all__ = ["main"]

TIERS = ("fast", "standard", "deep")


def resnet50(batch: int = 8) -> tuple[torch.nn.Module, tuple[Any, ...], torch.Tensor]:
    """ResNet-50 of transformers, random weights, images of 224 pixels."""
    from transformers import ResNetConfig, ResNetForImageClassification  # noqa: PLC0415 - heavy

    torch.manual_seed(0)
    model = ResNetForImageClassification(ResNetConfig(num_labels=1000))
    return model, (torch.randn(batch, 3, 224, 224),), torch.arange(batch)


def gpt2(batch: int = 4) -> tuple[torch.nn.Module, tuple[Any, ...], torch.Tensor]:
    """GPT-2 small of transformers, random weights, sequences of 128 tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel  # noqa: PLC0415 - heavy

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    tokens = torch.randint(50257, (batch, 128))
    return model, (tokens,), tokens.roll(-1, dims=1)


def plain(model: torch.nn.Module, inputs: tuple[Any, ...], target: torch.Tensor) -> None:
    """One forward and backward pass as a training step makes it."""
    logits = model(*inputs).logits
    functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1)).backward()
    model.zero_grad(set_to_none=True)


def least(run: Callable[[], object], runs: int) -> float:
    """Least CPU time of several runs, the first one apart."""
    run()
    times = []
    for _ in range(runs):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print one row a network and tier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tiers", nargs="*", default=list(TIERS), choices=TIERS)
    parser.add_argument("--only", choices=("ResNet-50", "GPT-2"))
    parser.add_argument("--batch", type=int, help="Samples; 8 images or 4 sequences.")
    parser.add_argument("--profile", action="store_true", help="Show where the standard tier's time goes.")
    told = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | one forward + backward | tier | measured | ratio |\n|---|---|---|---|---|")
    for name, make in (("ResNet-50", resnet50), ("GPT-2", gpt2)):
        if told.only not in (None, name):
            continue
        model, inputs, target = make() if told.batch is None else make(told.batch)
        base = least(partial(plain, model, inputs, target), told.runs)
        for tier in told.tiers:
            took = least(partial(measure, model, *inputs, target=target, tier=tier), told.runs)
            print(f"| {name} | {base:.2f} s | {tier} | {took:.2f} s | {took / base:.2f} |", flush=True)
        if told.profile:
            profile = cProfile.Profile()
            profile.runcall(measure, model, *inputs, target=target)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
