"""What a study found: it prints, shows which way to begin is better, and saves."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fanin.errors import InputError, explain
from fanin.records import codec
from fanin.records.plan import Plan
from fanin.records.study import Study
from fanin.reports.forms import save
from fanin.reports.outcome_text import outcome_lines, plain_outcome
from fanin.reports.ranking import ranked, verdict

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What a comparison or a tuning found, to read, keep and pass on.

    Parameters
    ----------
    study
        The record that everything here shows: every curve, every contrast.

    Examples
    --------
    >>> from fanin.records.study import Arm, Curve
    >>> runs = (
    ...     Curve(seed=0, accuracy=(0.5,), loss=(1.0,), steps=(10,), validation=(1.0,), test_accuracy=0.5),
    ... )
    >>> arm = Arm(name="he", curves=runs, scores=(0.5,), mean=0.5)
    >>> made = Outcome(Study(title="Net", data="toy", chance=0.5, settings=(), arms=(arm,), seconds=1.0))
    >>> made.best
    'he'
    """

    study: Study

    @property
    def best(self) -> str:
        """Name of the arm with the best mean score."""
        return ranked(self.study)[0].name

    @property
    def verdict(self) -> str:
        """One or two sentences: what is shown, and what is not."""
        return verdict(self.study)

    def plan(self) -> Plan:
        """Hand over the tuned plan: to save, to look at, to carry out with ``fanin.torch.apply_``.

        Raises
        ------
        InputError
            A comparison, which tunes no plan.
        """
        if self.study.plan is None:
            raise InputError(
                explain(
                    "There is no tuned plan",
                    received=self.study.title,
                    remedy="fanin.experiments.tune makes one; after a comparison use fanin.torch.plan",
                )
            )
        return self.study.plan

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return plain_outcome(self.study)

    def __rich__(self) -> Any:
        return importlib.import_module("fanin.reports.terminal").as_rich(outcome_lines(self.study))

    def to_json(self) -> str:
        """Write the study as a JSON document; `fanin.records.codec.from_json` reads it back."""
        return codec.to_json(self.study)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the study, in the form that the name's suffix asks for.

        Parameters
        ----------
        path
            ``.html`` for one self-contained page (needs plotly), ``.json`` for the record, ``.txt`` for text.

        Raises
        ------
        InputError
            A suffix that stands for no form, or a form whose library is not installed.
        OutputError
            A place that cannot be written.
        """
        forms: dict[str, Callable[[], str]] = {
            ".html": lambda: str(
                importlib.import_module("fanin.reports.outcome_html").outcome_page(self.study)
            ),
            ".json": self.to_json,
            ".txt": lambda: plain_outcome(self.study) + "\n",
        }
        return save(path, "A study", forms)
