"""JAX's primitives on NumPy arrays of float64: what a reader tries regions of a model with.

Nothing is compiled, and numbers keep twice the digits that the model has.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "CannotComputeError", "computed", "exact", "shaped"]

Array: TypeAlias = NDArray[Any]

_ERF = np.frompyfunc(math.erf, 1, 1)
_ERFC = np.frompyfunc(math.erfc, 1, 1)
_LGAMMA = np.frompyfunc(math.lgamma, 1, 1)
_LARGEST_SCALAR_LOOP = 1 << 18
"""Elements up to which functions that NumPy lacks are computed one by one."""


class CannotComputeError(Exception):
    """An operation that there is no such function for."""


def _slow(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    def run(x: Array) -> Array:
        if x.size > _LARGEST_SCALAR_LOOP:
            raise CannotComputeError
        return np.asarray(function(x), dtype=np.float64)

    return run


def _logistic(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


_ONE: Mapping[str, Callable[[Array], Array]] = {
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "cbrt": np.cbrt,
    "ceil": np.ceil,
    "cos": np.cos,
    "cosh": np.cosh,
    "erf": _slow(_ERF),
    "erfc": _slow(_ERFC),
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "is_finite": np.isfinite,
    "lgamma": _slow(_LGAMMA),
    "log": np.log,
    "log1p": np.log1p,
    "logistic": _logistic,
    "neg": np.negative,
    "not": np.logical_not,
    "round": np.round,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "sign": np.sign,
    "sin": np.sin,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
}
_TWO: Mapping[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "add_any": np.add,
    "and": np.logical_and,
    "atan2": np.arctan2,
    "div": np.true_divide,
    "eq": np.equal,
    "ge": np.greater_equal,
    "gt": np.greater,
    "le": np.less_equal,
    "lt": np.less,
    "max": np.maximum,
    "min": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "or": np.logical_or,
    "pow": np.power,
    "rem": np.fmod,
    "sub": np.subtract,
    "xor": np.logical_xor,
}
_REDUCED: Mapping[str, Callable[..., Array]] = {
    "reduce_sum": np.sum,
    "reduce_max": np.max,
    "reduce_min": np.min,
    "reduce_prod": np.prod,
    "reduce_and": np.all,
    "reduce_or": np.any,
}


def computed(name: str, params: Mapping[str, Any], args: Sequence[Array]) -> Array:
    """One primitive on arrays; pointwise ones take arrays that broadcast.

    Raises
    ------
    CannotComputeError
        A primitive that is none of the pointwise ones, reductions and moves known here.
    """
    with np.errstate(all="ignore"):
        if name in _ONE:
            return np.asarray(_ONE[name](args[0]))
        if name in _TWO:
            return np.asarray(_TWO[name](args[0], args[1]))
        if name in _REDUCED:
            return np.asarray(_REDUCED[name](args[0], axis=tuple(params["axes"])))
        if name == "integer_pow":
            return np.asarray(args[0].astype(np.float64) ** params["y"])
        if name == "clamp":
            return np.minimum(np.maximum(args[1], args[0]), args[2])
        if name == "select_n":
            which, *cases = args
            return np.asarray(np.choose(which.astype(np.int64), cases))
        return shaped(name, params, args)


def shaped(name: str, params: Mapping[str, Any], args: Sequence[Array]) -> Array:
    """A primitive that moves elements, or counts them.

    Raises
    ------
    CannotComputeError
        Another one.
    """
    x = args[0] if args else np.zeros(())
    if name == "broadcast_in_dim":
        laid = [1] * len(params["shape"])
        for place, dim in enumerate(params["broadcast_dimensions"]):
            laid[dim] = x.shape[place]
        return np.broadcast_to(x.reshape(laid), params["shape"])
    if name == "reshape" and params.get("dimensions") is None:
        return x.reshape(params["new_sizes"])
    if name == "squeeze":
        return np.squeeze(x, axis=tuple(params["dimensions"]))
    if name == "transpose":
        return np.transpose(x, params["permutation"])
    if name == "slice":
        steps = params["strides"] or (1,) * x.ndim
        cuts = zip(params["start_indices"], params["limit_indices"], steps, strict=True)
        return np.asarray(x[tuple(slice(*cut) for cut in cuts)])
    if name == "stack":
        return np.stack(list(args), axis=params["axis"])
    if name == "tile":
        return np.tile(x, params["reps"])
    if name == "rev":
        return np.flip(x, axis=tuple(params["dimensions"]))
    if name == "concatenate":
        return np.concatenate(list(args), axis=params["dimension"])
    if name == "iota":
        line = np.arange(params["shape"][params["dimension"]], dtype=np.float64)
        rank = len(params["shape"])
        along = [1] * rank
        along[params["dimension"]] = -1
        return np.broadcast_to(line.reshape(along), params["shape"])
    if name == "dot_general":
        return _product(params["dimension_numbers"], args[0], args[1])
    raise CannotComputeError


def _product(numbers: Any, left: Array, right: Array) -> Array:
    (summed_left, summed_right), (batch_left, batch_right) = numbers
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    a, b = [""] * left.ndim, [""] * right.ndim
    for i, j in (*zip(batch_left, batch_right, strict=True), *zip(summed_left, summed_right, strict=True)):
        a[i] = b[j] = next(letters)
    a = [letter or next(letters) for letter in a]
    b = [letter or next(letters) for letter in b]
    batch = [a[i] for i in batch_left]
    free = [x for i, x in enumerate(a) if i not in batch_left and i not in summed_left]
    free += [x for j, x in enumerate(b) if j not in batch_right and j not in summed_right]
    return np.asarray(np.einsum(f"{''.join(a)},{''.join(b)}->{''.join([*batch, *free])}", left, right))


_KNOWN = [math.pi, math.e, math.log(2.0), math.sqrt(2.0 / math.pi), math.sqrt(2.0 * math.pi), 1.0 / math.pi]
_KNOWN += [math.sqrt(k) for k in range(2, 130)] + [1.0 / math.sqrt(k) for k in range(2, 130)]
_KNOWN += [math.sqrt(k) for k in (192, 256, 384, 512, 768, 1024, 2048, 4096)]
_KNOWN += [1.0507009873554804934193349852946, 1.6732632423543772848170429916717]
_KNOWN += [1.0507009873554804934193349852946 * 1.6732632423543772848170429916717]
_KNOWN += [math.sqrt(0.5)]
_BY_FLOAT = {float(np.float32(sign * value)): sign * value for value in _KNOWN for sign in (1, -1)}


def exact(value: Array) -> Array:
    """A constant as it was before it was rounded to float32: a known number, or the shortest decimal.

    Other frameworks keep the constants of their activations in float64, and equal weights need equal gains.

    Examples
    --------
    >>> float(exact(np.float32(0.044715))), float(exact(np.float32(math.sqrt(0.5)))) == math.sqrt(0.5)
    (0.044715, True)
    """
    array = np.asarray(value)
    if array.dtype != np.float32 or array.size != 1:
        return array.astype(np.float64) if array.dtype.kind in "fV" else array
    number = float(array.flat[0])
    found = _BY_FLOAT.get(number, float(str(array.flat[0])) if math.isfinite(number) else number)
    return np.full(array.shape, found)
