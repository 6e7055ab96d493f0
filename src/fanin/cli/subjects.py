"""Explanations of what only the command line sees whole: checks and policies."""

from __future__ import annotations

import difflib
from typing import Any

from fanin.checks import registry as checks
from fanin.checks.rule import Rule
from fanin.errors import UnknownNameError
from fanin.errors import explain as composed
from fanin.explanations import subject
from fanin.plans import policies
from fanin.plans.rule import Modifier
from fanin.records.explanation import Explanation, Step
from fanin.schemes import registry

__all__ = ["explained", "known", "of_policy", "of_rule"]


def explained(name: str, **options: Any) -> Explanation:
    """Explain a check by its code, a policy, or whatever `fanin.explanations.subject.explain` knows.

    Raises
    ------
    UnknownNameError
        Nothing has this name; the message has the nearest of all kinds.
    """
    if (rule := _rule(name)) is not None:
        subject.refuse_options(name, _for_schemes(options))
        return of_rule(rule)
    if name.partition("+")[0] in policies.catalogue() and name not in subject.known():
        subject.refuse_options(name, _for_schemes(options))
        return of_policy(name)
    if not known(name):
        codes = [rule.code for rule in checks.rules()]
        names = [*subject.known(), *policies.catalogue(), *codes]
        remedy = "fanin explain --topics lists the questions and laws, fanin list the schemes"
        if close := difflib.get_close_matches(name, names, n=3, cutoff=0.5):
            remedy = f"Did you mean {' or '.join(map(repr, close))}? {remedy}"
        raise UnknownNameError(
            composed("Nothing is known under this name", received=repr(name), remedy=remedy)
        )
    return subject.explain(name, **options)


def known(name: str) -> bool:
    """Whether `explained` takes this name, which may have arguments."""
    if _rule(name) is not None or "(" in name or name in subject.known():
        return True
    return name.partition("+")[0] in policies.catalogue()


def _rule(name: str) -> Rule | None:
    by_name = {rule.name: rule for rule in checks.rules()}
    by_code = {rule.code: rule for rule in checks.rules()}
    return by_code.get(name.strip().upper(), by_name.get(name))


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
    single = [one for one in registry.names() if one.startswith(f"{policy.name}_")]
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
        notes=(
            f"`fanin plan TARGET --policy {policy.name}` shows what it does to a model.",
            *(
                (f"For one tensor: `fanin explain {single[0]}`; also {', '.join(single[1:])}.",)
                if single
                else ()
            ),
        ),
    )
