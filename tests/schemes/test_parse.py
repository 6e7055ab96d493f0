"""Schemes from words, and peers' schemes for tensors that are stored in another order."""

from __future__ import annotations

import math

import pytest

import fanin
from fanin.errors import InputError, UnknownNameError
from fanin.schemes.dialects.stored import elsewhere
from fanin.schemes.parse import scheme


@pytest.mark.parametrize(
    ("text", "std"),
    [
        ("he_normal", math.sqrt(2 / 784)),
        ("normal(std=0.02)", 0.02),
        ("keras:he_normal", math.sqrt(2 / 784)),
        ("keras:VarianceScaling(scale=3.0)", math.sqrt(3 / 784)),
        ("jax:lecun_uniform", math.sqrt(1 / 784)),
        ("torch:kaiming_uniform(a=0)", math.sqrt(2 / 784)),
    ],
)
def test_words_for_a_matrix_of_torch(text: str, std: float) -> None:
    assert scheme(text).draw((256, 784), "out in").std == pytest.approx(std)


@pytest.mark.parametrize(
    "text", ["normal(", "1 + 1", "he_normal()()", "keras:he_normal()()", "normal(**x)", "normal(std=open)"]
)
def test_what_is_no_scheme(text: str) -> None:
    with pytest.raises(InputError):
        scheme(text)


def test_nearest_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'keras'"):
        scheme("kera:he_normal")
    with pytest.raises(UnknownNameError, match="he_normal"):
        scheme("keras:he_norml(seed=1)")


def test_a_convolution_is_turned_before_the_peer_reads_it() -> None:
    he = fanin.dialect("keras").he_normal()
    # torch: (out, in, h, w); Keras: (h, w, in, out). The fan is 3 * 3 * 16 in both.
    mine = elsewhere(he).draw((32, 16, 3, 3), "out in receptive receptive")
    theirs = he.draw((3, 3, 16, 32))
    assert mine == theirs
    assert mine.std == pytest.approx(math.sqrt(2 / 144))
    assert he.draw((32, 16, 3, 3)) != theirs


def test_orthogonal_is_made_for_the_tensor_as_it_is() -> None:
    draw = scheme("keras:orthogonal").draw((256, 784), "out in")
    assert draw == fanin.orthogonal().draw((256, 784), "out in")


def test_roles_for_which_the_peer_has_no_place() -> None:
    with pytest.raises(InputError, match="other roles there"):
        scheme("keras:he_normal").draw((4, 8, 16), "batch out in")
