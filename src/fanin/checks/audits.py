"""A model's weights against a plan: every tensor, with one false-alarm rate for all of them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fanin.checks.figures import times
from fanin.checks.questions import Figures, figures, questions, same_bits
from fanin.checks.weights import named_law
from fanin.errors import InputError, explain
from fanin.records.audit import Audit, Comparison, Match, Test
from fanin.records.finding import Severity
from fanin.records.pieces import pieces
from fanin.records.plan import Entry, Plan, Status
from fanin.records.trace import ParameterMeasurement
from fanin.sampling.cast import DTYPES

__all__ = ["LEVEL", "audit"]

LEVEL = 1e-6
"""Chance that an audit says something of a model whose tensors all have the declared laws."""

_ODD = 1e-2
"""Share of numbers of a size that no initialisation has, from which memory counts as garbage."""
_SMALLEST, _LARGEST = 1e-30, 1e10
"""Magnitudes beyond which a weight's number was never written by anyone."""
_BRANCH = "residual branch"
"""What the reasons of rules for depth speak of."""
_ORDER = ("not finite", "garbage", "zeros", "constant", "std", "mean", "distribution", "bounds")

Values = Callable[[Entry], NDArray[Any]]
"""The numbers of an entry's tensor, as stored, in float32 or float64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One tensor, before it is known how many questions are asked in all."""

    entry: Entry
    figures: Figures
    tests: tuple[Test, ...] = ()
    exact: bool = False
    broken: str = ""
    digest: str = ""
    law: str = ""


def audit(plan: Plan, values: Values, *, against: str = "", level: float = LEVEL) -> Audit:
    """Compare live weights with what a plan declares.

    A tensor differs where a test's chance is below ``level / (number of tests)``, so that all tests
    together are wrong about one model in ``1 / level`` (Bonferroni; the tests need not be independent).

    Parameters
    ----------
    plan
        What is declared: a plan that was carried out, or what a named convention asks for.
    values
        Gives the numbers of each entry's tensor; one tensor is held at a time.
    against
        Name of what it is compared with; by default the plan's policy and seed.
    level
        Chance of a false alarm over all tensors together, between 0 and 1.

    Returns
    -------
    Audit

    Raises
    ------
    InputError
        A level out of range.

    Examples
    --------
    >>> from fanin.records.draw import Normal
    >>> entry = Entry(
    ...     name="w",
    ...     shape=(64, 64),
    ...     dtype="float32",
    ...     status=Status.CLAIMED,
    ...     draw=Normal(std=0.02),
    ...     scheme="normal",
    ...     rule="mine",
    ...     reason="to show",
    ... )
    >>> plan = Plan(model="Net", framework="torch", policy="mine", seed=0, stream=1, entries=(entry,))
    >>> live = np.random.default_rng(0).normal(0.0, 0.08, (64, 64)).astype(np.float32)
    >>> found = audit(plan, lambda entry: live)
    >>> found["w"].faults, found.agrees
    (('std',), False)

    References
    ----------
    O. J. Dunn, Multiple Comparisons Among Means, 1961 (Bonferroni's bound).
    """
    if not 0.0 < level < 1.0:
        raise InputError(
            explain("The false-alarm rate is out of range", received=f"level={level}", rule="0 < level < 1")
        )
    seen = [_looked_at(entry, values(entry), plan) for entry in plan.entries]
    count = max(1, sum(0.0 < test.chance < 1.0 for one in seen for test in one.tests))
    alike = _alike(seen)
    rules = Counter(entry.rule for entry in plan.entries)
    return Audit(
        model=plan.model,
        framework=plan.framework,
        against=against or f"policy {plan.policy}, seed {plan.seed}",
        level=level,
        comparisons=tuple(
            _judged(one, level / count, alike.get(one.entry.name, ()), rules[one.entry.rule]) for one in seen
        ),
        notes=plan.notes,
    )


