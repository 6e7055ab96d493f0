"""What is asked of every plan before it is carried out, in whatever framework."""

from __future__ import annotations

from fanin.errors import InputError, explain
from fanin.records.plan import Plan
from fanin.sampling.streams import STREAM_VERSION
from fanin.schemes.fit import check_rounding, coarseness

__all__ = ["check_plan", "check_precision", "check_stream"]


def check_plan(plan: object, *, maker: str) -> None:
    """Refuse what is no plan; `maker` is the call that makes one.

    Raises
    ------
    InputError
        Something else than a plan.
    """
    if not isinstance(plan, Plan):
        raise InputError(
            explain(
                "There is no plan to carry out",
                received=type(plan).__name__,
                remedy=f"Make one with {maker}, or load one with Plan.load(path)",
            )
        )


def check_stream(plan: Plan) -> None:
    """Refuse a plan that another fanin drew other numbers for.

    Raises
    ------
    InputError
        A plan of another version of the random streams.
    """
    if plan.stream != STREAM_VERSION:
        raise InputError(
            explain(
                "The plan was made for another version of the random streams",
                received=f"stream {plan.stream}",
                rule=f"This fanin draws stream {STREAM_VERSION}",
                remedy="Plan again, or use the fanin that made the plan",
            )
        )


def check_precision(plan: Plan) -> None:
    """One warning for a plan whose dtypes are too coarse for its draws.

    Raises
    ------
    InputError
        A format in which every weight of a tensor would be 0.
    """
    drawing = [(e, e.draw) for e in plan.entries if e.draw is not None and 0 not in e.shape]
    coarse = [(e, draw) for e, draw in drawing if coarseness(draw, e.dtype, name=e.name)]
    if coarse:
        first, draw = coarse[0]
        check_rounding(draw, first.dtype, name=first.name, more=len(coarse) - 1)
