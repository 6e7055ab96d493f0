"""What a comparison varies: a way to begin, from its words or as a value."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from fanin.errors import InputError, explain, finite, nearest
from fanin.experiments.asked import several
from fanin.plans import law, policies
from fanin.plans.rule import Policy
from fanin.records.plan import Plan
from fanin.schemes import registry
from fanin.schemes.base import Scheme
from fanin.schemes.dialects.dialect import dialects
from fanin.schemes.dialects.law import PeerScheme
from fanin.schemes.dialects.stored import elsewhere
from fanin.schemes.parse import scheme as parse

__all__ = ["OWN", "Begin", "Variant", "named", "variant"]

OWN = "own"
"""The variant that leaves the weights as the model's own code draws them."""

Begin: TypeAlias = str | Policy | Plan | Scheme | Callable[[nn.Module], object]
"""What may be given for a variant."""

_FACTOR = re.compile(r"(?P<base>.+)\*\s*(?P<factor>[^*()]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to begin.

    Parameters
    ----------
    name
        How tables call it.
    base
        A policy, a plan, a function that initialises a model in place, or None: the model's own weights.
    factor
        What all weights that are summed over are multiplied by.
    """

    name: str
    base: Policy | Plan | Callable[[nn.Module], object] | None
    factor: float = 1.0

    @property
    def law(self) -> str:
        """The law in one line."""
        match self.base:
            case None:
                told = "as the model's own code draws them"
            case Policy():
                told = self.base.summary
            case Plan():
                told = f"a plan of policy {self.base.policy}"
            case _:
                told = f"the user's function {getattr(self.base, '__name__', type(self.base).__name__)}"
        return told if self.factor == 1.0 else f"{told}; times {self.factor:g}"


def variant(begin: Begin, name: str = "") -> Variant:
    """Understand one variant.

    Parameters
    ----------
    begin
        A policy ("framework", "he+zero-out"), a scheme for every weight ("he_uniform", "keras:he_normal",
        "normal(std=0.02)"), "own" for the model's own weights, a plan's JSON file; each with a factor behind
        a star ("he*1.5"). Or as a value: a policy, a plan, a scheme, or a function that initialises a model
        in place.
    name
        How to call it; without one, its own words.

    Raises
    ------
    UnknownNameError
        No policy and no scheme has this name; the message has the nearest.
    InputError
        A factor that is not positive and finite, or a value of another kind.

    Examples
    --------
    >>> variant("he_uniform*1.5").factor
    1.5
    """
    if isinstance(begin, str):
        return _read(begin.strip(), name or begin.strip())
    if isinstance(begin, Policy):
        return Variant(name=name or begin.name, base=begin)
    if isinstance(begin, Plan):
        return Variant(name=name or f"plan {begin.policy}", base=begin)
    if isinstance(begin, Scheme):
        return Variant(name=name or begin.name, base=_everywhere(begin))
    if callable(begin) and not isinstance(begin, type | nn.Module):
        return Variant(name=name or getattr(begin, "__name__", type(begin).__name__), base=begin)
    raise InputError(
        explain(
            "A variant is not understood",
            received=f"{type(begin).__name__}: {begin!r:.80}",
            rule="It is a name, a policy, a plan, a scheme, or a function that initialises a model in place",
        )
    )


def named(variants: Mapping[str, Begin] | Sequence[Begin]) -> tuple[Variant, ...]:
    """Understand all variants of a study: a list, or names with what they stand for.

    Raises
    ------
    InputError
        None at all, or two of one name.
    """
    if isinstance(variants, str):
        variants = [variants]
    if isinstance(variants, Mapping):
        found = tuple(variant(begin, str(name)) for name, begin in variants.items())
    else:
        found = tuple(variant(begin) for begin in several("variants", variants))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not found or twice:
        raise InputError(
            explain(
                "Variants need names of their own" if twice else "There is nothing to compare",
                received=", ".join(twice) if twice else "no variant",
                remedy="Give them as a mapping from names"
                if twice
                else "For example variants=('he', 'glorot')",
            )
        )
    return found


def _read(text: str, name: str) -> Variant:
    base, factor = text, 1.0
    if found := _FACTOR.fullmatch(text):
        base = found["base"].strip()
        try:
            factor = float(found["factor"])
        except ValueError:
            factor = 0.0
        if not (finite(factor) and factor > 0.0):
            raise InputError(
                explain(
                    "A factor on weights is positive and finite",
                    received=repr(text),
                    rule="It is a number behind a star: he*1.5",
                )
            )
    if base == OWN:
        if factor != 1.0:
            raise InputError(
                explain(
                    "The model's own weights have no plan to multiply",
                    received=repr(text),
                    remedy="Multiply a policy, such as framework*1.5",
                )
            )
        return Variant(name=name, base=None)
    return Variant(name=name, base=_base(base), factor=factor)


def _base(text: str) -> Policy | Plan:
    if text.endswith(".json"):
        return Plan.load(Path(text))
    first = text.partition("+")[0].strip()
    if first in policies.catalogue():
        return policies.get(text)
    word = text.partition("(")[0].strip()
    known = [*registry.names(), *registry.aliases()]
    if ":" in word or word in known:
        return _everywhere(parse(text))
    peers = [f"{name}:..." for name in dialects()]
    raise nearest(text, [OWN, *policies.names(), *known, *peers], kind="policy or scheme")


def _everywhere(scheme: Scheme | Any) -> Policy:
    """A policy that gives every weight one scheme; a peer's, for the layer as the peer would store it."""
    told: Scheme = elsewhere(scheme) if isinstance(scheme, PeerScheme) else scheme
    return law.policy(told.name, told, f"every weight follows {told.name}: {told.law}")
