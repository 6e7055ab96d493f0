"""From a graph to a plan: every tensor gets exactly one entry."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from fanin.errors import InputError, explain
from fanin.plans import policies
from fanin.plans.derivatives import derivative_nodes
from fanin.plans.facts import Facts
from fanin.plans.notes import notes
from fanin.plans.packed import blocks
from fanin.plans.prior import ClassPrior, with_priors
from fanin.plans.rule import Case, Claim, Policy, count_fans
from fanin.records.draw import Draw
from fanin.records.graph import Graph, Parameter, UseKind
from fanin.records.plan import Entry, Plan, Status
from fanin.records.seeds import checked_seed
from fanin.sampling.streams import STREAM_VERSION
from fanin.schemes.fit import coarseness

__all__ = ["plan"]

_LOOKED_UP = (UseKind.EMBEDDING, UseKind.SHIFT)


def plan(
    graph: Graph, *, policy: str | Policy = "auto", seed: int = 0, class_prior: ClassPrior | None = None
) -> Plan:
    """Decide what every parameter and buffer of a model gets, and say why.

    Rules are asked in order and the first that applies counts. A parameter that is used in several
    ways is asked about each; where the answers differ, the smallest std is taken, since too small
    costs steps and too large costs the run.

    Parameters
    ----------
    graph
        A model's computation.
    policy
        A policy or its name: ``auto`` decides by each tensor's use, the others follow one law or reproduce
        a convention. Modifiers follow after a plus sign: ``"he+zero-out"``.
    seed
        Seed of all draws, 0 to 2^64 - 1.
    class_prior
        What is known of the classes, for the bias of the head; see `fanin.plans.prior.priors`.

    Returns
    -------
    Plan
        One entry for each parameter and buffer of the graph, in its order.

    Raises
    ------
    UnknownNameError
        No policy has this name.
    InputError
        A seed outside its range, a graph that lists a tensor twice, or a policy that does not fit:
        made for another framework, or with a modifier that finds nothing to change; a class prior for
        which there is no head, or no bias.
    """
    seed = checked_seed(seed)
    _unique(graph)
    chosen = policies.get(policy)
    facts = Facts(graph=graph)
    for modifier in chosen.modifiers:
        modifier.check(facts)
    aside = derivative_nodes(facts) if chosen.forward else frozenset()
    entries = tuple(_entry(chosen, facts, parameter, aside) for parameter in graph.parameters)
    if class_prior is not None:
        entries = with_priors(entries, facts, class_prior)
    return Plan(
        model=graph.model,
        framework=graph.framework,
        policy=chosen.name,
        seed=seed,
        stream=STREAM_VERSION,
        entries=entries,
        notes=notes(facts),
    )


def _unique(graph: Graph) -> None:
    seen: set[str] = set()
    for parameter in graph.parameters:
        for name in (parameter.name, *parameter.aliases):
            if name in seen:
                raise InputError(
                    explain(
                        "The graph lists a tensor twice",
                        received=name,
                        rule="A name belongs to exactly one parameter or buffer",
                    )
                )
            seen.add(name)


def _entry(policy: Policy, facts: Facts, parameter: Parameter, aside: frozenset[int]) -> Entry:
    rule, claim = _decide(policy, facts, parameter, aside)
    if claim.draw is not None and 0 not in parameter.shape:
        claim = claim.noting(*_rounding(claim.draw, parameter.dtype))
    axes = claim.axes or next((use.axes for use in parameter.uses if use.axes is not None), None)
    # Of a table that is only looked up, one row is read: nothing is summed over it.
    summed = any(use.kind not in _LOOKED_UP for use in parameter.uses)
    counted = count_fans(parameter.shape, axes) if summed else None
    parts = blocks(parameter, claim, axes)
    return Entry(
        name=parameter.name,
        aliases=parameter.aliases,
        shape=parameter.shape,
        dtype=parameter.dtype,
        buffer=parameter.buffer,
        axes=axes,
        fan_in=counted.fan_in if counted else None,
        fan_out=counted.fan_out if counted else None,
        gain=claim.gain,
        status=claim.status,
        draw=parts[0].draw if parts else claim.draw,
        blocks=parts,
        scheme=claim.scheme,
        rule=rule,
        reason=claim.reason,
        evidence=claim.evidence,
        references=claim.references,
        zeroed=parameter.padding if claim.draw is not None else None,
    )


def _rounding(draw: Draw, dtype: str) -> tuple[str, ...]:
    """What is to be said where the dtype's numbers are too coarse for the draw."""
    try:
        told = coarseness(draw, dtype)
    except InputError as error:
        # A plan only says it; what carries the plan out refuses.
        return (str(error),)
    return (f"{dtype} is coarse for this draw: {told}",) if told else ()


