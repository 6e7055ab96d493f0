"""Roles from positions."""

from __future__ import annotations

from typing import Any

import pytest

from fanin.errors import InputError
from fanin.records.positions import axes_at


@pytest.mark.parametrize(
    ("shape", "given", "roles"),
    [
        ((784, 256), {}, "in out"),
        ((3, 3, 16, 32), {}, "receptive receptive in out"),
        ((8, 64, 32), {"batch_axis": 0}, "batch in out"),
        ((256, 784), {"in_axis": 1, "out_axis": 0}, "out in"),
        ((64, 8, 16), {"in_axis": 0, "out_axis": (1, -1)}, "in out out"),
        ((8, 16, 64), {"in_axis": [0, 1], "out_axis": -1}, "in in out"),
        ((5,), {"in_axis": (), "out_axis": 0}, "out"),
    ],
)
def test_roles(shape: tuple[int, ...], given: dict[str, Any], roles: str) -> None:
    assert str(axes_at(shape, **given)) == roles


@pytest.mark.parametrize("shape", [(), (5,)])
def test_no_roles_for_vectors(shape: tuple[int, ...]) -> None:
    assert axes_at(shape) is None


@pytest.mark.parametrize(
    ("shape", "given", "text"),
    [
        ((4, 4), {"in_axis": 2}, r"in_axis names a dimension that the shape does not have.*lie in \[-2, 2\)"),
        ((4, 4), {"out_axis": -3}, "out_axis names a dimension"),
        ((4, 4), {"out_axis": 0}, "A dimension plays two roles. Received: in_axis=-2, out_axis=0"),
        ((4, 4, 4), {"batch_axis": (0, 0)}, "A dimension plays two roles"),
        ((4, 4), {"in_axis": 0.5}, "in_axis is no position. Received: in_axis=0.5"),
        ((4, 4), {"in_axis": "in"}, "in_axis is no position"),
        ((4,), {"in_axis": 0}, "A dimension plays two roles"),
    ],
)
def test_errors(shape: tuple[int, ...], given: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        axes_at(shape, **given)
