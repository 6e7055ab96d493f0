"""Checks of samples against their draw, at a false alarm rate of 1e-9 each; they raise."""

from __future__ import annotations

import math

import numpy as np
import scipy.stats

from fanin.laws import moments
from fanin.records.draw import (
    Constant,
    DeltaOrthogonal,
    Draw,
    Formula,
    Identity,
    Normal,
    Orthogonal,
    OrthogonalConvolution,
    Sparse,
    TruncatedNormal,
    Uniform,
)

__all__ = [
    "FALSE_ALARM",
    "Z",
    "check_bounds",
    "check_family",
    "check_mean",
    "check_spectrum",
    "check_variance",
    "half_ulps",
]

EXACT = (Orthogonal, DeltaOrthogonal, OrthogonalConvolution, Identity)
"""Draws whose mean square is a fact, not an expectation."""

FALSE_ALARM = 1e-9
Z = float(scipy.stats.norm.isf(FALSE_ALARM / 2))


def half_ulps(values: np.ndarray, eps: float, smallest: float) -> np.ndarray:
    """Largest error of rounding to a format, for each value."""
    return np.maximum(0.5 * eps * np.abs(values), 0.5 * smallest)


def _occupied(values: np.ndarray, share: float, draw: Draw) -> np.ndarray:
    """The values that are not zero, whose number must be exact."""
    kept = values[values != 0.0]
    if kept.size != round(share * values.size):
        raise AssertionError(
            f"{kept.size} of {values.size} values are not zero, expected {share:.6g} ({draw})"
        )
    return kept


def check_mean(values: np.ndarray, draw: Draw, rounding: np.ndarray) -> None:
    """Mean against the draw's: z-test, plus what rounding may move it by."""
    allowed = Z * draw.std / math.sqrt(values.size) + float(rounding.mean())
    off = abs(float(values.mean()) - draw.mean)
    if off > allowed:
        raise AssertionError(f"mean is off by {off:.3g}, allowed {allowed:.3g} ({draw})")


def check_variance(values: np.ndarray, draw: Draw, rounding: np.ndarray) -> None:
    """Variance against the draw's, with the standard error of its kurtosis."""
    got = math.sqrt(float(np.square(values - draw.mean).mean()))
    share = math.sqrt((moments.kurtosis(draw) - 1.0) / values.size)
    if isinstance(draw, EXACT) or (isinstance(draw, Formula) and not draw.random):
        # All singular values are the gain (and an identity is not random), so the mean square is exact.
        share = 1e-6
    low = draw.std * math.sqrt(max(1.0 - Z * share, 0.0))
    high = draw.std * math.sqrt(1.0 + Z * share)
    slack = math.sqrt(float(np.square(rounding).mean()))
    if not low - slack <= got <= high + slack:
        raise AssertionError(f"std is {got:.6g}, allowed {low - slack:.6g} to {high + slack:.6g} ({draw})")


def check_bounds(values: np.ndarray, draw: Draw, rounding: np.ndarray) -> None:
    """No sample beyond the draw's support, rounding apart."""
    low, high = -math.inf, math.inf
    match draw:
        case Constant():
            low = high = draw.value
        case Uniform():
            low, high = draw.low, draw.high
        case TruncatedNormal():
            low = draw.parent_mean + draw.lower * draw.parent_std
            high = draw.parent_mean + draw.upper * draw.parent_std
        case Orthogonal() | DeltaOrthogonal() | OrthogonalConvolution():
            low, high = -draw.gain, draw.gain
        case Identity():
            low, high = 0.0, draw.gain
        case Formula():
            low, high = draw.low, draw.high
    if not np.isfinite(values).all():
        raise AssertionError(f"{int((~np.isfinite(values)).sum())} samples are not finite ({draw})")
    beyond = np.maximum(low - values, values - high) - 1.001 * rounding
    if (beyond > 0).any():
        raise AssertionError(
            f"{int((beyond > 0).sum())} samples lie up to {beyond.max():.3g} outside ({draw})"
        )


