"""Weights that a module computes from others: what has to be drawn so that the result has the law.

A plan draws the tensor underneath. Weight norm's lengths and directions are two tensors with rules of their
own; a spectral norm divides by a number that it follows with two vectors, which have to follow the new
weight at once; any other parametrisation is tried on the planned draw itself.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import ParametrizationList
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from fanin.errors import ModelError, explain
from fanin.plans.scaled import scaled
from fanin.records.draw import Normal
from fanin.records.plan import Entry, Plan, Status
from fanin.torch.commit import staged_entry
from fanin.torch.names import named_modules, named_tensors
from fanin.torch.sandbox import keep_random_state

__all__ = ["adjusted", "check_plain", "computed", "following"]

_KNOWN = tuple(
    kind
    for name in ("_WeightNorm", "_SpectralNorm", "_Orthogonal")
    if isinstance(kind := getattr(parametrizations, name, None), type)
)
"""Parametrisations that are no function of one weight's scale, or have rules of their own."""
_MOST = 1 << 22
"""Elements of a weight on which a parametrisation is tried."""
_ROUNDS = 100
"""Steps of the power method: for a random matrix the largest singular value is then known to a thousandth."""
_CLOSE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spectral:
    """A weight with a spectral norm and its two vectors, by name."""

    weight: str
    left: str
    right: str
    dim: int


def check_plain(model: nn.Module) -> None:
    """Refuse a model whose weights are not plain numbers: quantised or sparse ones.

    Raises
    ------
    ModelError
        A quantised module, a sparse parameter, or a tensor made in inference mode.
    """
    for path, module in named_modules(model):
        if ".quantized" in type(module).__module__ and "torch.ao" in type(module).__module__:
            raise ModelError(
                explain(
                    f"Module '{path}' is quantised",
                    received=type(module).__name__,
                    rule="Its weights are packed whole numbers, which no law draws",
                    remedy="Initialise the model first and quantise it then",
                )
            )
    for one in named_tensors(model):
        if one.tensor.is_inference() and not torch.is_inference_mode_enabled():
            raise ModelError(
                explain(
                    f"'{one.name}' can never be written again",
                    received="a tensor made under torch.inference_mode()",
                    rule="Such a tensor takes no part in training, nor in a run that records gradients",
                    remedy="Build the model outside of torch.inference_mode()",
                )
            )
        if not one.buffer and (one.tensor.layout is not torch.strided or one.tensor.is_quantized):
            kind = "quantised" if one.tensor.is_quantized else f"of layout {one.tensor.layout}"
            raise ModelError(
                explain(
                    f"Parameter '{one.name}' is not dense",
                    received=f"a tensor {kind}",
                    rule="A weight owns one place in memory for each element",
                    remedy="Initialise the dense model, then make its weights sparse or quantised",
                )
            )


def adjusted(model: nn.Module, plan: Plan) -> Plan:
    """The plan with draws that give each parametrised weight, not the tensor underneath, the planned law.

    Parameters
    ----------
    model
        The model that the plan is for; it is not changed.
    plan
        Its plan, made as if weights were used as they are stored.

    Returns
    -------
    Plan
        The same where nothing is parametrised.
    """
    entries = {entry.name: entry for entry in plan.entries}
    changed = dict(entries)
    for path, parametrised in _parametrised(model):
        name = f"{path}.original" if path else "original"
        entry = entries.get(name)
        if entry is not None and entry.draw is not None and entry.draw.std > 0.0:
            changed[name] = _tried(entry, parametrised, plan.seed)
    for path in _orthogonal(model):
        name = f"{path}.original"
        if name in changed and (
            changed[name].draw is not None or changed[name].status == Status.UNRECOGNISED
        ):
            changed[name] = _kept(
                changed[name],
                "an orthogonal parametrisation's own numbers, from which it makes an orthogonal matrix",
                "its weight has the gain 1, whatever it feeds: torch keeps reflections and signs here, and "
                "numbers of another law make another matrix, or none",
            )
    for one in _spectral(model):
        for name in (one.left, one.right):
            if name in changed and changed[name].draw is None and entries[one.weight].draw is not None:
                reason = f"a singular vector of '{one.weight}', computed again when that is drawn"
                changed[name] = replace(changed[name], reason=reason)
    return plan if changed == entries else replace(plan, entries=tuple(changed.values()))


def following(model: nn.Module, plan: Plan) -> dict[str, torch.Tensor]:
    """Values of buffers that follow from the weights that a plan draws: the vectors of spectral norms.

    Returns
    -------
    dict
        Names of buffers, which the plan keeps, to values on the CPU.
    """
    entries = {entry.name: entry for entry in plan.entries}
    found: dict[str, torch.Tensor] = {}
    for one in _spectral(model):
        entry = entries.get(one.weight)
        kept = [entries.get(name) for name in (one.left, one.right)]
        if entry is None or entry.draw is None or any(e is None or e.draw is not None for e in kept):
            continue
        weight = staged_entry(entry, _dtype(entry), plan.seed).float()
        matrix = weight.movedim(one.dim, 0).flatten(1)
        start = replace(
            entry,
            name=one.right,
            shape=(matrix.shape[1],),
            dtype="float32",
            axes=None,
            blocks=(),
            zeroed=None,
        )
        right = staged_entry(replace(start, draw=Normal(std=1.0)), torch.float32, plan.seed)
        for _ in range(_ROUNDS):
            right = functional.normalize(matrix.T @ (matrix @ right), dim=0)
        found |= {one.left: functional.normalize(matrix @ right, dim=0), one.right: right}
    return found


