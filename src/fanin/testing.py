"""Whether a model is fit to start training, as an assertion.

>>> import torch
>>> from fanin.testing import assert_healthy
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
>>> assert_healthy(model, torch.randn(32, 4)).healthy
True
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanin.errors import InputError, explain

if TYPE_CHECKING:
    from fanin.reports.report import Report

__all__ = ["assert_healthy"]

_LEVELS = ("info", "warning", "failure")


def assert_healthy(
    model: Any,
    batch: Any,
    *,
    target: Any = None,
    loss: Callable[..., Any] | None = None,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    fail_on: str = "warning",
    baseline: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Report:
    """Check a torch model and raise if there is a finding.

    Parameters
    ----------
    model
        The model, or a function that makes it.
    batch
        What it takes: a tensor, a tuple of positional arguments, or a mapping of keyword ones.
    target, loss
        As in `fanin.torch.check`.
    select, ignore
        Codes, or beginnings of codes, that count or do not.
    fail_on
        Least severity that counts: "info", "warning" or "failure".
    baseline
        File of findings that are accepted.
    report
        File to save the report in, before anything is raised; its suffix says the form.
    options
        Further ones of `fanin.torch.check`: ``tier``, ``seed``, ``plan``, ``lr``, ``draws``.

    Returns
    -------
    fanin.reports.report.Report

    Raises
    ------
    AssertionError
        There are such findings; the message is the verdict, the findings, causes and fixes.
    InputError
        Another `fail_on`.

    Examples
    --------
    >>> import torch
    >>> deep = [m for _ in range(30) for m in (torch.nn.Linear(64, 64), torch.nn.ReLU())]
    >>> assert_healthy(torch.nn.Sequential(*deep), torch.randn(64, 64))
    Traceback (most recent call last):
    ...
    AssertionError: FAILURE  Sequential will not train as it is: vanishing gradients...
    """
    __tracebackhide__ = True  # pytest then shows the test's line and the verdict, not this function
    if fail_on not in _LEVELS:
        raise InputError(
            explain(
                "There is no such severity", received=repr(fail_on), rule="fail_on is " + ", ".join(_LEVELS)
            )
        )
    # pytest imports this file at its start, and a test that needs no torch must not pay for it.
    from fanin.checks import baseline as known  # noqa: PLC0415
    from fanin.reports.report import Report  # noqa: PLC0415
    from fanin.reports.terminal import brief  # noqa: PLC0415
    from fanin.torch.check import check  # noqa: PLC0415

    inputs = batch if isinstance(batch, tuple) else (batch,)
    made = check(model, *inputs, target=target, loss=loss, select=select, ignore=ignore, **options)
    if baseline is not None:
        made = Report(known.accept(made.diagnosis, known.read(baseline)))
    if report is not None:
        made.save(Path(report))
    grave = [f for f in made.findings if _LEVELS.index(str(f.severity)) >= _LEVELS.index(fail_on)]
    if grave:
        said = io.StringIO()
        brief(made.diagnosis, said)
        raise AssertionError(said.getvalue().rstrip())
    return made
