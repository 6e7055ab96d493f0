"""Class priors on real images with rare classes: the first loss is the entropy of the labels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

import fanin.torch as ft
from fanin.experiments.data import load
from fanin.plans.logits import LOGIT_STD
from fanin.plans.prior import Link, Prior

pytest.importorskip("sklearn")

SEEDS = 8


def imbalanced() -> tuple[torch.Tensor, torch.Tensor]:
    """Digits of which class k is kept with the share 2^-k."""
    data = load("digits")
    rng = np.random.default_rng(0)
    kept = rng.random(len(data.train_labels)) < 0.5**data.train_labels
    return torch.from_numpy(data.train[kept]), torch.from_numpy(data.train_labels[kept])


def net(outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, outputs)
    )


def first_losses(images: torch.Tensor, outputs: int, loss: object, prior: object) -> list[float]:
    model = net(outputs)
    found = []
    for seed in range(SEEDS):
        ft.init_(model, images, seed=seed, class_prior=prior)  # type: ignore[arg-type]
        with torch.no_grad():
            found.append(float(loss(model(images))))  # type: ignore[operator]
    return found


def test_the_first_softmax_loss_is_the_entropy_of_the_labels() -> None:
    images, labels = imbalanced()
    counts = dict(enumerate((torch.bincount(labels, minlength=10) + 1).tolist()))
    shares = np.array(list(counts.values())) / sum(counts.values())
    entropy = float(-(np.bincount(labels, minlength=10) / len(labels) @ np.log(shares)))
    without = first_losses(images, 10, lambda out: cross_entropy(out, labels), None)
    with_prior = first_losses(images, 10, lambda out: cross_entropy(out, labels), counts)
    # Logits of std s add s^2/2 at most; images of one class share theirs, so a seed is off by s / sqrt(2).
    noise = LOGIT_STD / math.sqrt(SEEDS)
    assert np.mean(with_prior) == pytest.approx(entropy + LOGIT_STD**2 / 2, abs=3 * noise)
    assert np.mean(without) == pytest.approx(math.log(10) + LOGIT_STD**2 / 2, abs=3 * noise)
    assert np.mean(without) > np.mean(with_prior) + 0.5


def test_sigmoids_with_rare_positives() -> None:
    images, labels = imbalanced()
    targets = torch.nn.functional.one_hot(labels, 10).float()
    shares = ((targets.sum(0) + 1) / (len(targets) + 2)).tolist()
    prior = Prior(probabilities=tuple(shares), link=Link.SIGMOID)
    losses = first_losses(images, 10, lambda out: binary_cross_entropy_with_logits(out, targets), prior)
    without = first_losses(images, 10, lambda out: binary_cross_entropy_with_logits(out, targets), None)
    assert np.mean(losses) == pytest.approx(prior.entropy, abs=0.1)
    assert np.mean(without) > math.log(2)


def test_one_output_one_number() -> None:
    images, labels = imbalanced()
    target = (labels == 3).float()
    share = float(target.mean())
    losses = first_losses(
        images, 1, lambda out: binary_cross_entropy_with_logits(out.squeeze(1), target), share
    )
    entropy = -share * math.log(share) - (1 - share) * math.log1p(-share)
    assert np.mean(losses) == pytest.approx(entropy, abs=3 * LOGIT_STD / math.sqrt(SEEDS))


def test_the_bias_survives_json_and_writing() -> None:
    model = net(3)
    plan = ft.plan(model, torch.zeros(1, 64), class_prior=(0.7, 0.2, 0.1))
    ft.apply_(model, type(plan).from_json(plan.to_json()))
    bias = model[-1].bias
    assert isinstance(bias, torch.Tensor)
    assert torch.softmax(bias, 0).tolist() == pytest.approx([0.7, 0.2, 0.1], rel=1e-6)
