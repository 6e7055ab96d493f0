"""A study's text and page say what its figures say, and no more than they show."""

from __future__ import annotations

import html
import math
from dataclasses import replace
from pathlib import Path

import pytest

from fanin.errors import InputError
from fanin.records.codec import from_json
from fanin.records.finding import Finding, Severity
from fanin.records.plan import Plan
from fanin.records.study import Arm, Contrast, Curve, Factor, Rate, Start, Study, Tuned
from fanin.reports.outcome import Outcome
from fanin.reports.outcome_charts import factor_chart, gap_chart, learning_chart
from fanin.reports.outcome_html import outcome_page
from fanin.reports.outcome_text import outcome_lines
from fanin.reports.ranking import against, ranked, reached

FINDING = Finding(
    code="FAN102", name="vanishing gradients", severity=Severity.FAILURE, summary="falls", cause="law",
    fix="other",
)  # fmt: skip


def arm(name: str, *scores: float, start: Start | None = None, diverged: int | None = None) -> Arm:
    curves = tuple(
        Curve(
            seed=seed, accuracy=(0.2, score), loss=(2.0, 1.0), steps=(5, 10),
            validation=(2.0, 1.0 - score / 2), test_accuracy=score, test_loss=1.0 - score, learning_rate=0.01,
            diverged=diverged,
        )
        for seed, score in enumerate(scores)
    )  # fmt: skip
    mean = sum(scores) / len(scores)
    return Arm(
        name=name, curves=curves, law=f"law of {name}", start=start, scores=scores, mean=mean,
        low=mean - 0.02, high=mean + 0.02,
        rates=(Rate(learning_rate=0.01, loss=0.5), Rate(learning_rate=0.1, loss=math.inf)),
    )  # fmt: skip


def contrast(first: str, second: str, mean: float, *, shown: bool) -> Contrast:
    return Contrast(
        first=first, second=second, seeds=3, mean=mean, low=mean - 0.01, high=mean + 0.01,
        p=0.001 if shown else 0.4, detectable=0.015, shown=shown,
    )  # fmt: skip


@pytest.fixture
def study() -> Study:
    """Three arms: two alike, one far behind, given in no order."""
    return Study(
        title="<b>Net</b>: 3 ways", data="digits", chance=0.12, settings=(("steps", "10"),), seconds=3.0,
        guess=2.3, target=0.6, notes=("a note",),
        arms=(
            arm("glorot", 0.1, 0.12, 0.11, start=Start(findings=(FINDING,), predicted=2.31, measured=2.3)),
            arm("he", 0.90, 0.91, 0.92, start=Start(predicted=3.1, measured=3.3)),
            arm("he_uniform", 0.89, 0.91, 0.92, start=Start(obstacle="no <i>check</i>")),
        ),
        contrasts=(
            contrast("glorot", "he", -0.80, shown=True), contrast("glorot", "he_uniform", -0.79, shown=True),
            contrast("he", "he_uniform", 0.003, shown=False),
        ),
    )  # fmt: skip


@pytest.fixture
def tuned(study: Study) -> Study:
    """A tuning whose chosen factor is near the best."""
    factors = (
        Factor(factor=0.5, losses=(2.0, 2.2), mean=2.1, error=0.1, steps=10),
        Factor(factor=1.0, losses=(1.0, 1.2), mean=1.1, error=0.1, steps=10),
        Factor(factor=1.4, losses=(0.5, 0.55), mean=0.525, error=0.025, steps=10),
        Factor(factor=2.0, losses=(0.45, 0.57), mean=0.51, error=0.06, steps=10),
        Factor(factor=2.8, losses=(0.9, 0.9), mean=0.9, error=0.0, steps=3),
        Factor(factor=4.0, losses=(math.inf, 1.0), mean=math.inf, error=math.inf, steps=10),
    )
    plan = Plan(model="Net", framework="torch", policy="auto", seed=0, stream=1, entries=())
    return replace(
        study, arms=(arm("factor 1", 0.5, 0.52), arm("all*1.4", 0.9, 0.92)), plan=plan,
        contrasts=(contrast("factor 1", "all*1.4", -0.4, shown=True),),
        tuned=(Tuned(group="all", tensors=7, factors=factors, best=2.0, chosen=1.4),),
    )  # fmt: skip


def test_the_best_comes_first_by_either_score(study: Study) -> None:
    assert [one.name for one in ranked(study)] == ["he", "he_uniform", "glorot"]
    assert [one.name for one in ranked(replace(study, score="loss"))] == ["glorot", "he_uniform", "he"]
    assert Outcome(study).best == "he"


def test_what_is_shown_and_what_is_not(study: Study) -> None:
    assert Outcome(study).verdict == (
        "he has the best mean, 91.0 % over 3 seeds, and is shown to be better than glorot. "
        "No difference is shown to he_uniform. "
        "3 seeds would show a difference to he_uniform of 1.5 points four times in five."
    )
    nothing = replace(study, contrasts=tuple(replace(one, shown=False) for one in study.contrasts))
    assert Outcome(nothing).verdict.startswith("No difference is shown between he, he_uniform and glorot;")
    single = replace(study, arms=tuple(replace(a, curves=a.curves[:1]) for a in study.arms))
    assert "one seed, which shows nothing" in Outcome(single).verdict


