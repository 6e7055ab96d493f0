"""Numbers that an operator was called with and that change what it does to a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from fanin.graphs.steps import Form
from fanin.torch.ops import CONTRACTIONS, SUBTRACTS
from fanin.torch.record import Op, Operand

__all__ = ["Settings", "settings_of"]

Settings: TypeAlias = tuple[tuple[str, tuple[float, ...]], ...]

_BATCH_NORMS = ("batch_norm", "_native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm")
_MASK_REACH = 6
"""Operators between a random draw and the mask that it becomes."""


def settings_of(op: Op, form: Form, ops: Sequence[Op]) -> Settings:
    """Numbers by name; () for operators whose kind says it all.

    Parameters
    ----------
    op
        The operator, with its arguments as they were passed.
    form
        What it does.
    ops
        The recording, in which the mask of a dropout is traced back to its draw.
    """
    if op.facts is None:
        return ()
    given: dict[str, Any] = {**dict(zip(op.facts.arguments, op.args, strict=False)), **op.kwargs}
    name = op.facts.base
    found: dict[str, Any] = {}
    if form == Form.CONVOLUTION:
        found = _chosen(given, "padding", "dilation", "stride", "groups", "transposed")
        if len(op.operands) > 1:
            found["kernel"] = op.operands[1].shape[2:]
            found["padded"] = _padded(op.operands[0], ops, len(found["kernel"]))
    elif form == Form.CONTRACTION:
        found = {"summed": _summed(op, name)}
    elif form == Form.NORM:
        found = _norm(name, given)
    elif form == Form.POOL:
        found = _chosen(given, "kernel_size", "stride", "padding")
        found["maximum"] = "max" in name
        found["adaptive"] = "adaptive" in name
        found["upsampling"] = "upsample" in name
    elif form == Form.REDUCTION:
        kept = given.get("keepdim") is True
        found = {**_chosen(given, "dim"), "mean": name == "mean", "sum": name == "sum", "kept": kept}
    elif form in (Form.SOFTMAX, Form.GLU):
        found = _chosen(given, "dim")
    elif form == Form.CONCAT:
        found = {**_chosen(given, "dim"), "sizes": _sizes(op, name, given.get("dim", 0))}
    elif form == Form.DROPOUT:
        found = _chosen(given, "p")
        if given.get("train") is False:
            found["p"] = 0.0
    elif form == Form.ATTENTION:
        found = {**_chosen(given, "dropout_p", "is_causal", "scale"), **_heads(op, given)}
    elif form == Form.POINTWISE:
        found = {**_chosen(given, "alpha"), **_mask(op, ops)}
        if name in SUBTRACTS:
            found["signs"] = (-1, 1) if name == "rsub" else (1, -1)
    if form in (Form.CONTRACTION, Form.CONVOLUTION) and any(_changed(o) for o in op.operands):
        found["derived"] = True
    if form == Form.POINTWISE and any(s.derived for o in op.operands for s in o.sources):
        found["derived"] = True
    numbers = [(key, _numbers(value)) for key, value in found.items()]
    return tuple([(key, values) for key, values in numbers if values])


def _padded(data: Operand, ops: Sequence[Op], rank: int) -> tuple[int, ...]:
    """Zeros that an operator of its own put before the first place along each axis; () where none did."""
    behind = ops[data.op] if data.op is not None else None
    if behind is None or behind.facts is None or behind.facts.base != "constant_pad_nd":
        return ()
    sides = behind.args[1] if len(behind.args) > 1 else ()
    if not isinstance(sides, list | tuple) or not all(isinstance(n, int) for n in sides):
        return ()
    first = [int(n) for n in sides[0 : 2 * rank : 2]]  # the last axis comes first
    return tuple([0] * (rank - len(first)) + first[::-1])


def _sizes(op: Op, name: str, dim: Any) -> tuple[int, ...]:
    """Of what is joined: places that each operand takes, below 0 for parameters; () where that is unclear."""
    if name not in ("cat", "stack") or not isinstance(dim, int):
        return ()
    ranks = {len(o.shape) for o in op.operands}
    if len(ranks) != 1 or (name == "cat" and 0 in ranks):
        return ()
    sizes = [1 if name == "stack" else o.shape[dim] for o in op.operands]
    return tuple(
        -n if o.op is None or o.sources or o.constant else n for n, o in zip(sizes, op.operands, strict=True)
    )


def _chosen(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}


def _numbers(value: Any) -> tuple[float, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(float(item) for item in items if isinstance(item, int | float))


def _changed(operand: Operand) -> bool:
    return any(source.derived and len(source.shape) > 1 for source in operand.sources)


def _summed(op: Op, name: str) -> int:
    """Terms of each output's sum."""
    if name not in CONTRACTIONS:
        return op.operands[0].shape[-1] if op.operands and op.operands[0].shape else 1
    first = CONTRACTIONS[name][0]
    shape = op.operands[first].shape if first < len(op.operands) else ()
    return shape[-1] if shape else 1


def _norm(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    found = _chosen(given, "eps", "epsilon")
    if name == "native_layer_norm" or "rms_norm" in name:
        found["last"] = len(given.get("normalized_shape", (1,)))
        found["centred"] = name == "native_layer_norm"
    elif name == "native_group_norm":
        found |= {"groups": given.get("group", 1), "centred": True}
    elif name.startswith(_BATCH_NORMS) or "batch_norm" in name:
        training = given.get(
            "training", given.get("train", "no_training" not in name and "no_update" not in name)
        )
        found |= {"over the batch": True, "training": bool(training), "centred": True}
    return found


def _heads(op: Op, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a fused attention: places that are attended to, and terms of a score."""
    key = given.get("key")
    mask = given.get("attn_mask", given.get("attn_bias"))
    if not isinstance(key, Operand) or len(key.shape) < 2:
        return {}
    return {"keys": key.shape[-2], "width": key.shape[-1], "masked": isinstance(mask, Operand)}


def _mask(op: Op, ops: Sequence[Op]) -> dict[str, Any]:
    """Of a product with a random mask: the share of zeros, and what the others are multiplied by."""
    for operand in op.operands:
        kept, scale, at = None, 1.0, operand.op if operand.constant else None
        for _ in range(_MASK_REACH):
            if at is None:
                break
            behind = ops[at]
            name = behind.facts.base if behind.facts is not None else ""
            number = next((a for a in behind.args if isinstance(a, int | float)), None)
            if name.startswith("bernoulli") and number is not None:
                kept = float(number)
            elif name in ("div", "div_") and number:
                scale /= float(number)
            elif name in ("mul", "mul_") and number is not None:
                scale *= float(number)
            at = behind.operands[0].op if behind.operands else None
        if kept is not None:
            return {"p": 1.0 - kept, "kept times": scale}
    return {}
