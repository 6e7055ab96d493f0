"""Every rule says enough to be explained: definition, threshold, advice, and what it follows from."""

from __future__ import annotations

import re

import pytest

from fanin.checks import registry
from fanin.checks.rule import Rule

RULES = registry.rules()


def said(rule: Rule) -> None:
    """Raise unless a rule's words are whole."""
    assert re.fullmatch(r"FAN[1-5]\d\d", rule.code)
    for text in (rule.name, rule.definition, rule.threshold, rule.advice):
        assert len(text) >= 3
        assert not text.endswith((".", " "))
    # A threshold is a number, or says that any case counts.
    assert re.search(r"\d|\bany\b|one half|hundredfold", rule.threshold, re.IGNORECASE), rule.threshold


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_a_rule_says_what_it_is(rule: Rule) -> None:
    said(rule)


def test_a_rule_without_a_threshold_would_be_noticed() -> None:
    bare = Rule(
        code="FAN199", name="none", definition="none", threshold="large", advice="none", check=RULES[0].check
    )
    with pytest.raises(AssertionError):
        said(bare)


def test_codes_are_of_five_groups() -> None:
    groups = {rule.code[3] for rule in RULES}
    assert groups == set("12345")
