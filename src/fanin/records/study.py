"""What an experiment ran and what came out: every curve, so that any summary can be made again."""

from __future__ import annotations

from dataclasses import dataclass

from fanin.records.finding import Diagnosis

__all__ = ["Arm", "Curve", "Study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training run: the seed, and after each epoch the test accuracy and mean training loss."""

    seed: int
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that was tried: its name, how it looked at step zero, and its runs."""

    name: str
    diagnosis: Diagnosis
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A comparison: the same model and data, several ways to begin.

    Parameters
    ----------
    title
        What was compared.
    data
        Where the data came from, and how it was split.
    chance
        Accuracy of always guessing the most frequent class of the test data.
    settings
        Everything needed to run it again, as name and value.
    arms
        What was tried, the baseline first.
    seconds
        Time that training took, of all runs.
    """

    title: str
    data: str
    chance: float
    settings: tuple[tuple[str, str], ...]
    arms: tuple[Arm, ...]
    seconds: float
