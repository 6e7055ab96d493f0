"""Roles from equations: the fans are those of the sums that NumPy does."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fanin.errors import InputError
from fanin.laws.einsum import axes_from_einsum, fans_from_einsum
from fanin.laws.fans import fans

CASES = {
    "bi,io->bo": ((48, 32), (48, 32)),
    "ebc,ecd->ebd": ((6, 48, 32), (48, 32)),
    "bse,ehd->bshd": ((48, 4, 8), (48, 32)),
    "bshd,hde->bse": ((4, 8, 48), (32, 48)),
    "...i,oi->...o": ((32, 48), (48, 32)),
    "bghi,gio->bgho": ((5, 24, 16), (24, 16)),
}


@pytest.mark.parametrize(("equation", "case"), CASES.items())
def test_one_result_adds_up_fan_in_terms(
    equation: str, case: tuple[tuple[int, ...], tuple[int, int]]
) -> None:
    shape, (fan_in, fan_out) = case
    found = fans_from_einsum(equation, shape)
    assert (found.fan_in, found.fan_out) == (fan_in, fan_out)
    # Counted: with ones everywhere a result is the number of its terms.
    letters = equation.partition("->")[0].replace("...", "").split(",")
    size = dict(zip(letters[1], shape, strict=True))
    inputs = np.ones([size.get(letter, 3) for letter in letters[0]])
    assert (np.einsum(equation, inputs, np.ones(shape)) == fan_in).all()
    left, _, result = equation.partition("->")
    x, w = left.split(",")
    outputs = np.ones([size.get(letter, 3) for letter in result.replace("...", "")])
    assert (np.einsum(f"{result},{w}->{x}", outputs, np.ones(shape)) == fan_out).all()


def test_the_weight_may_come_first_and_the_arrow_may_be_missing() -> None:
    assert axes_from_einsum("io,bi->bo", 0) == axes_from_einsum("bi,io->bo")
    assert axes_from_einsum("bi,io") == axes_from_einsum("bi,io->bo", 1)


def test_heads_and_embeddings_are_roles() -> None:
    assert fans((64, 4, 16), "in out out").fan_out == 64
    assert fans((4, 16, 64), "in in out").fan_in == 64
    # A look-up adds up one row.
    assert fans((1000, 64), "batch out").fan_in == 1


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: axes_from_einsum("bi,ii->b"), r"no letter comes twice"),
        (lambda: axes_from_einsum("bi,...o->bo"), r"Write \.\.\. out in letters"),
        (lambda: axes_from_einsum("bi,io->bx"), r"This is no einsum equation\. Received: 'bi,io->bx'"),
        (lambda: axes_from_einsum("b1,1o->bo"), r"Write it as in 'bi,io->bo'"),
        (lambda: axes_from_einsum("bi,io->bo", 2), r"The equation has no such operand.*It has 2"),
        (lambda: fans_from_einsum("bi,io->bo", (3, 4, 5)), r"Axes do not fit the shape"),
        (lambda: axes_from_einsum(""), r"This is no einsum equation"),
    ],
)
def test_bad_input(call: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()  # type: ignore[operator]


def test_the_law_keeps_the_variance() -> None:
    """Glorot on a stack, with roles and without: only the roles keep the signal."""
    import fanin

    axes = axes_from_einsum("ebc,ecd->ebd")
    weight = fanin.sample("lecun_normal", (16, 64, 64), seed=0, name="w", axes=axes)
    inputs = np.random.default_rng(0).standard_normal((16, 256, 64))
    power = float(np.square(np.einsum("ebc,ecd->ebd", inputs, weight)).mean())
    error = math.sqrt(4 / (16 * 256 * 64) + 2 / (16 * 256 * 64) + 2 / (16 * 64 * 64))
    assert abs(power - 1) < 6.2 * error
