"""Options that several commands share, and what they hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["form", "model_options"]

F = TypeVar("F", bound=Callable[..., Any])

_MODEL = (
    click.argument("target"),
    click.option(
        "--input", "-i", "inputs", multiple=True, metavar="[NAME=]SIZES[:DTYPE]",
        help="An input to make up: 8x3x32x32, 2x16:int64 or input_ids=2x16:int64. Repeat for several.",
    ),
    click.option(
        "--batch", "-b", metavar="FILE.py:FUNCTION",
        help="A function that returns the batch: a tensor, a tuple of them, a mapping of keyword inputs, or "
        "a pair (inputs, target) for a model that takes one input.",
    ),
    click.option(
        "--policy", default="auto", show_default=True,
        help="auto, one law for all, or a convention; modifiers follow after a plus sign: he+zero-out.",
    ),
    click.option(
        "--seed", default=0, show_default=True, type=click.IntRange(0, 2**64 - 1), help="Of all draws.",
    ),
    click.option(
        "--set", "rules", multiple=True, metavar="PATTERN=SCHEME",
        help="Another scheme for matching tensors: '*.embed.weight=normal(std=0.02)'. The last match counts.",
    ),
    click.option(
        "--class-prior", "priors", multiple=True, metavar="[HEAD=]P,P,...",
        help="Share of each class (or its count), for the bias of the head, so that the first loss is the "
        "entropy of the classes. One number: the share of positives, for sigmoids. Repeat for several heads.",
    ),
)  # fmt: skip


def model_options(command: F) -> F:
    """TARGET, the batch, and how to plan."""
    for option in reversed(_MODEL):
        command = option(command)
    return command


def form(command: F) -> F:
    """``--format text|json``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="What to write to stdout.",
    )(command)
