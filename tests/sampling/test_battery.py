"""The streams as statistics, long: bins, tails, moments, spectrum, lags.

Every check compares one statistic with its exact law at `LEVEL`, both ends together. There are fewer than
`CHECKS` statistics in this file and in `test_independence.py`, so the whole battery raises a false
alarm with probability below 1e-9 for a perfect generator; the seeds being fixed, it does so never or always.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import ndtr

from fanin.records.draw import Draw, Normal, TruncatedNormal, Uniform
from fanin.sampling.engine import generate

CHECKS = 1000
LEVEL = 1e-9 / CHECKS
LOG = math.log(2.0 / LEVEL)
REACH = 6.2303
"""No standard normal of one word is larger."""
COUNT = 1 << 22
NORMAL = Normal(std=1.0)
TRUNCATED = TruncatedNormal(std=1.0, parent_mean=0.0, parent_std=1.0, lower=-2.0, upper=2.0)
Values = NDArray[np.float64]


def drawn(draw: Draw = NORMAL, count: int = COUNT, name: str = "battery") -> Values:
    return generate(draw, (count,), seed=2, name=name).astype(np.float64)


def check(lower: float, upper: float, what: str) -> None:
    """Raise where one of the two tail probabilities of a statistic is too small."""
    if not min(lower, upper) > LEVEL / 2:
        raise AssertionError(f"{what}: tail probabilities {lower:.1e} below, {upper:.1e} above")


def check_bins(share: Values, bins: int) -> None:
    """Chi-square of equiprobable bins of uniform numbers in [0, 1]."""
    place = np.minimum((share * bins).astype(np.int64), bins - 1)
    expected = share.size / bins
    chi = float(((np.bincount(place, minlength=bins) - expected) ** 2).sum() / expected)
    check(stats.chi2.cdf(chi, bins - 1), stats.chi2.sf(chi, bins - 1), f"{bins} bins, chi2 {chi:.1f}")


def check_tail(z: Values, beyond: float) -> None:
    """Count of |z| beyond a bound against Poisson."""
    expected = 2.0 * stats.norm.sf(beyond) * z.size
    got = int((np.abs(z) > beyond).sum())
    check(stats.poisson.cdf(got, expected), stats.poisson.sf(got - 1, expected), f"{got} beyond {beyond}")


def gauss(order: int) -> float:
    """E z**order."""
    return 0.0 if order % 2 else float(math.prod(range(1, order, 2)))


def check_sum(terms: Values, variance: float, bound: float, what: str) -> None:
    """Sum of bounded terms of mean zero, each with this variance given those before it.

    Bernstein, and Freedman 1975 for terms that share factors:
    ``P(|S| > t) < 2 exp(-t**2 / 2 / (v + b t / 3))``, v the sum of the variances and b the bound of a term.
    """
    third, total = LOG * bound / 3.0, variance * terms.size
    limit = third + math.sqrt(third**2 + 2.0 * LOG * total)
    got = float(terms.sum())
    if not abs(got) < limit:
        raise AssertionError(
            f"{what}: {got / math.sqrt(total):.1f} standard errors, limit {limit / math.sqrt(total):.1f}"
        )


def check_moment(z: Values, order: int) -> None:
    """Mean of z**order."""
    variance = gauss(2 * order) - gauss(order) ** 2
    check_sum(z**order - gauss(order), variance, REACH**order, f"moment {order}")


def check_products(x: Values, y: Values, what: str, bound: float = REACH) -> None:
    """Products of numbers of mean 0 and variance 1 that are independent if all is well."""
    # The conditional variances, squares of one factor, add up to within 2 % of their mean.
    check_sum(x * y, 1.02, bound**2, what)


def edge(matrix: Values) -> tuple[float, float]:
    """Smallest and largest singular value, in units of the square root of the longer side."""
    values = np.linalg.svd(matrix, compute_uv=False)
    root = math.sqrt(max(matrix.shape))
    return float(values[-1]) / root, float(values[0]) / root


def check_edge(matrix: Values) -> None:
    """Marchenko-Pastur: for N(0, 1) entries the singular values fill [1 - sqrt(q), 1 + sqrt(q)].

    Outwards Davidson and Szarek 2001, theorem II.13: P(s_max > sqrt(N) + sqrt(n) + t) < exp(-t**2 / 2), and
    likewise below.
    """
    longer, shorter = max(matrix.shape), min(matrix.shape)
    ratio, root = math.sqrt(shorter / longer), math.sqrt(longer)
    outwards = math.sqrt(2.0 * LOG) / root
    # Inwards: Tracy and Widom's law, exp(-x**3 / 24) in that tail, at its scale for singular values; the
    # smallest one of a square matrix is above t / N with probability exp(-t**2 / 2 - t) (Edelman 1988).
    x = (24.0 * LOG) ** (1.0 / 3.0)
    sides = 1.0 / math.sqrt(longer), 1.0 / math.sqrt(shorter)
    at_high = x * 0.5 * (sides[1] + sides[0]) ** (1.0 / 3.0) / root
    at_low = x * 0.5 * (sides[1] - sides[0]) ** (1.0 / 3.0) / root + math.sqrt(2.0 * LOG) / longer
    low, high = edge(matrix)
    if not 1.0 - ratio - outwards < low < 1.0 - ratio + at_low:
        raise AssertionError(f"smallest singular value {low:.4f}, edge {1 - ratio:.4f}")
    if not 1.0 + ratio - at_high < high < 1.0 + ratio + outwards:
        raise AssertionError(f"largest singular value {high:.4f}, edge {1 + ratio:.4f}")


BINS = [2, 16, 256, 4096, 65536]


@pytest.mark.parametrize("bins", BINS)
def test_normal_bins(bins: int) -> None:
    check_bins(ndtr(drawn()), bins)


@pytest.mark.parametrize("bins", BINS)
def test_uniform_bins(bins: int) -> None:
    check_bins(0.5 + 0.5 * drawn(Uniform(low=-1.0, high=1.0)), bins)


@pytest.mark.parametrize("bins", BINS)
def test_truncated_bins(bins: int) -> None:
    low, high = ndtr(-2.0), ndtr(2.0)
    check_bins((ndtr(drawn(TRUNCATED)) - low) / (high - low), bins)


@pytest.mark.parametrize("bins", BINS)
def test_float64_bins(bins: int) -> None:
    z = generate(NORMAL, (COUNT // 4,), seed=2, name="battery", dtype="float64")
    check_bins(ndtr(z), bins)


@pytest.mark.parametrize("apart", [1, 2, 4])
def test_pairs_fill_the_square(apart: int) -> None:
    # Pairs of neighbours, next neighbours and neighbouring blocks, in 256 x 256 cells; none is used twice.
    cell = np.minimum((ndtr(drawn()) * 256).astype(np.int64), 255).reshape(-1, 2, apart)
    check_bins(((256 * cell[:, 0] + cell[:, 1]).reshape(-1) + 0.5) / 65536.0, 65536)


@pytest.mark.parametrize("beyond", [1.0, 2.0, 3.0, 4.0, 5.0])
def test_tails(beyond: float) -> None:
    check_tail(drawn(), beyond)


@pytest.mark.slow
def test_far_tails_of_a_long_stream() -> None:
    # 2**32 elements: 8.5 are expected beyond six sigma, and none can be beyond 6.2302.
    part, parts = 1 << 24, 256
    counts = dict.fromkeys((3.0, 4.0, 5.0, 6.0), 0)
    largest = 0.0
    for k in range(parts):
        z = np.abs(generate(NORMAL, (part,), seed=2, name=("tails", str(k))))
        largest = max(largest, float(z.max()))
        for beyond in counts:
            counts[beyond] += int((z > beyond).sum())
    for beyond, got in counts.items():
        expected = 2.0 * stats.norm.sf(beyond) * part * parts
        print(f"beyond {beyond:.0f} sigma: {got}, expected {expected:.1f}")
        check(stats.poisson.cdf(got, expected), stats.poisson.sf(got - 1, expected), f"{got} beyond {beyond}")
    assert 6.0 < largest < 6.2303


@pytest.mark.parametrize("order", range(1, 9))
def test_moments(order: int) -> None:
    check_moment(drawn(), order)


@pytest.mark.parametrize("lag", [1, 2, 3, 4, 5, 7, 8, 16, 63, 64, 127, 128, 1024, 4096, 65536])
def test_lags(lag: int) -> None:
    z = drawn()
    check_products(z[lag:], z[:-lag], f"lag {lag}")
    square = (z * z - 1.0) / math.sqrt(2.0)
    check_products(square[lag:], square[:-lag], f"lag {lag} of squares", (REACH**2 - 1.0) / math.sqrt(2.0))


@pytest.mark.parametrize("shape", [(640, 640), (1024, 256), (200, 1600)])
def test_marchenko_pastur_edge(shape: tuple[int, int]) -> None:
    check_edge(generate(NORMAL, shape, seed=2, name="matrix").astype(np.float64))


def binomial(got: int, count: int) -> tuple[float, float]:
    """Tail probabilities of a number of heads."""
    return stats.binom.cdf(got, count, 0.5), stats.binom.sf(got - 1, count, 0.5)


def test_bits_are_fair() -> None:
    # Each of the 24 bits of a uniform number, and each pair of neighbouring bits.
    whole = (drawn(Uniform(low=-1.0, high=1.0), 1 << 21) * 2.0**24).astype(np.int32)
    for bit in range(1, 25):
        ones = int(((whole >> bit) & 1).sum())
        check(*binomial(ones, whole.size), f"bit {bit}")
        if bit < 24:
            same = int((((whole >> bit) ^ (whole >> (bit + 1))) & 1).sum())
            check(*binomial(same, whole.size), f"bits at {bit}")


def repeated(z: Values) -> Values:
    """Every 64th element is the one before."""
    z[64::64] = z[63:-1:64]
    return z


PLANTED: list[tuple[str, Callable[[], object]]] = [
    ("65536 bins", lambda: check_bins(np.round(ndtr(drawn()) * 65000) / 65000, 65536)),
    ("16 bins", lambda: check_bins(ndtr(drawn() * 1.01), 16)),
    ("beyond 4", lambda: check_tail(np.clip(drawn(), -3.999, 3.999), 4.0)),
    ("beyond 5", lambda: check_tail(drawn() * 1.2, 5.0)),
    ("moment 1: ", lambda: check_moment(drawn() + 0.01, 1)),
    ("moment 2: ", lambda: check_moment(drawn() * 1.01, 2)),
    ("moment 3: ", lambda: check_moment(np.minimum(drawn(), 2.0), 3)),
    ("moment 8: ", lambda: check_moment(np.clip(drawn(), -3.0, 3.0), 8)),
    ("lag 1", lambda: check_products(repeated(drawn())[1:], repeated(drawn())[:-1], "lag 1")),
    ("largest", lambda: check_edge(drawn(count=1 << 18).reshape(512, 512) + 0.1)),
    ("largest", lambda: check_edge(drawn(count=1 << 18).reshape(512, 512) * 1.2)),
    ("smallest", lambda: check_edge(repeated(drawn(count=1 << 18)).reshape(1024, 256)[:, ::-1] * 0.9)),
]


@pytest.mark.parametrize(("text", "planted"), PLANTED, ids=[f"{k}-{t}" for k, (t, _) in enumerate(PLANTED)])
def test_a_planted_defect_is_found(text: str, planted: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match=text):
        planted()
