"""The table of peers: what their own functions give for the layout in which they hold the weight."""

from __future__ import annotations

import math

import pytest

from fanin.explanations.subject import explain
from fanin.records.explanation import Table


def peers(name: str, **options: object) -> Table:
    """The table, which every scheme that peers have must have."""
    return next(t for t in explain(name, **options).tables if "elsewhere" in t.title)  # type: ignore[arg-type]


def row(table: Table, library: str) -> tuple[int, tuple[str, ...]]:
    """The first row of a library, and its place."""
    return next((i, one) for i, one in enumerate(table.rows) if one[0] == library)


def test_a_cell_is_marked_exactly_where_it_differs_from_ours() -> None:
    table = peers("he_normal", shape=(256, 784))
    ours = table.rows[0]
    assert ours[0] == "fanin"
    place, keras = row(table, "keras")
    assert keras[3] == ours[3]
    assert (place, 3) not in table.marked
    assert (place, 2) in table.marked  # truncated there
    place, mlx = row(table, "mlx")
    assert float(mlx[3]) == pytest.approx(math.sqrt(1 / 784), rel=1e-5)  # gain 1
    assert (place, 3) in table.marked
    place, torch = row(table, "torch")
    assert torch[2:] == ours[2:]
    assert not [mark for mark in table.marked if mark[0] in (0, place)]


def test_each_gets_the_weight_as_it_stores_it() -> None:
    table = peers("lecun_normal", shape=(64, 32, 3, 3), layer="conv2d")
    expected = math.sqrt(1 / (32 * 9))
    for library in ("keras", "jax", "chainer"):
        assert float(row(table, library)[1][3]) == pytest.approx(expected, rel=1e-5), library


def test_a_transposed_convolution_has_its_sides_exchanged_there() -> None:
    table = peers("he_normal", shape=(256, 16, 3, 3), layer="conv_transpose2d")
    assert float(table.rows[0][3]) == pytest.approx(math.sqrt(2 / (256 * 9)), rel=1e-5)
    for library in ("torch", "keras"):
        assert float(row(table, library)[1][3]) == pytest.approx(math.sqrt(2 / (16 * 9)), rel=1e-5), library
    assert float(row(table, "jax")[1][3]) == pytest.approx(math.sqrt(2 / (256 * 9)), rel=1e-5)


def test_an_activation_that_a_peer_does_not_know_is_refused_there() -> None:
    table = peers("he_normal", activation="gelu")
    place, torch = row(table, "torch")
    assert torch[2] == "refused"
    assert (place, 2) in table.marked


def test_torch_itself_agrees() -> None:
    torch = pytest.importorskip("torch")
    table = peers("glorot_normal", shape=(64, 32, 3, 3), layer="conv2d")
    weight = torch.empty(64, 32, 3, 3)
    torch.nn.init.xavier_normal_(weight, generator=torch.Generator().manual_seed(0))
    told = float(row(table, "torch")[1][3])
    # Relative sd of the std of n normal values: sqrt(1 / 2n).
    assert abs(float(weight.std()) / told - 1.0) < 6.2 * math.sqrt(0.5 / weight.numel())
