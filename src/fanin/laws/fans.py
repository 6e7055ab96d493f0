"""How many terms a unit sums over, forward and backward.

Fans follow from the roles of a weight's dimensions. Grouped, depthwise, transposed, strided and
stacked weights then need no rules of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fanin.errors import InputError, explain
from fanin.records.axes import Axes, Role, as_axes

__all__ = ["Fans", "fans"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fans:
    """Terms of the sums in which a weight takes part.

    Parameters
    ----------
    fan_in
        Terms that one unit adds up forward.
    fan_out
        Terms that the gradient of one input adds up backward.
    """

    fan_in: float
    fan_out: float

    @property
    def fan_avg(self) -> float:
        """Arithmetic mean of both fans."""
        return 0.5 * (self.fan_in + self.fan_out)

    @property
    def fan_geo_avg(self) -> float:
        """Geometric mean of both fans."""
        return math.sqrt(self.fan_in) * math.sqrt(self.fan_out)

    def __str__(self) -> str:
        return f"fan_in {self.fan_in:.6g}, fan_out {self.fan_out:.6g}"


def fans(shape: Sequence[int], axes: Axes | str | Iterable[str] | None = None) -> Fans:
    """Count the terms a weight of this shape and these roles is summed over.

    ``fan_in  = in * receptive``, over the stride if transposed;
    ``fan_out = out * receptive``, over the stride if not transposed.

    Both are per group and per copy: a dimension in the role *group* or *batch* is in neither fan,
    and `Axes.groups` divides the dimension that holds all groups. The stride is in it because a
    strided layer skips: of the kernel's positions, one output of a transposed convolution (and
    one input of a plain one) meets only ``1 / stride`` on average.

    Parameters
    ----------
    shape
        Shape of the stored tensor; of the whole one, if it is sharded.
    axes
        Roles of the dimensions: `Axes`, words such as ``"in out"``, or None for
        ``out in receptive ...``.

    Returns
    -------
    Fans
        Both fans, not always whole numbers.

    Raises
    ------
    InputError
        Fewer than two dimensions and no roles, an empty dimension, or roles that do not fit.

    Examples
    --------
    >>> fans((64, 32, 3, 3))
    Fans(fan_in=288.0, fan_out=576.0)
    >>> fans((784, 256), "in out")
    Fans(fan_in=784.0, fan_out=256.0)

    References
    ----------
    K. He et al., Delving Deep into Rectifiers, 2015, sections 2.2 (n_l = k^2 c forward,
    k^2 d backward).
    """
    sizes = tuple(int(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise InputError(explain("A shape has a negative dimension", received=sizes))
    roles = as_axes(axes, sizes)
    if roles is None:
        raise InputError(
            explain(
                "Fans need roles for a shape with fewer than two dimensions",
                received=f"shape {sizes}, no axes",
                rule="fan_in is a product over dimensions in the role 'in', fan_out over 'out'",
                remedy="Give roles, for example axes='in' or axes='out', or a scheme without fans",
            )
        )
    receptive = roles.size(sizes, Role.RECEPTIVE)
    fan_in = float(roles.size(sizes, Role.IN) * receptive)
    fan_out = float(roles.size(sizes, Role.OUT) * receptive)
    if roles.transposed:
        fan_in /= roles.groups * roles.stride
    else:
        fan_out /= roles.groups * roles.stride
    if fan_in == 0 or fan_out == 0:
        raise InputError(
            explain(
                "A fan is zero",
                received=f"shape {sizes} with axes '{roles}'",
                rule="Dimensions in the roles 'in', 'out' and 'receptive' are at least 1",
                remedy="Leave an empty tensor alone, or give the dimension of size 0 the role 'batch'",
            )
        )
    return Fans(fan_in=fan_in, fan_out=fan_out)
