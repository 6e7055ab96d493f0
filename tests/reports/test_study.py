"""A comparison's table, sentence and page say what its curves say."""

from __future__ import annotations

import html

import pytest

from fanin.records.codec import from_json, to_json
from fanin.records.finding import Diagnosis
from fanin.records.study import Arm, Curve, Study
from fanin.reports.study import closing, page, table


@pytest.fixture
def study(sick: Diagnosis, healthy: Diagnosis) -> Study:
    """Two arms, two seeds, twelve epochs."""

    def curves(*ends: float) -> tuple[Curve, ...]:
        return tuple(
            Curve(seed=seed, accuracy=tuple(end * (k + 1) / 12 for k in range(12)), loss=(1.0,) * 12)
            for seed, end in enumerate(ends)
        )

    return Study(
        title="<b>deep</b>", data="digits", chance=0.119, settings=(("epochs", "12"),), seconds=3.2,
        arms=(
            Arm(name="default", diagnosis=sick, curves=curves(0.08, 0.12)),
            Arm(name="fanin", diagnosis=healthy, curves=curves(0.84, 0.96)),
        ),
    )  # fmt: skip


def test_the_table(study: Study) -> None:
    assert table(study) == (
        "test accuracy in %, mean of the seeds (lowest–highest)\n"
        "epoch  default          fanin\n"
        "1      0.8 (0.7–1.0)    7.5 (7.0–8.0)\n"
        "3      2.5 (2.0–3.0)    22.5 (21.0–24.0)\n"
        "5      4.2 (3.3–5.0)    37.5 (35.0–40.0)\n"
        "8      6.7 (5.3–8.0)    60.0 (56.0–64.0)\n"
        "10     8.3 (6.7–10.0)   75.0 (70.0–80.0)\n"
        "12     10.0 (8.0–12.0)  90.0 (84.0–96.0)\n"
        "always guessing one class: 11.9"
    )


def test_the_sentence(study: Study) -> None:
    assert closing(study) == "default ends at 10.0 % accuracy, fanin at 90.0 % (guessing is 11.9 %)."


def test_the_page(study: Study) -> None:
    document = page(study)
    assert closing(study) in html.unescape(document)
    assert document.count("data-figure=") == 3
    assert "<b>deep</b>" not in document
    assert "FAILURE" in document
    assert "HEALTHY" in document


def test_json_comes_back_equal(study: Study) -> None:
    assert from_json(to_json(study), Study) == study
