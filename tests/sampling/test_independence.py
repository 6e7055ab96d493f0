"""Streams beside streams: names that differ in a digit, neighbouring seeds, first elements, columns.

Words are read raw, in the orders of `fanin bits`. Levels as in `test_battery.py`: there are fewer than 1000
statistics in both files, at 1e-12 each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import islice

import numpy as np
import pytest
import randomgen
from numpy.typing import NDArray
from scipy import stats

from fanin.sampling import orders
from fanin.sampling.philox import words
from fanin.sampling.quantile import normal32
from fanin.sampling.streams import StreamKey, stream_key

LEVEL = 1e-12
LOG = math.log(2.0 / LEVEL)
Words = NDArray[np.uint32]

KEYS: dict[str, list[StreamKey]] = {
    "digits": [stream_key(0, f"layers.{k}.weight") for k in range(2048)],
    "seeds": [stream_key(k, "weight") for k in range(1001)],
    "parts": [stream_key(0, ("experts", str(k))) for k in range(1001)],
    "roles": [stream_key(0, "weight", role=str(k)) for k in range(1001)],
    "letters": [stream_key(0, "w" * k) for k in range(1, 1002)],
    "high seeds": [stream_key(2**64 - 1 - k, "weight") for k in range(1001)],
}


def check_bits(difference: Words, what: str) -> None:
    """Number of ones in words that should be random, by Hoeffding's bound."""
    count = 32 * difference.size
    ones = int(np.bitwise_count(difference).sum(dtype=np.int64))
    limit = math.sqrt(0.5 * LOG * count)
    if not abs(ones - count / 2) < limit:
        raise AssertionError(f"{what}: {ones} ones of {count}, more than {limit:.0f} off")


def check_each_bit(difference: Words, what: str) -> None:
    """The same for each of the 32 bits alone; 32 statistics count as 32."""
    for bit in range(32):
        ones = int(((difference >> np.uint32(bit)) & np.uint32(1)).sum(dtype=np.int64))
        if not abs(ones - difference.size / 2) < math.sqrt(0.5 * LOG * difference.size):
            raise AssertionError(f"{what}: bit {bit} has {ones} ones of {difference.size}")


def check_bins(part: Words, what: str, bits: int = 8) -> None:
    """Chi-square of the highest bits."""
    counts = np.bincount((part >> np.uint32(32 - bits)).ravel(), minlength=1 << bits)
    expected = part.size / (1 << bits)
    chi = float(((counts - expected) ** 2).sum() / expected)
    degrees = (1 << bits) - 1
    if not min(stats.chi2.sf(chi, degrees), stats.chi2.cdf(chi, degrees)) > LEVEL / 2:
        raise AssertionError(f"{what}: chi2 {chi:.1f} of {degrees}")


def check_all_pairs(table: Words, what: str) -> None:
    """Largest correlation between any two rows of normals, among all pairs at once.

    The statistic r of n pairs of normals is Student's ``t = r sqrt((n - 2) / (1 - r**2))``.
    """
    z = normal32(table.reshape(-1)).reshape(table.shape).astype(np.float64)
    r = np.corrcoef(z)
    np.fill_diagonal(r, 0.0)
    worst = float(np.abs(r).max())
    pairs = len(z) * (len(z) - 1) / 2
    degrees = z.shape[1] - 2
    t = float(stats.t.isf(LEVEL / 2 / pairs, degrees))
    limit = t / math.sqrt(degrees + t * t)
    if not worst < limit:
        raise AssertionError(f"{what}: two rows correlate by {worst:.3f}, limit {limit:.3f}")


def check_distinct(first: Words, what: str) -> None:
    """Number of equal words among n (birthdays) against Poisson with n**2 / 2**33 expected."""
    expected = first.size * (first.size - 1) / 2.0**33
    got = int(first.size - np.unique(first).size)
    if not min(stats.poisson.sf(got - 1, expected), stats.poisson.cdf(got, expected)) > LEVEL / 2:
        raise AssertionError(f"{what}: {got} equal words, {expected:.1f} expected")


@pytest.mark.parametrize("group", KEYS)
def test_neighbouring_streams(group: str) -> None:
    table = orders.side_by_side(KEYS[group], 0, 256)
    neighbours = table[1:] ^ table[:-1]
    check_bits(neighbours, group)
    check_each_bit(neighbours, group)
    check_bins(neighbours, group)
    check_bins(table, group)
    check_all_pairs(table, group)
    # Shifted against each other, as streams that overlap would be equal.
    for shift in (1, 2, 3, 4, 8):
        check_bits(table[1:, shift:] ^ table[:-1, :-shift], f"{group}, shifted by {shift}")