def _looked_at(entry: Entry, values: NDArray[Any], plan: Plan) -> _Seen:
    found = figures(values)
    broken = _broken(values, found, entry)
    if entry.draw is None or broken in ("not finite", "garbage") or entry.dtype not in DTYPES:
        return _Seen(entry=entry, figures=found, broken=broken)
    named = [(piece, "" if isinstance(piece.name, str) else piece.name[-1]) for piece in pieces(entry)]
    asked = values
    if entry.zeroed is not None:
        # The row that is kept at zero is no sample; it is asked for by itself.
        asked = np.delete(values, entry.zeroed, axis=0)
    random = entry.std is not None and entry.std > 0.0
    exact = (
        random
        and entry.zeroed is None
        and all(same_bits(values[piece.index], piece, entry.dtype, plan.seed) for piece, _ in named)
    )
    tests: list[Test] = []
    for piece, block in named:
        part = asked if entry.zeroed is not None else values[piece.index]
        tests += questions(part, piece, entry.dtype, block)
    if entry.zeroed is not None:
        row = float(np.abs(values[entry.zeroed]).max())
        tests.append(
            Test(name="value", block="padding", measured=row, declared=0.0, chance=float(row == 0.0))
        )
    return _Seen(
        entry=entry,
        figures=found,
        tests=tuple(tests),
        exact=exact,
        broken=broken,
        digest=_digest(values) if random and values.size > 1 else "",
        law=_law(entry, found, plan.framework),
    )


def _broken(values: NDArray[Any], found: Figures, entry: Entry) -> str:
    """What is wrong whatever is declared: numbers that no initialisation writes."""
    if not found.finite:
        return "not finite"
    random = entry.std is not None and entry.std > 0.0
    if random and found.count > 1 and found.low == found.high:
        return "zeros" if found.low == 0.0 else "constant"
    if max(abs(found.low), abs(found.high)) > _LARGEST:
        return "garbage"
    if random or entry.draw is None:
        some = np.abs(values.reshape(-1)[: 1 << 16])
        tiny = np.count_nonzero((some > 0.0) & (some < _SMALLEST))
        if some.size and tiny > _ODD * some.size:
            return "garbage"
    return ""


def _law(entry: Entry, found: Figures, framework: str) -> str:
    measure = ParameterMeasurement(
        name=entry.name,
        numel=found.count,
        mean=found.mean,
        std=found.std,
        largest=max(abs(found.low), abs(found.high)),
        finite=found.finite,
        gradient_norm=None,
    )
    if found.count == 0:
        return ""
    return named_law(measure, entry, framework.split(maxsplit=1)[0]) or ""


def _digest(values: NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).hexdigest()


def _alike(seen: Sequence[_Seen]) -> Mapping[str, tuple[str, ...]]:
    """For each tensor those before it that hold the same numbers, though each should be drawn by itself."""
    groups: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for one in seen:
        if one.digest and not one.broken:
            groups[one.entry.shape, one.digest].append(one.entry.name)
    return {
        name: tuple(names[:place]) for names in groups.values() for place, name in enumerate(names) if place
    }


def _judged(one: _Seen, threshold: float, alike: tuple[str, ...], branches: int) -> Comparison:
    entry, found = one.entry, one.figures
    faults: list[str] = [one.broken] if one.broken else []
    if not faults and not one.exact:
        faults += [test.name for test in one.tests if test.chance < threshold]
        if "std" in faults:
            # A law of another width ends elsewhere too: that is no second fault.
            faults = [fault for fault in faults if fault != "bounds"]
    if alike:
        faults.append("identical")
    faults = list(dict.fromkeys(faults))
    faults.sort(key=lambda fault: _ORDER.index(fault) if fault in _ORDER else len(_ORDER))
    if entry.draw is None:
        match = Match.KEPT
    elif faults:
        match = Match.DIFFERS
    else:
        match = Match.EXACT if one.exact else Match.AGREES
    blocks = sorted({test.block for test in one.tests if test.block and test.chance < threshold})
    line = Comparison(
        name=entry.name,
        aliases=entry.aliases,
        shape=entry.shape,
        dtype=entry.dtype,
        match=match,
        severity=_severity(entry, faults),
        declared="" if entry.draw is None else _declared(entry),
        declared_mean=None if entry.draw is None else entry.draw.mean,
        declared_std=entry.std,
        rule=entry.rule if entry.draw is not None else "",
        mean=found.mean,
        std=found.std,
        low=found.low,
        high=found.high,
        law=one.law,
        faults=tuple(faults),
        tests=one.tests,
    )
    if not faults:
        return line
    told = [_told(fault, line, entry, threshold, branches) for fault in faults]
    if "identical" in faults:
        told.append(f"holds the same numbers as {alike[0]}, though each is declared to be drawn by itself")
    if blocks and len(entry.blocks) > 1:
        told.append("in block " + ", ".join(blocks))
    return replace(line, finding="; ".join(text for text in told if text))