def _decide(policy: Policy, facts: Facts, parameter: Parameter, aside: frozenset[int]) -> tuple[str, Claim]:
    """Name of the rule that counts, and what it says; uses at nodes that are aside count only alone."""
    for rule in policy.tensors:
        claim = rule.claim(Case(facts=facts, parameter=parameter))
        if claim is not None:
            return rule.name, claim
    answers: list[tuple[str, Claim]] = []
    # Of equal answers the first counts: rather one for sums, which have fans, than one for a table.
    uses = [use for use in parameter.uses if use.node not in aside] or parameter.uses
    for use in sorted(uses, key=lambda use: use.kind in _LOOKED_UP):
        case = Case(facts=facts, parameter=parameter, use=use)
        answers.append(_first(policy, case))
    name, answer = _strictest(answers)
    left = len(parameter.uses) - len(uses)
    if left:
        answer = answer.noting(f"{left} uses in a derivative that the run takes are no layers")
    return name, answer


def _first(policy: Policy, case: Case) -> tuple[str, Claim]:
    for rule in policy.uses:
        claim = rule.claim(case)
        if claim is not None:
            return _modified(policy, case, rule.name, claim)
    raise LookupError(f"No rule of policy {policy.name} answers for {case.parameter.name}")


def _modified(policy: Policy, case: Case, rule: str, claim: Claim) -> tuple[str, Claim]:
    for modifier in policy.modifiers:
        changed = modifier.change(case, claim) if claim.draw is not None else None
        if changed is not None:
            rule, claim = modifier.name, changed
    return rule, claim


def _strictest(answers: list[tuple[str, Claim]]) -> tuple[str, Claim]:
    """The answer with the smallest std above zero; one that draws counts before one that only keeps."""
    order = [Status.CLAIMED, Status.UNRECOGNISED, Status.KEPT]

    def strictness(answer: tuple[str, Claim]) -> tuple[int, float]:
        claim = answer[1]
        drawn = claim.draw is not None
        return (order.index(claim.status) if drawn else len(order), claim.draw.std if claim.draw else 0.0)

    # Zeros serve the end of a branch; in another place the same weight would let nothing through.
    alive = [answer for answer in answers if answer[1].draw is not None and answer[1].draw.std > 0.0]
    said = Counter((name, answer.reason) for name, answer in answers)
    # Of equal answers that of most uses: the first turn of a loop may lack what the others show.
    rule, claim = min(alive or answers, key=lambda a: (*strictness(a), -said[a[0], a[1].reason]))
    others = {(name, other.draw) for name, other in answers if other.draw != claim.draw}
    if others:
        asked = "; ".join(sorted({f"'{name}' asks for {draw or 'no draw'}" for name, draw in others}))
        claim = replace(claim, reason=f"{claim.reason}; of its {len(answers)} uses the strictest")
        return rule, claim.noting(f"its uses disagree: {asked}")
    if len(answers) > 1:
        claim = claim.noting(f"used at {len(answers)} places, which ask for the same")
    return rule, claim