def computed(module: nn.Module) -> dict[str, Callable[[], torch.Tensor]]:
    """Plain attributes that a hook of the module computes before each run, and how it does."""
    found: dict[str, Callable[[], torch.Tensor]] = {}
    for hook in vars(module)["_forward_pre_hooks"].values():
        if isinstance(hook, WeightNorm):
            found[hook.name] = functools.partial(hook.compute_weight, module)
        elif isinstance(hook, SpectralNorm):
            found[hook.name] = functools.partial(hook.compute_weight, module, do_power_iteration=False)
    return found


def _dtype(entry: Entry) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, entry.dtype)
    return dtype


def _spectral(model: nn.Module) -> Iterator[_Spectral]:
    for path, module in named_modules(model):
        prefix = f"{path}." if path else ""
        for hook in vars(module)["_forward_pre_hooks"].values():
            if isinstance(hook, SpectralNorm):
                yield _Spectral(
                    weight=f"{prefix}{hook.name}_orig",
                    left=f"{prefix}{hook.name}_u",
                    right=f"{prefix}{hook.name}_v",
                    dim=hook.dim,
                )
        if not isinstance(module, ParametrizationList) or not module.is_tensor:
            continue
        for place, one in enumerate(module):
            if type(one).__name__ == "_SpectralNorm" and "_u" in vars(one)["_buffers"]:
                inside = f"{path}.{place}"
                yield _Spectral(
                    weight=f"{path}.original", left=f"{inside}._u", right=f"{inside}._v", dim=vars(one)["dim"]
                )


def _parametrised(model: nn.Module) -> Iterator[tuple[str, ParametrizationList]]:
    """Weights with one tensor underneath and no rules of their own, and the path of what computes them."""
    for path, module in named_modules(model):
        if not isinstance(module, ParametrizationList) or not module.is_tensor:
            continue
        if not any(isinstance(one, _KNOWN) for one in module):
            yield path, module


def _tried(entry: Entry, parametrised: ParametrizationList, seed: int) -> Entry:
    """The entry with the draw whose parametrised values have the planned std."""
    drawn = entry.draw
    if drawn is None or math.prod(entry.shape) > _MOST:
        return entry
    powers = _powers(entry, parametrised, seed)
    if powers is None:
        return _noting(
            entry, "its parametrisation could not be tried, so the law is that of what is underneath"
        )
    plain, once, twice = powers
    if plain > 0.0 and not 0.0 < once < math.inf:
        return _kept(
            entry,
            "what its parametrisation makes of a draw is no weight, so it is left as it is",
            f"tried on the planned draw: values of root mean square {once:.4g}",
        )
    if not (plain > 0.0 and once > 0.0) or abs(once / plain - 1.0) < _CLOSE:
        return entry
    if abs(twice / once - 2.0) < _CLOSE:
        factor = plain / once
        draws = [scaled(draw, factor) for draw in (drawn, *(block.draw for block in entry.blocks))]
        if any(draw is None for draw in draws):
            return entry
        fixed = replace(
            entry,
            draw=draws[0],
            blocks=tuple(
                replace(block, draw=draw)
                for block, draw in zip(entry.blocks, draws[1:], strict=True)
                if draw is not None
            ),
        )
        return _noting(
            fixed,
            f"its parametrisation multiplies the std by {once / plain:.4g} (tried on the planned draw), so "
            f"that much less is drawn for the weight to have the std {plain:.4g}",
        )
    if abs(twice / once - 1.0) < _CLOSE:
        return _noting(
            entry, f"its parametrisation makes a weight of std {once:.4g} of it, whatever its scale (tried)"
        )
    return _noting(
        entry,
        f"its parametrisation makes a weight of std {once:.4g} of the planned {plain:.4g} (tried), and is "
        "not linear: override the draw to change that",
    )


def _powers(entry: Entry, parametrised: ParametrizationList, seed: int) -> tuple[float, float, float] | None:
    """Root mean squares of the planned draw, of what is made of it, and of what is made of twice that."""
    inside: Mapping[str, torch.Tensor] = dict(parametrised.named_parameters()) | dict(
        parametrised.named_buffers()
    )
    if any(tensor.is_meta for name, tensor in inside.items() if name != "original"):
        return None
    try:
        with torch.no_grad(), keep_random_state():
            weight = staged_entry(replace(entry, dtype="float32"), torch.float32, seed)
            chain = [copy.deepcopy(one).cpu().float() for one in parametrised]
            made = [_through(chain, factor * weight) for factor in (1.0, 2.0)]
    except Exception:  # noqa: BLE001 - a user's module may raise anything; then nothing is known
        return None
    once, twice = (float(value.double().square().mean().sqrt()) for value in made)
    return float(weight.double().square().mean().sqrt()), once, twice


def _orthogonal(model: nn.Module) -> Iterator[str]:
    """Paths of what makes orthogonal matrices."""
    for path, module in named_modules(model):
        if not isinstance(module, ParametrizationList) or not module.is_tensor:
            continue
        if any(type(one).__name__ == "_Orthogonal" for one in module):
            yield path


def _kept(entry: Entry, reason: str, evidence: str) -> Entry:
    return replace(
        entry,
        status=Status.KEPT,
        scheme="keep",
        draw=None,
        blocks=(),
        zeroed=None,
        rule="parametrisation",
        reason=reason,
        evidence=(*entry.evidence, evidence),
    )


def _noting(entry: Entry, evidence: str) -> Entry:
    return replace(entry, evidence=(*entry.evidence, evidence))


def _through(chain: list[Any], value: torch.Tensor) -> torch.Tensor:
    for one in chain:
        value = one(value)
    return value
