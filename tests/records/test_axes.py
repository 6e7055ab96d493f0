"""Roles: what may be said about axes, and what order follows."""

from __future__ import annotations

import pytest

from fanin.errors import InputError
from fanin.records.axes import Axes, Role, as_axes


def test_words_tuples_and_records_say_the_same() -> None:
    expected = Axes(roles=(Role.IN, Role.OUT))
    assert (
        as_axes("in out", (3, 4)) == as_axes(("in", "out"), (3, 4)) == as_axes(expected, (3, 4)) == expected
    )


def test_without_roles_two_dimensions_are_out_in_and_the_rest_receptive() -> None:
    assert as_axes(None, (8, 4, 3, 3)) == Axes(roles=(Role.OUT, Role.IN, Role.RECEPTIVE, Role.RECEPTIVE))


@pytest.mark.parametrize("shape", [(), (7,)])
def test_without_roles_fewer_dimensions_have_no_axes(shape: tuple[int, ...]) -> None:
    assert as_axes(None, shape) is None


def test_logical_order_is_batch_group_out_in_receptive_and_stable() -> None:
    axes = as_axes("receptive in batch out receptive group", (3, 4, 2, 5, 3, 6))
    assert axes is not None
    assert axes.logical_order == (2, 5, 3, 1, 0, 4)


def test_size_multiplies_the_dimensions_of_a_role() -> None:
    axes = as_axes("in out out", (10, 4, 8))
    assert axes is not None
    assert (axes.size((10, 4, 8), Role.OUT), axes.size((10, 4, 8), Role.BATCH)) == (32, 1)


def test_unknown_word() -> None:
    with pytest.raises(InputError, match=r"no role\. Received: 'out inn'\. Roles are batch, group, out, in"):
        as_axes("out inn", (2, 2))


def test_wrong_number_of_roles() -> None:
    with pytest.raises(InputError, match=r"axes 'out in' for shape \(2, 2, 3\).*Give 3 roles"):
        as_axes("out in", (2, 2, 3))


@pytest.mark.parametrize(
    ("transposed", "shape"), [(False, (9, 4, 3)), (True, (9, 4, 3))], ids=["plain", "transposed"]
)
def test_groups_must_divide_the_packed_channels(transposed: bool, shape: tuple[int, ...]) -> None:
    roles = (Role.IN, Role.OUT) if transposed else (Role.OUT, Role.IN)
    with pytest.raises(InputError, match=r"groups=2, (in|out) = 9"):
        as_axes(Axes(roles=(*roles, Role.RECEPTIVE), groups=2, transposed=transposed), shape)
    fitting = as_axes(Axes(roles=(*roles, Role.RECEPTIVE), groups=3, transposed=transposed), shape)
    assert fitting is not None


@pytest.mark.parametrize(("groups", "stride"), [(0, 1), (1, 0)])
def test_groups_and_stride_are_positive(groups: int, stride: int) -> None:
    with pytest.raises(InputError, match="positive groups and stride"):
        Axes(roles=(Role.OUT, Role.IN), groups=groups, stride=stride)


def test_axes_print_as_words() -> None:
    axes = Axes(roles=(Role.IN, Role.OUT, Role.RECEPTIVE), groups=2, stride=4, transposed=True)
    assert str(axes) == "in out receptive (groups=2, stride=4, transposed)"
