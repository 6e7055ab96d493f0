"""Rules for tensors that no draw may touch."""

from __future__ import annotations

import math

from fanin.plans.rule import Case, Claim, Rule
from fanin.records.plan import Status
from fanin.sampling.engine import SERVED

__all__ = ["EMPTY", "FROZEN", "KEEPING", "LOADED", "OWNED", "UNDRAWABLE", "UNUSED"]

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def _kept(reason: str, *evidence: str) -> Claim:
    return Claim(scheme="keep", status=Status.KEPT, reason=reason, evidence=evidence)


def _owned(case: Case) -> Claim | None:
    if not case.parameter.buffer:
        return None
    counted = case.parameter.name.rpartition(".")[2] in _STATISTICS
    if counted or case.parameter.role.startswith("statistics"):
        return _kept("running statistics of a norm", "registered as a buffer")
    role = case.parameter.role
    return _kept(
        f"a buffer of its owner: {role}" if role else "a buffer of its owner", "registered as a buffer"
    )


def _loaded(case: Case) -> Claim | None:
    if not case.parameter.loaded:
        return None
    return _kept("holds loaded values", "marked as loaded by the framework")


def _frozen(case: Case) -> Claim | None:
    return None if case.parameter.trainable else _kept("frozen", "requires no gradient")


def _empty(case: Case) -> Claim | None:
    shape = case.parameter.shape
    return _kept("has no elements", f"shape {shape}") if math.prod(shape) == 0 else None


def _undrawable(case: Case) -> Claim | None:
    dtype = case.parameter.dtype
    if dtype in SERVED:
        return None
    return _kept(f"no law draws {dtype} numbers", f"dtype {dtype}")


def _unused(case: Case) -> Claim | None:
    if case.parameter.uses:
        return None
    return Claim(
        scheme="keep",
        status=Status.UNRECOGNISED,
        reason="the run never reads it, so it is left as it is",
        evidence=("no operation of the recorded run reads it",),
    )


OWNED = Rule(name="buffer", claim=_owned)
LOADED = Rule(name="loaded", claim=_loaded)
FROZEN = Rule(name="frozen", claim=_frozen)
EMPTY = Rule(name="empty", claim=_empty)
UNDRAWABLE = Rule(name="undrawable dtype", claim=_undrawable)
UNUSED = Rule(name="unused", claim=_unused)

KEEPING = (OWNED, LOADED, FROZEN, EMPTY, UNDRAWABLE, UNUSED)
