"""What the laws predict, in the chart, in the text and in the page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fanin.records import codec
from fanin.records.finding import Diagnosis
from fanin.records.prediction import Certainty, LossPrediction, NodePrediction, Prediction
from fanin.reports import charts
from fanin.reports.foreseen import compared, foreseen_note, series
from fanin.reports.html import page
from fanin.reports.text import plain
from fanin.reports.view import chain

Make = Callable[..., Diagnosis]


def predicted(
    diagnosis: Diagnosis, factor: float = 1.0, *, basis: str = "the weights as they are"
) -> Prediction:
    """A prediction that agrees with the measurement, but for a factor."""
    nodes = tuple(
        NodePrediction(
            node=m.node,
            mean=0.0,
            power=m.power * factor,
            cosine=m.cosine,
            spread=0.1,
            gradient_power=None if m.gradient_power is None else m.gradient_power * factor,
            gradient_spread=0.2,
            dead=m.dead,
        )
        for m in diagnosis.trace.measurements
    )
    loss = LossPrediction(name="cross entropy", value=2.5, logit_std=0.6, spread=0.1)
    return Prediction(basis=basis, mode="train", batch=32, inputs=(), nodes=nodes, loss=loss)


@pytest.fixture
def foretold(make: Make) -> Diagnosis:
    diagnosis = make(6)
    planned = predicted(diagnosis, 100.0, basis="the plan's weights")
    return replace(diagnosis, prediction=predicted(diagnosis), planned=planned)


def lines(diagnosis: Diagnosis) -> dict[str, Any]:
    figure = charts.signal(diagnosis)
    assert figure is not None
    return {trace.name: trace for trace in figure.data if trace.name}


def test_the_chart_has_a_line_and_a_band_for_each_direction(foretold: Diagnosis) -> None:
    found = lines(foretold)
    for word in ("forward", "backward"):
        law, plan = found[f"{word}, by law"], found[f"{word}, by law with the plan's weights"]
        assert len(law.y) == len(chain(foretold))
        assert plan.y[0] == pytest.approx(100.0 * law.y[0])
    measured = found["forward, relative to the first layer"]
    assert list(found["forward, by law"].y) == pytest.approx(list(measured.y))
    drawn = charts.signal(foretold)
    assert drawn is not None
    bands = [trace for trace in drawn.data if trace.type == "scatter" and trace.fill == "toself"]
    assert len(bands) == 2
    low, high = bands[0].y[-1], bands[0].y[0]
    assert math.log(high / low) == pytest.approx(2 * 3 * 0.1)


def test_a_plan_that_does_the_same_is_not_drawn(foretold: Diagnosis) -> None:
    same = replace(foretold, planned=predicted(foretold, 1.5))
    assert "forward, by law with the plan's weights" not in lines(same)
    parts = chain(same)
    found = series(same, parts, backward=False)
    assert found is not None
    assert found.planned is None


def test_without_a_prediction_nothing_is_claimed(make: Make) -> None:
    diagnosis = make(6)
    assert diagnosis.prediction is None
    assert compared(diagnosis) == []
    assert foreseen_note(diagnosis) == ""
    assert "by law" not in plain(diagnosis)
    assert not any("by law" in name for name in lines(diagnosis))
    assert "Measured and foretold" not in page(diagnosis)


def test_measured_and_foretold_stand_side_by_side(foretold: Diagnosis) -> None:
    text, document = plain(foretold, width=100), page(foretold)
    for shown in (text, document):
        assert "forward power" in shown
        assert "backward power" in shown
        assert "operations: " in shown
    assert "Measured and foretold" in document
    assert "2.5000" in text
    (row,) = [r for r in compared(foretold) if r.what.startswith("forward power")]
    assert row.z == pytest.approx(0.0)


def test_a_first_loss_is_no_sharper_than_its_own_rounding(foretold: Diagnosis) -> None:
    assert foretold.prediction is not None
    assert foretold.prediction.loss is not None
    assert foretold.trace.loss is not None
    value = foretold.trace.loss.value
    sure = replace(foretold.prediction.loss, value=value * (1.0 + 2.0**-23), spread=1e-15)
    (row,) = [
        r
        for r in compared(replace(foretold, prediction=replace(foretold.prediction, loss=sure)))
        if r.what.startswith("first loss")
    ]
    assert row.z is not None
    assert abs(row.z) < 1.0  # one last bit of float32 apart


def test_only_exact_laws_are_held_to_a_number_of_deviations(foretold: Diagnosis) -> None:
    assert foretold.prediction is not None
    guess = Certainty.APPROXIMATE
    nodes = tuple(replace(p, certainty=guess, gradient_certainty=guess) for p in foretold.prediction.nodes)
    vague = replace(foretold, prediction=replace(foretold.prediction, nodes=nodes, loss=None))
    assert "+0.0" in plain(foretold, width=100)
    law = plain(vague, width=100).split("Laws")[1].split("Checks")[0]
    assert "+0.0" not in law
    assert "approximate" in law


def test_predictions_are_stored_and_read_back(foretold: Diagnosis) -> None:
    again = codec.from_json(codec.to_json(foretold), Diagnosis)
    assert again == foretold
    assert again.prediction is not None
    shown = str(again.prediction)
    assert "by law, for the weights as they are, 32 samples, train mode" in shown
    assert "first loss (cross entropy) 2.5000" in shown


def test_a_band_lies_around_the_mean_of_the_logarithm() -> None:
    found = NodePrediction(node=1, mean=0.0, power=4.0, shift=-0.5, spread=1.0, gradient_power=2.0)
    assert found.band(2.0) == pytest.approx((4.0 * math.exp(-2.5), 4.0 * math.exp(1.5)))
    assert found.gradient_band() == (2.0, 2.0)
    assert replace(found, gradient_power=None).gradient_band() is None
    endless = replace(found, spread=1e6).band()
    assert 0.0 < endless[0] < endless[1] < math.inf
