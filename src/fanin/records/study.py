"""What an experiment ran and what came out: every curve, so that any summary can be made again."""

from __future__ import annotations

from dataclasses import dataclass

from fanin.records.finding import Diagnosis, Finding
from fanin.records.plan import Plan

__all__ = ["Arm", "Contrast", "Curve", "Factor", "Rate", "Start", "Study", "Tuned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One training run.

    Parameters
    ----------
    seed
        Of the model's own draws, the law's and the order of the samples.
    accuracy, loss
        At each mark: accuracy on what is not trained on, and the mean training loss since the mark before.
    steps
        Step of each mark; empty where the marks are epochs.
    validation
        Loss on what is not trained on, at each mark.
    learning_rate
        Of this run; None where the study's settings have it.
    test_accuracy, test_loss
        On the data held out, at the end; None where these were not looked at.
    diverged
        Step at which the loss was no number any more; None in a run that came to its end.
    """

    seed: int
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    steps: tuple[int, ...] = ()
    validation: tuple[float, ...] = ()
    learning_rate: float | None = None
    test_accuracy: float | None = None
    test_loss: float | None = None
    diverged: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A learning rate that was tried for one arm, and its mean validation loss over the seeds."""

    learning_rate: float
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How an arm looked at step zero, under the first seed.

    `predicted` is the first loss by law, `measured` that of the batch; `findings` are those of a check;
    `obstacle` says why it could not be made.
    """

    predicted: float | None = None
    measured: float | None = None
    findings: tuple[Finding, ...] = ()
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One thing that was tried: its name, how it looked at step zero, and its runs.

    Parameters
    ----------
    diagnosis
        The whole check at step zero, where a study keeps it.
    curves
        A run a seed, at the learning rate that the arm was given.
    model, law
        Which of the architectures, and which law; empty in a study that has one of them.
    start
        The check at step zero in short.
    rates
        Learning rates that were tried, where there were several.
    scores
        On the data held out, one a run; a run that diverged counts as guessing.
    mean, low, high
        Of the scores, with the 95 % interval of the mean (Student's t, within what the score can be).
    """

    name: str
    diagnosis: Diagnosis | None = None
    curves: tuple[Curve, ...]
    model: str = ""
    law: str = ""
    start: Start | None = None
    rates: tuple[Rate, ...] = ()
    scores: tuple[float, ...] = ()
    mean: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two arms under the same seeds: the mean of ``first - second`` and what can be said of it.

    Parameters
    ----------
    first, second
        Names of the arms.
    seeds
        Pairs that the figures rest on.
    mean, low, high
        Mean difference of the score and its 95 % interval (Student's t of the paired differences).
    p
        Of a paired t-test, two-sided, times Holm's factor for all pairs of the study.
    detectable
        Difference that so many seeds with this spread would show four times in five.
    shown
        Whether the adjusted p is below 0.05.
    """

    first: str
    second: str
    seeds: int
    mean: float
    low: float
    high: float
    p: float
    detectable: float
    shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One factor on the weights, tried by cross-validation.

    Parameters
    ----------
    factor
        What the std of the group's weights was multiplied by.
    losses
        Validation loss of each fold at the end; inf where the run diverged.
    mean, error
        Mean of the folds and its standard error.
    steps
        Training steps that the factor was given; fewer than the study's where it was dropped on the way.
    """

    factor: float
    losses: tuple[float, ...]
    mean: float
    error: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The factors of one group of weights: the curve, the best, and the one that was chosen.

    `chosen` is, of the factors whose mean is within one standard error of the best, the nearest to 1.
    """

    group: str
    tensors: int
    factors: tuple[Factor, ...]
    best: float
    chosen: float


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
    score
        What arms are judged by on the data held out: "accuracy" or "loss".
    guess
        Loss of guessing by the classes' shares: what a run that diverged counts as, at the least.
    target
        Validation loss whose first step is reported.
    contrasts
        Every two arms compared, under the same seeds.
    tuned
        What cross-validation found for each group of weights.
    plan
        The plan with the chosen factors.
    notes
        What the reader must know of how it went.
    """

    title: str
    data: str
    chance: float
    settings: tuple[tuple[str, str], ...]
    arms: tuple[Arm, ...]
    seconds: float
    score: str = "accuracy"
    guess: float | None = None
    target: float | None = None
    contrasts: tuple[Contrast, ...] = ()
    tuned: tuple[Tuned, ...] = ()
    plan: Plan | None = None
    notes: tuple[str, ...] = ()
