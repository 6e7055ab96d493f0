"""``--set``."""

from __future__ import annotations

import pytest

from fanin.cli.rules import scheme
from fanin.errors import InputError


def test_schemes_from_text() -> None:
    assert scheme("zeros").draw((2, 3)).std == 0.0
    assert scheme("normal(std=0.02)").draw((2, 3)).std == 0.02
    assert scheme("kaiming_normal()").draw((2, 8)).std == 0.5
    assert scheme(" normal(0.5, 0.02) ").draw((2, 3)).mean == 0.5


@pytest.mark.parametrize(
    "text",
    [
        "normal(std=", "1", "normal(std=open('x'))", "normal(**{})", "normal.x", "__import__('os')",
        "(lambda: 1)()", "normal(1, 2, 3, 4)", "[].append(1)", "norml", "normal(sd=1)",
    ],
)  # fmt: skip
def test_nothing_else_is_understood(text: str) -> None:
    with pytest.raises(InputError):
        scheme(text)