def check_family(values: np.ndarray, draw: Draw) -> None:
    """Kolmogorov-Smirnov test against SciPy's distribution of the same parameters."""
    match draw:
        case Uniform():
            peer = scipy.stats.uniform(draw.low, draw.high - draw.low)
        case Normal():
            peer = scipy.stats.norm(draw.mean, draw.std)
        case TruncatedNormal():
            peer = scipy.stats.truncnorm(draw.lower, draw.upper, draw.parent_mean, draw.parent_std)
        case Orthogonal():
            # The square of an entry is Beta(1/2, (n - 1)/2). Entries are dependent, of order 1/n, so a
            # part of them is taken; an odd step meets every row and column.
            side = round((draw.gain / draw.std) ** 2)
            part = values.ravel()[:: max(1, values.size // 10_000) | 1]
            values, peer = np.square(part / draw.gain), scipy.stats.beta(0.5, 0.5 * (side - 1))
        case DeltaOrthogonal():
            values = _occupied(values, 1.0 / draw.taps, draw)
            side = round((draw.gain / draw.std) ** 2 / draw.taps)
            part = values[:: max(1, values.size // 10_000) | 1]
            values, peer = np.square(part / draw.gain), scipy.stats.beta(0.5, 0.5 * (side - 1))
        case OrthogonalConvolution():
            # A mixture over taps without closed form, but for its fourth moment in the limit of many outputs.
            # Each of the projections moves a row's power at a tap by some 1/outputs (its rank and its rows;
            # to first order nothing, since a projection and its complement weigh alike). The isometry
            # itself is tested in tests/sampling.
            got = float(np.square(np.square(values)).mean()) / draw.std**4
            allowed = Z * math.sqrt(96.0 / values.size) * moments.kurtosis(draw) ** 2 / 9.0
            outputs = (draw.gain / draw.std) ** 2 / math.prod(draw.sizes)
            allowed += 3.0 * moments.kurtosis(draw) * sum(n - 1 for n in draw.sizes) / outputs
            if abs(got - moments.kurtosis(draw)) > allowed:
                raise AssertionError(f"kurtosis is {got:.4g}, allowed ±{allowed:.3g} ({draw})")
            return
        case Identity():
            if not np.isin(values, (0.0, np.float32(draw.gain))).all():
                raise AssertionError(f"values other than 0 and {draw.gain}")
            return
        case Formula():
            # Its fourth moment: exact but for rounding, or from elements on a known interval, whose fourth
            # powers spread by at most half of the largest.
            got = float(np.square(np.square(values - draw.mean)).mean())
            largest = max(draw.high - draw.mean, draw.mean - draw.low) ** 4
            allowed = 1e-5 * largest + (Z * 0.5 * largest / math.sqrt(values.size) if draw.random else 0.0)
            if abs(got - moments.fourth_moment(draw)) > allowed:
                raise AssertionError(f"fourth moment is {got:.4g}, allowed ±{allowed:.3g} ({draw})")
            return
        case Sparse():
            values = _occupied(values, (draw.std / draw.parent_std) ** 2, draw)
            peer = scipy.stats.norm(0.0, draw.parent_std)
        case Constant():
            if (values != draw.value).any():
                raise AssertionError(f"values differ from {draw.value}")
            return
    p = float(scipy.stats.kstest(values.ravel(), peer.cdf, method="asymp").pvalue)
    if p < FALSE_ALARM:
        raise AssertionError(f"the samples are of another family, p = {p:.3g} ({draw})")


def check_spectrum(matrix: np.ndarray, draw: Draw) -> None:
    """Smallest and largest singular value of a matrix of independent entries, or of an orthogonal one.

    Marchenko and Pastur: they fill ``std (sqrt(N) ± sqrt(n))``. Outwards the tail is
    ``P(s > edge + t std) < exp(-t^2 / 2)`` for normal entries (Davidson and Szarek 2001, theorem II.13), and
    lighter for bounded ones of one variance; inwards Tracy and Widom's, ``exp(-x^3 / 24)`` at their scale.
    """
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    if isinstance(draw, Orthogonal):
        if np.abs(values / draw.gain - 1.0).max() > 1e-4:
            raise AssertionError(
                f"singular values {values[-1]:.4f} to {values[0]:.4f}, not {draw.gain} ({draw})"
            )
        return
    longer, shorter = max(matrix.shape), min(matrix.shape)
    root, side = math.sqrt(longer), math.sqrt(shorter)
    out = math.sqrt(2.0 * math.log(1.0 / FALSE_ALARM))
    scale = 0.5 * (24.0 * math.log(1.0 / FALSE_ALARM)) ** (1.0 / 3.0)
    at_high = scale * (1.0 / side + 1.0 / root) ** (1.0 / 3.0)
    at_low = scale * (1.0 / side - 1.0 / root) ** (1.0 / 3.0) + out / root
    low, high = float(values[-1]) / draw.std, float(values[0]) / draw.std
    if not root - side - out < low < root - side + at_low:
        raise AssertionError(f"smallest singular value is {low:.4g} std, edge {root - side:.4g} ({draw})")
    if not root + side - at_high < high < root + side + out:
        raise AssertionError(f"largest singular value is {high:.4g} std, edge {root + side:.4g} ({draw})")
