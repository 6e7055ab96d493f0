"""The output that counts, and the loss that a target makes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fanin.errors import FaninError, InputError, ModelError, explain

__all__ = ["Loss", "floating", "loss_of", "main_output"]

_MAIN = ("logits", "prediction_logits", "last_hidden_state", "sample", "out")
_CROSS_ENTROPY = "cross entropy"
_SQUARES = "mean squared error"
_IGNORED = -100
_SPREAD = 64
"""Samples whose logits are enough to know their spread."""


_FEW, _SURE = 16, 6.0
"""Samples below which outputs share one variance, and standard errors that luck does not reach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A scalar with its history, and what it should be for an unprejudiced output."""

    name: str
    value: torch.Tensor
    expected: float | None = None
    classes: int | None = None
    logit_std: float | None = None
    prior: float | None = None
    rarity: float | None = None
    offset: float | None = None
    silent: float | None = None
    low: float | None = None
    high: float | None = None
    unpaired: bool = False


def _named(output: Any) -> Mapping[str, Any] | None:
    if isinstance(output, Mapping):
        return output
    if is_dataclass(output) and not isinstance(output, type):
        return {f.name: getattr(output, f.name) for f in fields(output)}
    return None


def floating(output: Any) -> list[torch.Tensor]:
    """Every floating tensor of an output, in order; of a complex one, its real and imaginary parts."""
    if isinstance(output, torch.Tensor):
        if output.is_nested:
            return []  # its parts have no common shape
        if output.is_complex():
            return [torch.view_as_real(output.resolve_conj())]
        return [output] if output.is_floating_point() else []
    named = _named(output)
    if named is not None:
        return [t for value in named.values() for t in floating(value)]
    if isinstance(output, list | tuple):
        return [t for value in output for t in floating(value)]
    return []


def main_output(output: Any) -> torch.Tensor:
    """The output that training works on: logits, else the last hidden state, else the first tensor.

    Raises
    ------
    ModelError
        There is no floating tensor in the output.
    """
    named = _named(output)
    if named is not None:
        for key in _MAIN:
            if floating(named.get(key)):
                return floating(named[key])[0]
        output = [value for key, value in named.items() if key != "loss"]
    tensors = floating(output)
    if not tensors:
        raise ModelError(
            explain(
                "The model returns no floating tensor, so there is nothing to measure",
                received=f"an output of type {type(output).__name__}{_dtype(output)}",
                rule="The output is a tensor, or a tuple, list, dict or dataclass that holds one",
                remedy="Wrap the model in a module whose forward returns the tensor that training works on",
            )
        )
    return next((t for t in tensors if t.ndim), tensors[0])


def _dtype(output: Any) -> str:
    if not isinstance(output, torch.Tensor):
        return ""
    return (", nested" if output.is_nested else "") + f", {str(output.dtype).removeprefix('torch.')}"


def loss_of(
    output: Any, target: Any, loss: Callable[..., Any] | None, labels: torch.Tensor | None
) -> Loss | None:
    """Build the loss: the user's, the one that the target's type calls for, or the model's own.

    Parameters
    ----------
    output
        What the model returned.
    target
        Integer classes (cross-entropy), floats (mean squared error), anything a `loss` takes, or
        None, which leaves the model's own loss if it returns one.
    loss
        ``loss(output, target)``, or None.
    labels
        Integer labels that went into the model, which say what its own loss is.

    Raises
    ------
    InputError
        A target that does not fit the output, or a loss that is no number.
    """
    if loss is not None:
        return _given(output, target, loss)
    if target is None:
        return _own(output, labels)
    main = main_output(output)
    target = _numbers(target).to(main.device)
    if target.is_complex():
        target = torch.view_as_real(target.resolve_conj())
    if target.is_floating_point():
        return _squares(main, target)
    return _cross_entropy(main, target.long(), last=_named(output) is not None)


def _numbers(target: Any) -> torch.Tensor:
    """A target as a plain tensor with values."""
    why = ""
    try:
        found = target if isinstance(target, torch.Tensor) else torch.as_tensor(target)
        kinds = {"meta": found.is_meta, "quantised": found.is_quantized, "nested": found.is_nested}
        why = " ".join(kind for kind, so in kinds.items() if so)
        if not why:
            return found if found.layout is torch.strided else found.to_dense()
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        why = str(error)
    raise InputError(
        explain(
            "The target is no tensor of classes or numbers",
            received=f"{type(target).__name__}: {why}",
            rule="It is a tensor, an array or a list, of whole numbers (classes) or of floats",
            remedy="Give a loss=... that takes anything else",
        )
    )


def _given(output: Any, target: Any, loss: Callable[..., Any]) -> Loss:
    if isinstance(loss, type) or not callable(loss):
        raise InputError(
            explain(
                "The loss is no function",
                received=f"the class {loss.__name__}" if isinstance(loss, type) else repr(loss)[:200],
                rule="A loss is called as loss(output, target)",
                remedy=f"Give an instance: loss={loss.__name__}()" if isinstance(loss, type) else "",
            )
        )
    argument = output
    if isinstance(loss, nn.Module) or getattr(loss, "__module__", "") == functional.__name__:
        # torch's own losses take a tensor; a user's function gets what the model returned.
        argument = main_output(output)
    try:
        value = loss(argument, target)
    except FaninError:
        raise
    except Exception as error:
        raise InputError(
            explain(
                "The loss cannot be computed from this output and target",
                received=f"{type(error).__name__}: {error}",
                rule="A loss is called as loss(output, target)",
                remedy="No target was given: target=..." if target is None else "",
            )
        ) from error
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or value.is_meta or value.is_complex():
        raise InputError(
            explain(
                "The loss is no single number",
                received=_shown(value),
                rule="loss(output, target) is a scalar tensor of a real number",
                remedy="" if not isinstance(value, torch.Tensor) or value.numel() == 1 else "Take its mean",
            )
        )
    if not value.requires_grad and any(t.requires_grad for t in floating(output)):
        raise InputError(
            explain(
                "The loss has no gradient, although the output has one",
                received=_shown(value),
                rule="It is computed from the output by torch's operators alone",
                remedy="Leave item(), detach(), numpy(), argmax() and no_grad() out of the loss",
            )
        )
    name = getattr(loss, "__name__", type(loss).__name__)
    value = value.reshape(())
    summed = getattr(loss, "reduction", "mean") == "sum"  # grows with the batch: no number to start at
    if not summed and (isinstance(loss, nn.CrossEntropyLoss) or loss is functional.cross_entropy):
        main = main_output(output)
        classes = main.shape[1] if main.ndim > 1 else main.shape[0]
        return _classes(_CROSS_ENTROPY, value, main, classes, 1 if main.ndim > 1 else 0)
    if (isinstance(loss, nn.MSELoss) or loss is functional.mse_loss) and isinstance(target, torch.Tensor):
        return Loss(name=_SQUARES, value=value, expected=_variance(target))
    return Loss(name=name, value=value)


def _shown(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"{type(value).__name__} {value!r}"[:200]
    kind = " on the meta device" if value.is_meta else ""
    return f"a tensor of shape {tuple(value.shape)}, {str(value.dtype).removeprefix('torch.')}{kind}"


def _own(output: Any, labels: torch.Tensor | None) -> Loss | None:
    value = (_named(output) or {}).get("loss")
    if not isinstance(value, torch.Tensor) or value.numel() != 1 or not value.requires_grad:
        return None
    main, value = main_output(output), value.reshape(())
    classes = main.shape[-1] if main.ndim else 1
    whole = labels is not None and not labels.is_floating_point()
    fits = labels is not None and tuple(labels.shape) in (tuple(main.shape[:-1]), (len(main), 1))
    if whole and fits and classes > 1:
        return _classes("the model's own loss (cross entropy)", value, main, classes, main.ndim - 1)
    return Loss(name="the model's own loss", value=value)


def _classes(name: str, value: torch.Tensor, logits: torch.Tensor, classes: int, dim: int) -> Loss:
    table = logits.detach().movedim(dim, -1).reshape(-1, classes)
    # Logits of a few dozen samples say what their spread is: its standard error is 1 / sqrt(2 samples C).
    spread = table[:: max(1, len(table) // _SPREAD)].float().var(dim=1, correction=0).mean().sqrt()
    return Loss(
        name=name,
        value=value,
        expected=math.log(classes),
        classes=classes,
        logit_std=float(spread),
    )


def _cross_entropy(logits: torch.Tensor, target: torch.Tensor, *, last: bool) -> Loss:
    if target.ndim == logits.ndim and target.shape[-1:] == (1,) and logits.shape[-1] != 1:
        target = target.squeeze(-1)
    if logits.shape == target.shape or (*target.shape, 1) == tuple(logits.shape):
        return _binary(logits.reshape(target.shape), target)
    fits = {}
    if tuple(target.shape) == tuple(logits.shape[:-1]):
        fits["last"] = logits.ndim - 1
    if logits.ndim >= 2 and tuple(target.shape) == (logits.shape[0], *logits.shape[2:]):
        fits["first"] = 1
    if not fits:
        raise InputError(
            explain(
                "The target does not fit the output",
                received=f"classes of shape {tuple(target.shape)}, an output of shape {tuple(logits.shape)}",
                rule="Classes are (N,) for (N, C), (N, d...) for (N, C, d...), or (B, T) for (B, T, V)",
                remedy="Give a loss=... that takes this pair",
            )
        )
    # With both possible, torch's convention (classes second) counts, but not for named logits (B, T, V).
    dim = fits["last"] if (last and "last" in fits) or "first" not in fits else fits["first"]
    classes = logits.shape[dim]
    seen = target[target != _IGNORED]
    if seen.numel() == 0 or int(seen.min()) < 0 or int(seen.max()) >= classes:
        span = "none" if seen.numel() == 0 else f"{int(seen.min())} to {int(seen.max())}"
        raise InputError(
            explain(
                "The target holds classes that the output does not have",
                received=f"classes {span} for {classes} outputs",
                rule="Classes count from 0 and are fewer than the outputs; -100 is left out",
            )
        )
    moved = logits.movedim(dim, -1).reshape(-1, classes).float()
    value = functional.cross_entropy(moved, target.reshape(-1), ignore_index=_IGNORED)
    made = _classes(_CROSS_ENTROPY, value, logits, classes, dim)
    shares = torch.bincount(seen.reshape(-1), minlength=classes).double() / seen.numel()
    known = shares[shares > 0.0]
    return replace(made, prior=float(-(known * known.log()).sum()), rarity=float(shares.amax()) * classes)


def _binary(logits: torch.Tensor, target: torch.Tensor) -> Loss:
    if int(target.min()) < 0 or int(target.max()) > 1:
        raise InputError(
            explain(
                "One output cannot tell these classes apart",
                received=f"classes {int(target.min())} to {int(target.max())}",
                rule="With one output a class is 0 or 1",
                remedy="Give the target as floats for a regression",
            )
        )
    value = functional.binary_cross_entropy_with_logits(logits.float(), target.float())
    share = min(max(float(target.double().mean()), 1e-12), 1.0 - 1e-12)
    return Loss(
        name="binary cross entropy",
        value=value,
        expected=math.log(2.0),
        classes=2,
        prior=-share * math.log(share) - (1.0 - share) * math.log(1.0 - share),
        rarity=2.0 * max(share, 1.0 - share),
    )


def _squares(output: torch.Tensor, target: torch.Tensor) -> Loss:
    if output.shape != target.shape:
        if output.numel() != target.numel():
            raise InputError(
                explain(
                    "The target does not fit the output",
                    received=f"shape {tuple(target.shape)} for an output of shape {tuple(output.shape)}",
                    rule="A target of floats has the output's shape",
                    remedy="Give a loss=... that takes this pair",
                )
            )
        # (N,) against (N, 1) would broadcast to N x N.
        target = target.reshape(output.shape)
    value = functional.mse_loss(output.float(), target.float())
    return Loss(name=_SQUARES, value=value, expected=_variance(target), offset=_offset(output, target))


def _offset(output: torch.Tensor, target: torch.Tensor) -> float | None:
    """Largest distance over outputs between mean output and mean target, in the target's deviations.

    A distance that the luck of a few samples explains is none: an image has thousands of outputs. And an
    output that hardly varies (a border pixel, nearly always empty) is measured by what the others do: in the
    loss all count alike.
    """
    samples = len(target)
    if samples < 2:
        return None
    guess, wanted = (t.detach().double().reshape(samples, -1) for t in (output, target))
    variance, varied = wanted.var(dim=0, correction=0), guess.var(dim=0, correction=0)
    if samples < _FEW:
        # The variance of so few is itself luck: all outputs have one.
        variance, varied = ((v.mean() * samples / (samples - 1)).expand_as(v) for v in (variance, varied))
    seen = variance > 0.0
    if not bool(seen.any()):
        return None
    away = (guess.mean(dim=0) - wanted.mean(dim=0)).abs()
    luck = _SURE * ((variance + varied) / samples).sqrt()
    unit = variance.clamp(min=float(variance.mean())).sqrt()
    return float(torch.where(away > luck, away / unit, 0.0)[seen].amax())


def _variance(target: torch.Tensor) -> float:
    """Mean square left by the best constant guess of every output."""
    return float(target.detach().double().var(dim=0, correction=0).mean()) if len(target) > 1 else 0.0
