"""How figures and names are written."""

from __future__ import annotations

import math

import pytest

from fanin.records.table import render, visible
from fanin.reports.figures import (
    bars,
    decimals,
    fold,
    pattern,
    percent,
    plural,
    printed,
    science,
    short,
    span,
)
from fanin.reports.lines import wrapped


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0.0, "0"), (1.0, "1"), (0.333, "0.33"), (-0.333, "-0.33"), (99.6, "100"),
        (1234.0, "1234"), (123456.0, "1.2e5"), (3.2e-24, "3.2e-24"), (1e-24, "1e-24"),
        (math.nan, "nan"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


def test_science_is_short_in_print() -> None:
    assert science(3.2e-24) == "3.2×10⁻²⁴"
    assert science(0.5) == short(0.5)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0%"), (1e-6, "<1%"), (0.43, "43%"), (0.999, ">99%"), (1.0, "100%")],
)
def test_percent_never_rounds_something_to_nothing(value: float | None, text: str) -> None:
    assert percent(value) == text


def test_span_says_equal_figures_once() -> None:
    assert span("1", "1") == "1"
    assert span("1", "2") == "1→2"


def test_bars_follow_the_logarithm() -> None:
    assert bars([10.0**-k for k in range(8)]) == "█▇▆▅▄▃▂▁"


def test_bars_of_noise_are_level() -> None:
    assert len(set(bars([1.0, 1.1, 0.9, 1.05]))) == 1


def test_bars_leave_blanks_where_a_logarithm_has_none() -> None:
    assert bars([1.0, 0.0, None, math.nan, 1e-9]) == "█   ▁"
    assert bars([0.0, None]) == ""


def test_bars_keep_both_ends() -> None:
    drawn = bars([10.0 ** (-k / 10) for k in range(1000)], 6)
    assert (len(drawn), drawn[0], drawn[-1]) == (6, "█", "▁")


def test_names_fold_over_any_step() -> None:
    names = [f"net.{k}.weight" for k in range(0, 60, 2)]
    assert {pattern(name) for name in names} == {"net.#.weight"}
    assert fold(names) == "net.0-58.weight ×30"
    assert fold(["a.b"]) == "a.b"


def test_plural() -> None:
    assert (plural(1, "finding"), plural(2, "finding")) == ("1 finding", "2 findings")


def test_two_or_three_far_apart_are_listed() -> None:
    assert fold(["a.0.w", "a.116.w"]) == "a.0,116.w ×2"
    assert fold(["a.0.w", "a.1.w"]) == "a.0-1.w ×2"
    assert fold(["a.1.w", "a.5.w", "a.9.w"]) == "a.1,5,9.w ×3"
    assert fold([f"a.{k}.w" for k in (1, 5, 9, 13)]) == "a.1-13.w ×4"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2.78e-37", "2.78×10⁻³⁷"), ("1.45e+04 times", "1.45×10⁴ times"), ("-1e5", "-1×10⁵"),
        ("layer 3e5x", "layer 3e5x"), ("conv2e3", "conv2e3"), ("0.5", "0.5"),
    ],
)  # fmt: skip
def test_print_has_no_e(text: str, shown: str) -> None:
    assert printed(text) == shown


def test_losses_keep_their_zeros() -> None:
    assert (decimals(10.0036), decimals(10.0036, 3), decimals(math.inf)) == ("10.00", "10.004", "inf")
    assert decimals(3.2e7) == "3.2×10⁷"


@pytest.mark.parametrize("sign", ["\x1b", "\u202e", "\u200b", "\r", "\x07", "\u2028"])
def test_a_name_cannot_steer_what_shows_it(sign: str) -> None:
    assert visible(f"a{sign}[31mb") == "a\ufffd[31mb"
    assert visible("größe_模型 ×2\n") == "größe_模型 ×2\n"
    assert sign not in "".join(wrapped(f"layer {sign}x", 80))
    assert sign not in render(("name",), [(f"layer {sign}x",)])
