"""Kernels of classical signal processing, as starts (or fixed parts) of convolutions."""

from __future__ import annotations

from fanin.errors import InputError, explain, nearest
from fanin.schemes.base import Entry
from fanin.schemes.by_formula import FormulaScheme

__all__ = ["SCHEMES", "bilinear", "stft"]

# Part of the cosine in a - b cos: J. O. Smith, Spectral Audio Signal Processing, 2011, chapter 3.
_WINDOWS = {"hann": 0.5, "hamming": 0.46, "none": 0.0}
_SCALINGS = {"none": 0.0, "density": 1.0, "spectrum": 2.0}
_SIDES = {"real": 0.0, "imag": 1.0}


def bilinear() -> FormulaScheme:
    """Transposed convolution that enlarges by straight lines between pixels (any number of dimensions).

    ``W[o, i, t] = prod_d (1 - |t_d - c_d| / f_d)`` if ``o = i``, else 0; ``f = (k + 1) // 2``, c the centre.
    With a kernel of ``2 s - s % 2``, stride s and the padding ``s // 2`` the output is s times as large.
    Each group enlarges its own channels.

    Returns
    -------
    FormulaScheme
        A scheme.

    Examples
    --------
    >>> bilinear().draw((1, 1, 4)).high
    0.75

    References
    ----------
    J. Long, E. Shelhamer, T. Darrell, Fully Convolutional Networks for Semantic Segmentation, 2015,
    section 3.3.
    """
    return FormulaScheme(
        name="bilinear",
        law="W = triangles over the kernel where out = in, 0 elsewhere",
        source="bilinear",
        references=("Long, Shelhamer and Darrell 2015, section 3.3",),
    )


def stft(
    side: str = "real", window: str = "hann", scaling: str = "none", *, periodic: bool = False
) -> FormulaScheme:
    """Convolution that computes one part of a short-time Fourier transform.

    ``W[t, f] = h(t) cos(2 pi f t / N)`` or ``-h(t) sin(2 pi f t / N)``; ``N = 2 (frequencies - 1)``. Times
    lie along the kernel (or the inputs of a dense layer), frequencies along the outputs.

    Parameters
    ----------
    side
        ``"real"`` or ``"imag"``.
    window
        h: ``"hann"``, ``"hamming"`` or ``"none"``.
    scaling
        ``"density"`` divides by the root of the sum of h², ``"spectrum"`` by the sum of h.
    periodic
        Whether the window's period is its length, not its length less one.

    Returns
    -------
    FormulaScheme
        A scheme; its `draw` raises InputError for shapes with channels beside the times.

    Raises
    ------
    UnknownNameError
        Another side, window or scaling.

    Examples
    --------
    >>> stft(window="none").draw((64, 1, 5), "receptive in out").high
    1.0

    References
    ----------
    J. B. Allen, L. R. Rabiner, A unified approach to short-time Fourier analysis and synthesis, 1977,
    section 2.
    """
    for word, known, kind in (
        (side, _SIDES, "side"),
        (window, _WINDOWS, "window"),
        (scaling, _SCALINGS, "scaling"),
    ):
        if str(word) not in known:
            raise nearest(str(word), known, kind=kind)
    if not isinstance(periodic, bool):
        raise InputError(
            explain("The window is periodic or not", received=f"periodic={periodic!r}", rule="True or False")
        )
    numbers = (_SIDES[side], _WINDOWS[window], float(periodic), _SCALINGS[scaling])
    wave = "cos" if side == "real" else "-sin"
    return FormulaScheme(
        name="stft",
        law=f"w = {wave}(2π f t / N) under the window {window}",
        source="fourier",
        numbers=numbers,
        references=("Allen and Rabiner 1977, section 2",),
    )


SCHEMES = (
    Entry(factory=bilinear, aliases=("upsampling",)),
    Entry(factory=stft, examples=({}, {"side": "imag", "window": "hamming", "scaling": "density"})),
)
