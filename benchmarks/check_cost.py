"""What a check costs beside one plain forward and backward pass, on networks that nobody here wrote.

    PYTHONPATH=src python benchmarks/check_cost.py [--runs 5] [--tiers ...] [--batch N] [--memory] [--profile]

Times are CPU seconds of this process with one thread, medians over runs that take turns: other work on the
machine hardly counts. The ratio is that of `fanin.torch.probe.measure` (what the model is run for) over
``loss.backward()`` of the same model, batch and loss, parameter gradients included. "passes alone" are those
of the standard tier without anything of fanin: forward, the loss's pass back, and one of a random direction
without gradients of parameters. Memory is what the peak of a process of its own lies above the model and its
batch.
"""

from __future__ import annotations

import argparse
import cProfile
import multiprocessing
import os
import pstats
import resource
import time
from collections.abc import Callable
from functools import partial
from statistics import median
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


def passes(model: torch.nn.Module, inputs: tuple[Any, ...], target: torch.Tensor) -> None:
    """The passes of the standard tier, and nothing else."""
    first: list[torch.Tensor] = []
    leaf = next(m for m in model.modules() if len(list(m.children())) == 0)
    handle = leaf.register_forward_hook(lambda _m, _i, output: first.append(output))
    logits = model(*inputs).logits
    handle.remove()
    loss = functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))
    torch.autograd.grad(logits, first[:1], torch.randn_like(logits), retain_graph=True)
    torch.autograd.grad(loss, list(model.parameters()))


def medians(jobs: dict[str, Callable[[], object]], runs: int) -> dict[str, float]:
    """Median CPU time of each job; they take turns, and the first turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs + 1):
        for name, job in jobs.items():
            start = time.process_time()
            job()
            times[name].append(time.process_time() - start)
    return {name: median(took[1:]) for name, took in times.items()}


def _peak(make: Callable[[], Any], tier: str, answer: Any) -> None:
    torch.set_num_threads(1)
    model, inputs, target = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if tier == "plain":
        plain(model, inputs, target)
    else:
        measure(model, *inputs, target=target, tier=tier)
    answer.put(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def peak(make: Callable[[], Any], tier: str) -> float:
    """Mebibytes that a fresh process needs beyond the model and its batch."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    child = context.Process(target=_peak, args=(make, tier, answer))
    child.start()
    found = float(answer.get(timeout=1800)) / 1024.0
    child.join()
    return found


def main() -> None:
    """Print one row a network and tier."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tiers", nargs="*", default=["fast", "standard"], choices=TIERS)
    parser.add_argument("--only", choices=("ResNet-50", "GPT-2"))
    parser.add_argument("--batch", type=int, help="Samples; 8 images or 4 sequences.")
    parser.add_argument("--memory", action="store_true", help="Measure peaks of memory, not time.")
    parser.add_argument("--profile", action="store_true", help="Show where the standard tier's time goes.")
    told = parser.parse_args()
    torch.set_num_threads(1)
    unit = "MiB" if told.memory else "s"
    print("| network | tier | measured | of one forward + backward |\n|---|---|---|---|")
    for name, make in (("ResNet-50", resnet50), ("GPT-2", gpt2)):
        if told.only not in (None, name):
            continue
        build = make if told.batch is None else partial(make, told.batch)
        model, inputs, target = build()
        if told.memory:
            found = {tier: peak(build, tier) for tier in ("plain", *told.tiers)}
        else:
            jobs: dict[str, Callable[[], object]] = {
                "plain": partial(plain, model, inputs, target),
                "passes alone": partial(passes, model, inputs, target),
            }
            jobs |= {t: partial(measure, model, *inputs, target=target, tier=t) for t in told.tiers}
            found = medians(jobs, told.runs)
        for tier, took in found.items():
            print(f"| {name} | {tier} | {took:.4g} {unit} | {took / found['plain']:.2f} |", flush=True)
        if told.profile and not told.memory:
            profile = cProfile.Profile()
            profile.runcall(measure, model, *inputs, target=target)
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
