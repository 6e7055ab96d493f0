"""Carrying out the runs of a study: in order, in several processes, within a time, and not twice."""

from __future__ import annotations

import contextlib
import hashlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from fanin._version import __version__
from fanin.errors import InputError, explain, finite
from fanin.experiments import journal
from fanin.experiments.asked import count
from fanin.experiments.bench import Bench, Job, run
from fanin.experiments.data import Data
from fanin.experiments.parts import library
from fanin.records.study import Curve
from fanin.sampling.streams import STREAM_VERSION

__all__ = ["Progress", "Runner", "about", "checked_settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a study is.

    Parameters
    ----------
    done, total
        Runs that are there, and all of this round.
    made, seconds
        Runs made by this call, and the time since it began.
    said
        The run that ended last.
    """

    done: int
    total: int
    made: int
    seconds: float
    said: str


@dataclass(slots=True, kw_only=True)
class Runner:
    """What carries out jobs, and remembers those that are done.

    Parameters
    ----------
    bench
        What runs stand on.
    jobs
        Processes.
    budget
        Seconds after which no further run begins; None for no end.
    file
        Where every run is kept as it ends.
    told
        Called after each run.
    done
        Runs that there are, by key.
    """

    bench: Bench
    jobs: int = 1
    budget: float | None = None
    file: Path | None = None
    told: Callable[[Progress], None] | None = None
    done: dict[str, Curve] = field(default_factory=dict)
    began: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - asked when it is called
    made: int = 0

    @property
    def seconds(self) -> float:
        """Time since the runner was made."""
        return time.monotonic() - self.began

    @property
    def out_of_time(self) -> bool:
        """Whether no further run may begin."""
        return self.budget is not None and self.seconds >= self.budget

    def carry_out(self, jobs: Sequence[Job]) -> Mapping[str, Curve]:
        """Make the runs that are not there yet, and return those that are; some miss when time is up."""
        waiting = [job for job in jobs if job.key not in self.done]
        total = len(jobs)
        for job, curve in self._made(waiting):
            self.done[job.key] = curve
            self.made += 1
            if self.file is not None:
                journal.append(self.file, job.key, curve)
            if self.told is not None:
                there = sum(one.key in self.done for one in jobs)
                self.told(
                    Progress(done=there, total=total, made=self.made, seconds=self.seconds, said=job.key)
                )
        return {job.key: self.done[job.key] for job in jobs if job.key in self.done}

    def _made(self, waiting: Sequence[Job]) -> Iterator[tuple[Job, Curve]]:
        if self.jobs == 1 or len(waiting) < 2:
            for job in self._in_time(waiting):
                yield job, run(self.bench, job)
            return
        joblib: Any = library("joblib", "joblib", "Running in several processes")
        # One job a process is handed out at a time, so that the clock is asked before each.
        pool = joblib.Parallel(
            n_jobs=min(self.jobs, len(waiting)), pre_dispatch="n_jobs", batch_size=1,
            return_as="generator_unordered", backend="loky",
        )  # fmt: skip
        yield from pool(joblib.delayed(_ran)(self.bench, job) for job in self._in_time(waiting))

    def _in_time(self, waiting: Iterable[Job]) -> Iterator[Job]:
        for job in waiting:
            if self.out_of_time:
                return
            yield job


def _ran(bench: Bench, job: Job) -> tuple[Job, Curve]:
    """One run in a process of its own, where nobody else sees to what a model prints."""
    with contextlib.redirect_stdout(sys.stderr):
        return job, run(bench, job)


def checked_settings(*, jobs: int, budget: float | None, resume: bool, file: Path | None) -> None:
    """Refuse settings under which nothing can run.

    Raises
    ------
    InputError
        No process, no time, or a study to go on with that has no file.
    """
    count("jobs", jobs, "There is no process to run in")
    if budget is not None and not (finite(budget) and budget > 0.0):
        raise InputError(
            explain("The budget leaves no time", received=budget, rule="It is a number of seconds above 0")
        )
    if resume and file is None:
        raise InputError(explain("Nothing says which study to go on with", remedy="Name its file"))


def about(data: Data, models: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Everything that decides a study's results, for its file: data by their bits, models by their tensors.

    Parameters
    ----------
    data
        Training and test samples.
    models
        What each model is known by.
    settings
        The rest.
    """
    bits = hashlib.sha256()
    for part in (data.train, data.train_labels, data.test, data.test_labels):
        bits.update(f"{part.dtype}{part.shape}".encode())
        bits.update(part.tobytes())
    seen = {
        f"model {name}".strip(): hashlib.sha256(told.encode()).hexdigest()[:16]
        for name, told in models.items()
    }
    versions = {"fanin": __version__, "stream": str(STREAM_VERSION), "torch": torch.__version__}
    return {"data": bits.hexdigest()[:16], **seen, **settings, **versions}
