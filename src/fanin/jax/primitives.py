"""What each of JAX's primitives does, in the words of `fanin.graphs`: one table.

A primitive that is not listed is OTHER: what reads a parameter there is unrecognised, and said to be.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, TypeAlias

from fanin.graphs.derived import row_major
from fanin.graphs.steps import Form
from fanin.jax.recording import Op

__all__ = [
    "ADDS",
    "CHOICES",
    "MULTIPLIES",
    "SAME",
    "SUBTRACTS",
    "View",
    "form_of",
    "settings_of",
    "views_of",
]

View: TypeAlias = tuple[tuple[int, ...], list[int], int]
"""Shape, strides and offset of a view of an array whose last dimension runs fastest."""


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


SAME = _words(
    "copy copy_p stop_gradient optimization_barrier sharding_constraint device_put reduce_precision",
    "convert_element_type layout_constraint name pvary reshard mesh_cast",
)
"""Primitives whose output has the elements of what they read, at the same places."""

_VIEWS = _words("transpose reshape squeeze broadcast_in_dim slice split expand_dims unstack")
_MOVES = _words("rev pad gather dynamic_slice tile")
CHOICES = _words("scatter dynamic_update_slice")
"""Primitives that write into an array."""

_POINTWISE = _words(
    "abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e bitcast_convert_type",
    "cbrt ceil clamp clz complex conj cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt",
    "igamma igammac imag integer_pow is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter",
    "not or polygamma population_count pow real regularized_incomplete_beta rem round rsqrt",
    "select_n shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square sub tan tanh",
    "xor cond scatter-add scatter_add scatter-sub scatter-mul scatter-max scatter-min",
)
_FORMS: Mapping[str, Form] = {
    **dict.fromkeys(_POINTWISE, Form.POINTWISE),
    **dict.fromkeys(("dot_general", "ragged_dot", "ragged_dot_general"), Form.CONTRACTION),
    "conv_general_dilated": Form.CONVOLUTION,
    **dict.fromkeys(
        _words("reduce_sum reduce_max reduce_min reduce_prod reduce_and reduce_or"), Form.REDUCTION
    ),
    **dict.fromkeys(_words("reduce_window reduce_window_sum reduce_window_max"), Form.POOL),
    "reduce_window_min": Form.POOL,
    **dict.fromkeys(("concatenate", "stack"), Form.CONCAT),
    **dict.fromkeys(CHOICES, Form.CONCAT),
}
ADDS = _words("add sub add_any scatter-add scatter_add scatter-sub")
SUBTRACTS = _words("sub")
MULTIPLIES = _words("mul div")


def form_of(name: str) -> Form | None:
    """The form of a primitive; None for one that only moves elements."""
    if name in SAME or name in _VIEWS or name in _MOVES:
        return None
    return _FORMS.get(name, Form.OTHER)


def views_of(op: Op) -> list[View] | None:
    """The outputs of an operation as views of what it reads; None for one that is no view."""
    shape = op.operands[0].shape
    strides = row_major(shape)
    params, out = op.params, op.shape
    if op.name in {"reshape", "squeeze", "expand_dims"}:
        if params.get("dimensions") is not None and op.name == "reshape":
            return None
        return [(out, row_major(out), 0)]
    if op.name == "transpose":
        return [(out, [strides[d] for d in params["permutation"]], 0)]
    if op.name == "broadcast_in_dim":
        laid = [0] * len(out)
        for place, dim in enumerate(params["broadcast_dimensions"]):
            laid[dim] = strides[place] if shape[place] == out[dim] else 0
        return [(out, laid, 0)]
    if op.name == "tile":
        # Copies of what has one place: the same place again. Other copies have places of their own.
        single = all(times == 1 or size == 1 for times, size in zip(params["reps"], shape, strict=True))
        laid = [0 if times > 1 else stride for times, stride in zip(params["reps"], strides, strict=True)]
        return [(out, laid, 0)] if single else None
    if op.name == "slice":
        steps = params["strides"] or (1,) * len(shape)
        offset = sum(start * stride for start, stride in zip(params["start_indices"], strides, strict=True))
        return [(out, [stride * step for stride, step in zip(strides, steps, strict=True)], offset)]
    if op.name == "unstack":
        axis = params["axis"]
        left = [stride for d, stride in enumerate(strides) if d != axis]
        return [(aval.shape, left, k * strides[axis]) for k, aval in enumerate(op.outputs)]
    if op.name == "split":
        found: list[View] = []
        offset = 0
        for aval, size in zip(op.outputs, params["sizes"], strict=True):
            found.append((aval.shape, strides, offset))
            offset += size * strides[params["axis"]]
        return found
    return None


def settings_of(op: Op, form: Form) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """Numbers that change what an operation does to a signal, by the names that other readers use."""
    params = op.params
    found: dict[str, Any] = {}
    if form == Form.CONVOLUTION:
        numbers = params["dimension_numbers"]
        kernel = op.operands[1].shape
        dilated = any(step > 1 for step in params["lhs_dilation"])
        found = {
            "padding": [low for low, _ in params["padding"]],
            "dilation": list(params["rhs_dilation"]),
            "stride": list(params["lhs_dilation"] if dilated else params["window_strides"]),
            "groups": params["feature_group_count"],
            "transposed": dilated,
            "kernel": [kernel[d] for d in numbers.rhs_spec[2:]],
            "units": numbers.out_spec[1],
        }
    elif op.name == "dot_general":
        (left, _), _ = params["dimension_numbers"]
        found = {"summed": prod(op.operands[0].shape[d] for d in left)}
    elif form == Form.CONTRACTION:
        found = {"summed": op.operands[0].shape[-1] if op.operands[0].shape else 1}
    elif form == Form.REDUCTION:
        found = {"dim": list(params.get("axes", ())), "sum": op.name == "reduce_sum"}
    elif form == Form.POOL:
        window, stride = params.get("window_dimensions", ()), params.get("window_strides", ())
        inner = [d for d, n in enumerate(window) if n > 1 or stride[d] > 1]
        found = {
            "kernel_size": [window[d] for d in inner],
            "stride": [stride[d] for d in inner],
            "padding": [params["padding"][d][0] for d in inner],
            "maximum": "max" in op.name,
        }
    elif op.name in {"concatenate", "stack"}:
        found = {"dim": params["dimension"] if op.name == "concatenate" else params["axis"]}
    elif op.name in SUBTRACTS:
        found = {"signs": [1, -1]}
    return tuple((key, _numbers(value)) for key, value in found.items())


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(float(one) for one in (value if isinstance(value, list | tuple) else [value]))
