"""``fanin list``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from fanin.schemes import registry


def test_every_scheme_is_listed(fanin: Callable[..., Any]) -> None:
    out = fanin("list").out
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(registry.names())


def test_json_has_the_same(fanin: Callable[..., Any]) -> None:
    rows = {row["name"]: row for row in json.loads(fanin("list", "--format", "json").out)}
    assert set(rows) == set(registry.names())
    assert rows["he_normal"]["std"] == "sqrt(2 / fan_in)"
    assert "kaiming_normal" in rows["he_normal"]["aliases"]


def test_the_formula_is_the_draws_own(fanin: Callable[..., Any]) -> None:
    rows = json.loads(fanin("list", "--format", "json").out)
    numbers = {
        "fan_in": 12,
        "fan_out": 5,
        "fan_avg": 8.5,
        "fan_geo_avg": math.sqrt(60),
        "sqrt": math.sqrt,
        "max": max,
    }
    checked = 0
    for row in rows:
        entry = registry.entry(row["name"])
        if "receptive" in row["std"] or row["std"] == "of the values, by shape":
            continue  # no formula of the fans
        stated = eval(row["std"].replace(") fan", ") * fan"), {"__builtins__": {}}, numbers)  # noqa: S307 - our own formula
        assert math.isclose(stated, entry.factory(**entry.examples[0]).draw((5, 12)).std, rel_tol=1e-5)
        checked += 1
    assert checked >= 12