@pytest.mark.parametrize("group", KEYS)
def test_first_words(group: str) -> None:
    first = orders.side_by_side(KEYS[group], 0, 1)[:, 0]
    check_bits(first, group)
    check_bins(first, group, 5)
    check_bits(first[1:] ^ first[:-1], group)
    check_bits(first[1:] - first[:-1], f"{group}, differences")


def test_first_words_of_many_names() -> None:
    first = np.concatenate(list(islice(orders.interleaved(orders.numbered(0, "w"), None), 2)))
    assert first.size == 1 << 17
    check_bins(first, "first words", 10)
    check_each_bit(first[1:] ^ first[:-1], "first words")
    check_distinct(first, "first words")


@pytest.mark.parametrize("width", [3, 64, 768, 4096, 65536])
def test_columns(width: int) -> None:
    a, b, c, d = islice(orders.columns(stream_key(0, "w"), width), 4)
    assert a[1] == words(stream_key(0, "w"), width, width + 1)[0]
    for part in (a, b):
        check_bins(part, f"column of {width}")
        check_bits(part[1:] ^ part[:-1], f"column of {width}, neighbours")
    for other in (b, c, d):
        check_each_bit(a ^ other, f"columns of {width}")


def test_two_words_of_an_element() -> None:
    key = stream_key(0, "w")
    check_each_bit(words(key, 0, 1 << 18) ^ words(key, 0, 1 << 18, second=True), "the second word")


@pytest.mark.parametrize("bit", [0, 1, 31, 32, 63])
def test_a_seed_with_one_bit_flipped_changes_half_the_bits(bit: int) -> None:
    keys = [(stream_key(k, "w"), stream_key(k ^ (1 << bit), "w")) for k in range(500)]
    first, second = (orders.side_by_side([pair[i] for pair in keys], 0, 16) for i in (0, 1))
    check_bits(first ^ second, f"seed bit {bit}")


def test_far_apart_elements() -> None:
    key = stream_key(0, "w")
    near = words(key, 0, 1 << 16)
    for power in (16, 31, 32, 33, 34, 48, 63):
        check_each_bit(near ^ words(key, 1 << power, (1 << power) + (1 << 16)), f"2**{power} apart")


def _table() -> Words:
    return orders.side_by_side(KEYS["digits"], 0, 256)


def _same_twice() -> Words:
    table = _table()
    table[700] = table[3]
    return table


PLANTED: list[tuple[str, Callable[[], object]]] = [
    ("ones of", lambda: check_bits(_table() | np.uint32(1 << 20) & (_table() << np.uint32(3)), "planted")),
    (
        "bit 7 has",
        lambda: check_each_bit(_table() & ~(_table() >> np.uint32(1) & np.uint32(1 << 7)), "planted"),
    ),
    ("chi2", lambda: check_bins(_table() - (_table() >> np.uint32(7)), "planted")),
    ("two rows correlate", lambda: check_all_pairs(_same_twice(), "planted")),
    ("equal words", lambda: check_distinct(np.concatenate([_table()[0], _table()[0][:60]]), "planted")),
    # What a generator does that adds the stream's number to the seed: streams overlap.
    (
        "shifted",
        lambda: check_bits(
            np.stack([words(KEYS["digits"][0], k, k + 255) for k in range(1, 9)])
            ^ np.stack([words(KEYS["digits"][0], k + 1, k + 256) for k in range(8)]),
            "shifted",
        ),
    ),
]


@pytest.mark.parametrize(("text", "planted"), PLANTED, ids=[f"{k}-{t}" for k, (t, _) in enumerate(PLANTED)])
def test_a_planted_defect_is_found(text: str, planted: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=text):
        planted()


@pytest.mark.parametrize("block", [0, 5, (1 << 32) - 2, (1 << 60) + 1])
def test_randomgen_gives_the_same_words(block: int) -> None:
    # Philox4x32-10 as an independent library has it; NumPy's own Philox is the 4x64 one and does not fit.
    key = stream_key(0, "w")
    # It counts up before it makes a block.
    counter = ((block | key.counter2 << 64 | key.counter3 << 96) - 1) % (1 << 128)
    other = randomgen.Philox(counter=counter, key=key.key0 | key.key1 << 32, number=4, width=32)
    assert other.random_raw(4000).tolist() == words(key, 4 * block, 4 * block + 4000).tolist()
