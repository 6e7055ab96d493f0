"""Biases of a head that start the loss at the entropy of the classes.

Whatever a classifier is to learn, it can know from the start how frequent each class is. With weights
that make small logits, a bias of ``log p`` (softmax) or ``log(p / (1 - p))`` (sigmoid) says so, and the
first loss is the prior's entropy instead of ``ln C``: the first steps are not spent on learning a bias,
and with rare positives the loss does not start in their flood.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TypeAlias

from fanin.errors import InputError, explain
from fanin.plans.facts import Facts
from fanin.records.axes import Role
from fanin.records.graph import Parameter, Use, UseKind
from fanin.records.plan import Entry, Status
from fanin.schemes.constant import constant
from fanin.schemes.given import given

__all__ = ["ClassPrior", "Link", "Prior", "priors", "with_priors"]

_SOURCE = "T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017, section 4.1"
_NEAR = 1e-3
"""Probabilities may miss the sum 1 by their rounding to three digits."""


class Link(StrEnum):
    """How a loss turns logits into probabilities."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What is known of a head's outputs before training.

    Parameters
    ----------
    probabilities
        One for each output, or a single one that is meant for all (sigmoid only).
    link
        ``softmax`` for classes of which one is right, ``sigmoid`` for outputs that stand for themselves.
    head
        Name of the head's module or of one of its tensors, or a shell-style pattern; "" for the only head.
    """

    probabilities: tuple[float, ...]
    link: Link
    head: str = ""

    def biases(self, outputs: int) -> tuple[float, ...]:
        """The log odds that a bias has to have, for each of so many outputs."""
        each = self.probabilities if len(self.probabilities) > 1 else self.probabilities * outputs
        if self.link == Link.SOFTMAX:
            return tuple(math.log(p) for p in each)
        return tuple(math.log(p) - math.log1p(-p) for p in each)

    @property
    def entropy(self) -> float:
        """Loss in nats of knowing the prior and nothing else; for sigmoids the mean of the outputs'."""
        if self.link == Link.SOFTMAX:
            return -sum(p * math.log(p) for p in self.probabilities)
        both = (-p * math.log(p) - (1.0 - p) * math.log1p(-p) for p in self.probabilities)
        return sum(both) / len(self.probabilities)


Shares: TypeAlias = float | Sequence[float] | Mapping[int, float]
ClassPrior: TypeAlias = Shares | Prior | Mapping[str, Shares | Prior]
"""What ``class_prior=`` may be; see `priors`."""


def priors(given: ClassPrior) -> tuple[Prior, ...]:
    """Read what a user says of the classes.

    Parameters
    ----------
    given
        A number: the share of positives, for each output by itself (sigmoid). A sequence: one probability
        for each class, with the sum 1 (softmax). A mapping from the class's place to its probability or
        its count: the same. A mapping from a head's name to any of these, for models with several heads.
        Or a `Prior`, which can say that several outputs are sigmoids.

    Raises
    ------
    InputError
        Numbers that are no probabilities, or not of all classes.

    Examples
    --------
    >>> priors({0: 900, 1: 100})[0].probabilities
    (0.9, 0.1)
    >>> priors(0.01)[0].link
    <Link.SIGMOID: 'sigmoid'>
    """
    if isinstance(given, Mapping) and given and all(isinstance(key, str) for key in given):
        return tuple(_prior(value, head=str(name)) for name, value in given.items())
    return (_prior(given, head=""),)


def _prior(given: object, *, head: str) -> Prior:
    if isinstance(given, Prior):
        return _checked(replace(given, head=given.head or head))
    if isinstance(given, numbers.Real):
        return _checked(Prior(probabilities=(float(given),), link=Link.SIGMOID, head=head))
    if isinstance(given, Mapping):
        if sorted(given, key=repr) != sorted(range(len(given)), key=repr) or not given:
            raise InputError(
                explain(
                    "The classes of a prior are not all there",
                    received=", ".join(map(repr, list(given)[:8])) or "an empty mapping",
                    rule="Of C classes the keys are 0 to C - 1, one for each",
                    remedy="A class without samples needs a share too: add 1 to each count",
                )
            )
        values = _numbers([given[place] for place in range(len(given))])
        total = sum(values)
        shares = tuple(value / total for value in values) if total > 0 else values
        return _checked(Prior(probabilities=shares, link=Link.SOFTMAX, head=head))
    if isinstance(given, Iterable) and not isinstance(given, str | bytes):
        return _checked(Prior(probabilities=_numbers(given), link=Link.SOFTMAX, head=head))
    raise InputError(
        explain(
            "A class prior is not understood",
            received=f"{type(given).__name__}: {given!r:.80}",
            rule="A probability, a probability for each class, a mapping from classes, or one from heads",
        )
    )


def _numbers(values: Iterable[object]) -> tuple[float, ...]:
    try:
        return tuple(float(value) for value in values)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise InputError(
            explain("A class prior holds something that is no number", received=repr(values)[:80])
        ) from None


