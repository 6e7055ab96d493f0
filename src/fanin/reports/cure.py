"""In words: what the plan cures, what it does not, and what is accepted as it is."""

from __future__ import annotations

from collections.abc import Iterator

from fanin.records.finding import Diagnosis
from fanin.reports.figures import plural

__all__ = ["cure_told"]


def cure_told(diagnosis: Diagnosis) -> Iterator[tuple[str, str]]:
    """Label and sentence of each thing there is to say; nothing if no cure was tried and none accepted.

    Parameters
    ----------
    diagnosis
        As the checks made it.
    """
    tried = diagnosis.cure
    if tried is not None:
        call = f"fanin.{(diagnosis.graph.framework.split() or ['torch'])[0]}.apply_(model, report.plan())"
        if tried.cured:
            yield "cured", f"{', '.join(tried.cured)}: gone when the plan was tried. {call} carries it out"
        if tried.left:
            yield (
                "remains",
                f"{', '.join(tried.left)}: still there with the plan; no initialisation cures it",
            )
        if tried.new:
            yield "new", f"{', '.join(tried.new)}: comes up with the plan"
    if diagnosis.accepted:
        codes = ", ".join(dict.fromkeys(f.code for f in diagnosis.accepted))
        yield "accepted", f"{plural(len(diagnosis.accepted), 'finding')} of the baseline ({codes})"
