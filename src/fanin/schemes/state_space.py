"""Constants of diagonal state-space layers (S4D, Mamba)."""

from __future__ import annotations

import math

from fanin.errors import InputError, explain, finite, nearest
from fanin.schemes.base import Entry
from fanin.schemes.by_formula import FormulaScheme

__all__ = ["SCHEMES", "mamba_a_log", "mamba_dt_bias", "s4d_lin", "s4d_real"]

_S4D = "Gu, Gupta, Goel and Ré 2022, section 4"


def s4d_real() -> FormulaScheme:
    """Decay rates of a real diagonal state space: ``A_n = -(n + 1)`` along the last dimension.

    Returns
    -------
    FormulaScheme
        A scheme; all other dimensions hold copies.

    Examples
    --------
    >>> s4d_real().draw((16, 4)).low
    -4.0

    References
    ----------
    A. Gu, A. Gupta, K. Goel, C. Ré, On the Parameterization and Initialization of Diagonal State Space
    Models, 2022, section 4 (S4D-Real).
    """
    return FormulaScheme(
        name="s4d_real",
        law="A_n = -(n + 1), n along the last dimension",
        source="states",
        numbers=(-1.0, -1.0, 0.0),
        references=(_S4D,),
    )


def s4d_lin(part: str = "imag") -> FormulaScheme:
    """Poles of a complex diagonal state space, ``A_n = -1/2 + i pi n``, one part at a time.

    The real part is stored as ``log(1/2)`` by most code, since it must stay negative: `part` "log_real".

    Parameters
    ----------
    part
        ``"imag"`` (pi n along the last dimension), ``"real"`` (-1/2) or ``"log_real"`` (log 1/2).

    Returns
    -------
    FormulaScheme
        A scheme; all other dimensions hold copies.

    Raises
    ------
    UnknownNameError
        Another part.

    Examples
    --------
    >>> s4d_lin("real").draw((16, 4)).mean
    -0.5

    References
    ----------
    A. Gu, A. Gupta, K. Goel, C. Ré, On the Parameterization and Initialization of Diagonal State Space
    Models, 2022, section 4 (S4D-Lin).
    """
    parts = {
        "imag": ((0.0, math.pi, 0.0), "Im A_n = π n, n along the last dimension"),
        "real": ((-0.5, 0.0, 0.0), "Re A_n = -1/2"),
        "log_real": ((math.log(0.5), 0.0, 0.0), "log(-Re A_n) = log(1/2)"),
    }
    if part not in parts:
        raise nearest(str(part), parts, kind="part")
    numbers, law = parts[part]
    return FormulaScheme(name="s4d_lin", law=law, source="states", numbers=numbers, references=(_S4D,))


def mamba_a_log() -> FormulaScheme:
    """Logarithms of Mamba's decay rates, ``A_log = log(n + 1)`` along the last dimension: ``A = -(n + 1)``.

    Returns
    -------
    FormulaScheme
        A scheme; all other dimensions hold copies.

    Examples
    --------
    >>> mamba_a_log().draw((16, 1)).mean
    0.0

    References
    ----------
    A. Gu, T. Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, 2023, section 3.6
    (S4D-Real).
    """
    return FormulaScheme(
        name="mamba_a_log",
        law="w = log(n + 1), n along the last dimension",
        source="states",
        numbers=(1.0, 1.0, 1.0),
        references=("Gu and Dao 2023, section 3.6",),
    )


def mamba_dt_bias(shortest: float = 0.001, longest: float = 0.1) -> FormulaScheme:
    """Bias before the softplus that gives Mamba's step sizes: the steps are log-uniform.

    ``w = log(exp(dt) - 1)`` with ``log dt ~ U(log shortest, log longest)``, so ``softplus(w) = dt``.

    Parameters
    ----------
    shortest, longest
        Step sizes.

    Returns
    -------
    FormulaScheme
        A scheme.

    Raises
    ------
    InputError
        Steps that are not positive, finite and in order.

    Examples
    --------
    >>> round(mamba_dt_bias().draw((64,)).low, 4)
    -6.9073

    References
    ----------
    A. Gu, T. Dao, Mamba: Linear-Time Sequence Modeling with Selective State Spaces, 2023, section 3.6.
    """
    if not (finite(longest) and finite(shortest) and 0 < shortest < longest):
        raise InputError(
            explain(
                "The step sizes hold no interval",
                received=f"shortest={shortest}, longest={longest}",
                rule="0 < shortest < longest, both finite",
            )
        )
    return FormulaScheme(
        name="mamba_dt_bias",
        law=f"softplus(w) log-uniform between {shortest:.6g} and {longest:.6g}",
        source="step_bias",
        numbers=(float(shortest), float(longest)),
        references=("Gu and Dao 2023, section 3.6",),
    )


SCHEMES = (
    Entry(factory=s4d_real),
    Entry(factory=s4d_lin, examples=({}, {"part": "real"})),
    Entry(factory=mamba_a_log),
    Entry(factory=mamba_dt_bias, aliases=("dt_bias",)),
)