def _severity(entry: Entry, faults: Sequence[str]) -> Severity | None:
    if not faults:
        return None
    if faults[0] in ("not finite", "garbage", "zeros", "constant"):
        return Severity.FAILURE
    return Severity.INFO if entry.status == Status.UNRECOGNISED else Severity.WARNING


def _declared(entry: Entry) -> str:
    return " | ".join(dict.fromkeys(str(part.draw) for part in (entry.blocks or (entry,))))


def _told(fault: str, line: Comparison, entry: Entry, threshold: float, branches: int) -> str:
    """What one fault means, with its figures."""
    looks = f"; it looks like {line.law}" if line.law else ""
    tests = {
        test.name: test for test in sorted(line.tests, key=lambda t: -t.chance) if test.chance < threshold
    }
    match fault:
        case "not finite":
            return "holds numbers that are not finite: it was never initialised, or overflowed"
        case "garbage":
            return (
                f"holds numbers from {line.low:.3g} to {line.high:.3g} of sizes that nobody draws: "
                "memory that was never initialised"
            )
        case "zeros":
            return f"is zero everywhere, where {line.declared} is declared: never initialised"
        case "constant":
            return f"is {line.low:.4g} everywhere, where {line.declared} is declared: all units are alike"
        case "std":
            return f"{_std(line)}{looks}{_missing(line, entry, branches)}"
        case "mean":
            return f"has the mean {line.mean:.4g}, declared {line.declared_mean:.4g}"
        case "distribution":
            return f"has the std but not the shape of {line.declared}{'' if 'std' in line.faults else looks}"
        case "bounds":
            ends = tests.get("bounds")
            measured, declared = (ends.measured, ends.declared) if ends else (line.high, math.nan)
            return f"reaches {measured:.4g}, beyond {declared:.4g}, where {line.declared} ends"
        case "value":
            value = tests.get("value")
            measured, declared = (value.measured, value.declared) if value else (line.mean, math.nan)
            return f"holds {measured:.6g} where {declared:.6g} is declared"
        case "orthonormality":
            return f"its rows are not orthonormal, as {line.declared} declares"
        case _:
            return ""


def _std(line: Comparison) -> str:
    std = line.declared_std
    if not std or line.ratio is None:
        return f"has the std {line.std:.4g}, declared {std or 0.0:.4g}"
    return f"has the std {line.std:.4g}, {times(line.ratio)} times the declared {std:.4g}"


def _missing(line: Comparison, entry: Entry, branches: int) -> str:
    """Whether the tensor is as declared but for a factor of depth, which libraries lose in silence."""
    if line.ratio is None or not any(_BRANCH in text for text in (entry.reason, *entry.evidence)):
        return ""
    power = line.ratio**2
    # Six standard errors of a squared std.
    error = 12.0 * power / math.sqrt(2.0 * max(math.prod(line.shape), 1))
    near = max(error, 0.01 * power)
    # Where the ends of branches have a rule of their own, it has claimed as many as there are.
    count = next((n for n in (branches, round(power)) if n > 1 and abs(power - n) <= near), 0)
    return f"; the factor 1/√{count} for the end of a residual branch is not applied" if count else ""
