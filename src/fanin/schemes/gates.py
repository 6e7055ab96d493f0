"""Biases of gated recurrences: how long a cell remembers before it has learned anything."""

from __future__ import annotations

from fanin.errors import InputError, explain, finite
from fanin.schemes.base import Entry
from fanin.schemes.by_formula import FormulaScheme

__all__ = ["SCHEMES", "chrono", "lstm_forget_bias"]


def lstm_forget_bias(value: float = 1.0) -> FormulaScheme:
    """Bias of an LSTM whose forget gate starts open: one value in the second quarter, zeros elsewhere.

    ``b = (0, value, 0, 0)`` for gates in the order input, forget, cell, output (PyTorch, Keras, JAX): a cell
    then keeps ``sigmoid(value)`` of itself in each step instead of a half. PyTorch adds two bias vectors;
    give this to one of them, and zeros to the other.

    Parameters
    ----------
    value
        Of the forget gate; 1 by custom.

    Returns
    -------
    FormulaScheme
        A scheme; its `draw` raises InputError where the units are not four equal blocks.

    Raises
    ------
    InputError
        A value that is not finite.

    Examples
    --------
    >>> lstm_forget_bias().draw((8,)).mean
    0.25

    References
    ----------
    R. Jozefowicz, W. Zaremba, I. Sutskever, An Empirical Exploration of Recurrent Network Architectures,
    2015, section 2.2.
    """
    if not finite(value):
        raise InputError(explain("The forget gate's bias is not finite", received=f"value={value}"))
    return FormulaScheme(
        name="lstm_forget_bias",
        law=f"b = {value:.6g} for the forget gate (second quarter), 0 elsewhere",
        source="block",
        numbers=(float(value), 1.0, 4.0),
        references=("Jozefowicz, Zaremba and Sutskever 2015, section 2.2",),
    )


def chrono(longest: float) -> FormulaScheme:
    """Biases of an LSTM that remembers for times up to `longest`: log-uniform forget gates.

    ``b_forget = log u``, ``u ~ U(1, longest - 1)``, ``b_input = -b_forget``, zeros for cell and output (gates
    in the order of `lstm_forget_bias`). A cell with bias b forgets within ``1 + exp(b)`` steps.

    Parameters
    ----------
    longest
        Longest dependency expected, in steps; more than 2.

    Returns
    -------
    FormulaScheme
        A scheme; its `draw` raises InputError where the units are not four equal blocks.

    Raises
    ------
    InputError
        A time that is not finite and more than 2.

    Examples
    --------
    >>> round(chrono(784.0).draw((512,)).high, 3)
    6.663

    References
    ----------
    C. Tallec, Y. Ollivier, Can recurrent neural networks warp time?, 2018, section 2, equation 16.
    """
    if not (finite(longest) and longest > 2):
        raise InputError(
            explain(
                "chrono needs a time of more than two steps",
                received=f"longest={longest}",
                rule="The forget gates' biases are logarithms of numbers between 1 and longest - 1",
            )
        )
    return FormulaScheme(
        name="chrono",
        law=f"b_forget = log U(1, {longest - 1:.6g}), b_input = -b_forget, 0 elsewhere",
        source="chrono",
        numbers=(float(longest),),
        references=("Tallec and Ollivier 2018, equation 16",),
    )


SCHEMES = (
    Entry(factory=lstm_forget_bias, aliases=("lstm_bias",), examples=({}, {"value": 2.0})),
    Entry(factory=chrono, examples=({"longest": 784.0}, {"longest": 20.0})),
)