def test_a_contrast_is_read_both_ways(study: Study) -> None:
    found = against(study, "he", "glorot")
    assert found is not None
    assert (found.mean, found.low, found.high) == pytest.approx((0.80, 0.79, 0.81))
    assert against(study, "he", "nobody") is None


def test_steps_to_the_target(study: Study) -> None:
    assert reached(study, study.arms[1]) == "10"
    assert reached(study, study.arms[0]) == "never"
    mixed = replace(study.arms[1], curves=(*study.arms[1].curves, *study.arms[0].curves[:1]))
    assert reached(study, mixed) == "10 (3 of 4)"
    assert reached(replace(study, target=None), study.arms[1]) == ""


def test_the_text(study: Study) -> None:
    text = str(Outcome(study))
    assert "he_uniform  90.7" in text
    assert "−80.0" in text
    assert "worse" in text
    assert "no difference" in text
    assert "note: a note" in text
    wide = "\n".join("".join(p.text for p in line) for line in outcome_lines(study, width=160))
    assert "FAN102" in wide
    assert "not checked" in wide
    assert "2.31 / 2.3" in wide
    for width in (60, 80, 120):
        assert all(len("".join(p.text for p in line)) <= width for line in outcome_lines(study, width=width))


def test_the_text_of_a_tuning(tuned: Study) -> None:
    text = str(Outcome(tuned))
    assert Outcome(tuned).verdict == (
        "Factor 1.4 on all weights, as good as 2 within one standard error: cross-validated loss 0.525, "
        "1.1 with factor 1. On data that the tuning never saw: 91.0 % tuned, 51.0 % with factor 1 "
        "(a difference that is shown, 2 seeds)."
    )
    assert "diverged in 1 of 2 folds" in text
    assert "dropped on the way" in text
    one = tuned.tuned[0]
    kept = replace(tuned, tuned=(replace(one, chosen=1.0),), arms=tuned.arms[:1], contrasts=())
    assert "cannot be told from the best, 2" in Outcome(kept).verdict
    assert Outcome(kept).verdict.endswith("the plan stays as it is.")


def test_the_page(study: Study, tuned: Study) -> None:
    document = outcome_page(study)
    assert html.escape(Outcome(study).verdict, quote=True) in document
    assert document.count("data-figure=") == 2
    assert "<b>Net</b>" not in document
    assert "<i>check" not in document
    assert "FAN102" in document
    assert "diverged" in document
    second = outcome_page(tuned)
    assert second.count("data-figure=") == 3
    assert "TUNED" in second


def test_charts_hold_the_figures(study: Study, tuned: Study) -> None:
    learning, gap = learning_chart(study), gap_chart(study)
    assert learning is not None
    assert gap is not None
    lines = [trace for trace in learning.data if trace.showlegend is not False]
    assert [line.name for line in lines] == ["he", "he_uniform", "glorot"]
    assert list(lines[0].y) == pytest.approx([2.0, 0.545])
    means = next(trace for trace in gap.data if trace.name.startswith("mean"))
    assert list(means.x) == pytest.approx([-0.3, -80.0])
    curve = factor_chart(tuned.tuned[0])
    whole = next(trace for trace in curve.data if trace.name.startswith("mean"))
    assert list(whole.x) == [0.5, 1.0, 1.4, 2.0]
    assert [trace.name for trace in curve.data] == [whole.name, "dropped on the way", "diverged"]
    assert learning_chart(tuned) is not None
    assert gap_chart(replace(study, arms=study.arms[:1])) is None


def test_forms(study: Study, tuned: Study, tmp_path: Path) -> None:
    outcome = Outcome(study)
    assert from_json(outcome.to_json(), Study) == study
    for suffix in ("html", "json", "txt"):
        assert outcome.save(tmp_path / f"s.{suffix}").stat().st_size > 500
    with pytest.raises(InputError, match="The suffix says the form"):
        outcome.save(tmp_path / "s.pdf")
    with pytest.raises(InputError, match="no tuned plan"):
        outcome.plan()
    assert Outcome(tuned).plan() is tuned.plan


@pytest.mark.slow
def test_the_page_draws_in_a_browser_in_silence(study: Study, tuned: Study, tmp_path: Path) -> None:
    import shutil
    import subprocess

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium on this machine")
    for name, one, count in (("study", study, 2), ("tuned", tuned, 3)):
        file = Outcome(one).save(tmp_path / f"{name}.html")
        done = subprocess.run(
            [
                browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000",
                "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
                file.as_uri(),
            ],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        assert "CONSOLE" not in done.stderr
        assert done.stdout.count('class="main-svg"') >= count