def _checked(prior: Prior) -> Prior:
    values = prior.probabilities
    whole = prior.link == Link.SOFTMAX
    if not values or not all(0.0 < p < 1.0 for p in values):
        wrong = [f"{p:g} at place {i}" for i, p in enumerate(values) if not 0.0 < p < 1.0]
        raise InputError(
            explain(
                "A class prior is no probability",
                received=", ".join(wrong[:4]) or "no numbers",
                rule="Each is above 0 and below 1, or its logarithm would be infinite",
                remedy="Where a class has no samples, add 1 to each count",
            )
        )
    if whole and abs(sum(values) - 1.0) > _NEAR:
        raise InputError(
            explain(
                "The probabilities of the classes do not add up to 1",
                received=f"{len(values)} numbers with the sum {sum(values):.6g}",
                remedy="Give counts as a mapping {0: 900, 1: 100}; for outputs that are right by themselves, "
                "Prior(probabilities=..., link='sigmoid')",
            )
        )
    return replace(prior, probabilities=tuple(p / sum(values) for p in values)) if whole else prior


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A weight after which only the output follows, and its bias."""

    weight: Parameter
    bias: Parameter | None
    use: Use
    outputs: int

    def called(self, name: str) -> bool:
        names = {self.weight.owner, *(p.name for p in (self.weight, self.bias) if p is not None)}
        return any(fnmatchcase(own, name) for own in {*names, *self.weight.aliases})


def with_priors(entries: tuple[Entry, ...], facts: Facts, given: ClassPrior) -> tuple[Entry, ...]:
    """Entries in which the biases of heads say what is known of the classes.

    Parameters
    ----------
    entries
        Of a plan for the graph of these facts.
    facts
        Say which weights are heads, and what multiplies their outputs.
    given
        See `priors`.

    Raises
    ------
    InputError
        No head, several that fit, a head without a bias, one of another size, or one that is kept.
    """
    found = {entry.name: entry for entry in entries}
    heads = _heads(facts)
    for prior in priors(given):
        head = _chosen(heads, prior)
        if head.bias is None:
            raise InputError(
                explain(
                    f"The head '{head.weight.name}' has no bias to hold a class prior",
                    received=f"{head.outputs} outputs",
                    remedy="Give the layer a bias, or leave class_prior out",
                )
            )
        entry = found[head.bias.name]
        if entry.draw is None:
            raise InputError(
                explain(
                    f"The bias '{entry.name}' of the head is kept, so it cannot take a class prior",
                    received=entry.reason,
                )
            )
        found[entry.name] = _entry(entry, head, prior, facts.constant_after(head.use.node))
    return tuple(found[entry.name] for entry in entries)


def _heads(facts: Facts) -> tuple[_Head, ...]:
    biases = {
        use.node: parameter
        for parameter in facts.graph.parameters
        for use in parameter.uses
        if use.kind == UseKind.BIAS
    }
    found: dict[str, _Head] = {}
    for parameter in facts.graph.parameters:
        for use in parameter.uses:
            if use.kind == UseKind.WEIGHT and use.head and use.axes is not None:
                outputs = use.axes.size(parameter.shape, Role.OUT)
                head = _Head(weight=parameter, bias=biases.get(use.node), use=use, outputs=outputs)
                found.setdefault(parameter.name, head)
    return tuple(found.values())


def _chosen(heads: tuple[_Head, ...], prior: Prior) -> _Head:
    count = len(prior.probabilities)
    named = [head for head in heads if not prior.head or head.called(prior.head)]
    fitting = [head for head in named if count in (1, head.outputs)]
    # Of several heads of one size, those with a bias are meant.
    several = [head for head in fitting if head.bias is not None] or fitting
    if len(several) == 1:
        return several[0]
    listed = ", ".join(f"'{head.weight.name}' with {head.outputs} outputs" for head in heads) or "none"
    of = f" called '{prior.head}'" if prior.head else ""
    size = "" if count == 1 else f" of {count} outputs"
    raise InputError(
        explain(
            f"The model has {len(several) or 'no'} head{'s' if len(several) > 1 else ''}{of}{size}",
            received=f"a class prior of {count} {'probability' if count == 1 else 'probabilities'}",
            rule=f"Heads, after which only the output follows: {listed}",
            remedy="Name the head: class_prior={'head.name': ...}" if several else "",
        )
    )


def _entry(entry: Entry, head: _Head, prior: Prior, factor: float) -> Entry:
    values = tuple(value / factor for value in prior.biases(head.outputs))
    equal = len(set(values)) == 1
    scheme = constant(values[0]) if equal else given(values)
    odds = "log p" if prior.link == Link.SOFTMAX else "log(p / (1 - p))"
    evidence = [
        f"bias of '{head.weight.name}', a head of {head.outputs} outputs",
        f"the first loss is the prior's entropy, {prior.entropy:.4g} nats, and what the logits' spread adds",
    ]
    if factor != 1.0:
        evidence.append(f"{factor:.4g} multiplies the head's output, so the bias is divided by it")
    return replace(
        entry,
        status=Status.CLAIMED,
        draw=scheme.draw(entry.shape, entry.axes),
        scheme=scheme.name,
        gain=None,
        rule="class prior",
        reason=f"what is known of the classes: {odds}",
        evidence=tuple(evidence),
        references=(_SOURCE,),
    )
