"""How signal, gradient and the likeness of two inputs travel through one layer of infinite width.

An activation is its values on `fanin.laws.quadrature.NODES`; pass the nodes themselves for a linear layer.
"""

from __future__ import annotations

import math

from fanin.errors import InputError, explain
from fanin.laws.quadrature import (
    Values,
    gaussian_derivative_second_moment,
    gaussian_second_moment,
    gaussian_separation,
)

__all__ = ["backward_map", "correlation_map", "dead_share", "forward_map", "initial_loss", "saturated_share"]


def forward_map(
    values: Values, q: float, *, weight_variance: float, fan_in: float, bias_variance: float = 0.0
) -> float:
    """Second moment of the next pre-activation: ``q' = var_w fan_in E f(sqrt(q) z)^2 + var_b``.

    Parameters
    ----------
    values
        f on `NODES`.
    q
        Second moment of this layer's pre-activation.
    weight_variance, bias_variance
        Of the next layer's weights and biases (which have mean 0).
    fan_in
        Terms that one unit of the next layer adds up.

    Raises
    ------
    InputError
        A negative or non-finite number, or values that are no table on `NODES`.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> round(forward_map(np.maximum(NODES, 0), 1.0, weight_variance=2 / 64, fan_in=64), 9)
    1.0

    References
    ----------
    B. Poole et al., Exponential expressivity in deep neural networks through transient chaos,
    2016, equation 3.
    """
    _not_negative(weight_variance=weight_variance, fan_in=fan_in, bias_variance=bias_variance)
    return weight_variance * fan_in * gaussian_second_moment(values, q) + bias_variance


def backward_map(values: Values, q: float, *, weight_variance: float, fan: float) -> float:
    """Growth of the gradient's power across one layer: ``chi = var_w fan E f'(sqrt(q) z)^2``.

    With the fan_in of the weights this is the growth of the sum of squares over units, with their
    fan_out that of the mean over units.

    References
    ----------
    S. S. Schoenholz et al., Deep Information Propagation, 2017, equation 5.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> round(backward_map(np.maximum(NODES, 0), 3.0, weight_variance=1 / (3 * 64), fan=64) * 6, 9)
    1.0
    """
    _not_negative(weight_variance=weight_variance, fan=fan)
    return weight_variance * fan * gaussian_derivative_second_moment(values, q)


def correlation_map(
    values: Values,
    q: float,
    c: float,
    *,
    weight_variance: float = 1.0,
    fan_in: float = 1.0,
    bias_variance: float = 0.0,
) -> float:
    """Correlation of two inputs' next pre-activations.

    ``c' = (var_w fan_in E f(u) f(v) + var_b) / (var_w fan_in E f(u)^2 + var_b)``,
    ``Var[u] = Var[v] = q``, ``Cov[u, v] = c q``.

    Without bias the weights cancel, so their variance may be left out.

    Examples
    --------
    >>> import numpy as np
    >>> from fanin.laws.quadrature import NODES
    >>> round(correlation_map(np.maximum(NODES, 0), 1.0, 0.0), 6) == round(1 / math.pi, 6)
    True

    References
    ----------
    B. Poole et al., 2016, equation 5; for ReLU: Y. Cho and L. Saul, Kernel Methods for Deep Learning,
    2009, equation 6.
    """
    _not_negative(weight_variance=weight_variance, fan_in=fan_in, bias_variance=bias_variance)
    lost = weight_variance * fan_in * gaussian_separation(values, q, c) if c < 1.0 else 0.0
    power = forward_map(
        values, q, weight_variance=weight_variance, fan_in=fan_in, bias_variance=bias_variance
    )
    # Correlation lost by f, not correlation kept: near 1 the difference holds all the digits.
    return 1.0 - lost / power if power > 0 else 1.0


def dead_share(c: float, samples: int) -> float:
    """Share of units expected to be negative on every one of `samples` inputs.

    ``integral pdf(t) Phi(-t sqrt(c / (1 - c)))^B dt``: pre-activations are exchangeable Gaussians
    of mean 0 with pairwise correlation c, so given their common part t they are independent.

    Parameters
    ----------
    c
        Mean pairwise correlation of the pre-activations; below 0 counts as 0.
    samples
        Number B of inputs.

    Returns
    -------
    float
        ``2^-B`` at c = 0, ``1 / (B + 1)`` at c = 1/2, 1/2 at c = 1.

    Examples
    --------
    >>> round(dead_share(0.5, 9), 6)
    0.1
    """
    if samples < 1 or not c <= 1.0:
        raise InputError(
            explain(
                "No expected share of dead units", received=f"c={c}, samples={samples}", rule="c <= 1, B >= 1"
            )
        )
    c = max(c, 0.0)
    if c == 1.0:
        return 0.5
    slope = math.sqrt(c / (1.0 - c))
    # Phi(-t slope) is 1 left of the end and 0 right of it, so only the rise between is left to integrate;
    # its width shrinks as the slope grows, and the number of steps stays.
    end = 9.0 / max(slope, 1.0)
    steps = 2 * math.ceil(9.0 * max(16.0, 8.0 * math.log(samples + 2.0)))
    h = 2.0 * end / steps
    total = 0.0
    for k in range(steps + 1):
        t = -end + k * h
        factor = 1.0 if k in (0, steps) else 4.0 if k % 2 else 2.0
        below = 0.5 * math.erfc(t * slope / math.sqrt(2.0))
        if below > 0.0:
            total += factor * math.exp(-0.5 * t * t + samples * math.log(below))
    left = 0.5 * math.erfc(end / math.sqrt(2.0)) if slope > 1.0 else 0.0
    return total * h / 3.0 / math.sqrt(2.0 * math.pi) + left


def saturated_share(bound: float, q: float) -> float:
    """Share of pre-activations expected beyond ±bound: ``2 (1 - Phi(bound / sqrt(q)))``.

    Examples
    --------
    >>> round(saturated_share(math.atanh(0.97), 1.0), 4)
    0.0364
    """
    _not_negative(bound=bound, q=q)
    return math.erfc(bound / math.sqrt(2.0 * q)) if q > 0 else 0.0


def initial_loss(classes: int, logit_std: float = 0.0) -> float:
    """Cross-entropy to be expected of random logits: ``ln C + s^2 / 2 (1 - 1 / C)``.

    Second order in s: within 0.03 for s <= 1, too large beyond 2.

    Parameters
    ----------
    classes
        Number C of classes.
    logit_std
        Standard deviation s of the logits of one sample around their mean.

    Examples
    --------
    >>> round(initial_loss(10), 3)
    2.303
    """
    _not_negative(logit_std=logit_std)
    if classes < 1:
        raise InputError(explain("There is no class", received=f"classes={classes}", rule="At least 1"))
    return math.log(classes) + 0.5 * logit_std**2 * (1.0 - 1.0 / classes)


def _not_negative(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (math.isfinite(value) and value >= 0):
            raise InputError(explain(f"{name} is not a finite number >= 0", received=f"{name}={value}"))
