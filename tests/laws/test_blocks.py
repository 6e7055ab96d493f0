"""Fused weights and low-rank pairs."""

from __future__ import annotations

import math

import pytest

from fanin.errors import InputError
from fanin.laws.blocks import block_fans, lora_fans, lora_scaling
from fanin.laws.fans import fans
from fanin.records.axes import Axes, Role


def test_a_fused_projection_is_three_layers() -> None:
    """torch's MultiheadAttention takes (3 n, n) for one layer: its weights are sqrt(2) too small."""
    blocks = block_fans((768, 256), (256, 256, 256))
    assert set(blocks) == {fans((256, 256))}
    assert math.sqrt(fans((768, 256)).fan_avg / blocks[0].fan_avg) == pytest.approx(math.sqrt(2))
    packed = Axes(roles=(Role.OUT, Role.IN), groups=3)
    assert fans((768, 256), packed) == blocks[0]


def test_grouped_queries_have_blocks_of_their_own_size() -> None:
    q, k, _ = block_fans((256, 384), (256, 64, 64), "in out")
    assert (q.fan_out, k.fan_out, q.fan_in) == (256, 64, 256)


def test_a_low_rank_pair() -> None:
    first, second = lora_fans((64, 32, 3, 3), 4)
    assert (first.fan_in, first.fan_out) == (288, 4)
    assert (second.fan_in, second.fan_out) == (4, 576)
    assert lora_scaling(1, 8.0) == lora_scaling(1, 8.0, stabilized=False) == 8.0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: block_fans((768, 256), (256, 256)), r"The blocks are not the outputs.*sizes \(256, 256\)"),
        (lambda: block_fans((256, 4, 64), (2, 2), "in out out"), "one dimension in the role 'out'"),
        (lambda: block_fans((4, 4), (4, 0)), "The blocks are not the outputs"),
        (lambda: lora_fans((8, 8), 0), "A rank is a whole number of at least 1. Received: rank=0"),
        (lambda: lora_scaling(8, 0.0), "alpha is not positive and finite"),
        (lambda: lora_scaling(8, math.nan), "alpha is not positive and finite"),
    ],
)
def test_bad_input(call: object, text: str) -> None:
    with pytest.raises(InputError, match=text):
        call()  # type: ignore[operator]
