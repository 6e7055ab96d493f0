"""Text, ASCII, terminal and Markdown: the same figures in each, and no accidental markup."""

from __future__ import annotations

import io
import math

import pytest

from fanin.errors import InputError
from fanin.explanations import topics
from fanin.explanations.subject import explain
from fanin.records.explanation import Explanation, Number, Step, Table
from fanin.reports.explain_markdown import explanation_markdown, plain
from fanin.reports.explain_terminal import show_explanation
from fanin.reports.explain_text import explanation_lines, explanation_text


@pytest.mark.parametrize("name", ["he_normal", "truncated_normal", "gelu", *topics.catalogue()])
@pytest.mark.parametrize("render", [explanation_text, explanation_markdown, str])
def test_every_figure_is_shown(name: str, render: object) -> None:
    told = explain(name)
    assert callable(render)
    shown = render(told)
    for number in (*told.numbers, *(n for step in told.steps for n in step.numbers)):
        assert str(number) in shown, number


@pytest.mark.parametrize("width", [60, 80, 100])
def test_prose_keeps_to_the_width(width: int) -> None:
    text = "a sum of many terms " * 30
    told = Explanation(
        title="n", kind="topic", law=text, summary=text, steps=(Step(title="s", text=text),), notes=(text,)
    )
    lines = ["".join(piece.text for piece in line) for line in explanation_lines(told, width=width)]
    assert width - 10 < max(map(len, lines)) <= width


def test_ascii_keeps_the_meaning() -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    show_explanation(explain("he_normal"), stream)
    stream.flush()
    text = stream.buffer.getvalue().decode("ascii")  # type: ignore[attr-defined]
    assert "fan_in * Var[w] * E f^2" in text
    assert "?" not in text


def test_colour_is_for_those_who_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    shown = {}
    for key, name in (("FORCE_COLOR", "colour"), ("NO_COLOR", "plain")):
        monkeypatch.setenv(key, "1")
        stream = io.StringIO()
        show_explanation(explain("relu"), stream)
        shown[name] = stream.getvalue()
    assert "\x1b[" in shown["colour"]
    assert "\x1b[" not in shown["plain"]


def test_marked_cells_stand_out() -> None:
    table = Table(title="t", header=("a", "b"), rows=(("x", "1"), ("y", "2")), marked=((1, 1),))
    told = Explanation(title="n", kind="scheme", law="w", tables=(table,))
    assert "2 *" in explanation_text(told)
    assert "1 *" not in explanation_text(told)
    assert "**2**" in explanation_markdown(told)
    assert "2 *" in str(told)


def test_a_wide_table_is_turned_on_its_side() -> None:
    table = Table(title="t", header=("name", *("x" * 20 for _ in range(6))), rows=(("a", *"123456"),))
    told = Explanation(title="n", kind="scheme", law="w", tables=(table,))
    wide = explanation_text(told, width=200).splitlines()
    narrow = explanation_text(told, width=60).splitlines()
    assert max(map(len, wide)) > 60 >= max(map(len, narrow))


def test_markup_is_harmless() -> None:
    assert plain("a_b | c*d $x$ <e> `k_v`") == r"a\_b \| c\*d \$x\$ \<e\> `k_v`"
    assert plain("one ` tick") == r"one \` tick"


def test_a_table_with_a_short_row_is_refused() -> None:
    with pytest.raises(InputError, match="not as long as its header"):
        Table(title="t", header=("a", "b"), rows=(("x",),))


def test_a_number_is_found_by_name() -> None:
    step = Step(title="s", text="t", numbers=(Number(name="two", value=2.0),))
    told = Explanation(
        title="n", kind="topic", law="w", numbers=(Number(name="one", value=1.0),), steps=(step,)
    )
    assert (told.number("one"), told.number("two")) == (1.0, 2.0)
    assert math.isclose(explain("relu").number("E f²"), 0.5)
