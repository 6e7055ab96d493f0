"""Laws applied to a graph: what a model computes at step zero, before anything is run."""

from __future__ import annotations

from fanin.predictions.forecast import Forecast, forecast
from fanin.predictions.predict import predict
from fanin.predictions.weights import Moments, of_plan, of_trace

__all__ = ["Forecast", "Moments", "forecast", "of_plan", "of_trace", "predict"]
