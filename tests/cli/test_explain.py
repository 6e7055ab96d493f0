"""``fanin explain`` and the filters of ``fanin list``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from fanin.checks import registry as checks
from fanin.explanations import laws, topics
from fanin.explanations.subject import explain
from fanin.plans import policies
from fanin.records import codec
from fanin.records.explanation import Explanation


def told(fanin: Callable[..., Any], *words: str) -> Explanation:
    """What the command writes as JSON, as a record again."""
    return codec.from_json(fanin("explain", *words, "--format", "json").out, Explanation)


def test_the_command_says_what_the_function_says(fanin: Callable[..., Any]) -> None:
    words = ("he_normal", "--shape", "64x32x3x3", "--layer", "conv2d", "--groups", "8", "--stride", "2")
    shown = told(fanin, *words, "--activation", "gelu", "--dtype", "bf16")
    assert shown == explain(
        "he_normal", shape=(64, 32, 3, 3), layer="conv2d", groups=8, stride=2, activation="gelu", dtype="bf16"
    )
    assert shown != explain(
        "he_normal", shape=(64, 32, 3, 3), layer="conv2d", activation="gelu", dtype="bf16"
    )


def test_parameters_of_schemes_are_options(fanin: Callable[..., Any]) -> None:
    assert told(fanin, "truncated_normal", "--std", "0.05").number("std") == 0.05
    shown = told(fanin, "he_normal", "--mode", "fan_out", "--shape", "256x784")
    assert math.isclose(shown.number("std"), math.sqrt(2 / 256))


@pytest.mark.parametrize("code", [rule.code for rule in checks.rules()])
def test_every_check_has_a_page(fanin: Callable[..., Any], code: str) -> None:
    rule = checks.get(code)
    shown = told(fanin, code.lower())
    assert shown.law == rule.definition
    assert [step.text for step in shown.steps] == [rule.threshold, rule.advice]


@pytest.mark.parametrize("name", sorted(set(policies.names()) - {"orthogonal"}))
def test_every_policy_has_a_page(fanin: Callable[..., Any], name: str) -> None:
    shown = told(fanin, name)
    assert shown.kind == "policy"
    assert policies.get(name).uses[0].name in shown.steps[1].text


def test_topics_are_listed_and_told(fanin: Callable[..., Any]) -> None:
    lines = fanin("explain", "--topics").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*topics.catalogue(), *laws.catalogue()]
    shown = told(fanin, "--topic", "equal-variance", "--depth", "12")
    assert shown == topics.get("equal-variance", depth=12)


def test_markdown_and_text_hold_the_same_figures(fanin: Callable[..., Any]) -> None:
    for form in ("text", "markdown"):
        out = fanin("explain", "he_normal", "--shape", "256x784", "--format", form).out
        assert f"{math.sqrt(2 / 784):.6g}" in out
        assert "keras" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("he_norml",), "Did you mean 'he_normal'"),
        (("FAN199",), "Did you mean 'FAN1"),
        (("--topic", "resnets"), "Did you mean 'resnet'"),
        (("he_normal", "--shape", "2xtwo"), "A shape is not understood"),
        (("he_normal", "--std", "3"), "Parameters do not fit he_normal"),
        (("he_normal", "--groups", "2"), "Groups and strides belong to a convolution"),
        (("he_normal", "--dtype", "bf17"), "Did you mean"),
        (("he_normal", "--activation", "gellu"), "Did you mean 'gelu'"),
        (("he_normal", "--layer", "conv2d", "--shape", "3x4"), "The shape is not that of such a layer"),
        (("gelu", "--shape", "3x4"), "Only schemes are explained for a shape"),
        (("FAN102", "--std", "1"), "Only schemes are explained for a shape"),
        (("auto", "--dtype", "bf16"), "Only schemes are explained for a shape"),
        ((), "Give a NAME or words"),
        (("he_normal", "--topic", "resnet"), "Give a NAME or words"),
    ],
)
def test_what_is_wrong_is_said(fanin: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    done = fanin("explain", *words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""


def test_list_filters(fanin: Callable[..., Any]) -> None:
    def names(*words: str) -> list[str]:
        return [row["name"] for row in json.loads(fanin("list", *words, "--format", "json").out)]

    assert names("--family", "lecun") == ["lecun_normal", "lecun_truncated_normal", "lecun_uniform"]
    assert names("--search", "KAIMING") == ["he_normal", "he_truncated_normal", "he_uniform"]
    assert names("--family", "lecun", "--search", "kaiming") == []
    rows = json.loads(fanin("list", "--activation", "gelu", "--format", "json").out)
    assert {row["family"] for row in rows} == {"he"}
    assert all("2.35172" in row["law"] for row in rows)


def test_list_says_when_nothing_fits(fanin: Callable[..., Any]) -> None:
    assert "no scheme fits" in fanin("list", "--search", "zzz").err
    assert "Did you mean 'lecun'" in fanin("list", "--family", "lecunn").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("why 6 and not 2?", "a 6 in the uniform Glorot and a 2 in the normal one"),
        ("0.8796", "Truncated or not?"),
        ("vanishing gradients", "FAN102 gradient power"),
        ("glorot", "fanin explain glorot_normal"),
    ],
)
def test_words_of_a_question_find_its_page(fanin: Callable[..., Any], words: str, told: str) -> None:
    ended = fanin("explain", words)
    assert ended.code == 0
    assert told in ended.out


def test_words_that_fit_several_subjects_list_them(fanin: Callable[..., Any]) -> None:
    ended = fanin("explain", "xavier")
    assert ended.code == 0
    assert ended.out.splitlines()[0].split() == ["subject", "kind", "what"]
    assert {"glorot_normal", "glorot_uniform", "one-over-n"} <= {
        line.split()[0] for line in ended.out.splitlines()
    }


def test_words_of_grammar_find_nothing(fanin: Callable[..., Any]) -> None:
    assert "--topics lists" in fanin("explain", "why is it so").err


def test_every_check_explains_itself(fanin: Callable[..., Any]) -> None:

    for rule in checks.rules():
        ended = fanin("explain", rule.code)
        assert ended.code == 0
        assert rule.code in ended.out
        assert "Threshold" in ended.out
