"""Explanations of what only the command line sees whole: checks and policies."""

from __future__ import annotations

from typing import Any

from fanin.checks import registry as checks
from fanin.checks.rule import Rule
from fanin.errors import nearest
from fanin.explanations import subject
from fanin.plans import policies
from fanin.plans.rule import Modifier
from fanin.records.explanation import Explanation, Step

__all__ = ["explained", "of_policy", "of_rule"]


def explained(name: str, **options: Any) -> Explanation:
    """Explain a check by its code, a policy, or whatever `fanin.explanations.subject.explain` knows.

    Raises
    ------
    UnknownNameError
        Nothing has this name; the message has the nearest of all kinds.
    """
    rules = {rule.code: rule for rule in checks.rules()} | {rule.name: rule for rule in checks.rules()}
    if (rule := rules.get(name.strip().upper(), rules.get(name))) is not None:
        subject.refuse_options(name, _for_schemes(options))
        return of_rule(rule)
    known = subject.known()
    if name.partition("+")[0] in policies.catalogue() and name not in known:
        subject.refuse_options(name, _for_schemes(options))
        return of_policy(name)
    if name not in known and "(" not in name:
        codes = [rule.code for rule in checks.rules()]
        raise nearest(name, [*known, *policies.catalogue(), *codes], kind="subject")
    return subject.explain(name, **options)


def _for_schemes(options: dict[str, Any]) -> dict[str, Any]:
    """Options without those that have a default of their own."""
    return {word: value for word, value in options.items() if word not in {"groups", "stride", "depth"}}


def of_rule(rule: Rule) -> Explanation:
    """A check's page: what is measured, where the line is, what to do."""
    follows = f"Not reported by itself where one of these is found: {', '.join(rule.symptom_of)}."
    return Explanation(
        title=f"{rule.code} {rule.name}",
        kind="check",
        law=rule.definition,
        steps=(
            Step(title="Threshold", text=rule.threshold),
            Step(title="Advice", text=rule.advice),
        ),
        notes=(follows,) if rule.symptom_of else (),
        references=rule.references,
    )


def of_policy(name: str) -> Explanation:
    """A policy's page: the rules in the order in which they are asked, and what changes their answers."""
    found = policies.catalogue().get(name)
    if isinstance(found, Modifier):
        return Explanation(
            title=found.name,
            kind="modifier of a policy",
            law=found.summary,
            summary=f"It follows another policy after a plus sign: auto+{found.name}.",
        )
    policy = policies.get(name)
    changes = "; ".join(f"{modifier.name}: {modifier.summary}" for modifier in policy.modifiers)
    return Explanation(
        title=policy.name,
        kind="policy",
        law=policy.summary,
        summary="The first rule that explains a tensor counts; the reason is in the plan.",
        steps=(
            Step(
                title="Whole tensors first", text="; ".join(rule.name for rule in policy.tensors) or "no rule"
            ),
            Step(title="Then each of its uses", text="; ".join(rule.name for rule in policy.uses)),
            *((Step(title="What changes the answers", text=changes),) if changes else ()),
        ),
        notes=("`fanin plan TARGET --policy " + policy.name + "` shows what it does to a model.",),
    )
