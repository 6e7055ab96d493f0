"""``--widths``: one TARGET at several widths, from a function of the width or a configuration."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from fanin.cli import batches, hub_widths, targets
from fanin.cli.output import note, progress
from fanin.errors import InputError, TargetError, explain
from fanin.reports.report import Report
from fanin.torch.check_width import check_width

__all__ = ["Asked", "Maker", "check", "maker", "optimizer", "parsed"]

Maker = Callable[[int], nn.Module]

_EXAMPLE = "Such as --widths 64,128,256"
_LEAST = 3
_TIMES = 3
"""Steps to take, and models a width, where nobody says how many."""
_OWN = ("adam", "sgd")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a check of several widths was asked for, in the words of the command line."""

    widths: str
    optimizer: str | None = None
    steps: int | None = None
    draws: int | None = None


def check(
    target: str,
    inputs: Sequence[str],
    batch: str | None,
    asked: Asked,
    *,
    seed: int,
    lr: float | None,
    select: Sequence[str],
    ignore: Sequence[str],
) -> tuple[Report, batches.Batch]:
    """Check a TARGET at several widths, and say what the batch was."""
    # What is misspelt is said before a model is built.
    widths, stepper = parsed(asked.widths), optimizer(asked.optimizer)
    make, said = maker(target, widths)
    progress(f"building {target} at width {widths[0]}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        narrow = make(widths[0])
        data = batches.make(narrow, inputs, batch)
        if data.source.startswith("made up from") and isinstance(data.inputs[0], Mapping):
            data = replace(data, inputs=(hub_widths.labelled(narrow, data.inputs[0]),))
    progress("")
    note(f"widths {', '.join(map(str, widths))}: {said}")
    draws = asked.draws or _TIMES
    progress(f"{len(widths) * draws} models of {len(widths)} widths, some steps of each")
    report = check_width(
        make,
        *data.inputs,
        widths=widths,
        target=data.target,
        optimizer=stepper,
        lr=lr,
        steps=asked.steps or _TIMES,
        draws=draws,
        seed=seed,
        select=select,
        ignore=ignore,
    )
    return report, data


def parsed(text: str) -> tuple[int, ...]:
    """Read the widths.

    Raises
    ------
    InputError
        What is no list of three whole numbers or more, each above the one before.

    Examples
    --------
    >>> parsed("64, 128,256")
    (64, 128, 256)
    """
    words = [word.strip() for word in text.split(",")]
    rule = f"{_LEAST} whole numbers above 0 or more, in ascending order, with commas between them"
    if not all(word.isascii() and word.isdigit() and 0 < len(word) < 10 for word in words):
        odd = next(word for word in words if not (word.isascii() and word.isdigit() and 0 < len(word) < 10))
        raise InputError(
            explain("--widths holds what is no width", received=repr(odd), rule=rule, remedy=_EXAMPLE)
        )
    found = tuple(int(word) for word in words)
    if found[0] == 0 or any(b <= a for a, b in itertools.pairwise(found)):
        raise InputError(
            explain("--widths are not in ascending order", received=text, rule=rule, remedy=_EXAMPLE)
        )
    if len(found) < _LEAST:
        raise InputError(
            explain(
                "No trend can be told from so few --widths",
                received=text,
                rule=rule,
                remedy=_EXAMPLE,
            )
        )
    return found


def maker(target: str, widths: tuple[int, ...]) -> tuple[Maker, str]:
    """Make the function from a width to a model that a TARGET stands for, and say how the width is used.

    Parameters
    ----------
    target
        A function or class that is called with the width; or a configuration, whose sizes are scaled.
    widths
        Those that will be asked for: a configuration that cannot have one is refused before any is built.

    Raises
    ------
    TargetError
        Nothing of that name, a model that is one already, a function that takes no width; or, as the maker
        is called, one that fails.
    InputError
        A configuration whose sizes do not follow from one width, or not from one of these.
    """
    if target.startswith("hf:"):
        return hub_widths.maker(target[3:], widths)
    found = targets.attribute(target, purpose="TARGET")
    remedy = "Name a function that takes the width and returns the model: def make(width): ..."
    if isinstance(found, nn.Module) or not callable(found):
        raise TargetError(
            explain(
                f"TARGET '{target}' makes no model of a width",
                received=f"a {type(found).__name__}",
                rule="With --widths it is called with the width",
                remedy=remedy,
            )
        )
    if not targets.takes(found, widths[0]):
        raise TargetError(
            explain(
                f"TARGET '{target}' takes no width",
                received=targets.signature(found),
                rule="With --widths it is called with the width alone",
                remedy=remedy,
            )
        )
    return lambda width: targets.called(found, target, width), "TARGET is called with each width"


def optimizer(text: str | None) -> str | Callable[[nn.Module], torch.optim.Optimizer]:
    """Read ``--optimizer``: adam, sgd, or a function from the model to its optimiser.

    Raises
    ------
    InputError
        Neither.
    TargetError
        A function that cannot be found.
    """
    if text is None or text in _OWN:
        return text or "adam"
    if ":" not in text:
        raise InputError(
            explain(
                "There is no such optimiser",
                received=repr(text),
                rule="It is adam, sgd, or file.py:function, a function from the model to its optimiser",
            )
        )
    found = targets.attribute(text, purpose="--optimizer")
    if not callable(found):
        raise TargetError(explain("--optimizer names no function", received=type(found).__name__))
    made: Callable[[nn.Module], torch.optim.Optimizer] = found
    return made
